//! What can end the demo.

use std::io;

use rdkafka::error::KafkaError;

use crate::generate::GenerateError;
use crate::run::RunError;

/// Why the demo ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum DemoError {
    #[error("no mock cluster: {0}")]
    Cluster(KafkaError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Feed(#[from] GenerateError),
    #[error("can't save the events")]
    Save(#[source] io::Error),
    #[error("can't write to standard output")]
    Show(#[source] io::Error),
    #[error("a part of the demo ended unexpectedly")]
    Panicked,
}
