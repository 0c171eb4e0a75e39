//! A reader of what is committed, from the first record on while everything goes wrong: no moment goes back, and what only
//! adds is at every record the sum of the first so many events, each of them once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;

use crate::broker::brokers;
use crate::load::{Steady, campaign};
use crate::probe::{Probes, revenue};
use crate::process::wait_until;
use crate::processor::{LIMIT, Processor};
use crate::topics::{end_offsets, read};

pub struct Witness {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    records: AtomicUsize,
    checked: AtomicUsize,
    latest: Mutex<BTreeMap<String, Latest>>,
    /// The first record that can't be.
    wrong: Mutex<Option<String>>,
}

/// Of the last record of a key.
#[derive(Clone, Copy)]
struct Latest {
    as_of: i64,
    orders: usize,
}

/// What only adds, by key of its records.
pub struct Adding(BTreeMap<String, Sums>);

/// What the first so many events come to.
struct Sums {
    revenue: Vec<u64>,
    spend: BTreeSet<u64>,
}

impl Adding {
    pub fn new(steady: &Steady, probes: &Probes, most_probes: usize) -> Adding {
        let mut all = BTreeMap::new();
        let mut put = |key: String, revenues: &[u64], spend: usize| {
            let spend = (0..spend as u64).map(|number| 300 + number).collect::<Vec<u64>>();
            let sums = Sums { revenue: sums(revenues), spend: sums(&spend).into_iter().collect() };
            all.insert(key, sums);
        };
        for partition in steady.campaigns() {
            let (orders, spend) = (&steady.orders[partition as usize], &steady.spend[partition as usize]);
            let revenues: Vec<u64> = (0..orders.len()).map(revenue).collect();
            put(format!("campaign/{}", campaign(partition)), &revenues, spend.len());
            let mut of_customers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for ((customer, _), revenue) in orders.iter().zip(revenues) {
                of_customers.entry(customer).or_default().push(revenue);
            }
            for (customer, revenues) in of_customers {
                put(customer.to_owned(), &revenues, 0);
            }
        }
        let revenues: Vec<u64> = (0..most_probes).map(revenue).collect();
        probes.keys().for_each(|key| put(key, &revenues, 0));
        Adding(all)
    }

    /// What a record says that can't be, and its orders if it is of something that only adds.
    fn check(&self, key: &str, record: &Value) -> Result<Option<usize>, String> {
        let Some(sums) = self.0.get(key) else { return Ok(None) };
        let figures = if key.starts_with("campaign/") { &record["windows"]["lifetime"] } else { record };
        let whole = |name: &str| figures[name].as_str().and_then(|text| text.parse::<u64>().ok());
        let orders = figures["orders"].as_f64().ok_or("it has no orders")? as usize;
        let revenue = whole("revenue").ok_or("its revenue is not whole")?;
        let expected = sums.revenue.get(orders).ok_or("it has more orders than were sent")?;
        if revenue != *expected {
            return Err(format!("the first {orders} orders make {expected}"));
        }
        if figures.get("spend").is_some() && !whole("spend").is_some_and(|spend| sums.spend.contains(&spend)) {
            return Err("it never has spent that".to_owned());
        }
        Ok(Some(orders))
    }
}

/// Of the first none, one, two and so on.
fn sums(amounts: &[u64]) -> Vec<u64> {
    let mut sum = 0;
    let next = amounts.iter().map(|amount| {
        sum += amount;
        sum
    });
    std::iter::once(0).chain(next).collect()
}

impl Witness {
    /// Reads both topics of updates, which must be there.
    pub fn start(processor: &Processor, adding: Adding) -> Witness {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", "witness")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        for topic in [&processor.ltv_updates, &processor.roas_updates] {
            for partition in end_offsets(topic).into_keys() {
                all.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
            }
        }
        consumer.assign(&all).expect("partitions can be assigned");
        let seen: Arc<Seen> = Arc::default();
        let shared = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                // Brokers come and go; what counts is what is read.
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                    shared.take(&message, &adding);
                }
            }
        });
        Witness { seen, thread: Some(thread) }
    }

    /// Panics when a record can't be.
    #[track_caller]
    pub fn must_be_content(&self) {
        if let Some(wrong) = &*self.seen.wrong.lock().expect("the reader lives") {
            panic!("a reader of what is committed saw: {wrong}");
        }
        assert!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the reader reads");
    }

    /// Whether each of these was seen with so many orders.
    pub fn has_seen(&self, mut keys: impl Iterator<Item = String>, orders: usize) -> bool {
        let latest = self.seen.latest.lock().expect("the reader lives");
        keys.all(|key| latest.get(&key).is_some_and(|latest| latest.orders >= orders))
    }

    /// Waits until it has read all, and checks that a reader that comes later is shown just as much.
    pub fn finish(&mut self, processor: &Processor) -> String {
        let there = read(&processor.ltv_updates).len() + read(&processor.roas_updates).len();
        let records = || self.seen.records.load(Ordering::Relaxed);
        wait_until("the reader has read all", LIMIT, || {
            self.must_be_content();
            records() >= there
        });
        assert_eq!(records(), there, "records that were shown to a reader, and those that are there");
        let told = format!(
            "{there} records read, {} of them sums of what only adds",
            self.seen.checked.load(Ordering::Relaxed)
        );
        self.stop();
        told
    }

    fn stop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Seen {
    fn take(&self, message: &BorrowedMessage<'_>, adding: &Adding) {
        self.records.fetch_add(1, Ordering::Relaxed);
        let Some(payload) = message.payload() else { return };
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let wrong = match serde_json::from_slice(payload) {
            Ok(record) => self.compare(&key, &record, adding).err(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(wrong) = wrong {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            let record = String::from_utf8_lossy(payload);
            let wrong = format!("{topic} partition {partition} offset {offset}, {key}: {wrong}:\n{record}");
            self.wrong.lock().expect("nobody panics with it").get_or_insert(wrong);
        }
    }

    fn compare(&self, key: &str, record: &Value, adding: &Adding) -> Result<(), String> {
        let as_of = record["as_of"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let as_of = as_of.ok_or("it has no moment")?.as_millisecond();
        let orders = adding.check(key, record)?;
        let mut latest = self.latest.lock().expect("nobody panics with it");
        if let Some(before) = latest.get(key) {
            if as_of < before.as_of {
                return Err(format!("the record before was {} ms younger", before.as_of - as_of));
            }
            if orders.is_some_and(|orders| orders < before.orders) {
                return Err(format!("it had {} orders before", before.orders));
            }
        }
        self.checked.fetch_add(usize::from(orders.is_some()), Ordering::Relaxed);
        latest.insert(key.to_owned(), Latest { as_of, orders: orders.unwrap_or(0) });
        Ok(())
    }
}

#[test]
fn an_order_that_counts_twice_is_noticed() {
    let adding = Adding::new(&Steady::new(1, 20), &Probes::new(1), 5);
    let customer = |orders: usize, revenue: u64| serde_json::json!({"orders": orders, "revenue": revenue.to_string()});
    assert_eq!(adding.check("probe-0", &customer(2, 201)), Ok(Some(2)));
    assert!(adding.check("probe-0", &customer(2, 200)).is_err(), "the first one twice");
    assert!(adding.check("probe-0", &customer(3, 301)).is_err());
    assert_eq!(adding.check("unknown", &customer(3, 301)), Ok(None));
    let campaign = |spend: u64| serde_json::json!({"windows": {"lifetime": {"orders": 1.0, "revenue": "100", "spend": spend.to_string()}}});
    assert_eq!(adding.check("campaign/steady:0", &campaign(300)), Ok(Some(1)));
    assert!(adding.check("campaign/steady:0", &campaign(600)).is_err());
}
