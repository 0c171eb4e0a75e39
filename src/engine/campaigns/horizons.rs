//! Up to which day a partition has compacted its history. Data only.
//!
//! The horizons are a fact, follow `as_of` and never go back, and by them alone it is decided whether an event is too late.

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use crate::engine::horizon::Grace;
use crate::settings::{Retention, Settings};
use crate::time::{Date, Millis};

/// Before which days a partition keeps less.
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

/// How many days after it something is compacted; none: never. Hours of days that are kept by the hour are made of amounts
/// and reports, so these are kept for as long.
#[derive(Clone, Copy, Debug)]
struct Kept {
    amounts: Option<i32>,
    days: Option<i32>,
}

impl Kept {
    fn of(settings: &Settings) -> Kept {
        let Retention { days, spend_days, .. } = settings.retention;
        let by_the_hour = settings.hours_days().saturating_add(1);
        let kept = |days: u32| i32::try_from(days.max(by_the_hour)).ok();
        Kept { amounts: kept(spend_days.min(days)), days: kept(days) }
    }
}

impl Horizons {
    /// As they are at the moment `as_of`, of the calendar; `last` is the moment before it.
    pub fn moved(mut self, last: Option<Millis>, as_of: Millis, calendar: &Calendar, settings: &Settings) -> Horizons {
        if self.grace.is_over(last, as_of) {
            let kept = Kept::of(settings);
            let back = |days: Option<i32>| days.map_or(Date::MIN, |days| calendar.compacted_day.plus(-days));
            self.days = self.days.max(back(kept.days));
            self.amounts = self.amounts.max(back(kept.amounts)).max(self.days);
        }
        self
    }

    /// Whether something is to be compacted whose oldest amount, and oldest day or report, are of these days.
    pub fn are_after(&self, amount: Option<Date>, day: Option<Date>) -> bool {
        let is_before = |date: Option<Date>, horizon: Date| date.is_some_and(|date| date < horizon);
        is_before(amount, self.amounts) || is_before(day, self.days)
    }

    /// When that is to be compacted, if it is not yet, as far as it goes by `as_of`.
    pub fn next(
        &self,
        (amount, day): (Option<Date>, Option<Date>),
        as_of: Millis,
        calendar: &Calendar,
        settings: &Settings,
    ) -> Option<Millis> {
        let kept = Kept::of(settings);
        let after = |date: Option<Date>, kept: Option<i32>| Some(date?.plus(kept?.saturating_add(1)));
        let day = after(amount, kept.amounts).into_iter().chain(after(day, kept.days)).min()?;
        // What a grace puts off is looked at when it is over.
        Some(calendar.start_of(day).max(self.grace.end(as_of)))
    }
}
