//! Where reading goes on after a restore: exactly at the committed offsets, once they agree with the restored state.

use rdkafka::TopicPartitionList;

use super::inputs::Inputs;
use crate::engine::Stage;
use crate::kafka::changelog::partition::{Partition, Partitions};
use crate::kafka::client::ask::offset_in;
use crate::kafka::error::{Mismatch, WorkerError};

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
/// Offsets and state contradict each other, or records were deleted before they were read.
pub fn set_positions<S: Stage>(
    inputs: &mut Inputs,
    partitions: &Partitions<S>,
    known: &Known<'_>,
) -> Result<(), WorkerError> {
    inputs.clear();
    for element in known.assigned.elements() {
        let (topic, number) = (element.topic(), element.partition());
        let Some(index) = inputs.index_of(topic) else { continue };
        let low = offset_in(known.low, topic, number).unwrap_or(0);
        let high = offset_in(known.high, topic, number).unwrap_or(i64::MAX);
        let state = u32::try_from(number).ok().and_then(|number| partitions.get(number));
        let committed = if inputs.is_internal(index) {
            agreed(topic, number, state, known)?
        } else {
            committed_of_source(topic, number, state, known)?
        };
        let next = committed.unwrap_or(low);
        if next < low {
            let group = known.group.to_owned();
            let topic = topic.to_owned();
            return Err(WorkerError::Lost { topic, partition: number, from: next, to: low, lost: low - next, group });
        }
        if next > high {
            let (topic, group) = (topic.to_owned(), known.group.to_owned());
            return Err(WorkerError::Truncated { topic, partition: number, end: high, read: next, group });
        }
        inputs.set(index, number, next);
    }
    Ok(())
}

/// The committed offset of the internal topic's partition, which must be that of the state.
fn agreed<S: Stage>(
    topic: &str,
    number: i32,
    state: Option<&Partition<S>>,
    known: &Known<'_>,
) -> Result<Option<i64>, WorkerError> {
    let stored = state.and_then(|state| state.progress.internal_offset);
    if !known.offsets_are_kept {
        return Ok(stored);
    }
    let committed = offset_in(known.committed, topic, number);
    let (topic, changelog) = (topic.to_owned(), known.changelog.to_owned());
    let partition = u32::try_from(number).unwrap_or(u32::MAX);
    match (committed, stored) {
        (Some(committed), Some(stored)) if committed == stored => Ok(Some(committed)),
        (None, None) => Ok(None),
        (Some(committed), Some(stored)) => {
            Err(Mismatch::Differs { topic, partition, changelog, stored, committed }.into())
        }
        (None, Some(stored)) => Err(Mismatch::NotCommitted { topic, partition, changelog, stored }.into()),
        (Some(committed), None) => Err(Mismatch::NoState { topic, partition, changelog, committed }.into()),
    }
}

/// The committed offset of a source. None is the beginning for a source that is new; but not for one that was read before.
fn committed_of_source<S: Stage>(
    topic: &str,
    number: i32,
    state: Option<&Partition<S>>,
    known: &Known<'_>,
) -> Result<Option<i64>, WorkerError> {
    let stored = state.and_then(|state| {
        let mut offsets = state.progress.source_offsets.iter();
        offsets.find(|(source, _)| source == topic).map(|(_, offset)| *offset)
    });
    if !known.offsets_are_kept {
        return Ok(stored);
    }
    match (offset_in(known.committed, topic, number), stored) {
        (None, Some(stored)) => Err(Mismatch::NotCommitted {
            topic: topic.to_owned(),
            partition: u32::try_from(number).unwrap_or(u32::MAX),
            changelog: known.changelog.to_owned(),
            stored,
        }
        .into()),
        (committed, _) => Ok(committed),
    }
}
