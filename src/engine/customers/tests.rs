//! The customers stage as its users see it: events in, records, facts and differences out.

mod snapshots;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Customers;
use crate::engine::ledger::{LedgerSums, read_payload};
use crate::engine::{Effects, Outcome, Sizes, Stage};
use crate::events::{Decoder, Reason};
use crate::money::{Micros, Sum};
use crate::settings::{Currency, Model, Settings};
use crate::time::{Millis, Zone};

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

#[test]
fn ltv_by_the_formula_is_value_times_frequency_times_lifespan() {
    for (value, orders, ltv) in [(200_000, 5, "1000000"), (5_000, 20, "100000")] {
        let mut shop = Shop::new(|_| {});
        for i in 0..orders {
            shop.take(order(&i.to_string(), i, value));
        }
        let record = shop.record("c");
        assert_eq!(record["ltv"]["formula"], ltv);
        assert_eq!(record["average_order_value"], value.to_string());
        assert_eq!(record["purchases_per_year"], orders);
    }
}

#[test]
fn the_formula_is_rounded_once() {
    let mut shop = Shop::new(|settings| settings.lifespan_years = Micros(2_500_000));
    for (id, revenue) in [("a", 1), ("b", 0), ("c", 0)] {
        shop.take(order(id, 1, revenue));
    }
    let record = shop.record("c");
    assert_eq!(record["average_order_value"], "0.333333");
    assert_eq!(record["ltv"]["formula"], "2.5", "not 2.4999975");
}

#[test]
fn the_contract_shows_what_is_written() {
    let mut shop = Shop::new(|settings| {
        settings.currency = Currency(*b"JPY");
        settings.zone = Zone::named("Asia/Tokyo").unwrap();
    });
    let order = |id: u32, at: &str, quantity: u32| {
        let items = json!([{"sku": "A", "quantity": quantity, "unit_price": 1}]);
        json!({"type": "purchase", "customer_id": "c-1", "order_id": id, "occurred_at": at, "items": items,
            "revenue": 200_000, "cost_of_goods": 80_000, "operating_cost": 10_000, "campaign_id": "google:1", "channel": "search"})
    };
    shop.take(order(1, "2026-01-14T12:00:00+09:00", 1));
    for (id, month) in [(2, 3), (3, 5), (4, 8)] {
        shop.take(order(id, &format!("2026-{month:02}-01T12:00:00+09:00"), 2));
    }
    shop.take(order(5, "2026-11-03T14:30:00+09:00", 2));
    for (id, amount, kind) in [("k", 20_000, "acquisition"), ("l", 5_000, "retention")] {
        shop.take(json!({"type": "customer_cost", "customer_id": "c-1", "cost_id": id, "occurred_at": NOW.0,
            "amount": amount, "kind": kind}));
    }
    shop.stage.flush(NOW.plus(5_000), &mut shop.out);
    let contract = include_str!("../../../docs/events.md");
    let mut examples = contract.split("```json").skip(1).filter_map(|part| part.split("```").next());
    let shown = examples.find(|example| example.contains("\"acquired_by\"")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), shop.out.updates["c-1"]);
}

#[test]
fn a_whole_record_reads_as_the_contract_says() {
    let mut shop = Shop::new(|_| {});
    shop.take(json!({"type": "purchase", "customer_id": "c", "order_id": 1, "occurred_at": "2026-01-15T09:00:00+09:00",
        "items": [{"sku": "A", "quantity": 2, "unit_price": "100", "unit_cost": 40}, {"sku": "B", "quantity": 1, "unit_price": 50.5, "unit_cost": 20}],
        "discount": 10, "operating_cost": 15.25, "campaign_id": "google:1", "channel": "search"}));
    shop.take(json!({"type": "customer_cost", "customer_id": "c", "cost_id": "k", "occurred_at": NOW.0, "amount": 20, "kind": "acquisition"}));
    shop.take(json!({"type": "customer_cost", "customer_id": "c", "cost_id": "l", "occurred_at": NOW.0, "amount": 5, "kind": "retention"}));
    insta::assert_json_snapshot!(shop.record("c"));
}

#[test]
fn a_customer_without_orders_has_a_record_that_says_so() {
    let mut shop = Shop::new(|_| {});
    shop.take(
        json!({"type": "refund", "customer_id": "c", "order_id": 1, "refund_id": 1, "occurred_at": 0, "amount": 5}),
    );
    insta::assert_json_snapshot!(shop.record("c"));
}

#[test]
fn refunds_count_whenever_they_arrive_and_never_beyond_the_order() {
    let refund = |id: &str, amount: i64| json!({"type": "refund", "customer_id": "c", "order_id": "o", "refund_id": id, "occurred_at": NOW.0, "amount": amount, "cost_recovered": 10});
    let mut shop = Shop::new(|_| {});
    shop.take(refund("1", 30));
    shop.take(with(order("o", 3, 100), json!({"cost_of_goods": 60})));
    assert_eq!(shop.record("c")["revenue"], "70");
    assert_eq!(shop.record("c")["gross_profit"], "20");
    assert_eq!(shop.take(refund("1", 30)), Outcome::Duplicate);
    assert_eq!(shop.take(refund("1", 20)), Outcome::Superseded);
    assert_eq!(shop.take(refund("2", 500)), Outcome::Applied);
    assert_eq!(shop.record("c")["revenue"], "0");
    assert_eq!(shop.record("c")["gross_profit"], "-40");
    assert_eq!(shop.stage.sizes().orders_refunded_in_excess, 1);
}

#[test]
fn an_order_with_a_hundred_thousand_refunds_stays_exact() {
    const REFUNDS: i64 = 100_000;
    let refund = |id: i64, at: i64, amount: i64| json!({"type": "refund", "customer_id": "c", "order_id": "o", "refund_id": id, "occurred_at": NOW.0 - at, "amount": amount, "cost_recovered": 1});
    let mut shop = Shop::new(|_| {});
    for id in 0..REFUNDS / 2 {
        shop.take(refund(id, 2, 1));
    }
    shop.take(with(order("o", 1, 1_000_000), json!({"cost_of_goods": 500_000, "campaign_id": "x"})));
    for id in REFUNDS / 2..REFUNDS {
        shop.take(refund(id, 2, 1));
    }
    assert_eq!(shop.record("c")["revenue"], "900000");
    for id in (0..REFUNDS).step_by(4) {
        assert_eq!(shop.take(refund(id, 1, 3)), Outcome::Applied);
        assert_eq!(shop.take(refund(id, 1, 3)), Outcome::Duplicate);
        assert_eq!(shop.take(refund(id + 1, 3, 9)), Outcome::Superseded);
    }
    let record = shop.record("c");
    assert_eq!((&record["revenue"], &record["gross_profit"]), (&json!("850000"), &json!("450000")));
    assert_eq!(shop.campaign("x").attributed.revenue, units(850_000));
    shop.flush();
    for again in [restored(&shop), snapshots::loaded(&shop.stage)] {
        assert_eq!(again.record("c", NOW), shop.stage.record("c", NOW));
        assert_eq!(again.sizes(), Sizes { bytes: again.sizes().bytes, ..shop.stage.sizes() });
    }
}

/// The state as the changelog restores it.
fn restored(shop: &Shop) -> Customers {
    let mut restored = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        restored.restore(key, Some(value)).unwrap();
    }
    restored.restored(shop.stage.as_of);
    restored
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn refunds_and_a_cancellation_in_any_order_end_in_the_same_figures(
        refunds in prop::collection::vec((0_usize..2, 0_usize..25, 0_i64..3, 1_i64..40), 0..60),
        cancelled in any::<bool>(),
        order_of_arrival in any::<prop::sample::Index>(),
        restart in any::<prop::sample::Index>(),
    ) {
        let orders = ["few", "many"];
        let mut events: Vec<Value> = refunds.iter().map(|&(of, id, days_ago, amount)| {
            let id = if of == 0 { id % 4 } else { id };
            json!({"type": "refund", "customer_id": "c", "order_id": orders[of], "refund_id": id, "occurred_at": NOW.0 - days_ago * DAY, "amount": amount})
        }).collect();
        events.extend(orders.map(|id| with(order(id, 5, 200), json!({"campaign_id": "x"}))));
        events.push(with(order("other", 5, 1), json!({"campaign_id": "x"})));
        if cancelled {
            events.push(json!({"type": "cancellation", "customer_id": "c", "order_id": "many", "occurred_at": NOW.0}));
        }
        // Of each refund the last version counts: the later, and of equal moments the greater.
        let mut last: BTreeMap<(&str, String), (i64, i64)> = BTreeMap::new();
        for (event, &(of, _, days_ago, amount)) in events.iter().zip(&refunds) {
            let version = last.entry((orders[of], event["refund_id"].to_string())).or_insert((i64::MIN, 0));
            *version = (*version).max((-days_ago, amount));
        }
        let left = |of: &str| {
            let given_back: i64 = last.iter().filter(|(key, _)| key.0 == of).map(|(_, version)| version.1).sum();
            (200 - given_back).max(0)
        };
        let revenue = 1 + left("few") + if cancelled { 0 } else { left("many") };

        // Each step takes one of those that are left.
        let (step, restart) = (order_of_arrival.index(1_000) + 1, restart.index(events.len()));
        let mut shop = Shop::new(|_| {});
        while !events.is_empty() {
            if events.len() == restart {
                shop.flush();
                shop.stage = if cancelled { restored(&shop) } else { snapshots::loaded(&shop.stage) };
            }
            shop.take(events.swap_remove(step * events.len() % 7_919 % events.len()));
        }
        prop_assert_eq!(&shop.record("c")["revenue"], &json!(revenue.to_string()));
        prop_assert_eq!(shop.campaign("x").attributed.revenue, units(revenue.into()));
        prop_assert_eq!(shop.campaign("x").acquired.revenue, units(revenue.into()));
        prop_assert_eq!(restored(&shop).record("c", NOW), shop.stage.record("c", NOW));
    }
}

#[test]
fn a_cancelled_order_counts_for_nothing_and_is_not_revived() {
    let cancellation = json!({"type": "cancellation", "customer_id": "c", "order_id": "o", "occurred_at": NOW.0});
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o", 3, 100), json!({"campaign_id": "x"})));
    assert_eq!(shop.campaign("x").attributed.revenue, units(100));
    shop.take(cancellation.clone());
    assert_eq!(shop.campaign("x"), LedgerSums::default(), "all that was sent is taken back");
    let amendment = with(order("o", 3, 500), json!({"updated_at": NOW.0, "campaign_id": "x"}));
    assert_eq!(shop.take(amendment), Outcome::Applied);
    assert_eq!(shop.record("c")["orders"], 0);
    assert_eq!(shop.campaign("x"), LedgerSums::default());
    assert_eq!(shop.take(cancellation), Outcome::Duplicate);
}

#[test]
fn the_later_version_of_an_order_wins_whole() {
    let mut shop = Shop::new(|_| {});
    let version = |at: i64, revenue: i64| with(order("o", 3, revenue), json!({"updated_at": NOW.0 + at}));
    assert_eq!(shop.take(version(0, 100)), Outcome::Applied);
    assert_eq!(shop.take(version(-1, 900)), Outcome::Superseded);
    assert_eq!(shop.take(version(0, 99)), Outcome::Superseded, "equal times: the greater revenue");
    assert_eq!(shop.take(version(0, 101)), Outcome::Applied);
    assert_eq!(shop.take(version(1, 5)), Outcome::Applied);
    assert_eq!(shop.take(version(1, 5)), Outcome::Duplicate);
    assert_eq!(shop.record("c")["revenue"], "5");
}

#[test]
fn a_late_earlier_order_moves_the_customer_to_another_campaign() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("b", 10, 100), json!({"campaign_id": "x"})));
    shop.take(with(order("c", 5, 30), json!({"campaign_id": "x"})));
    let x = shop.campaign("x");
    assert_eq!((x.new_customers, x.acquired.revenue, x.others.revenue), (1, units(130), Sum::ZERO));
    assert_eq!(x.new_customer_revenue, units(100));

    shop.take(with(order("a", 20, 7), json!({"campaign_id": "y"})));
    let (x, y) = (shop.campaign("x"), shop.campaign("y"));
    assert_eq!((x.new_customers, x.acquired.revenue, x.others.revenue), (0, Sum::ZERO, units(130)));
    assert_eq!((x.new_customer_revenue, x.attributed.revenue, x.orders), (Sum::ZERO, units(130), 2_000_000));
    assert_eq!((y.new_customers, y.acquired.revenue, y.others.revenue), (1, units(137), Sum::ZERO));
    assert_eq!(y.new_customer_revenue, units(7));
    assert_eq!(shop.record("c")["acquired_by"]["campaign_id"], "y");
}

#[test]
fn of_two_first_orders_at_one_moment_the_smaller_id_is_first() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o-2", 5, 10), json!({"items": [{"sku": "two", "quantity": 1, "unit_price": 1}]})));
    shop.take(with(order("o-1", 5, 10), json!({"items": [{"sku": "one", "quantity": 1, "unit_price": 1}]})));
    assert_eq!(shop.record("c")["acquired_by"]["sku"], "one");
    shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": "o-1", "occurred_at": 0}));
    assert_eq!(shop.record("c")["acquired_by"]["sku"], "two");
}

#[test]
fn a_customer_known_before_was_acquired_by_nobody() {
    let since = json!({"customer_since": NOW.0 - 400 * DAY, "campaign_id": "x"});
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o", 3, 100), json!({"campaign_id": "x"})));
    shop.take(with(order("p", 2, 50), since));
    let record = shop.record("c");
    assert_eq!(record["known_before"], true);
    assert_eq!(record["acquired_by"], json!({"campaign_id": null, "channel": null, "sku": null, "cohort": "2025-10"}));
    let x = shop.campaign("x");
    assert_eq!((x.new_customers, x.others.revenue, x.new_customer_revenue), (0, units(150), Sum::ZERO));
    // The order that said so is cancelled: nothing was known of the customer after all.
    shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": "p", "occurred_at": 0}));
    assert_eq!(shop.record("c")["known_before"], false);
    assert_eq!(shop.campaign("x").new_customers, 1);

    let mut shop = Shop::new(|settings| settings.complete_from = Some(Millis(NOW.0 - 3 * DAY)));
    shop.take(order("o", 3, 100));
    assert_eq!(shop.record("c")["known_before"], false, "the moment itself is complete");
    shop.take(order("p", 4, 100));
    assert_eq!(shop.record("c")["known_before"], true);
}

#[test]
fn profits_below_the_needed_coverage_are_unknown() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("a", 3, 95), json!({"cost_of_goods": 5})));
    shop.take(order("b", 2, 5));
    let record = shop.record("c");
    assert_eq!((&record["cost_coverage"], &record["gross_profit"]), (&json!(0.95), &json!("95")), "the edge is enough");
    shop.take(with(order("d", 1, 1), json!({})));
    let record = shop.record("c");
    assert_eq!(record["gross_profit"], Value::Null);
    assert_eq!(record["contributing"], Value::Null);
    assert_eq!(record["undefined"]["ltv.net"], "unknown_cost");
    assert_eq!(shop.stage.sizes().contributing, [0, 0, 1]);
}

#[test]
fn shares_of_one_order_sum_to_it() {
    let mut shop = Shop::new(|settings| settings.attribution.model = Model::Linear);
    let touchpoints = json!({"cost_of_goods": "33.333333", "touchpoints": [
        {"at": NOW.0 - 9 * DAY, "campaign_id": "x"}, {"at": NOW.0 - 8 * DAY, "campaign_id": "y"},
        {"at": NOW.0 - 7 * DAY, "channel": "mail"}, {"at": NOW.0 - 6 * DAY, "campaign_id": "x"}]});
    shop.take(with(order("o", 5, 100), touchpoints));
    let (x, y) = (shop.campaign("x"), shop.campaign("y"));
    assert_eq!((x.shares, x.orders, x.attributed.revenue), (2, 500_000, units(50)));
    assert_eq!((y.shares, y.orders, y.attributed.revenue), (1, 250_000, units(25)));
    assert_eq!(
        x.attributed.gross_profit,
        Sum(33_333_333),
        "66.666667 / 4: the three micro-units left over go to the first three"
    );
    assert_eq!((x.new_customers, y.new_customers), (1, 0), "equal weights: the later acquired");
    assert_eq!(y.others.revenue, units(25));
}

#[test]
fn facts_restore_the_state_whatever_their_order() {
    let mut shop = Shop::new(|settings| settings.attribution.model = Model::Position);
    for i in 0..700 {
        let customer = format!("c{}", i % 7);
        let id = (i * 37) % 200;
        let more = json!({"customer_id": customer, "campaign_id": format!("x{}", i % 3), "updated_at": NOW.0 - 1_000 + i,
            "touchpoints": [{"at": NOW.0 - 40 * DAY, "campaign_id": "y"}]});
        shop.take(with(order(&id.to_string(), (i * 13) % 400, i), more));
        if i % 11 == 0 {
            shop.take(json!({"type": "refund", "customer_id": customer, "order_id": id, "refund_id": i, "occurred_at": NOW.0, "amount": 3}));
        }
        if i % 50 == 0 {
            shop.take(json!({"type": "cancellation", "customer_id": customer, "order_id": id, "occurred_at": NOW.0}));
            shop.flush();
        }
    }
    shop.flush();

    let mut again = Customers::new(shop.stage.settings.clone());
    let (early, late): (Vec<_>, Vec<_>) = shop.out.facts.iter().rev().partition(|(key, _)| key[0] != b'o');
    for (key, value) in early.into_iter().chain(late) {
        again.restore(key, Some(value)).unwrap();
    }
    again.restored(Some(NOW));
    for (id, record) in &shop.out.updates {
        let restored: Value = serde_json::from_slice(&again.record(id, NOW).unwrap()).unwrap();
        assert_eq!(&restored, record);
    }
    assert_eq!(again.sizes(), Sizes { bytes: again.sizes().bytes, ..shop.stage.sizes() });

    // What comes after a restore goes on where the ledger was left: taking all back leaves nothing.
    let mut shop = Shop { stage: again, ..shop };
    for customer in 0..7 {
        for id in 0..200 {
            shop.take(json!({"type": "cancellation", "customer_id": format!("c{customer}"), "order_id": id, "occurred_at": NOW.0}));
        }
    }
    for campaign in ["x0", "x1", "x2", "y"] {
        assert_eq!(shop.campaign(campaign), LedgerSums::default());
    }
}

#[test]
fn a_parked_state_takes_up_the_tail_of_the_changelog() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("a", 9, 100), json!({"campaign_id": "x"})));
    shop.flush();
    let mut parked = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(NOW));
    shop.out.facts.clear();
    shop.take(with(order("a", 9, 60), json!({"updated_at": NOW.0, "campaign_id": "y"})));
    shop.take(with(order("b", 3, 1), json!({"campaign_id": "y"})));
    shop.flush();
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(NOW));
    assert_eq!(parked.record("c", NOW), shop.stage.record("c", NOW));
    assert_eq!(parked.sizes().contributing, shop.stage.sizes().contributing);
}

#[test]
fn time_alone_takes_orders_out_of_the_year_and_lets_early_ones_in() {
    let mut shop = Shop::new(|_| {});
    shop.take(order("old", 365, 10));
    shop.take(with(order("ahead", 0, 10), json!({"occurred_at": NOW.0 + 60_000})));
    shop.take(with(order("other", 1, 10), json!({"customer_id": "d"})));
    shop.stage.flush(Millis(NOW.0 - 1), &mut shop.out);
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 1, "the old one; the one ahead not yet");

    let written = shop.out.written;
    assert!(shop.stage.roll(Millis(NOW.0 - 1), Millis(NOW.0 + 59_999), 10, &mut shop.out));
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 0);
    assert_eq!(shop.out.written, written + 1, "what time did not change is not written");
    assert!(shop.stage.roll(Millis(NOW.0 + 59_999), Millis(NOW.0 + 60_000), 10, &mut shop.out));
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 1);
}

#[test]
fn a_roll_takes_as_many_calls_as_its_budget_needs() {
    let mut shop = Shop::new(|_| {});
    for customer in 0..25 {
        shop.take(with(order("o", 365, 10), json!({"customer_id": customer})));
    }
    shop.flush();
    let later = Millis(NOW.0 + 1);
    let calls = (0..).take_while(|_| !shop.stage.roll(NOW, later, 10, &mut shop.out)).count();
    assert_eq!(calls, 2, "and the third completes it");
    assert_eq!(shop.out.written, 25, "at this moment nothing has left: (as_of - 365 days, as_of] held none before");
}

#[test]
fn a_hundred_thousand_orders_of_one_customer_stay_exact() {
    let mut shop = Shop::new(|_| {});
    for i in 0..100_000_i64 {
        let at = NOW.0 - (i * 7_919) % 100_000 * 60_000;
        shop.take(with(order(&i.to_string(), 0, 1), json!({"occurred_at": at, "campaign_id": format!("x{}", i % 5)})));
    }
    let record = shop.record("c");
    assert_eq!((&record["orders"], &record["purchases_per_year"]), (&json!(100_000), &json!(100_000)));
    let acquired = (0..5).map(|i| shop.campaign(&format!("x{i}")).acquired.revenue).sum::<Sum>();
    assert_eq!(acquired, units(100_000));
}

/// Keeps orders for 400 days, and its first week is over.
fn short_memory(settings: &mut Settings) {
    settings.retention.orders_days = Some(400);
}

/// Lets days pass after `NOW`, six at a time, as rolls do.
fn pass(shop: &mut Shop, from: i64, to: i64) {
    for day in (from..to).step_by(6).chain([to]) {
        let (since, then) = (Millis(NOW.0 + from * DAY), Millis(NOW.0 + day * DAY));
        while !shop.stage.roll(since, then, 10, &mut shop.out) {}
    }
}

fn kinds(shop: &Shop) -> String {
    shop.out.facts.keys().map(|key| key[0] as char).collect()
}

fn too_late(shop: &mut Shop, event: Value) -> String {
    let text = event.to_string();
    let event = shop.decoder.decode(text.as_bytes(), Millis::MAX).unwrap();
    let rejection = shop.stage.apply(&event, &mut shop.out).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooLate);
    rejection.detail
}

fn at(then: i64) -> i64 {
    NOW.0 + then * DAY
}

#[test]
fn an_old_order_counts_on_and_can_not_be_changed() {
    let mut shop = Shop::new(short_memory);
    let touched = json!({"campaign_id": "x", "channel": "search", "items": [{"sku": "A", "quantity": 2, "unit_price": 50, "unit_cost": 20}]});
    shop.take(with(order("first", 380, 100), touched));
    shop.take(json!({"type": "refund", "customer_id": "c", "order_id": "first", "refund_id": "r", "occurred_at": at(-370), "amount": 30, "cost_recovered": 10}));
    shop.take(with(order("second", 20, 7), json!({"campaign_id": "x"})));
    shop.take(order("cancelled", 390, 5));
    shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": "cancelled", "occurred_at": at(-5)}));
    shop.take(json!({"type": "refund", "customer_id": "c", "order_id": "never", "refund_id": "r", "occurred_at": at(-390), "amount": 1}));
    for (id, days_ago, kind) in [("old", 390, "acquisition"), ("new", 1, "retention")] {
        shop.take(json!({"type": "customer_cost", "customer_id": "c", "cost_id": id, "occurred_at": at(-days_ago), "amount": 3, "kind": kind}));
    }
    let before = shop.record("c");
    let ledger = shop.out.ledger.clone();
    assert_eq!(kinds(&shop), "ccooorrxz");
    let bytes = shop.stage.sizes().bytes;

    pass(&mut shop, 0, 30);
    assert_eq!(kinds(&shop), "cfkoz", "what is left: a cost and an order, and what is carried");
    shop.flush();
    let expected = with(before.clone(), json!({"as_of": shop.out.updates["c"]["as_of"], "observed_days": 365}));
    assert_eq!(shop.out.updates["c"], expected);
    assert_eq!(shop.out.ledger, ledger, "campaigns are told nothing");
    assert!(shop.stage.sizes().orders == 1 && shop.stage.sizes().bytes < bytes + 500);

    let wrong = [
        with(order("first", 380, 100), json!({"updated_at": at(29)})),
        with(order("first", 0, 100), json!({"occurred_at": at(29)})),
        json!({"type": "refund", "customer_id": "c", "order_id": "first", "refund_id": "s", "occurred_at": at(29), "amount": 1}),
        json!({"type": "cancellation", "customer_id": "c", "order_id": "cancelled", "occurred_at": at(29)}),
        with(order("never", 0, 1), json!({"occurred_at": at(29)})),
        json!({"type": "customer_cost", "customer_id": "c", "cost_id": "old", "occurred_at": at(29), "amount": 9, "kind": "retention"}),
        order("new and old", 371, 1),
        with(order("o", 371, 1), json!({"customer_id": "nobody"})),
    ];
    for event in wrong {
        too_late(&mut shop, event);
    }
    assert_eq!(
        too_late(&mut shop, order("first", 380, 100)),
        "order_id: what was before 2025-11-16 can't be changed any more"
    );
    assert_eq!(shop.stage.ids().count(), 1, "who is refused has no record");

    // Restored, it goes on as before; an earlier customer_since no longer takes the customer from its campaign.
    let mut again = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        again.restore(key, Some(value)).unwrap();
    }
    again.restored(Some(Millis(at(30))));
    let record =
        |stage: &Customers| serde_json::from_slice::<Value>(&stage.record("c", Millis(at(30))).unwrap()).unwrap();
    assert_eq!(record(&again), record(&shop.stage));
    assert_eq!(again.sizes(), Sizes { bytes: again.sizes().bytes, ..shop.stage.sizes() });
    let mut shop = Shop { stage: again, ..shop };
    shop.take(with(order("third", 0, 1_000), json!({"customer_since": "2001-01-01T00:00:00Z", "campaign_id": "y"})));
    shop.stage.flush(Millis(at(30)), &mut shop.out);
    let record = record(&shop.stage);
    assert_eq!((&record["orders"], &record["revenue"]), (&json!(3), &json!("1077")));
    assert_eq!(record["acquired_by"], before["acquired_by"]);
    assert_eq!(record["known_before"], false);
    let (x, y) = (shop.campaign("x"), shop.campaign("y"));
    assert_eq!((x.new_customers, x.acquired.revenue, x.acquisition_cost), (1, units(1_077), units(3)));
    assert_eq!((y.new_customers, y.others.revenue), (0, units(1_000)));
}

#[test]
fn carrying_is_done_in_parts_and_goes_on_after_a_restart() {
    let mut shop = Shop::new(short_memory);
    for customer in 0..200 {
        for id in 0..3 {
            shop.take(with(order(&id.to_string(), 395 - id, 10), json!({"customer_id": customer, "campaign_id": "x"})));
        }
    }
    pass(&mut shop, 0, 6);
    let full = shop.stage.sizes().bytes;
    let (since, then) = (NOW, Millis(at(12)));
    while shop.out.facts.keys().filter(|key| key[0] == b'f').count() == 0 {
        assert!(!shop.stage.roll(since, then, 10, &mut shop.out));
    }
    let carried = shop.out.facts.keys().filter(|key| key[0] == b'f').count();
    assert!(carried <= 10, "{carried} at once");
    let mut again = Customers::new(shop.stage.settings.clone());
    for (key, value) in shop.out.facts.iter().rev() {
        again.restore(key, Some(value)).unwrap();
    }
    again.restored(Some(then));
    let mut shop = Shop { stage: again, ..shop };
    too_late(&mut shop, with(order("0", 395, 10), json!({"customer_id": 199})));
    pass(&mut shop, 12, 12);
    assert_eq!(shop.out.facts.keys().filter(|key| key[0] == b'f').count(), 200);
    assert_eq!((shop.stage.sizes().orders, shop.stage.sizes().customers), (0, 200));
    for customer in 0..200 {
        let record: Value = serde_json::from_slice(&shop.stage.record(&customer.to_string(), then).unwrap()).unwrap();
        assert_eq!((&record["orders"], &record["revenue"]), (&json!(3), &json!("30")), "{customer}");
    }
    assert_eq!(shop.stage.sizes().ltv_historic, units(6_000).0);
    // The places of orders are free for others.
    for customer in 0..200 {
        for id in 3..6 {
            shop.take(with(order(&id.to_string(), 1, 10), json!({"customer_id": customer, "campaign_id": "x"})));
        }
    }
    assert_eq!(shop.campaign("x").attributed.revenue, units(12_000));
    assert!(shop.stage.sizes().bytes < full * 7 / 4, "{} from {full}", shop.stage.sizes().bytes);
}

#[test]
fn an_order_that_was_never_placed_goes_with_all_its_refunds_and_a_parked_state_follows() {
    let mut shop = Shop::new(short_memory);
    shop.take(order("other", 1, 5));
    let empty = shop.stage.sizes().bytes;
    for id in 0..50 {
        let then = if id == 7 { at(-360) } else { at(-390) };
        shop.take(json!({"type": "refund", "customer_id": "c", "order_id": "never", "refund_id": id, "occurred_at": then, "amount": 1}));
    }
    let mut parked = restored(&shop);
    let seen = shop.out.facts.clone();
    pass(&mut shop, 0, 30);
    assert_eq!(kinds(&shop), format!("o{}z", "r".repeat(50)), "the last of them is not old yet");
    pass(&mut shop, 30, 60);
    assert_eq!(kinds(&shop), "fkoz");
    for key in seen.keys().filter(|key| !shop.out.facts.contains_key(*key)) {
        parked.restore(key, None).unwrap();
    }
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(Millis(at(60))));
    assert_eq!(parked.record("c", Millis(at(60))), shop.stage.record("c", Millis(at(60))));
    assert_eq!((parked.sizes().orders, shop.stage.sizes().orders), (1, 1));
    assert!(shop.stage.sizes().bytes < empty + 6_000, "{} from {empty}", shop.stage.sizes().bytes);
}

#[test]
fn a_parked_state_follows_one_that_carries() {
    let mut shop = Shop::new(short_memory);
    shop.take(with(order("a", 390, 100), json!({"campaign_id": "x"})));
    shop.take(json!({"type": "refund", "customer_id": "c", "order_id": "a", "refund_id": "r", "occurred_at": at(-380), "amount": 130}));
    shop.take(with(order("b", 370, 50), json!({"campaign_id": "y"})));
    pass(&mut shop, 0, 8);
    let mut parked = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(Millis(at(8))));
    for days in [20, 40] {
        let seen = shop.out.facts.clone();
        pass(&mut shop, 8, days);
        for key in seen.keys().filter(|key| !shop.out.facts.contains_key(*key)) {
            parked.restore(key, None).unwrap();
        }
        for (key, value) in &shop.out.facts {
            parked.restore(key, Some(value)).unwrap();
        }
        parked.restored(Some(Millis(at(days))));
        let then = Millis(at(days));
        assert_eq!(parked.record("c", then), shop.stage.record("c", then));
        assert_eq!(parked.sizes(), Sizes { bytes: parked.sizes().bytes, ..shop.stage.sizes() });
    }
    assert_eq!(shop.stage.sizes().orders_refunded_in_excess, 1);
    assert_eq!(kinds(&shop), "fkz");
}
