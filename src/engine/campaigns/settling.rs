//! What is older than is kept individually becomes sums: amounts those of their day, days those of the lifetime. Figures stay as
//! they are; what can't be told apart any more can't be changed either.
//!
//! The [`Horizons`] say up to which day. They are facts, follow `as_of` and never go back, and by them alone it is decided
//! whether an event is too late. What lies before them is settled a bounded number at a time, in the transactions in which
//! its facts are replaced; until its turn comes, it counts the same.

use std::collections::BTreeMap;

use super::Campaigns;
use super::campaign::Campaign;
use super::facts::{self, CarriedFact, Key, SettledFact};
use super::naming::Naming;
use super::totals::SpendSums;
use crate::engine::horizon::Grace;
use crate::engine::table::{Identity, Names};
use crate::engine::{Effects, ledger::LedgerSums};
use crate::money::Sum;
use crate::time::{Date, Millis};

use serde::{Deserialize, Serialize};

/// Before which days a partition has given things up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizons {
    grace: Grace,
    /// Days before have no single amounts.
    #[serde(with = "stored")]
    pub amounts: Date,
    /// Days before are of the lifetime alone, and have no reports. Never after `amounts`.
    #[serde(with = "stored")]
    pub days: Date,
}

/// A horizon that has not moved: facts have 0000-01-01 for it, which west of UTC is the second day that there is.
mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Date;

    const UNMOVED: Date = Date(-719_528);

    pub fn serialize<S: Serializer>(horizon: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        (*horizon.max(&UNMOVED)).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let horizon = Date::deserialize(deserializer)?;
        Ok(if horizon == UNMOVED { Date::MIN } else { horizon })
    }
}

impl Default for Horizons {
    fn default() -> Self {
        Horizons { grace: Grace::default(), amounts: Date::MIN, days: Date::MIN }
    }
}

/// What settled spend events of a campaign still say.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    pub events: u64,
    pub naming: Naming,
    /// Settled amounts by day, while that is kept.
    pub days: BTreeMap<Date, Settled>,
}

/// Sums of settled amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    media: Sum,
    all: Sum,
}

impl Settled {
    pub fn fact(self) -> SettledFact {
        SettledFact { media: self.media, all: self.all }
    }

    fn sums(self) -> SpendSums {
        SpendSums { media: self.media, all: self.all, ..SpendSums::default() }
    }
}

impl Carried {
    pub fn fact<'a>(&self, names: &'a Names) -> CarriedFact<'a> {
        let labels = self.naming.best().map(|best| best.and_then(|(at, label)| Some((at, names.text(label)?))));
        CarriedFact { events: self.events, labels, through: self.naming.through() }
    }
}

/// Amounts of days before the horizon whose turn to be settled has not come. Nothing but settling changes them, so a long
/// backlog is sorted once, and not again at each step.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// With their days, the latest first.
    amounts: Vec<(Date, u32)>,
    /// The horizon that these are all for.
    before: Option<Date>,
}

impl Due {
    pub fn amounts(&self) -> impl Iterator<Item = u32> {
        self.amounts.iter().map(|(_, slot)| *slot)
    }

    pub fn bytes(&self) -> usize {
        self.amounts.capacity() * size_of::<(Date, u32)>()
    }

    fn take_day(&mut self, day: Date) -> Vec<(Date, u32)> {
        let first = self.amounts.partition_point(|(other, _)| *other > day);
        let end = self.amounts.partition_point(|(other, _)| *other >= day);
        self.amounts.drain(first..end).collect()
    }

    /// Takes about `limit` (at least 1), whole days from the oldest.
    fn take_oldest(&mut self, limit: usize) -> Vec<(Date, u32)> {
        let Some(&(day, _)) = self.amounts.len().checked_sub(limit.max(1)).and_then(|last| self.amounts.get(last))
        else {
            return std::mem::take(&mut self.amounts);
        };
        let first = self.amounts.partition_point(|(other, _)| *other > day);
        self.amounts.split_off(first)
    }
}

/// How far a campaign's settling has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Amounts, days and cells that were settled.
    pub settled: usize,
    /// Nothing is left that lies before the horizons.
    pub done: bool,
}

impl Campaigns {
    /// Moves the horizons on to `as_of`, the calendar's; `last` is the moment before it.
    pub(super) fn move_horizons(&mut self, last: Option<Millis>, as_of: Millis, effects: &mut impl Effects) {
        let Some(calendar) = &self.calendar else { return };
        let retention = self.settings.retention;
        let mut horizons = self.horizons;
        if horizons.grace.is_over(last, as_of) {
            let back = |days: u32| calendar.compacted_day.plus(i32::try_from(days).map_or(i32::MIN, |days| -days));
            // Hours of days that are kept by the hour are made of amounts and cells.
            horizons.days = horizons.days.max(back(retention.days).min(calendar.recent_day));
            horizons.amounts = horizons.amounts.max(back(retention.spend_days).min(calendar.recent_day));
            horizons.amounts = horizons.amounts.max(horizons.days);
        }
        if horizons != self.horizons {
            self.horizons = horizons;
            self.facts.put(&Key::Horizons, &horizons, effects);
        }
    }

    /// Settles what lies before the horizons of one campaign, about `limit` (at least 1) of it, whole days from the oldest.
    pub(super) fn settle(&mut self, number: u32, limit: usize, effects: &mut impl Effects) -> Step {
        let horizons = (self.horizons.amounts, self.horizons.days);
        if self.campaigns[number].settled_to == Some(horizons) {
            return Step { settled: 0, done: true };
        }
        let mut step = self.settle_amounts(number, None, limit, effects);
        if step.done {
            let days = self.give_up_days(number, limit, effects);
            step = Step { settled: step.settled + days.settled, done: days.done };
        }
        if step.done {
            self.campaigns[number].settled_to = Some(horizons);
        }
        step
    }

    /// Settles amounts of days before the horizon; of `only` one day, where that is given.
    pub(super) fn settle_amounts(
        &mut self,
        number: u32,
        only: Option<Date>,
        limit: usize,
        effects: &mut impl Effects,
    ) -> Step {
        self.gather_due(number);
        let list = &mut self.campaigns[number].due;
        let due = match only {
            Some(day) => list.take_day(day),
            None => list.take_oldest(limit),
        };
        let done = list.amounts.is_empty();
        if due.is_empty() {
            return Step { settled: 0, done };
        }
        let mut carried = self.campaigns[number].carried.take().unwrap_or_default();
        for &(day, slot) in &due {
            let amount = self.spend.amounts.remove(slot);
            let Some(spent) = amount.current else { continue };
            let campaign = self.campaigns[number].id();
            self.facts.delete(&Key::Amount { campaign, spend: amount.id() }, effects);
            carried.events += 1;
            carried.naming.replace(None, Some(spent.claim()), &self.spend.names);
            let settled = carried.days.entry(day).or_default();
            settled.media += spent.sums().media;
            settled.all += spent.sums().all;
        }
        let mut days: Vec<Date> = due.iter().map(|(day, _)| *day).collect();
        days.dedup();
        let campaign = self.campaigns[number].id();
        for day in days {
            self.facts.put(&Key::Settled { campaign, day }, &carried.days[&day].fact(), effects);
        }
        self.facts.put(&Key::Carried { campaign }, &carried.fact(&self.spend.names), effects);
        self.campaigns[number].carried = Some(carried);
        Step { settled: due.len(), done }
    }

    /// Moves the amounts that have come to lie before the horizon to those that are due.
    fn gather_due(&mut self, number: u32) {
        let (zone, before) = (&self.settings.zone, self.horizons.amounts);
        let Campaign { amounts, due, .. } = &mut self.campaigns[number];
        if due.before.replace(before) == Some(before) {
            return;
        }
        amounts.retain(|&slot| {
            let day = self.spend.amounts[slot].current.map(|spent| zone.date(spent.occurred_at));
            let day = day.filter(|day| *day < before);
            due.amounts.extend(day.map(|day| (day, slot)));
            day.is_none()
        });
        due.amounts.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Puts days before the horizon, of which no amount is left, into what is of the lifetime alone.
    fn give_up_days(&mut self, number: u32, limit: usize, effects: &mut impl Effects) -> Step {
        let before = self.horizons.days;
        let campaign = &self.campaigns[number];
        let cells = campaign.series.iter().flat_map(|&series| {
            self.spend.series[series].cells().iter().map(|cell| cell.date).take_while(|date| *date < before)
        });
        // A day whose amounts came to nothing has no bucket.
        let settled = campaign.carried.iter().flat_map(|carried| carried.days.range(..before).map(|(day, _)| *day));
        let of_days = campaign.days.range(..before).map(|(day, _)| *day);
        let mut due: Vec<Date> = of_days.chain(settled).chain(cells).collect();
        due.sort_unstable();
        let all = due.len();
        if let Some(last) = due.get(limit.max(1) - 1).copied() {
            due.truncate(due.partition_point(|day| *day <= last));
        }
        let settled = due.len();
        if due.is_empty() {
            return Step { settled: 0, done: true };
        }
        due.dedup();
        let mut carried = self.campaigns[number].carried.take().unwrap_or_default();
        let events = carried.events;
        for day in due {
            self.drop_hours(number, day, effects);
            self.settle_cells(number, day, &mut carried, effects);
            let campaign = &mut self.campaigns[number];
            if carried.days.remove(&day).is_some() {
                self.facts.delete(&Key::Settled { campaign: campaign.id(), day }, effects);
            }
            if let Some(bucket) = campaign.days.remove(&day) {
                if bucket.ledger.is_some() {
                    self.facts.delete(&Key::Day { campaign: campaign.id(), day }, effects);
                }
                campaign.before.add(&bucket);
            }
        }
        if carried.events != events {
            let campaign = self.campaigns[number].id();
            self.facts.put(&Key::Carried { campaign }, &carried.fact(&self.spend.names), effects);
        }
        self.campaigns[number].carried = Some(carried);
        self.write_before(number, effects);
        Step { settled, done: settled == all }
    }

    /// Settles the reports of one date: what they book stays in the day.
    fn settle_cells(&mut self, number: u32, date: Date, carried: &mut Carried, effects: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        for &number in &campaign.series {
            let series = &self.spend.series[number];
            let Some(cell) = series.cell(date) else { continue };
            let (kind, claim) = (series.kind(), cell.claim(series.kind(), &self.settings.zone));
            let key = Key::Report { campaign: campaign.id(), date, kind, breakdown: series.breakdown() };
            self.facts.delete(&key, effects);
            carried.events += 1;
            carried.naming.replace(None, Some(claim), &self.spend.names);
            self.spend.replace_cell(number, date, None);
        }
    }

    pub(super) fn write_before(&mut self, number: u32, effects: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        let (ledger, spend) = campaign.before.halves();
        let key = Key::Before { campaign: campaign.id() };
        self.facts.put_with(&key, |value| facts::write_before(&ledger, &spend, value), effects);
    }

    /// Takes the fact of what is of the lifetime alone.
    pub(super) fn fold_before(&mut self, number: u32, ledger: LedgerSums, spend: SpendSums) {
        let campaign = &mut self.campaigns[number];
        let (former_ledger, former_spend) = campaign.before.halves();
        campaign.book_before(ledger - former_ledger, None);
        campaign.book_before(spend - former_spend, None);
    }

    /// Takes the fact of a day's settled amounts; `None` when it was deleted.
    pub(super) fn fold_settled(&mut self, number: u32, day: Date, fact: Option<SettledFact>) {
        let campaign = &mut self.campaigns[number];
        let carried = campaign.carried.get_or_insert_default();
        let settled = fact.map(|SettledFact { media, all }| Settled { media, all });
        let former = match settled {
            Some(settled) => carried.days.insert(day, settled),
            None => carried.days.remove(&day),
        };
        campaign.book_day(day, settled.unwrap_or_default().sums() - former.unwrap_or_default().sums());
    }

    /// Takes the fact of what settled events say.
    pub(super) fn fold_carried(&mut self, number: u32, fact: CarriedFact<'_>) {
        let labels = fact.labels.map(|label| label.map(|(at, text)| (at, self.spend.names.number(text))));
        let campaign = &mut self.campaigns[number];
        let carried = campaign.carried.get_or_insert_default();
        campaign.spend_events = campaign.spend_events + fact.events - carried.events;
        carried.events = fact.events;
        carried.naming = Naming::new(labels, fact.through);
        campaign.naming.stale = true;
    }
}
