//! Refunds, few and many of an order.

use proptest::prelude::*;

use super::*;

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
