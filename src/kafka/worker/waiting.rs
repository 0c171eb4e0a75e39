//! What waits in a worker's inputs, and what it tells and hears of that: [`watermarks`](crate::kafka::watermarks).

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::BaseRecord;
use rdkafka::{Offset, TopicPartitionList};

use super::inputs::Inputs;
use super::pipeline::{Pipeline, signed};
use crate::engine::Stage;
use crate::kafka::changelog::progress::{Progress, Told};
use crate::kafka::client::statistics::Ends;
use crate::kafka::names::StageKind;
use crate::kafka::record::origin::watermarks_headers;
use crate::kafka::transaction::Failure;
use crate::kafka::watermarks::{self, Backlog, Expected, Heard, Herald, Reading, Statement};
use crate::settings::Settings;
use crate::status;
use crate::time::Millis;

/// What a worker knows of how far it has read, and when it said so.
pub struct Waiting {
    /// Whether it tells and hears of it. Format 1 does not.
    is_told: bool,
    /// How long a record may wait, in milliseconds.
    most: i64,
    expected: Arc<Expected>,
    herald: Herald,
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
    fn begin(&mut self, inputs: &Inputs, ends: &TopicPartitionList, now: Millis) {
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
    fn remember(&self, progress: &Progress, now: Millis) -> Option<Heard> {
        let is_of_these = progress.told.of.is_none_or(|of| of == self.expected.fingerprint());
        let through = if is_of_these { progress.told.through.min(now) } else { Millis(0) };
        self.is_told.then(|| Heard::new(Arc::clone(&self.expected), through))
    }

    /// What is kept of what a partition was told.
    pub fn as_told(&self, heard: &Heard) -> Told {
        Told { through: heard.through(), of: Some(self.expected.fingerprint()) }
    }

    /// Notes that a record was taken.
    pub fn taken(&mut self, input: usize, record: &BorrowedMessage<'_>) {
        let backlog = usize::try_from(record.partition()).ok().and_then(|at| self.backlogs.get_mut(input)?.get_mut(at));
        if let Some(Some(backlog)) = backlog {
            backlog.taken(record.timestamp().to_millis().map(Millis));
        }
    }

    /// Takes what a partition is told by a record, which stood here.
    pub fn hear(
        &self,
        heard: &mut Heard,
        statements: &[Statement<'_>],
        (input, record): (usize, &BorrowedMessage<'_>),
        now: Millis,
    ) {
        let backlog =
            usize::try_from(record.partition()).ok().and_then(|at| self.backlogs.get(input)?.get(at)?.as_ref());
        let timestamp = record.timestamp().to_millis().map(Millis);
        let at = backlog.map_or(now, |backlog| backlog.known_since(record.offset(), timestamp, now));
        for statement in statements {
            heard.hear((statement.topic, statement.partition), at, statement.age, statement.oldest.map(Millis));
        }
    }

    /// Notes where inputs end.
    pub fn look(&mut self, inputs: &Inputs, ends: &Ends, now: Millis) {
        for (topic, partition, end) in ends.iter() {
            let (Some(index), Ok(partition)) = (inputs.index_of(topic), usize::try_from(partition)) else { continue };
            let backlog = self.backlogs.get_mut(index).and_then(|backlogs| backlogs.get_mut(partition)?.as_mut());
            if let (Some(backlog), Some(next)) = (backlog, inputs.read_to(index, partition)) {
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
    fn readings(&self, inputs: &Inputs) -> impl Iterator<Item = (usize, usize, Reading)> {
        self.backlogs.iter().enumerate().flat_map(move |(index, backlogs)| {
            backlogs.iter().enumerate().filter_map(move |(partition, backlog)| {
                let next = inputs.read_to(index, partition)?;
                Some((index, partition, backlog.as_ref()?.reading(next)))
            })
        })
    }
}

/// How far an input is read.
struct Watermark<'a> {
    topic: &'a str,
    partition: u32,
    through: Option<Millis>,
    oldest: Option<Millis>,
}

impl Watermark<'_> {
    fn say(&self, now: Millis) -> Statement<'_> {
        let age = self.through.map(|through| u64::try_from(now.0.saturating_sub(through.0)).unwrap_or(0));
        Statement { topic: self.topic, partition: self.partition, age, oldest: self.oldest.map(|oldest| oldest.0) }
    }
}

impl<S: Stage> Pipeline<S> {
    /// Begins to wait for what is assigned at `now` and ends here, with what its partitions were told before.
    pub(super) fn begin_waiting(&mut self, ends: &TopicPartitionList, now: Millis) {
        self.waiting.begin(&self.inputs, ends, now);
        for (_, partition) in self.partitions.iter_mut() {
            partition.heard = self.waiting.remember(&partition.progress, now);
        }
        self.judge(now);
    }

    /// Takes in what has waited for too long by now, of all that campaigns' figures come from.
    pub(super) fn judge(&mut self, now: Millis) {
        if self.kind == StageKind::Campaigns {
            let most = self.waiting.most;
            for (_, partition) in self.partitions.iter_mut() {
                let read_through = partition.heard.as_ref().and_then(|heard| heard.read_through(now, most));
                partition.set_read_through(read_through);
            }
        }
    }

    /// Whether something is to be told, or campaigns begin or cease to wait.
    pub(super) fn is_news(&self, now: Millis) -> bool {
        self.is_telling_due(now) || self.kind == StageKind::Campaigns && self.turns(now)
    }

    fn turns(&self, now: Millis) -> bool {
        self.partitions.iter().any(|(_, partition)| {
            let read_through = |heard: &Heard| heard.read_through(now, self.waiting.most);
            partition.heard.as_ref().and_then(read_through).is_some() != partition.read_through.is_some()
        })
    }

    fn is_telling_due(&self, now: Millis) -> bool {
        self.waiting.is_told && self.waiting.herald.may_be_due(now) && {
            let throughs = throughs(&self.watermarks());
            !throughs.is_empty() && self.waiting.herald.is_due(now, &throughs)
        }
    }

    /// Tells all partitions of both stages how far the sources are read that are assigned here, and campaigns how far the
    /// customers have come that are at home here: behind all that this transaction puts out for them.
    pub(super) fn tell(&mut self, now: Millis) -> Result<(), Failure> {
        if !self.is_telling_due(now) {
            return Ok(());
        }
        let watermarks = self.watermarks();
        let throughs = throughs(&watermarks);
        let internal = &self.inputs.internal().topic;
        let mut told = Vec::new();
        let stages = [(StageKind::Customers, self.homes.customers), (StageKind::Campaigns, self.homes.campaigns)];
        for (stage, partitions) in stages {
            // Customers do not wait for each other.
            let of_others = |watermark: &&Watermark<'_>| stage == StageKind::Campaigns || watermark.topic != internal;
            let statements = watermarks.iter().filter(of_others).map(|watermark| watermark.say(now));
            let statements: Vec<Statement<'_>> = statements.collect();
            if !statements.is_empty() {
                told.push((stage, partitions, watermarks::write(self.settings.format, &statements)));
            }
        }
        for (stage, partitions, value) in told {
            for partition in 0..partitions {
                let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(self.outputs.internal_of(stage));
                let record = record.partition(signed(partition)).payload(&value).headers(watermarks_headers());
                self.transactions.send(record)?;
            }
        }
        self.waiting.herald.said(now, throughs);
        Ok(())
    }

    fn watermarks(&self) -> Vec<Watermark<'_>> {
        let topics: Vec<&str> = self.inputs.topics().collect();
        let readings = self.waiting.readings(&self.inputs).filter(|(index, ..)| !self.inputs.is_internal(*index));
        let of_sources = readings.filter_map(|(index, partition, reading)| {
            let (topic, partition) = (*topics.get(index)?, u32::try_from(partition).ok()?);
            Some(Watermark { topic, partition, through: reading.through, oldest: reading.oldest })
        });
        let customers = self.partitions.iter().filter(|_| self.kind == StageKind::Customers);
        let of_customers = customers.filter_map(|(partition, state)| {
            let heard = state.heard.as_ref()?;
            let (topic, through) = (self.inputs.internal().topic.as_str(), Some(heard.through()));
            Some(Watermark { topic, partition, through, oldest: heard.oldest() })
        });
        of_sources.chain(of_customers).collect()
    }
}

fn throughs(watermarks: &[Watermark<'_>]) -> Vec<Option<Millis>> {
    watermarks.iter().map(|watermark| watermark.through).collect()
}
