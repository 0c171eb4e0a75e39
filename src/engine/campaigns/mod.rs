//! The campaigns stage: spend events and what customers contribute become each campaign's figures, window by window.
//!
//! A partition's [`Campaigns`] are parts, each with what it does:
//!
//! - [`intake`]: spend events in. [`ledger_facts`]: differences of customers in, buckets out; hours are rolled up into days.
//! - [`book`]: what is known of each campaign, and facts to that. [`campaign`]: one campaign's totals by hour, day and window.
//!   Everything that is booked goes to the lifetime, its day, its hour while that is recent, and the windows that hold it: an
//!   event costs the same however long the history is. [`buckets`]: hours and days in little memory. [`spend`]: the current
//!   version of each spend event; a later one is booked and the former's booking taken back. [`naming`]: what they say.
//! - [`clock`]: the present, and when time changes which campaign next ([`due`]). [`calendar`]: which hours and days the windows
//!   hold. Windows are summed anew only when they have moved.
//! - [`compaction`]: amounts, reports and days before the [`horizons`] become sums ([`compacted`]).
//! - [`output`]: totals to records, by [`figures`] and [`record`]. [`facts`], [`snapshot`]: the state as bytes.

mod book;
mod buckets;
mod calendar;
mod campaign;
mod clock;
mod compacted;
mod compaction;
mod due;
mod facts;
mod figures;
mod horizons;
mod intake;
mod ledger_facts;
mod naming;
mod output;
pub mod record;
mod snapshot;
mod spend;
mod totals;

use std::sync::Arc;

use self::book::Book;
use self::calendar::Calendar;
use self::clock::Clock;
use self::due::Present;
use self::facts::{AmountFact, Key, ReportFact};
use self::horizons::Horizons;
use self::intake::Intake;
use self::ledger_facts::LedgerFacts;
use self::output::{Output, Page, Source, When};
use self::spend::{Cell, Spent};
use super::fact::FactWriter;
use super::moments::Taken;
use super::table::Identity;
use super::{Effects, FormatError, Last, Outcome, Sizes, Stage, StageKind};
use crate::events::{Event, Rejection};
use crate::settings::Settings;
use crate::time::Millis;

/// How many buckets of a partition are left open, of 0.4 KB each.
const MOST_OPEN: usize = 200_000;

/// One partition's campaigns.
#[derive(Debug)]
pub struct Campaigns {
    settings: Arc<Settings>,
    book: Book,
    ledger: LedgerFacts,
    clock: Clock,
    /// As they stand in their fact.
    horizons: Horizons,
    output: Output,
    facts: FactWriter,
    /// What buckets are packed in.
    buffer: Vec<u8>,
}

impl Stage for Campaigns {
    const KIND: StageKind = StageKind::Campaigns;
    const KINDS: &'static [u8] = facts::KINDS;

    fn new(settings: Arc<Settings>) -> Self {
        Campaigns {
            book: Book::new(Arc::clone(&settings)),
            ledger: LedgerFacts::default(),
            clock: Clock::default(),
            horizons: Horizons::default(),
            output: Output::default(),
            facts: FactWriter::new(settings.format),
            buffer: Vec::new(),
            settings,
        }
    }

    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        let mut intake = Intake {
            book: &mut self.book,
            horizons: &self.horizons,
            calendar: self.clock.calendar(),
            facts: &mut self.facts,
        };
        match event {
            Event::AdSpend(spend) => intake.amount(spend, effects),
            Event::AdSpendReport(report) => intake.report(report, effects),
            Event::Purchase(_) | Event::Refund(_) | Event::Cancellation(_) | Event::CustomerCost(_) => {
                debug_assert!(false, "events of customers are at home in the customers stage");
                Ok(Outcome::Superseded)
            }
        }
    }

    fn check(&self, event: &Event<'_>) -> Result<(), Rejection> {
        match event {
            Event::AdSpend(spend) => intake::check_amount(spend, &self.book, &self.horizons),
            Event::AdSpendReport(report) => intake::check_report(report, &self.horizons),
            Event::Purchase(_) | Event::Refund(_) | Event::Cancellation(_) | Event::CustomerCost(_) => Ok(()),
        }
    }

    fn absorb(&mut self, payload: &[u8]) -> Result<(), FormatError> {
        self.ledger.absorb(payload, &mut self.book, self.horizons.days, self.clock.calendar())
    }

    fn flush(&mut self, as_of: Millis, effects: &mut impl Effects) {
        let as_of = self.advance(as_of, effects);
        let Some(calendar) = self.clock.calendar() else { return };
        self.ledger.write(&mut self.book, calendar, &mut self.facts, effects);
        let mut page = Page::new(as_of);
        for number in self.book.take_touched() {
            self.write(number, When::Always, &mut page, effects);
            self.note(number, as_of);
            // As in a long backlog: else they are packed each hour.
            if self.output.open() > MOST_OPEN {
                self.pack(number);
            }
        }
        self.book.forget_names();
    }

    fn rewrite(&mut self, from: u32, budget: usize, as_of: Millis, effects: &mut impl Effects) -> Option<u32> {
        let budget = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let end = from.saturating_add(budget).min(self.book.campaigns.len());
        let existing = (from..end).filter(|&number| self.book.campaigns[number].exists());
        existing.collect::<Vec<_>>().into_iter().for_each(|number| self.book.touch(number));
        self.flush(as_of, effects);
        (end < self.book.campaigns.len()).then_some(end)
    }

    fn next_moment(&self) -> Option<Millis> {
        self.clock.first()
    }

    /// Looks at the campaigns whose moment has come, and writes those whose record differs from what was written last by more
    /// than the time.
    fn roll(&mut self, as_of: Millis, budget: usize, effects: &mut impl Effects) -> bool {
        self.flush(as_of, effects);
        let as_of = self.clock.moment(as_of);
        let mut page = Page::new(as_of);
        let mut budget = budget.max(1);
        while budget > 0 {
            let cost = match self.clock.take(as_of, &mut self.book) {
                Taken::Nothing => break,
                Taken::Passed => 1,
                Taken::Due { key, .. } => self.look_at(key, budget, &mut page, effects),
            };
            budget = budget.saturating_sub(cost);
        }
        !self.clock.is_due(as_of)
    }

    fn set_trusted(&mut self, moment: Millis) {
        self.clock.trust(moment);
    }

    /// While something waits every verdict is [`CatchingUp`](crate::domain::verdict::Verdict::CatchingUp). Format 1 has no way to
    /// say so.
    fn set_read_through(&mut self, read_through: Option<Millis>) {
        self.output.set_read_through(read_through.filter(|_| self.settings.format.number() >= 2));
    }

    fn expect(&mut self, _: Sizes) {}

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError> {
        let (book, calendar) = (&mut self.book, self.clock.calendar());
        let number = match Key::read(key)? {
            Key::Hour { campaign, hour } => {
                let sums = value.map(facts::read_sums).transpose()?.unwrap_or_default();
                let number = book.number(campaign);
                book.fold_hour(number, hour, sums);
                number
            }
            Key::Day { campaign, day } => {
                let sums = value.map(facts::read_sums).transpose()?.unwrap_or_default();
                let number = book.number(campaign);
                book.fold_day(number, day, sums);
                number
            }
            Key::Report { campaign, date, kind, breakdown } => {
                let report: Option<ReportFact<'_>> = value.map(facts::read).transpose()?;
                let cell = report.map(|report| Cell::new(date, &report, &mut book.spend));
                let number = book.number(campaign);
                let series = book.series(number, kind, breakdown);
                book.fold_report(number, series, date, cell, calendar);
                number
            }
            Key::Amount { campaign, spend } => {
                let event: Option<AmountFact<'_>> = value.map(facts::read).transpose()?;
                let spent = event.map(|event| Spent::new(&event, &mut book.spend));
                let number = book.number(campaign);
                let amount = book.amount(number, spend);
                book.fold_amount(number, amount, spent, calendar);
                number
            }
            Key::DaySpend { campaign, day } => {
                let spent = value.map(facts::read_day_spend).transpose()?;
                let number = book.number(campaign);
                book.fold_day_spend(number, day, spent);
                number
            }
            // These are never deleted.
            Key::Compacted { campaign } => {
                let compacted = facts::read_compacted(value.unwrap_or_default())?;
                let number = book.number(campaign);
                book.fold_compacted(number, compacted);
                number
            }
            Key::Before { campaign } => {
                let (ledger, spend) = facts::read_before(value.unwrap_or_default())?;
                let number = book.number(campaign);
                book.fold_before(number, ledger, spend);
                number
            }
            Key::Horizons => {
                self.horizons = facts::read(value.unwrap_or_default())?;
                return Ok(());
            }
        };
        book.pack_if_many(number, &mut self.buffer);
        Ok(())
    }

    fn restored(&mut self, last: Option<Last>) {
        if let Some(last) = last {
            self.clock.advance(last.as_of, &mut self.book, &self.settings);
        }
        self.book.restored(self.clock.calendar());
        self.clock.forget();
        let rolled_to = last.map(|last| (last.rolled_to, self.clock.calendar_of(last.rolled_to, &self.settings)));
        for number in 0..self.book.campaigns.len() {
            self.book.name(number);
            self.pack(number);
            match &rolled_to {
                Some((as_of, calendar)) => self.note_restored(number, *as_of, calendar),
                None => self.clock.note(number, Some(due::NOW), &mut self.book),
            }
        }
        self.book.forget_names();
    }

    fn save<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        snapshot::write(&self.book, &self.horizons, &self.settings, take)
    }

    fn load(&mut self, block: &[u8]) -> Result<u64, FormatError> {
        snapshot::read(block, |key, value| self.restore(key, Some(value)))
    }

    fn record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>> {
        self.output.current(id, as_of, &self.book, &self.clock, &self.settings)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.book.campaigns.iter().map(|(_, campaign)| campaign.id().as_str())
    }

    fn sizes(&self) -> Sizes {
        let bytes = self.output.bytes() + self.book.bytes() + self.clock.bytes();
        Sizes { campaigns: self.output.existing(), bytes: bytes as u64, ..Sizes::default() }
    }
}

impl Campaigns {
    /// Goes on to the greatest `as_of` so far, and returns it. The horizons move with it.
    fn advance(&mut self, as_of: Millis, effects: &mut impl Effects) -> Millis {
        let last = self.clock.as_of();
        let (as_of, calendar) = self.clock.advance(as_of, &mut self.book, &self.settings);
        let horizons = self.horizons.moved(last, as_of, calendar, &self.settings);
        if horizons != self.horizons {
            self.horizons = horizons;
            self.facts.put(&Key::Horizons, &horizons, effects);
        }
        as_of
    }

    /// Does what time has made due of a campaign, about `limit` of it; returns how much that was.
    fn look_at(&mut self, number: u32, limit: usize, page: &mut Page, effects: &mut impl Effects) -> usize {
        let Some(calendar) = self.clock.calendar() else { return 1 };
        let days = ledger_facts::roll_up(&mut self.book, number, calendar, &mut self.facts, effects);
        let horizons = &self.horizons;
        let compacted = compaction::compact(&mut self.book, number, horizons, limit, &mut self.facts, effects);
        self.pack(number);
        self.write(number, When::Different, page, effects);
        self.note(number, page.as_of());
        1 + days + compacted
    }

    /// Packs what a campaign has booked lately.
    fn pack(&mut self, number: u32) {
        self.book.campaigns[number].pack(&mut self.buffer);
        self.output.count(number, &mut self.book);
    }

    fn write(&mut self, number: u32, when: When, page: &mut Page, effects: &mut impl Effects) {
        let Some(calendar) = self.clock.calendar() else { return };
        let mut source = Source { book: &mut self.book, calendar, settings: &self.settings };
        self.output.write(number, when, &mut source, page, effects);
    }

    /// Notes when time changes a campaign next that is as it should be at `as_of`.
    fn note(&mut self, number: u32, as_of: Millis) {
        let Some(calendar) = self.clock.calendar() else { return };
        let present = Present { as_of, calendar, horizons: &self.horizons, settings: &self.settings };
        let next = present.next(&self.book.campaigns[number]);
        self.clock.note(number, next, &mut self.book);
    }

    /// The same for a campaign that was restored: all that time changed up to `rolled_to`, of this calendar, was written.
    fn note_restored(&mut self, number: u32, rolled_to: Millis, calendar: &Calendar) {
        let campaign = &self.book.campaigns[number];
        let present = Present { as_of: rolled_to, calendar, horizons: &self.horizons, settings: &self.settings };
        let is_present = self.clock.calendar().is_some_and(|now| now.hour == calendar.hour);
        // Of hours long ago not all is kept that windows held then.
        let was_busy = campaign.days.last().is_some_and(|day| calendar.is_recent(day));
        let next = if is_present || !was_busy { present.next(campaign) } else { Some(due::NOW) };
        self.clock.note(number, next, &mut self.book);
    }
}

#[cfg(test)]
mod tests;
