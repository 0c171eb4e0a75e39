//! What any exactly-once program has to do here and nothing more: consume, parse, produce two records of 500 bytes for
//! each customer of a commit, commit. The measure for what `payback run` costs.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use serde::Deserialize;

use crate::LIMIT;
use crate::broker::brokers;
use crate::process::Process;

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    pub source: String,
    #[arg(long)]
    pub outputs: Vec<String>,
    #[arg(long)]
    pub group: String,
}

const COMMIT_EVERY: Duration = Duration::from_millis(100);
const RECORD: [u8; 500] = [b'x'; 500];

/// Starts it in a process of its own.
pub fn start(options: &Options) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its own file"));
    command.args(["bare-loop", "--source", &options.source, "--group", &options.group]);
    for output in &options.outputs {
        command.args(["--outputs", output]);
    }
    Process::start(command.env("PAYBACK_TEST_BROKERS", brokers()).stdout(Stdio::null()))
}

/// Goes on until the process is killed.
pub fn run(options: &Options) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", &options.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "range")
        .set("fetch.queue.backoff.ms", "2")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[&options.source]).expect("a subscription");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", &options.group)
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("delivery.report.only.error", "true")
        .create()
        .expect("a producer");
    producer.init_transactions(LIMIT).expect("the broker answers");

    let mut customers = HashSet::new();
    loop {
        producer.begin_transaction().expect("no transaction is open");
        let begun = Instant::now();
        let mut events = 0_u64;
        while begun.elapsed() < COMMIT_EVERY || events == 0 {
            let Some(message) = consumer.poll(Duration::from_millis(10)) else { continue };
            let message = message.expect("a record");
            let purchase: Purchase = serde_json::from_slice(message.payload().unwrap_or_default()).expect("a purchase");
            std::hint::black_box(&purchase);
            if !customers.contains(purchase.customer_id) {
                customers.insert(purchase.customer_id.to_owned());
            }
            events += 1;
        }
        for customer in customers.drain() {
            for output in &options.outputs {
                send(&producer, BaseRecord::to(output).key(customer.as_bytes()).payload(&RECORD));
            }
        }
        // flush() would wait in steps of 100 ms.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        let group = consumer.group_metadata().expect("a member of a group");
        let position = consumer.position().expect("a position");
        producer.send_offsets_to_transaction(&position, &group, LIMIT).expect("offsets are taken");
        producer.commit_transaction(LIMIT).expect("a commit");
    }
}

fn send<'a>(producer: &BaseProducer, mut record: BaseRecord<'a, [u8], [u8; 500]>) {
    while let Err((error, again)) = producer.send(record) {
        assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
        producer.poll(Duration::from_millis(1));
        record = again;
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed for what parsing costs")]
struct Purchase<'a> {
    r#type: &'a str,
    customer_id: &'a str,
    order_id: &'a str,
    occurred_at: &'a str,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
    operating_cost: &'a str,
    touchpoints: Vec<Touchpoint<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed for what parsing costs")]
struct Item<'a> {
    sku: &'a str,
    quantity: u64,
    unit_price: &'a str,
    unit_cost: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed for what parsing costs")]
struct Touchpoint<'a> {
    at: &'a str,
    campaign_id: &'a str,
    channel: &'a str,
}
