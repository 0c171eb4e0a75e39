//! Where the partitions end that a consumer reads, as its brokers say with each answer to a fetch. Nobody has to ask them, and
//! so nobody waits: librdkafka tells it with its statistics, as often as [`TOLD_EVERY`].
//!
//! They say as well whether a broker is connected.
//!
//! An end is worth no more than the moment at which it was known. A broker that went away, or a partition without a leader,
//! leaves the last one standing in the statistics for ever: here it keeps its old moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

/// How often librdkafka is to tell.
pub const TOLD_EVERY: Duration = Duration::from_secs(1);
/// So soon after its assignment a partition may not have been fetched yet, and what is told is of an assignment before.
const FETCHED_WITHIN: Duration = Duration::from_millis(500);

/// Where a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When it was known to end there.
    pub known: Instant,
    /// The offset after the last record that is committed, with all before it: what a consumer sees that reads what is committed.
    pub stable: i64,
    /// The offset after the last record, whether that is committed or not.
    pub high: i64,
}

/// The ends of the partitions that are assigned to one consumer.
#[derive(Clone, Debug)]
pub struct Ends {
    /// When the consumer was made; statistics count from there.
    made: Instant,
    assigned: Instant,
    /// When a broker was seen connected last.
    connected: Option<Instant>,
    /// Whether the group's coordinator was connected when it was told last.
    is_coordinated: bool,
    of_topics: HashMap<String, HashMap<i32, End>>,
}

impl Ends {
    /// Of a consumer that is made now.
    pub fn new() -> Ends {
        let now = Instant::now();
        Ends { made: now, assigned: now, connected: None, is_coordinated: false, of_topics: HashMap::new() }
    }

    /// None is known of what was assigned at this moment.
    pub fn forget(&mut self, now: Instant) {
        self.assigned = now;
        self.of_topics.clear();
    }

    /// Each partition whose end is known.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, End)> {
        self.of_topics
            .iter()
            .flat_map(|(topic, ends)| ends.iter().map(move |(partition, end)| (topic.as_str(), *partition, *end)))
    }

    /// When a broker was seen connected last.
    pub fn connected(&self) -> Option<Instant> {
        self.connected
    }

    /// Whether the coordinator of the consumer's group was connected when it was told last.
    pub fn is_coordinated(&self) -> bool {
        self.is_coordinated
    }

    /// Takes in what librdkafka tells. `false`: it says nothing of what is assigned now.
    ///
    /// # Errors
    /// It is not what its documentation says.
    pub fn learn(&mut self, json: &[u8]) -> Result<bool, serde_json::Error> {
        let statistics: Statistics = serde_json::from_slice(json)?;
        // It may have waited to be taken.
        let told = self.made + Duration::from_micros(statistics.age);
        if statistics.brokers.values().any(Broker::is_connected) {
            self.connected = Some(told);
        }
        self.is_coordinated = statistics.cgrp.as_ref().is_some_and(|group| group.state == "up");
        if told < self.assigned + FETCHED_WITHIN {
            return Ok(false);
        }
        for (topic, of_topic) in &statistics.topics {
            for partition in of_topic.partitions.values().filter(|partition| partition.is_fetched()) {
                let Some(silence) = statistics.silence(partition.broker) else { continue };
                let known = told.checked_sub(silence).unwrap_or(self.made).max(self.assigned);
                let now = End { known, stable: partition.ls_offset, high: partition.hi_offset };
                if !self.of_topics.contains_key(topic) {
                    self.of_topics.insert(topic.clone(), HashMap::new());
                }
                let Some(ends) = self.of_topics.get_mut(topic) else { continue };
                let end = ends.entry(partition.partition).or_insert(now);
                let has_moved = (end.stable, end.high) != (now.stable, now.high);
                // While much waits to be taken nothing is fetched: that it ended there is as old as before.
                if has_moved || partition.fetchq_cnt == 0 {
                    *end = End { known: now.known.max(end.known), ..now };
                }
            }
        }
        Ok(true)
    }
}

/// What is of interest of librdkafka's statistics: <https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md>.
#[derive(Deserialize)]
struct Statistics {
    /// Since the client was made, in microseconds.
    age: u64,
    brokers: HashMap<String, Broker>,
    topics: HashMap<String, Topic>,
    /// Of a consumer in a group.
    cgrp: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    /// `up` with a connection to its coordinator.
    state: String,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i32,
    source: String,
    state: String,
    /// Since something was received from it, in microseconds; negative where it is not connected.
    rxidle: i64,
}

impl Broker {
    /// Whether it has said what it can do, and that it takes this client. Each client counts itself among its brokers.
    fn is_connected(&self) -> bool {
        self.state == "UP" && self.source != "internal"
    }
}

#[derive(Deserialize)]
struct Topic {
    partitions: HashMap<String, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    partition: i32,
    /// That it is fetched from; negative for none.
    broker: i32,
    desired: bool,
    /// Records that were fetched and wait to be taken.
    fetchq_cnt: i64,
    fetch_state: String,
    hi_offset: i64,
    ls_offset: i64,
}

impl Partition {
    /// Whether it is assigned, has a leader, and was fetched.
    fn is_fetched(&self) -> bool {
        self.desired && self.fetch_state == "active" && self.hi_offset >= 0 && self.ls_offset >= 0
    }
}

impl Statistics {
    /// For how long nothing was heard of a broker that is fetched from: a fetch that finds nothing is answered as well, in
    /// a fraction of a second. `None`: it is not connected.
    fn silence(&self, broker: i32) -> Option<Duration> {
        // A coordinator has a connection of its own, by which nothing is fetched.
        let fetched_from = self.brokers.values().filter(|known| known.nodeid == broker && known.source != "logical");
        let silence = fetched_from.filter_map(|broker| u64::try_from(broker.rxidle).ok()).min();
        silence.filter(|_| broker >= 0).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// What librdkafka tells so many seconds after it was made, with this of the one partition.
    fn told(second: u64, rxidle: i64, partition: serde_json::Value) -> Vec<u8> {
        let mut statistics = json!({
            "age": second * SECOND,
            "ts": 7,
            "cgrp": { "state": if rxidle < 0 { "wait-broker-transport" } else { "up" } },
            "brokers": {
                "a:9092/1": { "nodeid": 1, "source": "learned", "rxidle": rxidle, "state": "UP" },
                "GroupCoordinator": { "nodeid": 1, "source": "logical", "rxidle": 0, "state": "TRY_CONNECT" },
                "a:9092/bootstrap": { "nodeid": -1, "source": "configured", "rxidle": 0, "state": "DOWN" },
                ":0/internal": { "nodeid": -1, "source": "internal", "rxidle": 0, "state": "UP" },
            },
            "topics": { "purchases": { "partitions": {
                "-1": {
                    "partition": -1, "broker": -1, "desired": false, "fetchq_cnt": 0, "fetch_state": "none",
                    "hi_offset": -1001, "ls_offset": -1001,
                },
                "3": {
                    "partition": 3, "broker": 1, "desired": true, "fetchq_cnt": 0, "fetch_state": "active",
                    "hi_offset": 60, "ls_offset": 50,
                },
            } } },
        });
        for (name, value) in partition.as_object().into_iter().flatten() {
            statistics["topics"]["purchases"]["partitions"]["3"][name] = value.clone();
        }
        statistics.to_string().into_bytes()
    }

    /// Second after the consumer was made, stable end and high watermark.
    fn known(ends: &Ends) -> Vec<(f64, i64, i64)> {
        let after = |end: End| end.known.duration_since(ends.made).as_secs_f64();
        ends.iter().map(|(_, _, end)| (after(end), end.stable, end.high)).collect()
    }

    #[test]
    fn an_end_is_known_since_the_broker_was_heard_last() {
        let mut ends = Ends::new();
        assert!(ends.learn(&told(10, 200_000, json!({}))).unwrap());
        let (topic, partition, _) = ends.iter().next().unwrap();
        assert_eq!((topic, partition), ("purchases", 3));
        assert_eq!(known(&ends), [(9.8, 50, 60)]);
        ends.learn(&told(11, 0, json!({}))).unwrap();
        assert_eq!(known(&ends), [(11.0, 50, 60)], "it ends there still");
        ends.learn(&told(40, 25_000_000, json!({}))).unwrap();
        assert_eq!(known(&ends), [(15.0, 50, 60)], "nothing was heard since");
    }

    #[test]
    fn an_end_that_nobody_tells_any_more_keeps_its_moment() {
        let gone = [
            ("it has no leader", 0, json!({ "broker": -1 })),
            ("it is not fetched", 0, json!({ "fetch_state": "offset-query" })),
            ("it is not assigned", 0, json!({ "desired": false })),
            ("its broker is not connected", -1, json!({})),
            ("its leader is another, who is not known", 0, json!({ "broker": 2 })),
        ];
        for (why, rxidle, partition) in gone {
            let mut ends = Ends::new();
            ends.learn(&told(10, 0, json!({}))).unwrap();
            ends.learn(&told(20, rxidle, partition)).unwrap();
            assert_eq!(known(&ends), [(10.0, 50, 60)], "{why}");
        }
    }

    #[test]
    fn while_records_wait_to_be_taken_only_another_end_is_news() {
        let mut ends = Ends::new();
        ends.learn(&told(10, 0, json!({}))).unwrap();
        ends.learn(&told(11, 0, json!({ "fetchq_cnt": 4 }))).unwrap();
        assert_eq!(known(&ends), [(10.0, 50, 60)]);
        ends.learn(&told(12, 0, json!({ "fetchq_cnt": 4, "hi_offset": 70 }))).unwrap();
        assert_eq!(known(&ends), [(12.0, 50, 70)]);
    }

    #[test]
    fn what_was_known_of_another_assignment_is_none_of_this_one() {
        let mut ends = Ends::new();
        ends.learn(&told(10, 0, json!({}))).unwrap();
        ends.forget(ends.made + Duration::from_secs(20));
        assert_eq!(known(&ends), []);
        assert!(!ends.learn(&told(20, 0, json!({}))).unwrap());
        assert_eq!(known(&ends), [], "it was not fetched yet");
        assert!(ends.learn(&told(21, 3_000_000, json!({}))).unwrap());
        assert_eq!(known(&ends), [(20.0, 50, 60)], "known no sooner than it was assigned");
    }

    #[test]
    fn a_broker_counts_as_connected_once_it_has_taken_the_client() {
        let mut ends = Ends::new();
        ends.learn(&told(10, 0, json!({}))).unwrap();
        let connected = ends.made + Duration::from_secs(10);
        assert_eq!(ends.connected(), Some(connected));
        for (second, state) in [(11, "DOWN"), (12, "TRY_CONNECT"), (13, "APIVERSION_QUERY"), (14, "AUTH_REQ")] {
            let text = String::from_utf8(told(second, 0, json!({}))).unwrap();
            let up = r#""source":"learned","state":"UP""#;
            assert!(text.contains(up), "{text}");
            let learned = text.replace(up, &up.replace("UP", state));
            ends.learn(learned.as_bytes()).unwrap();
            assert_eq!(ends.connected(), Some(connected), "{state}");
        }
        assert!(ends.is_coordinated());
        ends.learn(&told(15, -1, json!({}))).unwrap();
        assert!(!ends.is_coordinated());
    }

    #[test]
    fn what_is_no_statistics_is_no_news() {
        assert!(Ends::new().learn(b"{}").is_err());
    }
}
