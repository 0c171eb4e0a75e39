//! Odd values: on the edges of what a field takes, and beyond.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;

/// JSON texts of values. Moments are in the past, so that no clock refuses them.
const VALUES: [&str; 82] = [
    "null",
    "true",
    "[]",
    "{}",
    "[1]",
    "[{}]",
    "[null]",
    "[[]]",
    r#""""#,
    r#"" ""#,
    r#""x""#,
    r#""null""#,
    r#""\ud83d""#,
    r#""\u0000""#,
    r#""\u00e9\n""#,
    "0",
    "-0",
    "-1",
    "1",
    "7.0",
    "1.5",
    "-1.5",
    "1e3",
    "1E+2",
    "1e-3",
    "1e-7",
    "5e-7",
    "15e-7",
    "-1e-7",
    "0e999999999999",
    "1e400",
    "1e-400",
    "123456789012345678901234567890",
    "9223372036854775807",
    "9223372036854775808",
    "9000000000000",
    "9000000000000.0000004",
    "9000000000000.0000005",
    "9000000000000.000001",
    "9e12",
    "1000000000",
    "1000000001",
    "0.1234564999999999999999999999999",
    "0.1234565000000000000000000000001",
    "0.1234565",
    "0.1234575",
    r#""0""#,
    r#""-0""#,
    r#""-1""#,
    r#""+1""#,
    r#""1e3""#,
    r#""1e+3""#,
    r#""01""#,
    r#"".5""#,
    r#""5.""#,
    r#""1 ""#,
    r#""1_000""#,
    r#""0x10""#,
    r#""NaN""#,
    r#""1e""#,
    r#""2026-01-31""#,
    r#""2026-02-30""#,
    r#""2026-2-3""#,
    r#""2026-01-31T10:00:00Z""#,
    r#""2026-01-31T10:00:00.9999999999999Z""#,
    r#""2026-01-31T10:00:00,5Z""#,
    r#""2026-01-31T10:00Z""#,
    r#""2026-01-31T10:00:00""#,
    r#""2026-01-31T10:00:00+0900""#,
    r#""2026-01-31T10:00:00+24:00""#,
    r#""2026-01-31T10:00:00+05:60""#,
    r#""2026-01-31T10:00:00++5:00""#,
    r#""2026-01-31T10:00:60Z""#,
    r#""2026-01-31t10:00:00z""#,
    r#""2026-01-31T10:00:00-00:00""#,
    r#""2026-01-31T24:00:00Z""#,
    r#""0000-01-01T00:00:00Z""#,
    r#""+002026-01-31T10:00:00Z""#,
    "-62167219200001",
    r#""USD""#,
    r#""EUR""#,
    r#""usd""#,
];

/// The event with one of its values, at any depth, replaced by an odd one, or by a text that is nearly too long or is.
pub fn with_an_odd_value(event: &str, rng: &mut StdRng) -> String {
    const MARK: &str = "to be replaced";
    let mut event: Value = serde_json::from_str(event).expect("an event is JSON");
    let mut pointers = Vec::new();
    gather(&event, String::new(), &mut pointers);
    pointers.retain(|pointer| pointer != "/type" && !pointer.starts_with("/unknown"));
    let pointer = pointers.choose(rng).expect("it has fields");
    *event.pointer_mut(pointer).expect("it is there") = Value::from(MARK);
    let value = match rng.random_range(0..20) {
        0 => Value::from("é".repeat(128)).to_string(),
        1 => Value::from("é".repeat(128) + "x").to_string(),
        _ => (*VALUES.choose(rng).unwrap()).to_owned(),
    };
    event.to_string().replace(&Value::from(MARK).to_string(), &value)
}

fn gather(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| gather(value, format!("{pointer}/{name}"), pointers));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(i, value)| gather(value, format!("{pointer}/{i}"), pointers));
        }
        _ => {}
    }
    if !pointer.is_empty() {
        pointers.push(pointer);
    }
}
