//! A past that is given up: what happened over a year ago, to customers of the load among others, and is kept as sums by the
//! time that the first fault strikes. What comes then belongs to none of it one by one, so the figures stay those of the batch.

use std::collections::{BTreeMap, BTreeSet};

use payback::shop::Source;
use payback::time::Millis;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::load::{Delivery, now};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Processor};
use crate::topics::{Loader, read};

/// Enough for the load of the torture itself, and for the longest window.
const RETENTION: [(&str, &str); 3] = [
    ("PAYBACK_RETENTION__SPEND_DAYS", "120"),
    ("PAYBACK_RETENTION__DAYS", "370"),
    ("PAYBACK_RETENTION__ORDERS_DAYS", "366"),
];
/// Customers of the load who have a past, and as many who have nothing else.
const CUSTOMERS: usize = 400;
/// Some in each partition.
const CAMPAIGNS: usize = 24;
/// Nothing is given up in the first week, nor when time has stood still for one.
const STEPS: [i64; 2] = [6 * Millis::DAY, 6 * Millis::DAY];

pub struct Past {
    pub load: Vec<Delivery>,
    clock: Clock,
}

impl Past {
    /// Of some of the customers in this load.
    pub fn of(load: &[Delivery]) -> Past {
        let events = || load.iter().filter_map(|delivery| serde_json::from_slice::<Value>(&delivery.value).ok());
        let customer = |event: &Value| Some(event["customer_id"].as_str()?.to_owned());
        // Of whom it is said later that they bought before: what the first order said stands by then.
        let bought_elsewhere: BTreeSet<String> = events()
            .filter(|event| event.get("customer_since").is_some())
            .filter_map(|event| customer(&event))
            .collect();
        let known: BTreeSet<String> = events().filter_map(|event| customer(&event)).collect();
        let known = known.difference(&bought_elsewhere).filter(|id| !id.starts_with("steady")).take(CUSTOMERS).cloned();
        let customers: Vec<String> = known.chain((0..CUSTOMERS).map(|number| format!("past-{number}"))).collect();
        // From 700 to 400 days ago.
        let began = now().plus(-700 * Millis::DAY);
        let at = |number: usize| began.plus(number as i64 * 300 * Millis::DAY / (4 * CUSTOMERS) as i64).0;
        let campaign = |number: usize| format!("past:{}", number / 4 % CAMPAIGNS);
        let mut past = Vec::new();
        for number in 0..4 * CUSTOMERS {
            let customer = &customers[number * 7 % customers.len()];
            let (source, key, event) = match number % 4 {
                0 => {
                    let spend = json!({"type": "ad_spend", "campaign_id": campaign(number), "spend_id": number,
                        "occurred_at": at(number), "amount": 50 + number % 9, "channel": "search"});
                    (Source::AdSpend, campaign(number), spend)
                }
                1 => {
                    let kind = if number % 8 == 1 { "acquisition" } else { "retention" };
                    let cost = json!({"type": "customer_cost", "customer_id": customer, "cost_id": number,
                        "occurred_at": at(number), "amount": 3, "kind": kind});
                    (Source::Purchases, customer.clone(), cost)
                }
                _ => {
                    let order = json!({"type": "purchase", "customer_id": customer, "order_id": format!("past-{number}"),
                        "occurred_at": at(number), "revenue": 90 + number % 50, "cost_of_goods": 40,
                        "campaign_id": campaign(number), "channel": "search"});
                    (Source::Purchases, customer.clone(), order)
                }
            };
            past.push(Delivery { source, key: Some(key), value: event.to_string().into_bytes() });
        }
        Past { load: past, clock: Clock::new() }
    }

    /// For the environment of each instance.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        RETENTION.into_iter().chain([self.clock.variable()])
    }

    /// How far the instances' clock is ahead, once all is given up.
    pub fn ahead(&self) -> i64 {
        STEPS.iter().sum()
    }

    /// Has it processed, and time pass until nothing of it is kept one by one.
    pub fn is_given_up(&self, processor: &Processor, instances: &mut [&mut Instance]) {
        // The last of it comes when the first days have passed, so that every partition has seen them pass.
        let (first, last) = self.load.split_at(self.load.len() * 4 / 5);
        let kept = || [("customers", "oc"), ("campaigns", "a")].map(|(stage, kinds)| facts(processor, stage, kinds));
        for (part, step) in [first, last].into_iter().zip(STEPS) {
            send(processor, part);
            processor.wait_until_done(instances);
            let kept = kept();
            assert!(kept.iter().all(|facts| *facts > CUSTOMERS / 2), "{kept:?}");
            self.clock.forward(step);
        }
        wait_until("the past is given up", LIMIT, || {
            instances.iter_mut().for_each(|instance| instance.must_run());
            kept() == [0, 0]
        });
    }
}

fn send(processor: &Processor, load: &[Delivery]) {
    let loader = Loader::new();
    for Delivery { source, key, value } in load {
        let topic = match source {
            Source::Purchases => &processor.purchases,
            Source::AdSpend => &processor.spend,
        };
        let key = key.as_deref().expect("each has one");
        loader.send(topic, key, std::str::from_utf8(value).expect("JSON is UTF-8"));
    }
    loader.flush();
}

/// The facts of these kinds, by the first letters of their keys, that are current in a changelog.
fn facts(processor: &Processor, stage: &str, kinds: &str) -> usize {
    let records = read(&format!("{}-{stage}-changelog", processor.application_id));
    let mut current = BTreeMap::new();
    for record in records {
        current.insert(record.key.clone(), record.value.is_some());
    }
    let is_one = |key: &Option<Vec<u8>>| key.as_ref().is_some_and(|key| kinds.as_bytes().contains(&key[0]));
    current.iter().filter(|(key, is_there)| **is_there && is_one(key)).count()
}
