//! When history may be compacted. What is compacted can't be changed any more, so there is time first for all of it to come.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// How long nothing is compacted: after a state has begun, and after it stood still for longer than that. A history, or what
/// has piled up meanwhile, is read in this time, and in any order.
pub const GRACE: i64 = 7 * Millis::DAY;

/// Since when the partition has kept up with the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    since: Option<Millis>,
}

impl Grace {
    /// Whether at `as_of` history may be compacted; `last` is the moment before it.
    pub fn is_over(&mut self, last: Option<Millis>, as_of: Millis) -> bool {
        let stood_still = last.is_some_and(|last| as_of.0 - last.0 > GRACE);
        // A clock that was ahead, and is right again, has not kept up with anything.
        let since = match self.since.filter(|since| !stood_still && *since <= as_of) {
            Some(since) => since,
            None => *self.since.insert(as_of),
        };
        as_of.0 - since.0 >= GRACE
    }

    /// When it is over, as things are at `as_of`.
    pub fn end(&self, as_of: Millis) -> Millis {
        self.since.map_or(Millis::MIN, |since| since.min(as_of).plus(GRACE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_compacted_in_the_week_after_a_beginning_or_a_standstill() {
        let mut grace = Grace::default();
        let day = |day: i64| Millis(day * Millis::DAY);
        let table = [
            (None, 100, false),
            (Some(100), 106, false),
            (Some(106), 107, true),
            (Some(107), 114, true),
            (Some(114), 122, false),
            (Some(122), 128, false),
            (Some(128), 129, true),
            // The clock was a month ahead, and is right again.
            (Some(129), 160, false),
            (None, 130, false),
            (Some(130), 136, false),
            (Some(136), 137, true),
        ];
        for (last, as_of, over) in table {
            assert_eq!(grace.is_over(last.map(day), day(as_of)), over, "day {as_of}");
        }
    }
}
