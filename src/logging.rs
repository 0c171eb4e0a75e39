//! Log lines: to standard error, as text for people or as JSON for machines.

use std::env;
use std::io::{self, IsTerminal};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Begins to log as `[log]` says; `RUST_LOG` goes before its level. A second call changes nothing.
///
/// # Errors
/// Directives in `RUST_LOG` that can't be read.
pub fn init(config: &LogConfig) -> Result<(), ConfigError> {
    let filter = filter(config, env::var("RUST_LOG").ok())?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if config.format == LogFormat::Json {
        JSON.store(true, Ordering::Relaxed);
        panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    // It fails only where logging has begun already.
    let _ = match config.format {
        LogFormat::Text => lines.with_ansi(colours).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Whether log lines are JSON, and so must be whatever else is said on standard error.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

static JSON: AtomicBool = AtomicBool::new(false);

fn filter(config: &LogConfig, rust_log: Option<String>) -> Result<EnvFilter, ConfigError> {
    let (name, text) = match rust_log.filter(|directives| !directives.trim().is_empty()) {
        Some(directives) => ("RUST_LOG", directives),
        None => ("log.level", config.level.clone()),
    };
    directives(&text).map_err(|problem| ConfigError::Variable { variable: name.to_owned(), problem })
}

/// What is logged, by `log.level` or `RUST_LOG`: a level, or directives.
///
/// # Errors
/// What was expected. A bare word that is no level is none of it: it would be taken for the name of a module, and all else
/// would not be logged.
pub fn directives(text: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_bare = |directive: &str| !directive.contains(['=', '[', ':']);
    let mut words = text.split(',').map(str::trim).filter(|directive| is_bare(directive));
    if let Some(word) = words.find(|word| word.is_empty() || !is_level(word)) {
        return Err(format!(
            "expected a level (off, error, warn, info, debug, trace) or directives such as \"payback=debug,info\", found \
             {word:?}"
        ));
    }
    EnvFilter::try_new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_goes_before_the_configured_level() {
        let config = LogConfig { level: "warn".to_owned(), ..LogConfig::default() };
        let shown =
            |rust_log: Option<&str>| filter(&config, rust_log.map(str::to_owned)).map(|filter| filter.to_string());
        assert_eq!(shown(None).unwrap(), "warn");
        assert_eq!(shown(Some("")).unwrap(), "warn");
        assert_eq!(shown(Some("payback=debug")).unwrap(), "payback=debug");
        let error = shown(Some("payback=loud")).unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG: "), "{error}");
        let error = shown(Some("warning")).unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG: expected a level (off, error, warn, info, debug, trace)"), "{error}");
    }
}
