//! What a campaign's hours, days and windows hold: sums from customers ([`LedgerSums`]) and sums from spend events.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::engine::ledger::{LedgerSums, read_number, write_number};
use crate::money::{SCALE, Sum, adds_field_by_field};

/// Sums over booked spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpendSums {
    /// Amounts of kind `media`.
    pub media: Sum,
    /// Amounts of all kinds.
    pub all: Sum,
    pub impressions: i128,
    pub clicks: i128,
    pub reported_revenue: Sum,
    /// Hours covered by current reports that state `reported_revenue`, be it 0: one a report and hour.
    pub reporting: i64,
}

adds_field_by_field!(SpendSums { media, all, impressions, clicks, reported_revenue, reporting });

/// Everything that figures are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    pub ledger: LedgerSums,
    pub spend: SpendSums,
}

adds_field_by_field!(Totals { ledger, spend });

impl Totals {
    /// Whether customers have given anything.
    pub fn has_ledger(&self) -> bool {
        self.ledger != LedgerSums::default()
    }

    const FIELDS: usize = LedgerSums::FIELDS + 6;

    /// Appends them in as few bytes as they take: a mask says which are not zero, and these follow. Some are told as what they
    /// differ by from another that they mostly are; money that is all of whole cents is told in cents.
    pub fn pack(&self, to: &mut Vec<u8>) {
        let mut fields = [0; Self::FIELDS];
        let (of_ledger, of_spend) = fields.split_at_mut(LedgerSums::FIELDS);
        of_ledger.copy_from_slice(&self.ledger.fields());
        let SpendSums { media, all, impressions, clicks, reported_revenue, reporting } = self.spend;
        of_spend.copy_from_slice(&[media.0, all.0, impressions, clicks, reported_revenue.0, reporting.into()]);
        for (field, other, times) in ALIKE {
            fields[field] -= fields[other] * times;
        }
        let mut mask = fields.iter().rev().fold(0_u32, |mask, field| mask << 1 | u32::from(*field != 0));
        if MONEY.iter().all(|&field| i64::try_from(fields[field]).is_ok_and(|money| money % CENT == 0)) {
            mask |= IN_CENTS;
            MONEY.iter().for_each(|&field| fields[field] = (fields[field] as i64 / CENT).into());
        }
        to.extend_from_slice(&mask.to_le_bytes()[..3]);
        fields.into_iter().filter(|field| *field != 0).for_each(|field| write_number(field, to));
    }

    /// Of what [`Totals::pack`] has appended.
    pub fn unpack(packed: &[u8]) -> Totals {
        let mut fields = [0; Self::FIELDS];
        let Some((mask, mut rest)) = packed.split_first_chunk::<3>() else { return Totals::default() };
        let mask = u32::from_le_bytes([mask[0], mask[1], mask[2], 0]);
        for (_, field) in fields.iter_mut().enumerate().filter(|(index, _)| mask >> index & 1 == 1) {
            *field = read_number(&mut rest).unwrap_or_default();
        }
        if mask & IN_CENTS != 0 {
            MONEY.iter().for_each(|&field| fields[field] *= i128::from(CENT));
        }
        for (field, other, times) in ALIKE {
            fields[field] += fields[other] * times;
        }
        let (of_ledger, of_spend) = fields.split_at(LedgerSums::FIELDS);
        let mut ledger = [0; LedgerSums::FIELDS];
        ledger.copy_from_slice(of_ledger);
        let spend = SpendSums {
            media: Sum(of_spend[0]),
            all: Sum(of_spend[1]),
            impressions: of_spend[2],
            clicks: of_spend[3],
            reported_revenue: Sum(of_spend[4]),
            reporting: of_spend[5] as i64,
        };
        Totals { ledger: LedgerSums::of_fields(ledger), spend }
    }
}

/// A field, and of which other it mostly is so many times as much: an order is there whole, its cost is known, and what is
/// spent is spent on media.
const ALIKE: [(usize, usize, i128); 5] = [(1, 0, SCALE as i128), (3, 2, 1), (7, 6, 1), (13, 12, 1), (18, 17, 1)];

/// The fields that are money.
const MONEY: [usize; 17] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 21];

/// In micro-units.
const CENT: i64 = SCALE / 100;

/// In the mask, behind the fields.
const IN_CENTS: u32 = 1 << Totals::FIELDS;

/// One half of [`Totals`], as it is booked.
pub trait Part: Copy + Default + PartialEq + AddAssign {
    fn half(totals: &mut Totals) -> &mut Self;
    fn new_customers(&self) -> i64;
}

impl Part for LedgerSums {
    fn half(totals: &mut Totals) -> &mut LedgerSums {
        &mut totals.ledger
    }

    fn new_customers(&self) -> i64 {
        self.new_customers
    }
}

impl Part for SpendSums {
    fn half(totals: &mut Totals) -> &mut SpendSums {
        &mut totals.spend
    }

    fn new_customers(&self) -> i64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::ledger::OrderSums;

    fn order_sums(values: [i64; 4]) -> OrderSums {
        let [revenue, covered_revenue, gross_profit, operating_profit] = values.map(|value| Sum(value.into()));
        OrderSums { revenue, covered_revenue, gross_profit, operating_profit }
    }

    #[test]
    fn a_day_as_most_are_takes_little() {
        let orders = order_sums([61_728_350_000, 61_728_350_000, 24_691_340_000, 22_691_340_000]);
        let ledger = LedgerSums {
            shares: 500,
            orders: 500_000_000,
            attributed: orders,
            others: orders,
            new_customer_revenue: Sum(30_000_000_000),
            new_customers: 200,
            acquired: orders,
            acquisition_cost: Sum(0),
        };
        let (media, clicks) = (Sum(9_000_000_000), 12_000);
        let spend = SpendSums { media, all: media, impressions: 900_000, clicks, ..SpendSums::default() };
        let mut packed = Vec::new();
        Totals { ledger, spend }.pack(&mut packed);
        assert!(packed.len() < 60 && size_of::<Totals>() > 300, "{} bytes", packed.len());
    }

    proptest! {
        #[test]
        fn totals_are_unpacked_as_they_were_packed(
            attributed in any::<[i64; 4]>(),
            others in any::<[i64; 4]>(),
            acquired in any::<[i64; 4]>(),
            counts in any::<[i64; 4]>(),
            money in any::<[i64; 5]>(),
            which in any::<u8>(),
            unit in prop_oneof![Just(1), Just(CENT), Just(100 * CENT)],
        ) {
            let money = money.map(|money| money / CENT / 200 * unit);
            let [attributed, others, acquired] = [attributed, others, acquired].map(|sums| sums.map(|sum| sum / CENT / 200 * unit));
            let if_in = |bit: u8, totals: Totals| if which >> bit & 1 == 1 { totals } else { Totals::default() };
            let ledger = LedgerSums {
                shares: counts[0],
                orders: counts[1],
                attributed: order_sums(attributed),
                others: order_sums(others),
                new_customer_revenue: Sum(money[0].into()),
                new_customers: counts[2],
                acquired: order_sums(acquired),
                acquisition_cost: Sum(money[1].into()),
            };
            let spend = SpendSums {
                media: Sum(money[2].into()),
                all: Sum(money[3].into()),
                impressions: i128::from(money[4]) << 20,
                clicks: money[0].into(),
                reported_revenue: Sum(money[4].into()),
                reporting: counts[3],
            };
            let totals = if_in(0, Totals { ledger, ..Totals::default() }) + if_in(1, Totals { spend, ..Totals::default() });
            let mut packed = Vec::new();
            totals.pack(&mut packed);
            prop_assert_eq!(Totals::unpack(&packed), totals);
        }
    }
}
