//! The campaigns stage: spend events and what customers contribute become each campaign's figures, window by window.
//!
//! - [`campaign`]: one campaign's totals by hour, day and window. Everything that is booked goes to the lifetime, its day,
//!   its hour while that is recent, and the windows that hold it: an event costs the same however long the history is.
//! - [`spend`]: the current version of each spend event. A later version is booked and the former's booking taken back.
//! - [`calendar`]: which hours and days the windows hold. Windows are summed anew only when they have moved.
//! - [`folding`]: facts to state, when they are made and when they are restored; and the joining of hour facts into that
//!   of their day when the day is no longer recent.
//! - [`settling`]: amounts, reports and days that are too old to be kept individually become sums.
//! - [`figures`], [`record`], [`output`]: totals to records. [`snapshot`]: the state as a whole.

mod calendar;
mod campaign;
mod facts;
mod figures;
mod folding;
mod naming;
mod output;
pub mod record;
mod settling;
mod snapshot;
mod spend;
mod totals;

use std::sync::Arc;

use self::calendar::Calendar;
use self::campaign::Campaign;
use self::facts::{AmountFact, Key, ReportFact};
use self::folding::Unwritten;
use self::output::{Page, When};
use self::settling::Horizons;
use self::spend::{Cell, SpendBook, Spent};
use super::fact::FactWriter;
use super::ledger::{LedgerSums, read_payload};
use super::table::{Identity, Table};
use super::{Effects, FormatError, Last, Outcome, Sizes, Stage, StageKind};
use crate::events::{AdSpend, AdSpendReport, Event, Rejection};
use crate::settings::Settings;
use crate::time::Millis;

/// Days of one campaign whose facts a flush joins at most; a roll joins all. It keeps the first transactions small
/// after a long rest.
const DAYS_JOINED_BY_A_FLUSH: usize = 4;

/// One partition's campaigns.
#[derive(Debug)]
pub struct Campaigns {
    settings: Arc<Settings>,
    campaigns: Table<Campaign>,
    spend: SpendBook,
    /// The greatest that was given; none before the first flush or roll.
    as_of: Option<Millis>,
    /// As of when history is compacted at the latest.
    trusted: Option<Millis>,
    /// Since when something waits that belongs to the figures; none while nothing waits for long.
    read_through: Option<Millis>,
    /// Of the hour of `as_of`.
    calendar: Option<Calendar>,
    /// Campaigns that changed since the last flush.
    touched: Vec<u32>,
    /// Ledger facts that changed since the last flush.
    unwritten: Vec<(u32, Unwritten)>,
    roll: Roll,
    horizons: Horizons,
    facts: FactWriter,
    existing: u64,
    bytes: usize,
}

/// How far a roll has come. It goes round; an hour that begins in the middle of it sends it all round once more.
#[derive(Clone, Copy, Debug, Default)]
struct Roll {
    hour: Option<Millis>,
    next: u32,
    remaining: u32,
}

impl Roll {
    fn go_on(&mut self, hour: Option<Millis>, campaigns: u32) {
        if self.remaining == 0 || self.hour != hour {
            self.remaining = campaigns;
            self.hour = hour;
        }
    }

    /// The next campaign, of so many (at least 1).
    fn take(&mut self, campaigns: u32) -> u32 {
        let number = self.next % campaigns;
        self.next = number + 1;
        self.remaining -= 1;
        number
    }

    /// The campaign that was taken is the next one again.
    fn put_back(&mut self, number: u32) {
        self.next = number;
        self.remaining += 1;
    }
}

impl Stage for Campaigns {
    const KIND: StageKind = StageKind::Campaigns;
    const KINDS: &'static [u8] = facts::KINDS;

    fn new(settings: Arc<Settings>) -> Self {
        let facts = FactWriter::new(settings.format);
        Campaigns {
            settings,
            campaigns: Table::default(),
            spend: SpendBook::default(),
            as_of: None,
            trusted: None,
            read_through: None,
            calendar: None,
            touched: Vec::new(),
            unwritten: Vec::new(),
            roll: Roll::default(),
            horizons: Horizons::default(),
            facts,
            existing: 0,
            bytes: 0,
        }
    }

    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        match event {
            Event::AdSpend(spend) => self.take_amount(spend, effects),
            Event::AdSpendReport(report) => self.take_report(report, effects),
            Event::Purchase(_) | Event::Refund(_) | Event::Cancellation(_) | Event::CustomerCost(_) => {
                debug_assert!(false, "events of customers are at home in the customers stage");
                Ok(Outcome::Superseded)
            }
        }
    }

    fn check(&self, event: &Event<'_>) -> Result<(), Rejection> {
        match event {
            Event::AdSpend(spend) => self.check_amount(spend),
            Event::AdSpendReport(report) => self.check_report(report),
            Event::Purchase(_) | Event::Refund(_) | Event::Cancellation(_) | Event::CustomerCost(_) => Ok(()),
        }
    }

    fn absorb(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        for difference in read_payload(payload)? {
            if difference.sums == LedgerSums::default() {
                continue;
            }
            let number = self.number(difference.campaign_id);
            let day = self.settings.zone.date(difference.hour);
            if day < self.horizons.days {
                self.campaigns[number].book_before(difference.sums, self.calendar.as_ref());
                self.unwritten.push((number, Unwritten::Before));
                self.touch(number);
                continue;
            }
            let by_hour = self.calendar.as_ref().is_none_or(|calendar| calendar.is_recent(day));
            let part = std::iter::once((difference.hour, difference.sums));
            self.campaigns[number].book(day, part, by_hour, self.calendar.as_ref());
            let bucket = if by_hour { Unwritten::Hour(difference.hour) } else { Unwritten::Day(day) };
            self.unwritten.push((number, bucket));
            self.touch(number);
        }
        Ok(())
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError> {
        match Key::read(key)? {
            Key::Hour { campaign, hour } => {
                let sums = value.map(facts::read_sums).transpose()?.unwrap_or_default();
                let number = self.number(campaign);
                self.fold_hour(number, hour, sums);
            }
            Key::Day { campaign, day } => {
                let sums = value.map(facts::read_sums).transpose()?.unwrap_or_default();
                let number = self.number(campaign);
                self.fold_day(number, day, sums);
            }
            Key::Report { campaign, date, kind, breakdown } => {
                let report: Option<ReportFact<'_>> = value.map(facts::read).transpose()?;
                let cell = report.map(|report| Cell::new(date, &report, &mut self.spend.names));
                let number = self.number(campaign);
                let series = self.series(number, kind, breakdown);
                self.fold_report(number, series, date, cell);
            }
            Key::Settled { campaign, day } => {
                let settled = value.map(facts::read_settled).transpose()?;
                let number = self.number(campaign);
                self.fold_settled(number, day, settled);
            }
            Key::Carried { campaign } => {
                // What was once carried is never deleted.
                let carried = facts::read_carried(value.unwrap_or_default())?;
                let number = self.number(campaign);
                self.fold_carried(number, carried);
            }
            Key::Before { campaign } => {
                let (ledger, spend) = facts::read_before(value.unwrap_or_default())?;
                let number = self.number(campaign);
                self.fold_before(number, ledger, spend);
            }
            Key::Horizons => self.horizons = facts::read(value.unwrap_or_default())?,
            Key::Amount { campaign, spend } => {
                let event: Option<AmountFact<'_>> = value.map(facts::read).transpose()?;
                let spent = event.map(|event| Spent::new(&event, &mut self.spend.names));
                let number = self.number(campaign);
                let amount = self.amount(number, spend);
                self.fold_amount(number, amount, spent);
            }
        }
        Ok(())
    }

    fn expect(&mut self, _: Sizes) {}

    fn restored(&mut self, last: Option<Last>) {
        if let Some(last) = last {
            self.advance(last.as_of);
        }
        let hour = last.map(|last| self.settings.zone.hour_start(last.rolled_to));
        self.roll = Roll { hour, ..Roll::default() };
        self.drop_deleted_amounts();
        for number in 0..self.campaigns.len() {
            self.campaigns[number].forget();
            self.name(number);
            self.count(number);
        }
    }

    fn flush(&mut self, as_of: Millis, effects: &mut impl Effects) {
        let last = self.as_of;
        let as_of = self.advance(as_of);
        self.move_horizons(last, as_of, effects);
        self.write_ledger_facts(effects);
        let mut page = Page::new(as_of);
        let mut touched = std::mem::take(&mut self.touched);
        for number in touched.drain(..) {
            self.campaigns[number].touched = false;
            self.join_days(number, DAYS_JOINED_BY_A_FLUSH, effects);
            self.prepare(number);
            self.write_update(number, When::Always, &mut page, effects);
        }
        self.touched = touched;
    }

    fn rewrite(&mut self, from: u32, budget: usize, as_of: Millis, effects: &mut impl Effects) -> Option<u32> {
        let budget = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let end = from.saturating_add(budget).min(self.campaigns.len());
        (from..end).for_each(|number| self.touch(number));
        self.flush(as_of, effects);
        (end < self.campaigns.len()).then_some(end)
    }

    /// The next hour, or the present one until all campaigns were looked at in it.
    fn next_moment(&self) -> Option<Millis> {
        let hour = self.calendar.as_ref()?.hour;
        let is_rolled = self.roll.remaining == 0 && self.roll.hour == Some(hour);
        Some(if is_rolled { hour.plus(Millis::HOUR) } else { hour })
    }

    fn set_trusted(&mut self, moment: Millis) {
        self.trusted = Some(moment);
    }

    /// The roll looks at every campaign, and writes what differs from what was written last.
    fn roll(&mut self, as_of: Millis, budget: usize, effects: &mut impl Effects) -> bool {
        let last = self.as_of;
        let as_of = self.advance(as_of);
        self.move_horizons(last, as_of, effects);
        let mut page = Page::new(as_of);
        self.roll.go_on(self.calendar.as_ref().map(|calendar| calendar.hour), self.campaigns.len());
        let mut budget = budget.max(1);
        while self.roll.remaining > 0 && budget > 0 {
            let number = self.roll.take(self.campaigns.len());
            let joined = self.join_days(number, usize::MAX, effects);
            let step = self.settle(number, budget, effects);
            self.prepare(number);
            self.write_update(number, When::Different, &mut page, effects);
            if !step.done {
                self.roll.put_back(number);
            }
            budget = budget.saturating_sub(1 + joined + step.settled);
        }
        self.roll.remaining == 0
    }

    /// While something waits every verdict is [`CatchingUp`](crate::domain::verdict::Verdict::CatchingUp). Format 1 has no way to
    /// say so.
    fn set_read_through(&mut self, read_through: Option<Millis>) {
        self.read_through = read_through.filter(|_| self.settings.format.number() >= 2);
    }

    fn record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>> {
        self.current_record(id, as_of)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.campaigns.iter().map(|(_, campaign)| campaign.id().as_str())
    }

    fn sizes(&self) -> Sizes {
        let bytes = self.bytes + self.campaigns.bytes() + self.spend.bytes();
        Sizes { campaigns: self.existing, bytes: bytes as u64, ..Sizes::default() }
    }

    fn save<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.write_snapshot(take)
    }

    fn load(&mut self, block: &[u8]) -> Result<u64, FormatError> {
        self.read_snapshot(block)
    }
}

impl Campaigns {
    fn check_report(&self, report: &AdSpendReport<'_>) -> Result<(), Rejection> {
        if report.date < self.horizons.days {
            let why = format!("reports of days before {} can't be changed any more", self.horizons.days);
            return Err(Rejection::too_late("date", why));
        }
        Ok(())
    }

    fn check_amount(&self, spend: &AdSpend<'_>) -> Result<(), Rejection> {
        let horizon = self.horizons.amounts;
        if self.settings.zone.date(spend.occurred_at) < horizon {
            let why = format!("amounts of days before {horizon} can't be told apart any more");
            return Err(Rejection::too_late("occurred_at", why));
        }
        Ok(())
    }

    fn take_report(&mut self, report: &AdSpendReport<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        self.check_report(report)?;
        let number = self.number(&report.campaign_id);
        let series = self.series(number, report.kind, report.breakdown.as_deref());
        let known = self.spend.series[series].cell(report.date).map(Cell::rank);
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
        let cell = Cell::new(report.date, &fact, &mut self.spend.names);
        self.fold_report(number, series, report.date, Some(cell));
        self.touch(number);
        Ok(outcome)
    }

    fn take_amount(&mut self, spend: &AdSpend<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        self.check_amount(spend)?;
        let horizon = self.horizons.amounts;
        let number = self.number(&spend.campaign_id);
        if let Some(former) = self.spend.amounts.find(number, &spend.spend_id)
            && let Some(spent) = self.spend.amounts[former].current
        {
            let day = self.settings.zone.date(spent.occurred_at);
            if day < horizon {
                // Its turn comes now: an id whose amount can't be changed any more is free for another.
                self.settle_amounts(number, Some(day), usize::MAX, effects);
            }
        }
        let amount = self.amount(number, &spend.spend_id);
        let known = self.spend.amounts[amount].current.as_ref().map(Spent::rank);
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
        self.facts.put(&Key::Amount { campaign: &spend.campaign_id, spend: &spend.spend_id }, &fact, effects);
        let spent = Spent::new(&fact, &mut self.spend.names);
        self.fold_amount(number, amount, Some(spent));
        self.touch(number);
        Ok(outcome)
    }

    /// Ends a restore of amounts: those whose facts were deleted leave their places.
    fn drop_deleted_amounts(&mut self) {
        let amounts = &mut self.spend.amounts;
        for number in 0..self.campaigns.len() {
            let campaign = &mut self.campaigns[number];
            let due = std::mem::take(&mut campaign.due);
            campaign.amounts.extend(due.amounts());
            campaign.amounts.retain(|&slot| amounts[slot].current.is_some());
        }
        for slot in 0..amounts.places() {
            // A free place stays free.
            if amounts[slot].current.is_none() {
                amounts.remove(slot);
            }
        }
    }

    fn touch(&mut self, number: u32) {
        let campaign = &mut self.campaigns[number];
        if !campaign.touched {
            campaign.touched = true;
            self.touched.push(number);
        }
    }
}

#[cfg(test)]
mod tests;
