//! Which dead letters are meant, of all that are there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rdkafka::message::Message;
use serde_json::value::RawValue;

use crate::events::Reason;
use crate::kafka::record::origin::Origin;
use crate::time::Millis;

/// What letters are chosen by. Of each list any may hold, and an empty one holds for all; all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Why they were rejected.
    pub reasons: Vec<Reason>,
    /// Where their records came from.
    pub sources: Vec<Place>,
    /// `type`s of events.
    pub types: Vec<String>,
    /// What stands in a field whose name ends in `_id`.
    pub ids: Vec<String>,
    /// Those that were rejected at this moment or later.
    pub since: Option<Millis>,
    /// Those that were rejected before this moment.
    pub until: Option<Millis>,
}

/// Where records came from: a topic, a partition of it, or offsets of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    topic: String,
    partition: Option<i32>,
    offsets: RangeInclusive<i64>,
}

/// Not a [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected TOPIC, TOPIC/PARTITION, TOPIC/PARTITION@OFFSET, or @FIRST-LAST or @FIRST- for more of them")]
pub struct NoPlace;

/// What is known of a dead letter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// `None` of a record that is no dead letter of this program's, as is `origin`.
    pub reason: Option<&'a str>,
    /// Where its record was first read.
    pub origin: Option<Origin<'a>>,
    /// When it was rejected.
    pub at: Option<Millis>,
    /// That of its record, or what is left of it.
    pub value: Option<&'a [u8]>,
}

impl<'a> Known<'a> {
    /// Of any record.
    pub fn of(record: &'a impl Message) -> Known<'a> {
        let at = record.timestamp().to_millis().map(Millis);
        Known { reason: None, origin: None, at, value: record.payload() }
    }
}

impl Choice {
    /// Whether a letter is meant.
    pub fn wants(&self, letter: &Known<'_>) -> bool {
        let reason = letter.reason.unwrap_or_default();
        (self.reasons.is_empty() || self.reasons.iter().any(|wanted| wanted.code() == reason))
            && (self.sources.is_empty()
                || letter.origin.is_some_and(|origin| self.sources.iter().any(|wanted| wanted.holds(&origin))))
            && self.since.is_none_or(|since| letter.at.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| letter.at.is_some_and(|at| at < until))
            && self.wants_content(letter.value.unwrap_or_default())
    }

    fn wants_content(&self, value: &[u8]) -> bool {
        if self.types.is_empty() && self.ids.is_empty() {
            return true;
        }
        // Raw, so that a number which nothing can hold does not keep the rest from being read.
        let Ok(fields) = serde_json::from_slice::<HashMap<Cow<'_, str>, &RawValue>>(value) else { return false };
        let is_any_of = |wanted: &[String], found: &RawValue| {
            let text = serde_json::from_str::<String>(found.get()).unwrap_or_else(|_| found.get().to_owned());
            wanted.contains(&text)
        };
        let ids = || fields.iter().filter(|(name, _)| name.ends_with("_id"));
        (self.types.is_empty() || fields.get("type").is_some_and(|found| is_any_of(&self.types, found)))
            && (self.ids.is_empty() || ids().any(|(_, found)| is_any_of(&self.ids, found)))
    }
}

impl Place {
    fn holds(&self, origin: &Origin<'_>) -> bool {
        self.topic == origin.topic
            && self.partition.is_none_or(|partition| partition == origin.partition)
            && self.offsets.contains(&origin.offset)
    }
}

/// As a list shows it, `purchases/3@7`, or less of it, or `purchases/3@7-20`, or `purchases/3@7-`.
impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Place, NoPlace> {
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0).ok_or(NoPlace);
        let (topic, place) = text.split_once('/').map_or((text, None), |(topic, place)| (topic, Some(place)));
        let (partition, offsets) = match place.map(|place| place.split_once('@').ok_or(place)) {
            None => (None, 0..=i64::MAX),
            Some(Err(partition)) => (Some(partition), 0..=i64::MAX),
            Some(Ok((partition, offsets))) => {
                let offsets = match offsets.split_once('-') {
                    None => number(offsets)?..=number(offsets)?,
                    Some((first, "")) => number(first)?..=i64::MAX,
                    Some((first, last)) => number(first)?..=number(last)?,
                };
                (Some(partition), offsets)
            }
        };
        let partition = partition.map(|partition| number(partition).and_then(|it| it.try_into().map_err(|_| NoPlace)));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if topic.is_empty() || !topic.chars().all(is_name) || offsets.is_empty() {
            return Err(NoPlace);
        }
        Ok(Place { topic: topic.to_owned(), partition: partition.transpose()?, offsets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = Millis(1_795_255_205_000);

    fn letter() -> Known<'static> {
        let origin = Origin { topic: "purchases", partition: 3, offset: 7, timestamp: None };
        let value = br#"{"type":"refund","customer_id":"c-1","order_id":17,"amount":1e999999999,"note":"c-2"}"#;
        Known { reason: Some("invalid_money"), origin: Some(origin), at: Some(AT), value: Some(value) }
    }

    fn from(source: &str) -> Choice {
        Choice { sources: vec![source.parse().unwrap()], ..Choice::default() }
    }

    #[test]
    fn letters_are_chosen_by_reason_and_time() {
        let later = Some(Millis(AT.0 + 1));
        let yes = [
            Choice::default(),
            Choice { reasons: vec![Reason::Empty, Reason::InvalidMoney], ..Choice::default() },
            Choice { since: Some(AT), until: later, ..Choice::default() },
        ];
        let no = [
            Choice { reasons: vec![Reason::Empty], ..Choice::default() },
            Choice { since: later, ..Choice::default() },
            Choice { until: Some(AT), ..Choice::default() },
            Choice { reasons: vec![Reason::InvalidMoney], until: Some(AT), ..Choice::default() },
        ];
        yes.iter().for_each(|choice| assert!(choice.wants(&letter()), "{choice:?}"));
        no.iter().for_each(|choice| assert!(!choice.wants(&letter()), "{choice:?}"));
        assert!(Choice::default().wants(&Known::default()));
        assert!(!Choice { since: Some(AT), ..Choice::default() }.wants(&Known::default()));
    }

    #[test]
    fn letters_are_chosen_by_where_they_came_from() {
        for source in
            ["purchases", "purchases/3", "purchases/3@7", "purchases/3@0-7", "purchases/3@7-7", "purchases/3@7-"]
        {
            assert!(from(source).wants(&letter()), "{source}");
        }
        for source in ["purchase", "purchases/2", "purchases/3@8", "purchases/3@0-6", "purchases/3@8-", "purchases/33"]
        {
            assert!(!from(source).wants(&letter()), "{source}");
        }
        assert!(!from("purchases").wants(&Known { origin: None, ..letter() }));
    }

    #[test]
    fn letters_are_chosen_by_what_can_be_read_of_the_event() {
        let text = |text: &str| vec!["other".to_owned(), text.to_owned()];
        let of_type = |kind: &str| Choice { types: text(kind), ..Choice::default() };
        let of_id = |id: &str| Choice { ids: text(id), ..Choice::default() };
        assert!(of_type("refund").wants(&letter()) && !of_type("purchase").wants(&letter()));
        assert!(of_id("c-1").wants(&letter()) && of_id("17").wants(&letter()) && !of_id("c-2").wants(&letter()));
        assert!(!Choice { types: text("purchase"), ..of_id("c-1") }.wants(&letter()));
        for value in [None, Some(b"no JSON".as_slice()), Some(b"[]"), Some(br#"{"type":{}}"#)] {
            let unreadable = Known { value, ..letter() };
            assert!(!of_type("refund").wants(&unreadable) && !of_id("c-1").wants(&unreadable), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "/3",
            "a b",
            "purchases/",
            "purchases/x",
            "purchases/-1",
            "purchases/3@",
            "purchases/3@-7",
            "purchases/3@9-7",
            "purchases@7",
            "purchases/99999999999",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
