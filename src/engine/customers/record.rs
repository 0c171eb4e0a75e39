//! The record of `ltv-updates`: a customer's figures as of a moment.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::YEAR;
use super::state::Customer;
use crate::domain::order::covered;
use crate::domain::ratio::{quotient, ratio};
use crate::engine::decimal::{Count, Money};
use crate::money::{SCALE, Sum};
use crate::settings::Settings;
use crate::time::Millis;

/// All that a customer's record is computed from.
pub struct Figures<'a> {
    pub settings: &'a Settings,
    pub as_of: Millis,
    pub customer: &'a Customer,
    pub purchases_in_year: u64,
    /// Orders that count, and when the first and the last of them were.
    pub orders: u64,
    pub first_at: Option<Millis>,
    pub last_at: Option<Millis>,
    /// The earliest `customer_since`, or [`Millis::MAX`].
    pub since: Millis,
    pub known_before: bool,
    /// Of the acquiring touchpoint.
    pub campaign: Option<&'a str>,
    pub channel: Option<&'a str>,
    /// Of the first order.
    pub sku: Option<&'a str>,
}

/// `ltv.net`: operating profit less what was spent on the customer directly; `None` below the coverage that profits need.
pub fn net(settings: &Settings, customer: &Customer) -> Option<Sum> {
    let profit = covered(settings, &customer.sums).then_some(customer.sums.operating_profit)?;
    Some(profit - customer.acquisition_cost - customer.retention_cost)
}

/// The record, in the order in which its fields are written. Every customer with any accepted event has one. Where a figure
/// is null, `undefined` says why: `no_orders`, or `unknown_cost` where too much of the revenue has no known cost.
#[derive(Serialize)]
struct Record<'a> {
    customer_id: &'a str,
    /// The reporting currency, which all money is in.
    currency: &'a str,
    /// The moment that the figures are for.
    as_of: Moment,
    /// Those that are not cancelled; so everywhere here.
    orders: u64,
    /// Sum of quantities; refunds do not lower it.
    items: Count,
    /// Null: `no_orders`.
    first_order_at: Option<Moment>,
    /// Null: `no_orders`.
    last_order_at: Option<Moment>,
    /// Of all orders, net of refunds; so are the profits.
    revenue: Money,
    /// Revenue - cost of goods. Null: `unknown_cost`.
    gross_profit: Option<Money>,
    /// Gross profit - operating cost. Null: `unknown_cost`.
    operating_profit: Option<Money>,
    /// Revenue of orders with a known or estimated cost / revenue; 1 without revenue.
    cost_coverage: f64,
    /// Customer costs of this kind.
    acquisition_cost: Money,
    /// Customer costs of this kind.
    retention_cost: Money,
    /// Revenue / orders. Null: `no_orders`.
    average_order_value: Option<Money>,
    /// Orders in (as_of - 365 days, as_of], not scaled up to a year.
    purchases_per_year: u64,
    /// Whole days of 24 hours from the first order to as_of, 0 to 365. Null: `no_orders`.
    observed_days: Option<i64>,
    /// `ltv.lifespan_years`.
    lifespan_years: f64,
    ltv: Ltv,
    /// Null: `no_orders`.
    acquired_by: Option<AcquiredBy<'a>>,
    /// Whether the customer bought before this stream knows of it: then no campaign acquired them.
    known_before: bool,
    /// Whether `ltv.net` is over 0. Null: `unknown_cost`.
    contributing: Option<bool>,
    undefined: Undefined,
}

/// What the customer is worth, by different measures. In `undefined` they are named with their path: `ltv.formula`.
#[derive(Serialize)]
struct Ltv {
    /// Revenue.
    historic: Money,
    /// Average order value x purchases per year x lifespan. Null: `no_orders`.
    formula: Option<Money>,
    /// Gross profit. Null: `unknown_cost`.
    gross_profit: Option<Money>,
    /// Operating profit - acquisition cost - retention cost; before advertising. Null: `unknown_cost`.
    net: Option<Money>,
    /// Not computed yet. Null: `not_yet`.
    predicted: Option<Money>,
}

/// How the first order came about.
#[derive(Serialize)]
struct AcquiredBy<'a> {
    /// Of the acquiring touchpoint; null where there is none, and for who was known before.
    campaign_id: Option<&'a str>,
    /// Of the acquiring touchpoint, or else of the last that names one; null as above.
    channel: Option<&'a str>,
    /// The first item of the first order.
    sku: Option<&'a str>,
    /// The month (`2026-11`) of the first order, or of an earlier `customer_since`, in the reporting time zone.
    cohort: String,
}

/// Why figures are null.
struct Undefined {
    no_orders: bool,
    unknown_cost: bool,
}

impl Serialize for Undefined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const OF_ORDERS: [&str; 6] =
            ["first_order_at", "last_order_at", "average_order_value", "observed_days", "ltv.formula", "acquired_by"];
        const OF_COST: [&str; 5] = ["gross_profit", "operating_profit", "ltv.gross_profit", "ltv.net", "contributing"];
        let mut map = serializer.serialize_map(None)?;
        for figure in OF_ORDERS.iter().filter(|_| self.no_orders) {
            map.serialize_entry(figure, "no_orders")?;
        }
        for figure in OF_COST.iter().filter(|_| self.unknown_cost) {
            map.serialize_entry(figure, "unknown_cost")?;
        }
        map.serialize_entry("ltv.predicted", "not_yet")?;
        map.end()
    }
}

/// A moment as it is written out.
struct Moment(Millis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Figures<'_> {
    /// Appends the record as JSON.
    pub fn write(&self, json: &mut Vec<u8>) {
        // Writing into memory can't fail.
        let _ = serde_json::to_writer(json, &self.record());
    }

    fn record(&self) -> Record<'_> {
        let Figures { settings, customer, as_of, .. } = *self;
        let sums = &customer.sums;
        let covered = covered(settings, sums);
        let profit = |profit: Sum| covered.then_some(Money(profit));
        let net = net(settings, customer);
        let orders = self.orders;
        Record {
            customer_id: &customer.id,
            currency: settings.currency.as_str(),
            as_of: Moment(as_of),
            orders,
            items: Count(customer.items),
            first_order_at: self.first_at.map(Moment),
            last_order_at: self.last_at.map(Moment),
            revenue: Money(sums.revenue),
            gross_profit: profit(sums.gross_profit),
            operating_profit: profit(sums.operating_profit),
            cost_coverage: ratio(sums.covered_revenue.0, sums.revenue.0).unwrap_or(1.0),
            acquisition_cost: Money(customer.acquisition_cost),
            retention_cost: Money(customer.retention_cost),
            average_order_value: quotient(sums.revenue.0, orders.into()).map(|value| Money(Sum(value))),
            purchases_per_year: self.purchases_in_year,
            observed_days: self.first_at.map(|first| (as_of.0 - first.0).clamp(0, YEAR) / Millis::DAY),
            lifespan_years: settings.lifespan_years.0 as f64 / SCALE as f64,
            ltv: Ltv {
                historic: Money(sums.revenue),
                formula: self.formula().map(Money),
                gross_profit: profit(sums.gross_profit),
                net: net.map(Money),
                predicted: None,
            },
            acquired_by: self.first_at.map(|first| AcquiredBy {
                campaign_id: self.campaign,
                channel: self.channel,
                sku: self.sku,
                cohort: settings.zone.month(first.min(self.since)),
            }),
            known_before: self.known_before,
            contributing: net.map(|net| net > Sum::ZERO),
            undefined: Undefined { no_orders: orders == 0, unknown_cost: !covered },
        }
    }

    /// `ltv.formula` = revenue / orders x purchases a year x lifespan, rounded once.
    ///
    /// The whole part of revenue / orders is at most one order's revenue, so no product overflows: 9 x 10^18 micro-units
    /// x 10^9 purchases x 10^8 (100 years, in millionths) is under 10^36.
    fn formula(&self) -> Option<Sum> {
        let orders = i128::from(self.orders);
        let revenue = self.customer.sums.revenue.0;
        let (whole, rest) = (revenue.checked_div_euclid(orders)?, revenue.rem_euclid(orders));
        let factor = i128::from(self.purchases_in_year) * i128::from(self.settings.lifespan_years.0);
        let scale = i128::from(SCALE);
        let (whole, millionths) = ((whole * factor).div_euclid(scale), (whole * factor).rem_euclid(scale));
        // What stands apart is even, so that half a micro-unit goes to the even one of the whole figure.
        let odd = whole.rem_euclid(2);
        let part = (odd * scale + millionths) * orders + rest * factor;
        quotient(part, orders * scale).map(|part| Sum(whole - odd + part))
    }
}
