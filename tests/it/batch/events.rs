//! Events as the contract describes them, and which of two versions of one thing counts.

use std::collections::BTreeMap;

use jiff::civil::Date;
/// Money in micro-units.
pub type Micros = i64;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Purchase(Purchase),
    Refund { customer: String, order: String, refund: String, at: i64, amount: Micros, cost_recovered: Micros },
    Cancellation { customer: String, order: String, at: i64 },
    CustomerCost { customer: String, cost: String, at: i64, amount: Micros, acquisition: bool, channel: Option<String> },
    AdSpend { campaign: String, spend: String, at: i64, amount: Micros, kind: String, channel: Option<String> },
    Report(Report),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purchase {
    pub customer: String,
    pub order: String,
    pub at: i64,
    pub updated_at: i64,
    pub revenue: Micros,
    /// `None` when unknown.
    pub cost_of_goods: Option<Micros>,
    pub operating_cost: Micros,
    pub items: i64,
    pub first_sku: Option<String>,
    pub customer_since: Option<i64>,
    /// In order of time, up to that of the purchase.
    pub touchpoints: Vec<Touchpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touchpoint {
    pub at: i64,
    pub campaign: Option<String>,
    pub channel: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Report {
    pub campaign: String,
    pub date: Date,
    pub breakdown: Option<String>,
    pub kind: String,
    pub reported_at: i64,
    pub amount: Micros,
    pub channel: Option<String>,
    pub impressions: i64,
    pub clicks: i64,
    pub reported_revenue: Option<Micros>,
    pub name: Option<String>,
    pub platform: Option<String>,
    pub objective: Option<String>,
}

impl Event {
    /// What a replay's `as_of` follows.
    pub fn moment(&self) -> i64 {
        match self {
            Event::Purchase(purchase) => purchase.at,
            Event::Report(report) => report.reported_at,
            Event::Refund { at, .. }
            | Event::Cancellation { at, .. }
            | Event::CustomerCost { at, .. }
            | Event::AdSpend { at, .. } => *at,
        }
    }

    /// The texts that say which thing it is a version of, after its type.
    pub fn identity(&self) -> Vec<String> {
        let texts: Vec<&str> = match self {
            Event::Purchase(purchase) => vec!["purchase", &purchase.customer, &purchase.order],
            Event::Refund { customer, order, refund, .. } => vec!["refund", customer, order, refund],
            Event::Cancellation { customer, order, .. } => vec!["cancellation", customer, order],
            Event::CustomerCost { customer, cost, .. } => vec!["customer_cost", customer, cost],
            Event::AdSpend { campaign, spend, .. } => vec!["ad_spend", campaign, spend],
            Event::Report(report) => {
                let (breakdown, given) = report.breakdown.as_ref().map_or(("", "none"), |text| (text, "given"));
                let date = report.date.to_string();
                let texts = ["ad_spend_report", &report.campaign, &date, given, breakdown, &report.kind];
                return texts.map(str::to_owned).to_vec();
            }
        };
        texts.into_iter().map(str::to_owned).collect()
    }

    /// The later wins; equal: the greater amount.
    pub fn precedence(&self) -> (i64, Micros) {
        match self {
            Event::Purchase(purchase) => (purchase.updated_at, purchase.revenue),
            Event::Refund { at, amount, .. }
            | Event::CustomerCost { at, amount, .. }
            | Event::AdSpend { at, amount, .. } => (*at, *amount),
            Event::Cancellation { at, .. } => (*at, 0),
            Event::Report(report) => (report.reported_at, report.amount),
        }
    }
}

/// Of all versions of each thing the one that counts.
pub fn winners(events: &[Event]) -> Vec<&Event> {
    let mut winners: BTreeMap<Vec<String>, &Event> = BTreeMap::new();
    for event in events {
        let winner = winners.entry(event.identity()).or_insert(event);
        if (event.precedence(), event) > (winner.precedence(), *winner) {
            *winner = event;
        }
    }
    winners.into_values().collect()
}
