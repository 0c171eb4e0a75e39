//! Records that can't be used, some for each reason that a decoder gives.

use serde_json::{Value, json};

/// A record and its reason. `clock` is the moment of reading.
pub fn poison(clock: i64) -> Vec<(Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let mut records = vec![
        (text(""), "empty"),
        (text(" "), "invalid_json"),
        (text("{\"type\":\"purchase\""), "invalid_json"),
        (text("{} {}"), "invalid_json"),
        (text("{\"type\":\"refund\",\"amount\":01}"), "invalid_json"),
        (b"{\"type\":\"\xff\"}".to_vec(), "invalid_json"),
        (text("null"), "not_an_object"),
        (text("[{}]"), "not_an_object"),
        (text("\"purchase\""), "not_an_object"),
        (text("{}"), "missing_field"),
        (format!("{{\"pad\":\"{}\"}}", "x".repeat(1024 * 1024)).into_bytes(), "too_large"),
    ];
    let purchase = json!({
        "type": "purchase", "customer_id": "c-2", "order_id": "o1", "occurred_at": clock,
        "items": [{"sku": "A", "quantity": 1, "unit_price": 10, "unit_cost": 1}],
        "touchpoints": [{"at": clock, "campaign_id": "g:1"}],
    });
    let report = json!({
        "type": "ad_spend_report", "campaign_id": "g:1", "date": "2026-11-01", "reported_at": clock, "amount": 1,
    });
    let refund = json!({
        "type": "refund", "customer_id": "c-2", "order_id": "o1", "refund_id": 1, "occurred_at": clock, "amount": 1,
    });
    let cost = json!({
        "type": "customer_cost", "customer_id": "c-2", "cost_id": 1, "occurred_at": clock, "amount": 1, "kind": "retention",
    });
    let long = "é".repeat(129);
    let table: [(&Value, &str, Value, &str); 55] = [
        (&purchase, "/type", json!("Purchase"), "unknown_type"),
        (&purchase, "/type", json!(null), "missing_field"),
        (&purchase, "/customer_id", json!(null), "missing_field"),
        (&purchase, "/occurred_at", json!(null), "missing_field"),
        (&purchase, "/items", json!(null), "missing_field"),
        (&purchase, "/items/0/sku", json!(null), "missing_field"),
        (&purchase, "/items/0/unit_price", json!(null), "missing_field"),
        (&purchase, "/touchpoints/0/at", json!(null), "missing_field"),
        (&report, "/date", json!(null), "missing_field"),
        (&cost, "/kind", json!(null), "missing_field"),
        (&purchase, "/items", json!([]), "missing_field"),
        (&purchase, "/items", json!({"sku": "A"}), "invalid_field"),
        (&purchase, "/items", json!(["A"]), "invalid_field"),
        (&purchase, "/items", json!(vec![purchase["items"][0].clone(); 1_001]), "invalid_field"),
        (&purchase, "/items/0/quantity", json!(0), "invalid_field"),
        (&purchase, "/items/0/quantity", json!(1_000_000_001), "invalid_field"),
        (&purchase, "/items/0/quantity", json!(1.5), "invalid_field"),
        (&purchase, "/items/0/category", json!(7), "invalid_field"),
        (&purchase, "/touchpoints", json!(vec![purchase["touchpoints"][0].clone(); 101]), "invalid_field"),
        (&purchase, "/touchpoints/0/channel", json!(long), "invalid_field"),
        (&report, "/impressions", json!(-1), "invalid_field"),
        (&report, "/clicks", json!("3"), "invalid_field"),
        (&report, "/kind", json!("paid"), "invalid_field"),
        (&cost, "/kind", json!("media"), "invalid_field"),
        (&purchase, "/customer_id", json!(""), "invalid_id"),
        (&purchase, "/order_id", json!(1.5), "invalid_id"),
        (&purchase, "/items/0/sku", json!(long), "invalid_id"),
        (&purchase, "/touchpoints/0/campaign_id", json!(true), "invalid_id"),
        (&purchase, "/items/0/unit_price", json!("1,000"), "invalid_money"),
        (&purchase, "/items/0/unit_price", json!(9_000_000_000_001_i64), "invalid_money"),
        (&purchase, "/items/0", json!({"sku": "A", "quantity": 2, "unit_price": 9e12}), "invalid_money"),
        (
            &purchase,
            "/items/0",
            json!({"sku": "A", "quantity": 2, "unit_price": 1, "unit_cost": 9e12}),
            "invalid_money",
        ),
        (&report, "/amount", json!("+1"), "invalid_money"),
        (&refund, "/amount", json!(-5), "invalid_money"),
        (&refund, "/amount", json!(0), "invalid_money"),
        (&refund, "/cost_recovered", json!([]), "invalid_money"),
        (&purchase, "/occurred_at", json!("2026-02-30T00:00:00Z"), "invalid_time"),
        (&purchase, "/occurred_at", json!("2026-02-20T00:00:00"), "invalid_time"),
        (&purchase, "/touchpoints/0/at", json!(1.5), "invalid_time"),
        (&report, "/date", json!("2026-02-29"), "invalid_time"),
        (&cost, "/occurred_at", json!(clock + 300_001), "in_the_future"),
        (&purchase, "/occurred_at", json!(clock + 300_001), "in_the_future"),
        (&report, "/reported_at", json!(clock + 300_001), "in_the_future"),
        (&report, "/reported_at", json!(true), "invalid_time"),
        (&refund, "/order_id", json!(null), "missing_field"),
        (&purchase, "/revenue", json!(-5), "invalid_money"),
        (&purchase, "/discount", json!("10.000001"), "negative_revenue"),
        (&purchase, "/updated_at", json!(clock + 300_001), "in_the_future"),
        (&purchase, "/currency", json!("usd"), "invalid_currency"),
        (&report, "/currency", json!("USDT"), "invalid_currency"),
        (&refund, "/currency", json!(5), "invalid_currency"),
        (&cost, "/currency", json!("XTS"), "no_exchange_rate"),
        (&purchase, "/customer_since", json!("long ago"), "invalid_time"),
        (&report, "/reported_revenue", json!("many"), "invalid_money"),
        (&report, "/breakdown", json!(long), "invalid_field"),
    ];
    for (event, pointer, value, reason) in table {
        let mut event = event.clone();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        match event.pointer_mut(parent).expect("the parent is there") {
            Value::Array(elements) => elements[field.parse::<usize>().expect("a place")] = value,
            object => object[field] = value,
        }
        records.push((event.to_string().into_bytes(), reason));
    }
    let twice = refund.to_string().replacen("{", "{\"amount\":1,", 1);
    records.push((twice.into_bytes(), "invalid_json"));
    let twice_in_an_item = purchase.to_string().replacen("\"sku\":", "\"sku\":\"B\",\"sku\":", 1);
    records.push((twice_in_an_item.into_bytes(), "invalid_json"));
    records
}
