//! The record of one customer.

use serde_json::{Value, json};

use super::calendar::{Calendar, moment};
use super::exact::{self, MILLION};
use super::orders::Customer;
use super::undefined::Undefined;
use super::{Config, DAY, Profit};

pub fn record(customer: &Customer, config: &Config, calendar: &Calendar, as_of: i64) -> Value {
    let sums = customer.sums();
    let orders = &customer.orders;
    let number = orders.len() as i64;
    let mut undefined = Undefined::default();
    let mut figure = |name: &str, value: Option<Value>, reason: &str| undefined.figure(name, value.ok_or(reason));

    let average = (number > 0).then(|| exact::fraction(sums.revenue, number));
    let a_year =
        orders.iter().filter(|order| as_of - 365 * DAY < order.purchase.at && order.purchase.at <= as_of).count();
    let formula =
        average.clone().map(|average| average * exact::fraction(a_year as i64 * config.lifespan_years, MILLION));
    let first = orders.first().map(|order| order.purchase);
    let last = orders.last().map(|order| order.purchase);
    let observed = first.map(|first| (as_of - first.at).div_euclid(DAY).clamp(0, 365));

    let gross_profit = sums.profit(Profit::Gross, config);
    let operating_profit = sums.profit(Profit::Operating, config);
    let net = operating_profit.map(|profit| profit - customer.acquisition_cost - customer.retention_cost);

    let acquired_by = first.map(|first| {
        let began = customer.since.filter(|_| customer.known_before).map_or(first.at, |since| since.min(first.at));
        json!({
            "campaign_id": customer.acquired_by.0,
            "channel": customer.acquired_by.1,
            "sku": first.first_sku,
            "cohort": calendar.month(began),
        })
    });

    let rounded = |number| exact::money(exact::half_even(&number));
    let record = json!({
        "customer_id": customer.id,
        "currency": config.currency,
        "as_of": moment(as_of),
        "orders": number,
        "items": orders.iter().map(|order| order.purchase.items).sum::<i64>(),
        "first_order_at": figure("first_order_at", first.map(|first| moment(first.at)), "no_orders"),
        "last_order_at": figure("last_order_at", last.map(|last| moment(last.at)), "no_orders"),
        "revenue": exact::money(sums.revenue),
        "gross_profit": figure("gross_profit", gross_profit.map(exact::money), "unknown_cost"),
        "operating_profit": figure("operating_profit", operating_profit.map(exact::money), "unknown_cost"),
        "cost_coverage": sums.cost_coverage(),
        "acquisition_cost": exact::money(customer.acquisition_cost),
        "retention_cost": exact::money(customer.retention_cost),
        "average_order_value": figure("average_order_value", average.map(rounded), "no_orders"),
        "purchases_per_year": a_year,
        "observed_days": figure("observed_days", observed.map(Value::from), "no_orders"),
        "lifespan_years": exact::ratio(&exact::fraction(config.lifespan_years, MILLION)),
        "ltv": {
            "historic": exact::money(sums.revenue),
            "formula": figure("ltv.formula", formula.map(rounded), "no_orders"),
            "gross_profit": figure("ltv.gross_profit", gross_profit.map(exact::money), "unknown_cost"),
            "net": figure("ltv.net", net.map(exact::money), "unknown_cost"),
            "predicted": figure("ltv.predicted", None, "not_yet"),
        },
        "acquired_by": figure("acquired_by", acquired_by, "no_orders"),
        "known_before": customer.known_before,
        "contributing": figure("contributing", net.map(|net| Value::from(net > 0)), "unknown_cost"),
    });
    undefined.put_into(record)
}
