//! The customers stage's facts as bytes: key = kind, then the ids with their lengths; value = format version, then the
//! content. An order's fact holds what its figures depend on, not the event as it came.

use serde::{Deserialize, Serialize};

use crate::engine::FormatError;
use crate::events::{CostOfGoods, CustomerCostKind};
use crate::money::Micros;
use crate::time::Millis;

const VERSION: u8 = 1;
const MALFORMED: FormatError = FormatError::Malformed { what: "fact of a customer" };

/// A fact's identity: the first byte of its key says which kind follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Order { customer: &'a str, order: &'a str },
    Refund { customer: &'a str, order: &'a str, refund: &'a str },
    Cancellation { customer: &'a str, order: &'a str },
    Cost { customer: &'a str, cost: &'a str },
}

impl<'a> Key<'a> {
    pub fn write(&self, key: &mut Vec<u8>) {
        key.clear();
        let (kind, ids): (u8, &[&str]) = match self {
            Key::Order { customer, order } => (b'o', &[customer, order]),
            Key::Refund { customer, order, refund } => (b'r', &[customer, order, refund]),
            Key::Cancellation { customer, order } => (b'x', &[customer, order]),
            Key::Cost { customer, cost } => (b'c', &[customer, cost]),
        };
        key.push(kind);
        for id in ids {
            // Ids are at most 256 bytes.
            key.extend_from_slice(&(id.len() as u16).to_be_bytes());
            key.extend_from_slice(id.as_bytes());
        }
    }

    pub fn read(key: &'a [u8]) -> Result<Key<'a>, FormatError> {
        let (&kind, mut rest) = key.split_first().ok_or(MALFORMED)?;
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
            _ => return Err(MALFORMED),
        };
        if rest.is_empty() { Ok(key) } else { Err(MALFORMED) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct OrderFact<'a> {
    pub occurred_at: Millis,
    pub updated_at: Millis,
    pub revenue: Micros,
    pub cost_of_goods: CostOfGoods,
    pub operating_cost: Micros,
    pub items: i64,
    pub customer_since: Option<Millis>,
    pub digest: u64,
    pub sku: Option<&'a str>,
    #[serde(borrow)]
    pub touches: Vec<TouchFact<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct TouchFact<'a> {
    pub at: Millis,
    pub campaign: Option<&'a str>,
    pub channel: Option<&'a str>,
}

#[derive(Debug, Serialize, Deserialize)]
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

pub fn write(fact: &impl Serialize, value: &mut Vec<u8>) {
    value.clear();
    value.push(VERSION);
    if let Ok(written) = postcard::to_extend(fact, std::mem::take(value)) {
        *value = written;
    }
}

pub fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, FormatError> {
    match value.split_first() {
        Some((&VERSION, content)) => postcard::from_bytes(content).map_err(|_| MALFORMED),
        Some((&found, _)) => Err(FormatError::Version { found, known: VERSION }),
        None => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for key in [
            Key::Order { customer: "c", order: "" },
            Key::Refund { customer: "c", order: "o", refund: "r" },
            Key::Cancellation { customer: "c", order: "o" },
            Key::Cost { customer: "ü", cost: "k" },
        ] {
            key.write(&mut bytes);
            assert_eq!(Key::read(&bytes), Ok(key));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Key::read(&key);
            let _ = read::<OrderFact<'_>>(&value);
            let versioned = [&[VERSION], value.as_slice()].concat();
            let _ = (read::<OrderFact<'_>>(&versioned).is_ok(), read::<CostFact>(&versioned).is_ok());
        }
    }
}
