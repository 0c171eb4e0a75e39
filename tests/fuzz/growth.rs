//! One customer with a million orders, one order with a hundred thousand refunds: an event costs what it costs with a
//! thousand.
//!
//! What a later event takes is compared with what an early one took, so that the speed of the machine does not count: were
//! it in proportion to the history, it would be a thousand times as much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payback::engine::Stage;
use payback::engine::customers::Customers;
use payback::events::Decoder;
use payback::time::Millis;
use serde_json::Value;

use crate::corpus::NOW;
use crate::events::{Recorded, settings};

const ORDERS: u64 = 1_000_000;
/// Enough to see it where the first test has seen a million.
const FEWER_ORDERS: u64 = 200_000;
/// A hundredth of what proportion would make it, and far over what noise does to the fastest of many.
const MOST: u32 = 10;

struct Shop {
    customers: Customers,
    decoder: Decoder,
    effects: Recorded,
}

impl Shop {
    fn new() -> Shop {
        let settings = settings(0);
        let decoder = Decoder::new(&settings);
        Shop { customers: Customers::new(Arc::clone(&settings)), decoder, effects: Recorded::default() }
    }

    fn take(&mut self, record: &str) {
        let event = self.decoder.decode(record.as_bytes(), Millis(NOW)).expect("an event");
        self.customers.apply(&event, &mut self.effects).expect("nothing is too late");
        self.effects.facts.clear();
    }

    fn flush(&mut self) {
        self.customers.flush(Millis(NOW), &mut self.effects);
        self.effects.differences.clear();
    }

    fn orders(&self) -> u64 {
        let record = self.customers.record("c", Millis(NOW)).expect("the customer");
        serde_json::from_slice::<Value>(&record).expect("JSON")["orders"].as_u64().expect("a number")
    }

    /// The time of the fastest of many repetitions.
    fn fastest(&mut self, times: u64, mut work: impl FnMut(&mut Shop, u64)) -> Duration {
        let time = |number| {
            let start = Instant::now();
            work(self, number);
            start.elapsed()
        };
        (0..times).map(time).min().unwrap_or_default()
    }
}

/// An order, as the how-many-eth at which moment and with which `customer_since`.
fn order(number: u64, at: i64, since: i64) -> String {
    format!(
        r#"{{"type":"purchase","customer_id":"c","order_id":{number},"occurred_at":{at},"revenue":1,"cost_of_goods":1,"campaign_id":"g","customer_since":{since}}}"#
    )
}

fn refund(order: u64, number: u64) -> String {
    format!(
        r#"{{"type":"refund","customer_id":"c","order_id":{order},"refund_id":{number},"occurred_at":{NOW},"amount":"0.000001"}}"#
    )
}

/// Orders are made by `order`, in its order; `disturb` is what hurts: of which order, the how-many-eth time.
fn stays_flat(orders: u64, order: impl Fn(u64) -> String, disturb: impl Fn(u64, u64) -> Vec<String>) {
    let mut shop = Shop::new();
    let mut early = None;
    for number in 0..orders {
        shop.take(&order(number));
        if number % 1_000 == 999 {
            shop.flush();
        }
        if number == 999 || number == orders - 1 {
            let disturbed = shop.fastest(200, |shop, round| {
                disturb(number, round).iter().for_each(|record| shop.take(record));
            });
            shop.flush();
            match early {
                None => early = Some(disturbed),
                Some(early) => {
                    assert!(disturbed < early * MOST, "{disturbed:?} with {orders} orders, {early:?} with a thousand");
                }
            }
        }
    }
    assert_eq!(shop.orders(), orders);
}

#[test]
fn orders_one_after_the_other_and_refunds_of_the_first_and_the_last() {
    stays_flat(
        ORDERS,
        |number| order(number, NOW - 2_000_000_000 + number as i64, 5),
        |last, round| vec![refund(0, round + 1_000 * last), refund(last, round + 1_000 * last)],
    );
}

/// Each is the first at its arrival, and says an earlier first purchase than all before.
#[test]
fn each_order_earlier_than_all_before_and_amendments_of_the_earliest() {
    let at = |number: u64| NOW - 2_000_000_000 - number as i64;
    stays_flat(
        FEWER_ORDERS,
        move |number| order(number, at(number), at(number) - 1),
        move |last, round| {
            let amended = order(last, at(last), at(last) - 1);
            let amended = amended.replacen('{', &format!(r#"{{"updated_at":{},"#, NOW - 10_000 + round as i64), 1);
            vec![amended, refund(last, round)]
        },
    );
}

#[test]
fn all_orders_at_one_moment_and_refunds_of_the_first() {
    stays_flat(
        FEWER_ORDERS,
        |number| order(number, NOW - 2_000_000_000, 5),
        |last, round| vec![refund(0, round + 1_000 * last)],
    );
}

#[test]
fn refunds_of_one_order_one_after_the_other_and_again() {
    const REFUNDS: u64 = 200_000;
    let mut shop = Shop::new();
    shop.take(&order(0, NOW - 2_000_000_000, 5));
    let mut early = None;
    for number in 0..REFUNDS {
        shop.take(&refund(0, number));
        if number == 999 || number == REFUNDS - 1 {
            let taken = shop.fastest(200, |shop, round| {
                shop.take(&refund(0, REFUNDS + round + 1_000 * number));
                shop.take(&refund(0, round));
                shop.flush();
            });
            match early {
                None => early = Some(taken),
                Some(early) => {
                    assert!(taken < early * MOST, "{taken:?} with {REFUNDS} refunds, {early:?} with a thousand");
                }
            }
        }
    }
}
