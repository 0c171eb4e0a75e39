//! What a test does with topics: creates them, fills them, and reads them to the end as a reader of committed data.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::broker::{brokers, replication};
use crate::process::{Patience, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// A name that no other test and no other run on the same broker has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    format!("{name}-{:x}-{}", since_epoch.as_millis(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn create(topic: &str, partitions: i32) {
    create_with(topic, partitions, &[]);
}

/// With settings of its own.
pub fn create_with(topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication()));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let created = runtime.block_on(admin.create_topics([&new], &options)).expect("the broker answers");
    for topic in created {
        topic.unwrap_or_else(|(topic, error)| panic!("{topic}: {error}"));
    }
    // The controller has it; the broker learns of it a moment later.
    wait_until("the new topic is known", LIMIT, || {
        let metadata = admin.inner().fetch_metadata(Some(topic), LIMIT).expect("the broker answers");
        let known = metadata.topics().first().is_some_and(|topic| topic.partitions().len() == partitions as usize);
        known && metadata.topics()[0].partitions().iter().all(|partition| partition.leader() >= 0)
    });
}

/// Gives a topic more partitions, so many in all.
pub fn add_partitions(topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let wanted = NewPartitions::new(topic, partitions);
    let grown = admin.create_partitions([&wanted], &options);
    for topic in runtime.block_on(grown).expect("the broker answers") {
        topic.unwrap_or_else(|(topic, error)| panic!("{topic}: {error}"));
    }
}

/// Deletes a topic, and waits until it is gone.
pub fn delete(topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let deleted = runtime.block_on(admin.delete_topics(&[topic], &options)).expect("the broker answers");
    for topic in deleted {
        topic.unwrap_or_else(|(topic, error)| panic!("{topic}: {error}"));
    }
    wait_until("the topic is gone", LIMIT, || {
        let metadata = admin.inner().fetch_metadata(None, LIMIT).expect("the broker answers");
        metadata.topics().iter().all(|known| known.name() != topic)
    });
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

/// Writes to topics, placing keys as Kafka's Java client does.
pub struct Loader(BaseProducer<Deliveries>);

/// Keeps why a record was not delivered, of the first.
#[derive(Default)]
struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            self.0.lock().expect("nobody panics with it").get_or_insert_with(|| error.clone());
        }
    }
}

impl Loader {
    pub fn new() -> Loader {
        let producer = client()
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "4194304")
            .create_with_context(Deliveries::default());
        Loader(producer.expect("a producer"))
    }

    /// Sends a record to the partition of its key.
    pub fn send(&self, topic: &str, key: &str, value: &str) {
        self.send_record(BaseRecord::to(topic).key(key.as_bytes()).payload(value.as_bytes()));
    }

    /// Sends a record with whatever it has.
    pub fn send_record(&self, mut record: BaseRecord<'_, [u8], [u8]>) {
        loop {
            match self.0.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    self.0.poll(Duration::from_millis(10));
                    record = again;
                }
                Err((error, record)) => panic!("{}: {error}", record.topic),
            }
        }
    }

    /// Waits until the broker has all that was sent.
    pub fn flush(&self) {
        self.0.flush(LIMIT).expect("the broker takes records");
        let failed = self.0.context().0.lock().expect("nobody panics with it").take();
        assert_eq!(failed, None, "a record was not delivered");
    }
}

/// A committed record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Record {
        let header = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.unwrap_or_default().to_vec());
        Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        }
    }

    /// The key as text; empty when there is none.
    pub fn key(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// The value as JSON; `None` for a tombstone.
    pub fn json(&self) -> Option<serde_json::Value> {
        self.value.as_deref().map(|value| serde_json::from_slice(value).expect("a record is JSON"))
    }

    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }
}

/// All records of `topic` that were committed when this was called; of each partition in order.
pub fn read(topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    walk(topic, COMMITTED, &BTreeMap::new(), |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Whether `group` has committed its way past all records of `topic` that are committed now.
pub fn is_read(group: &str, topic: &str) -> bool {
    let mut any = false;
    walk(topic, COMMITTED, &committed_offsets(group, topic), |_| {
        any = true;
        ControlFlow::Break(())
    });
    !any
}

/// The number of records in `topic`, with those of aborted transactions.
pub fn written(topic: &str) -> usize {
    let mut count = 0;
    walk(topic, UNCOMMITTED, &BTreeMap::new(), |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

const COMMITTED: &str = "read_committed";
const UNCOMMITTED: &str = "read_uncommitted";

/// Goes through the records from `starts` (else the beginning) that were committed when this was called.
///
/// Reads until the position has reached the high watermark as a client sees it that reads uncommitted too: that of a
/// client which reads committed may be behind what was committed.
fn walk(topic: &str, isolation: &str, starts: &BTreeMap<i32, i64>, mut visit: impl FnMut(Record) -> ControlFlow<()>) {
    let start_of = |partition: i32| starts.get(&partition).copied().unwrap_or(0);
    let mut ends = end_offsets(topic);
    ends.retain(|partition, end| *end > start_of(*partition));
    if ends.is_empty() {
        return;
    }
    let consumer: BaseConsumer = client()
        .set("group.id", "unused")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in ends.keys() {
        let start = Offset::Offset(start_of(*partition));
        assignment.add_partition_offset(topic, *partition, start).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("partitions can be assigned");
    let patience = Patience::of(LIMIT);
    // A broker that is away has no answer yet: what is wrong is wrong when the time is up.
    let mut trouble = None;
    while !reached(&consumer, topic, &ends) {
        let late = || format!("{topic} can't be read to its end {ends:?}: {:?}, {trouble:?}", consumer.position());
        assert!(!patience.is_over(), "{}", late());
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) if visit(Record::of(&message)).is_break() => return,
            Some(Err(error)) => trouble = Some(error),
            Some(Ok(_)) | None => {}
        }
    }
}

fn reached(consumer: &BaseConsumer, topic: &str, ends: &BTreeMap<i32, i64>) -> bool {
    let position = consumer.position().expect("a consumer has a position");
    ends.iter().all(|(&partition, &end)| {
        let position = position.find_partition(topic, partition).map(|at| at.offset());
        matches!(position, Some(Offset::Offset(at)) if at >= end)
    })
}

/// The last record of each key of a compacted topic; tombstones leave none.
pub fn latest(topic: &str) -> BTreeMap<String, serde_json::Value> {
    let mut latest = BTreeMap::new();
    for record in read(topic) {
        match record.json() {
            Some(value) => latest.insert(record.key(), value),
            None => latest.remove(&record.key()),
        };
    }
    latest
}

/// The first offset of each partition that can still be read.
pub fn beginnings(topic: &str) -> BTreeMap<i32, i64> {
    watermarks(topic, UNCOMMITTED).into_iter().map(|(partition, (first, _))| (partition, first)).collect()
}

/// The high watermark of each partition, whatever is committed of it.
pub fn end_offsets(topic: &str) -> BTreeMap<i32, i64> {
    watermarks(topic, UNCOMMITTED).into_iter().map(|(partition, (_, end))| (partition, end)).collect()
}

/// The last stable offset of each partition: before the first record of a transaction that is still open.
pub fn stable_offsets(topic: &str) -> BTreeMap<i32, i64> {
    watermarks(topic, COMMITTED).into_iter().map(|(partition, (_, end))| (partition, end)).collect()
}

fn watermarks(topic: &str, isolation: &str) -> BTreeMap<i32, (i64, i64)> {
    let consumer: BaseConsumer = client().set("isolation.level", isolation).create().expect("a consumer");
    let metadata = answer(|| consumer.fetch_metadata(Some(topic), LIMIT));
    let partitions = metadata.topics()[0].partitions();
    assert!(!partitions.is_empty(), "{topic} does not exist");
    let marks = |partition: i32| answer(|| consumer.fetch_watermarks(topic, partition, LIMIT));
    partitions.iter().map(|partition| (partition.id(), marks(partition.id()))).collect()
}

/// Asks again while the broker is not ready for the question: topics and coordinators move while a broker starts.
#[track_caller]
fn answer<T>(ask: impl Fn() -> KafkaResult<T>) -> T {
    let patience = Patience::of(LIMIT);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(!patience.is_over(), "the broker does not answer: {error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What `group` has committed of each partition of `topic`; 0 where nothing yet.
pub fn committed_offsets(group: &str, topic: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = client().set("group.id", group).create().expect("a consumer");
    let mut wanted = TopicPartitionList::new();
    for partition in end_offsets(topic).keys() {
        wanted.add_partition(topic, *partition);
    }
    let committed = answer(|| consumer.committed_offsets(wanted.clone(), LIMIT));
    let offset = |at: Offset| if let Offset::Offset(offset) = at { offset } else { 0 };
    committed.elements().iter().map(|element| (element.partition(), offset(element.offset()))).collect()
}
