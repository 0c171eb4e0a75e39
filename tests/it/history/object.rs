//! JSON objects built from the texts of their values, so that numbers keep their form.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

#[derive(Default)]
pub struct Object(Vec<(&'static str, String)>);

impl Object {
    pub fn of(kind: &str) -> Object {
        Object(vec![("type", quoted(kind))])
    }

    /// Puts a field, unless it is there already.
    pub fn put(&mut self, name: &'static str, value: String) {
        if self.0.iter().all(|(other, _)| *other != name) {
            self.0.push((name, value));
        }
    }

    pub fn maybe(
        &mut self,
        probability: f64,
        name: &'static str,
        value: impl FnOnce(&mut StdRng) -> String,
        rng: &mut StdRng,
    ) {
        if rng.random_bool(probability) {
            let value = value(rng);
            self.put(name, value);
        }
    }

    /// The object's text, its fields in any order.
    pub fn written(mut self, rng: &mut StdRng) -> String {
        self.0.shuffle(rng);
        let fields: Vec<String> = self.0.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }
}

pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub fn array(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}
