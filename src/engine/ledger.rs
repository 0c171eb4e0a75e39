//! What customers contribute to campaigns: sums that add up, hour by hour, sent as differences and kept as facts.

use super::FormatError;
pub use crate::domain::order::OrderSums;
use crate::format::{self, Format};
use crate::money::{Sum, adds_field_by_field};
use crate::time::Millis;

/// What customers contribute to one campaign in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LedgerSums {
    /// Touchpoints of orders with a share here; while there is one, the campaign has a record.
    pub shares: i64,
    /// Attributed orders, in millionths.
    pub orders: i64,
    /// Shares of orders by attribution.
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
    /// The campaign.
    pub campaign_id: &'a str,
    /// Start of the hour, in the reporting time zone.
    pub hour: Millis,
    /// What is to be added there.
    pub sums: LedgerSums,
}

const MALFORMED: FormatError = FormatError::Malformed { what: "ledger" };

/// Gathers differences into the payload of one destination partition.
#[derive(Debug)]
pub struct Payload(Vec<u8>);

impl Default for Payload {
    fn default() -> Self {
        Payload::new(Format::default())
    }
}

impl Payload {
    /// Of this format, with nothing in it.
    pub fn new(format: Format) -> Payload {
        Payload(vec![format.number()])
    }

    /// Appends one.
    pub fn push(&mut self, difference: &Difference<'_>) {
        let id = difference.campaign_id.as_bytes();
        write_number(id.len() as i128, &mut self.0);
        self.0.extend_from_slice(id);
        write_number(difference.hour.0.into(), &mut self.0);
        difference.sums.write(&mut self.0);
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    /// What goes to [`read_payload`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads the payload of one record.
///
/// # Errors
/// A newer version, or bytes that are no payload.
pub fn read_payload(payload: &[u8]) -> Result<Vec<Difference<'_>>, FormatError> {
    let (_, mut rest) = format::split(payload, MALFORMED)?;
    let mut differences = Vec::new();
    while !rest.is_empty() {
        differences.push(read_difference(&mut rest).ok_or(MALFORMED)?);
    }
    Ok(differences)
}

fn read_difference<'a>(bytes: &mut &'a [u8]) -> Option<Difference<'a>> {
    let length = usize::try_from(read_number(bytes)?).ok()?;
    let (id, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let campaign_id = std::str::from_utf8(id).ok()?;
    let hour = Some(Millis(i64::try_from(read_number(bytes)?).ok()?)).filter(|hour| hour.is_storable())?;
    Some(Difference { campaign_id, hour, sums: LedgerSums::read(bytes)? })
}

/// One order changes few of the sums, and most are small: a mask says which are not zero, and these follow. Every change
/// of an order is written and read twice over (as a difference, then as a fact), so this is much of its cost.
impl LedgerSums {
    pub(super) const FIELDS: usize = 17;
    /// The largest sum of money that is read: 8 x 10^9 orders of the largest amount. So that what is added up of stored sums,
    /// and multiplied for a ratio, fits.
    pub const MOST: u128 = 1 << 96;
    /// The largest count that is read: 10^9 orders, in millionths.
    pub const MOST_COUNTED: u64 = 1 << 50;

    /// Appends them; [`LedgerSums::read`] takes them off again.
    pub fn write(&self, to: &mut Vec<u8>) {
        let fields = self.fields();
        let mask = fields.iter().rev().fold(0_u32, |mask, field| mask << 1 | u32::from(*field != 0));
        to.extend_from_slice(&mask.to_le_bytes()[..3]);
        for field in fields.into_iter().filter(|field| *field != 0) {
            write_number(field, to);
        }
    }

    /// Takes sums off the front; `None` when there are none.
    pub fn read(bytes: &mut &[u8]) -> Option<LedgerSums> {
        let (mask, rest) = bytes.split_first_chunk::<3>()?;
        let mask = u32::from_le_bytes([mask[0], mask[1], mask[2], 0]);
        *bytes = rest;
        if mask >> Self::FIELDS != 0 {
            return None;
        }
        let mut fields = [0; Self::FIELDS];
        for (_, field) in fields.iter_mut().enumerate().filter(|(index, _)| mask >> index & 1 == 1) {
            *field = read_number(bytes)?;
        }
        Self::from_fields(fields)
    }

    /// All of them, in the order in which they are written.
    pub(super) fn fields(&self) -> [i128; Self::FIELDS] {
        let LedgerSums { attributed, others, acquired, .. } = self;
        [
            self.shares.into(),
            self.orders.into(),
            attributed.revenue.0,
            attributed.covered_revenue.0,
            attributed.gross_profit.0,
            attributed.operating_profit.0,
            others.revenue.0,
            others.covered_revenue.0,
            others.gross_profit.0,
            others.operating_profit.0,
            self.new_customer_revenue.0,
            self.new_customers.into(),
            acquired.revenue.0,
            acquired.covered_revenue.0,
            acquired.gross_profit.0,
            acquired.operating_profit.0,
            self.acquisition_cost.0,
        ]
    }

    fn from_fields(fields: [i128; Self::FIELDS]) -> Option<LedgerSums> {
        let counts = [fields[0], fields[1], fields[11]];
        let within = fields.iter().all(|field| field.unsigned_abs() <= Self::MOST)
            && counts.iter().all(|count| count.unsigned_abs() <= Self::MOST_COUNTED.into());
        within.then(|| Self::of_fields(fields))
    }

    /// Of what [`LedgerSums::fields`] has given.
    pub(super) fn of_fields(fields: [i128; Self::FIELDS]) -> LedgerSums {
        let order_sums = |first: usize| OrderSums {
            revenue: Sum(fields[first]),
            covered_revenue: Sum(fields[first + 1]),
            gross_profit: Sum(fields[first + 2]),
            operating_profit: Sum(fields[first + 3]),
        };
        LedgerSums {
            shares: fields[0] as i64,
            orders: fields[1] as i64,
            attributed: order_sums(2),
            others: order_sums(6),
            new_customer_revenue: Sum(fields[10]),
            new_customers: fields[11] as i64,
            acquired: order_sums(12),
            acquisition_cost: Sum(fields[16]),
        }
    }
}

/// Seven bits a byte, the lowest first, the sign in the lowest of all.
pub(super) fn write_number(number: i128, to: &mut Vec<u8>) {
    let mut bytes = [0_u8; 19];
    let mut length = 0;
    let zigzag = (number << 1 ^ number >> 127) as u128;
    // Nearly every number has at most 64 bits; arithmetic on more is slow.
    let mut rest = match u64::try_from(zigzag) {
        Ok(short) => short,
        Err(_) => {
            let mut long = zigzag;
            while long > u128::from(u64::MAX) {
                bytes[length] = long as u8 | 0x80;
                length += 1;
                long >>= 7;
            }
            long as u64
        }
    };
    while rest > 0x7f {
        bytes[length] = rest as u8 | 0x80;
        length += 1;
        rest >>= 7;
    }
    bytes[length] = rest as u8;
    to.extend_from_slice(&bytes[..=length]);
}

/// Takes a number off the front that [`write_number`] has appended.
pub(super) fn read_number(bytes: &mut &[u8]) -> Option<i128> {
    let length = bytes.iter().take(19).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let zigzag = if length <= 9 {
        u128::from(number.iter().rev().fold(0_u64, |number, byte| number << 7 | u64::from(byte & 0x7f)))
    } else {
        if length == 19 && number.last().is_some_and(|last| *last > 3) {
            return None;
        }
        number.iter().rev().fold(0_u128, |number, byte| number << 7 | u128::from(byte & 0x7f))
    };
    Some((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
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
    use proptest::prelude::*;

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
        assert_eq!(read_payload(&[9]), Err(FormatError::Version { found: 9, known: *format::READS.end() }));
        for end in 1..payload.as_bytes().len() {
            let read = read_payload(&payload.as_bytes()[..end]);
            assert!(read.is_err() || read.is_ok_and(|read| read.len() < 2), "{end}");
        }
    }

    proptest! {
        #[test]
        fn sums_are_read_as_they_were_written(values in prop::array::uniform17((any::<i128>(), 0_u32..128)), after in any::<u8>()) {
            let fields = values.map(|(value, shift)| value.checked_shr(shift).unwrap_or(0));
            let Some(sums) = LedgerSums::from_fields(fields) else { return Ok(()) };
            let mut bytes = Vec::new();
            sums.write(&mut bytes);
            bytes.push(after);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(LedgerSums::read(&mut rest), Some(sums));
            prop_assert_eq!(rest, &[after]);
        }

        #[test]
        fn numbers_are_read_as_they_were_written(value in any::<i128>(), shift in 0_u32..128) {
            let number = value >> shift.min(127);
            let mut bytes = Vec::new();
            write_number(number, &mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(read_number(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_payload(&[&[format::WRITES], bytes.as_slice()].concat());
            let _ = LedgerSums::read(&mut bytes.as_slice());
        }
    }
}
