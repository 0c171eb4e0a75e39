//! When time alone changes something: the next moment of each key (a customer, a campaign), so that what is due is found
//! among millions without a look at the others.
//!
//! Nearly all moments are far ahead. They stand in a list for each hour, four bytes a key and in no order. When the first of
//! its hour may be due, the list is opened, a key at a time: from then on that hour's moments stand in order.
//!
//! ```text
//!        opened     |  hours ahead
//!  10:04:07.250  7  |  11:00  [3, 9, 1]
//!  10:31:00.000  2  |  15:00  [8]
//!                   |  17:00  [4, 2, 6, 5]
//! ```
//!
//! Each key remembers the moment it is [`Indexed`] under. That may be earlier than its next one, never later: a moment that
//! is put off (an order is cancelled) leaves the key where it is, until its turn comes and it is indexed anew. What is left
//! in a list by a key that was moved forward is told by what the key remembers, and passed over.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Millis;

/// What a key remembers: the moment that it is indexed under, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed(Millis);

impl Indexed {
    /// It is not.
    pub const NOT: Indexed = Indexed(Millis(i64::MAX));
}

/// The next moment of each key.
#[derive(Debug)]
pub struct Moments {
    /// Those of hours that were opened.
    near: BTreeSet<(Millis, u32)>,
    /// Keys by the hour of their moment; what is left of the one that is being opened stands first.
    hours: BTreeMap<i64, Vec<u32>>,
    /// The last hour that was opened, or begun to be.
    opened: i64,
    /// What the lists have room for.
    capacity: usize,
}

/// What [`Moments::take`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing is due.
    Nothing,
    /// One more key was looked at, and is not due.
    Passed,
    /// This key may be due. It is out of the index, and is to be noted again: after it was written, or at once.
    Due {
        /// The key.
        key: u32,
        /// Nothing of it was due before.
        since: Millis,
    },
}

impl Default for Moments {
    fn default() -> Self {
        Moments { near: BTreeSet::new(), hours: BTreeMap::new(), opened: i64::MIN, capacity: 0 }
    }
}

impl Moments {
    /// Notes that nothing of `key` is due before `next`; `None`: never, as things are.
    pub fn note(&mut self, key: u32, indexed: &mut Indexed, next: Option<Millis>) {
        let next = next.map_or(Indexed::NOT, Indexed);
        if *indexed == next {
            return;
        }
        let is_near = *indexed != Indexed::NOT && hour(indexed.0) <= self.opened;
        if is_near {
            self.near.remove(&(indexed.0, key));
        } else if indexed.0 <= next.0 {
            return;
        }
        let before = std::mem::replace(indexed, next);
        if next == Indexed::NOT {
            return;
        }
        let next_hour = hour(next.0);
        if next_hour <= self.opened {
            self.near.insert((next.0, key));
        } else if is_near || before == Indexed::NOT || next_hour != hour(before.0) {
            let keys = self.hours.entry(next_hour).or_default();
            self.capacity -= keys.capacity();
            keys.push(key);
            self.capacity += keys.capacity();
        }
    }

    /// A moment before which nothing is due, as close as is known.
    pub fn first(&self) -> Option<Millis> {
        let near = self.near.first().map(|(at, _)| *at);
        let ahead = self.hours.keys().next().map(|hour| Millis(hour.saturating_mul(Millis::HOUR)));
        near.into_iter().chain(ahead).min()
    }

    /// Looks at the next key that may be due at `as_of`, which never goes back. `indexed` is what a key remembers.
    pub fn take<'a>(&mut self, as_of: Millis, indexed: impl FnOnce(u32) -> &'a mut Indexed) -> Taken {
        if let Some(&(at, key)) = self.near.first()
            && at <= as_of
        {
            self.near.pop_first();
            return due(key, indexed(key), at);
        }
        let Some(mut list) = self.hours.first_entry() else { return Taken::Nothing };
        let (of_hour, keys) = (*list.key(), list.get_mut());
        if of_hour > hour(as_of) {
            return Taken::Nothing;
        }
        self.opened = of_hour;
        let key = keys.pop();
        if keys.is_empty() {
            self.capacity -= list.remove().capacity();
        }
        let Some(key) = key else { return Taken::Passed };
        let indexed = indexed(key);
        let at = indexed.0;
        if at <= as_of {
            return if hour(at) == of_hour { due(key, indexed, at) } else { Taken::Passed };
        }
        if hour(at) == of_hour {
            self.near.insert((at, key));
        }
        Taken::Passed
    }

    /// Estimate of the bytes held.
    pub fn bytes(&self) -> usize {
        // Nodes of the trees are two thirds full on the average.
        let near = self.near.len() * size_of::<(Millis, u32)>() * 3 / 2;
        near + self.capacity * size_of::<u32>() + self.hours.len() * size_of::<(i64, Vec<u32>)>() * 3 / 2
    }
}

/// Of a key that was found under the moment `at`, which has come.
fn due(key: u32, indexed: &mut Indexed, at: Millis) -> Taken {
    if *indexed != Indexed(at) {
        // It was moved.
        return Taken::Passed;
    }
    *indexed = Indexed::NOT;
    Taken::Due { key, since: at }
}

fn hour(at: Millis) -> i64 {
    at.0.div_euclid(Millis::HOUR)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = Millis::SECOND;
    const HOUR: i64 = Millis::HOUR;

    /// An index with what its keys remember.
    #[derive(Default)]
    struct Clock {
        moments: Moments,
        indexed: Vec<Indexed>,
    }

    impl Clock {
        fn note(&mut self, key: u32, next: Option<i64>) {
            if self.indexed.len() <= key as usize {
                self.indexed.resize(key as usize + 1, Indexed::NOT);
            }
            self.moments.note(key, &mut self.indexed[key as usize], next.map(Millis));
        }

        /// All that may be due, each with the moment before which nothing of it was.
        fn due(&mut self, as_of: i64) -> BTreeMap<u32, i64> {
            let mut due = BTreeMap::new();
            loop {
                match self.moments.take(Millis(as_of), |key| &mut self.indexed[key as usize]) {
                    Taken::Nothing => return due,
                    Taken::Passed => {}
                    Taken::Due { key, since } => {
                        assert_eq!(due.insert(key, since.0), None, "it is due once");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_due_is_found_when_its_moment_has_come_and_not_before() {
        let mut clock = Clock::default();
        for (key, at) in [(0, 5 * HOUR + 300), (1, 5 * HOUR + 299), (2, 7 * HOUR), (3, -HOUR), (4, 5 * HOUR + 301)] {
            clock.note(key, Some(at));
        }
        assert!(clock.moments.first().is_some_and(|first| first <= Millis(-HOUR)));
        assert_eq!(clock.due(0), [(3, -HOUR)].into());
        assert_eq!(clock.moments.first(), Some(Millis(5 * HOUR)), "the hour: never late");
        assert_eq!(clock.due(5 * HOUR), [].into());
        assert_eq!(clock.moments.first(), Some(Millis(5 * HOUR + 299)), "it is known to the millisecond");
        assert_eq!(clock.due(5 * HOUR + 300), [(1, 5 * HOUR + 299), (0, 5 * HOUR + 300)].into());
        clock.note(0, Some(5 * HOUR + 400));
        assert_eq!(clock.due(6 * HOUR), [(4, 5 * HOUR + 301), (0, 5 * HOUR + 400)].into());
        assert_eq!(clock.due(9 * HOUR), [(2, 7 * HOUR)].into());
        assert_eq!((clock.moments.first(), clock.moments.bytes()), (None, 0), "memory is given back");
    }

    #[test]
    fn a_key_that_is_put_off_again_and_again_takes_its_place_once() {
        let mut clock = Clock::default();
        clock.note(0, Some(HOUR));
        let one = clock.moments.bytes();
        for times in 0..1_000 {
            clock.note(0, Some(1_000 * HOUR - times));
            clock.note(0, None);
        }
        assert_eq!(clock.moments.bytes(), one);
        assert_eq!(clock.due(HOUR), [(0, HOUR)].into(), "early, and never late");
    }

    #[test]
    fn a_hundred_thousand_that_fall_together_take_little_before_and_nothing_after() {
        const KEYS: u32 = 100_000;
        let mut clock = Clock::default();
        (0..KEYS).for_each(|key| clock.note(key, Some(9 * HOUR + i64::from(key % 7) * SECOND)));
        assert!(clock.moments.bytes() < KEYS as usize * 6, "{} bytes", clock.moments.bytes());
        assert_eq!(clock.due(10 * HOUR).len(), KEYS as usize);
        assert_eq!(clock.moments.bytes(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_is_missed_whatever_is_put_off_or_brought_forward(
            steps in prop::collection::vec((0_u32..6, prop::option::of(0_i64..5 * HOUR), 0_i64..HOUR / 2, 0_usize..6), 0..80),
        ) {
            let (mut clock, mut nexts, mut as_of) = (Clock::default(), BTreeMap::new(), 0);
            for (key, ahead, passed, looks) in steps {
                let next = ahead.map(|ahead| as_of + 1 + ahead);
                clock.note(key, next);
                nexts.insert(key, next);
                as_of += passed;
                for _ in 0..looks {
                    match clock.moments.take(Millis(as_of), |key| &mut clock.indexed[key as usize]) {
                        Taken::Due { key, since } => {
                            let next = nexts[&key];
                            prop_assert!(next.is_none_or(|next| since.0 <= next) && since.0 <= as_of);
                            // What has come is written, and counts no more.
                            let left = next.filter(|next| *next > as_of);
                            nexts.insert(key, left);
                            clock.note(key, left);
                        }
                        Taken::Passed => {}
                        Taken::Nothing => {
                            prop_assert!(nexts.values().flatten().all(|next| *next > as_of));
                            prop_assert!(clock.moments.first().is_none_or(|first| first.0 > as_of));
                        }
                    }
                }
                let earliest = nexts.values().flatten().min().copied();
                prop_assert!(earliest.is_none_or(|next| clock.moments.first().is_some_and(|first| first.0 <= next)));
            }
        }
    }
}
