//! What is left of a customer's orders and costs once they are not kept one by one. Data only.

use super::acquisition::First;
use super::fingerprints::Fingerprints;
use crate::money::Sum;
use crate::time::Millis;

/// What is compacted of a customer's orders and costs. Their sums are in the customer's own.
#[derive(Debug)]
pub struct Compacted {
    /// Orders that counted.
    pub orders: u64,
    pub refunded_in_excess: u64,
    /// When the last of those orders was.
    pub last_at: Millis,
    pub first: Option<First>,
    pub costs: Option<Box<Costs>>,
    pub fingerprints: Fingerprints,
    /// Its memory as the sizes count it.
    pub counted: u32,
}

impl Default for Compacted {
    fn default() -> Self {
        Compacted {
            orders: 0,
            refunded_in_excess: 0,
            last_at: Millis::MIN,
            first: None,
            costs: None,
            fingerprints: Fingerprints::default(),
            counted: 0,
        }
    }
}

/// Sums of the compacted costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    pub acquisition: Sum,
    pub retention: Sum,
}

impl Compacted {
    /// Estimate of its memory.
    pub fn bytes(&self) -> usize {
        size_of::<Compacted>() + self.costs.as_ref().map_or(0, |_| size_of::<Costs>()) + self.fingerprints.bytes()
    }
}
