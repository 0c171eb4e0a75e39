//! What the figures depend on: `windows`, `[reporting]`, `[ltv]`, `[costs]`, `[history]`, `[attribution]`, `[verdict]`,
//! `[retention]`.
//! [`settings()`] checks them and makes the engine's [`Settings`] of them.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitConfig, Config, Decimal, Problem, ensure};
use crate::money::Micros;
use crate::settings::{self, Currency, Model, Profit, Settings, VerdictRules, Window, WindowSpan};
use crate::time::{Date, Millis, Zone};

/// `[reporting]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// ISO 4217.
    pub currency: String,
    /// IANA name: where hours, days and months begin.
    pub time_zone: String,
}

impl Default for Reporting {
    fn default() -> Self {
        let Settings { currency, zone, .. } = Settings::default();
        Reporting { currency: currency.as_str().to_owned(), time_zone: zone.name().to_owned() }
    }
}

/// `[ltv]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ltv {
    /// Years that `ltv.formula` takes a customer to stay.
    pub lifespan_years: Decimal,
}

impl Default for Ltv {
    fn default() -> Self {
        Ltv { lifespan_years: Decimal(Settings::default().lifespan_years) }
    }
}

/// `[costs]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// Share of the revenue, 0 to 1: estimates the cost of goods of orders that state none.
    pub default_margin: Option<Decimal>,
    /// Share of the revenue, 0 to 1: below it profit is unknown.
    pub min_coverage: Decimal,
}

impl Default for Costs {
    fn default() -> Self {
        let Settings { default_margin, min_coverage, .. } = Settings::default();
        Costs { default_margin: default_margin.map(Decimal), min_coverage: Decimal(min_coverage) }
    }
}

/// `[history]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// A moment, or a date in the reporting time zone: customers whose first order is earlier were known before.
    pub complete_from: Option<String>,
}

/// `[attribution]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attribution {
    /// How the order is shared among touchpoints.
    pub model: Model,
    /// Days before the order in which touchpoints take part.
    pub lookback_days: i64,
    /// Days in which the weight of a touchpoint halves, under `time_decay`.
    pub half_life_days: i64,
    /// Channels that take part only where no other touchpoint is left.
    pub ignore_channels: Vec<String>,
}

impl Default for Attribution {
    fn default() -> Self {
        let settings::Attribution { model, lookback, half_life, ignore_channels } = settings::Attribution::default();
        let days = |millis| millis / Millis::DAY;
        Attribution { model, lookback_days: days(lookback), half_life_days: days(half_life), ignore_channels }
    }
}

/// `[verdict]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verdict {
    /// What has to cover the investment.
    pub profit: Profit,
    /// Name of the window whose verdict is the campaign's.
    pub window: String,
    /// In the reporting currency: with less invested there is too little data.
    pub min_spend: Decimal,
    /// Days since acquisition after which a customer counts as grown.
    pub maturity_days: i32,
    /// Share of a short window, 0 to 1, that spend may be behind.
    pub max_spend_gap: Decimal,
    /// Seconds that a record may wait before it is too early to judge.
    pub max_lag_seconds: i64,
}

impl Default for Verdict {
    fn default() -> Self {
        let Settings { verdict: rules, windows, .. } = Settings::default();
        let VerdictRules { profit, window, min_spend, maturity_days, max_spend_gap, max_lag } = rules;
        Verdict {
            profit,
            window: windows[window].name.clone(),
            min_spend: Decimal(min_spend),
            maturity_days,
            max_spend_gap: Decimal(max_spend_gap),
            max_lag_seconds: max_lag / 1_000,
        }
    }
}

const MAX_LIFESPAN: Micros = Micros(1_000_000_000);
const MAX_DAYS: i64 = 3_660;
/// A day.
const LEAST_LAG_SECONDS: i64 = 5;
const MAX_LAG_SECONDS: i64 = 86_400;
/// A century.
const MAX_RETENTION: u32 = 36_525;
const MAX_WINDOWS: usize = 24;
const MAX_CHANNELS: usize = 100;
const MAX_TEXT_BYTES: usize = 256;

/// The typed settings of a configuration, or what is wrong with it.
pub(super) fn settings(config: &Config) -> Result<Settings, Problem> {
    let windows = windows(&config.windows)?;
    let zone = zone(&config.reporting.time_zone)?;
    let lifespan = config.ltv.lifespan_years;
    ensure(lifespan.0 > Micros::ZERO && lifespan.0 <= MAX_LIFESPAN, "ltv.lifespan_years", || {
        format!("expected a number over 0, at most {MAX_LIFESPAN}, found {lifespan}")
    })?;
    if let Some(margin) = config.costs.default_margin {
        share("costs.default_margin", margin)?;
    }
    let settings = Settings {
        currency: currency(&config.reporting.currency)?,
        lifespan_years: lifespan.0,
        default_margin: config.costs.default_margin.map(|margin| margin.0),
        min_coverage: share("costs.min_coverage", config.costs.min_coverage)?,
        complete_from: config.history.complete_from.as_deref().map(|text| complete_from(text, &zone)).transpose()?,
        attribution: attribution(&config.attribution)?,
        verdict: verdict(&config.verdict, &windows, &config.commit)?,
        windows,
        zone,
        retention: config.retention,
        campaign_partitions: 1,
        format: config.format.write,
    };
    check_retention(&settings)?;
    check_reach(&settings)?;
    Ok(settings)
}

fn check_retention(settings: &Settings) -> Result<(), Problem> {
    let within = |key, days: u32, least: u32, most: u32| {
        ensure((least..=most).contains(&days), key, || format!("expected {least} to {most}, found {days}"))
    };
    let retention = settings.retention;
    if let Some(days) = retention.hours_days {
        within("retention.hours_days", days, 1, Window::MAX_HOURS / 24)?;
    }
    within("retention.days", retention.days, settings.hours_days() + 2, MAX_RETENTION)?;
    within("retention.spend_days", retention.spend_days, 1, retention.days)?;
    if let Some(days) = retention.orders_days {
        // `purchases_per_year` looks back for a year.
        within("retention.orders_days", days, 366, MAX_RETENTION)?;
    }
    Ok(())
}

/// What is not kept individually can't be looked at individually.
fn check_reach(settings: &Settings) -> Result<(), Problem> {
    let retention = settings.retention;
    for window in &settings.windows {
        let (reach, kept) = match window.span {
            WindowSpan::Hours(hours) => (hours > settings.hours_kept(), "retention.hours_days"),
            WindowSpan::Days(days) => (days > retention.days, "retention.days"),
            WindowSpan::Lifetime => (false, ""),
        };
        ensure(!reach, "windows", || format!("{} reaches back further than {kept}", window.name))?;
    }
    let mature = u32::try_from(settings.verdict.maturity_days).unwrap_or(0);
    ensure(mature <= retention.days, "verdict.maturity_days", || {
        format!("expected at most retention.days, {}, found {mature}", retention.days)
    })
}

fn windows(names: &[String]) -> Result<Vec<Window>, Problem> {
    ensure((1..=MAX_WINDOWS).contains(&names.len()), "windows", || {
        format!("expected 1 to {MAX_WINDOWS} windows, found {}", names.len())
    })?;
    let mut seen = HashSet::new();
    let read = |name: &String| {
        ensure(seen.insert(name.clone()), "windows", || format!("{name:?} appears twice"))?;
        Window::parse(name).ok_or_else(|| {
            let expected = format!("1h to {}h, 1d to {}d, or lifetime", Window::MAX_HOURS, Window::MAX_DAYS);
            Problem::new("windows", format!("expected {expected}, found {name:?}"))
        })
    };
    names.iter().map(read).collect()
}

fn currency(code: &str) -> Result<Currency, Problem> {
    Currency::parse(code).ok_or_else(|| {
        Problem::new(
            "reporting.currency",
            format!("expected an ISO 4217 code of three capital letters, found {code:?}"),
        )
    })
}

fn zone(name: &str) -> Result<Zone, Problem> {
    Zone::named(name).ok_or_else(|| {
        Problem::new("reporting.time_zone", format!("expected an IANA time zone such as Asia/Tokyo, found {name:?}"))
    })
}

fn share(key: &str, share: Decimal) -> Result<Micros, Problem> {
    let within = share.0 >= Micros::ZERO && share.0 <= Micros(1_000_000);
    ensure(within, key, || format!("expected a share from 0 to 1, found {share}"))?;
    Ok(share.0)
}

fn complete_from(text: &str, zone: &Zone) -> Result<Millis, Problem> {
    let moment = match Date::parse(text) {
        Some(date) => Some(zone.start_of(date).0),
        None => text.parse::<Timestamp>().ok().map(|moment| moment.as_millisecond()),
    };
    moment.and_then(Millis::from_epoch).ok_or_else(|| {
        let expected = "a date (2026-01-31) or a moment with an offset (2026-01-31T00:00:00+09:00)";
        Problem::new("history.complete_from", format!("expected {expected}, found {text:?}"))
    })
}

fn attribution(section: &Attribution) -> Result<settings::Attribution, Problem> {
    let days = |key, days: i64, least| -> Result<i64, Problem> {
        ensure((least..=MAX_DAYS).contains(&days), key, || format!("expected {least} to {MAX_DAYS}, found {days}"))?;
        Ok(days * Millis::DAY)
    };
    let channels = &section.ignore_channels;
    let key = "attribution.ignore_channels";
    ensure(channels.len() <= MAX_CHANNELS, key, || format!("expected at most {MAX_CHANNELS} channels"))?;
    let mut seen = HashSet::new();
    for channel in channels {
        let fits = (1..=MAX_TEXT_BYTES).contains(&channel.len());
        ensure(fits, key, || format!("expected channels of 1 to {MAX_TEXT_BYTES} bytes, found {channel:?}"))?;
        ensure(seen.insert(channel), key, || format!("{channel:?} appears twice"))?;
    }
    Ok(settings::Attribution {
        model: section.model,
        lookback: days("attribution.lookback_days", section.lookback_days, 0)?,
        half_life: days("attribution.half_life_days", section.half_life_days, 1)?,
        ignore_channels: channels.clone(),
    })
}

fn verdict(section: &Verdict, windows: &[Window], commit: &CommitConfig) -> Result<VerdictRules, Problem> {
    let window = windows.iter().position(|window| window.name == section.window).ok_or_else(|| {
        let names: Vec<_> = windows.iter().map(|window| window.name.as_str()).collect();
        let found = &section.window;
        Problem::new("verdict.window", format!("expected one of the windows ({}), found {found:?}", names.join(", ")))
    })?;
    let least = section.min_spend;
    ensure(least.0 >= Micros::ZERO && least.0 <= Micros::MAX, "verdict.min_spend", || {
        format!("expected 0 to {}, found {least}", Micros::MAX)
    })?;
    let days = section.maturity_days;
    ensure((0..=MAX_DAYS).contains(&i64::from(days)), "verdict.maturity_days", || {
        format!("expected 0 to {MAX_DAYS}, found {days}")
    })?;
    let seconds = section.max_lag_seconds;
    // Ends of inputs are known once a second, and what is told of them goes with commits, from one stage to the next.
    let shortest = LEAST_LAG_SECONDS.max(i64::try_from(commit.interval_ms * 6 / 1_000).unwrap_or(MAX_LAG_SECONDS));
    ensure((shortest..=MAX_LAG_SECONDS).contains(&seconds), "verdict.max_lag_seconds", || {
        let why = "the least is 5, or six times commit.interval_ms";
        format!("expected {shortest} to {MAX_LAG_SECONDS} ({why}), found {seconds}")
    })?;
    Ok(VerdictRules {
        profit: section.profit,
        window,
        min_spend: least.0,
        maturity_days: days,
        max_spend_gap: share("verdict.max_spend_gap", section.max_spend_gap)?,
        max_lag: seconds * 1_000,
    })
}
