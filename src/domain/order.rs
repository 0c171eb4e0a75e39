//! The figures of one order, net of its refunds.
//!
//! gross profit = revenue - cost of goods; operating profit = gross profit - operating cost. All refunds together never
//! take more than the revenue, nor recover more than the cost of goods. An estimated cost is that of the revenue before
//! refunds; an unknown one is 0 in the sums, and the order is then not covered.

use serde::{Deserialize, Serialize};

use crate::events::CostOfGoods;
use crate::money::{Micros, SCALE, Sum, adds_field_by_field};
use crate::settings::Settings;

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
}
