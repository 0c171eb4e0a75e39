//! Compares records field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

/// Records by their keys.
pub type ByKey = BTreeMap<String, Value>;

/// Where two sets of records differ, a line each: path, left and right. `None` when they are the same.
pub fn difference(left: &ByKey, right: &ByKey) -> Option<String> {
    let mut lines = String::new();
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        compare(key, left.get(key), right.get(key), &mut lines);
    }
    if lines.is_empty() { None } else { Some(lines) }
}

fn compare(path: &str, left: Option<&Value>, right: Option<&Value>, lines: &mut String) {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                compare(&format!("{path}.{name}"), left.get(name), right.get(name), lines);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            let shown = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
            writeln!(lines, "{path}: {} | {}", shown(left), shown(right)).expect("a String takes all");
        }
    }
}

/// The records without what is as of their own moments alone.
pub fn without_the_clock(records: &ByKey) -> ByKey {
    let mut records = records.clone();
    for fields in records.values_mut().filter_map(Value::as_object_mut) {
        for field in ["as_of", "observed_days", "read_through"] {
            fields.remove(field);
        }
    }
    records
}

#[test]
fn a_difference_names_the_field_and_both_values() {
    let left = ByKey::from([("a".to_owned(), serde_json::json!({"x": {"y": 1, "z": 2}}))]);
    let right = ByKey::from([("a".to_owned(), serde_json::json!({"x": {"y": 1.0}}))]);
    assert_eq!(difference(&left, &left), None);
    assert_eq!(difference(&left, &right).unwrap(), "a.x.y: 1 | 1.0\na.x.z: 2 | absent\n");
}
