//! Where a stage's effects go: each to its topic, in the open transaction.

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use super::forward::differences_headers;
use super::names::StageKind;
use super::transaction::{Failure, Transactions};
use crate::engine::Effects;
use crate::format::{self, FormatError};

/// Header of an output record: the format that it is in.
const FORMAT: &str = "payback.format";

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

/// Checks that an output record is of a format that this program knows; one without a header is of the first.
///
/// # Errors
/// It is not.
pub fn check_format(record: &BorrowedMessage<'_>) -> Result<(), FormatError> {
    let malformed = FormatError::Malformed { what: "header payback.format" };
    let Some(headers) = record.headers() else { return Ok(()) };
    // Other programs than this one have no business here; what they add is not looked at.
    let Some(header) = headers.try_get(0).filter(|header| header.key == FORMAT) else { return Ok(()) };
    let text = header.value.and_then(|value| std::str::from_utf8(value).ok());
    let number = text.and_then(|text| text.parse::<u8>().ok()).ok_or_else(|| malformed.clone())?;
    format::split(&[number], malformed).map(drop)
}

impl Outputs {
    fn headers(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(1).insert(Header { key: FORMAT, value: Some(&self.format) })
    }

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
    failure: Option<Failure>,
}

impl<'a> Outbox<'a> {
    pub fn new(transactions: &'a mut Transactions, outputs: &'a Outputs, partition: i32) -> Outbox<'a> {
        Outbox { transactions, outputs, partition, failure: None }
    }

    /// Whether all went out.
    ///
    /// # Errors
    /// The first record that did not, which fails the transaction.
    pub fn finish(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }

    fn send(&mut self, record: BaseRecord<'_, [u8], [u8]>) {
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
        record.headers = Some(self.outputs.headers());
        self.send(record);
    }

    fn differences(&mut self, partition: u32, payload: &[u8]) {
        // Partitions are counted in Kafka's 32 bits, which are signed.
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.outputs.campaign_events)
            .partition(partition)
            .payload(payload)
            .headers(differences_headers());
        self.send(record);
    }
}
