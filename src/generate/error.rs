//! What can go wrong while events are sent.

use std::io;

use rdkafka::error::KafkaError;

use crate::kafka::NoContact;

/// Why not all events were sent.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum GenerateError {
    #[error("can't write")]
    Write(#[from] io::Error),
    #[error("topic {topic}: {error}")]
    Kafka { topic: String, error: KafkaError },
    #[error("{brokers}: {error}")]
    NoContact { brokers: String, error: NoContact },
    #[error("Kafka can't be reached at {brokers}: {error}")]
    Unreachable { brokers: String, error: KafkaError },
}
