//! What a commit writes: what records changed, what time alone changed, and [what is written again](super::rewriting); with
//! the positions of all inputs.

use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;

use super::outbox::Outbox;
use super::pipeline::{Pipeline, signed};
use super::rewriting::Pace;
use crate::engine::{Effects, Stage};
use crate::kafka::changelog::birth::{BIRTH_KEY, Birth};
use crate::kafka::changelog::partition::Partition;
use crate::kafka::changelog::progress::PROGRESS_KEY;
use crate::kafka::changelog::stored_settings::SETTINGS_KEY;
use crate::kafka::claim::Claim;
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::faults;
use crate::kafka::transaction::{Failure, Patience};
use crate::time::Millis;

/// What a commit leaves to the next one: of all partitions, that which is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    Nothing,
    /// Records that are to be written again.
    Rewriting,
    /// Records that time has changed.
    Rolling,
}

impl<S: Stage> Pipeline<S> {
    /// Whether there is something to commit although no record came: time has changed records, or some are to be written
    /// again.
    pub fn is_due(&self, now: Millis) -> bool {
        self.is_roll_due(now)
            || self.partitions.iter().any(|(_, partition)| self.rewriter.is_due(partition))
            || self.is_news(now)
    }

    fn is_roll_due(&self, now: Millis) -> bool {
        let format = self.settings.format;
        self.partitions.iter().any(|(_, partition)| partition.is_roll_due(partition.progress.next_moment(now, format)))
    }

    /// Writes all that changed, and commits it with the positions of all inputs; and of what is written again as much as the
    /// pace allows. Says what is left of that. `group` is the membership under which the partitions were assigned.
    ///
    /// # Errors
    /// The transaction has failed, or whether it was committed is not known: all that it did is to be undone.
    pub fn commit(
        &mut self,
        group: &Arc<ConsumerGroupMetadata>,
        now: Millis,
        pace: Pace,
        patience: Patience,
    ) -> Result<Left, Trouble> {
        self.transactions.begin()?;
        let is_roll_due = self.is_roll_due(now);
        if is_roll_due {
            faults::at(faults::Point::BeforeRoll);
        }
        self.judge(now);
        let left = self.write(now, pace)?;
        self.tell(now)?;
        self.transactions.acknowledge(patience)?;
        let without_offsets = is_roll_due && self.records == 0 && faults::has(faults::Fault::RollWithoutOffsets);
        let offsets = if without_offsets { TopicPartitionList::new() } else { self.offsets()? };
        self.transactions.commit(&offsets, group, patience)?;
        self.records = 0;
        for (_, partition) in self.partitions.iter_mut() {
            partition.touched = false;
            partition.since = None;
        }
        self.rewriter.committed(&self.partitions);
        match left {
            Left::Nothing => {}
            Left::Rewriting => faults::at(faults::Point::DuringRewrite),
            Left::Rolling => faults::at(faults::Point::DuringRoll),
        }
        Ok(left)
    }

    /// The positions of all inputs, with the claim to each partition beside that of its internal topic.
    fn offsets(&self) -> Result<TopicPartitionList, WorkerError> {
        let offsets = self.inputs.offsets(Some(&self.transactional_id));
        let offsets = offsets.map_err(WorkerError::kafka("offsets to commit"))?;
        for (number, partition) in self.partitions.iter() {
            let internal = self.inputs.internal();
            let Some(mut element) = offsets.find_partition(&internal.topic, signed(number)) else { continue };
            let whole_on = self.rewriter.whole_on(partition);
            let claim = Claim {
                topic: internal.id,
                state: partition.birth,
                whole_on: whole_on.as_deref(),
                ..Claim::of(&self.transactional_id)
            };
            element.set_metadata(claim.write());
        }
        Ok(offsets)
    }

    /// Hands what changed to the producer, and a part of what is written again.
    fn write(&mut self, now: Millis, mut pace: Pace) -> Result<Left, Failure> {
        let format = self.settings.format;
        let mut left = Left::Nothing;
        for (number, partition) in self.partitions.iter_mut() {
            let as_of = partition.progress.next_moment(now, format);
            partition.trust(now);
            let since = partition.since.filter(|_| format.number() >= 2);
            let mut outbox = Outbox::new(&mut self.transactions, &self.outputs, signed(number)).since(since);
            if partition.touched {
                partition.stage.flush(as_of, &mut outbox);
            }
            if !roll(partition, as_of, &mut pace, &mut outbox) {
                left = Left::Rolling;
            }
            outbox.finish()?;
        }
        // What was due at some moment goes first.
        for (number, partition) in self.partitions.iter_mut() {
            let as_of = partition.progress.next_moment(now, format);
            let mut outbox = Outbox::new(&mut self.transactions, &self.outputs, signed(number));
            self.rewriter.write((number, &mut *partition), as_of, &mut pace, &mut outbox);
            if self.rewriter.is_due(partition) {
                left = left.max(Left::Rewriting);
            }
            let internal_offset = self.inputs.internal_position(number);
            if partition.touched || partition.progress.internal_offset != internal_offset {
                partition.progress.as_of = as_of;
                partition.progress.sequence += 1;
                partition.progress.internal_offset = internal_offset;
                partition.progress.internal_id = self.inputs.internal().id;
                partition.progress.source_offsets.clear();
                partition.progress.source_offsets.extend(self.inputs.co_assigned(number));
                if let Some(heard) = &partition.heard {
                    partition.progress.told = self.waiting.as_told(heard);
                }
                partition.progress.write(format, &mut partition.progress_fact);
                outbox.fact(PROGRESS_KEY, Some(&partition.progress_fact));
            }
            if partition.birth.is_some() != Birth::is_kept(format) {
                partition.birth = Birth::is_kept(format).then(Birth::draw);
                outbox.fact(BIRTH_KEY, partition.birth.map(|birth| birth.fact(format)).as_deref());
            }
            if !partition.has_settings() {
                let narrowed = partition.narrowed.take();
                narrowed.as_ref().unwrap_or(&self.stored_settings).write(&mut partition.settings_fact);
                outbox.fact(SETTINGS_KEY, Some(&partition.settings_fact));
            }
            outbox.finish()?;
        }
        Ok(left)
    }
}

/// Writes what time has changed, as much of it as the pace allows. Returns whether nothing more is due.
fn roll<S: Stage>(partition: &mut Partition<S>, as_of: Millis, pace: &mut Pace, outbox: &mut Outbox<'_>) -> bool {
    while partition.is_roll_due(as_of) {
        let Some(keys) = pace.slice() else { return false };
        // That it kept up with the clock is to be known as well.
        partition.touched = true;
        let before = (outbox.records(), outbox.bytes());
        let is_done = partition.stage.roll(as_of, keys, outbox);
        let (records, bytes) = (outbox.records() - before.0, outbox.bytes() - before.1);
        pace.spend(if is_done { records } else { keys.max(records) }, bytes);
        if is_done {
            break;
        }
    }
    partition.progress.rolled_to = as_of;
    true
}
