//! A partition that isn't read doesn't count, as long as nobody says so: those that a source gets, and those behind somebody's
//! open transaction.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use crate::broker::brokers;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, add_partitions, end_offsets};

/// An order of so many units.
fn order(number: usize) -> String {
    json!({
        "type": "purchase", "customer_id": format!("c-{number}"), "order_id": number, "occurred_at": "2026-01-05T10:00:00Z",
        "revenue": 10, "campaign_id": "c",
    })
    .to_string()
}

fn purchases(instance: &Instance) -> f64 {
    instance.metrics().of("payback_events_total", "purchase")
}

#[test]
fn partitions_that_a_source_gets_are_read_within_10_s() {
    let processor = Processor::new("wider", Partitions::alike(2));
    let mut instance = processor.start("a");
    instance.wait_until_ready();
    add_partitions(&processor.purchases, 4);
    wait_until("the broker knows them", LIMIT, || end_offsets(&processor.purchases).len() == 4);
    let loader = Loader::new();
    for number in 0..40 {
        let order = order(number);
        let record = BaseRecord::to(&processor.purchases).payload(order.as_bytes()).partition(number as i32 % 4);
        loader.send_record(record);
    }
    loader.flush();
    let since = Instant::now();
    wait_until("all orders are taken", Duration::from_secs(30), || purchases(&instance) >= 40.0);
    println!("after {:.1} s", since.elapsed().as_secs_f64());
    instance.leave();
}

#[test]
fn a_partition_behind_a_transaction_that_nobody_ends_is_named() {
    let processor = Processor::new("open", Partitions::alike(2));
    let mut instance = processor.start("a");
    instance.wait_until_ready();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", format!("{}-dies", processor.application_id))
        .set("transaction.timeout.ms", "600000")
        .create()
        .expect("a producer");
    producer.init_transactions(LIMIT).expect("the broker knows it");
    producer.begin_transaction().expect("it has just been introduced");
    let send = |number: usize, partition: i32| {
        let order = order(number);
        let record = BaseRecord::<(), _>::to(&processor.purchases).payload(&order).partition(partition);
        producer.send(record).map_err(|(error, _)| error).expect("there is room");
        producer.flush(LIMIT).expect("the broker takes it");
    };
    send(0, 1);
    let loader = Loader::new();
    for number in 1..21 {
        let order = order(number);
        let record = BaseRecord::to(&processor.purchases).payload(order.as_bytes()).partition(number as i32 % 2);
        loader.send_record(record);
    }
    loader.flush();
    wait_until("the other partition goes on", LIMIT, || purchases(&instance) >= 10.0);

    let named = format!("{} partition 1 has stood at offset 0 for ", processor.purchases);
    wait_until("it is named", 2 * LIMIT, || {
        let answer = instance.ask("/readyz");
        answer.is_some_and(|(status, body)| {
            status == 503 && body.contains(&named) && body.contains("a transaction is open")
        })
    });
    let log = instance.log();
    let said = log.lines().find(|line| line.contains("the partition does not move: a transaction is open there"));
    let said = said.expect("the log says it");
    assert!(said.contains(&processor.purchases) && said.contains("partition=1") && said.contains("offset=0"), "{said}");
    let age = |instance: &Instance| instance.metrics().of("payback_blocked_partition_seconds", &processor.purchases);
    wait_until("a metric says for how long", LIMIT, || age(&instance) >= 30.0);
    assert_eq!(purchases(&instance), 10.0, "nothing of it was taken");

    producer.abort_transaction(LIMIT).expect("it is open");
    wait_until("it goes on", LIMIT, || purchases(&instance) >= 20.0);
    instance.wait_until_ready();
    wait_until("nothing is said of it any more", LIMIT, || age(&instance) == 0.0);
    instance.leave();
}
