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
