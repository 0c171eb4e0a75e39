//! What is kept of an order and of a customer, in memory and in the changelog: the limits of `docs/performance.md`.

use super::*;

/// What an id of up to 23 bytes takes in memory.
const ID: u64 = 24;

/// Takes so many orders of two items and one touchpoint, one a customer or all of them of one.
fn filled(orders: u64, of_one: bool) -> Shop {
    let mut shop = Shop::new(|_| ());
    for number in 0..orders {
        let items = json!([
            {"sku": format!("sku-{}", number % 97), "quantity": 2, "unit_price": "19.99", "unit_cost": "7.25", "category": "shoes"},
            {"sku": format!("sku-{}", number % 101), "quantity": 1, "unit_price": "105.50", "unit_cost": "61.10", "category": "coats"},
        ]);
        let customer = if of_one { 0 } else { number };
        shop.take(json!({
            "type": "purchase", "customer_id": format!("customer-{customer:06}"), "order_id": format!("order-{number:06}"),
            "occurred_at": at(-(number as i64 % 300)), "items": items, "operating_cost": "6.40",
            "campaign_id": format!("campaign-{}", number % 20), "channel": "search",
        }));
    }
    // What the first gathered is given back by the second.
    shop.flush();
    shop.flush();
    shop
}

#[test]
fn an_order_and_a_customer_take_no_more_than_is_said() {
    // So many that a table is nearly half empty: nothing takes more.
    const ORDERS: u64 = 15_000;
    let in_memory = |of_one| filled(ORDERS, of_one).stage.sizes().bytes / ORDERS;
    let (order, both) = (in_memory(true), in_memory(false));
    assert!(order - ID <= 260, "{order} bytes an order with its id");
    assert!(both - order - ID <= 320, "{} bytes a customer with its id", both - order);

    let shop = filled(100, false);
    let fact = shop.out.facts.iter().find(|(key, _)| key[0] == b'o').expect("an order");
    assert!(fact.1.len() <= 160, "{} bytes an order in the changelog, beside its key", fact.1.len());
}

/// The details of an order are in the changelog alone: a restored state, and one that was read from a snapshot, writes no
/// order again, whatever becomes of it.
#[test]
fn only_a_purchase_writes_the_fact_of_an_order() {
    let mut shop = filled(3, true);
    let written: Vec<Vec<u8>> = shop.out.facts.keys().filter(|key| key[0] == b'o').cloned().collect();
    assert_eq!(written.len(), 3);
    shop.stage = restored(&shop);
    shop.out = Collected::default();
    let of = |order: &str| json!({"customer_id": "customer-000000", "order_id": order, "occurred_at": NOW.0});
    shop.take(with(of("order-000000"), json!({"type": "refund", "refund_id": "r", "amount": 1})));
    shop.take(with(of("order-000001"), json!({"type": "cancellation"})));
    shop.flush();
    assert_eq!(shop.stage.rewrite(0, 10, NOW, &mut shop.out), None);
    pass(&mut shop, 0, 800);
    assert!(!shop.out.facts.is_empty() && shop.out.facts.keys().all(|key| key[0] != b'o'), "{}", kinds(&shop));
}

/// One order that is amended again and again, each time with a campaign, a channel and a sku that no other has.
#[test]
fn names_that_no_order_says_any_more_are_forgotten() {
    let mut shop = Shop::new(|_| ());
    let take = |shop: &mut Shop, number: i64| {
        let items = json!([{"sku": format!("a-sku-of-its-own-{number:08}"), "quantity": 1, "unit_price": 1}]);
        let names = json!({
            "campaign_id": format!("a-campaign-of-its-own-{number:08}"), "channel": format!("a-channel-of-its-own-{number:08}"),
            "items": items, "updated_at": NOW.0 - DAY + number,
        });
        shop.take(with(order("o", 10, 5), names));
        shop.flush();
    };
    (0..100).for_each(|number| take(&mut shop, number));
    let few = shop.stage.sizes().bytes;
    (100..5_000).for_each(|number| take(&mut shop, number));
    let many = shop.stage.sizes().bytes;
    assert!(many <= few + few / 4, "{few} bytes after a hundred, {many} after five thousand");
    let acquired_by = shop.record("c")["acquired_by"].clone();
    assert_eq!(acquired_by["campaign_id"], "a-campaign-of-its-own-00004999");
    assert_eq!(acquired_by["sku"], "a-sku-of-its-own-00004999");
    assert_eq!(acquired_by["channel"], "a-channel-of-its-own-00004999");
    let told: Vec<i64> =
        (0..5_000).map(|number| shop.campaign(&format!("a-campaign-of-its-own-{number:08}")).shares).collect();
    assert!(told[..4_999].iter().all(|shares| *shares == 0) && told[4_999] == 1);
}

/// What is gathered between two flushes is in the sizes, and given back once it is less.
#[test]
fn what_much_at_once_took_is_counted_and_given_back() {
    let mut shop = Shop::new(|_| ());
    let take = |shop: &mut Shop, orders: std::ops::Range<i64>| {
        for number in orders {
            let order = order(&number.to_string(), number % 300, 5);
            let campaign = format!("campaign-{}", number % 500);
            shop.take(with(order, json!({"customer_id": number.to_string(), "campaign_id": campaign})));
        }
    };
    take(&mut shop, 0..5_000);
    let gathered = shop.stage.sizes().bytes;
    for number in 5_000..5_010 {
        shop.flush();
        take(&mut shop, number..number + 1);
    }
    shop.flush();
    let (held, fresh) = (shop.stage.sizes().bytes, restored(&shop).sizes().bytes);
    // Each of the campaigns has something to be told of three hours.
    assert!(
        gathered >= held + 1_500 * size_of::<LedgerSums>() as u64,
        "{gathered} with what is gathered, {held} without"
    );
    assert!(held <= fresh + 100_000, "{held} bytes, {fresh} of the same when restored");
}
