//! A campaign's record with one of its windows, or with a field of the answer; every other byte of it as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The record with the asked window alone.
///
/// # Errors
/// A record that is no JSON object of such a shape.
pub fn with_window(json: &[u8], window: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let mut record: Object<'_> = serde_json::from_slice(json)?;
    for (_, value) in record.0.iter_mut().filter(|(name, _)| name == "windows") {
        let mut windows: Object<'_> = serde_json::from_str(value.get())?;
        windows.0.retain(|(name, _)| name == window);
        *value = Cow::Owned(to_raw_value(&windows)?);
    }
    to_raw_value(&record)
}

/// The record with `complete` after its own fields.
///
/// # Errors
/// A record that is no JSON object.
pub fn with_complete(json: &[u8], complete: bool) -> Result<Box<RawValue>, serde_json::Error> {
    let mut record: Object<'_> = serde_json::from_slice(json)?;
    record.0.push(("complete".to_owned(), Cow::Owned(to_raw_value(&complete)?)));
    to_raw_value(&record)
}

/// A JSON object whose fields keep their order and their text.
struct Object<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((name, Cow::Borrowed(value)));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_windows_are_left_out_and_nothing_else_changes() {
        let record = br#"{"id":"a\/b","as_of":"x","windows":{"7d":{"roas":1.0},"lifetime":{"roas":2.50}},"zebra":1}"#;
        let shown = with_window(record, "lifetime").unwrap();
        assert_eq!(shown.get(), r#"{"id":"a\/b","as_of":"x","windows":{"lifetime":{"roas":2.50}},"zebra":1}"#);
        assert!(with_window(b"[]", "lifetime").is_err());
    }
}
