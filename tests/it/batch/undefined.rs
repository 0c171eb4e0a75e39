//! Figures that may be null, and the reasons why they are.

use serde_json::{Map, Value};

#[derive(Default)]
pub struct Undefined(Map<String, Value>);

impl Undefined {
    /// The figure's value; where it has none null, and the reason is noted under its name.
    pub fn figure(&mut self, name: &str, value: Result<Value, &str>) -> Value {
        value.unwrap_or_else(|reason| {
            self.0.insert(name.to_owned(), Value::from(reason));
            Value::Null
        })
    }

    /// Puts the reasons into the record that the figures are of; nothing when all have values.
    pub fn put_into(self, mut record: Value) -> Value {
        if !self.0.is_empty() {
            record["undefined"] = Value::from(self.0);
        }
        record
    }
}
