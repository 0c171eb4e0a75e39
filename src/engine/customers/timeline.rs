//! The orders of one customer in order of time, for any number of orders. Those of one moment are in the order of their ids,
//! which the caller knows: it is asked for these alone.
//!
//! Most customers have a handful: one sorted list, which takes no memory elsewhere up to [`INLINE`] entries. Above [`BLOCK`]
//! entries it is a list of sorted blocks, so that adding an order moves at most one block, and counting adds up the lengths
//! of blocks.

use std::mem;

use smallvec::SmallVec;

use crate::time::Millis;

/// When an order was, and its number.
pub type Entry = (Millis, u32);

const BLOCK: usize = 512;
const INLINE: usize = 2;

#[derive(Debug)]
pub enum Timeline {
    Few(SmallVec<[Entry; INLINE]>),
    /// None of the blocks is empty, each is sorted, and none overlaps the next.
    Many(Vec<Vec<Entry>>),
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::Few(SmallVec::new())
    }
}

impl Timeline {
    /// Makes room for so many more, as long as they are few.
    pub fn reserve(&mut self, entries: usize) {
        if let Timeline::Few(few) = self {
            few.reserve_exact(entries);
        }
    }

    /// `is_smaller` compares the ids of two orders by their numbers.
    pub fn insert(&mut self, entry: Entry, is_smaller: impl Fn(u32, u32) -> bool) {
        let is_before = |one: &Entry, other: &Entry| comes_before(*one, *other, &is_smaller);
        match self {
            Timeline::Few(entries) => {
                if entries.len() == entries.capacity() {
                    // Growing by half, not by doubling: most customers never buy again.
                    entries.reserve_exact(1 + entries.len() / 2);
                }
                entries.insert(count_first(entries, |other| is_before(other, &entry)), entry);
                if entries.len() >= BLOCK {
                    let mut lower = mem::take(entries).into_vec();
                    let upper = lower.split_off(BLOCK / 2);
                    *self = Timeline::Many(vec![lower, upper]);
                }
            }
            Timeline::Many(blocks) => {
                let i = blocks.partition_point(|block| !is_before(&entry, &block[0])).saturating_sub(1);
                let block = &mut blocks[i];
                block.insert(count_first(block, |other| is_before(other, &entry)), entry);
                if block.len() >= BLOCK {
                    // A history mostly grows at its end: full blocks there stay nearly full.
                    let keep = if i + 1 == blocks.len() { BLOCK - BLOCK / 8 } else { BLOCK / 2 };
                    let upper = blocks[i].split_off(keep);
                    blocks.insert(i + 1, upper);
                }
            }
        }
    }

    /// `is_smaller` as it was when the entry was inserted.
    pub fn remove(&mut self, entry: Entry, is_smaller: impl Fn(u32, u32) -> bool) {
        let is_before = |one: &Entry, other: &Entry| comes_before(*one, *other, &is_smaller);
        match self {
            Timeline::Few(entries) => {
                let i = entries.partition_point(|other| is_before(other, &entry));
                if entries.get(i) == Some(&entry) {
                    entries.remove(i);
                }
            }
            Timeline::Many(blocks) => {
                let i = blocks.partition_point(|block| !is_before(&entry, &block[0])).saturating_sub(1);
                let j = blocks[i].partition_point(|other| is_before(other, &entry));
                if blocks[i].get(j) == Some(&entry) {
                    blocks[i].remove(j);
                    if blocks[i].is_empty() {
                        blocks.remove(i);
                    }
                    if blocks.is_empty() {
                        *self = Timeline::default();
                    }
                }
            }
        }
    }

    pub fn len(&self) -> u64 {
        match self {
            Timeline::Few(entries) => entries.len() as u64,
            Timeline::Many(blocks) => blocks.iter().map(|block| block.len() as u64).sum(),
        }
    }

    pub fn first(&self) -> Option<Entry> {
        self.iter().next()
    }

    pub fn last(&self) -> Option<Entry> {
        match self {
            Timeline::Few(entries) => entries.last().copied(),
            Timeline::Many(blocks) => blocks.last().and_then(|block| block.last().copied()),
        }
    }

    /// How many orders were after `from` and not after `to`.
    pub fn count_between(&self, from: Millis, to: Millis) -> u64 {
        self.count_until(to).saturating_sub(self.count_until(from))
    }

    /// When the first order after a moment was.
    pub fn first_after(&self, at: Millis) -> Option<Millis> {
        let block = match self {
            Timeline::Few(entries) => entries.as_slice(),
            Timeline::Many(blocks) => {
                let i = blocks.partition_point(|block| block.last().is_some_and(|last| last.0 <= at));
                blocks.get(i)?.as_slice()
            }
        };
        block.get(count_first(block, |entry| entry.0 <= at)).map(|entry| entry.0)
    }

    fn count_until(&self, to: Millis) -> u64 {
        match self {
            Timeline::Few(entries) => count_first(entries, |entry| entry.0 <= to) as u64,
            Timeline::Many(blocks) => {
                let i = blocks.partition_point(|block| block[0].0 <= to);
                let Some((last, before)) = blocks[..i].split_last() else { return 0 };
                let whole: usize = before.iter().map(Vec::len).sum();
                (whole + count_first(last, |entry| entry.0 <= to)) as u64
            }
        }
    }

    /// All entries, in order of time.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Entry> {
        let (few, many): (&[Entry], &[Vec<Entry>]) = match self {
            Timeline::Few(entries) => (entries, &[]),
            Timeline::Many(blocks) => (&[], blocks),
        };
        few.iter().chain(many.iter().flatten()).copied()
    }
}

fn comes_before(one: Entry, other: Entry, is_smaller: &impl Fn(u32, u32) -> bool) -> bool {
    one.0 < other.0 || one.0 == other.0 && one.1 != other.1 && is_smaller(one.1, other.1)
}

/// The number of entries at the front for which `is_before` holds. It is mostly that of all, or none: a search through the
/// middle would wait for memory that has nothing to say.
fn count_first(entries: &[Entry], is_before: impl Fn(&Entry) -> bool) -> usize {
    match entries {
        [.., last] if is_before(last) => entries.len(),
        [first, ..] if is_before(first) => entries.partition_point(is_before),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn holds_what_a_sorted_set_holds(
            steps in prop::collection::vec((0_i64..900, 0_u32..4, prop::bool::weighted(0.8)), 0..4_000),
            from in -1_i64..901,
            to in -1_i64..901,
        ) {
            let mut timeline = Timeline::default();
            let mut model = BTreeSet::new();
            for (at, slot, insert) in steps {
                let entry = (Millis(at), slot);
                if insert && model.insert(entry) {
                    timeline.insert(entry, |one, other| one < other);
                } else if !insert {
                    model.remove(&entry);
                    timeline.remove(entry, |one, other| one < other);
                }
            }
            prop_assert_eq!(timeline.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(timeline.len(), model.len() as u64);
            prop_assert_eq!((timeline.first(), timeline.last()), (model.first().copied(), model.last().copied()));
            let between = model.iter().filter(|entry| entry.0 > Millis(from) && entry.0 <= Millis(to)).count() as u64;
            prop_assert_eq!(timeline.count_between(Millis(from), Millis(to)), between);
            let after = model.iter().map(|entry| entry.0).find(|at| *at > Millis(from));
            prop_assert_eq!(timeline.first_after(Millis(from)), after);
        }
    }
}
