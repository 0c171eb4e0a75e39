//! `payback dead-letters`: shows what could not be used, and sends it again.
//!
//! A list shows where a record came from and what is wrong with it, not what is in it: that may be personal, and its own
//! headers may hold what lets somebody in. Its key and value are shown when they are asked for.

mod choice;
mod reader;
mod retry;
mod sent;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use rdkafka::message::{BorrowedMessage, Message};
use serde::{Serialize, Serializer};

use self::choice::Known;
pub use self::choice::{Choice, Place};
pub use self::reader::LettersError;
use self::reader::{Letter, Letters, client_name};
pub use self::retry::{Request as Retry, Retried, retry};
use crate::config::Config;
use crate::kafka::Clients;
use crate::time::Millis;

/// Which letters are shown, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Which letters.
    pub choice: Choice,
    /// A JSON object a line in place of a table.
    pub json: bool,
    /// Shows keys and values.
    pub content: bool,
}

/// Why a list could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum ListError {
    #[error(transparent)]
    Letters(#[from] LettersError),
    #[error("the list can't be written: {0}")]
    Output(#[from] io::Error),
}

/// How many letters were shown, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown(BTreeMap<String, u64>);

#[derive(Serialize)]
struct Line {
    partition: i32,
    offset: i64,
    /// When it was rejected.
    #[serde(serialize_with = "as_text")]
    at: Option<Millis>,
    /// None of a record that payback did not write.
    reason: Option<String>,
    detail: Option<String>,
    source: Option<Source>,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize)]
struct Source {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(serialize_with = "as_text")]
    at: Option<Millis>,
}

fn as_text<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(serializer)
}

/// Writes the letters that are there now, those of each partition in order. A reader that goes away ends it.
///
/// # Errors
/// The topic can't be read, or the output not written.
pub fn list(config: &Config, request: &List, output: &mut impl Write) -> Result<Shown, ListError> {
    let mut shown = Shown::default();
    match write_list(config, request, output, &mut shown) {
        Err(ListError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(shown),
        outcome => outcome.map(|()| shown),
    }
}

fn write_list(config: &Config, request: &List, output: &mut impl Write, shown: &mut Shown) -> Result<(), ListError> {
    let mut letters = Letters::open(&Clients::new(config), &client_name(config), &config.topics.dead_letters)?;
    if !request.json {
        writeln!(output, "{:<24}  {:<17}  {:<32}  {:>9}  detail", "rejected at", "reason", "source", "bytes")?;
    }
    while let Some(record) = letters.read()? {
        let letter = Letter::of(&record);
        if !request.choice.wants(&letter.as_ref().map_or_else(|| Known::of(&record), |letter| letter.known(&record))) {
            continue;
        }
        let line = Line::of(&record, letter, request.content);
        if request.json {
            serde_json::to_writer(&mut *output, &line).map_err(io::Error::from)?;
            writeln!(output)?;
        } else {
            write!(output, "{line}")?;
        }
        *shown.0.entry(line.reason.unwrap_or_else(|| "not written by payback".to_owned())).or_default() += 1;
    }
    Ok(output.flush()?)
}

impl Line {
    fn of(record: &BorrowedMessage<'_>, letter: Option<Letter<'_>>, content: bool) -> Line {
        let text = |bytes: Option<&[u8]>| Some(String::from_utf8_lossy(bytes.filter(|_| content)?).into_owned());
        Line {
            partition: record.partition(),
            offset: record.offset(),
            at: record.timestamp().to_millis().map(Millis),
            reason: letter.as_ref().map(|letter| letter.reason.to_owned()),
            detail: letter.as_ref().map(|letter| letter.detail.to_owned()),
            source: letter.as_ref().map(|letter| Source {
                topic: letter.origin.topic.to_owned(),
                partition: letter.origin.partition,
                offset: letter.origin.offset,
                at: letter.origin.timestamp.map(Millis),
            }),
            key_bytes: record.key().map(<[u8]>::len),
            value_bytes: record.payload().map(<[u8]>::len),
            cut: letter.and_then(|letter| letter.cut),
            key: text(record.key()),
            value: text(record.payload()),
        }
    }
}

/// A line of the table, and one more each for what was cut and what is in it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let source = self.source.as_ref().map_or_else(
            || "-".to_owned(),
            |source| format!("{}/{}@{}", source.topic, source.partition, source.offset),
        );
        let reason = self.reason.as_deref().unwrap_or("-");
        let detail = self.detail.as_deref().unwrap_or("not written by payback");
        let bytes = self.value_bytes.unwrap_or(0);
        writeln!(f, "{at:<24}  {reason:<17}  {:<32}  {bytes:>9}  {}", printable(&source), printable(detail))?;
        let more = [("cut", &self.cut), ("key", &self.key), ("value", &self.value)];
        for (name, text) in more.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
            writeln!(f, "    {name}: {}", printable(text))?;
        }
        Ok(())
    }
}

/// A terminal takes control characters for commands.
fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// `3 dead letters: 2 invalid_json, 1 missing_field`
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", letters(self.0.values().sum()))?;
        by_name(f, &self.0)
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", letters(self.sent.values().sum()))?;
        by_name(f, &self.sent)?;
        for (count, what) in [
            (self.before, "sent by an earlier retry"),
            (self.cut, "cut, so not sent: send these again from where they came"),
            (self.foreign, "not written by payback, so not sent"),
        ] {
            if count > 0 {
                write!(f, "\n{count} {what}")?;
            }
        }
        for (topic, count) in &self.elsewhere {
            let topic = printable(topic);
            write!(f, "\n{count} from {topic}, so not sent: it is neither in topics.purchases nor in topics.ad_spend")?;
        }
        Ok(())
    }
}

fn letters(count: u64) -> String {
    format!("{count} dead letter{}", if count == 1 { "" } else { "s" })
}

fn by_name(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, u64>) -> fmt::Result {
    for (place, (name, count)) in counts.iter().enumerate() {
        write!(f, "{} {count} {}", if place == 0 { ":" } else { "," }, printable(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(detail: &str) -> Line {
        Line {
            partition: 0,
            offset: 5,
            at: Some(Millis(1_795_255_205_000)),
            reason: Some("invalid_json".to_owned()),
            detail: Some(detail.to_owned()),
            source: Some(Source { topic: "purchases".to_owned(), partition: 3, offset: 7, at: None }),
            key_bytes: None,
            value_bytes: Some(12),
            cut: None,
            key: None,
            value: None,
        }
    }

    #[test]
    fn a_line_shows_where_a_record_came_from_and_no_commands_for_the_terminal() {
        let shown = line("found \u{1b}[2J").to_string();
        let expected = "2026-11-21T10:00:05Z      invalid_json       purchases/3@7                            12  found \\u{1b}[2J\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_was_not_sent_is_said() {
        let retried = Retried {
            sent: [("invalid_json".to_owned(), 2)].into(),
            before: 3,
            cut: 1,
            elsewhere: [("old".to_owned(), 4)].into(),
            foreign: 0,
        };
        assert_eq!(
            retried.to_string(),
            "2 dead letters: 2 invalid_json\n3 sent by an earlier retry\n1 cut, so not sent: send these again from where they came\n\
             4 from old, so not sent: it is neither in topics.purchases nor in topics.ad_spend"
        );
    }
}
