//! How an order's figures are shared among the touchpoints before it, and which of them acquired its customer.
//!
//! Who takes part: the touchpoints at most the lookback before the order; of these, ones that name no campaign and
//! whose channel is ignored (`direct`) only when no other is left. Each has a weight by the model; a figure is split in
//! proportion to the weights, rounded down, and what is left over goes by largest remainder, so that the shares always
//! sum to the whole.

use smallvec::SmallVec;

use crate::money::divide_half_even;
use crate::settings::{Attribution, Model};
use crate::time::Millis;

/// A weight or a share for each touchpoint; orders rarely have more than four.
pub type PerTouch<T> = SmallVec<[T; 4]>;

/// Full weight of `time_decay`, and the sum of the weights of `position`.
const UNIT: u64 = 1_000_000_000;

/// Leaves those of `touches` that take part in the attribution of an order at `ordered_at`. `ignorable` says of one that
/// it names no campaign and its channel is ignored.
pub fn participants<T>(
    touches: &mut PerTouch<T>,
    attribution: &Attribution,
    ordered_at: Millis,
    at: impl Fn(&T) -> Millis,
    ignorable: impl Fn(&T) -> bool,
) {
    touches.retain(|touch| ordered_at.0.saturating_sub(at(touch).0) <= attribution.lookback);
    if touches.iter().any(|touch| !ignorable(touch)) {
        touches.retain(|touch| !ignorable(touch));
    }
}

/// The weights of the touchpoints at `moments` (in order of time) for an order at `ordered_at`.
pub fn weights(
    attribution: &Attribution,
    ordered_at: Millis,
    moments: impl ExactSizeIterator<Item = Millis>,
) -> PerTouch<u64> {
    let count = moments.len();
    let last = count.saturating_sub(1);
    let at_index = |weight: &dyn Fn(usize) -> u64| (0..count).map(weight).collect();
    match attribution.model {
        Model::Last => at_index(&|i| u64::from(i == last)),
        Model::First => at_index(&|i| u64::from(i == 0)),
        Model::Linear => at_index(&|_| 1),
        Model::Position if count <= 2 => at_index(&|_| 1),
        // 40 % and 40 % at the ends, 20 % by equal parts between: all multiplied by the number in between.
        Model::Position => at_index(&|i| if i == 0 || i == last { 2 * (count as u64 - 2) } else { 1 }),
        Model::TimeDecay => moments.map(|at| decayed(ordered_at.0 - at.0, attribution.half_life)).collect(),
    }
}

/// The integer nearest to 10^9 x 2^(-age / half-life), at least 1.
///
/// In whole numbers, since what was sent with one build's weights is taken back with another's: `f64::exp2` may differ
/// between platforms. 2^(-x) = e^(-x ln 2) by its series, in fixed point of 62 bits.
fn decayed(age: i64, half_life: i64) -> u64 {
    const BITS: u32 = 62;
    /// ln 2 x 2^62, rounded.
    const LN_2: i128 = 3_196_577_161_300_663_915;
    let (age, half_life) = (i128::from(age.max(0)), i128::from(half_life.max(1)));
    let halvings = age / half_life;
    if halvings > 30 {
        return 1;
    }
    let exponent = LN_2 * (age % half_life) / half_life;
    let mut term: i128 = 1 << BITS;
    let mut power = term;
    for k in 1.. {
        term = -((term * exponent) >> BITS) / k;
        if term == 0 {
            break;
        }
        power += term;
    }
    let weight = divide_half_even(power * i128::from(UNIT), 1 << (i128::from(BITS) + halvings));
    u64::try_from(weight).unwrap_or(UNIT).max(1)
}

/// Splits `total` by `weights` (not all 0): shares rounded toward minus infinity, then one more each by largest
/// remainder; of equal ones the earlier.
pub fn split(total: i128, weights: &[u64]) -> PerTouch<i128> {
    let whole: i128 = weights.iter().map(|&weight| i128::from(weight)).sum();
    if whole == 0 {
        return weights.iter().map(|_| 0).collect();
    }
    let parts = weights.iter().map(|&weight| total * i128::from(weight));
    let mut shares: PerTouch<i128> = parts.clone().map(|part| part.div_euclid(whole)).collect();
    let left = total - shares.iter().sum::<i128>();
    if left > 0 {
        let mut by_remainder: PerTouch<(i128, usize)> =
            parts.enumerate().map(|(i, part)| (-part.rem_euclid(whole), i)).collect();
        by_remainder.sort_unstable();
        for &(_, i) in by_remainder.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            shares[i] += 1;
        }
    }
    shares
}

/// Which of the touchpoints that take part acquired the customer, if this is the acquisition order: of those that name a
/// campaign, under `last` the last, under `first` the first, else the one of the largest weight (equal: the later).
pub fn acquiring(model: Model, weights: &[u64], names_campaign: impl Fn(usize) -> bool) -> Option<usize> {
    let mut named = (0..weights.len()).filter(|&i| names_campaign(i));
    match model {
        Model::First => named.next(),
        Model::Last => named.next_back(),
        Model::Linear | Model::Position | Model::TimeDecay => named.max_by_key(|&i| (weights[i], i)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(model: Model) -> Attribution {
        Attribution { model, ..Attribution::default() }
    }

    fn days_before(ages: &[i64]) -> impl ExactSizeIterator<Item = Millis> {
        ages.iter().map(|age| Millis(-age * Millis::DAY)).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn each_model_splits_as_its_table_says() {
        let table: [(Model, &[i64], &[i128]); 9] = [
            (Model::Last, &[9, 2, 0], &[0, 0, 1_000]),
            (Model::First, &[9, 2, 0], &[1_000, 0, 0]),
            (Model::Linear, &[9, 2, 0], &[334, 333, 333]),
            (Model::Position, &[9], &[1_000]),
            (Model::Position, &[9, 0], &[500, 500]),
            (Model::Position, &[9, 2, 0], &[400, 200, 400]),
            (Model::Position, &[9, 5, 2, 0], &[400, 100, 100, 400]),
            (Model::TimeDecay, &[7, 0], &[333, 667]),
            (Model::TimeDecay, &[14, 7, 0], &[143, 286, 571]),
        ];
        for (model, ages, shares) in table {
            let weights = weights(&by(model), Millis(0), days_before(ages));
            assert_eq!(split(1_000, &weights).as_slice(), shares, "{model:?} {ages:?}");
        }
    }

    #[test]
    fn shares_of_a_loss_are_rounded_down_too_and_sum_to_it() {
        assert_eq!(split(-100, &[1, 1, 1]).as_slice(), [-33, -33, -34]);
        assert_eq!(split(2, &[1, 1, 1]).as_slice(), [1, 1, 0]);
        let largest = 9_000_000_000_000_000_000_i128;
        assert_eq!(split(-largest, &[UNIT; 101]).iter().sum::<i128>(), -largest);
    }

    #[test]
    fn decay_never_reaches_nothing() {
        assert_eq!(decayed(0, 7), 1_000_000_000);
        assert_eq!(decayed(7, 7), 500_000_000);
        assert_eq!(decayed(70, 7), 976_562, "976,562.5 is nearest to two integers: the even one");
        assert_eq!(decayed(i64::MAX, 1), 1);
    }

    #[test]
    fn the_lookback_includes_its_edge_and_direct_counts_only_alone() {
        let attribution = by(Model::Last);
        let edge = 30 * Millis::DAY;
        let left = |touches: &[(i64, bool)]| {
            let mut touches = PerTouch::from_slice(touches);
            participants(&mut touches, &attribution, Millis(0), |touch| Millis(touch.0), |touch| touch.1);
            touches.into_vec()
        };
        assert_eq!(left(&[(-edge - 1, false), (-edge, false), (0, true)]), [(-edge, false)]);
        assert_eq!(left(&[(-edge - 1, false), (-5, true), (0, true)]), [(-5, true), (0, true)]);
    }

    #[test]
    fn the_acquiring_touchpoint_names_a_campaign() {
        let named = |i: usize| i != 2;
        assert_eq!(acquiring(Model::Last, &[0, 0, 1], named), Some(1));
        assert_eq!(acquiring(Model::First, &[1, 0, 0], named), Some(0));
        assert_eq!(acquiring(Model::Linear, &[1, 1, 1], named), Some(1), "equal weights: the later");
        assert_eq!(acquiring(Model::Position, &[2, 1, 2], named), Some(0));
        assert_eq!(acquiring(Model::TimeDecay, &[3], |_| false), None);
    }
}
