//! The campaigns stage's facts as bytes: key = kind, then the identity with the texts' lengths; value = format,
//! then the content.

use serde::{Deserialize, Serialize};

use super::totals::SpendSums;
use crate::domain::spend::SpendKind;
use crate::engine::FormatError;
use crate::engine::fact::{FactKey, append};
use crate::engine::ledger::LedgerSums;
use crate::format;
use crate::money::{Micros, Sum};
use crate::time::{Date, Millis};

const MALFORMED: FormatError = FormatError::Malformed { what: "fact of a campaign" };

/// The first bytes of keys. Keys of no other kind are read.
pub const KINDS: &[u8] = b"hdrascbz";

/// A fact's identity: the first byte of its key says which kind follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The ledger's bucket of one hour; its value is a [`LedgerSums`].
    Hour { campaign: &'a str, hour: Millis },
    /// The ledger's bucket of one day, less the hours of it that still have facts of their own.
    Day { campaign: &'a str, day: Date },
    /// A cell's current [`ReportFact`].
    Report { campaign: &'a str, date: Date, kind: SpendKind, breakdown: Option<&'a str> },
    /// A spend id's current [`AmountFact`].
    Amount { campaign: &'a str, spend: &'a str },
    /// Amounts of a day that are not kept individually: a [`DaySpendFact`].
    DaySpend { campaign: &'a str, day: Date },
    /// What compacted amounts and reports say: a [`CompactedFact`].
    Compacted { campaign: &'a str },
    /// What is of the lifetime alone: a [`LedgerSums`] and a [`SpendSums`].
    Before { campaign: &'a str },
    /// The partition's [`Horizons`](super::horizons::Horizons).
    Horizons,
}

impl FactKey for Key<'_> {
    fn write(&self, key: &mut Vec<u8>) {
        let kind = match self {
            Key::Hour { .. } => b'h',
            Key::Day { .. } => b'd',
            Key::Report { .. } => b'r',
            Key::Amount { .. } => b'a',
            Key::DaySpend { .. } => b's',
            Key::Compacted { .. } => b'c',
            Key::Before { .. } => b'b',
            Key::Horizons => b'z',
        };
        key.push(kind);
        match *self {
            Key::Hour { campaign, hour } => append(key, &(campaign, hour)),
            Key::Day { campaign, day } | Key::DaySpend { campaign, day } => append(key, &(campaign, day)),
            Key::Report { campaign, date, kind, breakdown } => append(key, &(campaign, date, kind, breakdown)),
            Key::Amount { campaign, spend } => append(key, &(campaign, spend)),
            Key::Compacted { campaign } | Key::Before { campaign } => append(key, &campaign),
            Key::Horizons => {}
        }
    }
}

impl<'a> Key<'a> {
    /// # Errors
    /// Bytes that are no key.
    pub fn read(key: &'a [u8]) -> Result<Key<'a>, FormatError> {
        let (kind, identity) = key.split_first().filter(|(kind, _)| KINDS.contains(kind)).ok_or(MALFORMED)?;
        match kind {
            b'h' => whole(identity).map(|(campaign, hour)| Key::Hour { campaign, hour }),
            b'd' => whole(identity).map(|(campaign, day)| Key::Day { campaign, day }),
            b'r' => {
                whole(identity).map(|(campaign, date, kind, breakdown)| Key::Report { campaign, date, kind, breakdown })
            }
            b'a' => whole(identity).map(|(campaign, spend)| Key::Amount { campaign, spend }),
            b's' => whole(identity).map(|(campaign, day)| Key::DaySpend { campaign, day }),
            b'c' => whole(identity).map(|campaign| Key::Compacted { campaign }),
            b'b' => whole(identity).map(|campaign| Key::Before { campaign }),
            b'z' if identity.is_empty() => Ok(Key::Horizons),
            _ => Err(MALFORMED),
        }
    }
}

/// A whole report: also what no figure is made of yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportFact<'a> {
    pub reported_at: Millis,
    pub amount: Micros,
    pub digest: u64,
    pub channel: Option<&'a str>,
    pub impressions: Option<i64>,
    pub clicks: Option<i64>,
    pub reported_conversions: Option<Micros>,
    pub reported_revenue: Option<Micros>,
    pub campaign_name: Option<&'a str>,
    pub platform: Option<&'a str>,
    pub objective: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmountFact<'a> {
    pub occurred_at: Millis,
    pub amount: Micros,
    pub digest: u64,
    pub kind: SpendKind,
    pub channel: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaySpendFact {
    pub media: Sum,
    pub all: Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompactedFact<'a> {
    pub events: u64,
    /// Channel, name, platform, objective: the latest of each, and when it was named.
    #[serde(borrow)]
    pub labels: [Option<(Millis, &'a str)>; 4],
    pub through: Option<Millis>,
}

/// Reads a fact's value.
///
/// # Errors
/// A newer version, or bytes that are no such fact.
pub fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, FormatError> {
    format::read(value, MALFORMED)
}

/// Appends the content of what is of the lifetime alone.
pub fn write_before(ledger: &LedgerSums, spend: &SpendSums, value: &mut Vec<u8>) {
    ledger.write(value);
    append(value, spend);
}

/// Reads the value of a bucket's fact.
///
/// # Errors
/// As [`read`].
pub fn read_sums(value: &[u8]) -> Result<LedgerSums, FormatError> {
    let mut content = content(value)?;
    LedgerSums::read(&mut content).filter(|_| content.is_empty()).ok_or(MALFORMED)
}

/// Reads the value of what is of the lifetime alone.
///
/// # Errors
/// As [`read`]; sums that are not within the bounds of a [`LedgerSums`].
pub fn read_before(value: &[u8]) -> Result<(LedgerSums, SpendSums), FormatError> {
    let mut content = content(value)?;
    let ledger = LedgerSums::read(&mut content).ok_or(MALFORMED)?;
    let spend: SpendSums = whole(content)?;
    let SpendSums { media, all, impressions, clicks, reported_revenue, reporting } = spend;
    within_bounds([media.0, all.0, impressions, clicks, reported_revenue.0])?;
    counted(reporting.unsigned_abs())?;
    Ok((ledger, spend))
}

/// Reads what the compacted amounts of a day come to.
///
/// # Errors
/// As [`read_before`].
pub fn read_day_spend(value: &[u8]) -> Result<DaySpendFact, FormatError> {
    let fact: DaySpendFact = read(value)?;
    within_bounds([fact.media.0, fact.all.0])?;
    Ok(fact)
}

/// Reads what compacted events say.
///
/// # Errors
/// As [`read_before`].
pub fn read_compacted(value: &[u8]) -> Result<CompactedFact<'_>, FormatError> {
    let fact: CompactedFact<'_> = read(value)?;
    counted(fact.events)?;
    Ok(fact)
}

fn within_bounds<const N: usize>(sums: [i128; N]) -> Result<(), FormatError> {
    if sums.iter().all(|sum| sum.unsigned_abs() <= LedgerSums::MOST) { Ok(()) } else { Err(MALFORMED) }
}

fn counted(count: u64) -> Result<(), FormatError> {
    if count <= LedgerSums::MOST_COUNTED { Ok(()) } else { Err(MALFORMED) }
}

fn content(value: &[u8]) -> Result<&[u8], FormatError> {
    format::split(value, MALFORMED).map(|(_, content)| content)
}

fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FormatError> {
    format::whole(bytes, MALFORMED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written_and_differ() {
        let (hour, day) = (Millis(-3_600_000), Date(20_000));
        let keys = [
            Key::Hour { campaign: "google:1", hour },
            Key::Hour { campaign: "", hour },
            Key::Day { campaign: "google:1", day },
            Key::Report { campaign: "ü", date: day, kind: SpendKind::Fee, breakdown: None },
            Key::Report { campaign: "ü", date: day, kind: SpendKind::Fee, breakdown: Some("") },
            Key::Report { campaign: "ü", date: day, kind: SpendKind::Media, breakdown: Some("DE") },
            Key::Amount { campaign: "a", spend: "bc" },
            Key::Amount { campaign: "ab", spend: "c" },
            Key::DaySpend { campaign: "ab", day },
            Key::Compacted { campaign: "ab" },
            Key::Before { campaign: "ab" },
            Key::Horizons,
        ];
        let mut written = std::collections::BTreeSet::new();
        for key in keys {
            let mut bytes = Vec::new();
            key.write(&mut bytes);
            assert!(bytes[0].is_ascii_lowercase());
            assert_eq!(Key::read(&bytes), Ok(key));
            bytes.push(0);
            assert_eq!(Key::read(&bytes), Err(MALFORMED));
            assert!(written.insert(bytes));
        }
        let kinds: std::collections::BTreeSet<u8> = written.iter().map(|key| key[0]).collect();
        assert!(kinds.len() == KINDS.len() && KINDS.iter().all(|kind| kinds.contains(kind)));
    }

    #[test]
    fn every_kind_is_documented() {
        let page = include_str!("../../../docs/facts.md");
        let (_, rest) = page.split_once("\n## Campaigns\n").unwrap();
        let section = rest.split("\n## ").next().unwrap();
        for &kind in KINDS {
            assert!(section.contains(&format!("\n| `{}`", kind as char)), "{}", kind as char);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let known = *format::READS.end();
        assert_eq!(read_sums(&[known + 1, 0]), Err(FormatError::Version { found: known + 1, known }));
        assert_eq!(read_sums(&[1, 0]), Err(MALFORMED));
        assert_eq!(read_sums(&[]), Err(MALFORMED));
    }

    #[test]
    fn kinds_of_spend_keep_the_numbers_under_which_they_are_stored() {
        let stored = SpendKind::ALL.map(|kind| {
            let mut bytes = Vec::new();
            append(&mut bytes, &kind);
            bytes
        });
        assert_eq!(stored, [[0], [1], [2], [3]]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Key::read(&key);
            for kind in KINDS {
                let _ = Key::read(&[&[*kind], key.as_slice()].concat());
            }
            let versioned = [&[format::WRITES], value.as_slice()].concat();
            let _ = (read::<ReportFact<'_>>(&versioned), read::<AmountFact<'_>>(&versioned), read_sums(&versioned));
            let _ = (read_compacted(&versioned), read_day_spend(&versioned), read_before(&versioned));
        }
    }
}
