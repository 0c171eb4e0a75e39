//! Campaigns are judged only while nothing that they live on waits to be read.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use payback::shop::Source;
use payback::time::Millis;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::check::{every_update, figures_of_now, final_figures};
use super::load::{Delivery, Steady, now};
use crate::broker::brokers;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, latest, read, unique};

/// Kafka timestamps of events that happened then.
const LONG_AGO: i64 = 2 * Millis::DAY;

/// Sends these, with timestamps of so many milliseconds ago.
fn send<'a>(loader: &Loader, processor: &Processor, load: impl IntoIterator<Item = &'a Delivery>, ago: i64) {
    for delivery in load {
        let topic = match delivery.source {
            Source::Purchases => &processor.purchases,
            Source::AdSpend => &processor.spend,
        };
        let record = BaseRecord::to(topic).payload(&delivery.value[..]).timestamp(now().0 - ago);
        loader.send_record(match &delivery.key {
            Some(key) => record.key(key.as_bytes()),
            None => record,
        });
    }
    loader.flush();
}

fn is_spend(delivery: &&Delivery) -> bool {
    delivery.source == Source::AdSpend
}

fn verdicts(record: &Value) -> Vec<&Value> {
    let windows = record["windows"].as_object().expect("a campaign has windows");
    windows.values().map(|window| &window["verdict"]).chain([&record["verdict"]["value"]]).collect()
}

fn is_catching_up(record: &Value) -> bool {
    let says = verdicts(record).into_iter().filter(|verdict| *verdict == "catching_up").count();
    let is_catching_up = record["read_through"].is_string();
    assert_eq!(says, if is_catching_up { verdicts(record).len() } else { 0 }, "{record}");
    is_catching_up
}

/// All records of campaigns, of each in order.
fn records(processor: &Processor) -> BTreeMap<String, Vec<Value>> {
    let mut records: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in read(&processor.roas_updates) {
        records.entry(record.key()).or_default().push(record.json().expect("no campaign goes"));
    }
    records
}

/// Writes a record to each of these partitions that is never committed.
fn abort_on(topic: &str, partitions: i32) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", unique("aborts"))
        .create()
        .expect("a producer");
    producer.init_transactions(LIMIT).expect("the broker knows it");
    producer.begin_transaction().expect("a transaction");
    for partition in 0..partitions {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(partition).payload("never committed");
        producer.send(record).map_err(|(error, _)| error).expect("it is sent");
    }
    producer.flush(LIMIT).expect("the broker has it");
    producer.abort_transaction(LIMIT).expect("it is aborted");
}

/// Spend is few records and read at once, the orders behind it take longer: no campaign is a loss meanwhile.
#[test]
fn nothing_is_judged_before_its_orders_are_read() {
    const ORDERS: usize = 15_000;
    let processor = Processor::new("backlog", Partitions { purchases: 6, spend: 3, internal: 4 });
    let steady = Steady::new(4, ORDERS);
    let load = steady.deliveries();
    let loader = Loader::new();
    // Partitions that end with what no reader gets.
    abort_on(&processor.purchases, 6);
    send(&loader, &processor, load.iter().filter(is_spend), LONG_AGO);
    send(&loader, &processor, load.iter().filter(|delivery| !is_spend(delivery)), LONG_AGO);
    abort_on(&processor.spend, 3);

    let mut instance = processor.start("a");
    let mut said = [false; 2];
    wait_until("it is said that records wait", LIMIT, || {
        instance.must_run();
        said[0] |=
            instance.ask("/readyz").is_some_and(|(_, body)| body.contains("catching_up") && body.contains("wait"));
        said[1] |= instance.get("/v1/campaigns").is_some_and(|body| {
            let page: Value = serde_json::from_str(&body).expect("JSON");
            page["complete"] == false && page["total"] == 4
        });
        said == [true; 2] || processor.is_done()
    });
    assert_eq!(said, [true; 2], "by /readyz, and by the list of campaigns");
    processor.wait_until_done(&mut [&mut instance]);
    instance.wait_until_ready();
    figures_of_now(&processor, &mut [&mut instance], &load, now);
    let page: Value = serde_json::from_str(&instance.get("/v1/campaigns").expect("an answer")).expect("JSON");
    assert_eq!((&page["complete"], &page["total"]), (&true.into(), &4.into()));
    instance.leave();

    final_figures(&processor, &load);
    let records = records(&processor);
    assert_eq!(records.len(), 4);
    for (campaign, records) in records {
        let count = |record: &Value| record["windows"]["lifetime"]["orders"].as_f64();
        let judged = records.iter().position(|record| !is_catching_up(record)).expect("it is judged in the end");
        assert!(records[..judged].iter().any(|record| count(record) < Some(ORDERS as f64)), "{campaign}: too fast");
        for record in &records[judged..] {
            assert!(!is_catching_up(record), "{campaign}: nothing waits any more: {record}");
            assert_eq!(count(record), Some(ORDERS as f64), "{campaign}: {record}");
        }
    }
}

/// Waits until all latest records of campaigns say that they are catching up, or until none does.
#[track_caller]
fn wait_until_all_are(catching_up: bool, processor: &Processor, instances: &mut [&mut Instance]) {
    wait_until("all campaigns are catching up, or none is", LIMIT, || {
        instances.iter_mut().for_each(|instance| instance.must_run());
        let latest = latest(&processor.roas_updates);
        !latest.is_empty() && latest.values().all(|record| is_catching_up(record) == catching_up)
    });
}

const TIGHT: (&str, &str) = ("PAYBACK_VERDICT__MAX_LAG_SECONDS", "5");

/// Nobody knows what waits with it, and its group waits for it.
#[test]
fn an_instance_that_says_nothing_holds_campaigns_back() {
    let processor = Processor::new("silent", Partitions::alike(4)).with_session(Duration::from_secs(40));
    let load = Steady::new(4, 100).deliveries();
    let mut a = processor.start_with("a", &[TIGHT]);
    let mut b = processor.start_with("b", &[TIGHT]);
    wait_until("both have a share", LIMIT, || {
        [&a, &b].iter().all(|instance| instance.metrics().of("payback_partitions", "current") == 4.0)
    });
    send(&Loader::new(), &processor, &load, 0);
    processor.wait_until_done(&mut [&mut a, &mut b]);

    a.freeze();
    wait_until("a campaign of the other one waits", LIMIT, || {
        b.must_run();
        latest(&processor.roas_updates).values().any(is_catching_up)
    });
    let says = |instance: &Instance| instance.metrics().total("payback_read_through_seconds");
    wait_until("the metrics say so", LIMIT, || says(&b) > 0.0);
    a.thaw();
    wait_until_all_are(false, &processor, &mut [&mut a, &mut b]);
    wait_until("the metrics say so", LIMIT, || says(&a) == 0.0 && says(&b) == 0.0);
    figures_of_now(&processor, &mut [&mut a, &mut b], &load, now);
    let all = ["_count", "_sum"].map(|of| processor.counted(&format!("payback_purchase_to_roas_seconds{of}")));
    assert!(all[0] > 0.0 && all[1] / all[0] < LIMIT.as_secs_f64(), "{all:?}");
}

/// What a producer writes with the time of its events is as new as all else.
#[test]
fn a_live_load_makes_nothing_wait_whatever_its_timestamps_say() {
    let processor = Processor::new("live", Partitions::alike(3));
    let variables = [("PAYBACK_VERDICT__MAX_LAG_SECONDS", "8")];
    let mut a = processor.start_with("a", &variables);
    a.wait_until_ready();
    let steady = Steady::new(3, 1_000);
    let load = steady.deliveries();
    let mut parts = load.chunks(20);
    let loader = Loader::new();
    let start = Instant::now();
    let mut send_for = |seconds: u64| {
        while start.elapsed() < Duration::from_secs(seconds)
            && let Some(part) = parts.next()
        {
            send(&loader, &processor, part, LONG_AGO);
            thread::sleep(Duration::from_millis(50));
        }
    };
    // Longer than anything may wait.
    send_for(12);
    let mut b = processor.start_with("b", &variables);
    send_for(24);
    send(&loader, &processor, parts.flatten(), LONG_AGO);
    processor.wait_until_done(&mut [&mut a, &mut b]);
    figures_of_now(&processor, &mut [&mut a, &mut b], &load, now);
    for (campaign, records) in records(&processor) {
        let judged = records.iter().position(|record| !is_catching_up(record)).expect("it is judged in the end");
        assert!(judged <= 3, "{campaign}: {judged} of {} records were catching up", records.len());
        let flaps = records[judged..].iter().filter(|record| is_catching_up(record)).count();
        assert_eq!(flaps, 0, "{campaign}: of {} records", records.len());
    }
    every_update(&processor, &steady);
}

/// After an outage everything says so first, and is right in the end.
#[test]
fn what_came_while_nobody_was_there_is_waited_for() {
    let processor = Processor::new("outage", Partitions::alike(2));
    let steady = Steady::new(2, 4_000);
    let load = steady.deliveries();
    let (before, meanwhile) = load.split_at(200);
    let loader = Loader::new();
    let mut a = processor.start_with("a", &[TIGHT]);
    send(&loader, &processor, before, 0);
    processor.wait_until_done(&mut [&mut a]);
    a.leave();
    let left = Instant::now();
    send(&loader, &processor, meanwhile, 0);
    let already = records(&processor);
    while left.elapsed() < Duration::from_secs(6) {
        thread::sleep(Duration::from_millis(100));
    }
    let mut a = processor.start_with("a", &[TIGHT]);
    processor.wait_until_done(&mut [&mut a]);
    figures_of_now(&processor, &mut [&mut a], &load, now);
    for (campaign, records) in records(&processor) {
        let mut records = records[already[&campaign].len()..].iter();
        let waited = records.by_ref().take_while(|record| is_catching_up(record)).count();
        assert!(waited > 0, "{campaign}");
        assert!(records.all(|record| !is_catching_up(record)), "{campaign}");
    }
    a.leave();
    final_figures(&processor, &load);
    every_update(&processor, &steady);
}
