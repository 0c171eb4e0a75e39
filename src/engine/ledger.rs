//! What customers contribute to campaigns: sums that add up, hour by hour, sent as differences and kept as facts.

use serde::{Deserialize, Serialize};

use super::FormatError;
pub use crate::domain::order::OrderSums;
use crate::money::{Sum, adds_field_by_field};
use crate::time::Millis;

/// What customers contribute to one campaign in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LedgerSums {
    /// Touchpoints of orders with a share here; while there is one, the campaign has a record.
    pub shares: i64,
    /// Attributed orders, in millionths.
    pub orders: i64,
    pub attributed: OrderSums,
    /// The part of `attributed` that is of customers whom this campaign did not acquire.
    pub others: OrderSums,
    /// Attributed revenue of acquisition orders.
    pub new_customer_revenue: Sum,
    /// Customers acquired by an order of this hour.
    pub new_customers: i64,
    /// All orders to date of those customers.
    pub acquired: OrderSums,
    /// Acquisition costs of those customers.
    pub acquisition_cost: Sum,
}

/// The ledger bucket that a difference is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference<'a> {
    pub campaign_id: &'a str,
    /// Start of the hour, in the reporting time zone.
    pub hour: Millis,
    pub sums: LedgerSums,
}

const VERSION: u8 = 1;

/// Gathers differences into the payload of one destination partition.
#[derive(Debug)]
pub struct Payload(Vec<u8>);

impl Default for Payload {
    fn default() -> Self {
        Payload(vec![VERSION])
    }
}

impl Payload {
    pub fn push(&mut self, difference: &Difference<'_>) {
        let record = (difference.campaign_id, difference.hour, difference.sums);
        if let Ok(encoded) = postcard::to_allocvec(&record) {
            self.0.extend_from_slice(&encoded);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads the payload of one record.
///
/// # Errors
/// A newer version, or bytes that are no payload.
pub fn read_payload(payload: &[u8]) -> Result<Vec<Difference<'_>>, FormatError> {
    let (&version, mut rest) = payload.split_first().ok_or(FormatError::Malformed { what: "differences" })?;
    if version != VERSION {
        return Err(FormatError::Version { found: version, known: VERSION });
    }
    let mut differences = Vec::new();
    while !rest.is_empty() {
        let ((campaign_id, hour, sums), left) =
            postcard::take_from_bytes(rest).map_err(|_| FormatError::Malformed { what: "differences" })?;
        differences.push(Difference { campaign_id, hour, sums });
        rest = left;
    }
    Ok(differences)
}

adds_field_by_field!(LedgerSums {
    shares,
    orders,
    attributed,
    others,
    new_customer_revenue,
    new_customers,
    acquired,
    acquisition_cost
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_it_was_written() {
        let sums = LedgerSums { shares: 1, orders: -400_000, new_customer_revenue: Sum(-5), ..LedgerSums::default() };
        let differences = [
            Difference { campaign_id: "google:1", hour: Millis(3_600_000), sums },
            Difference { campaign_id: "", hour: Millis(-1), sums: -sums },
        ];
        let mut payload = Payload::default();
        assert!(payload.is_empty());
        differences.iter().for_each(|difference| payload.push(difference));
        assert_eq!(read_payload(payload.as_bytes()).unwrap(), differences);
        assert_eq!(read_payload(&[9]), Err(FormatError::Version { found: 9, known: 1 }));
        assert!(read_payload(&payload.as_bytes()[..9]).is_err());
    }
}
