//! Spend events in: a version that is newer than the known one becomes a fact, and is booked.

use super::book::Book;
use super::calendar::Calendar;
use super::compaction::compact_amounts;
use super::facts::{AmountFact, Key, ReportFact};
use super::horizons::Horizons;
use super::spend::{Cell, Spent};
use crate::engine::fact::FactWriter;
use crate::engine::{Effects, Outcome};
use crate::events::{AdSpend, AdSpendReport, Rejection};

/// Whether a report is not too late.
///
/// # Errors
/// It is.
pub fn check_report(report: &AdSpendReport<'_>, horizons: &Horizons) -> Result<(), Rejection> {
    if report.date < horizons.days {
        let why = format!("reports of days before {} can't be changed any more", horizons.days);
        return Err(Rejection::too_late("date", why));
    }
    Ok(())
}

/// Whether an amount is not too late.
///
/// # Errors
/// It is.
pub fn check_amount(spend: &AdSpend<'_>, book: &Book, horizons: &Horizons) -> Result<(), Rejection> {
    if book.date(spend.occurred_at) < horizons.amounts {
        let why = format!("amounts of days before {} can't be told apart any more", horizons.amounts);
        return Err(Rejection::too_late("occurred_at", why));
    }
    Ok(())
}

/// What events are taken into.
#[derive(Debug)]
pub struct Intake<'a> {
    pub book: &'a mut Book,
    pub horizons: &'a Horizons,
    /// None before the first flush.
    pub calendar: Option<&'a Calendar>,
    pub facts: &'a mut FactWriter,
}

impl Intake<'_> {
    /// Takes a report.
    ///
    /// # Errors
    /// It is too late.
    pub fn report(&mut self, report: &AdSpendReport<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        check_report(report, self.horizons)?;
        let number = self.book.number(&report.campaign_id);
        let series = self.book.series(number, report.kind, report.breakdown.as_deref());
        let known = self.book.spend.series[series].cell(report.date).map(Cell::rank);
        let outcome = Outcome::of((report.reported_at, report.amount, report.digest), known);
        if outcome != Outcome::Applied {
            return Ok(outcome);
        }
        let fact = ReportFact {
            reported_at: report.reported_at,
            amount: report.amount,
            digest: report.digest,
            channel: report.channel.as_deref(),
            impressions: report.impressions,
            clicks: report.clicks,
            reported_conversions: report.reported_conversions,
            reported_revenue: report.reported_revenue,
            campaign_name: report.campaign_name.as_deref(),
            platform: report.platform.as_deref(),
            objective: report.objective.as_deref(),
        };
        let key = Key::Report {
            campaign: &report.campaign_id,
            date: report.date,
            kind: report.kind,
            breakdown: report.breakdown.as_deref(),
        };
        self.facts.put(&key, &fact, effects);
        let cell = Cell::new(report.date, &fact, &mut self.book.spend);
        self.book.fold_report(number, series, report.date, Some(cell), self.calendar);
        self.book.touch(number);
        Ok(outcome)
    }

    /// Takes an amount.
    ///
    /// # Errors
    /// It is too late.
    pub fn amount(&mut self, spend: &AdSpend<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        check_amount(spend, self.book, self.horizons)?;
        let horizon = self.horizons.amounts;
        let number = self.book.number(&spend.campaign_id);
        if let Some(former) = self.book.spend.amounts.find(number, &spend.spend_id)
            && let Some(spent) = self.book.spend.amounts[former].current
        {
            let day = self.book.date(spent.occurred_at);
            if day < horizon {
                // Its turn comes now: an id whose amount can't be changed any more is free for another.
                compact_amounts(self.book, number, horizon, Some(day), usize::MAX, self.facts, effects);
            }
        }
        let amount = self.book.amount(number, &spend.spend_id);
        let known = self.book.spend.amounts[amount].current.as_ref().map(Spent::rank);
        let outcome = Outcome::of((spend.occurred_at, spend.amount, spend.digest), known);
        if outcome != Outcome::Applied {
            return Ok(outcome);
        }
        let fact = AmountFact {
            occurred_at: spend.occurred_at,
            amount: spend.amount,
            digest: spend.digest,
            kind: spend.kind,
            channel: spend.channel.as_deref(),
        };
        let key = Key::Amount { campaign: &spend.campaign_id, spend: &spend.spend_id };
        self.facts.put(&key, &fact, effects);
        let spent = Spent::new(&fact, &mut self.book.spend);
        self.book.fold_amount(number, amount, Some(spent), self.calendar);
        self.book.touch(number);
        Ok(outcome)
    }
}
