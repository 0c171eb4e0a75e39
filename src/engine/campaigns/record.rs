//! The record of one campaign, as `roas-updates` and the API hold it. Fields stand in the order in which they are
//! written; what each one is, and when it is null, is in [`super::figures`].

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
    pub id: Cow<'a, str>,
    pub name: Option<Cow<'a, str>>,
    pub platform: Option<Cow<'a, str>>,
    pub objective: Option<Cow<'a, str>>,
    pub channel: Option<Cow<'a, str>>,
    pub currency: Cow<'a, str>,
    pub as_of: Cow<'a, str>,
    pub spend_through: Option<Cow<'a, str>>,
    pub verdict: VerdictRecord<'a>,
    pub windows: Windows<'a>,
}

/// The campaign's one verdict: that of the window `verdict.window`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VerdictRecord<'a> {
    pub value: Verdict,
    pub window: Cow<'a, str>,
    /// `observed`.
    pub basis: Cow<'a, str>,
    /// Value / invested.
    pub progress: Option<f64>,
    /// Value - invested.
    pub at_stake: Option<Money>,
    #[serde(default, skip_serializing_if = "Undefined::is_empty")]
    pub undefined: Undefined,
}

/// The figures of one window.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WindowRecord<'a> {
    pub from: Option<Cow<'a, str>>,
    pub to: Option<Cow<'a, str>>,
    pub spend: Money,
    pub invested: Money,
    pub revenue: Money,
    pub gross_profit: Option<Money>,
    pub operating_profit: Option<Money>,
    pub cost_coverage: f64,
    pub orders: Count,
    pub new_customers: i64,
    pub acquired_ltv: Money,
    pub acquired_gross_profit_ltv: Option<Money>,
    pub acquired_operating_profit_ltv: Option<Money>,
    pub acquired_cost_coverage: f64,
    pub value: Option<Money>,
    pub roas: Option<f64>,
    pub gross_profit_roas: Option<f64>,
    pub operating_profit_roas: Option<f64>,
    pub roi: Option<f64>,
    pub ltv_roas: Option<f64>,
    pub ltv_gross_profit_roas: Option<f64>,
    pub new_customer_roas: Option<f64>,
    pub cac: Option<Money>,
    pub cac_loaded: Option<Money>,
    pub cost_per_order: Option<Money>,
    pub impressions: i128,
    pub clicks: i128,
    pub cost_per_click: Option<Money>,
    pub ctr: Option<f64>,
    pub cpm: Option<Money>,
    pub platform_roas: Option<f64>,
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Undefined::is_empty")]
    pub undefined: Undefined,
}

/// The windows by name, in the configured order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows<'a>(pub Vec<(Cow<'a, str>, WindowRecord<'a>)>);

impl<'a> Windows<'a> {
    pub fn get(&self, name: &str) -> Option<&WindowRecord<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, window)| window)
    }
}

/// Why a figure is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    NoSpend,
    UnknownCost,
    NoNewCustomers,
    NoOrders,
    NoClicks,
    NoImpressions,
    NotReported,
}

/// The figures that are null, with why, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Undefined(pub Vec<(Cow<'static, str>, Why)>);

impl Undefined {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

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
