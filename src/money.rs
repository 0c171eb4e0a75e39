//! Exact money: integers of micro-units (10^-6 of the reporting currency), never a binary float.
//!
//! One event's amount is a [`Micros`] (an `i64`); a sum of events is a [`Sum`] (an `i128`). An amount is at most
//! 9 x 10^12 units = 9 x 10^18 micro-units, so a `Sum` holds 10^19 of the largest amounts: more events than there are.

use std::cmp::Ordering;
use std::fmt;
use std::iter;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// Micro-units in one unit.
pub const SCALE: i64 = 1_000_000;

/// An amount of one event, in micro-units; also any other decimal number with six places (a share, a count of years).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Micros(pub i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Micros = Micros(0);
    /// The largest amount that is accepted: 9,000,000,000,000 units.
    pub const MAX: Micros = Micros(9_000_000_000_000 * SCALE);

    /// Reads the text of a JSON number (`1999.90`, `1.5e3`) exactly, then rounds half to even to six decimals.
    ///
    /// `None` when the text is no JSON number (a plus sign, a space, a separator, a leading zero), or the number, before
    /// rounding, is not from 0 to 9,000,000,000,000. Takes time linear in the text and no memory, whatever the exponent.
    ///
    /// ```
    /// # use payback::money::Micros;
    /// assert_eq!(Micros::parse("1.5e3"), Some(Micros(1_500_000_000)));
    /// assert_eq!(Micros::parse("0.0000025"), Some(Micros(2)));
    /// assert_eq!(Micros::parse("-1"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Micros> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', unsigned @ ..] => (true, unsigned),
            unsigned => (false, unsigned),
        };
        let (whole, rest) = split_digits(unsigned);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => match split_digits(rest) {
                ([], _) => return None,
                split => split,
            },
            _ => (&[][..], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', exponent @ ..] => parse_exponent(exponent)?,
            _ => return None,
        };
        let rounded = round_digits(whole, fraction, exponent)?;
        (!negative || rounded.is_zero).then_some(Micros(rounded.micros))
    }
}

/// The reporting currency's worth of one unit of another, in steps of 10^-12: over 0, to 10^12 units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate(pub u128);

/// From an integer, as it was stored; only what [`Micros::parse`] accepts too.
impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        let micros = Micros(i64::deserialize(deserializer)?);
        let accepted = (Micros::ZERO..=Micros::MAX).contains(&micros);
        if accepted { Ok(micros) } else { Err(de::Error::custom("expected an amount from 0 to 9,000,000,000,000")) }
    }
}

struct Rounded {
    micros: i64,
    /// Before rounding.
    is_zero: bool,
}

/// The digits' number x 10^exponent, rounded half to even to micro-units; `None` when it is over [`Micros::MAX`].
fn round_digits(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<Rounded> {
    // As amounts usually are: there is nothing to round, and the limit is far.
    if exponent == 0 && whole.len() <= 12 && fraction.len() <= 6 {
        let digits = whole.iter().chain(fraction).fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        let micros = digits * 10_i64.pow(6 - fraction.len() as u32);
        return Some(Rounded { micros, is_zero: micros == 0 });
    }
    // The power of ten, in micro-units, of the digit at hand.
    let mut power = whole.len() as i64 - 1 + 6 + exponent;
    let mut digits = whole.iter().chain(fraction).map(|digit| u64::from(digit - b'0'));
    let first = loop {
        match digits.next() {
            None => return Some(Rounded { micros: 0, is_zero: true }),
            Some(0) => power -= 1,
            Some(first) => break first,
        }
    };
    if power > 18 {
        return None;
    }
    // At most 19 digits are gathered, which a u64 holds.
    let mut micros = 0;
    let mut tenths = 0;
    let mut beyond = false;
    for digit in std::iter::once(first).chain(digits) {
        match power {
            0.. => micros = micros * 10 + digit,
            -1 => tenths = digit,
            _ if digit != 0 => {
                beyond = true;
                break;
            }
            _ => {}
        }
        power -= 1;
    }
    if power >= 0 {
        micros *= 10_u64.pow(power as u32 + 1);
    }
    let most = Micros::MAX.0.unsigned_abs();
    if micros > most || (micros == most && (tenths > 0 || beyond)) {
        return None;
    }
    let up = tenths > 5 || (tenths == 5 && (beyond || micros % 2 == 1));
    let micros = i64::try_from(micros + u64::from(up)).ok()?;
    Some(Rounded { micros, is_zero: false })
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// An exponent, kept within +-10^12: no text that is read has that many digits to make up for it.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    const MOST: i64 = 1_000_000_000_000;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0_i64, |exponent, digit| {
            digit.is_ascii_digit().then(|| (exponent * 10 + i64::from(digit - b'0')).min(MOST))
        })
        .map(|exponent| sign * exponent)
}

/// `numerator / denominator` (over 0), rounded half to even.
pub fn divide_half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, remainder) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    let up = match remainder.cmp(&(denominator - remainder)) {
        Ordering::Less => false,
        Ordering::Equal => quotient % 2 != 0,
        Ordering::Greater => true,
    };
    quotient + i128::from(up)
}

/// A sum of amounts, in micro-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sum(pub i128);

impl Sum {
    /// Nothing.
    pub const ZERO: Sum = Sum(0);
}

impl From<Micros> for Sum {
    fn from(micros: Micros) -> Self {
        Sum(i128::from(micros.0))
    }
}

impl Add for Sum {
    type Output = Sum;
    fn add(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }
}

impl Sub for Sum {
    type Output = Sum;
    fn sub(self, other: Sum) -> Sum {
        Sum(self.0 - other.0)
    }
}

impl Neg for Sum {
    type Output = Sum;
    fn neg(self) -> Sum {
        Sum(-self.0)
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.0 += other.0;
    }
}

impl SubAssign for Sum {
    fn sub_assign(&mut self, other: Sum) {
        self.0 -= other.0;
    }
}

impl iter::Sum for Sum {
    fn sum<I: Iterator<Item = Sum>>(sums: I) -> Sum {
        sums.fold(Sum::ZERO, Add::add)
    }
}

/// Decimal text without trailing zeros: `1999.9`, `0`, `-3.5`.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let scale = u128::from(SCALE.unsigned_abs());
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", magnitude / scale)?;
        let fraction = magnitude % scale;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sum::from(*self).fmt(f)
    }
}

/// Sums of several figures add up field by field.
macro_rules! adds_field_by_field {
    ($type:ident { $($field:ident),* }) => {
        impl std::ops::Add for $type {
            type Output = $type;
            fn add(self, other: $type) -> $type {
                $type { $($field: self.$field + other.$field),* }
            }
        }
        impl std::ops::Sub for $type {
            type Output = $type;
            fn sub(self, other: $type) -> $type {
                $type { $($field: self.$field - other.$field),* }
            }
        }
        impl std::ops::Neg for $type {
            type Output = $type;
            fn neg(self) -> $type {
                $type { $($field: -self.$field),* }
            }
        }
        impl std::ops::AddAssign for $type {
            fn add_assign(&mut self, other: $type) {
                $(self.$field += other.$field;)*
            }
        }
        impl std::ops::SubAssign for $type {
            fn sub_assign(&mut self, other: $type) {
                $(self.$field -= other.$field;)*
            }
        }
    };
}
pub(crate) use adds_field_by_field;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn money_is_read_exactly_and_rounded_half_to_even() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.00e5", Some(0)),
            ("1999.90", Some(1_999_900_000)),
            ("1.5e3", Some(1_500_000_000)),
            ("1.5E+3", Some(1_500_000_000)),
            ("15e-1", Some(1_500_000)),
            ("0.0000005", Some(0)),
            ("0.0000015", Some(2)),
            ("0.0000025", Some(2)),
            ("0.00000250000000000000000000000000000001", Some(3)),
            ("0.0000024999999999999999999999999999999", Some(2)),
            ("5e-7", Some(0)),
            ("5.0000001e-7", Some(1)),
            ("9e-8", Some(0)),
            ("0.1", Some(100_000)),
            ("0.30000000000000004", Some(300_000)),
            ("9007199254740.993", None),
            ("4503599627370.497", Some(4_503_599_627_370_497_000)),
            ("9000000000000", Some(Micros::MAX.0)),
            ("9e12", Some(Micros::MAX.0)),
            ("0.000009e18", Some(Micros::MAX.0)),
            ("8999999999999.9999999", Some(Micros::MAX.0)),
            ("9000000000000.0000001", None),
            ("9000000000000.00000000000000000001", None),
            ("9000000000000.0000000", Some(Micros::MAX.0)),
            ("9000000000001", None),
            ("10000000000000", None),
            ("99999999999999999999999999", None),
            ("-1", None),
            ("-0.0000001", None),
        ];
        for (text, micros) in table {
            assert_eq!(Micros::parse(text), micros.map(Micros), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_number_is_no_money() {
        let texts = [
            "", "-", "+1", "+", ".", ".5", "5.", "5.e1", "00", "01", "-01", "1e", "1e+", "1e-", "e5", "1e5.5", " 1",
            "1 ", "1,000", "1_000", "1'000", "0x10", "1.5.5", "NaN", "Infinity", "$5", "5€", "١", "--1", "1-", "1e5e5",
            "1e 5",
        ];
        for text in texts {
            assert_eq!(Micros::parse(text), None, "{text}");
        }
    }

    #[test]
    fn huge_exponents_and_long_numbers_are_answered_at_once() {
        let zeros = "0".repeat(1 << 20);
        let nines = "9".repeat(1 << 20);
        let started = Instant::now();
        let table = [
            ("1e999999999".to_owned(), None),
            ("0e999999999".to_owned(), Some(0)),
            ("0.00e99999999999999999999999999999".to_owned(), Some(0)),
            ("1e-999999999".to_owned(), Some(0)),
            ("1e-99999999999999999999999999999".to_owned(), Some(0)),
            (format!("0.{zeros}5e{}", (1 << 20) + 1), Some(5_000_000)),
            (format!("1{zeros}e-{}", 1 << 20), Some(1_000_000)),
            (format!("0.{nines}"), Some(1_000_000)),
            (nines, None),
            (format!("1e{zeros}1"), Some(10_000_000)),
        ];
        for (text, micros) in table {
            assert_eq!(Micros::parse(&text), micros.map(Micros), "{}", &text[..30.min(text.len())]);
        }
        // Were it by the digit or by the power, it would be minutes.
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    /// The same by schoolbook: digits x 10^exponent as one fraction of integers.
    fn model(text: &str) -> Option<Micros> {
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |unsigned| (true, unsigned));
        let (number, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: BigUint = format!("{whole}{fraction}").parse().unwrap();
        let exponent = exponent.parse::<i32>().unwrap() - fraction.len() as i32 + 6;
        let power = BigUint::from(10_u8).pow(exponent.unsigned_abs());
        let (numerator, denominator) = if exponent >= 0 { (digits * power, 1_u8.into()) } else { (digits, power) };
        if (negative && numerator > BigUint::ZERO) || numerator > &denominator * 9_000_000_000_000_000_000_u64 {
            return None;
        }
        let (quotient, twice) = (&numerator / &denominator, &numerator % &denominator * 2_u8);
        let up = twice > denominator || (twice == denominator && quotient.bit(0));
        Some(Micros(i64::try_from(quotient + u8::from(up)).unwrap()))
    }

    proptest! {
        #[test]
        fn money_is_read_as_by_schoolbook(
            number in "(0|[1-9][0-9]{0,16})(\\.[0-9]{1,20}|\\.[0-9]{6}50{0,20})?",
            exponent in prop::option::of(-30_i32..=20),
            negative in prop::bool::weighted(0.1),
        ) {
            let exponent = exponent.map_or(String::new(), |exponent| format!("e{exponent}"));
            let text = format!("{}{number}{exponent}", if negative { "-" } else { "" });
            prop_assert_eq!(Micros::parse(&text), model(&text), "{}", text);
        }

        #[test]
        fn money_is_read_back_as_it_is_written(micros in 0..=Micros::MAX.0) {
            prop_assert_eq!(Micros::parse(&Micros(micros).to_string()), Some(Micros(micros)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            if Micros::parse(&text).is_some() {
                prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok());
            }
        }

        #[test]
        fn divisions_are_rounded_half_to_even(numerator in -1_000_i128..1_000, denominator in 1_i128..50) {
            let rounded = divide_half_even(numerator, denominator);
            let off = 2 * (numerator - rounded * denominator).abs();
            prop_assert!(off < denominator || (off == denominator && rounded % 2 == 0));
        }
    }
}
