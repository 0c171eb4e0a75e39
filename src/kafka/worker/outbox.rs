//! Where a stage's effects go: each to its topic, in the open transaction.

use rdkafka::producer::BaseRecord;

use crate::engine::Effects;
use crate::kafka::names::StageKind;
use crate::kafka::record::format::format_headers;
use crate::kafka::record::origin::differences_headers;
use crate::kafka::transaction::{Failure, Transactions};

/// The topics that a stage's workers write to.
#[derive(Clone, Debug)]
pub struct Outputs {
    pub changelog: String,
    pub updates: String,
    pub dead_letters: String,
    pub customer_events: String,
    pub campaign_events: String,
    /// The number of the format that records which others read are written in, as text: each of them says it.
    pub format: String,
}

impl Outputs {
    pub fn internal_of(&self, stage: StageKind) -> &str {
        match stage {
            StageKind::Customers => &self.customer_events,
            StageKind::Campaigns => &self.campaign_events,
        }
    }
}

/// Takes the effects of one partition. The first failure is kept, and what comes after it goes nowhere: the transaction
/// is lost anyway.
pub struct Outbox<'a> {
    transactions: &'a mut Transactions,
    outputs: &'a Outputs,
    partition: i32,
    /// Timestamp of the oldest record that the effects come from.
    since: Option<i64>,
    /// That it has taken.
    records: usize,
    /// Of their keys and values.
    bytes: usize,
    failure: Option<Failure>,
}

impl<'a> Outbox<'a> {
    pub fn new(transactions: &'a mut Transactions, outputs: &'a Outputs, partition: i32) -> Outbox<'a> {
        Outbox { transactions, outputs, partition, since: None, records: 0, bytes: 0, failure: None }
    }

    /// Of effects that come from records of this timestamp and later ones.
    pub fn since(self, since: Option<i64>) -> Outbox<'a> {
        Outbox { since, ..self }
    }

    /// How many records it has taken.
    pub fn records(&self) -> usize {
        self.records
    }

    /// How many bytes their keys and values have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all went out.
    ///
    /// # Errors
    /// The first record that did not, which fails the transaction.
    pub fn finish(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }

    fn send(&mut self, record: BaseRecord<'_, [u8], [u8]>) {
        self.records += 1;
        self.bytes += record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len);
        if self.failure.is_none() {
            self.failure = self.transactions.send(record).err();
        }
    }
}

impl Effects for Outbox<'_> {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        let mut record = BaseRecord::to(&self.outputs.changelog).partition(self.partition).key(key);
        record.payload = value;
        self.send(record);
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        let mut record = BaseRecord::to(&self.outputs.updates).key(key.as_bytes());
        record.payload = value;
        record.headers = Some(format_headers(&self.outputs.format));
        self.send(record);
    }

    fn differences(&mut self, partition: u32, payload: &[u8]) {
        // Partitions are counted in Kafka's 32 bits, which are signed.
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.outputs.campaign_events)
            .partition(partition)
            .payload(payload)
            .headers(differences_headers(self.since));
        self.send(record);
    }
}
