//! Made-up histories in which everything collides: few ids, moments on every edge, amendments, refunds before their
//! orders, restated spend, all optional fields, each value in any of its forms.

mod cases;
mod moments;
mod object;
mod odd;
mod poison;

pub use cases::{Case, cases};
pub use odd::with_an_odd_value;
pub use poison::poison;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::batch::Batch;
use moments::{DAY, HOUR, MOST_AHEAD, Moments, written};
use object::{Object, array, quoted};

/// From how small a world the events are.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    pub as_of: i64,
    pub customers: u32,
    pub orders: u32,
    pub campaigns: u32,
    /// Each order has touchpoints, and each of them names a campaign.
    pub all_by_campaigns: bool,
}

const CHANNELS: [&str; 5] = ["direct", "email", "search", "social", "line \u{1F600} \\ \"q\""];
const AMOUNTS: [&str; 14] = [
    "0",
    "1",
    "5",
    "10",
    "10.00",
    "19.99",
    "33.333333",
    "100",
    "1e2",
    "2.5E-1",
    "0.000001",
    "0.0000005",
    "1234.5678905",
    "900000000",
];

impl Maker {
    /// The events of these seeds. Of different events that are alike in identity, time and amount only one is kept: which
    /// of them counts is left open.
    pub fn history(&self, seeds: &[u64]) -> Vec<String> {
        let events = seeds.iter().map(|seed| self.event(&mut StdRng::seed_from_u64(*seed)));
        Batch::without_open_ties(events.collect())
    }

    /// The history in another order, some events two or three times.
    pub fn shuffled(history: &[String], rng: &mut StdRng) -> Vec<String> {
        let mut events = history.to_vec();
        for _ in 0..history.len() / 3 {
            events.extend(history.choose(rng).cloned());
        }
        events.shuffle(rng);
        events
    }

    pub fn event(&self, rng: &mut StdRng) -> String {
        let mut object = match rng.random_range(0..100) {
            0..45 => self.purchase(rng),
            45..58 => self.refund(rng),
            58..64 => self.cancellation(rng),
            64..74 => self.customer_cost(rng),
            74..84 => self.ad_spend(rng),
            _ => self.ad_spend_report(rng),
        };
        if rng.random_bool(0.1) {
            object.put("unknown", r#"{"nested": [1, {"deep": null}], "e": 1e5}"#.to_owned());
        }
        if rng.random_bool(0.1) {
            object.put(
                ["customer_since", "channel", "items", "offer", "shop", "breakdown"].choose(rng).unwrap(),
                "null".to_owned(),
            );
        }
        object.written(rng)
    }

    fn moments(&self) -> Moments {
        Moments { as_of: self.as_of }
    }

    fn customer(&self, rng: &mut StdRng) -> String {
        match rng.random_range(0..self.customers) {
            // An integer and its decimal text are one id.
            0 => ["7", "\"7\""].choose(rng).unwrap().to_string(),
            1 => quoted("ü/\"1\""),
            number => quoted(&format!("c-{number}")),
        }
    }

    fn order(&self, rng: &mut StdRng) -> String {
        quoted(&format!("o{}", rng.random_range(0..self.orders)))
    }

    fn campaign(&self, rng: &mut StdRng) -> String {
        match rng.random_range(0..self.campaigns) {
            0 => ["1", "\"1\""].choose(rng).unwrap().to_string(),
            number => quoted(&format!("g:{number}/é")),
        }
    }

    fn of_order(&self, kind: &str, rng: &mut StdRng) -> Object {
        let mut object = Object::of(kind);
        object.put("customer_id", self.customer(rng));
        object.put("order_id", self.order(rng));
        object
    }

    fn purchase(&self, rng: &mut StdRng) -> Object {
        let mut object = self.of_order("purchase", rng);
        let at = self.moments().any(rng);
        object.put("occurred_at", written(at, rng));
        if rng.random_bool(0.3) {
            let updated_at = (at + *[-DAY, -1, 0, 1, HOUR, DAY].choose(rng).unwrap()).min(self.as_of + MOST_AHEAD);
            object.put("updated_at", written(updated_at, rng));
        }
        let items: Vec<String> = (0..rng.random_range(0..4)).map(|_| item(rng)).collect();
        if items.is_empty() || rng.random_bool(0.4) {
            object.put("revenue", amount(rng));
        }
        if !items.is_empty() {
            object.put("items", array(&items));
            // Each item costs at least 10.
            object.maybe(
                0.3,
                "discount",
                |rng| ["10", "\"0.5\"", "0", "9.999999"].choose(rng).unwrap().to_string(),
                rng,
            );
        }
        object.maybe(0.4, "cost_of_goods", amount, rng);
        object.maybe(0.4, "operating_cost", amount, rng);
        object.maybe(0.2, "offer", |_| quoted("SPRING"), rng);
        object.maybe(0.2, "shop", |_| quoted("eu"), rng);
        object.maybe(0.1, "currency", |_| quoted("USD"), rng);
        object.maybe(
            0.15,
            "customer_since",
            |rng| written(at + *[-400 * DAY, -1, 0, 1, DAY].choose(rng).unwrap(), rng),
            rng,
        );
        let by_campaign = if self.all_by_campaigns { 1.0 } else { 0.4 };
        object.maybe(by_campaign, "campaign_id", |rng| self.campaign(rng), rng);
        object.maybe(0.3, "channel", channel, rng);
        let touchpoints: Vec<String> = (0..rng.random_range(0..6)).map(|_| self.touchpoint(at, rng)).collect();
        if !touchpoints.is_empty() {
            object.put("touchpoints", array(&touchpoints));
        }
        object
    }

    fn touchpoint(&self, at: i64, rng: &mut StdRng) -> String {
        let ages =
            [-1, 0, 1, HOUR, 7 * DAY / 2, 7 * DAY, 14 * DAY, 30 * DAY, 30 * DAY + 1, rng.random_range(0..33 * DAY)];
        let mut touchpoint = Object::default();
        touchpoint.put("at", written(at - *ages.choose(rng).unwrap(), rng));
        let by_campaign = if self.all_by_campaigns { 1.0 } else { 0.6 };
        touchpoint.maybe(by_campaign, "campaign_id", |rng| self.campaign(rng), rng);
        touchpoint.maybe(0.7, "channel", channel, rng);
        touchpoint.written(rng)
    }

    fn refund(&self, rng: &mut StdRng) -> Object {
        let mut object = self.of_order("refund", rng);
        object.put("refund_id", rng.random_range(0..3).to_string());
        object.put("occurred_at", written(self.moments().any(rng), rng));
        object.put("amount", ["1", "\"5.5\"", "0.000001", "1e6", "33.333333"].choose(rng).unwrap().to_string());
        object.maybe(0.5, "cost_recovered", amount, rng);
        object
    }

    fn cancellation(&self, rng: &mut StdRng) -> Object {
        let mut object = self.of_order("cancellation", rng);
        object.put("occurred_at", written(self.moments().any(rng), rng));
        object
    }

    fn customer_cost(&self, rng: &mut StdRng) -> Object {
        let mut object = Object::of("customer_cost");
        object.put("customer_id", self.customer(rng));
        object.put("cost_id", quoted(["k1", "k2"].choose(rng).unwrap()));
        object.put("occurred_at", written(self.moments().any(rng), rng));
        object.put("amount", amount(rng));
        object.put("kind", quoted(["acquisition", "retention"].choose(rng).unwrap()));
        object.maybe(0.3, "channel", channel, rng);
        object
    }

    fn spend(&self, kind: &str, rng: &mut StdRng) -> Object {
        let mut object = Object::of(kind);
        object.put("campaign_id", self.campaign(rng));
        object.put("amount", amount(rng));
        object.maybe(0.5, "kind", |rng| quoted(["media", "fee", "creative", "other"].choose(rng).unwrap()), rng);
        object.maybe(0.4, "channel", channel, rng);
        object
    }

    fn ad_spend(&self, rng: &mut StdRng) -> Object {
        let mut object = self.spend("ad_spend", rng);
        object.put("spend_id", rng.random_range(0..5).to_string());
        object.put("occurred_at", written(self.moments().any(rng), rng));
        object
    }

    fn ad_spend_report(&self, rng: &mut StdRng) -> Object {
        let mut object = self.spend("ad_spend_report", rng);
        let (date, reported_at) = self.moments().report(rng);
        object.put("date", quoted(&date));
        object.put("reported_at", written(reported_at, rng));
        object.maybe(0.4, "breakdown", |rng| quoted(["", "de", "fr"].choose(rng).unwrap()), rng);
        object.maybe(0.5, "impressions", |rng| ["0", "7", "1000", "123457"].choose(rng).unwrap().to_string(), rng);
        object.maybe(0.5, "clicks", |rng| ["0", "1", "26", "999"].choose(rng).unwrap().to_string(), rng);
        object.maybe(0.3, "reported_conversions", amount, rng);
        object.maybe(0.4, "reported_revenue", amount, rng);
        object.maybe(0.3, "campaign_name", |rng| quoted(["Spring", "Autumn \u{4E00}"].choose(rng).unwrap()), rng);
        object.maybe(0.3, "platform", |rng| quoted(["google", "meta"].choose(rng).unwrap()), rng);
        object.maybe(0.2, "objective", |rng| quoted(["sales", "reach"].choose(rng).unwrap()), rng);
        object
    }
}

fn item(rng: &mut StdRng) -> String {
    let mut item = Object::default();
    item.put("sku", ["\"A\"", "\"B\"", "12"].choose(rng).unwrap().to_string());
    item.put("quantity", rng.random_range(1..4).to_string());
    item.put("unit_price", ["10", "\"19.995\"", "100.0000005", "3e1"].choose(rng).unwrap().to_string());
    item.maybe(0.7, "unit_cost", amount, rng);
    item.maybe(0.2, "category", |_| quoted("music"), rng);
    item.written(rng)
}

fn amount(rng: &mut StdRng) -> String {
    let amount = AMOUNTS.choose(rng).unwrap();
    if rng.random_bool(0.3) { quoted(amount) } else { (*amount).to_owned() }
}

fn channel(rng: &mut StdRng) -> String {
    quoted(CHANNELS.choose(rng).unwrap())
}
