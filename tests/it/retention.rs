//! What is too old to be kept individually is given up, on real Kafka: its facts leave the changelog, its sums stay, and what
//! would change it is a dead letter.

mod crashes;

use std::collections::BTreeMap;

use payback::shop::Source;
use payback::time::Millis;
use serde_json::{Value, json};

use crate::exactly_once::{Clock, Delivery, now};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, latest, read};

const DAY: i64 = Millis::DAY;

/// Keeps little for long.
const SHORT: [(&str, &str); 6] = [
    ("PAYBACK_WINDOWS", "24h,5d,lifetime"),
    ("PAYBACK_VERDICT__MATURITY_DAYS", "3"),
    ("PAYBACK_RETENTION__HOURS_DAYS", "1"),
    ("PAYBACK_RETENTION__SPEND_DAYS", "2"),
    ("PAYBACK_RETENTION__DAYS", "5"),
    ("PAYBACK_RETENTION__ORDERS_DAYS", "366"),
];

/// The facts that are current in a changelog, by the first letters of their keys.
fn facts(processor: &Processor, stage: &str) -> BTreeMap<char, usize> {
    let mut current = BTreeMap::new();
    for record in read(&format!("{}-{stage}-changelog", processor.application_id)) {
        let key = record.key.clone().expect("a fact has a key");
        current.insert(key, record.value.is_some());
    }
    let mut kinds = BTreeMap::new();
    for (key, _) in current.into_iter().filter(|(_, is_there)| *is_there) {
        *kinds.entry(key[0] as char).or_default() += 1;
    }
    kinds
}

fn send(topic: &str, key: &str, event: &Value) {
    let loader = Loader::new();
    loader.send(topic, key, &event.to_string());
    loader.flush();
}

fn reasons(processor: &Processor) -> Vec<String> {
    let header = |name: &str, record: &crate::topics::Record| {
        String::from_utf8_lossy(record.header(name).unwrap_or_default()).into_owned()
    };
    read(&processor.dead_letters).iter().map(|letter| header("payback.reason", letter)).collect()
}

/// The moment of a stage's last commit, which stands first in the progress that its worker keeps.
fn as_of(processor: &Processor, stage: &str) -> i64 {
    let progress = read(&format!("{}-{stage}-changelog", processor.application_id));
    let progress = progress.iter().rev().find(|record| record.key.as_deref() == Some(b"P"));
    let value = progress.and_then(|record| record.value.clone()).unwrap_or_default();
    postcard::take_from_bytes(value.get(1..).unwrap_or_default()).map_or(0, |(as_of, _)| as_of)
}

/// Lets days pass, six at a time, with their rolls: nothing stands still for a week.
fn pass(days: i64, clock: &Clock, processor: &Processor, instance: &mut Instance, ahead: &mut i64) {
    let mut left = days;
    while left > 0 {
        let some = left.min(6);
        left -= some;
        *ahead += some * DAY;
        clock.forward(some * DAY);
        let then = now().plus(*ahead - 60_000).0;
        wait_until("the hours roll", LIMIT, || {
            instance.must_run();
            ["customers", "campaigns"].iter().all(|stage| as_of(processor, stage) > then)
        });
    }
}

#[test]
fn spend_that_is_given_up_counts_on_and_is_not_counted_twice() {
    let processor = Processor::new("retention-spend", Partitions::alike(1));
    let clock = Clock::new();
    let mut variables = SHORT.to_vec();
    variables.push(clock.variable());
    let mut instance = processor.start_with("a", &variables);

    let began = now();
    let amount = |id: usize, at: Millis| json!({"type": "ad_spend", "campaign_id": "c", "spend_id": id, "occurred_at": at.0, "amount": "12.5"});
    let date = began.plus(-DAY).to_string()[..10].to_owned();
    let report = json!({"type": "ad_spend_report", "campaign_id": "c", "date": date, "breakdown": "de",
        "reported_at": began.plus(-60_000).0, "amount": 24, "campaign_name": "Spring", "platform": "google"});
    for id in 0..10 {
        send(&processor.spend, "c", &amount(id, began.plus(-DAY)));
    }
    send(&processor.spend, "c", &report);
    processor.wait_until_done(&mut [&mut instance]);
    let kinds = || facts(&processor, "campaigns");
    assert_eq!((kinds().get(&'a'), kinds().get(&'r')), (Some(&10), Some(&1)));

    pass(8, &clock, &processor, &mut instance, &mut 0);
    wait_until("what is too old is given up", LIMIT, || !kinds().contains_key(&'a') && !kinds().contains_key(&'r'));
    let left = kinds();
    assert_eq!((left.get(&'b'), left.get(&'c'), left.get(&'d')), (Some(&1), Some(&1), None), "{left:?}");

    send(&processor.spend, "c", &amount(3, began.plus(-DAY)));
    send(&processor.spend, "c", &report);
    send(&processor.spend, "c", &amount(100, began.plus(7 * DAY)));
    processor.wait_until_done(&mut [&mut instance]);
    let lifetime = || latest(&processor.roas_updates)["campaign/c"]["windows"]["lifetime"]["spend"].clone();
    assert_eq!(lifetime(), "161.5");
    assert_eq!(reasons(&processor), ["too_late", "too_late"]);

    // What was given up stays given up, whoever has the partition.
    instance.kill();
    let mut instance = processor.start_with("b", &variables);
    instance.wait_until_ready();
    send(&processor.spend, "c", &amount(4, began.plus(-DAY)));
    send(&processor.spend, "c", &amount(101, began.plus(7 * DAY)));
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!(lifetime(), "174");
    assert_eq!(latest(&processor.roas_updates)["campaign/c"]["name"], "Spring");
    assert_eq!(reasons(&processor).len(), 3);
    instance.leave();
}

#[test]
fn orders_that_are_given_up_count_on_and_are_not_counted_twice() {
    let processor = Processor::new("retention-orders", Partitions::alike(2));
    let clock = Clock::new();
    let mut variables = SHORT.to_vec();
    variables.push(clock.variable());
    let mut instance = processor.start_with("a", &variables);

    let began = now();
    let order = |customer: usize, id: &str, at: Millis| {
        json!({"type": "purchase", "customer_id": format!("c-{customer}"), "order_id": id, "occurred_at": at.0,
            "revenue": 100, "cost_of_goods": 40, "campaign_id": "g"})
    };
    let refund = |customer: usize, id: usize| {
        json!({"type": "refund", "customer_id": format!("c-{customer}"), "order_id": "o-1", "refund_id": id,
            "occurred_at": began.0, "amount": 10})
    };
    let send = |customer: usize, event: &Value| send(&processor.purchases, &format!("c-{customer}"), event);
    for customer in 0..10 {
        send(customer, &order(customer, "o-1", began.plus(-362 * DAY)));
        send(customer, &order(customer, "o-2", began.plus(-361 * DAY)));
    }
    send(3, &refund(3, 1));
    send(4, &order(4, "o-3", began.plus(-DAY)));
    processor.wait_until_done(&mut [&mut instance]);
    let kinds = || facts(&processor, "customers");
    assert_eq!((kinds().get(&'o'), kinds().get(&'r')), (Some(&21), Some(&1)));

    pass(8, &clock, &processor, &mut instance, &mut 0);
    wait_until("what is too old is given up", LIMIT, || kinds().get(&'o') == Some(&1));
    let left = kinds();
    assert_eq!((left.get(&'f'), left.get(&'k'), left.get(&'r')), (Some(&10), Some(&10), None), "{left:?}");

    let later = began.plus(7 * DAY);
    let customer = |id: usize| latest(&processor.ltv_updates)[&format!("c-{id}")].clone();
    let acquired = || latest(&processor.roas_updates)["campaign/g"]["windows"]["lifetime"]["acquired_ltv"].clone();
    send(3, &refund(3, 2));
    send(3, &order(3, "o-2", began.plus(-361 * DAY)));
    send(3, &order(3, "o-3", later));
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!((&customer(3)["orders"], &customer(3)["revenue"]), (&json!(3), &json!("290")));
    assert_eq!(reasons(&processor), ["too_late", "too_late"]);
    assert_eq!(acquired(), "2190");

    // What was given up stays given up, whoever has the partition.
    instance.kill();
    let mut instance = processor.start_with("b", &variables);
    instance.wait_until_ready();
    send(5, &refund(5, 1));
    send(5, &order(5, "o-3", later));
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!((&customer(5)["orders"], &customer(5)["revenue"]), (&json!(3), &json!("300")));
    assert_eq!(customer(5)["acquired_by"]["campaign_id"], "g");
    assert_eq!(acquired(), "2290");
    assert_eq!(reasons(&processor).len(), 3);
    instance.leave();
}
