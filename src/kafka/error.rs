//! Why a worker stops, and with it the process.

use rdkafka::error::KafkaError;

use super::meaning::{Contradiction, MeaningError};
use super::resume::Mismatch;
use super::transaction::Failure;
use crate::engine::FormatError;

/// What ends a worker for good. Each says what is wrong and, where there is something, what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum WorkerError {
    #[error("{what}: {cause}")]
    Kafka { what: String, cause: KafkaError },
    /// A change of settings that would make the stored figures wrong.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error("{topic} partition {partition}, offset {offset}: {cause}")]
    Format { topic: String, partition: i32, offset: i64, cause: FormatError },
    #[error(
        "{topic} partition {partition}: the records from offset {from} up to {to} were deleted before they were read: {lost} are \
         lost. Lengthen the topic's retention. To go on without them, set the offset of consumer group {group} to {to}"
    )]
    Lost { topic: String, partition: i32, from: i64, to: i64, lost: i64, group: String },
    #[error(
        "{topic} partition {partition} ends at offset {end}, but was read up to {read} before: it was truncated or recreated. Set \
         the offset of consumer group {group} to where reading is to go on"
    )]
    Truncated { topic: String, partition: i32, end: i64, read: i64, group: String },
    #[error(
        "{topic} partition {partition}, offset {offset}: {what}. Nothing but this program may write to its internal topics"
    )]
    Misplaced { topic: String, partition: i32, offset: i64, what: String },
    #[error(
        "{changelog} partition {partition} can't be read to its end at {end}: a transaction is open at {stable} and does not end"
    )]
    Blocked { changelog: String, partition: i32, stable: i64, end: i64 },
    #[error(
        "another producer has taken over transactional id {id} {times} times within a minute: `kafka.instance_id` must be unique \
         among live instances"
    )]
    Fenced { id: String, times: usize },
    #[error("librdkafka has given up: {cause}")]
    Fatal { cause: KafkaError },
    #[error("{what}: {error}")]
    Io { what: &'static str, error: std::io::Error },
    #[error("it panicked: this is a fault of the program")]
    Panicked,
}

impl WorkerError {
    /// Of an error of librdkafka's, and what was done then (`subscribing`).
    pub fn kafka(what: impl Into<String>) -> impl FnOnce(KafkaError) -> WorkerError {
        let what = what.into();
        move |cause| WorkerError::Kafka { what, cause }
    }

    /// Of a changelog's fact about settings.
    pub fn meaning(topic: &str, partition: i32, offset: i64) -> impl FnOnce(MeaningError) -> WorkerError {
        let topic = topic.to_owned();
        move |error| match error {
            MeaningError::Contradiction(contradiction) => contradiction.into(),
            MeaningError::Format(cause) => WorkerError::Format { topic, partition, offset, cause },
        }
    }
}

/// What a step of the work may come to beside its result.
#[derive(Debug)]
pub enum Trouble {
    /// The transaction failed: what it did must be undone and done again.
    Transaction(Failure),
    Stop(WorkerError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Transaction(failure)
    }
}

impl From<WorkerError> for Trouble {
    fn from(error: WorkerError) -> Trouble {
        Trouble::Stop(error)
    }
}
