//! The settings that give a partition's facts their meaning, as its worker keeps them in the changelog: beside the stage's
//! facts, and under a key that is none of theirs, an upper-case letter.

use crate::format::{self, Format, FormatError};
use crate::kafka::error::{Contradiction, StoredSettingsError};
use crate::settings::{Model, Settings};
use crate::time::Millis;

/// The key under which they stand in the changelog.
pub const SETTINGS_KEY: &[u8] = b"S";

/// The settings under which a partition's facts were written, one a line: `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSettings {
    /// What it is written in.
    format: Format,
    text: String,
    reaches: [Reach; 2],
    /// The value of [`IGNORED`], as format 1 has it and as those after it do.
    ignored: [String; 2],
}

const IGNORED: &str = "attribution.ignore_channels";
const HOURS_KEPT: &str = "windows: hours that are kept singly";
const DAYS_KEPT: &str = "windows: days that are kept singly";

/// How much is kept individually, and how much of it the windows look at. What was once kept for less time is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    key: &'static str,
    kept: u32,
    needed: u32,
}

impl StoredSettings {
    /// Of these settings, with so many partitions of the internal topics.
    pub fn of(settings: &Settings, customer_partitions: u32, campaign_partitions: u32) -> StoredSettings {
        let attribution = &settings.attribution;
        let model = match attribution.model {
            Model::Last => "last",
            Model::First => "first",
            Model::Linear => "linear",
            Model::Position => "position",
            Model::TimeDecay => "time_decay",
        };
        let optional = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
        let mut ignored = attribution.ignore_channels.clone();
        ignored.sort();
        ignored.dedup();
        // Format 1 has them as Rust shows a list to its programmers.
        let ignored = [format!("{ignored:?}"), serde_json::Value::from(ignored).to_string()];
        let ignored_now = ignored[usize::from(settings.format.number() >= 2)].clone();
        let lines = [
            ("reporting.currency", settings.currency.as_str().to_owned()),
            ("reporting.time_zone", settings.zone.name().to_owned()),
            ("attribution.model", model.to_owned()),
            ("attribution.lookback_days", days(attribution.lookback)),
            ("attribution.half_life_days", days(attribution.half_life)),
            (IGNORED, ignored_now),
            ("history.complete_from", optional(settings.complete_from.map(|at| at.to_string()))),
            ("costs.default_margin", optional(settings.default_margin.map(|margin| margin.to_string()))),
            (HOURS_KEPT, settings.hours_kept().to_string()),
            (DAYS_KEPT, settings.retention.days.to_string()),
            ("partitions of the customer-events topic", customer_partitions.to_string()),
            ("partitions of the campaign-events topic", campaign_partitions.to_string()),
        ];
        StoredSettings {
            format: settings.format,
            text: lines.map(|(key, value)| format!("{key} = {value}\n")).concat(),
            reaches: [
                Reach { key: HOURS_KEPT, kept: settings.hours_kept(), needed: settings.hours_needed() },
                Reach { key: DAYS_KEPT, kept: settings.retention.days, needed: settings.days_needed() },
            ],
            ignored,
        }
    }

    /// Puts the value of their fact in the place of what `buffer` holds.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.push(self.format.number());
        buffer.extend_from_slice(self.text.as_bytes());
    }

    /// Compares with what a fact's value says. What is returned is to be written in its place: less is kept individually now.
    ///
    /// # Errors
    /// The value can't be read, or what differs first.
    pub fn check(&self, value: &[u8]) -> Result<Option<StoredSettings>, StoredSettingsError> {
        let (_, text) = format::split(value, FormatError::Malformed { what: "settings" })?;
        let stored = std::str::from_utf8(text).map_err(|_| FormatError::Malformed { what: "settings" })?;
        if stored == self.text {
            return Ok(None);
        }
        let (mut narrowed, mut is_narrower) = (self.clone(), false);
        for reach in &self.reaches {
            // What does not say so is from when all of it was kept.
            let stored = value_of(stored, reach.key).map_or(Ok(u32::MAX), |kept| kept.parse());
            let stored = stored.map_err(|_| FormatError::Malformed { what: "settings" })?;
            if reach.needed > stored {
                return Err(Contradiction {
                    key: reach.key.to_owned(),
                    stored: stored.to_string(),
                    configured: reach.needed.to_string(),
                }
                .into());
            }
            is_narrower |= reach.kept < stored;
            let line = |kept: u32| format!("{} = {kept}\n", reach.key);
            narrowed.text = narrowed.text.replace(&line(reach.kept), &line(reach.kept.min(stored)));
        }
        let keys =
            stored.lines().chain(self.text.lines()).filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        for key in keys.filter(|key| self.reaches.iter().all(|reach| reach.key != *key)) {
            let (stored, configured) = (value_of(stored, key), value_of(&self.text, key));
            let is_same_list = key == IGNORED && stored.as_ref().is_some_and(|stored| self.ignored.contains(stored));
            if stored != configured && !is_same_list {
                let shown = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
                let (stored, configured) = (shown(stored), shown(configured));
                return Err(Contradiction { key: key.to_owned(), stored, configured }.into());
            }
        }
        Ok(is_narrower.then_some(narrowed))
    }
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).map(str::to_owned)
}

fn days(millis: i64) -> String {
    if millis % Millis::DAY == 0 { (millis / Millis::DAY).to_string() } else { format!("{} ms", millis) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::WRITES;
    use crate::money::Micros;
    use crate::settings::{Retention, Window, WindowSpan};

    #[test]
    fn a_setting_that_contradicts_the_stored_state_is_named_with_both_values() {
        let stored = StoredSettings::of(&Settings::default(), 4, 2);
        let mut fact = Vec::new();
        stored.write(&mut fact);
        assert_eq!(stored.check(&fact), Ok(None));

        let margin = Settings { default_margin: Some(Micros(400_000)), ..Settings::default() };
        let error = StoredSettings::of(&margin, 4, 2).check(&fact).unwrap_err();
        assert_eq!(
            error,
            StoredSettingsError::Contradiction(Contradiction {
                key: "costs.default_margin".to_owned(),
                stored: "not set".to_owned(),
                configured: "0.4".to_owned(),
            })
        );
        assert!(error.to_string().contains("`costs.default_margin` is 0.4"), "{error}");
        assert!(StoredSettings::of(&Settings::default(), 4, 3).check(&fact).is_err());
    }

    #[test]
    fn settings_that_only_matter_when_read_may_change_freely() {
        let mut fact = Vec::new();
        StoredSettings::of(&Settings::default(), 1, 1).write(&mut fact);
        let mut changed =
            Settings { lifespan_years: Micros(3_000_000), min_coverage: Micros(0), ..Settings::default() };
        changed.windows.insert(0, Window::new(WindowSpan::Hours(12)));
        assert_eq!(StoredSettings::of(&changed, 1, 1).check(&fact), Ok(None));
    }

    /// By default no more hours are kept than the windows need; it was 40 days once.
    #[test]
    fn a_state_that_kept_more_goes_on_and_one_that_kept_less_does_not() {
        let of = |windows: &[WindowSpan], hours_days| {
            let mut settings = Settings::default();
            settings.windows.extend(windows.iter().copied().map(Window::new));
            settings.retention.hours_days = hours_days;
            StoredSettings::of(&settings, 1, 1)
        };
        let fact_of = |stored: &StoredSettings| {
            let mut fact = Vec::new();
            stored.write(&mut fact);
            fact
        };
        let kept = |stored: &StoredSettings| value_of(&stored.text, HOURS_KEPT);
        let (once, now) = (of(&[], Some(40)), of(&[], None));
        assert_eq!((kept(&once), kept(&now)), (Some("960".to_owned()), Some("24".to_owned())));
        let narrowed = now.check(&fact_of(&once)).unwrap().unwrap();
        assert_eq!(kept(&narrowed), Some("24".to_owned()));
        assert_eq!(now.check(&fact_of(&narrowed)), Ok(None));

        let two_days = of(&[WindowSpan::Hours(25)], None);
        assert_eq!(kept(&two_days), Some("48".to_owned()));
        assert_eq!(kept(&two_days.check(&fact_of(&once)).unwrap().unwrap()), Some("48".to_owned()));
        let error = two_days.check(&fact_of(&narrowed)).unwrap_err().to_string();
        assert!(
            error.contains("`windows: hours that are kept singly` is 25, but the state on Kafka was computed with 24"),
            "{error}"
        );
        assert!(of(&[], Some(40)).check(&fact_of(&narrowed)).is_ok(), "what is kept from now on does not matter");
    }

    #[test]
    fn channels_are_known_in_every_form_that_was_ever_stored() {
        let settings = |channels: &[&str]| {
            let mut settings = Settings::default();
            settings.attribution.ignore_channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
            settings
        };
        let channels = ["direct", "a \"b\"", "l\u{2019}\u{e9}t\u{e9}\n"];
        let now = StoredSettings::of(&settings(&channels), 1, 1);
        let mut fact = Vec::new();
        now.write(&mut fact);
        let text = std::str::from_utf8(&fact[1..]).unwrap();
        let [before, json] = [r#"["a \"b\"", "direct", "l’été\n"]"#, r#"["a \"b\"","direct","l’été\n"]"#];
        let of_format = if WRITES >= 2 { json } else { before };
        assert_eq!(value_of(text, IGNORED).as_deref(), Some(of_format));
        for form in [before, json] {
            let stored = [&[WRITES][..], text.replace(of_format, form).as_bytes()].concat();
            assert_eq!(now.check(&stored), Ok(None), "{form}");
            let error = StoredSettings::of(&settings(&channels[..2]), 1, 1).check(&stored).unwrap_err();
            assert!(error.to_string().starts_with("`attribution.ignore_channels` is"), "{error}");
        }
    }

    #[test]
    fn windows_can_only_look_at_what_was_always_kept_singly() {
        let settings = |hours_days, days, window| {
            let mut settings = Settings::default();
            settings.retention = Retention { hours_days: Some(hours_days), days, ..settings.retention };
            settings.windows.push(Window::new(window));
            settings
        };
        let fact_of = |settings: &Settings| {
            let mut fact = Vec::new();
            StoredSettings::of(settings, 1, 1).write(&mut fact);
            fact
        };
        let check = |fact: &[u8], settings: &Settings| {
            let narrowed = StoredSettings::of(settings, 1, 1).check(fact)?;
            Ok::<_, StoredSettingsError>(
                narrowed.map(|narrowed| narrowed.reaches.map(|reach| value_of(&narrowed.text, reach.key))),
            )
        };
        let kept = |hours: &str, days: &str| Ok(Some([hours, days].map(|kept| Some(kept.to_owned()))));
        let (short, long) = (WindowSpan::Hours(168), WindowSpan::Hours(169));
        let week = fact_of(&settings(7, 500, short));
        assert_eq!(check(&week, &settings(40, 800, short)), Ok(None), "the fact stays that of a week");
        assert_eq!(check(&week, &settings(6, 500, WindowSpan::Hours(1))), kept("144", "500"));
        assert_eq!(check(&week, &settings(40, 499, short)), kept("168", "499"));
        let error = check(&week, &settings(40, 800, long)).unwrap_err().to_string();
        assert!(error.contains("`windows: hours that are kept singly` is 169, but the state on Kafka"), "{error}");
        assert!(check(&week, &settings(7, 800, WindowSpan::Days(501))).is_err());
        let mut late = settings(7, 800, short);
        late.verdict.maturity_days = 501;
        assert!(check(&week, &late).is_err(), "the days in which customers mature are looked at, too");

        // Facts of before there was a retention kept all days.
        let text = String::from_utf8(week).unwrap();
        let old: String = text.split_inclusive('\n').filter(|line| !line.starts_with(DAYS_KEPT)).collect();
        assert_eq!(check(old.as_bytes(), &settings(7, 800, WindowSpan::Days(700))), kept("168", "800"));
    }
}
