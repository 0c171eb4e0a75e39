//! Totals to figures: every ratio is a sum over a sum, rounded once. A figure whose denominator is 0 is null, and so is a
//! profit that too little of the revenue has a known cost for; why stands beside it, the denominator's reason first.

use std::borrow::Cow;

use super::calendar::Span;
use super::campaign::WindowSums;
use super::record::{Undefined, VerdictRecord, Why, WindowRecord};
use super::totals::Totals;
use crate::domain::order::{OrderSums, covered};
use crate::domain::ratio::{ratio, scaled_quotient};
use crate::domain::verdict::{Evidence, Verdict, judge, spend_is_late};
use crate::engine::decimal::{Count, Money};
use crate::money::{SCALE, Sum};
use crate::settings::{Profit, Settings};
use crate::time::Millis;

/// What the figures of a window depend on beside its totals.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub as_of: Millis,
    pub spend_through: Option<Millis>,
    pub catching_up: bool,
}

/// Amounts of all kinds + acquisition costs of the acquired customers.
fn invested(totals: &Totals) -> Sum {
    totals.spend.all + totals.ledger.acquisition_cost
}

/// Whether there is anything to judge.
pub fn is_judged(totals: &Totals) -> bool {
    invested(totals) != Sum::ZERO
}

/// A profit of some orders.
fn profit(settings: &Settings, sums: &OrderSums, profit: Sum) -> Result<Sum, Why> {
    if covered(settings, sums) { Ok(profit) } else { Err(Why::UnknownCost) }
}

/// The profit of some orders by which value and verdict go.
fn chosen_profit(settings: &Settings, sums: &OrderSums) -> Result<Sum, Why> {
    match settings.verdict.profit {
        Profit::OperatingProfit => profit(settings, sums, sums.operating_profit),
        Profit::GrossProfit => profit(settings, sums, sums.gross_profit),
        Profit::Revenue => Ok(sums.revenue),
    }
}

/// Profit to date of the acquired customers + attributed profit of customers that this campaign did not acquire: one sum,
/// which goes by the coverage of all that it sums.
fn value(settings: &Settings, totals: &Totals) -> Result<Sum, Why> {
    chosen_profit(settings, &(totals.ledger.acquired + totals.ledger.others))
}

/// `numerator` / `denominator`; null with `zero` when the denominator is 0, else with the numerator's reason.
fn over(numerator: Result<Sum, Why>, denominator: Sum, zero: Why) -> Result<f64, Why> {
    if denominator == Sum::ZERO {
        return Err(zero);
    }
    ratio(numerator?.0, denominator.0).ok_or(zero)
}

/// `sum` x `scale` / `count` as money; null with `zero` when the count is 0.
fn per(sum: Sum, scale: i64, count: i128, zero: Why) -> Result<Money, Why> {
    if count == 0 {
        return Err(zero);
    }
    // A sum of 10^13 of the largest amounts would not fit; no stream comes near.
    Ok(Money(Sum(scaled_quotient(sum.0, scale, count).unwrap_or(i128::MAX))))
}

fn coverage(sums: &OrderSums) -> f64 {
    ratio(sums.covered_revenue.0, sums.revenue.0).unwrap_or(1.0)
}

/// The verdict of one window.
pub fn verdict(settings: &Settings, span: &Span, totals: &Totals, mature_customers: i64, moment: Moment) -> Verdict {
    let rules = &settings.verdict;
    let spend_late =
        span.bounds.is_some_and(|(from, to)| spend_is_late(from, to, moment.as_of, moment.spend_through, rules));
    let evidence = Evidence {
        catching_up: moment.catching_up,
        invested: invested(totals),
        profit: chosen_profit(settings, &totals.ledger.attributed).ok(),
        value: value(settings, totals).ok(),
        revenue: totals.ledger.attributed.revenue,
        new_customers: totals.ledger.new_customers,
        mature_customers,
        spend_late,
    };
    judge(&evidence, rules)
}

/// The totals that a window's figures are of.
pub fn totals_of<'a>(span: &Span, window: &'a WindowSums, lifetime: &'a Totals) -> &'a Totals {
    if span.bounds.is_some() { &window.totals } else { lifetime }
}

/// The figures of one window.
pub fn window<'a>(settings: &Settings, span: &'a Span, totals: &Totals, verdict: Verdict) -> WindowRecord<'a> {
    let (ledger, booked) = (&totals.ledger, &totals.spend);
    let (attributed, acquired) = (&ledger.attributed, &ledger.acquired);
    let (spend, invested) = (booked.media, invested(totals));
    let gross_profit = profit(settings, attributed, attributed.gross_profit);
    let operating_profit = profit(settings, attributed, attributed.operating_profit);
    let acquired_gross_profit = profit(settings, acquired, acquired.gross_profit);
    let acquired_operating_profit = profit(settings, acquired, acquired.operating_profit);
    let reported_revenue = if booked.reporting > 0 { Ok(booked.reported_revenue) } else { Err(Why::NotReported) };
    let new_customers = i128::from(ledger.new_customers);

    let money = |sum: Result<Sum, Why>| sum.map(Money);
    let of_spend = |sum: Result<Sum, Why>| over(sum, spend, Why::NoSpend);
    let ctr = ratio(booked.clicks, booked.impressions).ok_or(Why::NoImpressions);

    // Fields are computed in the order in which they stand here; what is null says so as it comes.
    let mut undefined = Undefined::default();
    WindowRecord {
        from: span.texts.as_ref().map(|(from, _)| Cow::Borrowed(from.as_str())),
        to: span.texts.as_ref().map(|(_, to)| Cow::Borrowed(to.as_str())),
        spend: Money(spend),
        invested: Money(invested),
        revenue: Money(attributed.revenue),
        gross_profit: undefined.note("gross_profit", money(gross_profit)),
        operating_profit: undefined.note("operating_profit", money(operating_profit)),
        cost_coverage: coverage(attributed),
        orders: Count(ledger.orders.into()),
        new_customers: ledger.new_customers,
        acquired_ltv: Money(acquired.revenue),
        acquired_gross_profit_ltv: undefined.note("acquired_gross_profit_ltv", money(acquired_gross_profit)),
        acquired_operating_profit_ltv: undefined
            .note("acquired_operating_profit_ltv", money(acquired_operating_profit)),
        acquired_cost_coverage: coverage(acquired),
        value: undefined.note("value", money(value(settings, totals))),
        roas: undefined.note("roas", of_spend(Ok(attributed.revenue))),
        gross_profit_roas: undefined.note("gross_profit_roas", of_spend(gross_profit)),
        operating_profit_roas: undefined.note("operating_profit_roas", of_spend(operating_profit)),
        roi: undefined.note("roi", over(gross_profit.map(|profit| profit - invested), invested, Why::NoSpend)),
        ltv_roas: undefined.note("ltv_roas", of_spend(Ok(acquired.revenue))),
        ltv_gross_profit_roas: undefined.note("ltv_gross_profit_roas", of_spend(acquired_gross_profit)),
        new_customer_roas: undefined.note("new_customer_roas", of_spend(Ok(ledger.new_customer_revenue))),
        cac: undefined.note("cac", per(spend, 1, new_customers, Why::NoNewCustomers)),
        cac_loaded: undefined.note("cac_loaded", per(invested, 1, new_customers, Why::NoNewCustomers)),
        cost_per_order: undefined.note("cost_per_order", per(spend, SCALE, ledger.orders.into(), Why::NoOrders)),
        impressions: booked.impressions,
        clicks: booked.clicks,
        cost_per_click: undefined.note("cost_per_click", per(spend, 1, booked.clicks, Why::NoClicks)),
        ctr: undefined.note("ctr", ctr),
        cpm: undefined.note("cpm", per(spend, 1_000, booked.impressions, Why::NoImpressions)),
        platform_roas: undefined.note("platform_roas", of_spend(reported_revenue)),
        verdict,
        undefined,
    }
}

/// The campaign's one verdict: that of the window `name` with these totals.
pub fn top_verdict<'a>(settings: &Settings, name: &'a str, totals: &Totals, verdict: Verdict) -> VerdictRecord<'a> {
    let (value, invested) = (value(settings, totals), invested(totals));
    let mut undefined = Undefined::default();
    VerdictRecord {
        value: verdict,
        window: Cow::Borrowed(name),
        basis: Cow::Borrowed("observed"),
        progress: undefined.note("progress", over(value, invested, Why::NoSpend)),
        at_stake: undefined.note("at_stake", value.map(|value| Money(value - invested))),
        undefined,
    }
}
