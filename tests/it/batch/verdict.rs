//! The verdict on a campaign in a window.

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::exact::{self, MILLION};
use super::undefined::Undefined;
use super::windows::Window;
use super::{Config, DAY};

/// The first verdict that holds for these figures of a window.
pub fn of(
    window: &Window,
    spend_through: Option<i64>,
    config: &Config,
    calendar: &Calendar,
    as_of: i64,
) -> &'static str {
    let invested = window.invested;
    if invested == 0 {
        return "no_spend";
    }
    let (Some(profit), Some(value)) = (window.attributed.profit(config.profit, config), window.value) else {
        return "unknown_cost";
    };
    let late = window.bounds.zip(spend_through).is_some_and(|((from, to), through)| {
        let gap = exact::fraction(config.max_spend_gap, MILLION) * exact::whole(as_of - from);
        to - from <= DAY && exact::whole(through) < exact::whole(as_of) - gap
    });
    // The end of the last day that is old enough.
    let mature_before = calendar.start_of(calendar.date(as_of), 1 - i64::from(config.maturity_days));
    let mature = window.new_customers.iter().filter(|at| **at < mature_before).count();
    let new_customers = window.new_customers.len();
    if late {
        "spend_late"
    } else if invested < i128::from(config.min_spend) {
        "too_little_data"
    } else if profit >= invested {
        "profitable"
    } else if value >= invested {
        "invest_for_ltv"
    } else if new_customers > 0 && 2 * mature < new_customers {
        "too_early"
    } else if window.attributed.revenue >= invested {
        "loses_on_margin"
    } else {
        "deficit"
    }
}

/// The campaign's one verdict, by the window that it goes by.
pub fn top(window: &Window) -> Value {
    let mut undefined = Undefined::default();
    let value = window.value.ok_or("unknown_cost");
    let progress = match window.invested {
        0 => Err("no_spend"),
        invested => value.map(|value| exact::ratio(&exact::fraction(value, invested))),
    };
    let record = json!({
        "value": window.verdict,
        "window": window.name,
        "basis": "observed",
        "progress": undefined.figure("progress", progress),
        "at_stake": undefined.figure("at_stake", value.map(|value| exact::money(value - window.invested))),
    });
    undefined.put_into(record)
}
