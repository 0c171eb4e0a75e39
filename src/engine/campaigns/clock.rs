//! The present of a partition, and when time alone changes which campaign next.

use super::book::Book;
use super::calendar::Calendar;
use crate::engine::moments::{Moments, Taken};
use crate::settings::Settings;
use crate::time::Millis;

/// The present, and what it changes.
#[derive(Debug, Default)]
pub struct Clock {
    /// The greatest that was given; none before the first flush or roll.
    as_of: Option<Millis>,
    /// As of when history is compacted at the latest.
    trusted: Option<Millis>,
    /// Of the hour of `as_of`.
    calendar: Option<Calendar>,
    moments: Moments,
}

impl Clock {
    /// The moment that figures are for now, where `as_of` is given.
    pub fn moment(&self, as_of: Millis) -> Millis {
        self.as_of.map_or(as_of, |known| known.max(as_of))
    }

    /// The greatest moment that was given.
    pub fn as_of(&self) -> Option<Millis> {
        self.as_of
    }

    /// History is compacted as of this moment at the latest.
    pub fn trust(&mut self, moment: Millis) {
        self.trusted = Some(moment);
    }

    /// The calendar of a moment.
    pub fn calendar_of(&self, as_of: Millis, settings: &Settings) -> Calendar {
        Calendar::new(as_of, self.compacted(as_of), settings)
    }

    /// As of when history is compacted at this moment.
    fn compacted(&self, as_of: Millis) -> Millis {
        self.trusted.map_or(as_of, |trusted| trusted.min(as_of))
    }

    /// None before the first flush or roll.
    pub fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// Goes on to the greatest `as_of` so far, and returns it with its calendar.
    pub fn advance(&mut self, as_of: Millis, book: &mut Book, settings: &Settings) -> (Millis, &Calendar) {
        let as_of = self.moment(as_of);
        self.as_of = Some(as_of);
        let hour = settings.zone.hour_start(as_of);
        let compacted_day = settings.zone.date(self.compacted(as_of));
        let is_first = self.calendar.is_none();
        let calendar = match self.calendar.take() {
            Some(calendar) if calendar.hour == hour && calendar.compacted_day == compacted_day => calendar,
            _ => self.calendar_of(as_of, settings),
        };
        if is_first {
            book.open(&calendar);
        }
        (as_of, self.calendar.insert(calendar))
    }

    /// Forgets all that was noted.
    pub fn forget(&mut self) {
        self.moments = Moments::default();
    }

    /// Notes when a campaign is to be looked at next.
    pub fn note(&mut self, number: u32, next: Option<Millis>, book: &mut Book) {
        self.moments.note(number, &mut book.campaigns[number].indexed, next);
    }

    /// The first moment that was noted, or at which the calendar's day is over.
    pub fn first(&self) -> Option<Millis> {
        let next_day =
            self.calendar.as_ref().map(|calendar| calendar.next_day_at).filter(|day| Some(*day) > self.as_of);
        self.moments.first().into_iter().chain(next_day).min()
    }

    /// The next campaign whose moment has come. It is to be noted again.
    pub fn take(&mut self, as_of: Millis, book: &mut Book) -> Taken {
        self.moments.take(as_of, |number| &mut book.campaigns[number].indexed)
    }

    /// Whether a moment has come that was noted.
    pub fn is_due(&self, as_of: Millis) -> bool {
        self.moments.first().is_some_and(|first| first <= as_of)
    }

    /// Estimate of the bytes held.
    pub fn bytes(&self) -> usize {
        self.moments.bytes()
    }
}
