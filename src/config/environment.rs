//! `PAYBACK_SECTION__KEY` from the environment, laid over the file.
//!
//! - Two underscores stand between section and key; letters become small: `PAYBACK_KAFKA__BROKERS`. A key outside of the
//!   sections stands alone: `PAYBACK_WINDOWS`.
//! - The names of Kafka properties have dots, which are written as single underscores:
//!   `PAYBACK_KAFKA__PROPERTIES__SASL_PASSWORD` is `kafka.properties."sasl.password"`. No property that may be
//!   set has an underscore in its name.
//! - Lists are written with commas. An empty text is an empty list, and an error elsewhere.
//! - A variable of another form is nobody's key, and ignored: Kubernetes sets `PAYBACK_KAFKA_PORT` in every container
//!   beside a service called `payback-kafka`.

use std::collections::HashMap;
use std::env;
use std::sync::LazyLock;

use toml::{Table, Value};

use super::{Config, ConfigError};

const PREFIX: &str = "PAYBACK_";

/// What the configuration has at its top: sections as tables, and the keys outside of them.
static TOP: LazyLock<Table> = LazyLock::new(|| Table::try_from(Config::default()).unwrap_or_default());

/// What the environment said.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Which variable set which key, for the errors to name.
    pub variables: HashMap<String, String>,
    /// Variables with the prefix that are nobody's keys, in the order of their names.
    pub ignored: Vec<String>,
}

/// The process's own `PAYBACK_` variables.
///
/// # Errors
/// A value of a key that is not UTF-8, by the name of its variable.
pub fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let ours = env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    ours.map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) if path_of(&name).is_none() => Ok((name, String::new())),
            Err(_) => Err(ConfigError::Variable { variable: name, problem: "is not valid UTF-8".to_owned() }),
        }
    })
    .collect()
}

/// Sets in `table` what the variables say.
///
/// # Errors
/// A variable that asks for a section where a key stands.
pub fn overlay(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Overlay, ConfigError> {
    let mut overlay = Overlay::default();
    for (variable, text) in environment {
        match path_of(&variable) {
            Some(path) => {
                set(table, &path, text)
                    .map_err(|problem| ConfigError::Variable { variable: variable.clone(), problem })?;
                overlay.variables.insert(path.join("."), variable);
            }
            None if variable.starts_with(PREFIX) => overlay.ignored.push(variable),
            None => {}
        }
    }
    overlay.ignored.sort_unstable();
    Ok(overlay)
}

/// The key that a variable sets, section by section; none if it is nobody's. Whether a section has such a key is not
/// looked at: one that it lacks is an error.
fn path_of(variable: &str) -> Option<Vec<String>> {
    let name = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let path = match name.strip_prefix("kafka__properties__") {
        Some(property) => vec!["kafka".to_owned(), "properties".to_owned(), property.replace('_', ".")],
        None => name.split("__").map(str::to_owned).collect(),
    };
    let is_section = TOP.get(path.first()?)?.is_table();
    (is_section == (path.len() > 1)).then_some(path)
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
