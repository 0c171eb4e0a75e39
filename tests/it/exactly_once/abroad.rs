//! What figures depend on beside the events, where it is not the default: processors far from UTC that share an order among
//! touchpoints, and do not know all of their customers' past.

use super::load::now;
use crate::batch::{Config, Model, Profit};

const DAY: i64 = 24 * 3_600_000;

/// Its hours begin a quarter before others'.
pub fn in_kathmandu() -> Config {
    Config {
        zone: "Asia/Kathmandu".to_owned(),
        currency: "NPR".to_owned(),
        model: Model::Linear,
        complete_from: Some(now().0 - 20 * DAY),
        lifespan_years: 2_500_000,
        ..Config::default()
    }
}

/// Its clocks change by half an hour.
pub fn on_lord_howe_island() -> Config {
    Config {
        zone: "Australia/Lord_Howe".to_owned(),
        model: Model::TimeDecay,
        half_life: DAY,
        default_margin: Some(350_000),
        profit: Profit::Gross,
        maturity_days: 7,
        windows: ["lifetime", "1h", "25h", "1d", "31d"].map(str::to_owned).to_vec(),
        verdict_window: "31d".to_owned(),
        ..Config::default()
    }
}

/// Its clocks change by an hour.
pub fn in_new_york() -> Config {
    Config {
        zone: "America/New_York".to_owned(),
        model: Model::Position,
        lookback: 7 * DAY,
        ignore_channels: Vec::new(),
        complete_from: Some(now().0 - 40 * DAY),
        min_coverage: 500_000,
        profit: Profit::Revenue,
        min_spend: 20_000_000,
        ..Config::default()
    }
}
