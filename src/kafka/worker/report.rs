//! What a worker tells the metrics: after the commit, so that what an abort undoes is never counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::local::LocalHistogram;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::inputs::Inputs;
use super::tally::Tally;
use crate::engine::{Outcome, Stage, StageKind};
use crate::events::{EventKind, Reason};
use crate::kafka::changelog::partition::Partitions;
use crate::kafka::client::Link;
use crate::kafka::client::ask::{Watcher, offset_in};
use crate::kafka::client::statistics::Ends;
use crate::metrics::{Metrics, StageMetrics};
use crate::status;
use crate::time::Millis;

/// How often sizes, which take a walk over all partitions, are refreshed.
const SIZES_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked how far inputs are behind that nobody reads.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// The longest time from a record's timestamp to its commit that is told, in milliseconds: far beyond the last bucket. One
/// record of long ago would else outweigh all others in the sum.
const LONGEST_WAIT: i64 = Millis::DAY;

/// A worker's line to the metrics.
pub struct Report {
    metrics: Arc<Metrics>,
    stage: StageMetrics,
    latency: LocalHistogram,
    purchase_to_roas: LocalHistogram,
    last_sizes: Option<Instant>,
    /// When it was looked at last how far inputs are behind that are not assigned.
    last_lag: Option<Instant>,
    lagging: Vec<(String, i32)>,
}

impl Report {
    pub fn new(metrics: Arc<Metrics>, stage: StageKind) -> Report {
        let stage = metrics.stage(stage);
        let latency = stage.event_latency.local();
        let purchase_to_roas = metrics.purchase_to_roas().local();
        Report { metrics, stage, latency, purchase_to_roas, last_sizes: None, last_lag: None, lagging: Vec::new() }
    }

    /// Counts what a transaction did that was committed at `now`, and clears the tally.
    pub fn committed(&mut self, tally: &mut Tally, now: Millis, took: Duration) {
        for (kind, outcomes) in EventKind::ALL.iter().zip(&tally.events) {
            for (outcome, events) in Outcome::ALL.iter().zip(outcomes).filter(|(_, events)| **events > 0) {
                self.metrics.count_events(*kind, *outcome, *events);
            }
        }
        for (reason, events) in Reason::ALL.iter().zip(&tally.rejected).filter(|(_, events)| **events > 0) {
            self.metrics.count_rejected(*reason, *events);
        }
        self.stage.forwarded.inc_by(tally.forwarded);
        let seconds_since = |written_at: &i64| waited(*written_at, now);
        tally.written_at.iter().map(seconds_since).for_each(|seconds| self.latency.observe(seconds));
        tally.differences_since.iter().map(seconds_since).for_each(|seconds| self.purchase_to_roas.observe(seconds));
        self.latency.flush();
        self.purchase_to_roas.flush();
        self.stage.commit_duration.observe(took.as_secs_f64());
        tally.clear();
    }

    /// A transaction could not be committed, or whether it was is not known.
    pub fn commit_failed(&self, took: Duration) {
        self.stage.failed_commit_duration.observe(took.as_secs_f64());
    }

    pub fn aborted(&self) {
        self.stage.transactions_aborted.inc();
    }

    /// The group has shared out the partitions anew, and these came here: the others' lag is another's to tell.
    pub fn assigned(&mut self, assigned: &TopicPartitionList) {
        self.stage.rebalances.inc();
        let metrics = &self.metrics;
        self.lagging.retain(|(topic, partition)| {
            let stays = assigned.find_partition(topic, *partition).is_some();
            if !stays {
                metrics.forget_lag(topic, *partition);
            }
            stays
        });
    }

    pub fn restored_facts(&self, facts: u64) {
        self.stage.restored_facts.inc_by(facts);
    }

    /// Counts the restore of so many partitions together.
    pub fn restored(&self, partitions: usize, took: Duration) {
        (0..partitions).for_each(|_| self.stage.restore.observe(took.as_secs_f64()));
    }

    /// Tells status what the partitions hold, now and then.
    pub fn sizes<S: Stage>(&mut self, status: &status::Worker, partitions: &Partitions<S>) {
        if self.last_sizes.is_none_or(|last| last.elapsed() >= SIZES_EVERY) {
            self.last_sizes = Some(Instant::now());
            for (number, partition) in partitions.iter() {
                status.set_sizes(number, partition.stage.sizes());
                let as_of = partition.has_state().then_some(partition.progress.as_of);
                status.set_written(number, as_of, partition.left_to_rewrite());
            }
        }
    }

    /// Tells status what the figures of the partitions are read through, while something waits for them.
    pub fn read_through<S: Stage>(&self, status: &status::Worker, partitions: &Partitions<S>) {
        for (number, partition) in partitions.iter() {
            status.set_read_through(number, partition.read_through);
        }
    }

    /// Tells how far the assigned inputs are behind, of which this is news. No transaction may be open.
    pub fn lag(&mut self, consumer: &BaseConsumer<Link>, inputs: &Inputs, ends: &Ends) {
        let Ok(positions) = consumer.position() else { return };
        for (topic, partition, end) in ends.iter() {
            let consumed = offset_in(&positions, topic, partition);
            let Some(behind) = behind(end.high, consumed, inputs.position(topic, partition)) else { continue };
            self.metrics.set_lag(topic, partition, behind);
            if !self.lagging.iter().any(|(known, number)| known == topic && *number == partition) {
                self.lagging.push((topic.to_owned(), partition));
            }
        }
    }

    /// Tells, now and then, how far the inputs are behind that were assigned last: until the group has shared them out anew,
    /// nobody else does.
    pub fn lag_meanwhile(&mut self, watcher: &Watcher) {
        if self.lagging.is_empty() || self.last_lag.is_some_and(|last| last.elapsed() < LAG_EVERY) {
            return;
        }
        self.last_lag = Some(Instant::now());
        let mut list = TopicPartitionList::with_capacity(self.lagging.len());
        for (topic, partition) in &self.lagging {
            list.add_partition(topic, *partition);
        }
        let Ok(ends) = watcher.high_watermarks(&list) else { return };
        let Ok(committed) = watcher.committed(list) else { return };
        for (topic, partition) in &self.lagging {
            let end = offset_in(&ends, topic, *partition);
            let behind = end.and_then(|end| behind(end, None, offset_in(&committed, topic, *partition)));
            behind.into_iter().for_each(|behind| self.metrics.set_lag(topic, *partition, behind));
        }
    }

    /// Partitions are given up. What waits in them is told of until the group has shared them out anew.
    pub fn revoked(&mut self) {
        self.last_sizes = None;
        self.last_lag = Some(Instant::now());
    }

    /// Takes back what is only true while there is a worker.
    pub fn left(&mut self) {
        for (topic, partition) in self.lagging.drain(..) {
            self.metrics.forget_lag(&topic, partition);
        }
    }
}

/// Seconds from a record's timestamp to `now`, as far as they tell anything: a producer's clock may be ahead, and what was
/// written with a timestamp of 1970 has waited for no half century.
fn waited(written_at: i64, now: Millis) -> f64 {
    now.0.saturating_sub(written_at).clamp(0, LONGEST_WAIT) as f64 / 1_000.0
}

/// Records before the end of an input that were not taken yet. The consumer's position moves over the markers of transactions
/// too, so that nothing left to read is a lag of 0; but until the first record came it has none, or one of before the
/// assignment.
fn behind(end: i64, consumed: Option<i64>, next: Option<i64>) -> Option<i64> {
    Some((end - consumed.max(next)?).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_of_long_ago_has_waited_for_a_day() {
        let metrics = Arc::new(Metrics::new(&Config::default(), &Arc::default()).unwrap());
        let mut report = Report::new(Arc::clone(&metrics), StageKind::Customers);
        let now = Millis(1_800_000_000_000);
        let times = [0, i64::MIN, now.0 - 2_000, now.0 + 5_000];
        let mut tally = Tally { written_at: times.to_vec(), differences_since: times.to_vec(), ..Tally::default() };
        report.committed(&mut tally, now, Duration::ZERO);
        for histogram in [&report.stage.event_latency, metrics.purchase_to_roas()] {
            assert_eq!((histogram.get_sample_count(), histogram.get_sample_sum()), (4, 2.0 * 86_400.0 + 2.0));
        }
    }

    #[test]
    fn lag_is_known_from_the_assignment_on() {
        assert_eq!(behind(100, None, Some(90)), Some(10), "no record came yet");
        assert_eq!(behind(100, Some(20), Some(90)), Some(10), "others have gone on since this one read here");
        assert_eq!(behind(100, Some(100), Some(99)), Some(0), "a marker is the last of all");
        assert_eq!(behind(100, Some(101), Some(99)), Some(0), "it went on since the end was known");
        assert_eq!(behind(1, None, None), None);
    }
}
