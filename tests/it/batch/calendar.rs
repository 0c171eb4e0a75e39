//! Hours, days and months of the reporting time zone. Moments are milliseconds since the Unix epoch.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde_json::Value;

pub const HOUR: i64 = 3_600_000;

pub struct Calendar(TimeZone);

impl Calendar {
    pub fn of(zone: &str) -> Calendar {
        Calendar(TimeZone::get(zone).expect("a time zone's name"))
    }

    fn local(&self, at: i64) -> Zoned {
        Timestamp::from_millisecond(at).expect("a moment in range").to_zoned(self.0.clone())
    }

    pub fn date(&self, at: i64) -> Date {
        self.local(at).date()
    }

    pub fn month(&self, at: i64) -> String {
        self.local(at).strftime("%Y-%m").to_string()
    }

    /// The first moment of the date that is `days` after `date`.
    pub fn start_of(&self, date: Date, days: i64) -> i64 {
        let date = date.checked_add(days.days()).expect("a date in range");
        date.to_zoned(self.0.clone()).expect("a day in range").timestamp().as_millisecond()
    }

    pub fn start_of_hour(&self, at: i64) -> i64 {
        let local = self.local(at);
        at - (i64::from(local.minute()) * 60 + i64::from(local.second())) * 1_000 - i64::from(local.millisecond())
    }

    /// A moment rounded up to the hour.
    pub fn end_of_hour(&self, at: i64) -> i64 {
        let start = self.start_of_hour(at);
        if start < at { start + HOUR } else { at }
    }

    /// The window `name` (`24h`, `7d`, `lifetime`) as of a moment: from its first moment to before its last, or all time.
    pub fn window(&self, name: &str, as_of: i64) -> Option<(i64, i64)> {
        if name == "lifetime" {
            return None;
        }
        let (number, unit) = name.split_at(name.len() - 1);
        let number: i64 = number.parse().expect("a window's length");
        if unit == "h" {
            let to = self.start_of_hour(as_of) + HOUR;
            // Where the clocks changed by half an hour since, it begins at the start of an hour of before.
            Some((self.start_of_hour(to - number * HOUR), to))
        } else {
            let today = self.date(as_of);
            Some((self.start_of(today, 1 - number), self.start_of(today, 1)))
        }
    }
}

/// A moment as it is written out: RFC 3339 in UTC.
pub fn moment(at: i64) -> Value {
    Value::from(Timestamp::from_millisecond(at).expect("a moment in range").to_string())
}
