//! The customers stage as its users see it: events in, records, facts and differences out.

mod attribution;
mod compaction;
mod figures;
mod limits;
mod refunds;
mod restore;
mod snapshots;
mod time;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Customers;
use crate::engine::ledger::{LedgerSums, read_payload};
use crate::engine::{Effects, Last, Outcome, Sizes, Stage};
use crate::events::{Decoder, Reason};
use crate::money::{Micros, Sum};
use crate::settings::{Model, Settings};
use crate::time::Millis;

/// 2026-11-21T10:00:00Z.
const NOW: Millis = Millis(1_795_255_200_000);
const DAY: i64 = Millis::DAY;

#[derive(Default)]
struct Collected {
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    updates: BTreeMap<String, Value>,
    written: usize,
    ledger: BTreeMap<(String, i64), LedgerSums>,
}

impl Effects for Collected {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.facts.insert(key.to_vec(), value.to_vec()),
            None => self.facts.remove(key),
        };
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        self.updates.insert(key.to_owned(), serde_json::from_slice(value.unwrap()).unwrap());
        self.written += 1;
    }

    fn differences(&mut self, _: u32, payload: &[u8]) {
        for difference in read_payload(payload).unwrap() {
            *self.ledger.entry((difference.campaign_id.to_owned(), difference.hour.0)).or_default() += difference.sums;
        }
    }
}

struct Shop {
    stage: Customers,
    decoder: Decoder,
    out: Collected,
}

impl Shop {
    fn new(change: impl FnOnce(&mut Settings)) -> Shop {
        let mut settings = Settings::default();
        change(&mut settings);
        Shop { decoder: Decoder::new(&settings), stage: Customers::new(Arc::new(settings)), out: Collected::default() }
    }

    fn take(&mut self, event: Value) -> Outcome {
        let text = event.to_string();
        let event = self.decoder.decode(text.as_bytes(), NOW).unwrap();
        self.stage.check(&event).unwrap();
        self.stage.apply(&event, &mut self.out).unwrap()
    }

    fn flush(&mut self) {
        self.stage.flush(NOW, &mut self.out);
    }

    /// The customer's record after a flush, of the whole ledger of a campaign too.
    fn record(&mut self, id: &str) -> Value {
        self.flush();
        let record = self.out.updates[id].clone();
        let asked: Value = serde_json::from_slice(&self.stage.record(id, NOW).unwrap()).unwrap();
        assert_eq!(record, asked, "the API answers what was written");
        record
    }

    fn campaign(&mut self, id: &str) -> LedgerSums {
        self.flush();
        let of_campaign = self.out.ledger.iter().filter(|(key, _)| key.0 == id);
        of_campaign.fold(LedgerSums::default(), |sum, (_, sums)| sum + *sums)
    }
}

fn order(id: &str, days_ago: i64, revenue: i64) -> Value {
    json!({"type": "purchase", "customer_id": "c", "order_id": id, "occurred_at": NOW.0 - days_ago * DAY, "revenue": revenue})
}

fn with(mut event: Value, more: Value) -> Value {
    let fields = event.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    event
}

fn units(amount: i128) -> Sum {
    Sum(amount * 1_000_000)
}

/// The state as the changelog restores it.
fn restored(shop: &Shop) -> Customers {
    restored_to(shop, shop.stage.as_of.map_or(Last::at(NOW), Last::at))
}

fn restored_to(shop: &Shop, last: Last) -> Customers {
    let mut restored = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        restored.restore(key, Some(value)).unwrap();
    }
    restored.restored(Some(last));
    restored
}

fn at(then: i64) -> i64 {
    NOW.0 + then * DAY
}

/// Keeps orders for 400 days, and its first week is over.
fn short_memory(settings: &mut Settings) {
    settings.retention.orders_days = Some(400);
}

/// Lets days pass after `NOW`, six at a time, as rolls do.
fn pass(shop: &mut Shop, from: i64, to: i64) {
    for day in (from..to).step_by(6).chain([to]) {
        let then = Millis(NOW.0 + day * DAY);
        while !shop.stage.roll(then, 10, &mut shop.out) {}
    }
}

fn kinds(shop: &Shop) -> String {
    shop.out.facts.keys().map(|key| key[0] as char).collect()
}
