//! What is known of each campaign: its totals, its spend events, what it is called.
//!
//! Facts to state: the current version of a thing takes the place of the former. It is booked, and the former's booking taken
//! back; so facts may come again, and in any order of identities.

use std::sync::Arc;

use super::calendar::Calendar;
use super::campaign::Campaign;
use super::compacted::{Compacted, DaySpend};
use super::facts::{CompactedFact, DaySpendFact};
use super::naming::{Best, Claim, Naming};
use super::spend::{Cell, SpendBook, Spent};
use super::totals::SpendSums;
use crate::domain::spend::SpendKind;
use crate::engine::ledger::LedgerSums;
use crate::engine::table::{Names, Table};
use crate::settings::Settings;
use crate::time::{Date, Millis};

/// All campaigns of a partition, and their spend events.
#[derive(Debug)]
pub struct Book {
    settings: Arc<Settings>,
    pub campaigns: Table<Campaign>,
    pub spend: SpendBook,
    /// Campaigns that changed since the last flush.
    touched: Vec<u32>,
}

/// How many buckets of a campaign that is restored are left open: a history is much longer than what is booked on it next.
const MOST_OPEN: usize = 32;

impl Book {
    /// With nothing in it.
    pub fn new(settings: Arc<Settings>) -> Book {
        Book { settings, campaigns: Table::default(), spend: SpendBook::default(), touched: Vec::new() }
    }

    /// The number of a campaign, new or known.
    pub fn number(&mut self, id: &str) -> u32 {
        self.campaigns.find_or_insert(0, id, || Campaign::new(id))
    }

    /// The number of a campaign's series of reports, new or known.
    pub fn series(&mut self, campaign: u32, kind: SpendKind, breakdown: Option<&str>) -> u32 {
        let (number, new) = self.spend.series_number(campaign, kind, breakdown);
        if new {
            self.campaigns[campaign].series.push(number);
        }
        number
    }

    /// The number of a campaign's amount, new or known.
    pub fn amount(&mut self, campaign: u32, id: &str) -> u32 {
        let (number, new) = self.spend.amount_number(campaign, id);
        if new {
            self.campaigns[campaign].amounts.push(number);
        }
        number
    }

    /// The local date of a moment.
    pub fn date(&self, at: Millis) -> Date {
        self.settings.zone.date(at)
    }

    /// The hours of a day that are kept individually.
    pub fn hours_of(&self, number: u32, day: Date) -> Vec<Millis> {
        self.campaigns[number].hours_of(day, &self.settings.zone).map(|(hour, _)| hour).collect()
    }

    /// Notes that a campaign changed.
    pub fn touch(&mut self, number: u32) {
        let campaign = &mut self.campaigns[number];
        if !campaign.touched {
            campaign.touched = true;
            self.touched.push(number);
        }
    }

    /// The campaigns that changed since this was called last.
    pub fn take_touched(&mut self) -> Vec<u32> {
        let touched = std::mem::take(&mut self.touched);
        touched.iter().for_each(|&number| self.campaigns[number].touched = false);
        touched
    }

    /// Takes the current report of a cell; `None` when it was deleted.
    ///
    /// Hours hold spend once the calendar says which hours are recent: spend is booked on hours by computing, not by
    /// facts, so there is nothing to keep until then.
    pub fn fold_report(
        &mut self,
        campaign: u32,
        series: u32,
        date: Date,
        cell: Option<Cell>,
        calendar: Option<&Calendar>,
    ) {
        let zone = &self.settings.zone;
        let by_hour = calendar.is_some_and(|calendar| calendar.is_recent(date));
        let former = self.spend.series[series].cell(date).copied();
        let kind = self.spend.series[series].kind();
        let campaign = &mut self.campaigns[campaign];
        if let Some(cell) = &cell {
            campaign.book(date, cell.hours(kind, zone), by_hour, calendar);
            campaign.spend_events += 1;
            campaign.oldest_report = campaign.oldest_report.into_iter().chain([date]).min();
        }
        if let Some(former) = &former {
            campaign.book(date, former.hours(kind, zone).map(|(hour, sums)| (hour, -sums)), by_hour, calendar);
            campaign.spend_events -= 1;
        }
        let claim = |cell: Option<Cell>| cell.map(|cell| cell.claim(kind, zone, &self.spend.labels));
        campaign.naming.replace(claim(former), claim(cell), &self.spend.names);
        self.spend.replace_cell(series, date, cell);
    }

    /// Takes the current event of a spend id; `None` when it was deleted.
    pub fn fold_amount(&mut self, campaign: u32, amount: u32, spent: Option<Spent>, calendar: Option<&Calendar>) {
        let zone = &self.settings.zone;
        let former = self.spend.amounts[amount].current;
        let campaign = &mut self.campaigns[campaign];
        let mut book = |spent: &Spent, sums| {
            let (hour, day) = (zone.hour_start(spent.occurred_at), zone.date(spent.occurred_at));
            let by_hour = calendar.is_some_and(|calendar| calendar.is_recent(day));
            campaign.book(day, std::iter::once((hour, sums)), by_hour, calendar);
            day
        };
        let day = spent.as_ref().map(|spent| book(spent, spent.sums()));
        if let Some(former) = &former {
            book(former, -former.sums());
        }
        campaign.oldest_amount = campaign.oldest_amount.into_iter().chain(day).min();
        campaign.spend_events += u64::from(spent.is_some());
        campaign.spend_events -= u64::from(former.is_some());
        let claim = |spent: Option<Spent>| spent.map(|spent| spent.claim());
        campaign.naming.replace(claim(former), claim(spent), &self.spend.names);
        self.spend.replace_amount(amount, spent);
    }

    /// Takes the bucket of an hour; all zero when its fact was deleted.
    pub fn fold_hour(&mut self, campaign: u32, hour: Millis, sums: LedgerSums) {
        let day = self.settings.zone.date(hour);
        let campaign = &mut self.campaigns[campaign];
        let difference = sums - campaign.hours.ledger(hour).unwrap_or_default();
        // What the day has already.
        campaign.hours.add(hour, difference);
        campaign.book_day(day, difference);
    }

    /// Takes the bucket of a day. In the state the day has the hours that are facts of their own as well.
    pub fn fold_day(&mut self, campaign: u32, day: Date, sums: LedgerSums) {
        let campaign = &mut self.campaigns[campaign];
        let former = campaign.ledger_of_day(day, &self.settings.zone);
        campaign.book_day(day, sums - former);
    }

    /// Takes what is of the lifetime alone.
    pub fn fold_before(&mut self, campaign: u32, ledger: LedgerSums, spend: SpendSums) {
        let campaign = &mut self.campaigns[campaign];
        let former = campaign.before;
        campaign.book_before(ledger - former.ledger, None);
        campaign.book_before(spend - former.spend, None);
    }

    /// Takes what the compacted amounts of a day come to; `None` when the fact was deleted.
    pub fn fold_day_spend(&mut self, campaign: u32, day: Date, fact: Option<DaySpendFact>) {
        let campaign = &mut self.campaigns[campaign];
        let days = &mut campaign.compacted.get_or_insert_default().days;
        let spent = fact.map(DaySpend::new);
        let former = match spent {
            Some(spent) => days.insert(day, spent),
            None => days.remove(&day),
        };
        campaign.book_day(day, spent.unwrap_or_default().sums() - former.unwrap_or_default().sums());
    }

    /// Takes what compacted events say.
    pub fn fold_compacted(&mut self, campaign: u32, fact: CompactedFact<'_>) {
        let labels = fact.labels.map(|label| label.map(|(at, text)| (at, self.spend.names.number(text))));
        let campaign = &mut self.campaigns[campaign];
        let compacted: &mut Compacted = campaign.compacted.get_or_insert_default();
        campaign.spend_events = campaign.spend_events + fact.events - compacted.events;
        compacted.events = fact.events;
        let former = std::mem::replace(&mut compacted.naming, Naming::new(labels, fact.through)).best();
        campaign.naming.stale = true;
        self.hold_best(labels, former);
    }

    /// Compacted events say these labels now, and said others before.
    pub fn hold_best(&mut self, best: Best, former: Best) {
        best.into_iter().flatten().for_each(|(_, label)| self.spend.names.hold(label));
        former.into_iter().flatten().for_each(|(_, label)| self.spend.names.release(label));
    }

    /// Forgets the texts that nothing says any more. All campaigns that changed must have been [named](Book::name).
    pub fn forget_names(&mut self) {
        self.spend.names.forget_unused();
    }

    /// After a fact was taken: a history is not open as a whole.
    pub fn pack_if_many(&mut self, campaign: u32, buffer: &mut Vec<u8>) {
        let campaign = &mut self.campaigns[campaign];
        if campaign.open() > MOST_OPEN {
            campaign.pack(buffer);
        }
    }

    /// Ends a restore: amounts whose facts were deleted leave their places, hours that are no longer recent hold no spend, and
    /// what was summed and written may have changed elsewhere.
    pub fn restored(&mut self, calendar: Option<&Calendar>) {
        let amounts = &mut self.spend.amounts;
        for number in 0..self.campaigns.len() {
            let campaign = &mut self.campaigns[number];
            let due = std::mem::take(&mut campaign.due);
            campaign.oldest_amount = campaign.oldest_amount.into_iter().chain(due.oldest()).min();
            campaign.amounts.extend(due.numbers());
            campaign.amounts.retain(|&amount| amounts[amount].current.is_some());
            campaign.forget();
            let Some(calendar) = calendar else { continue };
            for hour in campaign.hours.keys(..calendar.recent_from).to_vec() {
                if campaign.hours.ledger(hour).is_none() {
                    campaign.hours.remove(hour);
                }
            }
        }
        for amount in 0..amounts.places() {
            // A free place stays free.
            if amounts[amount].current.is_none() {
                amounts.remove(amount);
            }
        }
    }

    /// Moves the amounts of days before the horizon to those that are due to be compacted.
    pub fn gather_due(&mut self, number: u32, horizon: Date) {
        let (zone, amounts) = (&self.settings.zone, &self.spend.amounts);
        let campaign = &mut self.campaigns[number];
        if campaign.oldest_amount.is_none_or(|oldest| oldest >= horizon) {
            return;
        }
        let mut oldest = None;
        let mut due = Vec::new();
        campaign.amounts.retain(|&amount| {
            let day = amounts[amount].current.map(|spent| zone.date(spent.occurred_at));
            let is_due = day.is_some_and(|day| day < horizon);
            if is_due {
                due.extend(day.map(|day| (day, amount)));
            } else {
                oldest = oldest.into_iter().chain(day).min();
            }
            !is_due
        });
        campaign.oldest_amount = oldest;
        campaign.due.gather(due.into_iter());
    }

    /// Days before the horizon of which something is kept, each as often as that is something else.
    pub fn days_before(&self, number: u32, horizon: Date) -> Vec<Date> {
        let campaign = &self.campaigns[number];
        let mut days = campaign.days.keys(..horizon).to_vec();
        // A day whose amounts came to nothing has no bucket.
        let compacted = campaign.compacted.iter();
        days.extend(compacted.flat_map(|compacted| compacted.days.range(..horizon).map(|(day, _)| *day)));
        if campaign.oldest_report.is_some_and(|oldest| oldest < horizon) {
            let series = campaign.series.iter().map(|&series| &self.spend.series[series]);
            days.extend(series.flat_map(|series| series.dates_before(horizon)));
        }
        days
    }

    /// The series that have a report of a date, with what that says.
    pub fn reports_of(&self, number: u32, date: Date) -> Vec<(u32, Claim)> {
        let campaign = &self.campaigns[number];
        if campaign.oldest_report.is_none_or(|oldest| date < oldest) {
            return Vec::new();
        }
        let claim = |&number: &u32| {
            let series = &self.spend.series[number];
            Some((number, series.cell(date)?.claim(series.kind(), &self.settings.zone, &self.spend.labels)))
        };
        campaign.series.iter().filter_map(claim).collect()
    }

    /// Looks again for the oldest of a campaign's reports, where it was said to be of a day before the horizon.
    pub fn look_for_oldest_report(&mut self, number: u32, horizon: Date) {
        let campaign = &mut self.campaigns[number];
        if campaign.oldest_report.is_none_or(|oldest| oldest >= horizon) {
            return;
        }
        let series = campaign.series.iter().map(|&series| &self.spend.series[series]);
        campaign.oldest_report = series.filter_map(|series| series.cells().first()).map(|cell| cell.date).min();
    }

    /// Books on hours what they must hold of spend, as it is known now which of them are recent.
    pub fn open(&mut self, calendar: &Calendar) {
        for number in 0..self.campaigns.len() {
            let booked = self.recent_spend(&self.campaigns[number], calendar);
            let hours = &mut self.campaigns[number].hours;
            booked.into_iter().for_each(|(hour, sums)| hours.add(hour, sums));
        }
    }

    /// What hours must hold of a campaign's spend as soon as it is known which of them are recent.
    pub fn recent_spend(&self, campaign: &Campaign, calendar: &Calendar) -> Vec<(Millis, SpendSums)> {
        let zone = &self.settings.zone;
        let mut booked = Vec::new();
        for series in campaign.series.iter().map(|&number| &self.spend.series[number]) {
            for cell in series.cells().iter().rev().take_while(|cell| calendar.is_recent(cell.date)) {
                booked.extend(cell.hours(series.kind(), zone));
            }
        }
        let amounts = campaign.all_amounts().filter_map(|number| self.spend.amounts[number].current);
        let recent = amounts.filter(|spent| calendar.is_recent(zone.date(spent.occurred_at)));
        booked.extend(recent.map(|spent| (zone.hour_start(spent.occurred_at), spent.sums())));
        booked
    }

    /// Looks at a campaign's own spend events again where its naming needs it.
    pub fn name(&mut self, number: u32) {
        if self.campaigns[number].naming.stale {
            self.campaigns[number].naming = self.named(&self.campaigns[number]);
        }
    }

    /// What a campaign's own spend events say.
    pub fn named(&self, campaign: &Campaign) -> Naming {
        let claims = self.spend.claims(&campaign.series, campaign.all_amounts(), &self.settings.zone);
        let compacted = campaign.compacted.as_ref().map(|compacted| &compacted.naming);
        Naming::of(compacted, claims, &self.spend.names)
    }

    /// The texts that spend events name.
    pub fn names(&self) -> &Names {
        &self.spend.names
    }

    /// Bytes held, without what the campaigns count themselves.
    pub fn bytes(&self) -> usize {
        self.campaigns.bytes() + self.spend.bytes() + self.touched.capacity() * size_of::<u32>()
    }
}
