//! One customer with a million orders, one order with a hundred thousand refunds: an event costs what it costs with a
//! thousand. One campaign with a hundred thousand amounts to be compacted: a step costs what the last one costs.
//!
//! What a later event takes is compared with what an early one took, so that the speed of the machine does not count: were
//! it in proportion to the history, it would be a thousand times as much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payback::engine::Stage;
use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::events::Decoder;
use payback::settings::{Retention, Settings};
use payback::time::Millis;
use serde_json::Value;

use crate::corpus::NOW;
use crate::events::{Recorded, settings};

const ORDERS: u64 = 1_000_000;
/// Enough to see it where the first test has seen a million.
const FEWER_ORDERS: u64 = 200_000;
/// As often is each thing done that is measured.
const ROUNDS: u64 = 200;
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

/// Orders are made by `order`, in its order; `disturb` is what hurts: of which order, the how-many-eth time. What it takes is
/// measured with the flush after it.
fn stays_flat(orders: u64, order: impl Fn(u64) -> String, disturb: impl Fn(u64, u64) -> Vec<String>) -> Shop {
    let mut shop = Shop::new();
    let mut early = None;
    for number in 0..orders {
        shop.take(&order(number));
        if number % 1_000 == 999 {
            shop.flush();
        }
        if number == 999 || number == orders - 1 {
            shop.flush();
            let disturbed = shop.fastest(ROUNDS, |shop, round| {
                disturb(number, round).iter().for_each(|record| shop.take(record));
                shop.flush();
            });
            match early {
                None => early = Some(disturbed),
                Some(early) => {
                    assert!(disturbed < early * MOST, "{disturbed:?} with {orders} orders, {early:?} with a thousand");
                }
            }
        }
    }
    shop
}

#[test]
fn orders_one_after_the_other_and_refunds_of_the_first_and_the_last() {
    let shop = stays_flat(
        ORDERS,
        |number| order(number, NOW - 2_000_000_000 + number as i64, 5),
        |last, round| vec![refund(0, round + 1_000 * last), refund(last, round + 1_000 * last)],
    );
    assert_eq!(shop.orders(), ORDERS);
}

/// Each is the first at its arrival, and says an earlier first purchase than all before.
#[test]
fn each_order_earlier_than_all_before_and_amendments_of_the_earliest() {
    let at = |number: u64| NOW - 2_000_000_000 - number as i64;
    let shop = stays_flat(
        FEWER_ORDERS,
        move |number| order(number, at(number), at(number) - 1),
        move |last, round| {
            let amended = order(last, at(last), at(last) - 1);
            let amended = amended.replacen('{', &format!(r#"{{"updated_at":{},"#, NOW - 10_000 + round as i64), 1);
            vec![amended, refund(last, round)]
        },
    );
    assert_eq!(shop.orders(), FEWER_ORDERS);
}

#[test]
fn all_orders_at_one_moment_and_refunds_of_the_first() {
    let shop = stays_flat(
        FEWER_ORDERS,
        |number| order(number, NOW - 2_000_000_000, 5),
        |last, round| vec![refund(0, round + 1_000 * last)],
    );
    assert_eq!(shop.orders(), FEWER_ORDERS);
}

/// Each time another is the first, by its id.
#[test]
fn all_orders_at_one_moment_and_the_first_is_cancelled_again_and_again() {
    // Ids of one length, so that they are in the order of their numbers.
    const FIRST: u64 = 1_000_000;
    let shop = stays_flat(
        FEWER_ORDERS,
        |number| order(FIRST + number, NOW - 2_000_000_000, NOW),
        |last, round| {
            let next = FIRST + if last < ROUNDS * 10 { round } else { ROUNDS + round };
            vec![format!(r#"{{"type":"cancellation","customer_id":"c","order_id":{next},"occurred_at":{NOW}}}"#)]
        },
    );
    assert_eq!(shop.orders(), FEWER_ORDERS - 2 * ROUNDS);
}

/// Each order says another first purchase; each time the one that says the earliest takes it back.
#[test]
fn the_earliest_first_purchase_is_taken_back_again_and_again() {
    let at = |number: u64| NOW - 2_000_000_000 + number as i64;
    let shop = stays_flat(
        FEWER_ORDERS,
        move |number| order(number, at(number), 5 + number as i64),
        move |last, round| {
            let number = if last < ROUNDS * 10 { round } else { ROUNDS + round };
            let amended = order(number, at(number), 5 + FEWER_ORDERS as i64);
            vec![amended.replacen('{', &format!(r#"{{"updated_at":{},"#, NOW - 1_000_000), 1)]
        },
    );
    assert_eq!(shop.orders(), FEWER_ORDERS);
}

/// Whoever acquired the customer also decides what each of its orders counts as: these are all booked over, once a flush. It
/// is the one thing that grows with a customer's history, and no more than in proportion.
#[test]
fn the_first_order_goes_from_campaign_to_campaign() {
    const EARLY: u64 = 1_000;
    let mut shop = Shop::new();
    let mut early = None;
    for number in 0..FEWER_ORDERS {
        shop.take(&order(number, NOW - 2_000_000_000 + number as i64, NOW));
        if number == EARLY - 1 || number == FEWER_ORDERS - 1 {
            shop.flush();
            let taken = shop.fastest(20, |shop, round| {
                let amended = order(0, NOW - 2_000_000_000, NOW);
                let amended = amended.replacen(
                    '{',
                    &format!(r#"{{"updated_at":{},"#, NOW - 1_000_000 + (number + round) as i64),
                    1,
                );
                let campaign = if round % 2 == 0 { "\"h\"" } else { "\"g\"" };
                shop.take(&amended.replace("\"g\"", campaign));
                shop.flush();
            });
            match early {
                None => early = Some(taken),
                Some(early) => {
                    let most = early * (FEWER_ORDERS / EARLY) as u32 * 3;
                    assert!(taken < most, "{taken:?} with {FEWER_ORDERS} orders, {early:?} with {EARLY}");
                }
            }
        }
    }
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

#[test]
fn amounts_of_a_long_history_that_are_compacted_step_by_step() {
    const DAYS: i64 = 1_000;
    const A_DAY: i64 = 100;
    let retention = Retention { days: 100_000, ..Retention::default() };
    let settings = Arc::new(Settings { retention, ..Settings::default() });
    let (decoder, mut effects) = (Decoder::new(&settings), Recorded::default());
    let mut campaigns = Campaigns::new(Arc::clone(&settings));
    for number in 0..DAYS * A_DAY {
        let at = NOW - (number % DAYS + 50) * Millis::DAY;
        let amount = format!(
            r#"{{"type":"ad_spend","campaign_id":"g","spend_id":{number},"occurred_at":{at},"amount":1,"channel":"c"}}"#
        );
        let event = decoder.decode(amount.as_bytes(), Millis(NOW)).expect("an event");
        campaigns.apply(&event, &mut effects).expect("nothing is too late");
    }
    for day in [0, 3, 7] {
        campaigns.flush(Millis(NOW + day * Millis::DAY), &mut effects);
    }
    let mut steps = Vec::new();
    let mut done = false;
    while !done {
        let start = Instant::now();
        done = campaigns.roll(Millis(NOW + 7 * Millis::DAY), A_DAY as usize, &mut effects);
        steps.push(start.elapsed());
    }
    assert!(steps.len() as i64 >= DAYS, "a day at a time: {} steps", steps.len());
    assert!(effects.facts.keys().all(|key| key[0] != b'a'), "no amount is left");
    // The first sorts them; some wait for the machine.
    let fastest = |steps: &[Duration]| steps.iter().copied().min().unwrap_or_default();
    let (early, late) = (fastest(&steps[1..100]), fastest(&steps[steps.len() - 100..]));
    assert!(early < late * MOST, "{early:?} with all of them left, {late:?} with few");
}
