//! Exact numbers: decimal texts in and out, fractions, and the one rounding at the end.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use serde_json::Value;

pub const MILLION: i64 = 1_000_000;

pub fn fraction(numerator: impl Into<BigInt>, denominator: impl Into<BigInt>) -> BigRational {
    BigRational::new(numerator.into(), denominator.into())
}

pub fn whole(number: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(number.into())
}

/// The nearest integer; of two equally near the even one.
pub fn half_even(number: &BigRational) -> BigInt {
    let below = number.floor().to_integer();
    let half = fraction(1, 2);
    let rest = number - whole(below.clone());
    let odd = !(&below % 2u8).is_zero();
    if rest > half || (rest == half && odd) { below + 1 } else { below }
}

/// The number of a JSON number's text. `None` when the text is no JSON number, or is so large that no field takes it. One
/// that is closer to 0 than any rounding looks is taken for another such one.
pub fn decimal(text: &str) -> Option<BigRational> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (integer, decimals) = match mantissa.split_once('.') {
        Some((integer, decimals)) => (integer, Some(decimals)),
        None => (mantissa, None),
    };
    let digits_only = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = integer.len() > 1 && integer.starts_with('0');
    if !digits_only(integer) || leading_zero || !decimals.is_none_or(digits_only) {
        return None;
    }
    let exponent = match exponent {
        None => 0,
        Some(exponent) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
            };
            if !digits_only(digits) {
                return None;
            }
            // An exponent of over nine digits is beyond everything that a record of 1 MiB can make up for.
            sign * digits.trim_start_matches('0').get(..9).map_or_else(
                || digits.trim_start_matches('0').parse().unwrap_or(0),
                |nine| nine.parse::<i64>().unwrap_or(0),
            )
        }
    };
    let decimals = decimals.unwrap_or("");
    let digits = format!("{integer}{decimals}");
    let significant: BigInt = digits.parse().ok()?;
    if significant.is_zero() {
        return Some(whole(0));
    }
    let power = exponent - i64::try_from(decimals.len()).ok()?;
    let magnitude = i64::try_from(digits.trim_start_matches('0').len()).ok()? + power;
    let number = match magnitude {
        30.. => return None,
        ..-30 => fraction(1, ten_to(30)),
        _ if power >= 0 => whole(significant * ten_to(power)),
        _ => fraction(significant, ten_to(-power)),
    };
    Some(if negative { -number } else { number })
}

fn ten_to(power: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(power).expect("a power that is not negative"))
}

/// Money as it is written out, from micro-units: decimal text without trailing zeros.
pub fn money(micros: impl Into<BigInt>) -> Value {
    let micros: BigInt = micros.into();
    let digits = format!("{:0>7}", micros.abs().to_string());
    let (units, decimals) = digits.split_at(digits.len() - 6);
    let decimals = decimals.trim_end_matches('0');
    let sign = if micros.is_negative() { "-" } else { "" };
    let point = if decimals.is_empty() { "" } else { "." };
    Value::from(format!("{sign}{units}{point}{decimals}"))
}

/// A ratio as it is written out: the nearest double.
pub fn ratio(number: &BigRational) -> Value {
    Value::from(number.to_f64().expect("ratios of money are finite"))
}

/// An integer as it is read back.
pub fn integer(number: i128) -> Value {
    serde_json::from_str(&number.to_string()).expect("an integer is JSON")
}

/// A count in millionths as it is written out: an integer when whole.
pub fn count(millionths: i64) -> Value {
    if millionths % MILLION == 0 { Value::from(millionths / MILLION) } else { ratio(&fraction(millionths, MILLION)) }
}

#[test]
fn numbers_are_read_exactly_and_rounded_once() {
    let table = [
        ("1999.90", Some(1_999_900_000_i64)),
        ("1.5e3", Some(1_500_000_000)),
        ("15E-1", Some(1_500_000)),
        ("0.0000005", Some(0)),
        ("0.0000015", Some(2)),
        ("0.00000050000000000000000000000000000000000001", Some(1)),
        ("1e-999999999999999999999", Some(0)),
        ("0e999999999999999999999", Some(0)),
        ("1e999999999999999999999", None),
        ("-3.5", Some(-3_500_000)),
        ("-0", Some(0)),
        ("9000000000000", Some(9_000_000_000_000_000_000)),
        ("+1", None),
        ("01", None),
        (".5", None),
        ("5.", None),
        ("1 ", None),
        ("1,000", None),
        ("", None),
        ("1e", None),
    ];
    for (text, expected) in table {
        let micros = decimal(text).map(|number| half_even(&(number * whole(MILLION))));
        assert_eq!(micros, expected.map(BigInt::from), "{text}");
    }
    assert_eq!([1_999_900_000, 0, -3_500_000, -1].map(money), ["1999.9", "0", "-3.5", "-0.000001"]);
}
