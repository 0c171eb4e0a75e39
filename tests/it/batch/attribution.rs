//! Which touchpoints an order is shared among, by what weights, and who acquired its customer.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::events::{Purchase, Touchpoint};
use super::exact;
use super::{Config, Model};

/// The touchpoints that take part, in order of time, with their weights (some of them 0).
pub fn weighted<'a>(purchase: &'a Purchase, config: &Config) -> Vec<(&'a Touchpoint, i128)> {
    let earliest = purchase.at - config.lookback;
    let recent: Vec<&Touchpoint> = purchase.touchpoints.iter().filter(|touch| touch.at >= earliest).collect();
    let ignored = |touch: &Touchpoint| {
        let channel = touch.channel.as_ref();
        touch.campaign.is_none() && channel.is_some_and(|channel| config.ignore_channels.contains(channel))
    };
    let heeded: Vec<&Touchpoint> = recent.iter().copied().filter(|touch| !ignored(touch)).collect();
    let taking_part = if heeded.is_empty() { recent } else { heeded };

    let number = taking_part.len();
    let weight = |place: usize, touch: &Touchpoint| {
        let (first, last) = (place == 0, place + 1 == number);
        match config.model {
            Model::Last => i128::from(last),
            Model::First => i128::from(first),
            Model::Linear => 1,
            // 40 %, 20 % / (number - 2) each, 40 %: times (number - 2) / 20 %.
            Model::Position if number > 2 && (first || last) => 2 * (number as i128 - 2),
            Model::Position => 1,
            Model::TimeDecay => decayed(purchase.at - touch.at, config.half_life),
        }
    };
    taking_part.iter().enumerate().map(|(place, touch)| (*touch, weight(place, touch))).collect()
}

/// The integer nearest to 10^9 x 2^(-age/half-life), at least 1.
fn decayed(age: i64, half_life: i64) -> i128 {
    // Fixed point of 200 bits: 2^(-whole) by shifting, 2^(-rest) = e^(-rest ln 2) by its series, ln 2 = sum of 1/(k 2^k).
    const BITS: u32 = 200;
    let one: BigInt = BigInt::from(1) << BITS;
    let ln_2: BigInt = (1..=BITS).map(|k| (&one >> k) / k).sum();
    let exponent = &ln_2 * (age % half_life) / half_life;
    let (mut term, mut power) = (one.clone(), BigInt::ZERO);
    for k in 1..100 {
        power += &term;
        term = -((&term * &exponent) >> BITS) / k;
    }
    let whole_half_lives = (age / half_life).min(i64::from(BITS)) as u32;
    let weight = exact::half_even(&exact::fraction(power * 1_000_000_000u32, one << whole_half_lives));
    weight.to_i128().expect("at most 10^9").max(1)
}

/// `total` split by weights: rounded down, what is left over one by one to the largest remainders (equal: the earlier).
pub fn split(total: i128, weights: &[i128]) -> Vec<i128> {
    let sum: i128 = weights.iter().sum();
    let mut shares: Vec<i128> = weights.iter().map(|weight| (total * weight).div_euclid(sum)).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&place| -(total * weights[place]).rem_euclid(sum));
    let left_over = total - shares.iter().sum::<i128>();
    for &place in by_remainder.iter().take(usize::try_from(left_over).expect("rounded down")) {
        shares[place] += 1;
    }
    shares
}

/// The campaign and channel that acquired the customer whose acquisition order this is.
pub fn acquirer(order: &Purchase, config: &Config) -> (Option<String>, Option<String>) {
    let taking_part = weighted(order, config);
    let campaigns: Vec<_> = taking_part.iter().filter(|(touch, _)| touch.campaign.is_some()).collect();
    let acquiring = match config.model {
        Model::Last => campaigns.last(),
        Model::First => campaigns.first(),
        // The last of the largest.
        _ => campaigns.iter().max_by_key(|(_, weight)| *weight),
    };
    match acquiring {
        Some((touch, _)) => (touch.campaign.clone(), touch.channel.clone()),
        None => (None, taking_part.iter().rev().find_map(|(touch, _)| touch.channel.clone())),
    }
}

#[test]
fn time_decay_halves_with_every_half_life() {
    let week = 7 * 24 * 3_600_000;
    let weights = [0, week, 2 * week, week / 2, week / 4, 29 * week, 30 * week, 31 * week, 300 * week, 10 * week];
    let expected = [1_000_000_000, 500_000_000, 250_000_000, 707_106_781, 840_896_415, 2, 1, 1, 1, 976_562];
    assert_eq!(weights.map(|age| decayed(age, week)), expected);
}

#[test]
fn shares_add_up_to_the_whole() {
    assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
    assert_eq!(split(-100, &[1, 1, 1]), [-33, -33, -34]);
    assert_eq!(split(10, &[2, 1, 1, 2]), [3, 2, 2, 3]);
    assert_eq!(split(1_000_000, &[0, 0, 1]), [0, 0, 1_000_000]);
}
