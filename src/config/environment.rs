//! `PAYBACK_SECTION__KEY` from the environment, laid over the file.
//!
//! - Two underscores stand between section and key; letters become small: `PAYBACK_KAFKA__BROKERS`, `PAYBACK_WINDOWS`.
//! - The names of Kafka properties have dots, which are written as single underscores:
//!   `PAYBACK_KAFKA__PROPERTIES__SASL_PASSWORD` is `kafka.properties."sasl.password"`. No property that may be
//!   set has an underscore in its name.
//! - Lists are written with commas. An empty text is an empty list, and an error elsewhere.

use std::collections::HashMap;
use std::env;

use toml::{Table, Value};

use super::ConfigError;

const PREFIX: &str = "PAYBACK_";

/// Variables with the prefix that are nobody's keys: those that Kubernetes sets in every container for a service
/// called `payback`, and what the tests go by.
const OTHERS: [&str; 3] = ["PAYBACK_SERVICE_", "PAYBACK_PORT", "PAYBACK_TEST_"];

/// The process's own `PAYBACK_` variables.
///
/// # Errors
/// A value that is not UTF-8, by the name of its variable.
pub fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let ours = env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    ours.map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigError::Variable { variable: name, problem: "is not valid UTF-8".to_owned() }),
        }
    })
    .collect()
}

/// Sets in `table` what the variables say. Returns which variable set which key, for the errors to name.
///
/// # Errors
/// A variable whose name can be no key.
pub fn overlay(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<HashMap<String, String>, ConfigError> {
    let mut variables = HashMap::new();
    for (variable, text) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        if OTHERS.iter().any(|other| variable.starts_with(other)) {
            continue;
        }
        let path = path_of(name);
        set(table, &path, text).map_err(|problem| ConfigError::Variable { variable: variable.clone(), problem })?;
        variables.insert(path.join("."), variable);
    }
    Ok(variables)
}

fn path_of(name: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("kafka__properties__") {
        Some(property) => vec!["kafka".to_owned(), "properties".to_owned(), property.replace('_', ".")],
        None => name.split("__").map(str::to_owned).collect(),
    }
}

fn set(table: &mut Table, path: &[String], text: String) -> Result<(), String> {
    match path {
        [] => Ok(()),
        [key] => {
            table.insert(key.clone(), Value::String(text));
            Ok(())
        }
        [section, rest @ ..] => match table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => set(inner, rest, text),
            _ => Err(format!("`{section}` is not a section")),
        },
    }
}
