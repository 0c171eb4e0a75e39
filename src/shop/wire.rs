//! The made-up shop's events as they go over the wire.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::money::{Micros, SCALE};
use crate::time::{Date, Millis};

/// Hundredths of the reporting currency: shops price in whole ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Micros(self.0 * (SCALE / 100)).fmt(f)
    }
}

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A moment, written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Millis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A date in the reporting time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub Date);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A number behind a fixed prefix: `c1-42`. The seed is in it, so that two shops never share an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    pub prefix: char,
    pub seed: u64,
    pub number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}-{}", self.prefix, self.seed, self.number)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Any event, in the shape of its `type`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    Purchase(&'a Purchase<'a>),
    Refund {
        customer_id: Id,
        order_id: Id,
        refund_id: Id,
        occurred_at: Moment,
        amount: Cents,
        #[serde(skip_serializing_if = "Option::is_none")]
        cost_recovered: Option<Cents>,
    },
    Cancellation {
        customer_id: Id,
        order_id: Id,
        occurred_at: Moment,
    },
    CustomerCost {
        customer_id: Id,
        cost_id: Id,
        occurred_at: Moment,
        amount: Cents,
        kind: &'static str,
        channel: &'static str,
    },
    AdSpend {
        campaign_id: &'a str,
        spend_id: Id,
        occurred_at: Moment,
        amount: Cents,
        kind: &'static str,
        channel: &'static str,
    },
    AdSpendReport(&'a Report<'a>),
}

#[derive(Clone, Debug, Serialize)]
pub struct Purchase<'a> {
    pub customer_id: Id,
    pub order_id: Id,
    pub occurred_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Moment>,
    pub items: &'a [Item],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<Cents>,
    pub operating_cost: Cents,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_since: Option<Moment>,
    /// The shorthand for a single touchpoint at the order's own moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub touchpoints: &'a [Touchpoint<'a>],
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Item {
    pub sku: &'static str,
    pub category: &'static str,
    pub quantity: u32,
    pub unit_price: Cents,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_cost: Option<Cents>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Touchpoint<'a> {
    pub at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<&'a str>,
    pub channel: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub campaign_id: &'a str,
    pub date: Day,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<&'static str>,
    pub reported_at: Moment,
    pub amount: Cents,
    pub channel: &'static str,
    pub impressions: i64,
    pub clicks: i64,
    pub reported_conversions: i64,
    pub reported_revenue: Cents,
    pub campaign_name: &'a str,
    pub platform: &'static str,
    pub objective: &'static str,
}
