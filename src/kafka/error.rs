//! Why a worker stops, and with it the process.

use rdkafka::error::KafkaError;

use crate::engine::FormatError;
use crate::kafka::transaction::Failure;

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
    #[error(
        "a broker answers, but group {group} has not shared out its partitions for {seconds} s, nor given some to a new consumer: \
         `kafka-consumer-groups.sh --describe --group {group} --state` says what it waits for"
    )]
    Groupless { group: String, seconds: u64 },
    #[error(
        "a broker answers, but no broker has taken transactional id {id} for {seconds} s, from a new producer neither: see whether \
         the partitions of __transaction_state have leaders"
    )]
    Unknown { id: String, seconds: u64 },
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
    pub fn stored_settings(
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> impl FnOnce(StoredSettingsError) -> WorkerError {
        let topic = topic.to_owned();
        move |error| match error {
            StoredSettingsError::Contradiction(contradiction) => contradiction.into(),
            StoredSettingsError::Format(cause) => WorkerError::Format { topic, partition, offset, cause },
        }
    }
}

/// The stored and the committed offset of a partition's internal topic are to be the same: both were written by one
/// transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "{topic} partition {partition} has no committed offset, but its state in {changelog} was computed up to offset {stored}: \
         the consumer group's offsets have expired or were deleted, and reading again from the start would count on top of the \
         state. Set the group's offset to {stored}, or give this processor another `kafka.application_id` and other output topics"
    )]
    NotCommitted { topic: String, partition: u32, changelog: String, stored: i64 },
    #[error(
        "{topic} partition {partition}: the committed offset is {committed}, but the state in {changelog} was computed up to offset \
         {stored}: somebody has moved the consumer group's offsets or altered the changelog. Set the group's offset to {stored}, or \
         give this processor another `kafka.application_id` and other output topics"
    )]
    Differs { topic: String, partition: u32, changelog: String, stored: i64, committed: i64 },
    #[error(
        "{topic} partition {partition} has the committed offset {committed}, but there is no state in {changelog}: the changelog was \
         deleted or altered. Going on would forget all that was computed; delete the consumer groups' offsets too to compute it \
         anew, with other output topics"
    )]
    NoState { topic: String, partition: u32, changelog: String, committed: i64 },
}

/// A setting that is not what the stored state was computed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{key}` is {configured}, but the state on Kafka was computed with {stored}. Set it back, or give this processor \
     another `kafka.application_id` and other output topics: it then computes all from the source topics anew"
)]
pub struct Contradiction {
    /// The setting, as the configuration names it.
    pub key: String,
    /// What the stored state was computed with.
    pub stored: String,
    /// What it is now.
    pub configured: String,
}

/// Why the settings of a partition's facts are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum StoredSettingsError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
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
