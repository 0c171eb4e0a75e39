//! What a producer meets: records in, events or reasons out.

mod bytes;
mod digest;
mod fields;
mod purchase;
mod records;
mod sources;

use serde_json::{Value, json};

use super::*;
use crate::domain::order::CostOfGoods;
use crate::domain::spend::{CustomerCostKind, SpendKind};
use crate::settings::Settings;

/// 2026-11-21T10:00:00Z.
const NOW: Millis = Millis(1_795_255_200_000);

fn decode(record: &[u8]) -> Result<Event<'_>, Rejection> {
    Decoder::new(&Settings::default()).decode(record, NOW)
}

/// `ok`, or the code of the reason.
fn verdict(record: &str) -> &'static str {
    match decode(record.as_bytes()) {
        Ok(_) => "ok",
        Err(rejection) => rejection.reason.code(),
    }
}

fn rejection(record: &str) -> Rejection {
    decode(record.as_bytes()).expect_err(record)
}

/// One event of each type with each of its fields.
fn complete_events() -> [Value; 6] {
    [
        json!({
            "type": "purchase", "customer_id": "c-1", "order_id": "o-1", "shop": "eu", "occurred_at": "2026-11-21T09:00:00Z",
            "updated_at": "2026-11-21T09:30:00Z", "currency": "USD", "revenue": "55", "discount": 4, "cost_of_goods": 20,
            "operating_cost": "3.5", "offer": "SUMMER", "customer_since": "2020-01-01T00:00:00Z",
            "campaign_id": "google:1", "channel": "search",
            "items": [
                { "sku": "A", "quantity": 2, "unit_price": "19.90", "unit_cost": 7.5, "category": "shoes" },
                { "sku": "B", "quantity": 1, "unit_price": 0.2, "unit_cost": "0.1", "category": "socks" },
            ],
            "touchpoints": [
                { "at": "2026-11-19T09:00:00Z", "campaign_id": "meta:1", "channel": "social" },
                { "at": "2026-11-20T09:00:00Z", "campaign_id": "google:1", "channel": "search" },
            ],
        }),
        json!({
            "type": "refund", "customer_id": "c-1", "order_id": "o-1", "refund_id": "r-1",
            "occurred_at": "2026-11-21T09:00:00Z", "amount": "10.5", "currency": "USD", "cost_recovered": 4,
        }),
        json!({
            "type": "cancellation", "customer_id": "c-1", "order_id": "o-1", "occurred_at": "2026-11-21T09:00:00Z",
        }),
        json!({
            "type": "customer_cost", "customer_id": "c-1", "cost_id": "k-1", "occurred_at": "2026-11-21T09:00:00Z",
            "amount": 0.5, "currency": "USD", "kind": "retention", "channel": "email",
        }),
        json!({
            "type": "ad_spend", "campaign_id": "google:1", "spend_id": "s-1", "occurred_at": "2026-11-21T09:00:00Z",
            "amount": 1000, "currency": "USD", "channel": "search", "kind": "fee",
        }),
        json!({
            "type": "ad_spend_report", "campaign_id": "google:1", "date": "2026-11-20", "breakdown": "ad-7",
            "kind": "creative", "reported_at": "2026-11-21T09:00:00Z", "amount": "99.99", "currency": "USD",
            "channel": "search", "impressions": 90_000, "clicks": 1200, "reported_conversions": 12.5,
            "reported_revenue": "1000", "campaign_name": "Brand", "platform": "google", "objective": "sales",
        }),
    ]
}

/// The event with what stands at a path (`items/0/sku`) replaced by raw JSON, or removed.
fn with(event: &Value, path: &str, raw: Option<&str>) -> String {
    const MARK: &str = "<the new value>";
    let mut event = event.clone();
    let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
    let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    let fields = event.pointer_mut(&parent).unwrap().as_object_mut().unwrap();
    match raw {
        Some(_) => fields.insert(name.to_owned(), MARK.into()),
        None => fields.remove(name),
    };
    event.to_string().replace(&format!("\"{MARK}\""), raw.unwrap_or_default())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
