//! The configuration: TOML, with `PAYBACK_SECTION__KEY` from the environment laid over it, checked as a whole.
//!
//! `config/payback.toml` shows every key, with its default where it has one. An unknown key or a bad value is a [`ConfigError`]
//! that names the key, and the variable where it came from one. What [`load`](Config::load) returns is fit to run with.

mod environment;
mod figures;
mod http;
mod kafka;
mod limits;
mod outputs;
mod secret;
mod service;
mod topics;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::environment::Overlay;
pub use self::figures::{Attribution, Costs, History, Ltv, Reporting, Verdict};
pub use self::http::HttpConfig;
pub use self::kafka::{KafkaConfig, Properties, check_broker};
pub use self::limits::LimitsConfig;
pub use self::outputs::{Kept, Output};
pub use self::secret::Secret;
pub use self::service::{
    CheckpointsConfig, CommitConfig, FormatConfig, LogConfig, LogFormat, MetricsConfig, WorkersConfig,
};
pub use self::topics::TopicsConfig;
pub use self::values::Decimal;
use self::values::Found;
use crate::settings::{Retention, Settings};

/// All of it. The fields are the sections of the file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of the windows: `24h`, `7d`, `lifetime`.
    pub windows: Vec<String>,
    /// Where Kafka is, and as whom this program comes to it.
    pub kafka: KafkaConfig,
    /// The topics that are read and written.
    pub topics: TopicsConfig,
    /// What figures are in, and when days begin.
    pub reporting: Reporting,
    /// How an LTV by formula is estimated.
    pub ltv: Ltv,
    /// What stands in for costs that are not stated.
    pub costs: Costs,
    /// Which customers were known before.
    pub history: History,
    /// Who is credited with a customer.
    pub attribution: Attribution,
    /// What a campaign is judged by.
    pub verdict: Verdict,
    /// How long history is kept singly.
    pub retention: Retention,
    /// Threads of each stage.
    pub workers: WorkersConfig,
    /// How often transactions are committed.
    pub commit: CommitConfig,
    /// Where an instance leaves its state when it is stopped.
    pub checkpoints: CheckpointsConfig,
    /// The most that it may take.
    pub limits: LimitsConfig,
    /// What is written while instances of two versions share the work.
    pub format: FormatConfig,
    /// Where the API listens, and who may ask.
    pub http: HttpConfig,
    /// What campaigns have metrics.
    pub metrics: MetricsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What the figures depend on, of the sections above, checked and typed. `campaign_partitions` is not configured:
    /// it is known when the internal topic is.
    #[serde(skip)]
    pub settings: Settings,
    /// Variables of the environment that begin as keys do and are none, in the order of their names.
    #[serde(skip)]
    pub ignored_variables: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        Config {
            windows: settings.windows.iter().map(|window| window.name.clone()).collect(),
            kafka: KafkaConfig::default(),
            topics: TopicsConfig::default(),
            reporting: Reporting::default(),
            ltv: Ltv::default(),
            costs: Costs::default(),
            history: History::default(),
            attribution: Attribution::default(),
            verdict: Verdict::default(),
            retention: Retention::default(),
            workers: WorkersConfig::default(),
            commit: CommitConfig::default(),
            checkpoints: CheckpointsConfig::default(),
            limits: LimitsConfig::default(),
            format: FormatConfig::default(),
            http: HttpConfig::default(),
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
            settings,
            ignored_variables: Vec::new(),
        }
    }
}

impl Config {
    /// Reads `file` (the defaults when there is none) and the process's environment.
    ///
    /// # Errors
    /// The first thing that is wrong, by its key.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let text = match file {
            Some(path) => {
                fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?
            }
            None => String::new(),
        };
        let mut config = Config::read(&text, environment::variables()?)?;
        config.http.read_token_file()?;
        Ok(config)
    }

    /// Reads TOML and lays environment variables over it; those that are no keys are ignored. Files that it names are not
    /// read.
    ///
    /// # Errors
    /// The first thing that is wrong, by its key.
    pub fn read(toml: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
        let mut table: toml::Table = toml.parse().map_err(|error| syntax_error(toml, &error))?;
        kafka::flatten_properties(&mut table)?;
        let Overlay { variables, ignored } = environment::overlay(&mut table, environment)?;
        let read: Result<Config, _> = serde_path_to_error::deserialize(Found(toml::Value::Table(table)));
        let checked = read.map_err(|error| Problem::from(error).at_key()).and_then(Config::checked);
        match checked {
            Ok(config) => Ok(Config { ignored_variables: ignored, ..config }),
            Err(Problem { key, problem }) => {
                let variable = variables.get(&key).cloned();
                Err(ConfigError::Key { key, problem, variable })
            }
        }
    }

    /// For whatever comes to Kafka in the name of a deployment. There is no default: two deployments that had never chosen
    /// would take each other's partitions.
    ///
    /// # Errors
    /// `kafka.application_id` is not set.
    pub fn require_application_id(&self) -> Result<(), ConfigError> {
        ensure(!self.kafka.application_id.is_empty(), "kafka.application_id", || NO_APPLICATION_ID.to_owned())?;
        Ok(())
    }

    /// What to say of variables that were ignored, if any were.
    pub fn warning(&self) -> Option<String> {
        let names = self.ignored_variables.join(", ");
        (!names.is_empty()).then(|| {
            format!(
                "ignored, for a key of the configuration is PAYBACK_SECTION__KEY of a section that there is: {names} \
                 (Kubernetes sets such variables for services whose names begin with payback)"
            )
        })
    }

    /// The whole configuration as TOML, defaults included, with the values of secret properties hidden. Keys that are
    /// unset and have no default are left out.
    pub fn effective(&self) -> String {
        let mut shown = self.clone();
        shown.kafka.properties.hide_secrets();
        toml::to_string_pretty(&shown).unwrap_or_else(|error| format!("# can't be shown: {error}\n"))
    }

    fn checked(mut self) -> Result<Config, Problem> {
        self.kafka.check()?;
        self.topics.check(&self.kafka)?;
        self.workers.check()?;
        self.commit.check()?;
        self.limits.check()?;
        self.http.check()?;
        self.metrics.check()?;
        self.log.check()?;
        self.settings = figures::settings(&self)?;
        Ok(self)
    }
}

const NO_APPLICATION_ID: &str = "is not set: choose a name for this deployment, such as \"shop-production\". All its instances \
     have the same, and nobody else on this Kafka: topics, consumer groups and transactions are named after it";

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum ConfigError {
    #[error("can't read {}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    /// The line itself is not shown: it may hold a secret.
    #[error("line {line} of the configuration is not TOML: {message}")]
    Syntax { line: usize, message: String },
    #[error("{key}{}: {problem}", variable.as_ref().map(|name| format!(" (set by {name})")).unwrap_or_default())]
    Key {
        /// As it stands in the file: `section.key`.
        key: String,
        problem: String,
        /// The environment variable that set it.
        variable: Option<String>,
    },
    /// A variable or an option that can't be used.
    #[error("{variable}: {problem}")]
    Variable { variable: String, problem: String },
}

/// What is wrong with the value of one key.
#[derive(Debug)]
struct Problem {
    key: String,
    problem: String,
}

impl Problem {
    fn new(key: impl Into<String>, problem: impl Into<String>) -> Problem {
        Problem { key: key.into(), problem: problem.into() }
    }

    /// Serde says "unknown field"; here they are called keys.
    fn at_key(mut self) -> Problem {
        if let Some(rest) = self.problem.strip_prefix("unknown field") {
            self.problem = format!("unknown key{rest}");
        }
        self
    }
}

impl From<serde_path_to_error::Error<serde::de::value::Error>> for Problem {
    fn from(error: serde_path_to_error::Error<serde::de::value::Error>) -> Problem {
        Problem::new(error.path().to_string(), error.inner().to_string())
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> ConfigError {
        ConfigError::Key { key: problem.key, problem: problem.problem, variable: None }
    }
}

/// `Ok` when `holds`, else the key's problem.
fn ensure(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(Problem::new(key, problem())) }
}

fn syntax_error(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    ConfigError::Syntax { line: before.matches('\n').count() + 1, message: error.message().to_owned() }
}

#[cfg(test)]
mod tests;
