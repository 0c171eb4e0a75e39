//! Facts to state. The current version of a thing takes the place of the former: it is booked, and the former's booking
//! taken back; so facts may come again, and in any order of identities.
//!
//! A ledger's bucket is a fact of its hour while its day is recent, else of its day. A day's fact holds what the facts of
//! its hours do not; when the day is no longer recent, these are joined into it in one transaction.

use super::Campaigns;
use super::calendar::Calendar;
use super::campaign::Campaign;
use super::facts::Key;
use super::spend::{Cell, Spent};
use super::totals::SpendSums;
use crate::domain::spend::SpendKind;
use crate::engine::Effects;
use crate::engine::ledger::LedgerSums;
use crate::engine::table::Identity;
use crate::time::{Date, Millis};

/// A ledger's bucket that changed and is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unwritten {
    Hour(Millis),
    Day(Date),
    /// What is of the lifetime alone.
    Before,
}

impl Campaigns {
    /// The number of a campaign, new or known.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        self.campaigns.find_or_insert(0, id, || Campaign::new(id))
    }

    pub(super) fn series(&mut self, campaign: u32, kind: SpendKind, breakdown: Option<&str>) -> u32 {
        let (number, new) = self.spend.series_number(campaign, kind, breakdown);
        if new {
            self.campaigns[campaign].series.push(number);
        }
        number
    }

    pub(super) fn amount(&mut self, campaign: u32, id: &str) -> u32 {
        let (number, new) = self.spend.amount_number(campaign, id);
        if new {
            self.campaigns[campaign].amounts.push(number);
        }
        number
    }

    /// Hours hold spend once the calendar says which hours are recent: spend is booked on hours by computing, not by
    /// facts, so there is nothing to keep until then.
    pub(super) fn fold_report(&mut self, campaign: u32, series: u32, date: Date, cell: Option<Cell>) {
        let (zone, calendar) = (&self.settings.zone, self.calendar.as_ref());
        let by_hour = calendar.is_some_and(|calendar| calendar.is_recent(date));
        let former = self.spend.series[series].cell(date).copied();
        let kind = self.spend.series[series].kind();
        let campaign = &mut self.campaigns[campaign];
        if let Some(cell) = &cell {
            campaign.book(date, cell.hours(kind, zone), by_hour, calendar);
            campaign.spend_events += 1;
        }
        if let Some(former) = &former {
            campaign.book(date, former.hours(kind, zone).map(|(hour, sums)| (hour, -sums)), by_hour, calendar);
            campaign.spend_events -= 1;
        }
        let claim = |cell: Option<Cell>| cell.map(|cell| cell.claim(kind, zone));
        campaign.naming.replace(claim(former), claim(cell), &self.spend.names);
        self.spend.replace_cell(series, date, cell);
    }

    pub(super) fn fold_amount(&mut self, campaign: u32, amount: u32, spent: Option<Spent>) {
        let (zone, calendar) = (&self.settings.zone, self.calendar.as_ref());
        let former = self.spend.amounts[amount].current;
        let campaign = &mut self.campaigns[campaign];
        let mut book = |spent: &Spent, sums| {
            let (hour, day) = (zone.hour_start(spent.occurred_at), zone.date(spent.occurred_at));
            let by_hour = calendar.is_some_and(|calendar| calendar.is_recent(day));
            campaign.book(day, std::iter::once((hour, sums)), by_hour, calendar);
        };
        if let Some(spent) = &spent {
            book(spent, spent.sums());
        }
        if let Some(former) = &former {
            book(former, -former.sums());
        }
        campaign.spend_events += u64::from(spent.is_some());
        campaign.spend_events -= u64::from(former.is_some());
        let claim = |spent: Option<Spent>| spent.map(|spent| spent.claim());
        campaign.naming.replace(claim(former), claim(spent), &self.spend.names);
        self.spend.amounts[amount].current = spent;
    }

    /// Takes the fact of an hour's bucket; all zero when it was deleted.
    pub(super) fn fold_hour(&mut self, campaign: u32, hour: Millis, sums: LedgerSums) {
        let day = self.settings.zone.date(hour);
        let campaign = &mut self.campaigns[campaign];
        let former = campaign.hours.get(&hour).and_then(|bucket| bucket.ledger.as_deref()).copied();
        let difference = sums - former.unwrap_or_default();
        campaign.book_hour(hour, difference);
        campaign.book_day(day, difference);
    }

    /// Takes the fact of a day's bucket. In the state the day has the hours that are facts of their own as well.
    pub(super) fn fold_day(&mut self, campaign: u32, day: Date, sums: LedgerSums) {
        let campaign = &mut self.campaigns[campaign];
        let former = campaign.ledger_of_day(day, &self.settings.zone);
        campaign.book_day(day, sums - former);
    }

    /// Goes on to the greatest `as_of` so far, and returns it.
    pub(super) fn advance(&mut self, as_of: Millis) -> Millis {
        let as_of = self.as_of.map_or(as_of, |known| known.max(as_of));
        self.as_of = Some(as_of);
        let hour = self.settings.zone.hour_start(as_of);
        let compacted_day = self.settings.zone.date(self.compacted(as_of));
        let is_current = |calendar: &Calendar| calendar.hour == hour && calendar.compacted_day == compacted_day;
        if !self.calendar.as_ref().is_some_and(is_current) {
            let calendar = Calendar::new(as_of, self.compacted(as_of), &self.settings);
            if self.calendar.is_none() {
                for number in 0..self.campaigns.len() {
                    let booked = self.recent_spend(&self.campaigns[number], &calendar);
                    booked.into_iter().for_each(|(hour, sums)| self.campaigns[number].book_hour(hour, sums));
                }
            }
            self.calendar = Some(calendar);
        }
        as_of
    }

    /// As of when history is compacted at this moment.
    pub(super) fn compacted(&self, as_of: Millis) -> Millis {
        self.trusted.map_or(as_of, |trusted| trusted.min(as_of))
    }

    /// What hours must hold of a campaign's spend as soon as it is known which of them are recent.
    pub(super) fn recent_spend(&self, campaign: &Campaign, calendar: &Calendar) -> Vec<(Millis, SpendSums)> {
        let zone = &self.settings.zone;
        let mut booked = Vec::new();
        for series in campaign.series.iter().map(|&number| &self.spend.series[number]) {
            for cell in series.cells().iter().filter(|cell| calendar.is_recent(cell.date)) {
                booked.extend(cell.hours(series.kind(), zone));
            }
        }
        let amounts = campaign.all_amounts().filter_map(|number| self.spend.amounts[number].current);
        let recent = amounts.filter(|spent| calendar.is_recent(zone.date(spent.occurred_at)));
        booked.extend(recent.map(|spent| (zone.hour_start(spent.occurred_at), spent.sums())));
        booked
    }

    /// Writes the ledger facts that changed. [`Campaigns::advance`] must have gone before.
    pub(super) fn write_ledger_facts(&mut self, effects: &mut impl Effects) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        unwritten.sort_unstable();
        unwritten.dedup();
        let mut written = None;
        for (number, bucket) in unwritten.drain(..) {
            let day = match bucket {
                Unwritten::Hour(hour) => self.settings.zone.date(hour),
                Unwritten::Day(day) => day,
                Unwritten::Before => {
                    self.write_before(number, effects);
                    continue;
                }
            };
            let recent = self.calendar.as_ref().is_some_and(|calendar| calendar.is_recent(day));
            if let Unwritten::Hour(hour) = bucket {
                if recent {
                    self.write_hour(number, hour, effects);
                    continue;
                }
                // The day aged since. The hour may have come to nothing in memory and still be a fact.
                self.facts.delete(&Key::Hour { campaign: self.campaigns[number].id(), hour }, effects);
            }
            if written.replace((number, day)) != Some((number, day)) {
                self.drop_hours(number, day, effects);
                self.write_day(number, day, effects);
            }
        }
        self.unwritten = unwritten;
    }

    fn write_hour(&mut self, number: u32, hour: Millis, effects: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        let key = Key::Hour { campaign: campaign.id(), hour };
        match campaign.hours.get(&hour).and_then(|bucket| bucket.ledger.as_ref()) {
            Some(sums) => self.facts.put_with(&key, |value| sums.write(value), effects),
            None => self.facts.delete(&key, effects),
        }
    }

    /// Joins the hours of the days of a campaign that are no longer recent; at most `limit` days, the oldest first.
    /// Returns how many.
    pub(super) fn join_days(&mut self, number: u32, limit: usize, effects: &mut impl Effects) -> usize {
        let Some(recent_from) = self.calendar.as_ref().map(|calendar| calendar.recent_from) else { return 0 };
        let mut joined = 0;
        while joined < limit
            && let Some((&hour, _)) = self.campaigns[number].hours.first_key_value()
            && hour < recent_from
        {
            let day = self.settings.zone.date(hour);
            // Whatever else its day holds, this hour is done with.
            let had_fact = self.drop_hour(number, hour, effects);
            if self.drop_hours(number, day, effects) || had_fact {
                self.write_day(number, day, effects);
            }
            joined += 1;
        }
        joined
    }

    /// Drops the hours of a day that are kept individually, and deletes their facts. Returns whether there were any facts.
    pub(super) fn drop_hours(&mut self, number: u32, day: Date, effects: &mut impl Effects) -> bool {
        let campaign = &self.campaigns[number];
        let hours: Vec<Millis> = campaign.hours_of(day, &self.settings.zone).map(|(hour, _)| hour).collect();
        let mut had_facts = false;
        for hour in hours {
            had_facts |= self.drop_hour(number, hour, effects);
        }
        had_facts
    }

    fn drop_hour(&mut self, number: u32, hour: Millis, effects: &mut impl Effects) -> bool {
        let campaign = &mut self.campaigns[number];
        let had_fact = campaign.hours.remove(&hour).is_some_and(|bucket| bucket.ledger.is_some());
        if had_fact {
            self.facts.delete(&Key::Hour { campaign: campaign.id(), hour }, effects);
        }
        had_fact
    }

    /// Writes a day's whole bucket as its fact: no hour of it has one of its own. A day that was given up since has none
    /// either.
    fn write_day(&mut self, number: u32, day: Date, effects: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        let key = Key::Day { campaign: campaign.id(), day };
        match campaign.days.get(&day).and_then(|bucket| bucket.ledger.as_ref()) {
            Some(sums) => self.facts.put_with(&key, |value| sums.write(value), effects),
            None => self.facts.delete(&key, effects),
        }
    }
}
