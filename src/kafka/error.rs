//! Why a worker stops, and with it the process.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::error::KafkaError;

use crate::engine::FormatError;
use crate::kafka::resumption::Obstacle;
use crate::kafka::topics::role::Role;
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
    Obstacles(#[from] Obstacles),
    #[error("{topic} was deleted and created again{}", .role.when_recreated())]
    Recreated { topic: String, role: Role },
    #[error("{topic} is gone: it was deleted, or is not shown to this user any more{}", .role.when_gone())]
    Gone { topic: String, role: Role },
    #[error("{topic} partition {partition}, offset {offset}: {cause}")]
    Format { topic: String, partition: i32, offset: i64, cause: FormatError },
    #[error(
        "{topic} partition {partition}: the records from offset {from} up to {to} were deleted before they were read: {lost} are \
         lost (consumer group {group}). Lengthen the topic's retention. `payback recover` shows how to go on without them"
    )]
    Lost { topic: String, partition: i32, from: i64, to: i64, lost: i64, group: String },
    #[error(
        "{topic} partition {partition} ends at offset {end}, but was read up to {read} before (consumer group {group}): it was \
         truncated or created again. `payback recover` shows how to go on"
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
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
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

/// Partitions of a group's inputs that can't be gone on with, each with its topic, its number and why: all of them, so that who
/// mends it need not start again for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacles {
    pub group: String,
    pub changelog: String,
    pub found: Vec<(String, i32, Obstacle)>,
}

impl std::error::Error for Obstacles {}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Obstacles { group, changelog, found } = self;
        let mut of_a_kind: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lost = Vec::new();
        for (topic, partition, obstacle) in found {
            let (place, what) = match *obstacle {
                Obstacle::NotCommitted { stored } => (
                    format!(" (up to offset {stored})"),
                    format!(
                        "has no committed offset, but its state in {changelog} was computed up to there: the offsets of consumer \
                         group {group} have expired or were deleted"
                    ),
                ),
                Obstacle::Differs { stored, committed } => (
                    format!(" (offset {committed}, state {stored})"),
                    format!(
                        "has a committed offset that is not where its state in {changelog} is: somebody has moved the offsets of \
                         consumer group {group} or altered the changelog"
                    ),
                ),
                Obstacle::NoState { committed } => (
                    format!(" (offset {committed})"),
                    format!(
                        "has a committed offset, but there is no state in {changelog}: that was deleted or altered"
                    ),
                ),
                Obstacle::AnotherState => (
                    String::new(),
                    format!(
                        "has committed offsets that go with another state than what is in {changelog}: that was deleted and \
                         created again, and has only what was written since"
                    ),
                ),
                Obstacle::Recreated { read } => (
                    format!(" (read up to offset {read})"),
                    "was deleted and created again: what was in it and not read yet is lost".to_owned(),
                ),
                Obstacle::Lost { from, to } => {
                    lost.push(format!(
                        "{topic} partition {partition}: the records from offset {from} up to {to} were deleted before they were \
                         read: {} are lost",
                        to - from
                    ));
                    continue;
                }
                Obstacle::Truncated { read, end } => (
                    format!(" (read up to offset {read}, ends at {end})"),
                    "ends before what was read of it: it was truncated or created again".to_owned(),
                ),
            };
            of_a_kind.entry(what).or_default().push(format!("{topic} partition {partition}{place}"));
        }
        for (what, places) in &of_a_kind {
            let each = if places.len() > 1 { "each of " } else { "" };
            write!(f, "{each}{} {what}. ", places.join(", "))?;
        }
        if !lost.is_empty() {
            write!(f, "{}. Lengthen the topic's retention. ", lost.join("; "))?;
        }
        f.write_str(if found.iter().all(|(_, _, obstacle)| obstacle.is_passable()) {
            "`payback recover` shows how to go on"
        } else {
            "The state can't be had back: give this processor another `kafka.application_id` and other output topics, and it \
             computes all from the source topics anew"
        })
    }
}

/// A live member of the group is of another deployment than this instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{client} at {host} works in consumer group {group} too, with another {keys}. Two deployments can't share a \
     `kafka.application_id`: give this one another, and other output topics. If they are to be one, these keys must be the same; \
     to change them, stop all instances first"
)]
pub struct Disagreement {
    pub group: String,
    /// The other.
    pub client: String,
    pub host: String,
    /// What differs, as the configuration names it.
    pub keys: String,
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
