//! The record of one campaign, as `roas-updates` and the API hold it. Fields stand in the order in which they are
//! written; [`super::figures`] computes them. Where one is null, [`Why`] stands under its name in `undefined`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::domain::verdict::Verdict;
use crate::engine::decimal::{Count, Money};

/// One campaign. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CampaignRecord<'a> {
    /// `campaign`.
    pub scope: Cow<'a, str>,
    /// As events have it.
    pub id: Cow<'a, str>,
    /// Of the latest report that has one.
    pub name: Option<Cow<'a, str>>,
    /// Where it runs; of the latest report that says so.
    pub platform: Option<Cow<'a, str>>,
    /// What the platform is told to reach; of the latest report that says so.
    pub objective: Option<Cow<'a, str>>,
    /// Of the latest spend event that names one.
    pub channel: Option<Cow<'a, str>>,
    /// The reporting currency, which all money is in.
    pub currency: Cow<'a, str>,
    /// The moment that the figures are for.
    pub as_of: Cow<'a, str>,
    /// The latest moment that booked media spend covers. Null without any.
    pub spend_through: Option<Cow<'a, str>>,
    /// Since when something waits to be read that belongs to these figures. Null while nothing waits for long; of records
    /// of format 1 there is none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub read_through: Option<Option<Cow<'a, str>>>,
    /// The one verdict.
    pub verdict: VerdictRecord<'a>,
    /// The figures of each configured window.
    pub windows: Windows<'a>,
}

/// The campaign's one verdict: that of the window `verdict.window`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VerdictRecord<'a> {
    /// What the window's figures say.
    pub value: Verdict,
    /// The name of that window.
    pub window: Cow<'a, str>,
    /// `observed`: all that it goes by has happened.
    pub basis: Cow<'a, str>,
    /// `value` / `invested`. Null: `no_spend`, where nothing was invested, `unknown_cost`.
    pub progress: Option<f64>,
    /// `value` - `invested`. Null: `unknown_cost`.
    pub at_stake: Option<Money>,
    /// Why figures of this verdict are null.
    #[serde(default, skip_serializing_if = "Undefined::is_empty")]
    pub undefined: Undefined,
}

/// The figures of one window: of what is booked in [`from`, `to`). Orders are booked at their `occurred_at`, acquired
/// customers with all their LTV and acquisition costs at that of their acquisition order.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WindowRecord<'a> {
    /// The window's start. Null for the lifetime.
    pub from: Option<Cow<'a, str>>,
    /// The window's end, which is the end of the hour or day of `as_of`. Null for the lifetime.
    pub to: Option<Cow<'a, str>>,
    /// Amounts of kind `media`.
    pub spend: Money,
    /// Amounts of all kinds + acquisition costs of the acquired customers.
    pub invested: Money,
    /// Attributed shares of the revenue of orders.
    pub revenue: Money,
    /// Attributed shares of revenue - cost of goods. Null: `unknown_cost`.
    pub gross_profit: Option<Money>,
    /// Attributed shares of gross profit - operating cost. Null: `unknown_cost`.
    pub operating_profit: Option<Money>,
    /// Of the attributed orders: revenue with a known or estimated cost / revenue; 1 without revenue.
    pub cost_coverage: f64,
    /// Attributed shares of orders, each in millionths.
    pub orders: Count,
    /// Customers whom the campaign acquired.
    pub new_customers: i64,
    /// Revenue to date of all orders of the acquired customers.
    pub acquired_ltv: Money,
    /// Gross profit to date of all orders of the acquired customers. Null: `unknown_cost`.
    pub acquired_gross_profit_ltv: Option<Money>,
    /// Operating profit to date of all orders of the acquired customers. Null: `unknown_cost`.
    pub acquired_operating_profit_ltv: Option<Money>,
    /// As `cost_coverage`, of all orders of the acquired customers.
    pub acquired_cost_coverage: f64,
    /// Profit to date of the acquired customers + attributed profit of customers whom it did not acquire; which profit
    /// `verdict.profit` says. Null: `unknown_cost`, which revenue never is.
    pub value: Option<Money>,
    /// `revenue` / `spend`. Null: `no_spend`.
    pub roas: Option<f64>,
    /// `gross_profit` / `spend`. Null: `no_spend`, `unknown_cost`.
    pub gross_profit_roas: Option<f64>,
    /// `operating_profit` / `spend`. Null: `no_spend`, `unknown_cost`.
    pub operating_profit_roas: Option<f64>,
    /// (`gross_profit` - `invested`) / `invested`. Null: `no_spend`, where nothing was invested, `unknown_cost`.
    pub roi: Option<f64>,
    /// `acquired_ltv` / `spend`. Null: `no_spend`.
    pub ltv_roas: Option<f64>,
    /// `acquired_gross_profit_ltv` / `spend`. Null: `no_spend`, `unknown_cost`.
    pub ltv_gross_profit_roas: Option<f64>,
    /// Attributed revenue of acquisition orders / `spend`. Null: `no_spend`.
    pub new_customer_roas: Option<f64>,
    /// `spend` / `new_customers`. Null: `no_new_customers`.
    pub cac: Option<Money>,
    /// `invested` / `new_customers`. Null: `no_new_customers`.
    pub cac_loaded: Option<Money>,
    /// `spend` / `orders`. Null: `no_orders`.
    pub cost_per_order: Option<Money>,
    /// As reported.
    pub impressions: i128,
    /// As reported.
    pub clicks: i128,
    /// `spend` / `clicks`. Null: `no_clicks`.
    pub cost_per_click: Option<Money>,
    /// `clicks` / `impressions`. Null: `no_impressions`.
    pub ctr: Option<f64>,
    /// 1,000 x `spend` / `impressions`. Null: `no_impressions`.
    pub cpm: Option<Money>,
    /// Revenue that the platform claims / `spend`. Null: `no_spend`; `not_reported`, where no report that claims any covers
    /// an hour of the window.
    pub platform_roas: Option<f64>,
    /// What these figures say.
    pub verdict: Verdict,
    /// Why figures of this window are null.
    #[serde(default, skip_serializing_if = "Undefined::is_empty")]
    pub undefined: Undefined,
}

/// The windows by name, in the configured order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows<'a>(pub Vec<(Cow<'a, str>, WindowRecord<'a>)>);

impl<'a> Windows<'a> {
    /// The window of this name.
    pub fn get(&self, name: &str) -> Option<&WindowRecord<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, window)| window)
    }
}

/// A field that is there, null or not.
fn even_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Why a figure is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nothing was spent, or for what is divided by `invested`, nothing was invested.
    NoSpend,
    /// Too much of the revenue has no known cost: coverage is below `costs.min_coverage`.
    UnknownCost,
    /// No customer was acquired.
    NoNewCustomers,
    /// No order is attributed.
    NoOrders,
    /// No clicks were reported.
    NoClicks,
    /// No impressions were reported.
    NoImpressions,
    /// The platform claims no revenue.
    NotReported,
}

/// The figures that are null, with why, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Undefined(pub Vec<(Cow<'static, str>, Why)>);

impl Undefined {
    /// Whether no figure is null.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why `figure` is null; `None` where it is not.
    pub fn why(&self, figure: &str) -> Option<Why> {
        self.0.iter().find(|(known, _)| known == figure).map(|(_, why)| *why)
    }

    /// Notes why `figure` is null, where it is.
    pub fn note<T>(&mut self, figure: &'static str, value: Result<T, Why>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(why) => {
                self.0.push((Cow::Borrowed(figure), why));
                None
            }
        }
    }
}

impl Serialize for Windows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_pairs(&self.0, serializer)
    }
}

impl<'de, 'a> Deserialize<'de> for Windows<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs: Vec<(String, WindowRecord<'a>)> = deserialize_pairs(deserializer)?;
        Ok(Windows(pairs.into_iter().map(|(name, window)| (Cow::Owned(name), window)).collect()))
    }
}

impl Serialize for Undefined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_pairs(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Undefined {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs: Vec<(String, Why)> = deserialize_pairs(deserializer)?;
        Ok(Undefined(pairs.into_iter().map(|(figure, why)| (Cow::Owned(figure), why)).collect()))
    }
}

fn serialize_pairs<K: Serialize, V: Serialize, S: Serializer>(pairs: &[(K, V)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(pairs.len()))?;
    for (key, value) in pairs {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

/// An object as pairs, in the order in which they stand there.
fn deserialize_pairs<'de, V: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, V)>, D::Error> {
    struct Pairs<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
        type Value = Vec<(String, V)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    from.deserialize_map(Pairs(std::marker::PhantomData))
}
