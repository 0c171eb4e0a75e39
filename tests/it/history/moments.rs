//! Moments on edges: of hours, days and windows, where clocks change, long ago, and the same ones again and again.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::object::quoted;

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
pub const MOST_AHEAD: i64 = HOUR / 12;

/// How far from UTC's the days of the tested zones begin.
const MIDNIGHTS: [i64; 6] = [0, 4 * HOUR, 13 * HOUR, 13 * HOUR + HOUR / 2, 15 * HOUR, 18 * HOUR + HOUR / 2];

/// Hours in which New York's clocks change, 2025-11-02, 2026-03-08 and 2026-11-01, and Lord Howe Island's, 2026-04-04.
const CLOCK_CHANGES: [i64; 4] = [1_762_063_200_000, 1_772_953_200_000, 1_793_512_800_000, 1_775_314_800_000];

pub struct Moments {
    pub as_of: i64,
}

impl Moments {
    /// Any moment that an event may be of: at the latest five minutes after `as_of`.
    pub fn any(&self, rng: &mut StdRng) -> i64 {
        let edge = *[-1, 0, 1].choose(rng).unwrap();
        let midnight = |days: i64, rng: &mut StdRng| (self.as_of / DAY - days) * DAY + MIDNIGHTS.choose(rng).unwrap();
        let at = match rng.random_range(0..17) {
            0..4 => self.as_of - rng.random_range(0..400 * DAY),
            4..6 => self.as_of - rng.random_range(0..3 * DAY),
            6 => self.as_of - rng.random_range(0..30) * HOUR + edge,
            7 => self.as_of - [1, 7, 30, 90, 364, 365, 366].choose(rng).unwrap() * DAY + edge,
            8 => (self.as_of / HOUR - rng.random_range(0..50)) * HOUR + edge,
            9 => midnight(rng.random_range(0..3), rng) + edge,
            10 => midnight(*[6, 7, 29, 30, 31, 89, 90, 91, 365].choose(rng).unwrap(), rng) + edge,
            11 => CLOCK_CHANGES.choose(rng).unwrap() + rng.random_range(-6..6) * HOUR / 2 + edge,
            12 => *[0, -1, -86_400_001, 852_076_800_000, 1_262_304_000_000].choose(rng).unwrap(),
            13 => self.as_of + [1, 59_000, MOST_AHEAD].choose(rng).unwrap(),
            // The same few again and again.
            _ => self.as_of - rng.random_range(0..3) * 20 * DAY,
        };
        at.min(self.as_of + MOST_AHEAD)
    }

    /// The date of a report's cell and when it was reported: that day, later, and even before.
    pub fn report(&self, rng: &mut StdRng) -> (String, i64) {
        let at = match rng.random_range(0..3) {
            0 => self.any(rng),
            1 => self.as_of - rng.random_range(0..3) * DAY,
            _ => *CLOCK_CHANGES.choose(rng).unwrap(),
        };
        // A day that has begun nowhere is in the future.
        let at = at.min(self.as_of);
        let after = *[-8 * HOUR, 0, 1, HOUR, 10 * HOUR + 1, DAY, 2 * DAY, 20 * DAY].choose(rng).unwrap();
        let date = Timestamp::from_millisecond(at).unwrap().to_zoned(TimeZone::UTC).date().to_string();
        (date, (at + after + rng.random_range(-1..2)).min(self.as_of + MOST_AHEAD))
    }
}

/// A moment in one of the forms that a record may have it in.
pub fn written(at: i64, rng: &mut StdRng) -> String {
    if rng.random_bool(0.3) {
        return at.to_string();
    }
    let minutes = *[0, 9 * 60, -5 * 60, 5 * 60 + 30].choose(rng).unwrap();
    let zone = TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap());
    let local = Timestamp::from_millisecond(at).unwrap().to_zoned(zone);
    let offset = if minutes == 0 { "Z".to_owned() } else { local.strftime("%:z").to_string() };
    let finer = ["", "9", "999999"].choose(rng).unwrap();
    quoted(&format!("{}.{:03}{finer}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S"), at.rem_euclid(1_000)))
}
