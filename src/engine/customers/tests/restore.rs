//! The state as its facts restore it.

use super::*;

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
    again.restored(Some(Last::at(NOW)));
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
    parked.restored(Some(Last::at(NOW)));
    shop.out.facts.clear();
    shop.take(with(order("a", 9, 60), json!({"updated_at": NOW.0, "campaign_id": "y"})));
    shop.take(with(order("b", 3, 1), json!({"campaign_id": "y"})));
    shop.flush();
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(Last::at(NOW)));
    assert_eq!(parked.record("c", NOW), shop.stage.record("c", NOW));
    assert_eq!(parked.sizes().contributing, shop.stage.sizes().contributing);
}
