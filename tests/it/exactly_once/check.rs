//! What was put out, against the batch over the events that went in.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use payback::time::Millis;
use serde_json::Value;

use super::load::{Delivery, Steady, campaign};
use crate::batch::{Batch, Config, Records};
use crate::process::Patience;
use crate::processor::{Instance, LIMIT, Processor};
use crate::records::{ByKey, difference, without_the_clock};
use crate::topics::{Record, latest, read};

/// Waits until the latest record of every customer and campaign is the batch's as of now, but for what may be of the record's
/// own moment: a record that should have been written again and was not is never that. The instances must be at work.
#[track_caller]
pub fn figures_of_now(
    processor: &Processor,
    instances: &mut [&mut Instance],
    load: &[Delivery],
    now: impl Fn() -> Millis,
) {
    let texts: Vec<&[u8]> = load.iter().map(|delivery| &delivery.value[..]).collect();
    let batch = Batch::read(&texts, &processor.figures);
    let patience = Patience::of(LIMIT);
    // A moment may come, and an hour turn, while this looks.
    while let Some(stale) = stale(&batch.records(now().0), processor) {
        instances.iter_mut().for_each(|instance| instance.must_run());
        assert!(!patience.is_over(), "not within {LIMIT:?} as of now; batch | latest record:\n{stale}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Where latest records are not these, a line each, of many the first.
fn stale(expected: &Records, processor: &Processor) -> Option<String> {
    let by_id = |(key, record): (String, Value)| (key.strip_prefix("campaign/").unwrap_or(&key).to_owned(), record);
    let campaigns: ByKey = latest(&processor.roas_updates).into_iter().map(by_id).collect();
    let found = Records { customers: latest(&processor.ltv_updates), campaigns };
    let stale = [(&expected.customers, &found.customers), (&expected.campaigns, &found.campaigns)]
        .map(|(expected, found)| difference(&without_the_clock(expected), &without_the_clock(found)));
    let lines: Vec<&str> = stale.iter().flatten().flat_map(|lines| lines.lines()).collect();
    let shown = &lines[..lines.len().min(40)];
    (!lines.is_empty()).then(|| format!("{}\n{} in all", shown.join("\n"), lines.len()))
}

/// Checks that the last committed record of every customer and campaign is the batch's, as of the record's own moment,
/// and that every event that can't be used became one dead letter.
pub fn final_figures(processor: &Processor, load: &[Delivery]) {
    let config = &processor.figures;
    let texts: Vec<&[u8]> = load.iter().map(|delivery| &delivery.value[..]).collect();
    let batch = Batch::read(&texts, config);
    campaigns(processor, &batch);
    customers(processor, &texts, &batch, config);
    dead_letters(processor, &batch);
}

fn campaigns(processor: &Processor, batch: &Batch) {
    let found = latest(&processor.roas_updates);
    let mut by_moment: BTreeMap<i64, Vec<(&str, &Value)>> = BTreeMap::new();
    for (key, record) in &found {
        let id = key.strip_prefix("campaign/").unwrap_or_else(|| panic!("{key} is no campaign's key"));
        by_moment.entry(as_of(record)).or_default().push((id, record));
    }
    let mut expected = BTreeSet::new();
    for (moment, records) in by_moment {
        let batch = batch.records(moment).campaigns;
        for (id, record) in records {
            same(id, record, batch.get(id));
        }
        expected = batch.into_keys().collect();
    }
    let found: BTreeSet<String> = found.into_keys().map(|key| key["campaign/".len()..].to_owned()).collect();
    assert_eq!(found, expected, "campaigns");
}

fn customers(processor: &Processor, texts: &[&[u8]], batch: &Batch, config: &Config) {
    // A customer's figures follow from its own events alone.
    let rejected: BTreeSet<usize> = batch.rejected.iter().map(|(place, _)| *place).collect();
    let mut of_customer: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (place, text) in texts.iter().enumerate().filter(|(place, _)| !rejected.contains(place)) {
        let event: Value =
            serde_json::from_slice(text).unwrap_or_else(|error| panic!("accepted event {place}: {error}"));
        match &event["customer_id"] {
            Value::String(id) => of_customer.entry(id.clone()).or_default().push(text),
            Value::Number(id) => of_customer.entry(id.to_string()).or_default().push(text),
            _ => {}
        }
    }
    let found = latest(&processor.ltv_updates);
    for (id, record) in &found {
        let texts = of_customer.get(id).map_or(&[][..], Vec::as_slice);
        let expected = Batch::read(texts, config).records(as_of(record)).customers;
        same(id, record, expected.get(id));
    }
    assert!(found.keys().eq(of_customer.keys()), "customers: {} instead of {}", found.len(), of_customer.len());
}

fn dead_letters(processor: &Processor, batch: &Batch) {
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for (_, reason) in &batch.rejected {
        *expected.entry((*reason).to_owned()).or_default() += 1;
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for letter in read(&processor.dead_letters) {
        let reason = letter.header("payback.reason").expect("a dead letter says why");
        *found.entry(String::from_utf8_lossy(reason).into_owned()).or_default() += 1;
    }
    assert_eq!(found, expected, "dead letters by reason");
}

/// Checks every record that was ever put out of a load that only adds: it is the batch's over the first so many of its
/// events, as of its own moment, and nothing ever goes back.
pub fn every_update(processor: &Processor, load: &Steady) {
    updates_of_each(processor, load, usize::MAX);
}

/// As [`every_update`], but of each key at most about so many records, evenly and with the last.
pub fn updates_of_each(processor: &Processor, load: &Steady, most: usize) {
    let config = &processor.figures;
    let (of_customers, of_campaigns) = (updates(&processor.ltv_updates), updates(&processor.roas_updates));
    let mut checked = 0;
    for partition in load.campaigns() {
        let (orders, spend) = (&load.orders[partition as usize], &load.spend[partition as usize]);
        let customers: BTreeSet<&String> = orders.iter().map(|(customer, _)| customer).collect();
        for customer in customers {
            let orders = orders.iter().filter(|(of, _)| of == customer).map(|(_, text)| text);
            let orders: Vec<&String> = orders.collect();
            for update in evenly(&of_customers[customer], most) {
                let count = update["orders"].as_u64().expect("a number of orders") as usize;
                let batch = Batch::read(&orders[..count], config).records(as_of(update));
                same(customer, update, batch.customers.get(customer));
                checked += 1;
            }
        }
        let id = campaign(partition);
        for update in evenly(&of_campaigns[&format!("campaign/{id}")], most) {
            let lifetime = &update["windows"]["lifetime"];
            let count = lifetime["orders"].as_f64().expect("a number of orders") as usize;
            let spent: u64 = lifetime["spend"].as_str().and_then(|text| text.parse().ok()).expect("whole amounts");
            let amounts = (0..=spend.len()).find(|&amounts| (0..amounts as u64).map(|n| 300 + n).sum::<u64>() == spent);
            let amounts = amounts.unwrap_or_else(|| panic!("{id} never has spent {spent}"));
            let events = orders[..count].iter().map(|(_, text)| text).chain(&spend[..amounts]);
            let events: Vec<&String> = events.collect();
            let batch = Batch::read(&events, config).records(as_of(update));
            same(&id, update, batch.campaigns.get(&id));
            checked += 1;
        }
    }
    assert!(checked >= 30, "only {checked} updates were there to check");
}

/// About so many of these, with the last.
fn evenly(updates: &[Value], most: usize) -> impl Iterator<Item = &Value> {
    updates.iter().rev().step_by(updates.len().div_ceil(most).max(1))
}

/// All records of a topic by key, in order; their moments never go back, nor do their orders.
fn updates(topic: &str) -> BTreeMap<String, Vec<Value>> {
    let mut updates: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in read(topic) {
        if let Some(value) = record.json() {
            let before = updates.entry(record.key()).or_default();
            if let Some(last) = before.last() {
                assert!(as_of(last) <= as_of(&value), "{}: {value} after {last}", describe(&record));
            }
            before.push(value);
        }
    }
    updates
}

/// The batch's record as it is to be while it is read through this moment, which is null where nothing waits.
fn while_catching_up(record: &Value, read_through: &Value) -> Value {
    let mut record = record.clone();
    if read_through.is_string() {
        record["read_through"] = read_through.clone();
        record["verdict"]["value"] = "catching_up".into();
        let windows = record["windows"].as_object_mut().expect("a campaign has windows");
        windows.values_mut().for_each(|window| window["verdict"] = "catching_up".into());
    }
    record
}

fn describe(record: &Record) -> String {
    format!("{} at {} of partition {}", record.key(), record.offset, record.partition)
}

/// The moment that a record is for.
pub fn as_of(record: &Value) -> i64 {
    let text = record["as_of"].as_str().unwrap_or_else(|| panic!("{record} has no moment"));
    text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond()
}

#[track_caller]
fn same(id: &str, found: &Value, expected: Option<&Value>) {
    let one = |record: Option<&Value>| record.map(|record| (id.to_owned(), record.clone())).into_iter().collect();
    let expected = expected.map(|expected| while_catching_up(expected, &found["read_through"]));
    if let Some(difference) = difference(&one(Some(found)), &one(expected.as_ref())) {
        panic!("{id} as of {}, committed and by the batch:\n{difference}", found["as_of"]);
    }
}
