//! What time alone changes.

use super::*;

#[test]
fn time_alone_takes_orders_out_of_the_year_and_lets_early_ones_in() {
    let mut shop = Shop::new(|_| {});
    shop.take(order("old", 365, 10));
    shop.take(with(order("ahead", 0, 10), json!({"occurred_at": NOW.0 + 60_000})));
    shop.take(with(order("other", 1, 10), json!({"customer_id": "d"})));
    shop.stage.flush(Millis(NOW.0 - 1), &mut shop.out);
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 1, "the old one; the one ahead not yet");

    let written = shop.out.written;
    assert!(shop.stage.roll(Millis(NOW.0 + 59_999), 10, &mut shop.out));
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 0);
    assert_eq!(shop.out.written, written + 1, "what time did not change is not written");
    assert!(shop.stage.roll(Millis(NOW.0 + 60_000), 10, &mut shop.out));
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 1);
}

/// The moments at which it is looked again, as a worker does, up to the last one.
fn looks(shop: &mut Shop, from: i64, to: i64, every: i64) {
    for then in (from..=to).step_by(every as usize) {
        if shop.stage.next_moment().is_some_and(|next| next.0 <= then) {
            while !shop.stage.roll(Millis(then), 10, &mut shop.out) {}
        }
    }
}

#[test]
fn an_order_a_moment_ahead_of_the_clock_counts_when_the_clock_gets_there() {
    let mut shop = Shop::new(|_| {});
    let then = NOW.0 + 300;
    shop.take(with(order("o", 0, 7), json!({"occurred_at": then})));
    shop.flush();
    assert_eq!(shop.out.updates["c"]["ltv"]["formula"], "0");
    assert!(shop.stage.next_moment().unwrap().0 <= then, "never late");
    looks(&mut shop, NOW.0, then - 1, 1);
    assert_eq!(shop.out.written, 1, "not before");
    looks(&mut shop, then, then, 1);
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 1);
    assert_eq!(shop.out.updates["c"]["ltv"]["formula"], "7");
    looks(&mut shop, then + 1, then + 2 * Millis::HOUR, 60_000);
    assert_eq!(shop.out.written, 2, "once");
}

#[test]
fn an_order_leaves_the_last_365_days_at_its_moment() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("first", 100, 7), json!({"occurred_at": at(-100) + 250})));
    shop.take(with(order("second", 100, 7), json!({"occurred_at": at(-100) + 300})));
    shop.take(order("third", 99, 7));
    shop.flush();
    let of_year = |shop: &Shop| shop.out.updates["c"]["purchases_per_year"].clone();
    let mut when = Vec::new();
    for (then, left) in [(at(265) + 249, 3), (at(265) + 250, 2), (at(265) + 299, 2), (at(265) + 300, 1), (at(266), 0)] {
        looks(&mut shop, then, then, 1);
        assert_eq!(of_year(&shop), left);
        when.push(shop.stage.next_moment().map(|next| next.0));
    }
    assert_eq!(when[4], None, "time changes nothing of this customer any more");
    assert!(when[0] <= Some(at(265) + 250) && when[2] <= Some(at(265) + 300));
}

#[test]
fn a_moment_that_was_put_off_or_brought_forward_is_met() {
    let mut shop = Shop::new(|_| {});
    let amended = |version: i64, at: i64| {
        with(order("o", 0, 7), json!({"occurred_at": at, "updated_at": NOW.0 - 1_000 + version}))
    };
    shop.take(amended(0, at(-300)));
    shop.flush();
    shop.take(amended(1, at(-10)));
    shop.flush();
    looks(&mut shop, at(65), at(65), 1);
    assert_eq!(shop.out.written, 2, "looked at, and not written");
    let event = amended(2, at(-200));
    shop.take(event);
    shop.stage.flush(Millis(at(66)), &mut shop.out);
    looks(&mut shop, at(164), at(165), DAY);
    assert_eq!(shop.out.updates["c"]["purchases_per_year"], 0);
    assert_eq!(shop.stage.next_moment(), Some(Millis(at(355))), "the hour of a place that it has left");
    looks(&mut shop, at(355), at(355), 1);
    assert_eq!((shop.stage.next_moment(), shop.out.written), (None, 4));
}

#[test]
fn a_roll_that_was_cut_short_is_taken_up_again() {
    let mut shop = Shop::new(|_| {});
    for customer in 0..25 {
        shop.take(with(order("o", 365, 10), json!({"customer_id": customer})));
        shop.take(with(order("ahead", 0, 10), json!({"customer_id": customer, "occurred_at": NOW.0 + 1_000})));
    }
    shop.stage.flush(Millis(NOW.0 - 1), &mut shop.out);
    let rolled_to = Millis(NOW.0 - 1);
    let then = Millis(NOW.0 + 1_000);
    assert!(!shop.stage.roll(then, 10, &mut shop.out));
    let of_year = |shop: &Shop, count: i64| {
        shop.out
            .updates
            .values()
            .filter(|record| record["purchases_per_year"] == count && record["as_of"] == then.to_string())
            .count()
    };
    assert!((1..25).contains(&of_year(&shop, 1)));
    let last = Last { as_of: then, rolled_to };
    let stages = [restored_to(&shop, last), snapshots::loaded_to(&shop.stage, last)];
    for stage in stages {
        shop.stage = stage;
        assert!(shop.stage.next_moment().is_some_and(|next| next <= then));
        while !shop.stage.roll(Millis(then.0 + 7), 10, &mut shop.out) {}
        assert_eq!(shop.out.updates.values().filter(|record| record["purchases_per_year"] == 1).count(), 25);
    }
}

#[test]
fn ten_thousand_customers_whose_moments_fall_together_are_paced() {
    let mut shop = Shop::new(|_| {});
    for customer in 0..10_000 {
        shop.take(with(order("o", 365, 10), json!({"customer_id": customer})));
    }
    shop.stage.flush(Millis(NOW.0 - 1), &mut shop.out);
    let before = shop.stage.sizes().bytes;
    let mut calls = 1;
    loop {
        let written = shop.out.written;
        let done = shop.stage.roll(NOW, 100, &mut shop.out);
        assert!(shop.out.written - written <= 100);
        if done {
            break;
        }
        calls += 1;
    }
    assert!((100..=201).contains(&calls), "{calls}");
    assert_eq!(shop.out.written, 20_000);
    assert!(shop.out.updates.values().all(|record| record["purchases_per_year"] == 0));
    assert!(shop.stage.sizes().bytes < before, "their places are given back");
    assert_eq!(shop.stage.next_moment(), None);
}

#[test]
fn records_are_written_again_when_they_are_asked_for() {
    let mut shop = Shop::new(|_| {});
    for customer in 0..25 {
        shop.take(with(order("o", 1, 10), json!({"customer_id": customer})));
    }
    shop.flush();
    let later = Millis(NOW.0 + 5);
    let (mut from, mut parts) = (Some(0), 0);
    while let Some(first) = from {
        from = shop.stage.rewrite(first, 10, later, &mut shop.out);
        parts += 1;
    }
    assert_eq!((parts, shop.out.written), (3, 50));
    assert!(shop.out.updates.values().all(|record| record["as_of"] == later.to_string()));
    assert_eq!(shop.stage.rewrite(25, 10, later, &mut shop.out), None);
}
