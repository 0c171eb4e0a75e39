//! What the figures depend on beside the events: the checked, typed form of the configuration that the pure core takes.
//! What the configuration has in the same form is read and written as it stands here.

use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::money::Micros;
use crate::time::{Millis, Zone};

/// The settings of one processor. All numbers with a fraction are exact decimals with six places ([`Micros`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `reporting.currency`: that of all money.
    pub currency: Currency,
    /// `reporting.time_zone`: days, months and hours begin by it.
    pub zone: Zone,
    /// `ltv.lifespan_years`.
    pub lifespan_years: Micros,
    /// `costs.default_margin`, 0 to 1: estimates the cost of goods of orders that state none.
    pub default_margin: Option<Micros>,
    /// `costs.min_coverage`, 0 to 1: share of revenue with a known or estimated cost, below which profit is unknown.
    pub min_coverage: Micros,
    /// `history.complete_from`: customers whose first order is earlier were known before.
    pub complete_from: Option<Millis>,
    /// `attribution`: how orders are shared among campaigns.
    pub attribution: Attribution,
    /// `verdict`: what a campaign is judged by.
    pub verdict: VerdictRules,
    /// In the order in which they are written out; names are unique.
    pub windows: Vec<Window>,
    /// `retention`: how long history is kept individually.
    pub retention: Retention,
    /// Partitions of the campaigns stage's internal topic: where a difference is sent.
    pub campaign_partitions: u32,
    /// `format.write`: what is stored and sent is written so.
    pub format: Format,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            currency: Currency(*b"USD"),
            zone: Zone::utc(),
            lifespan_years: Micros(1_000_000),
            default_margin: None,
            min_coverage: Micros(950_000),
            complete_from: None,
            attribution: Attribution::default(),
            verdict: VerdictRules::default(),
            windows: [
                WindowSpan::Hours(24),
                WindowSpan::Days(7),
                WindowSpan::Days(30),
                WindowSpan::Days(90),
                WindowSpan::Days(365),
                WindowSpan::Lifetime,
            ]
            .map(Window::new)
            .to_vec(),
            retention: Retention::default(),
            campaign_partitions: 1,
            format: Format::default(),
        }
    }
}

impl Settings {
    /// Single hours that the windows need: those of the longest window of hours.
    pub fn hours_needed(&self) -> u32 {
        let of_hours = self.windows.iter().map(|window| match window.span {
            WindowSpan::Hours(hours) => hours,
            WindowSpan::Days(_) | WindowSpan::Lifetime => 0,
        });
        of_hours.max().unwrap_or(0)
    }

    /// Days that hours of campaigns are kept individually: `retention.hours_days`, or what the windows need.
    pub fn hours_days(&self) -> u32 {
        self.retention.hours_days.unwrap_or_else(|| self.hours_needed().div_ceil(24).max(1))
    }

    /// As [`Settings::hours_days`], in hours.
    pub fn hours_kept(&self) -> u32 {
        self.hours_days().saturating_mul(24)
    }

    /// Single days that the figures need: those of the longest window of days, and those in which customers mature.
    pub fn days_needed(&self) -> u32 {
        let of_days = self.windows.iter().map(|window| match window.span {
            WindowSpan::Days(days) => days,
            WindowSpan::Hours(_) | WindowSpan::Lifetime => 0,
        });
        of_days.max().unwrap_or(0).max(u32::try_from(self.verdict.maturity_days).unwrap_or(0))
    }
}

/// How far back from the present history is kept individually, in days; what is older is kept as sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Hours of campaigns; older ones are joined into days. `None`: as far back as a window of hours reaches.
    pub hours_days: Option<u32>,
    /// Days of campaigns, and reports of spend; older ones are of the lifetime alone.
    pub days: u32,
    /// Single amounts of spend; not before their hours are joined.
    pub spend_days: u32,
    /// Orders and costs of customers; `None`: for ever.
    pub orders_days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { hours_days: None, days: 800, spend_days: 40, orders_days: None }
    }
}

impl Retention {
    /// Keeps everything that has an identity, whatever its age: nothing is ever too late.
    pub fn of_everything(self) -> Retention {
        Retention { days: u32::MAX, spend_days: u32::MAX, orders_days: None, ..self }
    }
}

/// An ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency(pub [u8; 3]);

impl Currency {
    /// `None` unless `code` is three capital letters.
    pub fn parse(code: &str) -> Option<Currency> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Currency(code))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

/// How an order is shared among the touchpoints before it: which take part, and by which weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The weights.
    pub model: Model,
    /// `attribution.lookback_days`, in milliseconds: touchpoints at most this long before the order take part.
    pub lookback: i64,
    /// `attribution.half_life_days`, in milliseconds: of `time_decay`.
    pub half_life: i64,
    /// Channels that take part only where no other touchpoint is left.
    pub ignore_channels: Vec<String>,
}

impl Default for Attribution {
    fn default() -> Self {
        Attribution {
            model: Model::Last,
            lookback: 30 * Millis::DAY,
            half_life: 7 * Millis::DAY,
            ignore_channels: vec!["direct".to_owned()],
        }
    }
}

/// How an order's figures are shared among the touchpoints that take part: each gets its weight / the sum of the weights,
/// rounded down; the millionths that are left go by largest remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// All to the last.
    Last,
    /// All to the first.
    First,
    /// The same to each.
    Linear,
    /// Of one, all; of two, half each; of more, 40 % to the first, 40 % to the last, and 20 % shared by those between.
    Position,
    /// By the weight 10^9 x 2^(-age / half-life), rounded to an integer of at least 1.
    TimeDecay,
}

/// What a campaign is judged by: the settings of [`judge`](crate::domain::verdict::judge).
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictRules {
    /// What has to cover the investment.
    pub profit: Profit,
    /// Index into [`Settings::windows`] of the window whose verdict is the campaign's.
    pub window: usize,
    /// In the reporting currency: with less invested there is too little data.
    pub min_spend: Micros,
    /// Days after which the LTV of an acquired customer has had the time to grow.
    pub maturity_days: i32,
    /// Share, 0 to 1, of a window of at most 24 hours that spend may be behind.
    pub max_spend_gap: Micros,
    /// `verdict.max_lag_seconds`, in milliseconds: while a record waits for longer, nothing is judged.
    pub max_lag: i64,
}

impl Default for VerdictRules {
    fn default() -> Self {
        VerdictRules {
            profit: Profit::OperatingProfit,
            window: 5,
            min_spend: Micros::ZERO,
            maturity_days: 90,
            max_spend_gap: Micros(250_000),
            max_lag: 60_000,
        }
    }
}

/// The profit that a campaign's value and verdict go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profit {
    /// Gross profit - operating cost.
    OperatingProfit,
    /// Revenue - cost of goods.
    GrossProfit,
    /// Revenue, for shops that state no costs.
    Revenue,
}

/// A window with the name under which it is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// `24h`, `7d`, `lifetime`.
    pub name: String,
    /// What it spans.
    pub span: WindowSpan,
}

impl Window {
    /// With the name that its span has.
    pub fn new(span: WindowSpan) -> Window {
        let name = match span {
            WindowSpan::Hours(hours) => format!("{hours}h"),
            WindowSpan::Days(days) => format!("{days}d"),
            WindowSpan::Lifetime => "lifetime".to_owned(),
        };
        Window { name, span }
    }

    /// Reads `24h`, `7d` or `lifetime`. `None` for anything else, for zero, and for spans over [`Window::MAX_HOURS`] or
    /// [`Window::MAX_DAYS`].
    pub fn parse(name: &str) -> Option<Window> {
        let span = if name == "lifetime" {
            WindowSpan::Lifetime
        } else {
            let (number, unit) = name.split_at_checked(name.len().checked_sub(1)?)?;
            if number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            match (unit, number.parse().ok()?) {
                ("h", hours) if hours <= Self::MAX_HOURS => WindowSpan::Hours(hours),
                ("d", days) if days <= Self::MAX_DAYS => WindowSpan::Days(days),
                _ => return None,
            }
        };
        Some(Window { name: name.to_owned(), span })
    }

    /// 40 days.
    pub const MAX_HOURS: u32 = 40 * 24;
    /// Ten years.
    pub const MAX_DAYS: u32 = 3_660;
}

/// What a window spans, in the reporting time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpan {
    /// So many whole hours, the last being the one of `as_of`.
    Hours(u32),
    /// So many whole days, the last being the one of `as_of`.
    Days(u32),
    /// All time.
    Lifetime,
}
