//! What is booked on each hour or day of a campaign, in little memory.
//!
//! A bucket that something was booked on lately is open: adding to it costs nothing but the addition, and it takes 352 bytes.
//! What is at rest is [packed](Buckets::pack) to a fifth of that, and opened again when something is booked on it. Reading
//! does not open it.

use std::ops::{Bound, Range, RangeBounds};

use super::totals::{Part, Totals};
use crate::engine::ledger::LedgerSums;

/// Buckets by their hour or day, in order.
#[derive(Clone, Debug)]
pub struct Buckets<K> {
    keys: Vec<K>,
    slots: Vec<Slot>,
    /// How many are open.
    open: usize,
    /// What all packed ones take beside their slots.
    packed_bytes: usize,
}

#[derive(Clone, Debug)]
enum Slot {
    Open(Box<Totals>),
    Packed(Box<[u8]>),
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets { keys: Vec::new(), slots: Vec::new(), open: 0, packed_bytes: 0 }
    }
}

impl Slot {
    fn totals(&self) -> Totals {
        match self {
            Slot::Open(totals) => **totals,
            Slot::Packed(bytes) => Totals::unpack(bytes),
        }
    }

    fn packed_bytes(&self) -> usize {
        match self {
            Slot::Open(_) => 0,
            Slot::Packed(bytes) => bytes.len(),
        }
    }
}

/// Adds a part, and says whether nothing is left.
fn add<P: Part>(totals: &mut Totals, part: P) -> bool {
    *P::half(totals) += part;
    *P::half(totals) == P::default() && *totals == Totals::default()
}

impl<K: Copy + Ord> Buckets<K> {
    /// Adds to a bucket. One that comes to nothing is gone.
    pub fn add<P: Part>(&mut self, key: K, part: P) {
        if part == P::default() {
            return;
        }
        match self.keys.binary_search(&key) {
            Ok(at) => {
                let is_nothing = match &mut self.slots[at] {
                    Slot::Open(totals) => add(totals, part),
                    slot @ Slot::Packed(_) => {
                        let mut totals = Box::new(slot.totals());
                        let is_nothing = add(&mut totals, part);
                        self.packed_bytes -= slot.packed_bytes();
                        self.open += 1;
                        *slot = Slot::Open(totals);
                        is_nothing
                    }
                };
                if is_nothing {
                    self.take(at);
                }
            }
            Err(at) => {
                let mut totals = Box::<Totals>::default();
                *P::half(&mut totals) = part;
                self.grow();
                // Hours and days come one after the other: as a rule this is the end.
                self.keys.insert(at, key);
                self.slots.insert(at, Slot::Open(totals));
                self.open += 1;
            }
        }
    }

    /// By an eighth: there may be hundreds of thousands of these lists.
    fn grow(&mut self) {
        if self.keys.len() == self.keys.capacity() {
            let more = self.keys.len() / 8 + 4;
            self.keys.reserve_exact(more);
            self.slots.reserve_exact(more);
        }
    }

    fn take(&mut self, at: usize) -> Totals {
        self.keys.remove(at);
        let slot = self.slots.remove(at);
        self.open -= usize::from(matches!(slot, Slot::Open(_)));
        self.packed_bytes -= slot.packed_bytes();
        slot.totals()
    }

    /// Takes a bucket out.
    pub fn remove(&mut self, key: K) -> Option<Totals> {
        self.keys.binary_search(&key).ok().map(|at| self.take(at))
    }

    /// What is booked on an hour or day.
    pub fn get(&self, key: K) -> Option<Totals> {
        self.keys.binary_search(&key).ok().map(|at| self.slots[at].totals())
    }

    /// What customers have given an hour or day, if it comes to anything.
    pub fn ledger(&self, key: K) -> Option<LedgerSums> {
        self.get(key).filter(Totals::has_ledger).map(|totals| totals.ledger)
    }

    /// The buckets of some hours or days, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (K, Totals)> {
        let places = self.places(range);
        let (keys, slots) = (&self.keys[places.clone()], &self.slots[places]);
        keys.iter().zip(slots).map(|(key, slot)| (*key, slot.totals()))
    }

    /// The hours or days themselves.
    pub fn keys(&self, range: impl RangeBounds<K>) -> &[K] {
        &self.keys[self.places(range)]
    }

    fn places(&self, range: impl RangeBounds<K>) -> Range<usize> {
        let from = self.keys.partition_point(|key| match range.start_bound() {
            Bound::Included(first) => key < first,
            Bound::Excluded(before) => key <= before,
            Bound::Unbounded => false,
        });
        let to = self.keys.partition_point(|key| match range.end_bound() {
            Bound::Included(last) => key <= last,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        });
        from..to.max(from)
    }

    pub fn first(&self) -> Option<K> {
        self.keys.first().copied()
    }

    pub fn last(&self) -> Option<K> {
        self.keys.last().copied()
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Packs those that are open, with a buffer that is used again and again.
    pub fn pack(&mut self, buffer: &mut Vec<u8>) {
        if self.open == 0 {
            return;
        }
        for slot in &mut self.slots {
            if let Slot::Open(totals) = slot {
                buffer.clear();
                totals.pack(buffer);
                self.packed_bytes += buffer.len();
                *slot = Slot::Packed(buffer.as_slice().into());
            }
        }
        self.open = 0;
        // As a day begins, the hours of another are gone.
        if self.keys.capacity() > self.keys.len() * 2 {
            self.keys.shrink_to_fit();
            self.slots.shrink_to_fit();
        }
    }

    /// Estimate of the bytes held.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<K>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.open * size_of::<Totals>()
            + self.packed_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::campaigns::totals::SpendSums;
    use crate::money::Sum;

    #[test]
    fn a_bucket_at_rest_takes_a_fifth() {
        assert_eq!(size_of::<Slot>(), 16);
        let mut buckets = Buckets::default();
        let sums = SpendSums { media: Sum(1_234_567_890), all: Sum(1_234_567_890), ..SpendSums::default() };
        (0..800).for_each(|day| buckets.add(day, sums));
        let open = buckets.bytes();
        buckets.pack(&mut Vec::new());
        assert!(buckets.bytes() * 5 < open, "{} of {open}", buckets.bytes());
        assert_eq!((buckets.open(), buckets.get(7).map(|totals| totals.spend)), (0, Some(sums)));
    }

    proptest! {
        #[test]
        fn buckets_are_a_map_of_sums(
            steps in prop::collection::vec((0_i64..12, -2_i64..3, any::<bool>(), 0_u8..8), 0..60),
            from in -1_i64..13,
            length in 0_i64..13,
        ) {
            let (mut buckets, mut naive) = (Buckets::default(), BTreeMap::<i64, Totals>::new());
            for (key, amount, is_spend, else_) in steps {
                let mut part = Totals::default();
                if is_spend {
                    part.spend = SpendSums { media: Sum(amount.into()), ..SpendSums::default() };
                    buckets.add(key, part.spend);
                } else {
                    part.ledger = LedgerSums { shares: amount, ..LedgerSums::default() };
                    buckets.add(key, part.ledger);
                }
                *naive.entry(key).or_default() += part;
                match else_ {
                    0 => buckets.pack(&mut Vec::new()),
                    1 => prop_assert_eq!(buckets.remove(key).unwrap_or_default(), naive.remove(&key).unwrap_or_default()),
                    _ => {}
                }
                naive.retain(|_, totals| *totals != Totals::default());
            }
            let all = |range: std::ops::Range<i64>| naive.range(range).map(|(key, totals)| (*key, *totals)).collect::<Vec<_>>();
            prop_assert_eq!(buckets.range(..).collect::<Vec<_>>(), all(-1..99));
            let range = from..from + length;
            prop_assert_eq!(buckets.range(range.clone()).collect::<Vec<_>>(), all(range.clone()));
            let with_end: Vec<i64> = all(from..from + length + 1).into_iter().map(|(key, _)| key).collect();
            prop_assert_eq!(buckets.keys(from..=from + length), with_end);
            prop_assert_eq!((buckets.first(), buckets.last()), (naive.keys().next().copied(), naive.keys().last().copied()));
            let packed = buckets.slots.iter().filter(|slot| matches!(slot, Slot::Packed(_))).count();
            prop_assert_eq!(buckets.open(), buckets.slots.len() - packed);
        }
    }
}
