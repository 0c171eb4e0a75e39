//! How single values are read. The environment has texts only, so a number, a switch and a list may also be written as
//! text: `"12"`, `"true"`, `"a, b"`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::format::{Format, READS};
use crate::money::{Micros, SCALE};

/// A number with at most six decimals, exact. A binary float is taken as its shortest decimal text, so 0.95 is 0.95.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(pub Micros);

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 6 {
            return None;
        }
        let whole = whole.parse::<i64>().ok()?.checked_mul(SCALE)?;
        let micros = whole.checked_add(format!("{fraction:0<6}").parse().ok()?)?;
        Some(Decimal(Micros(if negative { -micros } else { micros })))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As a float where that is exact, else as text.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        match text.parse::<f64>() {
            Ok(float) if float.to_string() == text => serializer.serialize_f64(float),
            _ => serializer.serialize_str(&text),
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DecimalVisitor;
        impl Visitor<'_> for DecimalVisitor {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number with at most 6 decimals")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
                Decimal::parse(&number.to_string()).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
                Decimal::parse(&number.to_string()).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
                Decimal::parse(text.trim()).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(DecimalVisitor)
    }
}

/// Reads an integer, or its text.
pub fn integer<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    struct IntegerVisitor<T>(PhantomData<T>);
    impl<T: TryFrom<i64>> Visitor<'_> for IntegerVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer in range")
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            let number = text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
            self.visit_i64(number)
        }
    }
    deserializer.deserialize_any(IntegerVisitor(PhantomData))
}

/// Reads an integer that may be unset.
pub fn optional_integer<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    integer(deserializer).map(Some)
}

/// Reads the number of a format, or its text.
pub fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    let number: i64 = integer(deserializer)?;
    u8::try_from(number).ok().and_then(Format::new).ok_or_else(|| {
        let (oldest, newest) = (READS.start(), READS.end());
        D::Error::custom(format!("expected a format that this program knows, {oldest} to {newest}, found {number}"))
    })
}

/// Reads true or false, or its text.
pub fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct SwitchVisitor;
    impl Visitor<'_> for SwitchVisitor {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true or false")
        }
        fn visit_bool<E: Error>(self, on: bool) -> Result<bool, E> {
            Ok(on)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
            text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(SwitchVisitor)
}

/// Reads a list of texts, or one text with commas between them; the empty text is the empty list.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct ListVisitor;
    impl<'de> Visitor<'de> for ListVisitor {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = seq.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            if text.trim().is_empty() {
                return Ok(Vec::new());
            }
            Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
        }
    }
    deserializer.deserialize_any(ListVisitor)
}

/// TOML has moments and dates of its own; they are read by their text.
pub fn dates_to_text(value: &mut toml::Value) {
    match value {
        toml::Value::Datetime(moment) => *value = toml::Value::String(moment.to_string()),
        toml::Value::Array(values) => values.iter_mut().for_each(dates_to_text),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| dates_to_text(value)),
        _ => {}
    }
}
