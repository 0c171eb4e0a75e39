//! What an order comes to: revenue, cost of goods, touchpoints.

use super::*;
use crate::money::Micros;

fn order(fields: Value) -> String {
    let mut event = json!({ "type": "purchase", "customer_id": "c", "order_id": "o", "occurred_at": NOW.0 });
    event.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
    event.to_string()
}

fn item(quantity: i64, unit_price: &str) -> Value {
    json!({ "sku": "A", "quantity": quantity, "unit_price": unit_price })
}

fn purchase(record: &str, default_margin: Option<i64>) -> Purchase<'_> {
    let settings = Settings { default_margin: default_margin.map(Micros), ..Settings::default() };
    match Decoder::new(&settings).decode(record.as_bytes(), NOW) {
        Ok(Event::Purchase(purchase)) => purchase,
        other => panic!("{other:?}"),
    }
}

#[test]
fn revenue_is_as_stated_or_the_sum_of_the_items_less_the_discount() {
    let table = [
        (json!({ "revenue": "12.5" }), 12_500_000),
        (json!({ "revenue": 0 }), 0),
        (json!({ "revenue": "12.5", "discount": 100 }), 12_500_000),
        (json!({ "revenue": "12.5", "items": [] }), 12_500_000),
        (json!({ "revenue": "12.5", "items": [item(1, "99")], "discount": 100 }), 12_500_000),
        (json!({ "items": [item(3, "1.1"), item(1, "0.7")] }), 4_000_000),
        (json!({ "items": [item(3, "1.1")], "discount": "3.3" }), 0),
        (json!({ "items": [item(1, "5")], "revenue": null, "discount": "0.000001" }), 4_999_999),
        // Each unit price is rounded before it is multiplied.
        (json!({ "items": [item(1_000_000_000, "0.0000015")] }), 2_000_000_000),
        (json!({ "items": [item(1_000_000_000, "0.0000005")] }), 0),
        (json!({ "items": [item(1_000_000_000, "9000")] }), Micros::MAX.0),
    ];
    for (fields, revenue) in table {
        let record = order(fields);
        assert_eq!(purchase(&record, None).revenue, Micros(revenue), "{record}");
    }
}

#[test]
fn an_order_that_comes_to_no_possible_sum_is_rejected() {
    let table = [
        (json!({}), "missing_field", "items: required"),
        (json!({ "items": null, "discount": 5 }), "missing_field", "items: required"),
        (json!({ "items": [] }), "missing_field", "items: required"),
        (json!({ "items": [item(1, "5")], "discount": "5.000001" }), "negative_revenue", "discount: expected at most"),
        (json!({ "items": [item(1, "0")], "discount": 9e12 }), "negative_revenue", "discount: "),
        (
            json!({ "items": [item(1_000_000_000, "9000.000001")] }),
            "invalid_money",
            "items: expected a sum of quantity x unit_price",
        ),
        (json!({ "items": [item(1, "9e12"), item(1, "0.000001")] }), "invalid_money", "items: "),
        (json!({ "items": vec![item(1_000_000_000, "9e12"); 1_000] }), "invalid_money", "items: "),
        (json!({ "revenue": -5 }), "invalid_money", "revenue: "),
        (json!({ "revenue": 5, "discount": -5 }), "invalid_money", "discount: "),
        (json!({ "revenue": 5, "items": [item(0, "5")] }), "invalid_field", "items[0].quantity: "),
        (json!({ "revenue": 5, "items": [{ "sku": "A", "quantity": 1 }] }), "missing_field", "items[0].unit_price: "),
    ];
    for (fields, reason, detail) in table {
        let record = order(fields);
        let rejection = rejection(&record);
        assert_eq!(rejection.reason.code(), reason, "{rejection}");
        assert!(rejection.detail.starts_with(detail), "{rejection}");
    }
    // The discount brings it within the limit.
    let record = order(json!({ "items": [item(1, "9e12"), item(1, "1")], "discount": 1 }));
    assert_eq!(purchase(&record, None).revenue, Micros::MAX);
}

#[test]
fn cost_of_goods_is_stated_or_summed_or_estimated_or_unknown() {
    let costly = |unit_cost: &str| json!({ "sku": "A", "quantity": 2, "unit_price": 10, "unit_cost": unit_cost });
    let (known, estimated) =
        (|micros| CostOfGoods::Known(Micros(micros)), |micros| CostOfGoods::Estimated(Micros(micros)));
    let unknown = CostOfGoods::Unknown;
    let some = Some(400_000);
    let table = [
        (json!({ "revenue": 10, "cost_of_goods": 4 }), None, known(4_000_000)),
        (json!({ "items": [costly("3")], "cost_of_goods": 4 }), some, known(4_000_000)),
        (json!({ "items": [costly("3"), costly("0.5")] }), some, known(7_000_000)),
        (json!({ "items": [costly("0")] }), some, known(0)),
        (json!({ "revenue": 5, "items": [costly("3")] }), some, known(6_000_000)),
        (json!({ "items": [costly("3"), item(1, "5")] }), None, unknown),
        (json!({ "items": [costly("3"), item(1, "5")] }), some, estimated(15_000_000)),
        (json!({ "revenue": 10 }), None, unknown),
        (json!({ "revenue": 10, "items": [] }), None, unknown),
        (json!({ "revenue": 10, "items": [] }), some, estimated(6_000_000)),
        (json!({ "revenue": 10, "discount": 2 }), Some(0), estimated(10_000_000)),
        (json!({ "items": [item(1, "10")], "discount": 2 }), Some(250_000), estimated(6_000_000)),
        (json!({ "revenue": 10 }), Some(1_000_000), estimated(0)),
        (json!({ "revenue": 9e12 }), Some(0), estimated(Micros::MAX.0)),
        // Half to even: 0.5, 1.5 and 2.5 micro-units.
        (json!({ "revenue": "0.000001" }), Some(500_000), estimated(0)),
        (json!({ "revenue": "0.000003" }), Some(500_000), estimated(2)),
        (json!({ "revenue": "0.000005" }), Some(500_000), estimated(2)),
    ];
    for (fields, margin, cost) in table {
        let record = order(fields);
        assert_eq!(purchase(&record, margin).cost_of_goods, cost, "{record}");
    }
    let over = order(json!({ "revenue": 1, "items": [costly("4500000000000.000001")] }));
    assert_eq!(rejection(&over).reason, Reason::InvalidMoney);
    assert!(rejection(&over).detail.starts_with("items: expected a sum of quantity x unit_cost"));
}

#[test]
fn a_thousand_items_are_taken_and_no_more() {
    let record = |count| order(json!({ "items": vec![item(1_000_000_000, "0.000001"); count] }));
    let (most, more) = (record(MAX_ITEMS), record(MAX_ITEMS + 1));
    assert_eq!(purchase(&most, None).quantity(), 1_000_000_000_000);
    assert_eq!(rejection(&more).to_string(), "invalid_field: items: expected at most 1000 elements");
}

#[test]
fn items_stay_as_they_are_listed() {
    let sock = json!({ "sku": 7, "quantity": 3, "unit_price": "1.1", "unit_cost": 0.5, "category": "socks" });
    let record = order(json!({ "items": [sock, item(1, "0.7"), item(1, "0.3")], "discount": "0.8" }));
    let purchase = purchase(&record, None);
    let sock = Item {
        sku: "7".into(),
        category: Some("socks".into()),
        quantity: 3,
        unit_price: Micros(1_100_000),
        unit_cost: Some(Micros(500_000)),
    };
    assert_eq!(purchase.items[0], sock);
    assert_eq!((sock.amount(), sock.cost()), (3_300_000, Some(1_500_000)));
    assert_eq!((&*purchase.items[1].sku, purchase.items[1].category.as_deref()), ("A", None));
    assert_eq!((purchase.items.len(), purchase.quantity(), purchase.revenue), (3, 5, Micros(3_500_000)));
    assert_eq!(purchase.revenue_of_items().as_slice(), [2_686_047, 569_767, 244_186].map(Micros));
}

#[test]
fn a_hundred_touchpoints_are_taken_beside_the_shorthand_and_no_more() {
    let record = |count| order(json!({ "revenue": 1, "channel": "x", "touchpoints": vec![json!({ "at": 0 }); count] }));
    let (most, more) = (record(MAX_TOUCHPOINTS), record(MAX_TOUCHPOINTS + 1));
    assert_eq!(purchase(&most, None).touchpoints.len(), MAX_TOUCHPOINTS + 1);
    assert_eq!(rejection(&more).to_string(), "invalid_field: touchpoints: expected at most 100 elements");
}

#[test]
fn touchpoints_are_taken_in_order_of_time_and_without_those_after_the_order() {
    let at = |offset: i64, channel: &str| json!({ "at": NOW.0 + offset, "channel": channel });
    let listed =
        [at(-5, "d"), at(0, "f"), at(1, "late"), at(-9, "b"), at(-5, "e"), at(-10, "a"), at(-9, "c"), at(0, "g")];
    let record = order(json!({ "revenue": 1, "touchpoints": listed, "campaign_id": "h" }));
    let purchase = purchase(&record, None);
    let found: Vec<(i64, &str)> = purchase
        .touchpoints
        .iter()
        .map(|touchpoint| (touchpoint.at.0 - NOW.0, touchpoint.channel.as_deref().unwrap_or("none")))
        .collect();
    assert_eq!(found, [(-10, "a"), (-9, "b"), (-9, "c"), (-5, "d"), (-5, "e"), (0, "f"), (0, "g"), (0, "none")]);
    assert_eq!(purchase.touchpoints[7].campaign_id.as_deref(), Some("h"));
    // One after the order is checked all the same.
    let late = order(json!({ "revenue": 1, "touchpoints": [{ "at": NOW.0 + 1, "campaign_id": "" }] }));
    assert_eq!(
        rejection(&late).detail,
        "touchpoints[0].campaign_id: expected a non-empty string of at most 256 bytes, or an integer"
    );
}

#[test]
fn the_shorthand_needs_a_campaign_or_a_channel() {
    let table = [
        (json!({}), None),
        (json!({ "campaign_id": null, "channel": null }), None),
        (json!({ "campaign_id": 5 }), Some((Some("5"), None))),
        (json!({ "channel": "email" }), Some((None, Some("email")))),
        (json!({ "campaign_id": "x", "channel": "" }), Some((Some("x"), Some("")))),
    ];
    for (mut fields, expected) in table {
        fields["revenue"] = 1.into();
        let record = order(fields);
        let purchase = purchase(&record, None);
        let found = purchase.touchpoints.first().map(|t| (t.campaign_id.as_deref(), t.channel.as_deref()));
        assert_eq!(found, expected, "{record}");
    }
}
