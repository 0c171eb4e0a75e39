//! What the tests send: a believable shop, made worse than any real one, and a load that only adds.

use std::ops::Range;

use payback::home::home;
use payback::shop::{Plan, Shop, Source};
use payback::time::Millis;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// A record to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub source: Source,
    pub key: Option<String>,
    pub value: Vec<u8>,
}

pub fn now() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// What a shop of about so many customers sends in two months: late orders, duplicates, amendments, refunds, restated spend.
pub fn shop(customers: u32) -> Vec<Delivery> {
    shop_of(customers, 1)
}

/// The same with another seed.
pub fn shop_of(customers: u32, seed: u64) -> Vec<Delivery> {
    let mut shop = Shop::new(Plan { seed, days: 60, customers, ..Plan::new(now().plus(-Millis::MINUTE)) });
    let messages = std::iter::from_fn(|| shop.next_historic());
    messages.map(|message| Delivery { source: message.source, key: Some(message.key), value: message.value }).collect()
}

/// The same events out of order, some of them twice, some with a wrong key or none, some on the other topic, and among
/// them records that can't be used.
pub fn disturbed(load: Vec<Delivery>) -> Vec<Delivery> {
    disturbed_by(load, 1)
}

/// The same with another seed.
pub fn disturbed_by(mut load: Vec<Delivery>, seed: u64) -> Vec<Delivery> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut again = Vec::new();
    for delivery in &mut load {
        match dice.random_range(0..100) {
            0..5 => again.push(delivery.clone()),
            5..10 => delivery.key = Some(format!("wrong-{}", dice.random_range(0..1_000))),
            10..12 => delivery.key = None,
            12..14 => delivery.source = other(delivery.source),
            14 => again.push(Delivery { value: poisoned(&delivery.value, &mut dice), ..delivery.clone() }),
            _ => {}
        }
    }
    load.extend(again);
    // A refund of the last week may come before its order, an order before those of the month before it.
    let length = load.len();
    for place in 0..length {
        if dice.random_bool(0.3) {
            load.swap(place, dice.random_range(place..length.min(place + 400)));
        }
    }
    load
}

/// An order each of so many customers, which leave their last 365 days together: half an hour from now.
pub fn leaving(customers: u32) -> Vec<Delivery> {
    let at = now().plus(30 * Millis::MINUTE - 365 * Millis::DAY);
    let order = |number: u32| {
        let customer = format!("leaving-{number}");
        let order = json!({
            "type": "purchase", "customer_id": customer, "order_id": number, "occurred_at": at.0 + i64::from(number),
            "revenue": 100,
        });
        Delivery { source: Source::Purchases, key: Some(customer), value: order.to_string().into_bytes() }
    };
    (0..customers).map(order).collect()
}

fn other(source: Source) -> Source {
    match source {
        Source::Purchases => Source::AdSpend,
        Source::AdSpend => Source::Purchases,
    }
}

fn poisoned(value: &[u8], dice: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    match dice.random_range(0..7) {
        0 => Vec::new(),
        1 => value[..value.len() / 2].to_vec(),
        2 => b"[1, 2, 3]".to_vec(),
        3 => br#"{"type":"payment","customer_id":"c-1"}"#.to_vec(),
        4 => br#"{"type":"purchase","customer_id":"c-1"}"#.to_vec(),
        5 => {
            br#"{"type":"refund","customer_id":"c-1","order_id":1,"refund_id":1,"occurred_at":"yesterday","amount":1}"#
                .to_vec()
        }
        _ => vec![0xff, 0xfe, 0x00, b'{'],
    }
}

/// Orders and spend that only add, each campaign's orders all in one partition: so every record that is ever put out
/// of such a campaign, or of one of its customers, is of the first so many of them.
pub struct Steady {
    /// By campaign: its orders in the order in which they are sent, with the customer of each.
    pub orders: Vec<Vec<(String, String)>>,
    /// By campaign: its spend.
    pub spend: Vec<Vec<String>>,
}

impl Steady {
    const CUSTOMERS: usize = 6;

    /// A campaign for each partition of the customers' topic.
    pub fn new(partitions: u32, orders: usize) -> Steady {
        let start = now().plus(-2 * Millis::DAY);
        // None is in the future, however many there are.
        let apart = Millis::MINUTE.min(2 * Millis::DAY / orders.max(1) as i64);
        let at = |number: usize| start.plus(number as i64 * apart).to_string();
        let campaigns = || 0..partitions;
        let orders_of = |partition: u32| {
            let customers = (0..).map(|number| format!("steady-{number}"));
            let customers = customers.filter(|customer| home(customer, partitions) == partition);
            let customers: Vec<String> = customers.take(Self::CUSTOMERS).collect();
            let order = |number: usize| {
                let customer = customers[number * 7 % customers.len()].clone();
                let order = json!({
                    "type": "purchase", "customer_id": customer, "order_id": number, "occurred_at": at(number),
                    "revenue": 100 + number, "cost_of_goods": 40, "operating_cost": "2.5",
                    "campaign_id": campaign(partition), "channel": "search",
                });
                (customer, order.to_string())
            };
            (0..orders).map(order).collect()
        };
        let spend_of = |partition: u32| {
            let amount = |number: usize| {
                json!({
                    "type": "ad_spend", "campaign_id": campaign(partition), "spend_id": number,
                    "occurred_at": at(number * 10), "amount": 300 + number,
                })
            };
            (0..orders / 10).map(|number| amount(number).to_string()).collect()
        };
        Steady { orders: campaigns().map(orders_of).collect(), spend: campaigns().map(spend_of).collect() }
    }

    pub fn campaigns(&self) -> Range<u32> {
        0..self.orders.len() as u32
    }

    /// All of it, as it is sent.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for number in 0..self.orders[0].len() {
            for partition in self.campaigns() {
                let (customer, order) = &self.orders[partition as usize][number];
                deliveries.push(Delivery {
                    source: Source::Purchases,
                    key: Some(customer.clone()),
                    value: order.clone().into_bytes(),
                });
                if let Some(spend) = self.spend[partition as usize].get(number / 10).filter(|_| number % 10 == 0) {
                    deliveries.push(Delivery {
                        source: Source::AdSpend,
                        key: Some(campaign(partition)),
                        value: spend.clone().into_bytes(),
                    });
                }
            }
        }
        deliveries
    }
}

/// The campaign whose customers live in a partition.
pub fn campaign(partition: u32) -> String {
    format!("steady:{partition}")
}

/// Two loads as one, evenly.
pub fn mixed(a: Vec<Delivery>, b: Vec<Delivery>) -> Vec<Delivery> {
    let place = |number: usize, length: usize| (number * 1_000_000) / length.max(1);
    let (of_a, of_b) = (a.len(), b.len());
    let mut all: Vec<(usize, Delivery)> = a.into_iter().enumerate().map(|(n, d)| (place(n, of_a), d)).collect();
    all.extend(b.into_iter().enumerate().map(|(n, d)| (place(n, of_b), d)));
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, delivery)| delivery).collect()
}
