//! What a producer meets: records in, events or reasons out.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::*;
use crate::money::Micros;
use crate::settings::Settings;

const NOW: Millis = Millis(1_795_255_200_000); // 2026-11-21T10:00:00Z

fn purchase() -> Value {
    json!({
        "type": "purchase", "customer_id": "c-1", "order_id": "o-1", "occurred_at": "2026-11-21T09:00:00Z",
        "items": [
            { "sku": "A", "quantity": 2, "unit_price": "19.90", "unit_cost": 7.5, "category": "shoes" },
            { "sku": 17, "quantity": 1, "unit_price": 0.2, "unit_cost": "0.1" },
        ],
        "touchpoints": [{ "at": "2026-11-20T09:00:00Z", "campaign_id": "google:1", "channel": "search" }],
    })
}

fn decode_text(text: &str) -> Result<Event<'_>, Rejection> {
    Decoder::new(&Settings::default()).decode(text.as_bytes(), NOW)
}

#[test]
fn a_purchase_is_read_and_summed() {
    let text = purchase().to_string();
    let Ok(Event::Purchase(purchase)) = decode_text(&text) else { panic!("{:?}", decode_text(&text)) };
    assert_eq!(purchase.revenue, Micros(40_000_000));
    assert_eq!(purchase.cost_of_goods, CostOfGoods::Known(Micros(15_100_000)));
    assert_eq!(purchase.items, 3);
    assert_eq!(purchase.first_sku.as_deref(), Some("A"));
    assert_eq!(purchase.occurred_at, Millis(NOW.0 - Millis::HOUR));
    assert_eq!(purchase.updated_at, purchase.occurred_at);
    assert_eq!(purchase.touchpoints.len(), 1);
    assert!(matches!(purchase.customer_id, Cow::Borrowed("c-1")));
}
