//! What a worker itself keeps in a partition's changelog, beside the stage's facts: how far the partition has come, and
//! the settings that give its facts their meaning. Its keys are upper-case letters; a stage's are not.

use serde::{Deserialize, Serialize};

use crate::engine::FormatError;
use crate::settings::{Model, Settings};
use crate::time::Millis;

pub const PROGRESS_KEY: &[u8] = b"P";
pub const SETTINGS_KEY: &[u8] = b"S";

const VERSION: u8 = 1;

/// How far a partition has come, as of its last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The moment of the last figures; never goes back.
    pub as_of: Millis,
    /// The moment at which the last completed hour roll began.
    pub rolled_to: Millis,
    /// The next record of the internal topic's partition; none before the first commit.
    pub internal_offset: Option<i64>,
    /// Source topics of as many partitions, and the next record of this one's number.
    pub source_offsets: Vec<(String, i64)>,
}

impl Progress {
    /// Writes this as a fact's value into `buffer`, replacing what it holds.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.push(VERSION);
        if let Ok(encoded) = postcard::to_allocvec(self) {
            buffer.extend_from_slice(&encoded);
        }
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// A newer version, or bytes that are no progress.
    pub fn read(value: &[u8]) -> Result<Progress, FormatError> {
        let (&version, rest) = value.split_first().ok_or(FormatError::Malformed { what: "progress" })?;
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION });
        }
        postcard::from_bytes(rest).map_err(|_| FormatError::Malformed { what: "progress" })
    }
}

/// The settings under which a partition's facts were written, one a line: `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning(String);

/// A setting that is not what the stored state was computed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{key}` is {configured}, but the state on Kafka was computed with {stored}. Set it back, or give this processor \
     another `kafka.application_id` and other output topics: it then computes all from the source topics anew"
)]
pub struct Contradiction {
    pub key: String,
    pub stored: String,
    pub configured: String,
}

impl Meaning {
    /// Of these settings, with so many partitions of the internal topics.
    pub fn of(settings: &Settings, customer_partitions: u32, campaign_partitions: u32) -> Meaning {
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
        let lines = [
            ("reporting.currency", settings.currency.as_str().to_owned()),
            ("reporting.time_zone", settings.zone.name().to_owned()),
            ("attribution.model", model.to_owned()),
            ("attribution.lookback_days", days(attribution.lookback)),
            ("attribution.half_life_days", days(attribution.half_life)),
            ("attribution.ignore_channels", format!("{ignored:?}")),
            ("history.complete_from", optional(settings.complete_from.map(|at| at.to_string()))),
            ("costs.default_margin", optional(settings.default_margin.map(|margin| margin.to_string()))),
            ("windows: hours that are kept singly", settings.hours_kept().to_string()),
            ("partitions of the customer-events topic", customer_partitions.to_string()),
            ("partitions of the campaign-events topic", campaign_partitions.to_string()),
        ];
        Meaning(lines.map(|(key, value)| format!("{key} = {value}\n")).concat())
    }

    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.push(VERSION);
        buffer.extend_from_slice(self.0.as_bytes());
    }

    /// Compares with what a fact's value says.
    ///
    /// # Errors
    /// The value can't be read, or what differs first.
    pub fn check(&self, value: &[u8]) -> Result<(), MeaningError> {
        let (&version, text) = value.split_first().ok_or(FormatError::Malformed { what: "settings" })?;
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION }.into());
        }
        let stored = std::str::from_utf8(text).map_err(|_| FormatError::Malformed { what: "settings" })?;
        if stored == self.0 {
            return Ok(());
        }
        let value_of = |text: &str, key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            value.unwrap_or("not set").to_owned()
        };
        let keys = stored.lines().chain(self.0.lines()).filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        for key in keys {
            let (stored, configured) = (value_of(stored, key), value_of(&self.0, key));
            if stored != configured {
                return Err(Contradiction { key: key.to_owned(), stored, configured }.into());
            }
        }
        Ok(())
    }
}

/// Why the settings of a partition's facts are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeaningError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// The stored and the committed offset of a partition's internal topic are to be the same: both were written by one
/// transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "{topic} partition {partition} has no committed offset, but its state in {changelog} was computed up to offset {stored}: \
         the consumer group's offsets have expired or were deleted, and reading again from the start would count on top of the \
         state. Set the group's offset to {stored}, or give this processor another `kafka.application_id` and other output topics"
    )]
    NotCommitted { topic: String, partition: u32, changelog: String, stored: i64 },
    #[error(
        "{topic} partition {partition}: the committed offset is {committed}, but the state in {changelog} was computed up to offset \
         {stored}: somebody has moved the consumer group's offsets or altered the changelog. Set the group's offset to {stored}, or \
         give this processor another `kafka.application_id` and other output topics"
    )]
    Differs { topic: String, partition: u32, changelog: String, stored: i64, committed: i64 },
    #[error(
        "{topic} partition {partition} has the committed offset {committed}, but there is no state in {changelog}: the changelog was \
         deleted or altered. Going on would forget all that was computed; delete the consumer groups' offsets too to compute it \
         anew, with other output topics"
    )]
    NoState { topic: String, partition: u32, changelog: String, committed: i64 },
}

fn days(millis: i64) -> String {
    if millis % Millis::DAY == 0 { (millis / Millis::DAY).to_string() } else { format!("{} ms", millis) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Micros;
    use crate::settings::{Window, WindowSpan};

    #[test]
    fn progress_is_read_as_it_was_written() {
        let progress = Progress {
            as_of: Millis(1_800_000_000_000),
            rolled_to: Millis(-5),
            internal_offset: Some(7),
            source_offsets: vec![("purchases".to_owned(), 1 << 40)],
        };
        let mut buffer = b"what was here before".to_vec();
        progress.write(&mut buffer);
        assert_eq!(Progress::read(&buffer), Ok(progress));
        assert_eq!(Progress::read(&[2, 0]), Err(FormatError::Version { found: 2, known: 1 }));
        assert!(Progress::read(&[]).is_err());
    }

    #[test]
    fn a_setting_that_contradicts_the_stored_state_is_named_with_both_values() {
        let stored = Meaning::of(&Settings::default(), 4, 2);
        let mut fact = Vec::new();
        stored.write(&mut fact);
        assert_eq!(stored.check(&fact), Ok(()));

        let margin = Settings { default_margin: Some(Micros(400_000)), ..Settings::default() };
        let error = Meaning::of(&margin, 4, 2).check(&fact).unwrap_err();
        assert_eq!(
            error,
            MeaningError::Contradiction(Contradiction {
                key: "costs.default_margin".to_owned(),
                stored: "not set".to_owned(),
                configured: "0.4".to_owned(),
            })
        );
        assert!(error.to_string().contains("`costs.default_margin` is 0.4"), "{error}");
        assert!(Meaning::of(&Settings::default(), 4, 3).check(&fact).is_err());
        let mut longer = Settings::default();
        longer.windows.push(Window::new(WindowSpan::Hours(30 * 24)));
        assert!(Meaning::of(&longer, 4, 2).check(&fact).is_err(), "older hours are joined into days already");
    }

    #[test]
    fn settings_that_only_matter_when_read_may_change_freely() {
        let mut fact = Vec::new();
        Meaning::of(&Settings::default(), 1, 1).write(&mut fact);
        let mut changed =
            Settings { lifespan_years: Micros(3_000_000), min_coverage: Micros(0), ..Settings::default() };
        changed.windows.insert(0, Window::new(WindowSpan::Hours(48)));
        assert_eq!(Meaning::of(&changed, 1, 1).check(&fact), Ok(()));
    }
}
