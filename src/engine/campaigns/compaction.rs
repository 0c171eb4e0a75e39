//! What is older than is kept individually becomes sums: amounts those of their day, days those of the lifetime. Figures stay as
//! they are; what can't be told apart any more can't be changed either.
//!
//! What lies before the [`Horizons`] is compacted a bounded number at a time, in the transactions in which its facts are
//! replaced; until its turn comes, it counts the same.

use super::book::Book;
use super::compacted::Compacted;
use super::facts::Key;
use super::horizons::Horizons;
use super::ledger_facts::{drop_hours, write_before};
use crate::engine::Effects;
use crate::engine::fact::FactWriter;
use crate::engine::table::Identity;
use crate::time::Date;

/// Compacts what lies before the horizons of one campaign, about `limit` (at least 1) of it, whole days from the oldest.
/// Returns how many amounts, days and reports that were.
pub fn compact(
    book: &mut Book,
    number: u32,
    horizons: &Horizons,
    limit: usize,
    facts: &mut FactWriter,
    effects: &mut impl Effects,
) -> usize {
    let amounts = compact_amounts(book, number, horizons.amounts, None, limit, facts, effects);
    // Days are compacted of which no amount is left.
    if !book.campaigns[number].due.is_empty() {
        return amounts;
    }
    amounts + compact_days(book, number, horizons.days, limit, facts, effects)
}

/// Compacts amounts of days before the horizon; of `only` one day, where that is given.
pub fn compact_amounts(
    book: &mut Book,
    number: u32,
    horizon: Date,
    only: Option<Date>,
    limit: usize,
    facts: &mut FactWriter,
    effects: &mut impl Effects,
) -> usize {
    book.gather_due(number, horizon);
    let list = &mut book.campaigns[number].due;
    let due = match only {
        Some(day) => list.take_day(day),
        None => list.take_oldest(limit),
    };
    if due.is_empty() {
        return 0;
    }
    let mut compacted = book.campaigns[number].compacted.take().unwrap_or_default();
    let best = compacted.naming.best();
    for &(day, amount) in &due {
        let amount = book.spend.remove_amount(amount);
        let Some(spent) = amount.current else { continue };
        let campaign = book.campaigns[number].id();
        facts.delete(&Key::Amount { campaign, spend: amount.id() }, effects);
        compacted.events += 1;
        compacted.naming.replace(None, Some(spent.claim()), book.names());
        compacted.days.entry(day).or_default().add(&spent.sums());
    }
    let mut days: Vec<Date> = due.iter().map(|(day, _)| *day).collect();
    days.dedup();
    let campaign = book.campaigns[number].id();
    for day in days {
        facts.put(&Key::DaySpend { campaign, day }, &compacted.days[&day].fact(), effects);
    }
    facts.put(&Key::Compacted { campaign }, &compacted.fact(book.names()), effects);
    book.hold_best(compacted.naming.best(), best);
    book.campaigns[number].compacted = Some(compacted);
    due.len()
}

/// Puts days before the horizon, of which no amount is left, into what is of the lifetime alone.
fn compact_days(
    book: &mut Book,
    number: u32,
    horizon: Date,
    limit: usize,
    facts: &mut FactWriter,
    effects: &mut impl Effects,
) -> usize {
    let mut due = book.days_before(number, horizon);
    due.sort_unstable();
    if let Some(last) = due.get(limit.max(1) - 1).copied() {
        due.truncate(due.partition_point(|day| *day <= last));
    }
    let taken = due.len();
    if due.is_empty() {
        book.look_for_oldest_report(number, horizon);
        return 0;
    }
    due.dedup();
    let mut compacted = book.campaigns[number].compacted.take().unwrap_or_default();
    let (events, best) = (compacted.events, compacted.naming.best());
    for day in due {
        drop_hours(book, number, day, facts, effects);
        compact_reports(book, number, day, &mut compacted, facts, effects);
        let campaign = &mut book.campaigns[number];
        if compacted.days.remove(&day).is_some() {
            facts.delete(&Key::DaySpend { campaign: campaign.id(), day }, effects);
        }
        if let Some(totals) = campaign.days.remove(day) {
            if totals.has_ledger() {
                facts.delete(&Key::Day { campaign: campaign.id(), day }, effects);
            }
            campaign.before += totals;
        }
    }
    if compacted.events != events {
        let campaign = book.campaigns[number].id();
        facts.put(&Key::Compacted { campaign }, &compacted.fact(book.names()), effects);
    }
    book.hold_best(compacted.naming.best(), best);
    book.campaigns[number].compacted = Some(compacted);
    write_before(book, number, facts, effects);
    book.look_for_oldest_report(number, horizon);
    taken
}

/// Compacts the reports of one date: what they book stays in the day.
fn compact_reports(
    book: &mut Book,
    number: u32,
    date: Date,
    compacted: &mut Compacted,
    facts: &mut FactWriter,
    effects: &mut impl Effects,
) {
    for (series, claim) in book.reports_of(number, date) {
        let of = &book.spend.series[series];
        let (campaign, kind, breakdown) = (book.campaigns[number].id(), of.kind(), of.breakdown());
        facts.delete(&Key::Report { campaign, date, kind, breakdown }, effects);
        compacted.events += 1;
        compacted.naming.replace(None, Some(claim), book.names());
        book.spend.replace_cell(series, date, None);
    }
}
