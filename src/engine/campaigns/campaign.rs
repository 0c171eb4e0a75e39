//! One campaign: its totals by hour, day and window, and what its spend events say it is called.

use std::collections::BTreeMap;

use super::calendar::{Calendar, Reach};
use super::naming::Naming;
use super::settling::{Carried, Due};
use super::totals::{Bucket, Part, Totals};
use crate::engine::ledger::LedgerSums;
use crate::engine::table::{Id, Identity};
use crate::time::{Date, Millis, Zone};

/// Running sums of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowSums {
    /// Left at zero for the lifetime, whose totals are the campaign's.
    pub totals: Totals,
    /// The new customers of the window who were acquired on [`Calendar::mature_day`] or before.
    pub mature_customers: i64,
}

#[derive(Clone, Debug)]
pub struct Campaign {
    id: Id,
    pub lifetime: Totals,
    /// What is of the lifetime alone: its days are not kept.
    pub before: Bucket,
    pub days: BTreeMap<Date, Bucket>,
    /// Recent hours. Their ledger halves are exactly the hour facts that the changelog holds, or will with the next
    /// flush; so hours that have become old stay until their facts are joined into that of their day.
    pub hours: BTreeMap<Millis, Bucket>,
    /// In the order of the configured windows; right for the hour `summed_for`, and empty before the first.
    windows: Box<[WindowSums]>,
    summed_for: Option<(Millis, Date)>,
    pub naming: Naming,
    /// Numbers of its report series and of its amounts, but for those that are due.
    pub series: Vec<u32>,
    pub amounts: Vec<u32>,
    pub due: Due,
    /// What settled spend events say; none while there are none.
    pub carried: Option<Box<Carried>>,
    /// The horizons (of amounts, of days) before which all is settled, as far as is known.
    pub settled_to: Option<(Date, Date)>,
    /// Spend events that are current or settled.
    pub spend_events: u64,
    /// Changed since the last flush.
    pub touched: bool,
    /// Whether the sizes count it.
    pub counted: bool,
    /// Digest of the figures that were written last; `None` when that is not known.
    pub written: Option<u64>,
    /// Its memory as the sizes count it.
    pub counted_bytes: usize,
}

impl Identity for Campaign {
    fn owner(&self) -> u32 {
        0
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

impl Campaign {
    pub fn new(id: &str) -> Campaign {
        Campaign {
            id: id.into(),
            lifetime: Totals::default(),
            before: Bucket::default(),
            days: BTreeMap::new(),
            hours: BTreeMap::new(),
            windows: Box::default(),
            summed_for: None,
            naming: Naming::default(),
            series: Vec::new(),
            amounts: Vec::new(),
            due: Due::default(),
            carried: None,
            settled_to: None,
            spend_events: 0,
            touched: false,
            counted: false,
            written: None,
            counted_bytes: 0,
        }
    }

    /// The numbers of all its amounts.
    pub fn all_amounts(&self) -> impl Iterator<Item = u32> {
        self.amounts.iter().copied().chain(self.due.amounts())
    }

    /// Whether it has a record: a spend event, a share of an order or an acquired customer.
    pub fn exists(&self) -> bool {
        self.spend_events > 0 || self.lifetime.ledger.shares != 0 || self.lifetime.ledger.new_customers != 0
    }

    /// Adds what belongs to the hours of one day to everything that holds them: the lifetime, the day, the windows that
    /// are summed for this hour, and, if `by_hour`, the hours.
    pub fn book<P: Part>(
        &mut self,
        day: Date,
        hours: impl Iterator<Item = (Millis, P)>,
        by_hour: bool,
        calendar: Option<&Calendar>,
    ) {
        // Windows of days stay as they are within a day; those of hours are summed anew when the hour has changed.
        let calendar = calendar.filter(|calendar| self.summed_for.is_some_and(|(_, day)| day == calendar.day));
        let hour_is_current = calendar.is_some_and(|calendar| self.is_summed_for(calendar));
        let mut whole = P::default();
        for (hour, part) in hours {
            whole += part;
            if by_hour {
                add_to_bucket(&mut self.hours, hour, part);
            }
            let Some(calendar) = calendar.filter(|_| hour_is_current) else { continue };
            for (window, span) in self.windows.iter_mut().zip(&calendar.spans) {
                if span.reach.holds_hour(hour) {
                    *P::half(&mut window.totals) += part;
                    window.mature_customers += mature(part.new_customers(), day, calendar);
                }
            }
        }
        if let Some(calendar) = calendar {
            for (window, span) in self.windows.iter_mut().zip(&calendar.spans) {
                if span.reach.holds_day(day) {
                    *P::half(&mut window.totals) += whole;
                }
                if span.reach.holds_day(day) || span.reach == Reach::Lifetime {
                    window.mature_customers += mature(whole.new_customers(), day, calendar);
                }
            }
        }
        self.book_day(day, whole);
    }

    /// Adds to the lifetime and to a day as a whole, past the windows: these must be summed again.
    pub fn book_day<P: Part>(&mut self, day: Date, whole: P) {
        *P::half(&mut self.lifetime) += whole;
        add_to_bucket(&mut self.days, day, whole);
    }

    /// Adds to what is of the lifetime alone. Customers that were acquired then have matured.
    pub fn book_before<P: Part>(&mut self, part: P, calendar: Option<&Calendar>) {
        *P::half(&mut self.lifetime) += part;
        part.add_to(&mut self.before);
        let Some(calendar) = calendar.filter(|calendar| self.summed_for.is_some_and(|(_, day)| day == calendar.day))
        else {
            return;
        };
        let lifetimes = self.windows.iter_mut().zip(&calendar.spans).filter(|(_, span)| span.reach == Reach::Lifetime);
        lifetimes.for_each(|(window, _)| window.mature_customers += part.new_customers());
    }

    /// Adds to an hour alone: what the day has already.
    pub fn book_hour<P: Part>(&mut self, hour: Millis, part: P) {
        add_to_bucket(&mut self.hours, hour, part);
    }

    /// The hours of a day that are kept individually. An hour is of the day that its start is in; where clocks change at
    /// midnight that may lie a little outside of what the day spans.
    pub fn hours_of<'a>(&'a self, day: Date, zone: &'a Zone) -> impl Iterator<Item = (Millis, &'a Bucket)> {
        let (from, to) =
            (zone.start_of(day).plus(-3 * Millis::HOUR), zone.start_of(day.plus(1)).plus(3 * Millis::HOUR));
        let around = self.hours.range(from..to.max(from)).map(|(hour, bucket)| (*hour, bucket));
        around.filter(move |(hour, _)| zone.date(*hour) == day)
    }

    /// What a day has of the ledger beside its hours that are kept individually.
    pub fn ledger_of_day(&self, day: Date, zone: &Zone) -> LedgerSums {
        let of = |bucket: &Bucket| bucket.ledger.as_deref().copied().unwrap_or_default();
        let whole = self.days.get(&day).map(of).unwrap_or_default();
        self.hours_of(day, zone).fold(whole, |sums, (_, bucket)| sums - of(bucket))
    }

    /// Forgets the running sums, what was written and what is settled: all may have changed elsewhere.
    pub fn forget(&mut self) {
        self.summed_for = None;
        self.written = None;
        self.settled_to = None;
    }

    pub fn is_summed_for(&self, calendar: &Calendar) -> bool {
        self.summed_for.is_some_and(|(hour, _)| hour == calendar.hour)
    }

    /// The sums of each window; right only after [`Campaign::sum_windows`] for the same hour.
    pub fn windows(&self) -> &[WindowSums] {
        &self.windows
    }

    /// Sums the windows that have moved.
    pub fn sum_windows(&mut self, calendar: &Calendar) {
        if self.is_summed_for(calendar) {
            return;
        }
        let same_day = self.summed_for.is_some_and(|(_, day)| day == calendar.day);
        let mut windows = std::mem::take(&mut self.windows);
        if windows.len() != calendar.spans.len() {
            windows = vec![WindowSums::default(); calendar.spans.len()].into();
        }
        for (window, span) in windows.iter_mut().zip(&calendar.spans) {
            if !same_day || matches!(span.reach, Reach::Hours { .. }) {
                *window = self.sum(span.reach, calendar);
            }
        }
        self.windows = windows;
        self.summed_for = Some((calendar.hour, calendar.day));
    }

    /// What [`Campaign::sum_windows`] would find, without keeping it.
    pub fn summed(&self, calendar: &Calendar) -> Vec<WindowSums> {
        calendar.spans.iter().map(|span| self.sum(span.reach, calendar)).collect()
    }

    fn sum(&self, reach: Reach, calendar: &Calendar) -> WindowSums {
        let mut sums = WindowSums::default();
        match reach {
            Reach::Hours { from, to } => {
                for (hour, bucket) in self.hours.range(from..to) {
                    bucket.add_to(&mut sums.totals);
                    if bucket.new_customers() != 0 {
                        let day = calendar.zone.date(*hour);
                        sums.mature_customers += mature(bucket.new_customers(), day, calendar);
                    }
                }
            }
            Reach::Days { first, last } => {
                for (day, bucket) in self.days.range(first..=last) {
                    bucket.add_to(&mut sums.totals);
                    sums.mature_customers += mature(bucket.new_customers(), *day, calendar);
                }
            }
            Reach::Lifetime => {
                let mature_days = self.days.range(..=calendar.mature_day);
                sums.mature_customers = mature_days.map(|(_, bucket)| bucket.new_customers()).sum();
                sums.mature_customers += self.before.new_customers();
            }
        }
        sums
    }

    /// Estimate of the memory of its buckets and lists.
    pub fn bytes(&self) -> usize {
        // A node of the tree is two thirds full on the average; a bucket has one half more often than both.
        let bucket = (size_of::<Bucket>() + size_of::<Millis>()) * 3 / 2 + size_of::<Totals>() * 3 / 4;
        // A date and two sums.
        let settled = self.carried.as_ref().map_or(0, |carried| size_of::<Carried>() + carried.days.len() * 64);
        (self.days.len() + self.hours.len()) * bucket
            + settled
            + self.windows.len() * size_of::<WindowSums>()
            + (self.series.capacity() + self.amounts.capacity()) * size_of::<u32>()
            + self.due.bytes()
    }
}

fn mature(new_customers: i64, day: Date, calendar: &Calendar) -> i64 {
    if day <= calendar.mature_day { new_customers } else { 0 }
}

fn add_to_bucket<K: Ord + Copy, P: Part>(buckets: &mut BTreeMap<K, Bucket>, key: K, part: P) {
    if part == P::default() {
        return;
    }
    let bucket = buckets.entry(key).or_default();
    part.add_to(bucket);
    if bucket.is_empty() {
        buckets.remove(&key);
    }
}
