//! Histories with a configuration to calculate them under, for property tests.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::Maker;
use super::moments::DAY;
use crate::batch::{Config, Model, Profit};

/// The present of the histories: in mid-hour, where New York's clocks change, in the first millisecond of a day of Tokyo and
/// Kolkata, hours after Lord Howe Island's changed.
const PRESENTS: [i64; 7] = [
    1_795_255_205_000,
    1_793_512_800_000,
    1_793_514_600_001,
    1_772_953_200_000,
    1_780_326_000_000,
    1_780_338_600_000,
    1_775_353_200_000,
];

/// Clocks on Lord Howe Island change by half an hour.
const ZONES: [&str; 6] =
    ["Asia/Tokyo", "America/New_York", "Asia/Kolkata", "America/Santiago", "Australia/Lord_Howe", "UTC"];

/// Some events under some configuration. `seed` is for what else a test leaves to chance.
#[derive(Clone)]
pub struct Case {
    pub config: Config,
    pub history: Vec<String>,
    pub as_of: i64,
    pub seed: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "as of {}, seed {}, {:?}", self.as_of, self.seed, self.config)?;
        self.history.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

/// Cases of up to `most` events; where one fails, events are left out while it still does.
pub fn cases(most: usize, all_by_campaigns: bool) -> impl Strategy<Value = Case> {
    let seeds = vec(any::<u64>().no_shrink(), 1..=most);
    (any::<u64>().no_shrink(), seeds).prop_map(move |(seed, seeds)| {
        let mut rng = StdRng::seed_from_u64(seed);
        let as_of = *PRESENTS.choose(&mut rng).unwrap();
        let (customers, orders, campaigns) = (rng.random_range(1..9), rng.random_range(1..5), rng.random_range(1..7));
        let maker = Maker { as_of, customers, orders, campaigns, all_by_campaigns };
        Case { config: config(as_of, &mut rng), history: maker.history(&seeds), as_of, seed }
    })
}

fn config(as_of: i64, rng: &mut StdRng) -> Config {
    let windows: &[&str] = [
        &["24h", "7d", "30d", "90d", "365d", "lifetime"][..],
        &["lifetime", "1h", "24h", "25h", "1d", "2d", "960h"],
        &["3660d", "3h", "31d"],
    ]
    .choose(rng)
    .unwrap();
    let ignore_channels: &[&str] = [&["direct"][..], &[], &["direct", "email"]].choose(rng).unwrap();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    Config {
        currency: "USD".to_owned(),
        zone: (*ZONES.choose(rng).unwrap()).to_owned(),
        lifespan_years: *[1_000_000, 2_500_000, 333_333].choose(rng).unwrap(),
        default_margin: *[None, None, Some(300_000), Some(0), Some(1_000_000), Some(333_333)].choose(rng).unwrap(),
        min_coverage: *[950_000, 0, 500_000, 1_000_000].choose(rng).unwrap(),
        complete_from: *[None, None, Some(as_of - 90 * DAY), Some(as_of - 20 * DAY)].choose(rng).unwrap(),
        model: *[Model::Last, Model::First, Model::Linear, Model::Position, Model::TimeDecay].choose(rng).unwrap(),
        lookback: *[30 * DAY, 7 * DAY, 1].choose(rng).unwrap(),
        half_life: *[7 * DAY, DAY / 3, 30 * DAY].choose(rng).unwrap(),
        ignore_channels: owned(ignore_channels),
        profit: *[Profit::Operating, Profit::Gross, Profit::Revenue].choose(rng).unwrap(),
        verdict_window: (*windows.choose(rng).unwrap()).to_owned(),
        min_spend: *[0, 0, 20_000_000].choose(rng).unwrap(),
        maturity_days: *[90, 7, 0, 1].choose(rng).unwrap(),
        max_spend_gap: *[250_000, 0, 1_000_000, 111_111].choose(rng).unwrap(),
        windows: owned(windows),
        clock: Some(as_of),
    }
}
