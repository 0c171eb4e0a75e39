//! A customer's record.

use super::*;
use crate::settings::Currency;
use crate::time::Zone;

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
    let contract = include_str!("../../../../docs/events.md");
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
