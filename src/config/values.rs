//! How single values are read, by the type of their key. The environment has texts only, so a number, a switch and a list
//! may also be written as text: `"12"`, `"true"`, `"a, b"`.

use std::fmt;

use serde::de::value::{Error as ReadError, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer, forward_to_deserialize_any};
use toml::Value;

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

/// Reads the number of a format.
pub fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u8::try_from(number).ok().and_then(Format::new).ok_or_else(|| {
        let (oldest, newest) = (READS.start(), READS.end());
        D::Error::custom(format!("expected a format that this program knows, {oldest} to {newest}, found {number}"))
    })
}

/// A value of the file or of the environment, which the type that reads it makes a number, a switch or a list of.
///
/// What stands where a section should is not quoted in the error: it may hold a secret.
pub struct Found(pub Value);

impl Found {
    fn integer(self) -> Result<i64, ReadError> {
        match self.0 {
            Value::Integer(number) => Ok(number),
            Value::String(text) => {
                text.trim().parse().map_err(|_| ReadError::invalid_value(Unexpected::Str(&text), &INTEGER))
            }
            other => Err(ReadError::invalid_type(unexpected(&other), &INTEGER)),
        }
    }
}

const INTEGER: &str = "an integer in range";
const SWITCH: &str = "true or false";
const LIST: &str = "a list of texts";

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::String(text) => Unexpected::Str(text),
        Value::Integer(number) => Unexpected::Signed(*number),
        Value::Float(number) => Unexpected::Float(*number),
        Value::Boolean(on) => Unexpected::Bool(*on),
        Value::Datetime(_) => Unexpected::Other("moment"),
        Value::Array(_) => Unexpected::Seq,
        Value::Table(_) => Unexpected::Map,
    }
}

impl IntoDeserializer<'_> for Found {
    type Deserializer = Found;

    fn into_deserializer(self) -> Found {
        self
    }
}

macro_rules! integers {
    ($($deserialize:ident $integer:ty, $visit:ident;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let number = self.integer()?;
            match <$integer>::try_from(number) {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(ReadError::invalid_value(Unexpected::Signed(number), &INTEGER)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Found {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(on) => visitor.visit_bool(on),
            // TOML has moments and dates of its own; they are read by their text.
            Value::Datetime(moment) => visitor.visit_string(moment.to_string()),
            Value::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Found))),
            Value::Table(table) => {
                visitor.visit_map(MapDeserializer::new(table.into_iter().map(|(key, value)| (key, Found(value)))))
            }
        }
    }

    integers! {
        deserialize_i16 i16, visit_i16;
        deserialize_i32 i32, visit_i32;
        deserialize_i64 i64, visit_i64;
        deserialize_u32 u32, visit_u32;
        deserialize_u64 u64, visit_u64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Value::Boolean(on) => visitor.visit_bool(on),
            Value::String(text) => match text.trim().parse() {
                Ok(on) => visitor.visit_bool(on),
                Err(_) => Err(ReadError::invalid_value(Unexpected::Str(&text), &SWITCH)),
            },
            other => Err(ReadError::invalid_type(unexpected(&other), &SWITCH)),
        }
    }

    /// One text may have commas; the empty text is the empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Value::Array(_) => self.deserialize_any(visitor),
            Value::String(text) if text.trim().is_empty() => {
                visitor.visit_seq(SeqDeserializer::new([(); 0].into_iter()))
            }
            Value::String(text) => {
                let parts = text.split(',').map(|part| part.trim().to_owned());
                visitor.visit_seq(SeqDeserializer::new(parts))
            }
            other => Err(ReadError::invalid_type(unexpected(&other), &LIST)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &str, names: &[&str], visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(ReadError::invalid_type(unexpected(&other), &names.join(", ").as_str())),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            Value::Table(_) => self.deserialize_any(visitor),
            _ => Err(ReadError::custom("invalid type: expected a section of keys with values")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &str, _: &[&str], visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        i8 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}
