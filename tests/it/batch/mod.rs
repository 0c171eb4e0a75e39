//! The figures of a set of events, calculated the slow way: read everything, keep the winners, loop over all of it, in
//! fractions of integers of any size. Written from the text of the contract, with no code of the crate, so that the
//! engines can be held against it. Where the two differ, one of them misreads the contract.
//!
//! What the contract leaves open, this leaves open too: which of two different events wins that are of one identity,
//! one time and one amount. Don't compare histories that have such events.

mod attribution;
mod calendar;
mod campaigns;
mod customers;
mod events;
mod exact;
mod examples;
mod json;
mod orders;
mod read;
mod retention;
mod undefined;
mod verdict;
mod windows;

use std::collections::BTreeMap;

use serde_json::Value;

use calendar::Calendar;
use events::Event;
use orders::{Customer, Settled};
pub use retention::{Keeper, Retention};

/// What the figures depend on beside the events. Fractions and money are in millionths, moments and spans in milliseconds.
#[derive(Clone, Debug)]
pub struct Config {
    pub currency: String,
    pub zone: String,
    pub lifespan_years: i64,
    pub default_margin: Option<i64>,
    pub min_coverage: i64,
    pub complete_from: Option<i64>,
    pub model: Model,
    pub lookback: i64,
    pub half_life: i64,
    pub ignore_channels: Vec<String>,
    pub profit: Profit,
    pub verdict_window: String,
    pub min_spend: i64,
    pub maturity_days: i32,
    pub max_spend_gap: i64,
    pub windows: Vec<String>,
    /// The moment of reading: events over five minutes ahead of it are rejected.
    pub clock: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    Last,
    First,
    Linear,
    Position,
    TimeDecay,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Profit {
    Operating,
    Gross,
    Revenue,
}

const DAY: i64 = 24 * 3_600_000;

impl Default for Config {
    fn default() -> Self {
        Config {
            currency: "USD".to_owned(),
            zone: "UTC".to_owned(),
            lifespan_years: 1_000_000,
            default_margin: None,
            min_coverage: 950_000,
            complete_from: None,
            model: Model::Last,
            lookback: 30 * DAY,
            half_life: 7 * DAY,
            ignore_channels: vec!["direct".to_owned()],
            profit: Profit::Operating,
            verdict_window: "lifetime".to_owned(),
            min_spend: 0,
            maturity_days: 90,
            max_spend_gap: 250_000,
            windows: ["24h", "7d", "30d", "90d", "365d", "lifetime"].map(str::to_owned).to_vec(),
            clock: None,
        }
    }
}

/// Events that were read, each accepted or rejected.
pub struct Batch {
    config: Config,
    calendar: Calendar,
    events: Vec<Event>,
    /// The place in the input of each rejected event, and its reason code.
    pub rejected: Vec<(usize, &'static str)>,
    /// By customer: what stands since the first order was given up.
    settled: BTreeMap<String, Settled>,
}

/// The record of every customer and of every campaign, by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    pub customers: BTreeMap<String, Value>,
    pub campaigns: BTreeMap<String, Value>,
}

impl Batch {
    pub fn read<T: AsRef<[u8]>>(texts: &[T], config: &Config) -> Batch {
        let mut events = Vec::new();
        let mut rejected = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            match read::event(text.as_ref(), config) {
                Ok(event) => events.push(event),
                Err(reason) => rejected.push((place, reason)),
            }
        }
        Batch {
            config: config.clone(),
            calendar: Calendar::of(&config.zone),
            events,
            rejected,
            settled: BTreeMap::new(),
        }
    }

    /// Of different events that are alike in identity, time and amount only the first: what the contract leaves open.
    pub fn without_open_ties(texts: Vec<String>) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let first_of_its_kind = |text: &String| match read::event(text.as_bytes(), &Config::default()) {
            Ok(event) => *seen.entry((event.identity(), event.precedence())).or_insert_with(|| event.clone()) == event,
            Err(_) => true,
        };
        texts.into_iter().filter(first_of_its_kind).collect()
    }

    /// The latest `occurred_at` or `reported_at` accepted: what the figures of a replay are as of.
    pub fn latest(&self) -> Option<i64> {
        self.events.iter().map(Event::moment).max()
    }

    pub fn records(&self, as_of: i64) -> Records {
        let winners = events::winners(&self.events);
        let customers: Vec<Customer> = orders::by_customer(&winners, &self.config, &self.settled);
        Records {
            customers: customers
                .iter()
                .map(|customer| (customer.id.clone(), customers::record(customer, &self.config, &self.calendar, as_of)))
                .collect(),
            campaigns: campaigns::gather(&winners, &customers, &self.config, &self.calendar)
                .iter()
                .map(|(id, campaign)| ((*id).to_owned(), campaign.record(id, &self.config, &self.calendar, as_of)))
                .collect(),
        }
    }
}
