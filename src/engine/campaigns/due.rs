//! When time alone changes a campaign next.
//!
//! - An hour or a day enters a window, or leaves it.
//! - A customer has had time to buy again: `verdict.maturity_days` after the day of the acquisition.
//! - Spend becomes late within an hour, to the millisecond.
//! - Hours, amounts and days get to an age at which they are compacted.
//!
//! The moment that is found may be early, for it is looked for with as little work as can be, and is never late: a look that
//! comes too early finds nothing to write, and looks for the next.

use super::calendar::{Calendar, Reach, Span};
use super::campaign::Campaign;
use super::figures;
use super::horizons::Horizons;
use crate::domain::verdict::{late_from, latest_not_late};
use crate::settings::Settings;
use crate::time::{Date, Millis};

/// A moment that has come, whatever it is.
pub const NOW: Millis = Millis::MIN;

/// What decides when something is due, beside the campaign.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    pub as_of: Millis,
    /// Of the hour of `as_of`.
    pub calendar: &'a Calendar,
    pub horizons: &'a Horizons,
    pub settings: &'a Settings,
}

impl Present<'_> {
    /// The next moment at which time changes the record of a campaign that is as it should be now, or at which something of it
    /// is compacted. [`NOW`] when that is due.
    pub fn next(&self, campaign: &Campaign) -> Option<Millis> {
        if self.is_to_be_compacted(campaign) {
            return Some(NOW);
        }
        let mut next = Earliest::default();
        for (index, span) in self.calendar.spans.iter().enumerate() {
            if let Reach::Hours { from, to } = span.reach {
                next.moment(self.hours(campaign, span, from, to));
            }
            next.moment(self.late(campaign, index, span));
        }
        // As it is of a busy campaign. All else changes with the day.
        if next.moment.is_some_and(|moment| moment <= self.calendar.next_hour()) {
            return self.still_ahead(next.moment);
        }
        for span in &self.calendar.spans {
            if let Reach::Days { first, last } = span.reach {
                next.day(days(campaign, first, last));
            }
        }
        next.day(self.maturity(campaign, next.day));
        next.moment(self.compaction(campaign));
        self.still_ahead(next.of(self.calendar))
    }

    /// At the end of time no hour follows.
    fn still_ahead(&self, next: Option<Millis>) -> Option<Millis> {
        next.filter(|next| *next > self.as_of)
    }

    /// When a window of hours changes.
    fn hours(&self, campaign: &Campaign, span: &Span, from: Millis, to: Millis) -> Option<Millis> {
        let next_hour = self.calendar.next_hour();
        if !campaign.hours.keys(to..).is_empty() {
            // It is of the hours to come.
            return Some(next_hour);
        }
        let oldest = *campaign.hours.keys(from..to).first()?;
        if span.is_bent {
            return Some(next_hour);
        }
        // An hour early, for clocks may change by less than that until then.
        Some(oldest.plus(to.0 - from.0 - Millis::HOUR).max(next_hour))
    }

    /// When spend becomes late in a window. It stays late until other spend is booked.
    fn late(&self, campaign: &Campaign, index: usize, span: &Span) -> Option<Millis> {
        let (through, (from, to)) = (campaign.naming.through()?, span.bounds?);
        let rules = &self.settings.verdict;
        // Where nothing is invested, nothing is waited for. What is not summed may have anything.
        let window = campaign.windows().get(index).filter(|_| campaign.is_summed_for(self.calendar));
        if window.is_some_and(|window| !figures::is_judged(&window.totals)) {
            return None;
        }
        let ends = match span.reach {
            Reach::Hours { .. } => self.calendar.next_hour(),
            // What is in the window of a day leaves it with the day.
            Reach::Days { .. } | Reach::Lifetime => self.calendar.next_day_at,
        };
        match late_from(from, to, through, rules) {
            Some(late) if late <= self.as_of => None,
            Some(late) if late < ends => Some(late),
            // The window's start moves on with the hour, and its spend is late the sooner. Bent windows are looked at anyway.
            _ if matches!(span.reach, Reach::Hours { .. }) => {
                let least_elapsed = to.0 - from.0 - Millis::HOUR;
                (to.0 - from.0 <= Millis::DAY).then(|| latest_not_late(through, least_elapsed, rules).max(ends))
            }
            _ => None,
        }
    }

    /// The day on which the first of the customers matures who have not, but none after `until`.
    fn maturity(&self, campaign: &Campaign, until: Option<Date>) -> Option<Date> {
        let after = self.settings.verdict.maturity_days;
        let first = self.calendar.mature_day.plus(1);
        let last = until.map_or(Date(i32::MAX), |until| until.plus(after.saturating_neg()));
        let mut acquired = campaign.days.range(first..=last.max(first));
        acquired.find(|(_, totals)| totals.ledger.new_customers != 0).map(|(day, _)| day.plus(after))
    }

    /// Whether something is to be compacted or rolled up.
    fn is_to_be_compacted(&self, campaign: &Campaign) -> bool {
        let is_old = |hour: Millis| hour < self.calendar.recent_from;
        !campaign.due.is_empty()
            || campaign.hours.first().is_some_and(is_old)
            || self.horizons.are_after(campaign.oldest_amount, campaign.oldest_day())
    }

    /// When something is compacted or rolled up that is not yet to be.
    fn compaction(&self, campaign: &Campaign) -> Option<Millis> {
        let Present { as_of, calendar, horizons, settings } = *self;
        let rolled_up = campaign.hours.first().map(|hour| {
            let kept = i32::try_from(settings.hours_days()).unwrap_or(i32::MAX).saturating_add(2);
            calendar.start_of(calendar.zone.date(hour).plus(kept))
        });
        let oldest = (campaign.oldest_amount, campaign.oldest_day());
        let next = rolled_up.into_iter().chain(horizons.next(oldest, as_of, calendar, settings)).min()?;
        // The clock has come so far and is not trusted: one looks again from time to time.
        Some(if next <= as_of { calendar.next_hour() } else { next })
    }
}

/// The day on which a window of days changes.
fn days(campaign: &Campaign, first: Date, last: Date) -> Option<Date> {
    let leaves = |day: Date| Date(day.0.saturating_add(last.0.saturating_sub(first.0)).saturating_add(1));
    let oldest = campaign.days.keys(first..=last).first().copied().map(leaves);
    let ahead = campaign.days.keys(last.plus(1)..).first().copied();
    oldest.into_iter().chain(ahead).min()
}

/// The earliest of moments and of days.
#[derive(Default)]
struct Earliest {
    moment: Option<Millis>,
    day: Option<Date>,
}

impl Earliest {
    fn moment(&mut self, moment: Option<Millis>) {
        self.moment = self.moment.into_iter().chain(moment).min();
    }

    fn day(&mut self, day: Option<Date>) {
        self.day = self.day.into_iter().chain(day).min();
    }

    /// It is looked for where a day begins only once.
    fn of(self, calendar: &Calendar) -> Option<Millis> {
        let day = self.day.map(|day| calendar.start_of(day).max(calendar.next_day_at));
        self.moment.into_iter().chain(day).min()
    }
}
