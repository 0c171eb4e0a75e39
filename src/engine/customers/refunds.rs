//! The refunds of all orders.
//!
//! Most orders have none, and most of the others one. So the few of an order hang in a chain: they are looked through, and
//! what they come to is added up when it is asked for. An order with more than [`FEW`] has an index of them and keeps their
//! sums: one more costs the same, however many there are.

use std::hash::BuildHasher;
use std::{iter, mem};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::facts::RefundFact;
use crate::domain::order::Refunded;
use crate::engine::table::{Id, NONE, Slab, heap_bytes};
use crate::time::Millis;

/// As many hang in a chain.
const FEW: usize = 8;

#[derive(Debug, Default)]
pub struct Refund {
    /// In a chain the next one, or [`NONE`].
    next: u32,
    pub id: Id,
    pub fact: RefundFact,
}

/// Where the refunds of one order are found: [`NONE`], the number of the first in their chain, or [`MANY`] and the number of
/// their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfOrder(u32);

/// So many refunds don't fit into memory.
const MANY: u32 = 1 << 31;

enum Place {
    /// The first in the chain, or [`NONE`].
    Chain(u32),
    Index(u32),
}

impl OfOrder {
    /// No refunds.
    pub const NONE: OfOrder = OfOrder(NONE);

    fn place(self) -> Place {
        if self.0 == NONE || self.0 < MANY { Place::Chain(self.0) } else { Place::Index(self.0 - MANY) }
    }
}

#[derive(Debug, Default)]
pub struct Refunds {
    rows: Slab<Refund>,
    indices: Slab<Index>,
    hasher: DefaultHashBuilder,
    id_bytes: usize,
    index_bytes: usize,
}

/// Many refunds of one order.
#[derive(Debug)]
struct Index {
    rows: HashTable<u32>,
    refunded: Refunded,
    /// When the last of them was, of those too that were removed: whoever removes single ones goes on to the last.
    last_at: Millis,
}

impl Default for Index {
    fn default() -> Self {
        Index { rows: HashTable::new(), refunded: Refunded::default(), last_at: Millis::MIN }
    }
}

impl Index {
    fn add(&mut self, fact: &RefundFact) {
        self.refunded += fact.refunded();
        self.last_at = self.last_at.max(fact.occurred_at);
    }
}

impl RefundFact {
    fn refunded(&self) -> Refunded {
        Refunded { amount: self.amount.into(), cost_recovered: self.cost_recovered.into() }
    }
}

impl Refunds {
    /// What the refunds of an order come to.
    pub fn refunded(&self, of: OfOrder) -> Refunded {
        match of.place() {
            Place::Chain(first) => {
                self.chain(first).fold(Refunded::default(), |sum, slot| sum + self.rows[slot].fact.refunded())
            }
            Place::Index(number) => self.indices[number].refunded,
        }
    }

    /// When the last refund of an order was.
    pub fn last_at(&self, of: OfOrder) -> Option<Millis> {
        match of.place() {
            Place::Chain(first) => self.chain(first).map(|slot| self.rows[slot].fact.occurred_at).max(),
            Place::Index(number) => Some(self.indices[number].last_at),
        }
    }

    pub fn find(&self, of: OfOrder, id: &str) -> Option<&RefundFact> {
        self.slot(of, id).map(|slot| &self.rows[slot].fact)
    }

    /// The refunds of an order, in no order of their own.
    pub fn iter(&self, of: OfOrder) -> impl Iterator<Item = &Refund> {
        self.slots(of).map(|slot| &self.rows[slot])
    }

    /// Adds a refund to an order, or puts it in the place of the one with its id. Returns where they are now.
    pub fn put(&mut self, of: OfOrder, id: &str, fact: RefundFact) -> OfOrder {
        if let Some(slot) = self.slot(of, id) {
            let before = mem::replace(&mut self.rows[slot].fact, fact);
            if let Place::Index(number) = of.place() {
                self.indices[number].refunded -= before.refunded();
                self.indices[number].add(&fact);
            }
            return of;
        }
        let next = if let Place::Chain(first) = of.place() { first } else { NONE };
        let id = Id::new(id);
        self.id_bytes += heap_bytes(&id);
        let slot = self.rows.put(Refund { next, id, fact });
        match of.place() {
            Place::Chain(first) if self.chain(first).count() < FEW => OfOrder(slot),
            Place::Chain(_) => {
                let number = self.indices.put(Index::default());
                let chain: Vec<u32> = self.chain(slot).collect();
                chain.into_iter().for_each(|slot| self.index(number, slot));
                OfOrder(MANY | number)
            }
            Place::Index(number) => {
                self.index(number, slot);
                of
            }
        }
    }

    /// Removes a refund of an order, if it is there. Returns where the others are now.
    pub fn remove(&mut self, of: OfOrder, id: &str) -> OfOrder {
        let Some(slot) = self.slot(of, id) else { return of };
        let left = match of.place() {
            Place::Chain(first) => {
                let next = self.rows[slot].next;
                let before = self.chain(first).find(|&before| self.rows[before].next == slot);
                if let Some(before) = before {
                    self.rows[before].next = next;
                }
                before.map_or(OfOrder(next), |_| of)
            }
            Place::Index(number) => {
                let index = &mut self.indices[number];
                if let Ok(entry) = index.rows.find_entry(self.hasher.hash_one(id), |&other| other == slot) {
                    entry.remove();
                    index.refunded -= self.rows[slot].fact.refunded();
                }
                if index.rows.is_empty() {
                    self.drop_index(number);
                    OfOrder::NONE
                } else {
                    of
                }
            }
        };
        self.take_row(slot);
        left
    }

    /// Takes all refunds of an order out.
    pub fn take(&mut self, of: OfOrder) -> Vec<Refund> {
        let slots: Vec<u32> = self.slots(of).collect();
        if let Place::Index(number) = of.place() {
            self.drop_index(number);
        }
        slots.into_iter().map(|slot| self.take_row(slot)).collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.id_bytes + self.indices.bytes() + self.index_bytes
    }

    fn slots(&self, of: OfOrder) -> impl Iterator<Item = u32> {
        let (chain, index) = match of.place() {
            Place::Chain(first) => (Some(self.chain(first)), None),
            Place::Index(number) => (None, Some(self.indices[number].rows.iter().copied())),
        };
        chain.into_iter().flatten().chain(index.into_iter().flatten())
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = u32> {
        let some = |slot: u32| (slot != NONE).then_some(slot);
        iter::successors(some(first), move |&slot| some(self.rows[slot].next))
    }

    fn slot(&self, of: OfOrder, id: &str) -> Option<u32> {
        let is_it = |slot: &u32| *self.rows[*slot].id == *id;
        match of.place() {
            Place::Chain(first) => self.chain(first).find(is_it),
            Place::Index(number) => self.indices[number].rows.find(self.hasher.hash_one(id), is_it).copied(),
        }
    }

    fn index(&mut self, number: u32, slot: u32) {
        let (index, rows, hasher) = (&mut self.indices[number], &self.rows, &self.hasher);
        let hash = |&slot: &u32| hasher.hash_one(&*rows[slot].id);
        self.index_bytes -= index.rows.allocation_size();
        index.rows.insert_unique(hash(&slot), slot, hash);
        self.index_bytes += index.rows.allocation_size();
        index.add(&rows[slot].fact);
    }

    fn drop_index(&mut self, number: u32) {
        self.index_bytes -= self.indices.remove(number).rows.allocation_size();
    }

    fn take_row(&mut self, slot: u32) -> Refund {
        let refund = self.rows.remove(slot);
        self.id_bytes -= heap_bytes(&refund.id);
        refund
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::money::{Micros, Sum};

    fn fact(at: i64, amount: i64) -> RefundFact {
        let cost_recovered = Micros(amount / 3);
        RefundFact { occurred_at: Millis(at), amount: Micros(amount), cost_recovered, digest: amount as u64 }
    }

    /// Said of one order by walking through all of it.
    fn holds(refunds: &Refunds, of: OfOrder, model: &BTreeMap<String, RefundFact>) -> Result<(), TestCaseError> {
        let found: BTreeMap<String, RefundFact> =
            refunds.iter(of).map(|refund| (refund.id.to_string(), refund.fact)).collect();
        prop_assert_eq!(&found, model);
        prop_assert_eq!(refunds.iter(of).count(), model.len());
        let sum = |of: fn(&RefundFact) -> Micros| model.values().map(|fact| Sum::from(of(fact))).sum::<Sum>();
        let refunded = Refunded { amount: sum(|fact| fact.amount), cost_recovered: sum(|fact| fact.cost_recovered) };
        prop_assert_eq!(refunds.refunded(of), refunded);
        prop_assert_eq!(of == OfOrder::NONE, model.is_empty());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_order_has_its_refunds_and_their_sums_while_they_come_and_go(
            steps in prop::collection::vec((0_usize..3, 0_u32..20, 0_i64..1_000, prop::bool::weighted(0.7)), 0..300),
        ) {
            let mut refunds = Refunds::default();
            let mut orders = [OfOrder::NONE; 3];
            let mut models: [BTreeMap<String, RefundFact>; 3] = Default::default();
            for (order, id, amount, is_put) in steps {
                let (of, model, id) = (&mut orders[order], &mut models[order], id.to_string());
                prop_assert_eq!(refunds.find(*of, &id), model.get(&id));
                if is_put {
                    // A later version has a later moment, and single ones go only with all: so the last moment is exact.
                    *of = refunds.put(*of, &id, fact(amount, amount));
                    model.insert(id, fact(amount, amount));
                } else {
                    *of = refunds.remove(*of, &id);
                    model.remove(&id);
                }
                holds(&refunds, *of, model)?;
            }
            for (of, model) in orders.into_iter().zip(models) {
                holds(&refunds, of, &model)?;
                prop_assert_eq!(refunds.take(of).len(), model.len());
            }
            prop_assert_eq!((refunds.id_bytes, refunds.index_bytes), (0, 0), "nothing is left");
        }
    }

    #[test]
    fn an_only_refund_takes_64_bytes_with_its_id_and_one_of_many_little_more() {
        const REFUNDS: i64 = 50_000;
        let mut refunds = Refunds::default();
        let id = |i: i64| format!("{i:08}");
        for i in 0..REFUNDS {
            refunds.put(OfOrder::NONE, &id(i), fact(i, i));
        }
        let single = refunds.bytes() as i64 / REFUNDS;
        assert!((64..=65).contains(&single), "{single} each");
        let before = refunds.bytes() as i64;
        let of = (0..REFUNDS).fold(OfOrder::NONE, |of, i| refunds.put(of, &id(i), fact(i, i)));
        let one_of_many = (refunds.bytes() as i64 - before) / REFUNDS;
        assert!((68..=76).contains(&one_of_many), "{one_of_many} each");
        assert_eq!(refunds.refunded(of).amount, Sum((REFUNDS * (REFUNDS - 1) / 2).into()));
        assert_eq!(refunds.last_at(of), Some(Millis(REFUNDS - 1)));
    }

    #[test]
    fn the_last_moment_is_that_of_the_latest_version_of_all() {
        let mut refunds = Refunds::default();
        assert_eq!(refunds.last_at(OfOrder::NONE), None);
        let mut of = OfOrder::NONE;
        for i in 0..3 * FEW as i64 {
            of = refunds.put(of, &i.to_string(), fact(-i, 1));
            assert_eq!(refunds.last_at(of), Some(Millis(0)));
        }
        of = refunds.put(of, "5", fact(7, 1));
        assert_eq!(refunds.last_at(of), Some(Millis(7)));
    }
}
