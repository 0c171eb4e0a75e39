//! How far groups have come with what they read. The broker is asked little: what it does for that would count as theirs.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::LIMIT;
use crate::broker::brokers;
use crate::service::PARTITIONS;

/// A topic as a group reads it.
pub struct Stream {
    pub group: String,
    pub topic: String,
    /// Whether it is read from outside, and not made on the way.
    pub is_input: bool,
}

impl Stream {
    pub fn of_input(group: String, topic: &str) -> Stream {
        Stream { group, topic: topic.to_owned(), is_input: true }
    }
}

/// Streams, of which the inputs have all their records.
pub struct Followed(Vec<Reader>);

impl Followed {
    pub fn new(streams: &[Stream]) -> Followed {
        Followed(streams.iter().map(Reader::new).collect())
    }

    /// The records of the inputs.
    pub fn events(&self) -> f64 {
        self.inputs().map(|reader| reader.records).sum::<i64>() as f64
    }

    /// Until something of an input is committed. Returns when it last was not.
    pub fn wait_while_idle(&self) -> Instant {
        let mut idle_at = Instant::now();
        until(|| {
            let now = Instant::now();
            let is_idle = self.inputs().all(|reader| reader.committed().iter().all(|offset| *offset == 0));
            if is_idle {
                idle_at = now;
            }
            !is_idle
        });
        idle_at
    }

    /// Until all is committed, in the order of the streams.
    pub fn wait_until_done(&self) {
        self.0.iter().for_each(|reader| until(|| reader.is_done()));
    }

    fn inputs(&self) -> impl Iterator<Item = &Reader> {
        self.0.iter().filter(|reader| reader.is_input)
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not done within {LIMIT:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

struct Reader {
    consumer: BaseConsumer,
    topic: String,
    is_input: bool,
    /// How many there were at first.
    records: i64,
}

impl Reader {
    fn new(stream: &Stream) -> Reader {
        let config =
            [("bootstrap.servers", brokers()), ("group.id", &stream.group), ("isolation.level", "read_uncommitted")];
        let consumer = ClientConfig::from_iter(config.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let consumer = consumer.create().expect("a client");
        let mut reader = Reader { consumer, topic: stream.topic.clone(), is_input: stream.is_input, records: 0 };
        reader.records = reader.ends().sum();
        reader
    }

    fn ends(&self) -> impl Iterator<Item = i64> {
        // A topic that a process has yet to create has no end.
        let end = |partition| self.consumer.fetch_watermarks(&self.topic, partition, LIMIT).map_or(0, |(_, end)| end);
        (0..PARTITIONS).map(end)
    }

    /// The offset of each partition that the group has committed; 0 where it has not.
    fn committed(&self) -> Vec<i64> {
        let mut wanted = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            wanted.add_partition(&self.topic, partition);
        }
        let Ok(committed) = self.consumer.committed_offsets(wanted, LIMIT) else { return Vec::new() };
        let offset = |at: Offset| if let Offset::Offset(offset) = at { offset } else { 0 };
        committed.elements().iter().map(|at| offset(at.offset())).collect()
    }

    fn is_done(&self) -> bool {
        let committed = self.committed();
        if self.is_input {
            return committed.iter().sum::<i64>() >= self.records;
        }
        // What was written in transactions ends with a marker, which nobody commits.
        let mut each = committed.iter().zip(self.ends());
        !committed.is_empty() && each.all(|(offset, end)| offset + 1 >= end)
    }
}
