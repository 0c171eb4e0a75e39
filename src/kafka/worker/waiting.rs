//! What waits in a worker's inputs, and since when: [`watermarks`](crate::kafka::watermarks).

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::inputs::Inputs;
use crate::kafka::changelog::progress::{Progress, Told};
use crate::kafka::client::statistics::Ends;
use crate::kafka::watermarks::{Backlog, Expected, Heard, Herald, Reading, Statement};
use crate::settings::Settings;
use crate::status;
use crate::time::Millis;

/// What a worker knows of how far it has read, and when it said so.
pub struct Waiting {
    /// Whether it tells and hears of it. Format 1 does not.
    pub(super) is_told: bool,
    /// How long a record may wait, in milliseconds.
    pub(super) most: i64,
    expected: Arc<Expected>,
    pub(super) herald: Herald,
    /// Of the assigned partitions of each input.
    backlogs: Vec<Vec<Option<Backlog>>>,
}

impl Waiting {
    /// Of a stage whose figures come from these inputs; nothing is assigned yet.
    pub fn new(settings: &Settings, expected: Arc<Expected>) -> Waiting {
        let most = settings.verdict.max_lag;
        let is_told = settings.format.number() >= 2;
        Waiting { is_told, most, expected, herald: Herald::new(most), backlogs: Vec::new() }
    }

    /// Begins with inputs that are assigned at `now` and end here.
    pub(super) fn begin(&mut self, inputs: &Inputs, ends: &TopicPartitionList, now: Millis) {
        self.herald.reset();
        self.backlogs.clear();
        for element in ends.elements() {
            let (Some(index), Ok(partition)) = (inputs.index_of(element.topic()), usize::try_from(element.partition()))
            else {
                continue;
            };
            if self.backlogs.len() <= index {
                self.backlogs.resize_with(index + 1, Vec::new);
            }
            let backlogs = &mut self.backlogs[index];
            if backlogs.len() <= partition {
                backlogs.resize_with(partition + 1, || None);
            }
            backlogs[partition] = match element.offset() {
                Offset::Offset(end) => Some(Backlog::new(now, end)),
                _ => None,
            };
        }
    }

    /// What a partition was told that has come so far.
    pub(super) fn remember(&self, progress: &Progress, now: Millis) -> Option<Heard> {
        let is_of_these = progress.told.of.is_none_or(|of| of == self.expected.fingerprint());
        let through = if is_of_these { progress.told.through.min(now) } else { Millis(0) };
        self.is_told.then(|| Heard::new(Arc::clone(&self.expected), through))
    }

    /// What is kept of what a partition was told.
    pub fn as_told(&self, heard: &Heard) -> Told {
        Told { through: heard.through(), of: Some(self.expected.fingerprint()) }
    }

    fn backlog_of(&mut self, input: usize, partition: i32) -> Option<&mut Backlog> {
        self.backlogs.get_mut(input)?.get_mut(usize::try_from(partition).ok()?)?.as_mut()
    }

    /// Notes that a record was taken.
    pub fn taken(&mut self, input: usize, record: &BorrowedMessage<'_>) {
        if let Some(backlog) = self.backlog_of(input, record.partition()) {
            backlog.taken(record.timestamp().to_millis().map(Millis));
        }
    }

    /// Takes what a partition is told by a record, which stood here.
    pub fn hear(
        &mut self,
        heard: &mut Heard,
        statements: &[Statement<'_>],
        (input, record): (usize, &BorrowedMessage<'_>),
        now: Millis,
    ) {
        let timestamp = record.timestamp().to_millis().map(Millis);
        let known_since = |backlog: &mut Backlog| backlog.known_since(record.offset(), timestamp, now);
        let at = self.backlog_of(input, record.partition()).map_or(now, known_since);
        for statement in statements {
            heard.hear((statement.topic, statement.partition), at, statement.age, statement.oldest.map(Millis));
        }
    }

    /// Notes where inputs end.
    pub fn look(&mut self, inputs: &Inputs, ends: &Ends, now: Millis) {
        for (topic, partition, end) in ends.iter() {
            let (Some(index), Ok(number)) = (inputs.index_of(topic), usize::try_from(partition)) else { continue };
            if let (Some(backlog), Some(next)) = (self.backlog_of(index, partition), inputs.read_to(index, number)) {
                let age = i64::try_from(end.known.elapsed().as_millis()).unwrap_or(i64::MAX);
                backlog.look(now.plus(-age), end.stable, next);
            }
        }
    }

    /// What waits, where something does for longer than it may.
    pub fn backlog(&self, inputs: &Inputs, now: Millis) -> Option<status::Backlog> {
        let readings = self.readings(inputs).map(|(_, _, reading)| reading).filter(|reading| reading.waiting > 0);
        let (mut records, mut age) = (0, 0);
        for reading in readings {
            records += reading.waiting;
            let since = reading.through.or(reading.oldest);
            age = age.max(since.map_or(0, |since| now.0.saturating_sub(since.0)));
        }
        let waits_long = age > self.most;
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        waits_long.then_some(status::Backlog { records, age })
    }

    /// How far each assigned partition of the inputs is read.
    pub(super) fn readings(&self, inputs: &Inputs) -> impl Iterator<Item = (usize, usize, Reading)> {
        self.backlogs.iter().enumerate().flat_map(move |(index, backlogs)| {
            backlogs.iter().enumerate().filter_map(move |(partition, backlog)| {
                let next = inputs.read_to(index, partition)?;
                Some((index, partition, backlog.as_ref()?.reading(next)))
            })
        })
    }
}
