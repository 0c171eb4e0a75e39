//! A made-up shop: its customers, orders, campaigns and what they cost, as the events that it would send.
//!
//! The same [`Plan`] gives the same events, to the byte. They come in order of arrival, which is not the order in which
//! things happened: some orders arrive days late, some events arrive twice, orders are amended, refunded and cancelled,
//! platforms restate a day's spend a week later.
//!
//! First the history, up to [`Plan::until`]; then, without end, what happens next. The shop has no clock: the live part
//! takes the moment of each event from the caller, and happens as fast as the caller asks.

mod catalogue;
mod customers;
mod dice;
mod spend;
mod wire;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use crate::time::{Millis, Zone};
use catalogue::{CAMPAIGNS, Campaign};
use customers::{Customer, Order, Return};
use dice::{Dice, cumulative};
use spend::{Cell, Restatement};
use wire::Cents;

/// What shop to make up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The same seed, the same shop.
    pub seed: u64,
    /// The end of the history.
    pub until: Millis,
    /// Length of the history.
    pub days: u32,
    /// About so many customers buy for the first time in the history; and per 180 days when there is none.
    pub customers: u32,
    /// The first so many of the dozen of kinds; beyond that, more of the same.
    pub campaigns: u32,
    /// Where a platform's days begin: the reporting time zone.
    pub zone: Zone,
}

impl Plan {
    /// Of the usual shop, as are the next ones.
    pub const DAYS: u32 = 180;
    /// About so many.
    pub const CUSTOMERS: u32 = 8_000;
    /// One of each kind.
    pub const CAMPAIGNS: u32 = CAMPAIGNS.len() as u32;
    /// The most that fit the numbers used here, as are the next ones.
    pub const MOST_DAYS: u32 = 3_650;
    /// In a history of any length.
    pub const MOST_CUSTOMERS: u32 = 1_000_000_000;
    /// Of all kinds together.
    pub const MOST_CAMPAIGNS: u32 = 60_000;

    /// The usual shop, with its history ending at `until`.
    pub fn new(until: Millis) -> Plan {
        Plan {
            seed: 1,
            until,
            days: Self::DAYS,
            customers: Self::CUSTOMERS,
            campaigns: Self::CAMPAIGNS,
            zone: Zone::utc(),
        }
    }

    fn start(&self) -> Millis {
        self.until.plus(-i64::from(self.days) * Millis::DAY)
    }

    fn customers_per_day(&self) -> f64 {
        let days = if self.days == 0 { Self::DAYS } else { self.days };
        f64::from(self.customers.max(1)) / f64::from(days)
    }

    /// The share of a kind's candidates in the history whom it gets: it may open later, or be cut back.
    fn share_got(&self, kind: &Campaign) -> f64 {
        let days = f64::from(self.days.max(1));
        let open = kind.launched.map_or(days, |launched| days.min(launched as f64));
        let doubted = open.min(Campaign::DOUBTED_DAYS as f64);
        (open - doubted + doubted * kind.kept) / days
    }
}

/// Which of the two source topics an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Of customers: orders, refunds, cancellations, costs.
    Purchases,
    /// Of campaigns: spend and reports.
    AdSpend,
}

/// One event as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it is sent to.
    pub source: Source,
    /// Customer id or campaign id.
    pub key: String,
    /// A JSON object on one line.
    pub value: Vec<u8>,
}

/// The shop at work.
#[derive(Debug)]
pub struct Shop {
    plan: Plan,
    dice: Dice,
    campaigns: Vec<Running>,
    cells: Vec<Cell>,
    /// Running sums of weights: which campaign brings a new customer; the last stands for none.
    new_customers_by: Vec<f64>,
    /// The same for a repeat order.
    repeat_orders_by: Vec<f64>,
    /// Mean days between two who might become customers.
    candidate_every: f64,
    queue: Queue,
    ready: Ready,
    customers: u64,
    orders: u64,
    /// Of refunds, costs and spent amounts.
    numbers: u64,
}

/// A campaign of the shop.
#[derive(Debug)]
struct Running {
    id: String,
    name: String,
    plan: &'static Campaign,
    opens: Millis,
    /// Its places in [`Shop::cells`].
    cells: Range<usize>,
    unbilled: Cents,
    unbilled_fee: Cents,
}

/// What happens next.
#[derive(Debug)]
enum Due {
    NewCustomer,
    Order(Customer),
    Amend(Box<Order>),
    Refund(Box<Return>),
    Cancel(Box<Order>),
    /// An event that was written before: it is late, or a duplicate.
    Deliver(Box<Message>),
    Report(usize),
    Restate(Box<Restatement>),
    Bill(usize),
    Fee(usize),
}

impl Shop {
    /// Chance that a new customer comes by no campaign.
    const ORGANIC: f64 = 0.18;

    /// At the beginning of its history.
    pub fn new(plan: Plan) -> Shop {
        let start = plan.start();
        let count = plan.campaigns.clamp(1, Plan::MOST_CAMPAIGNS) as usize;
        let campaigns: Vec<Running> = (0..count).map(|place| Running::new(place, &plan)).collect();
        // More of a kind share its customers.
        let of_kind = |place: usize| 1.0 + ((count - 1 - place % CAMPAIGNS.len()) / CAMPAIGNS.len()) as f64;
        let share = |place: usize, weight: fn(&Campaign) -> f64| weight(campaigns[place].plan) / of_kind(place);
        let new: f64 = (0..count).map(|place| share(place, |plan| plan.new_customers)).sum();
        let organic = new * Self::ORGANIC / (1.0 - Self::ORGANIC);
        let repeat: f64 = (0..count).map(|place| share(place, |plan| plan.repeat_orders)).sum();
        let got: f64 = (0..count)
            .map(|place| share(place, |plan| plan.new_customers) * plan.share_got(campaigns[place].plan))
            .sum();
        let candidates_per_day = plan.customers_per_day() * (new + organic) / (got + organic);
        let new_customers = (0..count).map(|place| share(place, |plan| plan.new_customers)).chain([organic]);
        let repeat_orders = (0..count).map(|place| share(place, |plan| plan.repeat_orders)).chain([1.0 - repeat]);
        let mut shop = Shop {
            dice: Dice::new(plan.seed),
            new_customers_by: cumulative(new_customers),
            repeat_orders_by: cumulative(repeat_orders),
            candidate_every: 1.0 / candidates_per_day,
            campaigns,
            cells: Vec::new(),
            queue: Queue::default(),
            ready: Ready::default(),
            customers: 0,
            orders: 0,
            numbers: 0,
            plan,
        };
        shop.open_books(start);
        shop.queue.push(start, Due::NewCustomer);
        shop
    }

    /// The next event of the history, in order of arrival; `None` once it is over.
    pub fn next_historic(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop() {
                return Some(message);
            }
            let (at, due) = self.queue.pop_before(self.plan.until)?;
            self.happen(at, at, due);
        }
    }

    /// How much of the history is over, by its own time, from 0 to 1.
    pub fn share(&self) -> f64 {
        let Some(next) = self.queue.heap.peek() else { return 1.0 };
        let start = self.plan.start();
        let span = (self.plan.until.0 - start.0).max(1) as f64;
        ((next.at.0 - start.0) as f64 / span).clamp(0.0, 1.0)
    }

    /// The next event after the history, as something that happens at `now`, the caller's clock. Speed is the caller's.
    pub fn next_live(&mut self, now: Millis) -> Message {
        loop {
            if let Some(message) = self.ready.pop() {
                return message;
            }
            // There is always a next new customer.
            if let Some((at, due)) = self.queue.pop_before(Millis::MAX) {
                self.happen(at, now, due);
            }
        }
    }

    /// `at` is the shop's own time, `now` the moment that events bear: the same until the history ends.
    fn happen(&mut self, at: Millis, now: Millis, due: Due) {
        match due {
            Due::NewCustomer => self.new_customer(at, now),
            Due::Order(customer) => self.order(at, now, customer),
            Due::Amend(order) => self.amend(now, &order),
            Due::Refund(refund) => self.refund(now, &refund),
            Due::Cancel(order) => self.cancel(now, &order),
            Due::Deliver(message) => self.ready.0.push_back(*message),
            Due::Report(cell) => self.report(at, cell, now),
            Due::Restate(again) => self.restate(&again, now),
            Due::Bill(campaign) => self.bill(at, campaign, now),
            Due::Fee(campaign) => self.fee(at, campaign, now),
        }
    }
}

/// The history, in order of arrival.
impl Iterator for Shop {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.next_historic()
    }
}

impl Running {
    fn new(place: usize, plan: &Plan) -> Running {
        let kind = &CAMPAIGNS[place % CAMPAIGNS.len()];
        let (id, name) = match place / CAMPAIGNS.len() {
            0 => (kind.id.to_owned(), kind.name.to_owned()),
            round => (format!("{}-{}", kind.id, round + 1), format!("{} {}", kind.name, round + 1)),
        };
        let start = plan.start();
        let opens = kind.launched.map_or(start, |days| plan.until.plus(-days * Millis::DAY).max(start));
        Running { id, name, plan: kind, opens, cells: 0..0, unbilled: Cents(0), unbilled_fee: Cents(0) }
    }
}

/// Events that are written and not yet taken.
#[derive(Debug, Default)]
struct Ready(VecDeque<Message>);

impl Ready {
    fn pop(&mut self) -> Option<Message> {
        self.0.pop_front()
    }

    fn push(&mut self, source: Source, key: &str, event: &wire::Event<'_>) {
        self.0.extend(Message::write(source, key, event));
    }
}

impl Message {
    /// `None` never: these shapes have no key or number that JSON can't hold.
    fn write(source: Source, key: &str, event: &wire::Event<'_>) -> Option<Message> {
        let mut value = Vec::with_capacity(512);
        serde_json::to_writer(&mut value, event).ok()?;
        Some(Message { source, key: key.to_owned(), value })
    }
}

/// What is due, earliest first; at the same moment in the order in which it was planned.
#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Entry>,
    planned: u64,
}

#[derive(Debug)]
struct Entry {
    at: Millis,
    place: u64,
    due: Due,
}

impl Queue {
    fn push(&mut self, at: Millis, due: Due) {
        self.planned += 1;
        self.heap.push(Entry { at, place: self.planned, due });
    }

    fn pop_before(&mut self, end: Millis) -> Option<(Millis, Due)> {
        self.heap.peek().filter(|entry| entry.at < end)?;
        self.heap.pop().map(|entry| (entry.at, entry.due))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.place).cmp(&(self.at, self.place))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests;
