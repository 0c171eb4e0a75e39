//! Who acquired a customer, and what campaigns are told.

use super::*;

#[test]
fn a_late_earlier_order_moves_the_customer_to_another_campaign() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("b", 10, 100), json!({"campaign_id": "x"})));
    shop.take(with(order("c", 5, 30), json!({"campaign_id": "x"})));
    let x = shop.campaign("x");
    assert_eq!((x.new_customers, x.acquired.revenue, x.others.revenue), (1, units(130), Sum::ZERO));
    assert_eq!(x.new_customer_revenue, units(100));

    shop.take(with(order("a", 20, 7), json!({"campaign_id": "y"})));
    let (x, y) = (shop.campaign("x"), shop.campaign("y"));
    assert_eq!((x.new_customers, x.acquired.revenue, x.others.revenue), (0, Sum::ZERO, units(130)));
    assert_eq!((x.new_customer_revenue, x.attributed.revenue, x.orders), (Sum::ZERO, units(130), 2_000_000));
    assert_eq!((y.new_customers, y.acquired.revenue, y.others.revenue), (1, units(137), Sum::ZERO));
    assert_eq!(y.new_customer_revenue, units(7));
    assert_eq!(shop.record("c")["acquired_by"]["campaign_id"], "y");
}

#[test]
fn of_two_first_orders_at_one_moment_the_smaller_id_is_first() {
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o-2", 5, 10), json!({"items": [{"sku": "two", "quantity": 1, "unit_price": 1}]})));
    shop.take(with(order("o-1", 5, 10), json!({"items": [{"sku": "one", "quantity": 1, "unit_price": 1}]})));
    assert_eq!(shop.record("c")["acquired_by"]["sku"], "one");
    shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": "o-1", "occurred_at": 0}));
    assert_eq!(shop.record("c")["acquired_by"]["sku"], "two");
}

#[test]
fn a_customer_known_before_was_acquired_by_nobody() {
    let since = json!({"customer_since": NOW.0 - 400 * DAY, "campaign_id": "x"});
    let mut shop = Shop::new(|_| {});
    shop.take(with(order("o", 3, 100), json!({"campaign_id": "x"})));
    shop.take(with(order("p", 2, 50), since));
    let record = shop.record("c");
    assert_eq!(record["known_before"], true);
    assert_eq!(record["acquired_by"], json!({"campaign_id": null, "channel": null, "sku": null, "cohort": "2025-10"}));
    let x = shop.campaign("x");
    assert_eq!((x.new_customers, x.others.revenue, x.new_customer_revenue), (0, units(150), Sum::ZERO));
    // The order that said so is cancelled: nothing was known of the customer after all.
    shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": "p", "occurred_at": 0}));
    assert_eq!(shop.record("c")["known_before"], false);
    assert_eq!(shop.campaign("x").new_customers, 1);

    let mut shop = Shop::new(|settings| settings.complete_from = Some(Millis(NOW.0 - 3 * DAY)));
    shop.take(order("o", 3, 100));
    assert_eq!(shop.record("c")["known_before"], false, "the moment itself is complete");
    shop.take(order("p", 4, 100));
    assert_eq!(shop.record("c")["known_before"], true);
}

#[test]
fn shares_of_one_order_sum_to_it() {
    let mut shop = Shop::new(|settings| settings.attribution.model = Model::Linear);
    let touchpoints = json!({"cost_of_goods": "33.333333", "touchpoints": [
        {"at": NOW.0 - 9 * DAY, "campaign_id": "x"}, {"at": NOW.0 - 8 * DAY, "campaign_id": "y"},
        {"at": NOW.0 - 7 * DAY, "channel": "mail"}, {"at": NOW.0 - 6 * DAY, "campaign_id": "x"}]});
    shop.take(with(order("o", 5, 100), touchpoints));
    let (x, y) = (shop.campaign("x"), shop.campaign("y"));
    assert_eq!((x.shares, x.orders, x.attributed.revenue), (2, 500_000, units(50)));
    assert_eq!((y.shares, y.orders, y.attributed.revenue), (1, 250_000, units(25)));
    assert_eq!(
        x.attributed.gross_profit,
        Sum(33_333_333),
        "66.666667 / 4: the three micro-units left over go to the first three"
    );
    assert_eq!((x.new_customers, y.new_customers), (1, 0), "equal weights: the later acquired");
    assert_eq!(y.others.revenue, units(25));
}

#[test]
fn a_hundred_thousand_orders_of_one_customer_stay_exact() {
    let mut shop = Shop::new(|_| {});
    for i in 0..100_000_i64 {
        let at = NOW.0 - (i * 7_919) % 100_000 * 60_000;
        shop.take(with(order(&i.to_string(), 0, 1), json!({"occurred_at": at, "campaign_id": format!("x{}", i % 5)})));
    }
    let record = shop.record("c");
    assert_eq!((&record["orders"], &record["purchases_per_year"]), (&json!(100_000), &json!(100_000)));
    let acquired = (0..5).map(|i| shop.campaign(&format!("x{i}")).acquired.revenue).sum::<Sum>();
    assert_eq!(acquired, units(100_000));
}
