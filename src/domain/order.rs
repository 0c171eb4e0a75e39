//! The figures of one order: its revenue and cost of goods by what the shop states, and what is left of them after its
//! refunds.
//!
//! revenue = stated, else sum(quantity x unit price) - discount. cost of goods = stated, else sum(quantity x unit cost) when
//! there are items and each has a unit cost, else revenue x (1 - margin) when there is a margin, else unknown.
//!
//! gross profit = revenue - cost of goods; operating profit = gross profit - operating cost. All refunds together never
//! take more than the revenue, nor recover more than the cost of goods. An estimated cost is that of the revenue before
//! refunds; an unknown one is 0 in the sums, and the order is then not covered.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::money::{Micros, Rate, SCALE, Sum, adds_field_by_field, divide_half_even};
use crate::settings::{Currency, Settings};

/// A figure for each item; most orders have one or two.
pub type PerItem<T> = SmallVec<[T; 2]>;

/// The cost of an order's goods, before refunds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CostOfGoods {
    /// Not stated, and there is no margin to estimate it by. It is never taken for 0.
    #[default]
    Unknown,
    /// Stated, or summed from the items.
    Known(Micros),
    /// By `costs.default_margin`.
    Estimated(Micros),
}

/// The amounts of an order that is not in the reporting currency, before they were converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// That of the amounts.
    pub currency: Currency,
    /// At which they were converted.
    pub rate: Rate,
    /// Before refunds.
    pub revenue: Micros,
    /// Before refunds.
    pub cost_of_goods: CostOfGoods,
    /// What the order costs beside its goods.
    pub operating_cost: Micros,
}

/// Why what a shop states of an order comes to no revenue or cost that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There is neither a revenue nor an item.
    Unstated,
    /// The discount is greater than the items.
    Negative,
    /// It is over [`Micros::MAX`].
    TooLarge,
}

/// Quantity x unit price, or x unit cost, in micro-units: at most 10^9 x 9 x 10^18, and a thousand times as much in an order;
/// an `i128` holds both.
pub fn amount_of(quantity: i64, unit: Micros) -> i128 {
    i128::from(quantity) * i128::from(unit.0)
}

/// The revenue of an order whose items come to `amounts`, before refunds.
///
/// # Errors
/// It can't be told, or is out of range.
pub fn revenue(
    stated: Option<Micros>,
    amounts: impl ExactSizeIterator<Item = i128>,
    discount: Micros,
) -> Result<Micros, Unusable> {
    match stated {
        Some(stated) => Ok(stated),
        None if amounts.len() == 0 => Err(Unusable::Unstated),
        None => in_range(amounts.sum::<i128>() - i128::from(discount.0)),
    }
}

/// The cost of an order's goods, before refunds; `costs` are those of its items, as far as they are known.
///
/// # Errors
/// [`Unusable::TooLarge`].
pub fn cost_of_goods(
    stated: Option<Micros>,
    costs: impl ExactSizeIterator<Item = Option<i128>>,
    revenue: Micros,
    default_margin: Option<Micros>,
) -> Result<CostOfGoods, Unusable> {
    if let Some(stated) = stated {
        return Ok(CostOfGoods::Known(stated));
    }
    let sum = if costs.len() == 0 { None } else { costs.sum::<Option<i128>>() };
    match (sum, default_margin) {
        (Some(sum), _) => in_range(sum).map(CostOfGoods::Known),
        (None, Some(margin)) => Ok(CostOfGoods::Estimated(estimated_cost(revenue, margin))),
        (None, None) => Ok(CostOfGoods::Unknown),
    }
}

fn in_range(sum: i128) -> Result<Micros, Unusable> {
    match i64::try_from(sum).map(Micros) {
        _ if sum < 0 => Err(Unusable::Negative),
        Ok(sum) if sum <= Micros::MAX => Ok(sum),
        _ => Err(Unusable::TooLarge),
    }
}

/// revenue x (1 - margin), rounded half to even; the margin is 0 to 1, so the cost is at most the revenue.
fn estimated_cost(revenue: Micros, margin: Micros) -> Micros {
    let cost = i128::from(revenue.0) * i128::from(SCALE - margin.0);
    i64::try_from(divide_half_even(cost, i128::from(SCALE))).map_or(revenue, Micros)
}

/// Sums over orders, or shares of orders. Orders of unknown cost are in the profits with cost 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderSums {
    /// Net of refunds.
    pub revenue: Sum,
    /// Revenue of the orders whose cost of goods is known or estimated.
    pub covered_revenue: Sum,
    /// Revenue - cost of goods.
    pub gross_profit: Sum,
    /// Gross profit - operating cost.
    pub operating_profit: Sum,
}

adds_field_by_field!(OrderSums { revenue, covered_revenue, gross_profit, operating_profit });

/// Whether enough of the revenue is of known or estimated cost for a profit of these orders to be stated: coverage, which
/// is 1 where there is no revenue, is at least `costs.min_coverage`.
pub fn covered(settings: &Settings, sums: &OrderSums) -> bool {
    let needed = sums.revenue.0 * i128::from(settings.min_coverage.0);
    sums.revenue == Sum::ZERO || sums.covered_revenue.0 * i128::from(SCALE) >= needed
}

/// What the refunds of one order come to, before any limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refunded {
    /// Taken from the revenue.
    pub amount: Sum,
    /// Taken from the cost of goods.
    pub cost_recovered: Sum,
}

adds_field_by_field!(Refunded { amount, cost_recovered });

/// The figures of an order that counts.
pub fn figures(revenue: Micros, cost_of_goods: CostOfGoods, operating_cost: Micros, refunded: Refunded) -> OrderSums {
    let net = |gross: Micros, taken: Sum| Sum::from(gross) - taken.min(gross.into());
    let revenue = net(revenue, refunded.amount);
    let (covered_revenue, cost) = match cost_of_goods {
        CostOfGoods::Unknown => (Sum::ZERO, Sum::ZERO),
        CostOfGoods::Known(cost) | CostOfGoods::Estimated(cost) => (revenue, net(cost, refunded.cost_recovered)),
    };
    let gross_profit = revenue - cost;
    OrderSums { revenue, covered_revenue, gross_profit, operating_profit: gross_profit - operating_cost.into() }
}

/// Shares an order's revenue out to its items, by their amounts (quantity x unit price, at most 9 x 10^27 each): rounded
/// down, and what is left over by largest remainder (equal: the earlier item). By equal parts where all amounts are 0.
pub fn revenue_of_items(revenue: Micros, amounts: impl ExactSizeIterator<Item = i128> + Clone) -> PerItem<Micros> {
    if amounts.len() <= 1 {
        return amounts.map(|_| revenue).collect();
    }
    let total = u128::from(revenue.0.unsigned_abs());
    let whole: u128 = amounts.clone().map(i128::unsigned_abs).sum();
    let (whole, equal) = if whole == 0 { (amounts.len() as u128, true) } else { (whole, false) };
    let parts: PerItem<(u128, u128)> =
        amounts.map(|amount| product_divided(total, if equal { 1 } else { amount.unsigned_abs() }, whole)).collect();
    let mut shares: PerItem<Micros> = parts.iter().map(|&(share, _)| Micros(share as i64)).collect();
    // Less than one for each item.
    let left = total - parts.iter().map(|(share, _)| share).sum::<u128>();
    let mut by_remainder: PerItem<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|&item| Reverse(parts[item].1));
    by_remainder.iter().take(left as usize).for_each(|&item| shares[item].0 += 1);
    shares
}

/// `a` x `b` / `divisor` and what remains, for `a` under 2^64 and `b` <= `divisor` < 2^126, also where the product is too
/// large.
fn product_divided(a: u128, b: u128, divisor: u128) -> (u128, u128) {
    if let Some(product) = a.checked_mul(b) {
        return (product / divisor, product % divisor);
    }
    // Long multiplication, bit by bit, that never holds more than three divisors.
    let (mut quotient, mut rest) = (0, 0);
    for bit in (0..64).rev() {
        quotient <<= 1;
        rest = (rest << 1) + if a >> bit & 1 == 1 { b } else { 0 };
        quotient += rest / divisor;
        rest %= divisor;
    }
    (quotient, rest)
}

/// Whether the refunds exceed what there is to refund, so that a part of them is ignored.
pub fn refunded_in_excess(revenue: Micros, cost_of_goods: CostOfGoods, refunded: Refunded) -> bool {
    let cost = match cost_of_goods {
        CostOfGoods::Unknown => Micros::ZERO,
        CostOfGoods::Known(cost) | CostOfGoods::Estimated(cost) => cost,
    };
    refunded.amount > revenue.into() || refunded.cost_recovered > cost.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use CostOfGoods::{Estimated, Known, Unknown};

    #[test]
    fn revenue_is_as_stated_or_that_of_the_items_less_the_discount() {
        let most = i128::from(Micros::MAX.0);
        let largest = amount_of(1_000_000_000, Micros::MAX);
        // stated, of the items, discount
        type Stated<'a> = (Option<i64>, &'a [i128], i64);
        let table: [(Stated<'_>, Result<i64, Unusable>); 11] = [
            ((Some(50), &[], 0), Ok(50)),
            ((Some(50), &[60, 40], 10), Ok(50)),
            ((Some(0), &[60], 0), Ok(0)),
            ((None, &[60, 40], 10), Ok(90)),
            ((None, &[0], 0), Ok(0)),
            ((None, &[60], 60), Ok(0)),
            ((None, &[60], 61), Err(Unusable::Negative)),
            ((None, &[], 0), Err(Unusable::Unstated)),
            ((None, &[most, 5], 5), Ok(Micros::MAX.0)),
            ((None, &[most, 6], 5), Err(Unusable::TooLarge)),
            ((None, &[largest; 1_000], 0), Err(Unusable::TooLarge)),
        ];
        for ((stated, amounts, discount), expected) in table {
            let found = revenue(stated.map(Micros), amounts.iter().copied(), Micros(discount));
            assert_eq!(found, expected.map(Micros), "{stated:?} {amounts:?} {discount}");
        }
    }

    #[test]
    fn cost_of_goods_is_as_stated_or_that_of_the_items_or_estimated_or_unknown() {
        const MARGIN: Option<i64> = Some(300_000);
        let most = i128::from(Micros::MAX.0);
        // stated, of the items, default margin; the revenue is 101
        type Stated<'a> = (Option<i64>, &'a [Option<i128>], Option<i64>);
        let table: [(Stated<'_>, Result<CostOfGoods, Unusable>); 12] = [
            ((Some(20), &[Some(7)], MARGIN), Ok(Known(Micros(20)))),
            ((Some(0), &[], MARGIN), Ok(Known(Micros(0)))),
            ((None, &[Some(7), Some(3)], MARGIN), Ok(Known(Micros(10)))),
            ((None, &[Some(0)], None), Ok(Known(Micros(0)))),
            ((None, &[Some(7), None], MARGIN), Ok(Estimated(Micros(71)))),
            ((None, &[], MARGIN), Ok(Estimated(Micros(71)))),
            ((None, &[], Some(0)), Ok(Estimated(Micros(101)))),
            ((None, &[], Some(500_000)), Ok(Estimated(Micros(50)))),
            ((None, &[], Some(SCALE)), Ok(Estimated(Micros(0)))),
            ((None, &[Some(7), None], None), Ok(Unknown)),
            ((None, &[], None), Ok(Unknown)),
            ((None, &[Some(most), Some(1)], None), Err(Unusable::TooLarge)),
        ];
        for ((stated, costs, margin), expected) in table {
            let found = cost_of_goods(stated.map(Micros), costs.iter().copied(), Micros(101), margin.map(Micros));
            assert_eq!(found, expected, "{stated:?} {costs:?} {margin:?}");
        }
    }

    #[test]
    fn refunds_take_no_more_than_there_is() {
        // revenue, cost of goods, operating cost, refunded, recovered -> revenue, covered, gross, operating, excess
        let table = [
            (100, Known(Micros(60)), 10, 0, 0, [100, 100, 40, 30], false),
            (100, Known(Micros(60)), 10, 40, 20, [60, 60, 20, 10], false),
            (100, Known(Micros(60)), 10, 140, 0, [0, 0, -60, -70], true),
            (100, Known(Micros(60)), 10, 100, 90, [0, 0, 0, -10], true),
            (100, Estimated(Micros(70)), 0, 50, 0, [50, 50, -20, -20], false),
            (100, Unknown, 10, 30, 5, [70, 0, 70, 60], true),
        ];
        for (revenue, cost, operating, amount, recovered, expected, excess) in table {
            let refunded = Refunded { amount: Sum(amount), cost_recovered: Sum(recovered) };
            let sums = figures(Micros(revenue), cost, Micros(operating), refunded);
            let found = [sums.revenue, sums.covered_revenue, sums.gross_profit, sums.operating_profit].map(|sum| sum.0);
            assert_eq!(found, expected, "{revenue} {cost:?} {refunded:?}");
            assert_eq!(refunded_in_excess(Micros(revenue), cost, refunded), excess);
        }
    }

    #[test]
    fn the_largest_amounts_do_not_overflow() {
        let refunded = Refunded { amount: Sum::ZERO, cost_recovered: Sum::ZERO };
        let sums = figures(Micros::ZERO, Known(Micros::MAX), Micros::MAX, refunded);
        assert_eq!(sums.operating_profit, Sum(-2 * i128::from(Micros::MAX.0)));
    }

    #[test]
    fn revenue_is_shared_out_to_items_by_their_amounts() {
        let table: [(i64, &[i128], &[i64]); 9] = [
            (100, &[], &[]),
            (100, &[7], &[100]),
            (100, &[0], &[100]),
            (90, &[60, 40], &[54, 36]),
            (100, &[1, 1, 1], &[34, 33, 33]),
            (100, &[1, 2, 3], &[17, 33, 50]),
            (101, &[0, 0], &[51, 50]),
            (5, &[0, 3], &[0, 5]),
            (0, &[3, 3], &[0, 0]),
        ];
        for (revenue, amounts, expected) in table {
            let shares = revenue_of_items(Micros(revenue), amounts.iter().copied());
            assert_eq!(shares.iter().map(|share| share.0).collect::<Vec<_>>(), expected, "{revenue} by {amounts:?}");
        }
    }

    #[test]
    fn the_largest_items_share_to_the_last_micro_unit() {
        let largest = 9 * 10_i128.pow(27);
        let shares = revenue_of_items(Micros::MAX, [largest; 1_000].into_iter());
        assert!(shares.iter().all(|share| *share == Micros(Micros::MAX.0 / 1_000)));
        let shares = revenue_of_items(Micros::MAX, [largest, 1, largest].into_iter());
        assert_eq!(shares.as_slice(), [Micros(Micros::MAX.0 / 2), Micros(0), Micros(Micros::MAX.0 / 2)]);
        let product = product_divided(u128::from(u64::MAX), largest.unsigned_abs() - 1, largest.unsigned_abs());
        // u64::MAX x (1 - 1 / divisor): one less, and the divisor less u64::MAX over.
        assert_eq!(product, (u128::from(u64::MAX) - 1, largest.unsigned_abs() - u128::from(u64::MAX)));
    }
}
