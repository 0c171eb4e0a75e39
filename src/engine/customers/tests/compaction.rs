//! What is too old to be kept singly: it counts on, and can not be changed.

use super::*;

fn too_late(shop: &mut Shop, event: Value) -> String {
    let text = event.to_string();
    let event = shop.decoder.decode(text.as_bytes(), Millis::MAX).unwrap();
    let checked = shop.stage.check(&event);
    let rejection = shop.stage.apply(&event, &mut shop.out).unwrap_err();
    assert_eq!((rejection.reason, Err(rejection.clone())), (Reason::TooLate, checked));
    rejection.detail
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
    assert_eq!(kinds(&shop), "cfkoz", "what is left: a cost and an order, and what is compacted");
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
    again.restored(Some(Last::at(Millis(at(30)))));
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
fn compaction_is_done_in_parts_and_goes_on_after_a_restart() {
    let mut shop = Shop::new(short_memory);
    for customer in 0..200 {
        for id in 0..3 {
            shop.take(with(order(&id.to_string(), 395 - id, 10), json!({"customer_id": customer, "campaign_id": "x"})));
        }
    }
    pass(&mut shop, 0, 6);
    let full = shop.stage.sizes().bytes;
    let then = Millis(at(12));
    while shop.out.facts.keys().filter(|key| key[0] == b'f').count() == 0 {
        assert!(!shop.stage.roll(then, 10, &mut shop.out));
    }
    let compacted = shop.out.facts.keys().filter(|key| key[0] == b'f').count();
    assert!(compacted <= 10, "{compacted} at once");
    let mut again = Customers::new(shop.stage.settings.clone());
    for (key, value) in shop.out.facts.iter().rev() {
        again.restore(key, Some(value)).unwrap();
    }
    again.restored(Some(Last::at(then)));
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
    parked.restored(Some(Last::at(Millis(at(60)))));
    assert_eq!(parked.record("c", Millis(at(60))), shop.stage.record("c", Millis(at(60))));
    assert_eq!((parked.sizes().orders, shop.stage.sizes().orders), (1, 1));
    assert!(shop.stage.sizes().bytes < empty + 6_000, "{} from {empty}", shop.stage.sizes().bytes);
}

#[test]
fn a_parked_state_follows_one_that_compacts() {
    let mut shop = Shop::new(short_memory);
    shop.take(with(order("a", 390, 100), json!({"campaign_id": "x"})));
    shop.take(json!({"type": "refund", "customer_id": "c", "order_id": "a", "refund_id": "r", "occurred_at": at(-380), "amount": 130}));
    shop.take(with(order("b", 370, 50), json!({"campaign_id": "y"})));
    pass(&mut shop, 0, 8);
    let mut parked = Customers::new(shop.stage.settings.clone());
    for (key, value) in &shop.out.facts {
        parked.restore(key, Some(value)).unwrap();
    }
    parked.restored(Some(Last::at(Millis(at(8)))));
    for days in [20, 40] {
        let seen = shop.out.facts.clone();
        pass(&mut shop, 8, days);
        for key in seen.keys().filter(|key| !shop.out.facts.contains_key(*key)) {
            parked.restore(key, None).unwrap();
        }
        for (key, value) in &shop.out.facts {
            parked.restore(key, Some(value)).unwrap();
        }
        parked.restored(Some(Last::at(Millis(at(days)))));
        let then = Millis(at(days));
        assert_eq!(parked.record("c", then), shop.stage.record("c", then));
        assert_eq!(parked.sizes(), Sizes { bytes: parked.sizes().bytes, ..shop.stage.sizes() });
    }
    assert_eq!(shop.stage.sizes().orders_refunded_in_excess, 1);
    assert_eq!(kinds(&shop), "fkz");
}

/// What a clock that is ahead for a while compacts can't be had back.
#[test]
fn nothing_is_compacted_by_a_clock_that_is_not_trusted() {
    let mut shop = Shop::new(short_memory);
    shop.take(order("first", 380, 100));
    shop.flush();
    pass(&mut shop, 0, 8);
    shop.stage.set_trusted(Millis(NOW.0 + 8 * DAY));
    pass(&mut shop, 8, 30);
    assert_eq!(shop.stage.sizes().orders, 1);
    shop.stage.set_trusted(Millis(NOW.0 + 30 * DAY));
    pass(&mut shop, 30, 31);
    assert_eq!(shop.stage.sizes().orders, 0);
}
