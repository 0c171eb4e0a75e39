//! One campaign: its totals by hour, day and window, and what its spend events say it is called.

use super::buckets::Buckets;
use super::calendar::{Calendar, Reach};
use super::compacted::{Compacted, DueAmounts};
use super::naming::Naming;
use super::totals::{Part, Totals};
use crate::engine::ledger::LedgerSums;
use crate::engine::moments::Indexed;
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
    pub before: Totals,
    pub days: Buckets<Date>,
    /// Recent hours. Their ledger halves are exactly the hour facts that the changelog holds, or will with the next
    /// flush; so hours that have become old stay until they are rolled up into their day.
    pub hours: Buckets<Millis>,
    /// In the order of the configured windows; right for the hour `summed_for`, and empty before the first.
    windows: Box<[WindowSums]>,
    summed_for: Option<(Millis, Date)>,
    pub naming: Naming,
    /// Numbers of its report series and of its amounts, but for those that are due to be compacted.
    pub series: Vec<u32>,
    pub amounts: Vec<u32>,
    pub due: DueAmounts,
    /// No amount is of an earlier day, but for those that are due.
    pub oldest_amount: Option<Date>,
    /// No report is of an earlier day.
    pub oldest_report: Option<Date>,
    /// What compacted spend events say; none while there are none.
    pub compacted: Option<Box<Compacted>>,
    /// Spend events that are current or compacted.
    pub spend_events: u64,
    /// Changed since the last flush.
    pub touched: bool,
    /// Whether the sizes count it.
    pub counted: bool,
    /// Digest of the figures that were written last; `None` when that is not known.
    pub written: Option<u64>,
    /// Its memory as the sizes count it, and its open buckets.
    pub counted_bytes: usize,
    pub counted_open: usize,
    /// When time changes it next.
    pub indexed: Indexed,
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
            before: Totals::default(),
            days: Buckets::default(),
            hours: Buckets::default(),
            windows: Box::default(),
            summed_for: None,
            naming: Naming::default(),
            series: Vec::new(),
            amounts: Vec::new(),
            due: DueAmounts::default(),
            oldest_amount: None,
            oldest_report: None,
            compacted: None,
            spend_events: 0,
            touched: false,
            counted: false,
            written: None,
            counted_bytes: 0,
            counted_open: 0,
            indexed: Indexed::NOT,
        }
    }

    /// The numbers of all its amounts.
    pub fn all_amounts(&self) -> impl Iterator<Item = u32> {
        self.amounts.iter().copied().chain(self.due.numbers())
    }

    /// The earliest day of which it has a bucket, compacted amounts or a report, or an earlier one.
    pub fn oldest_day(&self) -> Option<Date> {
        let compacted = self.compacted.as_ref().and_then(|compacted| compacted.days.keys().next().copied());
        [self.days.first(), compacted, self.oldest_report].into_iter().flatten().min()
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
                self.hours.add(hour, part);
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
        self.days.add(day, whole);
    }

    /// Adds to what is of the lifetime alone. Customers that were acquired then have matured.
    pub fn book_before<P: Part>(&mut self, part: P, calendar: Option<&Calendar>) {
        *P::half(&mut self.lifetime) += part;
        *P::half(&mut self.before) += part;
        let Some(calendar) = calendar.filter(|calendar| self.summed_for.is_some_and(|(_, day)| day == calendar.day))
        else {
            return;
        };
        let lifetimes = self.windows.iter_mut().zip(&calendar.spans).filter(|(_, span)| span.reach == Reach::Lifetime);
        lifetimes.for_each(|(window, _)| window.mature_customers += part.new_customers());
    }

    /// The hours of a day that are kept individually. An hour is of the day that its start is in; where clocks change at
    /// midnight that may lie a little outside of what the day spans.
    pub fn hours_of<'a>(&'a self, day: Date, zone: &'a Zone) -> impl Iterator<Item = (Millis, Totals)> {
        let (from, to) =
            (zone.start_of(day).plus(-3 * Millis::HOUR), zone.start_of(day.plus(1)).plus(3 * Millis::HOUR));
        self.hours.range(from..to.max(from)).filter(move |(hour, _)| zone.date(*hour) == day)
    }

    /// What a day has of the ledger beside its hours that are kept individually.
    pub fn ledger_of_day(&self, day: Date, zone: &Zone) -> LedgerSums {
        let whole = self.days.ledger(day).unwrap_or_default();
        self.hours_of(day, zone).fold(whole, |sums, (_, hour)| sums - hour.ledger)
    }

    /// Forgets the running sums, what was written and when time changes it: all may have changed elsewhere.
    pub fn forget(&mut self) {
        self.indexed = Indexed::NOT;
        self.summed_for = None;
        self.written = None;
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
                for (hour, totals) in self.hours.range(from..to) {
                    sums.totals += totals;
                    let new_customers = totals.ledger.new_customers;
                    if new_customers != 0 {
                        sums.mature_customers += mature(new_customers, calendar.zone.date(hour), calendar);
                    }
                }
            }
            Reach::Days { first, last } => {
                for (day, totals) in self.days.range(first..=last) {
                    sums.totals += totals;
                    sums.mature_customers += mature(totals.ledger.new_customers, day, calendar);
                }
            }
            Reach::Lifetime => {
                let mature_days = self.days.range(..=calendar.mature_day);
                sums.mature_customers = mature_days.map(|(_, totals)| totals.ledger.new_customers).sum();
                sums.mature_customers += self.before.ledger.new_customers;
            }
        }
        sums
    }

    /// How many of its buckets are open.
    pub fn open(&self) -> usize {
        self.days.open() + self.hours.open()
    }

    /// Packs what is at rest.
    pub fn pack(&mut self, buffer: &mut Vec<u8>) {
        self.days.pack(buffer);
        self.hours.pack(buffer);
    }

    /// Estimate of the memory of its buckets and lists.
    pub fn bytes(&self) -> usize {
        self.days.bytes()
            + self.hours.bytes()
            + self.compacted.as_ref().map_or(0, |compacted| compacted.bytes())
            + self.windows.len() * size_of::<WindowSums>()
            + (self.series.capacity() + self.amounts.capacity()) * size_of::<u32>()
            + self.due.bytes()
    }
}

fn mature(new_customers: i64, day: Date, calendar: &Calendar) -> i64 {
    if day <= calendar.mature_day { new_customers } else { 0 }
}
