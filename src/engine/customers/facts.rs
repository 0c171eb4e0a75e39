//! The customers stage's facts as bytes: key = kind, then the ids with their lengths; value = format, then the
//! content. Those of orders are in [`order_fact`](super::order_fact).

use serde::{Deserialize, Serialize};

use crate::domain::spend::CustomerCostKind;
use crate::engine::FormatError;
use crate::engine::fact::FactKey;
use crate::engine::fact::append;
use crate::engine::ledger::{LedgerSums, OrderSums};
use crate::format::{self, Format};
use crate::money::{Micros, SCALE, Sum};
use crate::time::Millis;

pub const MALFORMED: FormatError = FormatError::Malformed { what: "fact of a customer" };

/// The first bytes of keys. Keys of no other kind are read.
pub const KINDS: &[u8] = b"orxcfkz";

/// A fact's identity: the first byte of its key says which kind follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Order {
        customer: &'a str,
        order: &'a str,
    },
    Refund {
        customer: &'a str,
        order: &'a str,
        refund: &'a str,
    },
    Cancellation {
        customer: &'a str,
        order: &'a str,
    },
    Cost {
        customer: &'a str,
        cost: &'a str,
    },
    /// What is not kept individually of a customer's orders and costs: a [`CompactedFact`].
    Compacted {
        customer: &'a str,
    },
    /// What these are known by: a block of [`super::fingerprints::Fingerprints`].
    Fingerprints {
        customer: &'a str,
        block: u16,
    },
    /// The partition's `Horizon`.
    Horizon,
}

impl FactKey for Key<'_> {
    fn write(&self, key: &mut Vec<u8>) {
        let (kind, ids): (u8, &[&str]) = match self {
            Key::Order { customer, order } => (b'o', &[customer, order]),
            Key::Refund { customer, order, refund } => (b'r', &[customer, order, refund]),
            Key::Cancellation { customer, order } => (b'x', &[customer, order]),
            Key::Cost { customer, cost } => (b'c', &[customer, cost]),
            Key::Compacted { customer } => (b'f', &[customer]),
            Key::Fingerprints { customer, .. } => (b'k', &[customer]),
            Key::Horizon => (b'z', &[]),
        };
        key.push(kind);
        for id in ids {
            // Ids are at most 256 bytes.
            key.extend_from_slice(&(id.len() as u16).to_be_bytes());
            key.extend_from_slice(id.as_bytes());
        }
        if let Key::Fingerprints { block, .. } = self {
            key.extend_from_slice(&block.to_be_bytes());
        }
    }
}

impl<'a> Key<'a> {
    pub fn read(key: &'a [u8]) -> Result<Key<'a>, FormatError> {
        let (&kind, mut rest) = key.split_first().filter(|(kind, _)| KINDS.contains(kind)).ok_or(MALFORMED)?;
        let mut next = || -> Result<&'a str, FormatError> {
            let (len, after) = rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
            let (id, after) = after.split_at_checked(u16::from_be_bytes(*len).into()).ok_or(MALFORMED)?;
            rest = after;
            std::str::from_utf8(id).map_err(|_| MALFORMED)
        };
        let key = match kind {
            b'o' => Key::Order { customer: next()?, order: next()? },
            b'r' => Key::Refund { customer: next()?, order: next()?, refund: next()? },
            b'x' => Key::Cancellation { customer: next()?, order: next()? },
            b'c' => Key::Cost { customer: next()?, cost: next()? },
            b'f' => Key::Compacted { customer: next()? },
            b'k' => {
                let customer = next()?;
                let (block, after) = rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
                rest = after;
                Key::Fingerprints { customer, block: u16::from_be_bytes(*block) }
            }
            b'z' => Key::Horizon,
            _ => return Err(MALFORMED),
        };
        if rest.is_empty() { Ok(key) } else { Err(MALFORMED) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RefundFact {
    pub occurred_at: Millis,
    pub amount: Micros,
    pub cost_recovered: Micros,
    pub digest: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CancellationFact {
    pub occurred_at: Millis,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CostFact {
    pub occurred_at: Millis,
    pub amount: Micros,
    pub kind: CustomerCostKind,
    pub digest: u64,
}

/// What is not kept individually of a customer's orders and costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CompactedFact<'a> {
    /// Those that counted, and of these, those that were refunded in excess.
    pub orders: u64,
    pub refunded_in_excess: u64,
    /// When the last of them was.
    pub last_at: Millis,
    pub sums: OrderSums,
    /// In millionths; format 1 has units.
    pub items: i128,
    pub acquisition_cost: Sum,
    pub retention_cost: Sum,
    #[serde(borrow)]
    pub first: Option<FirstFact<'a>>,
}

/// The customer's first order, and what followed from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FirstFact<'a> {
    pub at: Millis,
    pub since: Option<Millis>,
    pub known_before: bool,
    pub campaign: Option<&'a str>,
    pub channel: Option<&'a str>,
    pub sku: Option<&'a str>,
}

impl CompactedFact<'_> {
    /// As [`read`], within the bounds of a ledger's sums.
    pub fn read(value: &[u8]) -> Result<CompactedFact<'_>, FormatError> {
        let (format, content) = format::split(value, MALFORMED)?;
        let mut fact: CompactedFact<'_> = format::whole(content, MALFORMED)?;
        if format.number() == 1 {
            fact.items = fact.items.checked_mul(SCALE.into()).ok_or(MALFORMED)?;
        }
        let OrderSums { revenue, covered_revenue, gross_profit, operating_profit } = fact.sums;
        let sums = [revenue, covered_revenue, gross_profit, operating_profit, fact.acquisition_cost];
        let sums = sums.into_iter().chain([fact.retention_cost, Sum(fact.items)]);
        let within = sums.into_iter().all(|sum| sum.0.unsigned_abs() <= LedgerSums::MOST)
            && fact.refunded_in_excess <= fact.orders
            && fact.orders <= LedgerSums::MOST_COUNTED;
        if within { Ok(fact) } else { Err(MALFORMED) }
    }

    /// Appends the content of its fact.
    pub fn write(&self, format: Format, value: &mut Vec<u8>) {
        let items = if format.number() == 1 { self.items / i128::from(SCALE) } else { self.items };
        append(value, &CompactedFact { items, ..*self });
    }
}

/// Reads a fact's value.
///
/// # Errors
/// A newer version, or bytes that are no such fact.
pub fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, FormatError> {
    format::read(value, MALFORMED)
}

/// What follows the format.
pub fn content(value: &[u8]) -> Result<&[u8], FormatError> {
    format::split(value, MALFORMED).map(|(_, content)| content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::order::CostOfGoods;
    use crate::engine::customers::order_fact::OrderFact;
    use crate::engine::fact::write_value;
    use crate::format::Format;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let mut kinds = std::collections::BTreeSet::new();
        for key in [
            Key::Order { customer: "c", order: "" },
            Key::Refund { customer: "c", order: "o", refund: "r" },
            Key::Cancellation { customer: "c", order: "o" },
            Key::Cost { customer: "ü", cost: "k" },
            Key::Compacted { customer: "c" },
            Key::Fingerprints { customer: "c", block: 258 },
            Key::Horizon,
        ] {
            let mut bytes = Vec::new();
            key.write(&mut bytes);
            assert_eq!(Key::read(&bytes), Ok(key));
            kinds.insert(bytes[0]);
            bytes.push(0);
            assert_eq!(Key::read(&bytes), Err(MALFORMED));
        }
        assert!(kinds.len() == KINDS.len() && KINDS.iter().all(|kind| kinds.contains(kind)));
    }

    #[test]
    fn every_kind_is_documented() {
        let page = include_str!("../../../docs/facts.md");
        let (_, rest) = page.split_once("\n## Customers\n").unwrap();
        let section = rest.split("\n## ").next().unwrap();
        for &kind in KINDS {
            assert!(section.contains(&format!("\n| `{}`", kind as char)), "{}", kind as char);
        }
    }

    #[test]
    fn a_fact_is_read_to_the_last_byte() {
        let mut value = Vec::new();
        write_value(Format::default(), &mut value, |value| {
            append(value, &CancellationFact { occurred_at: Millis(-5) });
        });
        assert_eq!(read::<CancellationFact>(&value).map(|fact| fact.occurred_at), Ok(Millis(-5)));
        value.push(0);
        assert_eq!(read::<CancellationFact>(&value).map(|fact| fact.occurred_at), Err(MALFORMED));
    }

    #[test]
    fn enums_keep_the_numbers_under_which_they_are_stored() {
        let stored = |content: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            content(&mut bytes);
            bytes
        };
        let of_kind = CustomerCostKind::ALL.map(|kind| stored(&|bytes| append(bytes, &kind)));
        assert_eq!(of_kind, [[0], [1]]);
        let costs = [CostOfGoods::Unknown, CostOfGoods::Known(Micros(5)), CostOfGoods::Estimated(Micros(5))];
        let of_cost = costs.map(|cost| stored(&|bytes| append(bytes, &cost)));
        assert_eq!(of_cost, [&[0][..], &[1, 10], &[2, 10]]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Key::read(&key);
            for format in format::READS {
                let versioned = [&[format], value.as_slice()].concat();
                let _ = (CompactedFact::read(&versioned).is_ok(), OrderFact::read(&versioned).is_ok());
                let _ = read::<CostFact>(&versioned);
            }
        }
    }
}
