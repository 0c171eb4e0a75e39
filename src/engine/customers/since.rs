//! The earliest `customer_since` of a customer's orders, for any number of orders that say different ones. Most customers'
//! say one or none: that takes no memory elsewhere.

use std::collections::BTreeMap;
use std::mem;

use crate::time::Millis;

/// About what a moment takes in a tree.
const ENTRY_BYTES: usize = 2 * size_of::<(Millis, u32)>();

/// What the orders that count say.
#[derive(Debug)]
pub struct Since {
    /// The earliest, or [`Millis::MAX`] while none says any.
    earliest: Millis,
    /// How many say it.
    orders: u32,
    /// The others, and how many say each.
    later: BTreeMap<Millis, u32>,
}

impl Default for Since {
    fn default() -> Self {
        Since { earliest: Millis::MAX, orders: 0, later: BTreeMap::new() }
    }
}

impl Since {
    /// [`Millis::MAX`]: no order says any.
    pub fn earliest(&self) -> Millis {
        self.earliest
    }

    /// An order says it; [`Millis::MAX`] is none.
    pub fn add(&mut self, at: Millis) {
        if at == Millis::MAX {
            return;
        }
        if at < self.earliest {
            let (before, orders) = (mem::replace(&mut self.earliest, at), mem::replace(&mut self.orders, 1));
            if orders > 0 {
                self.later.insert(before, orders);
            }
        } else if at == self.earliest {
            self.orders += 1;
        } else {
            *self.later.entry(at).or_default() += 1;
        }
    }

    /// An order that said it doesn't any more.
    pub fn remove(&mut self, at: Millis) {
        if at == Millis::MAX {
            return;
        }
        if at == self.earliest {
            self.orders -= 1;
            if self.orders == 0 {
                (self.earliest, self.orders) = self.later.pop_first().unwrap_or((Millis::MAX, 0));
            }
        } else if let Some(orders) = self.later.get_mut(&at) {
            *orders -= 1;
            if *orders == 0 {
                self.later.remove(&at);
            }
        }
    }

    /// Bytes held beside its own.
    pub fn bytes(&self) -> usize {
        self.later.len() * ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_earliest_is_that_of_all_that_are_left(
            steps in prop::collection::vec((0_i64..8, any::<prop::sample::Index>(), prop::bool::weighted(0.6)), 0..200),
        ) {
            let (mut since, mut model) = (Since::default(), Vec::new());
            for (at, which, is_added) in steps {
                if is_added {
                    let at = if at == 0 { Millis::MAX } else { Millis(at) };
                    since.add(at);
                    model.push(at);
                } else if !model.is_empty() {
                    since.remove(model.swap_remove(which.index(model.len())));
                }
                prop_assert_eq!(since.earliest(), model.iter().copied().min().unwrap_or(Millis::MAX));
            }
            model.into_iter().for_each(|at| since.remove(at));
            prop_assert_eq!((since.earliest(), since.bytes()), (Millis::MAX, 0));
        }
    }
}
