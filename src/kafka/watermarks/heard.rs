//! What a partition was told of the inputs that its figures come from: pure.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::time::Millis;

/// The inputs that a partition has to hear of: every partition of some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    topics: Vec<Topic>,
    inputs: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    name: String,
    partitions: u32,
    /// Where its partitions begin among all inputs.
    first: usize,
}

impl Expected {
    /// These topics, each with its number of partitions. One that is there twice counts once.
    pub fn new(topics: impl IntoIterator<Item = (impl Into<String>, u32)>) -> Expected {
        let mut expected = Expected { topics: Vec::new(), inputs: 0 };
        for (name, partitions) in topics {
            let name = name.into();
            if expected.topics.iter().all(|topic| topic.name != name) {
                expected.topics.push(Topic { name, partitions, first: expected.inputs });
                expected.inputs += partitions as usize;
            }
        }
        // In whatever order they are configured, they are the same.
        expected.topics.sort_by(|a, b| a.name.cmp(&b.name));
        expected
    }

    fn index_of(&self, name: &str, partition: u32) -> Option<usize> {
        let at = self.topics.binary_search_by(|topic| topic.name.as_str().cmp(name)).ok()?;
        let topic = &self.topics[at];
        (partition < topic.partitions).then_some(topic.first + partition as usize)
    }

    /// What tells these inputs from others: of a partition that knew others, nothing is known about these.
    pub fn fingerprint(&self) -> u64 {
        // It is stored, so it must stay what it is.
        let mut hash = Xxh3::new();
        for topic in &self.topics {
            hash.update(topic.name.as_bytes());
            hash.update(&[0]);
            hash.update(&topic.partitions.to_le_bytes());
        }
        hash.digest()
    }
}

/// What a partition has heard of each of its inputs.
#[derive(Clone, Debug)]
pub struct Heard {
    expected: Arc<Expected>,
    marks: Vec<Mark>,
}

/// How far one input is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Nothing that was there before this moment waits.
    through: Millis,
    /// Kafka timestamp of the oldest record that waits, where one does.
    oldest: Option<Millis>,
}

impl Heard {
    /// Of inputs of which it is only known that what was there before `through` is read.
    pub fn new(expected: Arc<Expected>, through: Millis) -> Heard {
        let marks = vec![Mark { through, oldest: None }; expected.inputs];
        Heard { expected, marks }
    }

    /// Takes what was said of an input at the moment `at`: nothing waits that was there for longer than `age` milliseconds
    /// (`None`: nobody knows), and the oldest that waits has the Kafka timestamp `oldest`. Inputs that are not expected are
    /// left out.
    ///
    /// A watermark rises only: whatever waits now came after the last moment at which nothing waited.
    pub fn hear(&mut self, input: (&str, u32), at: Millis, age: Option<u64>, oldest: Option<Millis>) {
        let Some(index) = self.expected.index_of(input.0, input.1) else { return };
        let Some(mark) = self.marks.get_mut(index) else { return };
        let through = age.map(|age| at.plus(-i64::try_from(age).unwrap_or(i64::MAX)));
        // A clock that was ahead for a moment is not to be believed for as long as it was.
        let before = mark.through.min(at);
        *mark = Mark { through: through.map_or(before, |through| through.max(before)), oldest };
    }

    /// Nothing that was there before this moment waits in any of them.
    pub fn through(&self) -> Millis {
        self.marks.iter().map(|mark| mark.through).min().unwrap_or(Millis::MAX)
    }

    /// Kafka timestamp of the oldest record that waits and is known to.
    pub fn oldest(&self) -> Option<Millis> {
        self.marks.iter().filter_map(|mark| mark.oldest).min()
    }

    /// What the figures are read through at `now`, where something has waited for over `most` milliseconds: the Kafka
    /// timestamp of the oldest such record, or, of an input that is silent, the moment at which it was last heard of.
    pub fn read_through(&self, now: Millis, most: i64) -> Option<Millis> {
        let late = self.marks.iter().filter(|mark| now.0.saturating_sub(mark.through.0) > most);
        late.map(|mark| mark.oldest.unwrap_or(mark.through)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: i64 = 60_000;

    fn at(second: i64) -> Millis {
        Millis(second * 1_000)
    }

    /// Of two partitions of orders and one of spend, all read through second 1,000.
    fn heard() -> Heard {
        Heard::new(Arc::new(Expected::new([("orders", 2), ("spend", 1)])), at(1_000))
    }

    #[test]
    fn the_least_counts() {
        let mut heard = heard();
        heard.hear(("orders", 0), at(1_010), Some(0), None);
        heard.hear(("orders", 1), at(1_020), Some(1_000), Some(at(3)));
        assert_eq!((heard.through(), heard.oldest()), (at(1_000), Some(at(3))), "nothing was heard of spend");
        heard.hear(("spend", 0), at(1_015), Some(0), None);
        assert_eq!(heard.through(), at(1_010));
        heard.hear(("spend", 1), at(0), Some(0), None);
        heard.hear(("else", 0), at(0), Some(0), None);
        assert_eq!(heard.through(), at(1_010), "others are not expected");
    }

    #[test]
    fn a_watermark_only_rises() {
        let mut heard = Heard::new(Arc::new(Expected::new([("orders", 1)])), at(1_000));
        let table = [
            // heard at, age, read through
            (1_010, Some(0), 1_010),
            // Old events of a producer, or a partition that another took over: they came since then.
            (1_020, Some(1_000_000), 1_010),
            (1_030, None, 1_010),
            (1_040, Some(25_000), 1_015),
            // Said of long ago.
            (1_012, Some(0), 1_012),
        ];
        for (second, age, through) in table {
            heard.hear(("orders", 0), at(second), age, None);
            assert_eq!(heard.through(), at(through), "{second}");
        }
    }

    #[test]
    fn records_are_late_by_the_oldest_that_waits_too_long() {
        let mut heard = heard();
        let all = [("orders", 0), ("orders", 1), ("spend", 0)];
        for input in all {
            heard.hear(input, at(1_000), Some(0), None);
        }
        assert_eq!(heard.read_through(at(1_060), MOST), None, "not over the limit yet");
        assert_eq!(heard.read_through(at(1_061), MOST), Some(at(1_000)), "nothing was heard since");
        heard.hear(all[0], at(1_061), Some(61_000), Some(at(5)));
        heard.hear(all[1], at(1_061), Some(59_000), Some(at(1)));
        heard.hear(all[2], at(1_061), Some(0), None);
        assert_eq!(heard.read_through(at(1_061), MOST), Some(at(5)), "what waits for less does not count");
        heard.hear(all[0], at(1_062), Some(0), None);
        assert_eq!(heard.read_through(at(1_062), MOST), None);
    }

    #[test]
    fn a_state_that_never_was_has_heard_of_nothing() {
        let mut heard = Heard::new(Arc::new(Expected::new([("orders", 1), ("spend", 1)])), Millis(0));
        assert_eq!(heard.read_through(at(1_000), MOST), Some(Millis(0)));
        heard.hear(("orders", 0), at(1_000), Some(0), None);
        assert_eq!(heard.read_through(at(1_000), MOST), Some(Millis(0)), "there may be spend, or none");
        heard.hear(("spend", 0), at(1_000), None, Some(at(77)));
        assert_eq!(heard.read_through(at(1_000), MOST), Some(at(77)), "all that it had before waits");
        heard.hear(("spend", 0), at(1_001), Some(0), None);
        assert_eq!(heard.read_through(at(1_001), MOST), None);
    }

    #[test]
    fn a_clock_that_was_ahead_is_not_believed_for_as_long() {
        let mut heard = Heard::new(Arc::new(Expected::new([("orders", 1)])), at(1_000));
        heard.hear(("orders", 0), at(9_000_000), Some(0), None);
        heard.hear(("orders", 0), at(1_010), Some(1_000), None);
        assert_eq!(heard.through(), at(1_010));
        assert_eq!(heard.read_through(at(1_071), MOST), Some(at(1_010)));
    }

    #[test]
    fn the_order_of_topics_does_not_matter_and_all_else_does() {
        let fingerprint = |topics: &[(&'static str, u32)]| Expected::new(topics.iter().copied()).fingerprint();
        let same = fingerprint(&[("a", 2), ("b", 1)]);
        assert_eq!(fingerprint(&[("b", 1), ("a", 2), ("b", 1)]), same);
        for other in [&[("a", 2)][..], &[("a", 1), ("b", 1)], &[("a", 2), ("b", 1), ("c", 1)], &[("a", 2), ("c", 1)]] {
            assert_ne!(fingerprint(other), same, "{other:?}");
        }
        assert_eq!(same, 15_208_821_067_248_621_222, "it is stored");
    }
}
