//! Quotients of exact sums, rounded once: to the nearest double, or half to even to a whole number.

use crate::money::divide_half_even;

/// Integers up to 2^53 are doubles themselves, and IEEE 754 rounds their quotient correctly.
const EXACT: u128 = 1 << 53;

/// The double nearest to `numerator / denominator` (ties to even); `None` where the denominator is 0.
pub fn ratio(numerator: i128, denominator: i128) -> Option<f64> {
    if denominator == 0 {
        return None;
    }
    let (n, d) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let magnitude = if n <= EXACT && d <= EXACT { n as f64 / d as f64 } else { divide(n, d) };
    Some(if numerator == 0 || (numerator < 0) == (denominator < 0) { magnitude } else { -magnitude })
}

/// Long division: the integer part, then binary places until 55 significant bits are there, the last one sticky. That is
/// two more than a double has, so that its own rounding sees all it needs.
fn divide(n: u128, d: u128) -> f64 {
    let (mut quotient, mut rest) = (n / d, n % d);
    if quotient >= 1 << 55 {
        return (quotient | u128::from(rest != 0)) as f64;
    }
    let mut places = 0;
    while quotient < 1 << 55 && rest != 0 && places < 1_000 {
        // `rest < d <= 2^127`, so doubling it fits.
        rest <<= 1;
        let bit = rest >= d;
        if bit {
            rest -= d;
        }
        quotient = quotient << 1 | u128::from(bit);
        places += 1;
    }
    (quotient | u128::from(rest != 0)) as f64 / 2_f64.powi(places)
}

/// `numerator / denominator` rounded half to even; `None` where the denominator is 0 or the result does not fit.
pub fn quotient(numerator: i128, denominator: i128) -> Option<i128> {
    match denominator.signum() {
        0 => None,
        1 => Some(divide_half_even(numerator, denominator)),
        _ => Some(divide_half_even(numerator.checked_neg()?, denominator.checked_neg()?)),
    }
}

/// `numerator x scale / denominator` rounded once, half to even, for an even scale: exact also where the product alone
/// would be too large. `None` where the denominator is 0 or the result does not fit.
pub fn scaled_quotient(numerator: i128, scale: i64, denominator: i128) -> Option<i128> {
    let scale = i128::from(scale);
    if let Some(product) = numerator.checked_mul(scale) {
        return quotient(product, denominator);
    }
    // Whole x scale is even, so it does not change which neighbour is even.
    let (whole, rest) = (numerator.checked_div(denominator)?, numerator.checked_rem(denominator)?);
    whole.checked_mul(scale)?.checked_add(quotient(rest.checked_mul(scale)?, denominator)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotients_are_rounded_half_to_even() {
        let table = [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (10, 3, 3), (-10, 3, -3), (11, 3, 4), (5, -2, -2)];
        for (n, d, expected) in table {
            assert_eq!(quotient(n, d), Some(expected), "{n} / {d}");
        }
        assert_eq!(quotient(1, 0), None);
    }

    #[test]
    fn a_scaled_quotient_is_rounded_once() {
        let table = [
            (5_000_000_000_000, 1_000_000, 120_000_000, Some(41_666_666_667)),
            (5_000_000_000_000, 1_000, 900_000, Some(5_555_555_556)),
            (1, 2, 4, Some(0)),
            (3, 2, 4, Some(2)),
            (-3, 2, 4, Some(-2)),
            (7, 1_000, 0, None),
            (i128::MAX, 1_000_000, 1, None),
            (i128::MAX, 1_000_000, 1_000_000, Some(i128::MAX)),
            (i128::MIN, 1_000_000, 1_000_000, Some(i128::MIN)),
            (-(1 << 126), 1_000, -(1 << 20), Some(1_000 << 106)),
        ];
        for (n, scale, d, expected) in table {
            assert_eq!(scaled_quotient(n, scale, d), expected, "{n} x {scale} / {d}");
        }
    }

    #[test]
    fn ratios_of_the_worked_examples() {
        assert_eq!(ratio(10_000_000, 5_000_000), Some(2.0));
        assert_eq!(ratio(-3, 2), Some(-1.5));
        assert!(ratio(0, -7).is_some_and(f64::is_sign_positive));
        assert_eq!(ratio(7, 0), None);
        assert_eq!(ratio(i128::MAX, i128::MAX), Some(1.0));
        assert_eq!(ratio(1, i128::MAX), Some(2_f64.powi(-127)));
        assert_eq!(ratio((1 << 60) + 1, 1 << 60), Some(1.0));
        assert_eq!(ratio(9_007_199_254_740_993, 1), Some(9_007_199_254_740_992.0), "a tie goes to the even");
    }

    proptest! {
        #[test]
        fn is_what_decimal_long_division_reads_as(n in 1_u64.., d in 1_u64.., shift in 0_u32..50) {
            let n = u128::from(n) << shift;
            let d = u128::from(d);
            let found = ratio(n as i128, d as i128).unwrap();
            prop_assert_eq!(found, divide(n, d), "both ways agree");
            // The quotient of decimal long division to 60 places, read by the standard library's exact parser.
            let (mut digits, mut rest) = ((n / d).to_string(), n % d);
            digits.push('.');
            for _ in 0..60 {
                rest *= 10;
                digits.push(char::from(b'0' + (rest / d) as u8));
                rest %= d;
            }
            if rest != 0 {
                digits.push('1');
            }
            prop_assert_eq!(digits.parse::<f64>().unwrap(), found);
        }
    }
}
