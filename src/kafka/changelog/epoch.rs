//! The epoch of a partition's records: what they are written under beside the stored settings. A key's record is written
//! when something of it changes; so where a setting that shapes records, the version of the program or the output topic is
//! another one than before, records of old keys would stay as they were for ever, or never come to the new topic. What all
//! of a partition's latest records have in common is a fact beside its progress; where that is not what they would be
//! written under now, all of them are written again.
//!
//! Settings that give facts their meaning are no part of it: they never change
//! ([`StoredSettings`](super::stored_settings::StoredSettings)).

use std::collections::BTreeMap;

use crate::format::{self, Format, FormatError};
use crate::kafka::names::StageKind;
use crate::kafka::topics::destinations::Destination;
use crate::settings::{Profit, Settings, VerdictRules};

/// The key under which it stands in the changelog.
pub const EPOCH_KEY: &[u8] = b"E";

/// The version of what the records of each stage say. It is to be raised with each change that the records of customers or
/// campaigns of whom nothing is heard any more must show as well.
const RECORDS: u32 = 1;

/// What stands for [`RECORDS`], and is missing while somebody has asked for all records anew.
const VERSION: &str = "version of the record";
const TOPIC: &str = "output topic";
const TOPIC_ID: &str = "id of the output topic";
/// Whether verdicts wait for what is not read yet.
const CATCHING_UP: &str = "catching up";

/// What records are written under, by name; of a partition, as far as it is the same for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch(BTreeMap<String, String>);

impl Epoch {
    /// That of records of this stage which are written now.
    pub fn of(stage: StageKind, settings: &Settings, destination: &Destination) -> Epoch {
        let mut lines = shape(stage, settings);
        lines.push((VERSION, RECORDS.to_string()));
        lines.push((TOPIC, destination.topic.clone()));
        lines.extend(destination.id.map(|id| (TOPIC_ID, id.to_string())));
        Epoch(lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The same, of records that say whether they are catching up.
    pub fn while_catching_up(mut self, catching_up: bool) -> Epoch {
        self.0.insert(CATCHING_UP.to_owned(), catching_up.to_string());
        self
    }

    /// Nothing is known to be the same for all records.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What records of this epoch and of another one have in common.
    pub fn common(&self, other: &Epoch) -> Epoch {
        Epoch(self.0.iter().filter(|(name, value)| other.0.get(*name) == Some(value)).map(owned).collect())
    }

    /// Forgets that the records are of any version: they are to be written again whatever they are.
    pub fn doubt(&mut self) {
        self.0.remove(VERSION);
    }

    /// What of this epoch does not hold for all records of which `written` is said; `None` where all of it does.
    pub fn differs_from(&self, written: &Epoch) -> Option<String> {
        let differs = |(name, value): (&String, &String)| match written.0.get(name) {
            Some(other) if other == value => None,
            Some(other) => Some(format!("{name} is {value}, and was {other}")),
            None => Some(format!("{name} is {value}, and was not for all of them")),
        };
        let differences: Vec<String> = self.0.iter().filter_map(differs).collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }

    /// Whether all records of this are on that topic.
    pub fn is_on(&self, destination: &Destination) -> bool {
        let id = destination.id.map(|id| id.to_string());
        self.0.get(TOPIC) == Some(&destination.topic) && (id.is_none() || self.0.get(TOPIC_ID) == id.as_ref())
    }

    /// The value of its fact.
    pub fn fact(&self, format: Format) -> Vec<u8> {
        let lines: Vec<String> = self.0.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        [&[format.number()], lines.concat().as_bytes()].concat()
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// It is of a newer format, or is none.
    pub fn read(value: &[u8]) -> Result<Epoch, FormatError> {
        let malformed = FormatError::Malformed { what: "epoch" };
        let (_, text) = format::split(value, malformed.clone())?;
        let text = std::str::from_utf8(text).map_err(|_| malformed.clone())?;
        let line = |line: &str| {
            let (name, value) = line.split_once(" = ").ok_or_else(|| malformed.clone())?;
            Ok((name.to_owned(), value.to_owned()))
        };
        text.lines().map(line).collect::<Result<_, _>>().map(Epoch)
    }
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// The settings that the records of a stage depend on, beside those that are stored.
fn shape(stage: StageKind, settings: &Settings) -> Vec<(&'static str, String)> {
    // All of them by name: a new one belongs to the epoch, to the stored settings, or to neither, and that is decided here.
    let Settings {
        lifespan_years,
        min_coverage,
        verdict,
        windows,
        format,
        // Stored settings.
        currency: _,
        zone: _,
        default_margin: _,
        complete_from: _,
        attribution: _,
        campaign_partitions: _,
        // Changes what is kept, and no record.
        retention: _,
    } = settings;
    let VerdictRules { profit, window, min_spend, maturity_days, max_spend_gap, max_lag } = verdict;
    let profit = match profit {
        Profit::OperatingProfit => "operating_profit",
        Profit::GrossProfit => "gross_profit",
        Profit::Revenue => "revenue",
    };
    let mut lines = vec![("format.write", format.to_string()), ("costs.min_coverage", min_coverage.to_string())];
    match stage {
        StageKind::Customers => lines.push(("ltv.lifespan_years", lifespan_years.to_string())),
        StageKind::Campaigns => {
            let names: Vec<&str> = windows.iter().map(|window| window.name.as_str()).collect();
            lines.extend([
                ("windows", names.join(", ")),
                ("verdict.profit", profit.to_owned()),
                ("verdict.window", names.get(*window).copied().unwrap_or_default().to_owned()),
                ("verdict.min_spend", min_spend.to_string()),
                ("verdict.maturity_days", maturity_days.to_string()),
                ("verdict.max_spend_gap", max_spend_gap.to_string()),
                ("verdict.max_lag_seconds", (max_lag / 1_000).to_string()),
            ]);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::topic_ids::TopicId;
    use crate::money::Micros;
    use crate::settings::Retention;

    fn on(topic: &str, id: Option<TopicId>) -> Destination {
        Destination { topic: topic.to_owned(), id }
    }

    fn changed(stage: StageKind, settings: &Settings, destination: &Destination) -> Option<String> {
        let id = TopicId::new(1).filter(|_| destination.id.is_some());
        let before = Epoch::of(stage, &Settings::default(), &on("a", id));
        Epoch::of(stage, settings, destination).differs_from(&before)
    }

    #[test]
    fn a_setting_belongs_to_the_records_that_it_shapes() {
        use StageKind::{Campaigns, Customers};
        let of = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            [Customers, Campaigns].map(|stage| changed(stage, &settings, &on("a", None)))
        };
        let says = |text: &str| Some(text.to_owned());
        assert_eq!(of(|_| ()), [None, None]);
        assert_eq!(
            of(|settings| settings.lifespan_years = Micros(3_000_000)),
            [says("ltv.lifespan_years is 3, and was 1"), None]
        );
        let coverage = || says("costs.min_coverage is 0, and was 0.95");
        assert_eq!(of(|settings| settings.min_coverage = Micros(0)), [coverage(), coverage()]);
        assert_eq!(
            of(|settings| settings.windows.truncate(2)),
            [
                None,
                says(
                    "verdict.window is , and was lifetime; windows is 24h, 7d, and was 24h, 7d, 30d, 90d, 365d, lifetime"
                )
            ]
        );
        assert_eq!(of(|settings| settings.verdict.window = 0), [None, says("verdict.window is 24h, and was lifetime")]);
        let rules: [fn(&mut Settings); 5] = [
            |settings| settings.verdict.profit = Profit::Revenue,
            |settings| settings.verdict.min_spend = Micros(1),
            |settings| settings.verdict.maturity_days = 1,
            |settings| settings.verdict.max_spend_gap = Micros(1),
            |settings| settings.verdict.max_lag = 1_000,
        ];
        for rule in rules {
            assert!(matches!(of(rule), [None, Some(_)]), "{:?}", of(rule));
        }
        // What is kept shapes no record.
        assert_eq!(of(|settings| settings.retention = Retention { days: 500, ..settings.retention }), [None, None]);
        assert_eq!(of(|settings| settings.campaign_partitions = 7), [None, None]);
    }

    #[test]
    fn another_topic_is_another_epoch_by_name_and_by_id() {
        let other = |topic, id| changed(StageKind::Customers, &Settings::default(), &on(topic, id));
        assert_eq!(other("b", None).as_deref(), Some("output topic is b, and was a"));
        assert_eq!(other("a", TopicId::new(1)), None);
        let id = |digit| format!("{}{digit}", "0".repeat(31));
        assert_eq!(
            other("a", TopicId::new(2)),
            Some(format!("id of the output topic is {}, and was {}", id(2), id(1)))
        );
    }

    #[test]
    fn an_id_that_a_broker_does_not_tell_is_no_other_topic() {
        let settings = Settings::default();
        let of = |id| Epoch::of(StageKind::Customers, &settings, &on("a", id));
        assert_eq!(of(None).differs_from(&of(TopicId::new(1))), None);
        assert!(of(TopicId::new(1)).differs_from(&of(None)).is_some(), "it may be another one");
        for (id, topic, is_on) in [(1, Some(1), true), (1, None, true), (1, Some(2), false)] {
            assert_eq!(of(TopicId::new(id)).is_on(&on("a", topic.and_then(TopicId::new))), is_on, "{id} {topic:?}");
        }
        assert!(!of(None).is_on(&on("b", None)) && !Epoch::default().is_on(&on("a", None)));
    }

    #[test]
    fn while_records_are_written_again_only_what_old_and_new_have_in_common_is_said_of_them() {
        let settings = Settings::default();
        let of = |years, topic| {
            let settings = Settings { lifespan_years: Micros(years), ..settings.clone() };
            Epoch::of(StageKind::Customers, &settings, &on(topic, None))
        };
        let (old, new) = (of(1_000_000, "a"), of(3_000_000, "a"));
        let mut common = new.common(&old);
        assert_eq!(new.differs_from(&common).as_deref(), Some("ltv.lifespan_years is 3, and was not for all of them"));
        assert!(old.differs_from(&common).is_some(), "the way back needs all of them again as well");
        assert_eq!(of(1_000_000, "b").common(&common).common(&new), of(1_000_000, "b").common(&new).common(&common));
        common.doubt();
        assert!(new.differs_from(&common).unwrap().contains("version of the record is 1, and was not for all"));
        assert_eq!(new.common(&Epoch::default()), Epoch::default());
    }

    #[test]
    fn an_epoch_is_read_as_it_was_written() {
        let epoch = Epoch::of(StageKind::Campaigns, &Settings::default(), &on("a", TopicId::new(7)));
        assert_eq!(Epoch::read(&epoch.fact(Format::default())), Ok(epoch));
        assert_eq!(Epoch::read(&Epoch::default().fact(Format::default())), Ok(Epoch::default()));
        let malformed = Err(FormatError::Malformed { what: "epoch" });
        for bytes in [&b""[..], b"\x01no line", b"\x01a = \xff\n", b"\x00"] {
            assert_eq!(Epoch::read(bytes), malformed);
        }
        assert!(matches!(Epoch::read(b"\xff"), Err(FormatError::Version { .. })));
    }
}
