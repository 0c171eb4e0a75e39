//! Which hours and days the windows hold at a moment, and which hours are still kept individually. It changes with the hour.

use crate::settings::{Settings, WindowSpan};
use crate::time::{Date, Millis, Zone};

/// One hour's view of time.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub zone: Zone,
    /// Start of the hour that `as_of` is in.
    pub hour: Millis,
    /// The local date that `as_of` is in.
    pub day: Date,
    /// The local date as of which history is compacted: `day`, unless the clock is not trusted.
    pub compacted_day: Date,
    /// When the next day begins.
    pub next_day_at: Millis,
    /// Older days are kept whole; this one and later ones by the hour.
    pub recent_day: Date,
    /// When `recent_day` begins.
    pub recent_from: Millis,
    /// Customers acquired on this day or before have had time to buy again.
    pub mature_day: Date,
    /// In the order of the configured windows.
    pub spans: Vec<Span>,
}

/// What one window holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub reach: Reach,
    /// `[from, to)`; `None` for the lifetime.
    pub bounds: Option<(Millis, Millis)>,
    /// The same as it is written out: it is alike in all records of an hour.
    pub texts: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// Hours that start in `[from, to)`.
    Hours {
        from: Millis,
        to: Millis,
    },
    /// Days, both included.
    Days {
        first: Date,
        last: Date,
    },
    Lifetime,
}

impl Reach {
    /// Whether a window made of days holds `day`; none of hours does.
    pub fn holds_day(&self, day: Date) -> bool {
        matches!(*self, Reach::Days { first, last } if first <= day && day <= last)
    }

    /// Whether a window made of hours holds `hour`; none of days does.
    pub fn holds_hour(&self, hour: Millis) -> bool {
        matches!(*self, Reach::Hours { from, to } if from <= hour && hour < to)
    }
}

impl Calendar {
    /// As of this moment; history is compacted as of `compacted`.
    pub fn new(as_of: Millis, compacted: Millis, settings: &Settings) -> Calendar {
        let zone = &settings.zone;
        let (hour, day) = (zone.hour_start(as_of), zone.date(as_of));
        // One more day than the hours span, for the hours that clocks take away.
        let days_kept = i32::try_from(settings.hours_days().saturating_add(1)).unwrap_or(i32::MAX);
        let compacted_day = zone.date(compacted);
        let recent_day = compacted_day.plus(-days_kept);
        Calendar {
            zone: zone.clone(),
            hour,
            day,
            compacted_day,
            next_day_at: zone.start_of(day.plus(1)),
            recent_day,
            recent_from: zone.start_of(recent_day),
            mature_day: day.plus(settings.verdict.maturity_days.saturating_neg()),
            spans: settings.windows.iter().map(|window| Span::new(window.span, hour, day, zone)).collect(),
        }
    }

    /// Whether `day` is kept by the hour.
    pub fn is_recent(&self, day: Date) -> bool {
        day >= self.recent_day
    }

    /// When the next hour begins.
    pub fn next_hour(&self) -> Millis {
        self.hour.plus(Millis::HOUR)
    }

    /// When `day` begins.
    pub fn start_of(&self, day: Date) -> Millis {
        if day == self.day.plus(1) { self.next_day_at } else { self.zone.start_of(day) }
    }
}

impl Span {
    fn new(span: WindowSpan, hour: Millis, day: Date, zone: &Zone) -> Span {
        let (reach, bounds) = match span {
            WindowSpan::Hours(hours) => {
                let to = hour.plus(Millis::HOUR);
                // Clocks may have changed by less than an hour since: what is booked by the hour is not cut in two.
                let from = zone.hour_start(to.plus(-i64::from(hours) * Millis::HOUR));
                (Reach::Hours { from, to }, Some((from, to)))
            }
            WindowSpan::Days(days) => {
                let first = day.plus(1).plus(i32::try_from(days).map_or(i32::MIN, |days| -days));
                (Reach::Days { first, last: day }, Some((zone.start_of(first), zone.start_of(day.plus(1)))))
            }
            WindowSpan::Lifetime => (Reach::Lifetime, None),
        };
        let texts = bounds.map(|(from, to)| (from.to_string(), to.to_string()));
        Span { reach, bounds, texts }
    }
}
