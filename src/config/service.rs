//! How the process runs: `[workers]`, `[commit]`, `[checkpoints]`, `[format]`, `[metrics]`, `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Problem, ensure, values};
use crate::format::Format;
use crate::logging;

/// `[workers]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkersConfig {
    /// Threads of the customers stage in this instance.
    pub customers: u32,
    /// Threads of the campaigns stage in this instance.
    pub campaigns: u32,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        WorkersConfig { customers: 1, campaigns: 1 }
    }
}

impl WorkersConfig {
    pub(super) fn check(&self) -> Result<(), Problem> {
        for (key, workers) in [("workers.customers", self.customers), ("workers.campaigns", self.campaigns)] {
            ensure((1..=64).contains(&workers), key, || format!("expected 1 to 64, found {workers}"))?;
        }
        Ok(())
    }
}

/// `[commit]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommitConfig {
    /// Milliseconds between two transactions of a worker.
    pub interval_ms: u64,
}

impl Default for CommitConfig {
    fn default() -> Self {
        CommitConfig { interval_ms: 100 }
    }
}

impl CommitConfig {
    /// From one commit to the next.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// Well within `transaction.timeout.ms`, 10 s.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let interval = self.interval_ms;
        ensure((10..=5_000).contains(&interval), "commit.interval_ms", || {
            format!("expected 10 to 5000, found {interval}")
        })
    }
}

/// `[checkpoints]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointsConfig {
    /// Where an instance that is stopped leaves its state for its next start. Unset: nowhere.
    pub folder: Option<PathBuf>,
}

/// `[format]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatConfig {
    /// What is stored and sent is written in this format. It is raised once all instances are of a program that knows it.
    #[serde(deserialize_with = "values::format")]
    pub write: Format,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Campaigns whose figures `/metrics` shows; of more, those of the greatest spend.
    pub max_campaigns: u32,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        MetricsConfig { max_campaigns: 1_000 }
    }
}

impl MetricsConfig {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let most = self.max_campaigns;
        ensure(most <= 100_000, "metrics.max_campaigns", || format!("expected 0 to 100000, found {most}"))
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: a level, or directives as `RUST_LOG` has them, which goes before this.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: a JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn check(&self) -> Result<(), Problem> {
        logging::directives(&self.level).map(drop).map_err(|problem| Problem::new("log.level", problem))
    }
}
