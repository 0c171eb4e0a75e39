//! What the answers are made of.

use std::sync::Arc;

use crate::config::{Config, Secret};
use crate::metrics::Metrics;
use crate::status::Status;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Api {
    pub status: Arc<Status>,
    pub metrics: Arc<Metrics>,
    /// Names of the configured windows.
    pub windows: Arc<[String]>,
    /// `verdict.window`: the one that is shown when none is asked for.
    pub window: Arc<str>,
    /// What requests must show; none: nobody is asked.
    pub token: Option<Arc<Secret>>,
}

impl Api {
    /// Of an instance with this configuration.
    pub fn new(config: &Config, status: Arc<Status>, metrics: Arc<Metrics>) -> Api {
        Api {
            status,
            metrics,
            windows: config.windows.clone().into(),
            window: config.verdict.window.as_str().into(),
            token: config.http.token().cloned().map(Arc::new),
        }
    }
}
