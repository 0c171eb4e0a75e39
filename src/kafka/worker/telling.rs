//! What a worker tells other partitions of how far it has read, and what it hears of that from them:
//! [`watermarks`].

use rdkafka::TopicPartitionList;
use rdkafka::producer::BaseRecord;

use super::pipeline::{Pipeline, signed};
use crate::engine::{Stage, StageKind};
use crate::kafka::record::origin::watermarks_headers;
use crate::kafka::transaction::Failure;
use crate::kafka::watermarks::{self, Heard, Statement};
use crate::time::Millis;

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
        if S::KIND == StageKind::Campaigns {
            let most = self.waiting.most;
            for (_, partition) in self.partitions.iter_mut() {
                let read_through = partition.heard.as_ref().and_then(|heard| heard.read_through(now, most));
                partition.set_read_through(read_through);
            }
        }
    }

    /// Whether something is to be told, or campaigns begin or cease to wait.
    pub(super) fn is_news(&self, now: Millis) -> bool {
        self.due(now).is_some() || S::KIND == StageKind::Campaigns && self.turns(now)
    }

    fn turns(&self, now: Millis) -> bool {
        self.partitions.iter().any(|(_, partition)| {
            let read_through = |heard: &Heard| heard.read_through(now, self.waiting.most);
            partition.heard.as_ref().and_then(read_through).is_some() != partition.read_through.is_some()
        })
    }

    /// What is to be told by now, if anything is.
    fn due(&self, now: Millis) -> Option<Vec<Watermark<'_>>> {
        if !self.waiting.is_told || !self.waiting.herald.may_be_due(now) {
            return None;
        }
        let watermarks = self.watermarks();
        let is_due = !watermarks.is_empty() && self.waiting.herald.is_due(now, &throughs(&watermarks));
        is_due.then_some(watermarks)
    }

    /// Tells all partitions of both stages how far the sources are read that are assigned here, and campaigns how far the
    /// customers have come that are at home here: behind all that this transaction puts out for them.
    pub(super) fn tell(&mut self, now: Millis) -> Result<(), Failure> {
        let Some(watermarks) = self.due(now) else { return Ok(()) };
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
                let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(self.outputs.internal.of(stage));
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
        let customers = self.partitions.iter().filter(|_| S::KIND == StageKind::Customers);
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
