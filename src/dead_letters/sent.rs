//! Which dead letters were sent again, as a topic keeps it: runs of offsets. Letters of one reason in one partition are a
//! line of their own, on which a run begins at 0 or at a letter and ends after another; every letter of that line within
//! it is dealt with. So a call that takes all of a line leaves one run, and one that takes a choice leaves a few.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::{self, FormatError};

/// A reason and a partition of the dead letters.
pub type Line = (String, i32);

/// What is dealt with, and how far a call has come that looks at all letters in order.
#[derive(Debug, Default)]
pub struct Retries {
    /// Where runs begin, and the offset after each.
    runs: BTreeMap<Line, BTreeMap<i64, i64>>,
    /// Where the run began that the last letter seen is in; `None`: it is not dealt with.
    within: BTreeMap<Line, Option<i64>>,
}

/// The value of a record of the topic.
#[derive(Deserialize, Serialize)]
struct Run {
    format: u8,
    /// The offset after the last letter of it.
    next: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    from: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Records to be written: of a line, where a run begins and the offset after it; `None`: there is no such run any more.
pub type Changes = BTreeMap<(Line, i64), Option<i64>>;

impl Retries {
    /// Takes a record of the topic in.
    ///
    /// # Errors
    /// It is not one that [`record`] makes, or of a newer format.
    pub fn read(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), String> {
        let Some(value) = value else { return self.forget(key.unwrap_or_default()).ok_or("malformed key".to_owned()) };
        let run: Run = serde_json::from_slice(value).map_err(|_| "malformed progress".to_owned())?;
        let malformed = FormatError::Malformed { what: "progress" };
        format::split(&[run.format], malformed).map_err(|error| error.to_string())?;
        let line = key.and_then(|key| line_of(key, run.from)).ok_or("malformed key")?;
        self.runs.entry(line).or_default().insert(run.from, run.next);
        Ok(())
    }

    /// A run that another has swallowed. One that begins at 0 never is.
    fn forget(&mut self, key: &[u8]) -> Option<()> {
        let (_, from) = std::str::from_utf8(key).ok()?.rsplit_once('/')?;
        let from = from.parse().ok()?;
        self.runs.get_mut(&line_of(key, from)?)?.remove(&from);
        Some(())
    }

    /// Whether a letter is dealt with.
    pub fn hold(&self, line: &Line, offset: i64) -> bool {
        self.run_of(line, offset).is_some()
    }

    fn run_of(&self, line: &Line, offset: i64) -> Option<i64> {
        let mut before = self.runs.get(line)?.range(..=offset);
        before.rfind(|(_, end)| **end > offset).map(|(start, _)| *start)
    }

    /// Goes past a letter that is left as it is.
    pub fn pass(&mut self, line: &Line, offset: i64) {
        let run = self.run_of(line, offset);
        let within = self.within.entry(line.clone()).or_insert(Some(0));
        *within = run.map(|start| within.unwrap_or(start));
    }

    /// Goes past a letter that is dealt with now. Letters come in the order of their offsets.
    pub fn note(&mut self, line: &Line, offset: i64, changes: &mut Changes) {
        let start = *self.within.entry(line.clone()).or_insert(Some(0)).get_or_insert(offset);
        let runs = self.runs.entry(line.clone()).or_default();
        let end = runs.get(&start).copied().unwrap_or(0).max(offset + 1);
        runs.insert(start, end);
        changes.insert((line.clone(), start), Some(end));
        let swallowed: Vec<i64> =
            runs.range(start + 1..end).filter(|(_, other)| **other <= end).map(|(start, _)| *start).collect();
        for start in swallowed {
            runs.remove(&start);
            changes.insert((line.clone(), start), None);
        }
    }
}

/// Key and value of the record that says so.
pub fn record((reason, partition): &Line, from: i64, next: Option<i64>) -> (String, Option<Vec<u8>>) {
    let key = if from == 0 { format!("{reason}/{partition}") } else { format!("{reason}/{partition}/{from}") };
    let run = |next| Run { format: format::WRITES, next, from };
    (key, next.map(|next| serde_json::to_vec(&run(next)).unwrap_or_default()))
}

fn line_of(key: &[u8], from: i64) -> Option<Line> {
    let key = std::str::from_utf8(key).ok()?;
    let key = if from == 0 { key } else { key.strip_suffix(&format!("/{from}"))? };
    let (reason, partition) = key.rsplit_once('/')?;
    Some((reason.to_owned(), partition.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn line() -> Line {
        ("invalid_json".to_owned(), 2)
    }

    /// The topic, before and after it is compacted.
    type Topic = Vec<(String, Option<Vec<u8>>)>;

    fn write(topic: &mut Topic, changes: Changes) {
        topic.extend(changes.into_iter().map(|((line, from), next)| record(&line, from, next)));
    }

    fn compacted(topic: &Topic) -> Topic {
        let latest: BTreeMap<_, _> = topic.iter().cloned().collect();
        latest.into_iter().filter(|(_, value)| value.is_some()).collect()
    }

    fn keys(topic: &Topic) -> Vec<String> {
        compacted(topic).into_iter().map(|(key, _)| key).collect()
    }

    /// What another call finds.
    fn read_again(topic: &Topic) -> Retries {
        let mut retries = Retries::default();
        topic.iter().for_each(|(key, value)| retries.read(Some(key.as_bytes()), value.as_deref()).unwrap());
        retries
    }

    #[test]
    fn all_of_a_line_is_one_record() {
        let (mut retries, mut changes) = (Retries::default(), Changes::new());
        [3, 4, 9].iter().for_each(|offset| retries.note(&line(), *offset, &mut changes));
        assert_eq!(changes, Changes::from([((line(), 0), Some(10))]));
        let (key, value) = record(&line(), 0, Some(10));
        let expected = format!(r#"{{"format":{},"next":10}}"#, format::WRITES);
        assert_eq!((key.as_str(), value.as_deref()), ("invalid_json/2", Some(expected.as_bytes())));
    }

    #[test]
    fn what_was_left_out_splits_runs_until_it_is_dealt_with_too() {
        let (mut retries, mut changes, mut written) = (Retries::default(), Changes::new(), Topic::new());
        retries.pass(&line(), 3);
        [4, 9].iter().for_each(|offset| retries.note(&line(), *offset, &mut changes));
        retries.pass(&line(), 12);
        retries.note(&line(), 15, &mut changes);
        write(&mut written, changes);
        assert_eq!(keys(&written), ["invalid_json/2/15", "invalid_json/2/4"]);

        let (mut retries, mut changes) = (read_again(&written), Changes::new());
        assert_eq!([3, 4, 9, 12, 15].map(|offset| retries.hold(&line(), offset)), [false, true, true, false, true]);
        retries.note(&line(), 3, &mut changes);
        [4, 9].iter().for_each(|offset| retries.pass(&line(), *offset));
        retries.note(&line(), 12, &mut changes);
        retries.pass(&line(), 15);
        retries.note(&line(), 20, &mut changes);
        write(&mut written, changes);
        assert_eq!(keys(&written), ["invalid_json/2"]);
        assert!((0..21).all(|offset| read_again(&written).hold(&line(), offset)));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let mut retries = Retries::default();
        for (key, value) in
            [("a/0", "?"), ("a", r#"{"format":1,"next":3}"#), ("a/0/4", r#"{"format":1,"next":9,"from":5}"#)]
        {
            assert!(retries.read(Some(key.as_bytes()), Some(value.as_bytes())).is_err(), "{key} {value}");
        }
        let newer = retries.read(Some(b"a/0"), Some(br#"{"format":200,"next":3}"#)).unwrap_err();
        assert!(newer.contains("format 200"), "{newer}");
    }

    proptest! {
        /// Each may choose anything and end at any letter.
        #[test]
        fn a_call_knows_exactly_what_those_before_have_dealt_with(
            letters in proptest::collection::btree_set(0i64..60, 1..20),
            calls in proptest::collection::vec((any::<u64>(), 0usize..25, any::<bool>()), 1..8),
        ) {
            let (mut written, mut sent) = (Topic::new(), BTreeSet::new());
            for (chosen, ended_after, again) in calls {
                let (mut retries, mut changes) = (read_again(&written), Changes::new());
                for offset in letters.iter().take(ended_after) {
                    prop_assert_eq!(retries.hold(&line(), *offset), sent.contains(offset));
                    if chosen >> offset & 1 == 1 && (again || !retries.hold(&line(), *offset)) {
                        sent.insert(*offset);
                        retries.note(&line(), *offset, &mut changes);
                    } else {
                        retries.pass(&line(), *offset);
                    }
                }
                write(&mut written, changes);
            }
            for retries in [read_again(&written), read_again(&compacted(&written))] {
                for offset in &letters {
                    prop_assert_eq!(retries.hold(&line(), *offset), sent.contains(offset));
                }
            }
        }
    }
}
