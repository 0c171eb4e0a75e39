//! The current version of an order, and its cancellation.

use super::*;

#[test]
fn a_cancelled_order_counts_for_nothing_and_is_not_revived() {
    let cancellation = json!({"type": "cancellation", "customer_id": "c", "order_id": "o", "occurred_at": NOW.0});
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o", 3, 100), json!({"campaign_id": "x"})));
    assert_eq!(shop.campaign("x").attributed.revenue, units(100));
    shop.take(cancellation.clone());
    assert_eq!(shop.campaign("x"), LedgerSums::default(), "all that was sent is taken back");
    let amendment = with(order("o", 3, 500), json!({"updated_at": NOW.0, "campaign_id": "x"}));
    assert_eq!(shop.take(amendment), Outcome::Applied);
    assert_eq!(shop.record("c")["orders"], 0);
    assert_eq!(shop.campaign("x"), LedgerSums::default());
    assert_eq!(shop.take(cancellation), Outcome::Duplicate);
}

#[test]
fn the_later_version_of_an_order_wins_whole() {
    let mut shop = Shop::new(|_| {});
    let version = |at: i64, revenue: i64| with(order("o", 3, revenue), json!({"updated_at": NOW.0 + at}));
    assert_eq!(shop.take(version(0, 100)), Outcome::Applied);
    assert_eq!(shop.take(version(-1, 900)), Outcome::Superseded);
    assert_eq!(shop.take(version(0, 99)), Outcome::Superseded, "equal times: the greater revenue");
    assert_eq!(shop.take(version(0, 101)), Outcome::Applied);
    assert_eq!(shop.take(version(1, 5)), Outcome::Applied);
    assert_eq!(shop.take(version(1, 5)), Outcome::Duplicate);
    assert_eq!(shop.record("c")["revenue"], "5");
}
