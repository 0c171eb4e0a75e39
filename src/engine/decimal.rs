//! Exact decimals in JSON: [`Money`] as a string (`"1999.9"`), [`Count`] as a number (`120`, `0.333333`).
//!
//! Both hold millionths and are written and read without a binary float in between.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::money::{SCALE, Sum};

/// An amount of money as records hold it: a decimal string without trailing zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub Sum);

/// A number of something that may be shared, in millionths: a JSON number, with a fraction only where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub i128);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Digits::new(self.0).as_str())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal string with up to six places")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
                parse(text).map(Money).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scale = i128::from(SCALE);
        if self.0 % scale == 0 {
            return serializer.serialize_i128(self.0 / scale);
        }
        let digits = Digits::new(Sum(self.0));
        RawValue::from_string(digits.as_str().to_owned()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        parse(number.get())
            .map(|sum| Count(sum.0))
            .ok_or_else(|| de::Error::custom("expected a number with up to six places"))
    }
}

/// Reads what [`Digits`] writes.
fn parse(text: &str) -> Option<Sum> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let ends_in_point = digits.ends_with('.');
    if whole.is_empty() || ends_in_point || fraction.len() > 6 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
    let magnitude = whole.checked_mul(i128::from(SCALE))?.checked_add(fraction)?;
    Some(Sum(if negative { -magnitude } else { magnitude }))
}

/// The text of a sum, built from its end without an allocation: figures are written hundreds of thousands of times a
/// second.
struct Digits {
    buffer: [u8; Digits::LONGEST],
    start: usize,
}

impl Digits {
    /// A sign, the 39 digits of 2^127 and the point.
    const LONGEST: usize = 41;

    fn new(sum: Sum) -> Digits {
        let mut digits = Digits { buffer: [0; Self::LONGEST], start: Self::LONGEST };
        let magnitude = sum.0.unsigned_abs();
        let scale = SCALE.unsigned_abs();
        // Divisions of 128 bits are slow, and hardly any sum needs them.
        match u64::try_from(magnitude) {
            Ok(magnitude) => {
                digits.put_fraction(magnitude % scale);
                digits.put_whole(magnitude / scale);
            }
            Err(_) => {
                digits.put_fraction((magnitude % u128::from(scale)) as u64);
                let mut whole = magnitude / u128::from(scale);
                while whole > u128::from(u64::MAX) {
                    digits.put((whole % 10) as u8);
                    whole /= 10;
                }
                digits.put_whole(whole as u64);
            }
        }
        if sum.0 < 0 {
            digits.put_byte(b'-');
        }
        digits
    }

    fn put_fraction(&mut self, mut fraction: u64) {
        if fraction == 0 {
            return;
        }
        let mut places = 6;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            places -= 1;
        }
        for _ in 0..places {
            self.put((fraction % 10) as u8);
            fraction /= 10;
        }
        self.put_byte(b'.');
    }

    fn put_whole(&mut self, mut whole: u64) {
        loop {
            self.put((whole % 10) as u8);
            whole /= 10;
            if whole == 0 {
                return;
            }
        }
    }

    fn put(&mut self, digit: u8) {
        self.put_byte(b'0' + digit);
    }

    fn put_byte(&mut self, byte: u8) {
        self.start -= 1;
        self.buffer[self.start] = byte;
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.buffer[self.start..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_is_a_string_and_a_count_is_a_number() {
        let table = [
            (1_999_900_000_i64, "1999.9"),
            (0, "0"),
            (-3_500_000, "-3.5"),
            (333_333, "0.333333"),
            (120_000_000, "120"),
            (1, "0.000001"),
            (-1, "-0.000001"),
            (i64::MIN, "-9223372036854.775808"),
        ];
        for (millionths, text) in table {
            assert_eq!(serde_json::to_string(&Money(Sum(millionths.into()))).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::to_string(&Count(millionths.into())).unwrap(), text);
            assert_eq!(serde_json::from_str::<Count>(text).unwrap(), Count(millionths.into()));
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "1.",
            "+1",
            "1e3",
            "1.0000001",
            " 1",
            "--1",
            "1.-5",
            "99999999999999999999999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(serde_json::from_str::<Money>("12").is_err());
    }

    proptest! {
        #[test]
        fn every_sum_is_written_as_displayed_and_read_back(value in any::<i128>(), shift in 0_u32..127) {
            let sum = Sum(value >> shift);
            let text = serde_json::to_string(&Money(sum)).unwrap();
            prop_assert_eq!(&text, &format!("\"{}\"", sum));
            prop_assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), Money(sum));
        }
    }
}
