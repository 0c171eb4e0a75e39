//! Records of the open transaction, kept back to be handed to the producer together.
//!
//! Each event makes some small records. Handed over one by one they would leave in hundreds of small requests a commit, each
//! of which costs broker and client as much as a large one. And librdkafka sends a partition nothing more until its last
//! request is acknowledged; of what was handed over for it meanwhile, and is older than `linger.ms`, its thread asks over
//! and over, without a pause, whether it may go now (2.12, `rd_kafka_toppar_producer_serve`): with a busy broker that took
//! half of all the time that the process used.

use rdkafka::message::OwnedHeaders;
use rdkafka::producer::BaseRecord;

/// Records are handed over when they come to so many bytes and the broker has acknowledged those before.
const ENOUGH: usize = 1 << 20;
/// After this many more bytes, check again whether it has.
const STEP: usize = 128 << 10;
/// Records are handed over when they come to so many bytes in any case: memory is bounded.
const MOST: usize = 2 << 20;

/// Records in the order in which they were made.
#[derive(Debug, Default)]
pub struct Batch {
    records: Vec<Kept>,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
    /// How many bytes there were at the last such check.
    looked_at: usize,
    /// Those that records were for so far: a handful.
    topics: Vec<String>,
}

#[derive(Debug)]
struct Kept {
    topic: usize,
    partition: Option<i32>,
    key: Option<usize>,
    value: Option<usize>,
    timestamp: Option<i64>,
    headers: Option<OwnedHeaders>,
}

impl Batch {
    pub fn push(&mut self, record: BaseRecord<'_, [u8], [u8]>) {
        let topic = self.topics.iter().position(|topic| topic == record.topic).unwrap_or_else(|| {
            self.topics.push(record.topic.to_owned());
            self.topics.len() - 1
        });
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.payload.unwrap_or_default());
        self.records.push(Kept {
            topic,
            partition: record.partition,
            key: record.key.map(<[u8]>::len),
            value: record.payload.map(<[u8]>::len),
            timestamp: record.timestamp,
            headers: record.headers,
        });
    }

    /// Whether it is time to hand them over. `is_idle` says whether the broker has acknowledged all before.
    pub fn are_due(&mut self, is_idle: impl FnOnce() -> bool) -> bool {
        let bytes = self.bytes.len();
        if bytes < ENOUGH.max(self.looked_at + STEP) {
            return false;
        }
        self.looked_at = bytes;
        bytes >= MOST || is_idle()
    }

    /// Takes them out, in order, until one is not taken. Those after that one are thrown away.
    ///
    /// # Errors
    /// What `take` says.
    pub fn drain<E>(&mut self, mut take: impl FnMut(BaseRecord<'_, [u8], [u8]>) -> Result<(), E>) -> Result<(), E> {
        let mut rest = &self.bytes[..];
        let mut next = |length| {
            let (taken, left) = rest.split_at(length);
            rest = left;
            taken
        };
        let outcome = self.records.drain(..).try_for_each(|kept| {
            take(BaseRecord {
                topic: &self.topics[kept.topic],
                partition: kept.partition,
                key: kept.key.map(&mut next),
                payload: kept.value.map(&mut next),
                timestamp: kept.timestamp,
                headers: kept.headers,
                delivery_opaque: (),
            })
        });
        self.clear();
        outcome
    }

    /// Throws them away, keeping the room that is usual.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * MOST);
        self.looked_at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(topic: &'a str, key: &'a [u8], value: Option<&'a [u8]>) -> BaseRecord<'a, [u8], [u8]> {
        BaseRecord { payload: value, ..BaseRecord::to(topic).key(key) }
    }

    fn drained(batch: &mut Batch) -> Vec<String> {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut records = Vec::new();
        let all = batch.drain(|record| {
            let BaseRecord { topic, partition, key, payload, headers, .. } = record;
            let headers = headers.is_some();
            records.push(format!("{topic} {partition:?} {:?} {:?} {headers}", text(key), text(payload)));
            Ok::<(), ()>(())
        });
        all.unwrap();
        records
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut batch = Batch::default();
        batch.push(record("facts", b"o1", Some(b"first")).partition(0));
        batch.push(record("facts", b"o2", None).partition(3));
        batch.push(record("updates", b"c1", Some(b"")).headers(OwnedHeaders::new()));
        batch.push(BaseRecord::to("differences").payload(b"d".as_slice()));
        batch.push(record("facts", b"o1", Some(b"second")).partition(0));
        assert_eq!(
            drained(&mut batch),
            [
                r#"facts Some(0) Some("o1") Some("first") false"#,
                r#"facts Some(3) Some("o2") None false"#,
                r#"updates None Some("c1") Some("") true"#,
                r#"differences None None Some("d") false"#,
                r#"facts Some(0) Some("o1") Some("second") false"#,
            ]
        );
        assert_eq!(drained(&mut batch), [""; 0]);
        batch.push(record("facts", b"o3", None));
        batch.clear();
        assert_eq!(drained(&mut batch), [""; 0]);
    }

    #[test]
    fn they_wait_for_those_before_them_but_not_for_ever() {
        let mut batch = Batch::default();
        let filled = |batch: &mut Batch, bytes: usize| batch.push(record("updates", b"", Some(&vec![0; bytes])));
        filled(&mut batch, ENOUGH - 1);
        assert!(!batch.are_due(|| true), "too few to be worth a request");
        filled(&mut batch, 1);
        assert!(!batch.are_due(|| false));
        assert!(!batch.are_due(|| true), "just looked at");
        filled(&mut batch, STEP);
        assert!(batch.are_due(|| true));
        filled(&mut batch, MOST);
        assert!(batch.are_due(|| false));
        assert_eq!(batch.drain(|_| Err("a failure")), Err("a failure"));
        assert_eq!(drained(&mut batch), [""; 0]);
        filled(&mut batch, ENOUGH);
        assert!(batch.are_due(|| true), "it begins anew");
    }
}
