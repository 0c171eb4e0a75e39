//! The campaigns' records as they were read back from `roas-updates`: of all instances, committed ones only.
//!
//! Records arrive by the thousand and few are looked at, so one is read only when its figures are asked for, and once.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::time::Millis;

/// Records by campaign id.
#[derive(Debug, Default)]
pub struct Campaigns {
    records: DashMap<String, Arc<Campaign>>,
    bytes: AtomicUsize,
    catching_up: AtomicUsize,
}

impl Campaigns {
    /// Takes a record of the topic by its key (`campaign/google:1`); `None` is a tombstone. Says whether the key was of
    /// this scope.
    pub fn take(&self, key: &str, record: Option<&[u8]>) -> bool {
        let Some(id) = key.strip_prefix("campaign/") else { return false };
        let bytes = |campaign: &Campaign| id.len() + campaign.json.len();
        let former = match record {
            Some(json) => {
                let campaign = Campaign::new(json);
                self.bytes.fetch_add(bytes(&campaign), Ordering::Relaxed);
                self.catching_up.fetch_add(usize::from(campaign.is_catching_up), Ordering::Relaxed);
                self.records.insert(id.to_owned(), Arc::new(campaign))
            }
            None => self.remove(id),
        };
        if let Some(former) = former {
            self.bytes.fetch_sub(bytes(&former), Ordering::Relaxed);
            self.catching_up.fetch_sub(usize::from(former.is_catching_up), Ordering::Relaxed);
        }
        true
    }

    /// What most of the campaigns left behind when they went is given back, so that it takes few times to have all moved.
    fn remove(&self, id: &str) -> Option<Arc<Campaign>> {
        let (_, former) = self.records.remove(id)?;
        if self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to_fit();
        }
        Some(former)
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.records.clear();
        self.records.shrink_to_fit();
        self.bytes.store(0, Ordering::Relaxed);
        self.catching_up.store(0, Ordering::Relaxed);
    }

    /// The campaign of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Campaign>> {
        self.records.get(id).map(|entry| Arc::clone(entry.value()))
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(String, Arc<Campaign>)> {
        self.records.iter().map(|entry| (entry.key().clone(), Arc::clone(entry.value()))).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The bytes of all ids and records.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) as u64
    }

    /// How many lack records that wait to be read.
    pub fn catching_up(&self) -> usize {
        self.catching_up.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// One campaign's record.
#[derive(Debug)]
pub struct Campaign {
    json: Box<[u8]>,
    /// Whether it says what its figures are read through: records that belong to it wait to be read.
    pub is_catching_up: bool,
    figures: OnceLock<Option<CampaignFigures>>,
}

impl Campaign {
    fn new(json: &[u8]) -> Campaign {
        Campaign { json: json.into(), is_catching_up: says_read_through(json), figures: OnceLock::new() }
    }

    /// The record, as it was read.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// What campaigns are found, sorted and measured by. `None` of a record that can't be read, which is logged.
    pub fn figures(&self) -> Option<&CampaignFigures> {
        let read = || {
            let read = serde_json::from_slice(&self.json);
            read.inspect_err(|error| tracing::error!(%error, "a campaign's record can't be read")).ok()
        };
        self.figures.get_or_init(read).as_ref()
    }
}

/// Looks without reading all of the record: between quotes, such a text has a backslash before each of its own.
fn says_read_through(json: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"read_through\":";
    let value = json.windows(FIELD.len()).position(|part| part == FIELD).map(|at| &json[at + FIELD.len()..]);
    value.is_some_and(|value| !value.trim_ascii_start().starts_with(b"null"))
}

/// The part of a record that is looked at here.
#[derive(Debug, Deserialize)]
pub struct CampaignFigures {
    /// `None` where nothing says it, as with the next two.
    pub name: Option<String>,
    /// Where it runs (`google`).
    pub platform: Option<String>,
    /// What kind of advertising it is (`search`).
    pub channel: Option<String>,
    /// The latest moment that booked media spend covers.
    #[serde(default, deserialize_with = "moment")]
    pub spend_through: Option<Millis>,
    /// That of the window `verdict.window`.
    pub verdict: TopVerdict,
    #[serde(deserialize_with = "windows")]
    windows: Vec<(Box<str>, WindowFigures)>,
}

/// The campaign's one verdict.
#[derive(Debug, Deserialize)]
pub struct TopVerdict {
    /// The code of a [`Verdict`](crate::domain::verdict::Verdict).
    pub value: String,
    /// Value / investment: 1 is all of it. `None` when it is undefined, as with the next one.
    #[serde(default, deserialize_with = "number")]
    pub progress: Option<f64>,
    /// Value - investment, in the reporting currency.
    #[serde(default, deserialize_with = "number")]
    pub at_stake: Option<f64>,
}

impl CampaignFigures {
    /// The figures of each window, with its name, in the order of the record.
    pub fn windows(&self) -> impl Iterator<Item = (&str, &WindowFigures)> {
        self.windows.iter().map(|(name, figures)| (&**name, figures))
    }

    /// The figures of the window of this name.
    pub fn window(&self, name: &str) -> Option<&WindowFigures> {
        self.windows().find(|(window, _)| *window == name).map(|(_, figures)| figures)
    }
}

/// The numeric figures of a window, by the names that they have in the record.
pub const FIGURES: [&str; 29] = [
    "spend",
    "invested",
    "revenue",
    "gross_profit",
    "operating_profit",
    "cost_coverage",
    "orders",
    "new_customers",
    "acquired_ltv",
    "acquired_gross_profit_ltv",
    "acquired_operating_profit_ltv",
    "acquired_cost_coverage",
    "value",
    "roas",
    "gross_profit_roas",
    "operating_profit_roas",
    "roi",
    "ltv_roas",
    "ltv_gross_profit_roas",
    "new_customer_roas",
    "cac",
    "cac_loaded",
    "cost_per_order",
    "impressions",
    "clicks",
    "cost_per_click",
    "ctr",
    "cpm",
    "platform_roas",
];

/// A window's figures as doubles: to sort and to measure by, not to account with.
#[derive(Debug)]
pub struct WindowFigures {
    /// The code of a [`Verdict`](crate::domain::verdict::Verdict).
    pub verdict: Option<String>,
    /// In the order of [`FIGURES`]; one that is undefined is not a number.
    values: [f64; FIGURES.len()],
}

impl WindowFigures {
    /// A figure by its name; `None` when it is undefined.
    pub fn get(&self, figure: &str) -> Option<f64> {
        let position = FIGURES.iter().position(|name| *name == figure)?;
        Some(self.values[position]).filter(|value| !value.is_nan())
    }
}

impl<'de> Deserialize<'de> for WindowFigures {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WindowVisitor;
        impl<'de> Visitor<'de> for WindowVisitor {
            type Value = WindowFigures;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the figures of a window")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WindowFigures, A::Error> {
                let mut figures = WindowFigures { verdict: None, values: [f64::NAN; FIGURES.len()] };
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name == "verdict" {
                        figures.verdict = map.next_value()?;
                    } else if let Some(position) = FIGURES.iter().position(|figure| *figure == name) {
                        figures.values[position] = map.next_value::<Number>()?.0.unwrap_or(f64::NAN);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(figures)
            }
        }
        deserializer.deserialize_map(WindowVisitor)
    }
}

fn windows<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(Box<str>, WindowFigures)>, D::Error> {
    struct WindowsVisitor;
    impl<'de> Visitor<'de> for WindowsVisitor {
        type Value = Vec<(Box<str>, WindowFigures)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("windows by name")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut windows = Vec::with_capacity(map.size_hint().unwrap_or(0));
            while let Some(window) = map.next_entry()? {
                windows.push(window);
            }
            Ok(windows)
        }
    }
    deserializer.deserialize_map(WindowsVisitor)
}

/// A number, or money in a text, or null.
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a decimal text or null")
            }
            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(None))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(|number| Number(Some(number))).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A text that is no moment is as none.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    let text: Option<Cow<'de, str>> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| Millis::parse(&text)))
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::campaigns::record::CampaignRecord;

    const RECORD: &str = r#"{"scope":"campaign","id":"g:1","name":null,"platform":"google","objective":null,
        "channel":"search","currency":"JPY","spend_through":"2026-11-21T10:00:00.5Z","verdict":{"value":"deficit","window":"lifetime","progress":0.5,
        "at_stake":"-2.5"},"windows":{"7d":{"from":"x","spend":"1999.9","roas":0.8,"cac":null,"orders":3,
        "verdict":"too_early","undefined":{"cac":"no_new_customers"}},"lifetime":{"spend":"3000","roas":1}}}"#;

    #[test]
    fn figures_are_read_by_the_names_of_the_record() {
        let campaigns = Campaigns::default();
        assert!(campaigns.take("campaign/g:1", Some(RECORD.as_bytes())));
        let campaign = campaigns.get("g:1").unwrap();
        let figures = campaign.figures().unwrap();
        assert_eq!((figures.channel.as_deref(), figures.name.as_deref()), (Some("search"), None));
        assert_eq!((figures.verdict.progress, figures.verdict.at_stake), (Some(0.5), Some(-2.5)));
        assert_eq!(figures.spend_through, Millis::parse("2026-11-21T10:00:00.5Z"));
        let week = figures.window("7d").unwrap();
        assert_eq!((week.get("spend"), week.get("roas"), week.get("orders")), (Some(1999.9), Some(0.8), Some(3.0)));
        assert_eq!((week.get("cac"), week.get("revenue"), week.get("verdict")), (None, None, None));
        assert_eq!(week.verdict.as_deref(), Some("too_early"));
        assert_eq!(figures.windows().map(|(name, _)| name).collect::<Vec<_>>(), ["7d", "lifetime"]);
    }

    #[test]
    fn a_tombstone_takes_a_record_away_and_other_scopes_are_left_alone() {
        let campaigns = Campaigns::default();
        campaigns.take("campaign/a/b", Some(b"{\"id\":\"a/b\"}"));
        campaigns.take("campaign/a/b", Some(b"{}"));
        assert!(!campaigns.take("product/a", Some(b"{}")));
        assert_eq!((campaigns.len(), campaigns.bytes()), (1, 5));
        assert!(campaigns.get("a/b").unwrap().figures().is_none());
        campaigns.take("campaign/a/b", None);
        assert!(campaigns.is_empty() && campaigns.bytes() == 0);
        campaigns.take("campaign/a/b", Some(b"{}"));
        campaigns.clear();
        assert!(campaigns.is_empty() && campaigns.bytes() == 0);
    }

    #[test]
    fn a_record_that_says_what_it_is_read_through_is_catching_up() {
        let campaigns = Campaigns::default();
        let take = |json: Option<&str>| {
            campaigns.take("campaign/c", json.map(str::as_bytes));
            campaigns.catching_up()
        };
        assert_eq!(take(Some(r#"{"read_through":"2026-11-21T10:00:00Z"}"#)), 1);
        assert_eq!(take(Some(r#"{"as_of":"x","read_through":"2026-11-21T10:00:01Z","windows":{}}"#)), 1);
        assert_eq!(take(Some(r#"{"read_through":null}"#)), 0);
        assert_eq!(take(Some(r#"{"read_through": "2026-11-21T10:00:00Z"}"#)), 1);
        assert_eq!(take(None), 0);
        assert_eq!(take(Some(r#"{"read_through": null}"#)), 0);
        assert_eq!(take(Some(r#"{"name":"\"read_through\":1","channel":"read_through"}"#)), 0);
        assert_eq!(take(Some(r#"{"read_through":"2026-11-21T10:00:00Z"}"#)), 1);
        campaigns.clear();
        assert_eq!(campaigns.catching_up(), 0);
    }

    #[test]
    fn room_that_campaigns_took_is_given_back_when_they_go() {
        let campaigns = Campaigns::default();
        let take = |range: std::ops::Range<u32>, json: Option<&[u8]>| {
            range.for_each(|id| assert!(campaigns.take(&format!("campaign/{id}"), json)));
            campaigns.records.capacity()
        };
        let greatest = take(0..20_000, Some(b"{}"));
        assert!(greatest >= 20_000);
        let least = take(100..20_000, None);
        assert!(least < greatest / 50, "{least} of {greatest}");
        assert_eq!((campaigns.len(), campaigns.get("99").is_some()), (100, true));
        take(0..20_000, Some(b"{}"));
        campaigns.clear();
        assert!(campaigns.records.capacity() < greatest / 50);
    }

    /// `docs/events.md` shows a whole record.
    #[test]
    fn every_number_of_a_windows_record_is_a_figure() {
        let docs = include_str!("../../docs/events.md");
        let json = docs.split("```json").skip(1).map(|part| part.split("```").next().unwrap_or_default());
        let json = json.into_iter().find(|json| json.contains("\"scope\"")).unwrap();
        let record: CampaignRecord<'_> = serde_json::from_str(json).unwrap();
        let window = serde_json::to_value(&record.windows.0[0].1).unwrap();
        let others = ["from", "to", "verdict", "undefined"];
        let mut numbers: Vec<_> = window.as_object().unwrap().keys().map(String::as_str).collect();
        numbers.retain(|name| !others.contains(name));
        let mut figures = FIGURES.to_vec();
        figures.sort_unstable();
        numbers.sort_unstable();
        assert_eq!(numbers, figures);
        assert!(Campaign::new(json.as_bytes()).figures().is_some());
    }
}
