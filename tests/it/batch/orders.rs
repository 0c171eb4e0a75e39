//! Orders net of their refunds, sums of them, and the customers who placed them.

use std::collections::{BTreeMap, BTreeSet};

use num_rational::BigRational;
use serde_json::Value;

use super::attribution;
use super::events::{Event, Purchase};
use super::exact::{self, MILLION};
use super::{Config, Profit};

/// An order that is not cancelled, net of its refunds.
pub struct Order<'a> {
    pub purchase: &'a Purchase,
    pub sums: Sums,
}

/// Sums over orders or shares of orders, in micro-units. Orders of unknown cost are in the profits with cost 0.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    pub revenue: i128,
    /// Of those whose cost is known or estimated.
    pub covered_revenue: i128,
    pub gross_profit: i128,
    pub operating_profit: i128,
}

impl Sums {
    pub fn of(parts: impl IntoIterator<Item = Sums>) -> Sums {
        parts.into_iter().fold(Sums::default(), |sum, part| Sums {
            revenue: sum.revenue + part.revenue,
            covered_revenue: sum.covered_revenue + part.covered_revenue,
            gross_profit: sum.gross_profit + part.gross_profit,
            operating_profit: sum.operating_profit + part.operating_profit,
        })
    }

    fn coverage(&self) -> BigRational {
        if self.revenue == 0 { exact::whole(1) } else { exact::fraction(self.covered_revenue, self.revenue) }
    }

    /// The coverage as it is written out.
    pub fn cost_coverage(&self) -> Value {
        exact::ratio(&self.coverage())
    }

    /// `profit` of this sum: none when too little of its revenue has a cost.
    pub fn profit(&self, profit: Profit, config: &Config) -> Option<i128> {
        let enough = self.coverage() >= exact::fraction(config.min_coverage, MILLION);
        match profit {
            Profit::Revenue => Some(self.revenue),
            Profit::Gross => enough.then_some(self.gross_profit),
            Profit::Operating => enough.then_some(self.operating_profit),
        }
    }
}

pub struct Customer<'a> {
    pub id: String,
    /// From the first to the last, equal moments by order id.
    pub orders: Vec<Order<'a>>,
    pub acquisition_cost: i128,
    pub retention_cost: i128,
    /// Somebody else acquired the customer, before this history.
    pub known_before: bool,
    /// The earliest `customer_since`.
    pub since: Option<i64>,
    /// Campaign and channel that acquired the customer.
    pub acquired_by: (Option<String>, Option<String>),
}

impl Customer<'_> {
    pub fn sums(&self) -> Sums {
        Sums::of(self.orders.iter().map(|order| order.sums))
    }
}

/// What followed from the orders of a customer when the first of them was given up; it stands.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub known_before: bool,
    pub since: Option<i64>,
}

/// Every customer of any event.
pub fn by_customer<'a>(
    events: &[&'a Event],
    config: &Config,
    settled: &BTreeMap<String, Settled>,
) -> Vec<Customer<'a>> {
    let mut cancelled = BTreeSet::new();
    let mut refunds: BTreeMap<(&str, &str), (i128, i128)> = BTreeMap::new();
    let mut costs: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    let mut purchases: BTreeMap<&str, Vec<&Purchase>> = BTreeMap::new();
    for event in events {
        let customer: &str = match event {
            Event::Purchase(purchase) => {
                purchases.entry(&purchase.customer).or_default().push(purchase);
                &purchase.customer
            }
            Event::Refund { customer, order, amount, cost_recovered, .. } => {
                let (taken, recovered) = refunds.entry((customer, order)).or_default();
                *taken += i128::from(*amount);
                *recovered += i128::from(*cost_recovered);
                customer
            }
            Event::Cancellation { customer, order, .. } => {
                cancelled.insert((customer.as_str(), order.as_str()));
                customer
            }
            Event::CustomerCost { customer, amount, acquisition, .. } => {
                let (acquiring, retaining) = costs.entry(customer).or_default();
                *(if *acquisition { acquiring } else { retaining }) += i128::from(*amount);
                customer
            }
            Event::AdSpend { .. } | Event::Report(_) => continue,
        };
        purchases.entry(customer).or_default();
        costs.entry(customer).or_default();
    }

    let customer = |(id, purchases): (&str, Vec<&'a Purchase>)| {
        let mut orders: Vec<Order> = purchases
            .into_iter()
            .filter(|purchase| !cancelled.contains(&(id, purchase.order.as_str())))
            .map(|purchase| {
                let (taken, recovered) = refunds.get(&(id, purchase.order.as_str())).copied().unwrap_or_default();
                Order { purchase, sums: net(purchase, taken, recovered) }
            })
            .collect();
        orders.sort_by(|a, b| (a.purchase.at, &a.purchase.order).cmp(&(b.purchase.at, &b.purchase.order)));
        let now = Settled {
            known_before: known_before(&orders, config),
            since: orders.iter().filter_map(|order| order.purchase.customer_since).min(),
        };
        let Settled { known_before, since } = settled.get(id).copied().unwrap_or(now);
        let acquired_by = match orders.first() {
            Some(first) if !known_before => attribution::acquirer(first.purchase, config),
            _ => (None, None),
        };
        let (acquisition_cost, retention_cost) = costs[id];
        Customer { id: id.to_owned(), orders, acquisition_cost, retention_cost, known_before, since, acquired_by }
    };
    purchases.into_iter().map(customer).collect()
}

/// What is left of an order when all its refunds together took `taken` and recovered `recovered` of its cost.
fn net(purchase: &Purchase, taken: i128, recovered: i128) -> Sums {
    let revenue = i128::from(purchase.revenue) - taken.min(i128::from(purchase.revenue));
    let cost = purchase.cost_of_goods.map(i128::from).map_or(0, |cost| cost - recovered.min(cost));
    let gross_profit = revenue - cost;
    Sums {
        revenue,
        covered_revenue: if purchase.cost_of_goods.is_some() { revenue } else { 0 },
        gross_profit,
        operating_profit: gross_profit - i128::from(purchase.operating_cost),
    }
}

fn known_before(orders: &[Order], config: &Config) -> bool {
    let Some(first) = orders.first().map(|order| order.purchase.at) else { return false };
    let elsewhere = orders.iter().filter_map(|order| order.purchase.customer_since).any(|since| since < first);
    elsewhere || config.complete_from.is_some_and(|complete| first < complete)
}
