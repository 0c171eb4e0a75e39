//! When time alone changes a campaign next.
//!
//! - With an hour, windows of hours move on, with a day those of days: `from` and `to` of every record are of now.
//! - A customer has had time to buy again: `verdict.maturity_days` after the day of the acquisition.
//! - Spend becomes late within an hour, to the millisecond.
//! - Hours, amounts and days get to an age at which they are compacted.
//!
//! The moment that is found may be early, and is never late: a look that comes too early finds nothing to write, and looks
//! for the next.

use super::calendar::{Calendar, Reach, Span};
use super::campaign::Campaign;
use super::figures;
use super::horizons::Horizons;
use crate::domain::verdict::late_from;
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
        let spans = self.calendar.spans.iter().filter(|_| campaign.exists());
        let moves_on = spans.clone().filter_map(|span| self.moves_on(span)).min();
        let late = spans.enumerate().filter_map(|(index, span)| self.late(campaign, index, span)).min();
        let next = moves_on.into_iter().chain(late).min();
        // As it is with a window of hours: all else changes with the day.
        if next.is_some_and(|moment| moment <= self.calendar.next_hour()) {
            return self.still_ahead(next);
        }
        let rest = [self.maturity(campaign, next), self.compaction(campaign)];
        self.still_ahead(next.into_iter().chain(rest.into_iter().flatten()).min())
    }

    /// At the end of time no hour follows.
    fn still_ahead(&self, next: Option<Millis>) -> Option<Millis> {
        next.filter(|next| *next > self.as_of)
    }

    /// When a window has other bounds.
    fn moves_on(&self, span: &Span) -> Option<Millis> {
        match span.reach {
            Reach::Hours { .. } => Some(self.calendar.next_hour()),
            Reach::Days { .. } => Some(self.calendar.next_day_at),
            Reach::Lifetime => None,
        }
    }

    /// When spend becomes late in a window, before it moves on. It stays late until other spend is booked.
    fn late(&self, campaign: &Campaign, index: usize, span: &Span) -> Option<Millis> {
        let (through, (from, to), moves_on) = (campaign.naming.through()?, span.bounds?, self.moves_on(span)?);
        // Where nothing is invested, nothing is waited for. What is not summed may have anything.
        let window = campaign.windows().get(index).filter(|_| campaign.is_summed_for(self.calendar));
        if window.is_some_and(|window| !figures::is_judged(&window.totals)) {
            return None;
        }
        late_from(from, to, through, &self.settings.verdict).filter(|late| *late > self.as_of && *late < moves_on)
    }

    /// When the first of the customers matures who have not, unless that is after `until`.
    fn maturity(&self, campaign: &Campaign, until: Option<Millis>) -> Option<Millis> {
        let after = self.settings.verdict.maturity_days;
        let first = self.calendar.mature_day.plus(1);
        let last = until.map_or(Date(i32::MAX), |until| self.calendar.zone.date(until).plus(after.saturating_neg()));
        let mut acquired = campaign.days.range(first..=last.max(first));
        let (day, _) = acquired.find(|(_, totals)| totals.ledger.new_customers != 0)?;
        Some(self.calendar.start_of(day.plus(after)).max(self.calendar.next_day_at))
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
