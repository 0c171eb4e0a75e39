//! What a campaign's figures of one window say about it.

use serde::{Deserialize, Serialize};

use crate::money::{SCALE, Sum};
use crate::settings::VerdictRules;
use crate::time::Millis;

/// In the order in which they are tried: the first that holds is the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What has happened is not all in the figures yet.
    CatchingUp,
    /// Nothing was invested.
    NoSpend,
    /// Too many orders state no cost of goods.
    UnknownCost,
    /// A short window whose spend is not reported yet.
    SpendLate,
    /// Less was invested than `verdict.min_spend`.
    TooLittleData,
    /// The window's own profit pays the investment back.
    Profitable,
    /// Profit to date of the customers won pays it back: stopping it for its ROAS would be a mistake.
    InvestForLtv,
    /// Most of its new customers have had too little time to buy again.
    TooEarly,
    /// Revenue is above the investment, profit is not: it looks fine by ROAS and loses money.
    LosesOnMargin,
    /// Neither revenue nor value covers the investment.
    Deficit,
}

impl Verdict {
    /// All of them, in that order.
    pub const ALL: [Verdict; 10] = [
        Verdict::CatchingUp,
        Verdict::NoSpend,
        Verdict::UnknownCost,
        Verdict::SpendLate,
        Verdict::TooLittleData,
        Verdict::Profitable,
        Verdict::InvestForLtv,
        Verdict::TooEarly,
        Verdict::LosesOnMargin,
        Verdict::Deficit,
    ];

    /// As it is written in records and labels.
    pub fn code(self) -> &'static str {
        match self {
            Verdict::CatchingUp => "catching_up",
            Verdict::NoSpend => "no_spend",
            Verdict::UnknownCost => "unknown_cost",
            Verdict::SpendLate => "spend_late",
            Verdict::TooLittleData => "too_little_data",
            Verdict::Profitable => "profitable",
            Verdict::InvestForLtv => "invest_for_ltv",
            Verdict::TooEarly => "too_early",
            Verdict::LosesOnMargin => "loses_on_margin",
            Verdict::Deficit => "deficit",
        }
    }
}

/// What a verdict goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Something has waited for so long that it should be in the figures, and is not.
    pub catching_up: bool,
    /// What it cost.
    pub invested: Sum,
    /// Attributed profit of the window, by `verdict.profit`; `None` when costs are unknown.
    pub profit: Option<Sum>,
    /// Profit to date of the customers won, and the window's from others; `None` when costs are unknown.
    pub value: Option<Sum>,
    /// Attributed revenue of the window.
    pub revenue: Sum,
    /// Customers acquired in the window.
    pub new_customers: i64,
    /// Those of `new_customers` who were acquired at least `verdict.maturity_days` before today.
    pub mature_customers: i64,
    /// By [`spend_is_late`].
    pub spend_late: bool,
}

/// The verdict on `evidence`.
pub fn judge(evidence: &Evidence, rules: &VerdictRules) -> Verdict {
    let Evidence { invested, revenue, new_customers, mature_customers, .. } = *evidence;
    if evidence.catching_up {
        return Verdict::CatchingUp;
    }
    if invested == Sum::ZERO {
        return Verdict::NoSpend;
    }
    let (Some(profit), Some(value)) = (evidence.profit, evidence.value) else {
        return Verdict::UnknownCost;
    };
    if evidence.spend_late {
        Verdict::SpendLate
    } else if invested < Sum::from(rules.min_spend) {
        Verdict::TooLittleData
    } else if profit >= invested {
        Verdict::Profitable
    } else if value >= invested {
        Verdict::InvestForLtv
    } else if new_customers > 0 && i128::from(mature_customers) * 2 < i128::from(new_customers) {
        Verdict::TooEarly
    } else if revenue >= invested {
        Verdict::LosesOnMargin
    } else {
        Verdict::Deficit
    }
}

/// Whether a window `[from, to)` is too short to be judged with spend known only until `spend_through`: it has at most
/// 24 hours, and `spend_through` is before `as_of` - `verdict.max_spend_gap` x (`as_of` - `from`).
pub fn spend_is_late(
    from: Millis,
    to: Millis,
    as_of: Millis,
    spend_through: Option<Millis>,
    rules: &VerdictRules,
) -> bool {
    let Some(through) = spend_through else { return false };
    let behind = i128::from(as_of.0) - i128::from(through.0);
    let elapsed = i128::from(as_of.0) - i128::from(from.0);
    to.0 - from.0 <= Millis::DAY && behind * i128::from(SCALE) > i128::from(rules.max_spend_gap.0) * elapsed
}

/// The first moment at which [`spend_is_late`] in a window `[from, to)`; `None`: never, as long as the window stays where it
/// is.
pub fn late_from(from: Millis, to: Millis, spend_through: Millis, rules: &VerdictRules) -> Option<Millis> {
    if to.0 - from.0 > Millis::DAY {
        return None;
    }
    // as_of - through > gap x (as_of - from), solved for as_of.
    let (scale, gap) = (i128::from(SCALE), i128::from(rules.max_spend_gap.0));
    let (from, through) = (i128::from(from.0), i128::from(spend_through.0));
    let (numerator, denominator) = (through * scale - gap * from, scale - gap);
    if denominator <= 0 {
        return (from > through).then_some(Millis::MIN);
    }
    Some(Millis(saturated(numerator.div_euclid(denominator) + 1)).plus(0))
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Micros;

    const BASE: Evidence = Evidence {
        catching_up: false,
        invested: Sum(100),
        profit: Some(Sum(0)),
        value: Some(Sum(0)),
        revenue: Sum(0),
        new_customers: 0,
        mature_customers: 0,
        spend_late: false,
    };

    #[test]
    fn the_first_that_holds_is_the_verdict() {
        let rules = VerdictRules { min_spend: Micros(50), ..VerdictRules::default() };
        let all = Evidence { profit: Some(Sum(100)), value: Some(Sum(100)), revenue: Sum(100), ..BASE };
        let table = [
            (Evidence { catching_up: true, invested: Sum(0), profit: None, ..BASE }, Verdict::CatchingUp),
            (Evidence { catching_up: true, ..all }, Verdict::CatchingUp),
            (Evidence { invested: Sum(0), profit: None, spend_late: true, ..BASE }, Verdict::NoSpend),
            (Evidence { profit: None, spend_late: true, ..all }, Verdict::UnknownCost),
            (Evidence { value: None, spend_late: true, ..all }, Verdict::UnknownCost),
            (Evidence { invested: Sum(49), spend_late: true, ..all }, Verdict::SpendLate),
            (Evidence { invested: Sum(49), ..all }, Verdict::TooLittleData),
            (Evidence { invested: Sum(50), ..all }, Verdict::Profitable),
            (all, Verdict::Profitable),
            (Evidence { profit: Some(Sum(99)), new_customers: 4, ..all }, Verdict::InvestForLtv),
            (Evidence { value: Some(Sum(99)), revenue: Sum(100), new_customers: 4, ..BASE }, Verdict::TooEarly),
            (Evidence { new_customers: 5, mature_customers: 2, ..BASE }, Verdict::TooEarly),
            (Evidence { new_customers: 4, mature_customers: 2, ..BASE }, Verdict::Deficit),
            (Evidence { revenue: Sum(100), new_customers: 1, mature_customers: 1, ..BASE }, Verdict::LosesOnMargin),
            (Evidence { revenue: Sum(99), ..BASE }, Verdict::Deficit),
        ];
        for (evidence, verdict) in table {
            assert_eq!(judge(&evidence, &rules), verdict, "{evidence:?}");
        }
    }

    #[test]
    fn spend_is_late_when_more_than_the_gap_of_a_short_window_is_missing() {
        let rules = VerdictRules::default();
        let hour = |hours: i64| Millis(1_800_000_000_000).plus(hours * Millis::HOUR);
        let late = |to, through| spend_is_late(hour(0), hour(to), hour(20), through, &rules);
        assert!(!late(24, Some(hour(15))), "a quarter of 20 hours may be missing");
        assert!(late(24, Some(hour(15).plus(-1))));
        assert!(!late(25, Some(hour(0))), "longer windows are never late");
        assert!(!late(24, None), "without media spend there is nothing to wait for");
        let strict = VerdictRules { max_spend_gap: Micros::ZERO, ..rules };
        assert!(!spend_is_late(hour(0), hour(24), hour(20), Some(hour(20)), &strict));
        assert!(spend_is_late(hour(0), hour(24), hour(20), Some(hour(20).plus(-1)), &strict));
    }

    proptest! {
        #[test]
        fn spend_is_late_from_the_moment_on_that_is_said(
            (from, length, elapsed, through) in (0_i64..50_000, 1_i64..30 * Millis::HOUR, 0_i64..50_000, -50_000_i64..100_000),
            gap in prop_oneof![Just(0), Just(250_000), Just(1_000_000), 0_i64..=1_000_000],
        ) {
            let rules = VerdictRules { max_spend_gap: Micros(gap), ..VerdictRules::default() };
            let (from, to, through) = (Millis(from), Millis(from + length), Millis(through));
            let late = late_from(from, to, through, &rules);
            let edges = late.into_iter().flat_map(|late| [late.plus(-1), late]);
            for as_of in edges.chain([from.plus(elapsed)]).filter(|as_of| *as_of >= from) {
                let is_late = spend_is_late(from, to, as_of, Some(through), &rules);
                prop_assert_eq!(is_late, late.is_some_and(|late| as_of >= late), "as of {:?}, from {:?}", as_of, late);
            }
        }
    }

    #[test]
    fn codes_are_what_records_hold() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{}\"", verdict.code()));
        }
    }
}
