//! Where reading goes on after a restore: exactly at the committed offsets, once they agree with the restored state
//! ([`Evidence`] says when they do).

use rdkafka::TopicPartitionList;

use super::inputs::Inputs;
use crate::engine::Stage;
use crate::kafka::changelog::partition::Partitions;
use crate::kafka::claim::Claim;
use crate::kafka::client::ask::offset_in;
use crate::kafka::error::{Obstacles, WorkerError};
use crate::kafka::resumption::{Evidence, Start};

/// What is known from the broker about the assigned inputs.
pub struct Known<'a> {
    pub assigned: &'a TopicPartitionList,
    pub committed: &'a TopicPartitionList,
    pub low: &'a TopicPartitionList,
    pub high: &'a TopicPartitionList,
    pub group: &'a str,
    pub changelog: &'a str,
    /// False of a broker that forgets the offsets of transactions: those of the state are taken then.
    pub offsets_are_kept: bool,
}

/// Sets the positions of all assigned inputs.
///
/// # Errors
/// Offsets and state contradict each other, or records were deleted before they were read: of all partitions at once.
pub fn set_positions<S: Stage>(
    inputs: &mut Inputs,
    partitions: &Partitions<S>,
    known: &Known<'_>,
) -> Result<(), WorkerError> {
    inputs.clear();
    let mut found = Vec::new();
    for element in known.assigned.elements() {
        let (topic, number) = (element.topic(), element.partition());
        let Some(index) = inputs.index_of(topic) else { continue };
        let state = u32::try_from(number).ok().and_then(|number| partitions.get(number));
        let is_internal = inputs.is_internal(index);
        let stored = state.and_then(|state| state.progress.stored(topic, is_internal));
        let committed = known.committed.find_partition(topic, number);
        let evidence = Evidence {
            topic: inputs.id(index),
            committed: offset_in(known.committed, topic, number),
            claim: committed.as_ref().map_or(Claim::default(), |committed| Claim::read(committed.metadata())),
            stored,
            birth: state.and_then(|state| state.birth),
            low: offset_in(known.low, topic, number).unwrap_or(0),
            high: offset_in(known.high, topic, number).unwrap_or(i64::MAX),
        };
        let start = match known.offsets_are_kept {
            true => evidence.start(is_internal),
            false => Ok(evidence.stored.map_or(Start::Beginning(evidence.low), |(next, _)| Start::At(next))),
        };
        match start {
            Ok(start) => {
                if let Start::Another { beginning, read } = start {
                    tracing::warn!(
                        topic,
                        partition = number,
                        read,
                        from = beginning,
                        "the topic was deleted and created again: it is read from its beginning"
                    );
                }
                inputs.set(index, number, start.next());
            }
            Err(obstacle) => found.push((topic.to_owned(), number, obstacle)),
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    inputs.clear();
    Err(Obstacles { group: known.group.to_owned(), changelog: known.changelog.to_owned(), found }.into())
}
