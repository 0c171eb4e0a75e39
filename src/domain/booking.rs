//! How a platform's report of one date is spread over the hours of that date.
//!
//! A report covers the whole hours from the start of its date to the earlier of the moment it was made, rounded up to
//! the hour, and the end of the date (23 or 25 hours where clocks change); at least one hour. Its figures are booked
//! evenly on these; what does not divide evenly goes one unit each to the earliest hours.

use crate::time::{Date, Millis, Zone};

/// The hours that a report covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    start: Millis,
    hours: u32,
    through: Millis,
}

impl Booking {
    /// Of a report of `date` that was made at `reported_at`.
    pub fn new(zone: &Zone, date: Date, reported_at: Millis) -> Booking {
        let (start, end_of_date) = (zone.start_of(date), zone.start_of(date.plus(1)));
        let covered = reported_at.min(end_of_date).0.saturating_sub(start.0).max(1);
        let hours = u32::try_from((covered - 1) / Millis::HOUR + 1).unwrap_or(1);
        // Where clocks change by half an hour the last hour of a date ends with it.
        let first_hour_ends = start.plus(Millis::HOUR);
        let booked_to = start.plus(i64::from(hours) * Millis::HOUR).min(end_of_date.max(first_hour_ends));
        let through = if reported_at < booked_to { booked_to.min(zone.next_hour(reported_at)) } else { booked_to };
        Booking { start, hours, through }
    }

    /// How many there are, at least one.
    pub fn hours(&self) -> u32 {
        self.hours
    }

    /// The start of one of the hours.
    pub fn hour(&self, index: u32) -> Millis {
        self.start.plus(i64::from(index) * Millis::HOUR)
    }

    /// Until when the report says what was spent: the end of the last hour, but not after the moment that it was made at,
    /// rounded up to the hour.
    pub fn through(&self) -> Millis {
        self.through
    }

    /// What of `total` (0 or more) is booked on one of the hours.
    pub fn part(&self, total: i64, index: u32) -> i64 {
        let hours = i64::from(self.hours);
        total / hours + i64::from(i64::from(index) < total % hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn a_report_covers_its_date_up_to_the_moment_it_was_made() {
        let zone = berlin();
        let plain = date("2026-11-21");
        let start = zone.start_of(plain);
        // What it was made after the start; how many hours it covers; until when it says what was spent.
        let table = [
            (-5 * Millis::DAY, 1, -5 * Millis::DAY),
            (-90 * Millis::MINUTE, 1, -Millis::HOUR),
            (0, 1, 0),
            (1, 1, Millis::HOUR),
            (Millis::HOUR, 1, Millis::HOUR),
            (Millis::HOUR + 1, 2, 2 * Millis::HOUR),
            (10 * Millis::HOUR - 1, 10, 10 * Millis::HOUR),
            (24 * Millis::HOUR, 24, 24 * Millis::HOUR),
            (30 * Millis::DAY, 24, 24 * Millis::HOUR),
        ];
        for (after, hours, through) in table {
            let booking = Booking::new(&zone, plain, start.plus(after));
            assert_eq!(booking.hours(), hours, "{after} ms after the start");
            assert_eq!(booking.through(), start.plus(through), "{after} ms after the start");
        }
    }

    #[test]
    fn a_date_has_23_or_25_hours_where_clocks_change() {
        for (day, hours) in [(date("2026-03-29"), 23), (date("2026-10-25"), 25), (date("2026-11-21"), 24)] {
            let booking = Booking::new(&berlin(), day, Millis::MAX);
            assert_eq!(booking.hours(), hours);
            assert_eq!(booking.through(), berlin().start_of(day.plus(1)));
            assert_eq!(berlin().date(booking.hour(hours - 1)), day);
        }
    }

    #[test]
    fn the_last_date_is_covered_like_any_other() {
        let last = date("9999-12-31");
        for zone in [Zone::utc(), berlin(), Zone::named("America/New_York").unwrap()] {
            let made_early = Booking::new(&zone, last, Millis(0));
            assert_eq!((made_early.hours(), made_early.through()), (1, Millis(0)));
            let made_late = Booking::new(&zone, last, zone.start_of(last.plus(1)));
            assert_eq!((made_late.hours(), made_late.hour(23)), (24, zone.start_of(last).plus(23 * Millis::HOUR)));
        }
    }

    #[test]
    fn what_does_not_divide_evenly_goes_to_the_earliest_hours() {
        let booking = Booking::new(&berlin(), date("2026-03-29"), Millis::MAX);
        let parts: Vec<i64> = (0..23).map(|hour| booking.part(50, hour)).collect();
        assert_eq!(parts[..5], [3, 3, 3, 3, 2]);
        assert_eq!(parts.iter().sum::<i64>(), 50);
        let largest: i64 = (0..23).map(|hour| booking.part(i64::MAX, hour)).sum();
        assert_eq!(largest, i64::MAX);
    }

    #[test]
    fn no_date_or_moment_panics() {
        for days in [i32::MIN, -800_000, 0, 2_932_896, i32::MAX] {
            for at in [Millis::MIN, Millis(0), Millis::MAX] {
                let booking = Booking::new(&berlin(), Date(days), at);
                assert!((1..=25).contains(&booking.hours()), "{days}");
                let _ = (booking.through(), booking.part(1, 0));
            }
        }
    }
}
