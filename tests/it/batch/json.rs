//! The fields of a JSON object with the text of each value, so that numbers can be read exactly.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a record is rejected: one of the contract's reason codes.
pub type Reason = &'static str;

/// The fields of an object, those that are `null` left out.
pub struct Fields(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachFieldOnce;
        impl<'de> Visitor<'de> for EachFieldOnce {
            type Value = BTreeMap<String, Box<RawValue>>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field stands twice"));
                    }
                }
                Ok(fields)
            }
        }
        let mut fields = deserializer.deserialize_map(EachFieldOnce)?;
        fields.retain(|_, value| value.get() != "null");
        Ok(Fields(fields))
    }
}

impl Fields {
    /// Reads a whole record.
    pub fn of_record(record: &[u8]) -> Result<Fields, Reason> {
        if record.is_empty() {
            return Err("empty");
        }
        if record.len() > 1024 * 1024 {
            return Err("too_large");
        }
        let value: &RawValue = serde_json::from_slice(record).map_err(|_| "invalid_json")?;
        if !value.get().starts_with('{') {
            return Err("not_an_object");
        }
        serde_json::from_str(value.get()).map_err(|_| "invalid_json")
    }

    /// The JSON text of a field's value.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// The elements of a field that must be an array of at most `limit` objects.
    pub fn objects(&self, name: &str, limit: usize) -> Result<Option<Vec<Fields>>, Reason> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let elements: Vec<Box<RawValue>> = serde_json::from_str(raw).map_err(|_| "invalid_field")?;
        if elements.len() > limit {
            return Err("invalid_field");
        }
        let object = |element: Box<RawValue>| {
            if !element.get().starts_with('{') {
                return Err("invalid_field");
            }
            serde_json::from_str(element.get()).map_err(|_| "invalid_json")
        };
        elements.into_iter().map(object).collect::<Result<_, _>>().map(Some)
    }

    /// A string's content; `Err` for other values.
    pub fn string(&self, name: &str) -> Option<Result<String, ()>> {
        self.raw(name).map(|raw| serde_json::from_str(raw).map_err(|_| ()))
    }
}
