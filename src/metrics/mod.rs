//! What Prometheus sees: base units, ratios from 0 to 1, counters that end in `_total`, no customer id in any label.
//!
//! Workers count here after each commit, so that what an abort undoes is never counted. Gauges of campaigns and state
//! are read from [`Status`] when they are scraped.

mod campaigns;
mod family;
mod state;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use self::campaigns::CampaignCollector;
use self::state::StateCollector;
use crate::config::Config;
use crate::engine::{Outcome, StageKind};
use crate::events::{EventKind, Reason};
use crate::status::Status;

/// Seconds. The upper ones are for what waited on Kafka while payback was down.
const LATENCY: [f64; 20] =
    [0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
/// The upper ones are for those that fail.
const COMMIT: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
const RESTORE: [f64; 12] = [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// All metrics of an instance, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    events: IntCounterVec,
    rejected: IntCounterVec,
    forwarded: IntCounterVec,
    commit_duration: HistogramVec,
    transactions_aborted: IntCounterVec,
    rebalances: IntCounterVec,
    event_latency: HistogramVec,
    purchase_to_roas: Histogram,
    consumer_lag: IntGaugeVec,
    restore: HistogramVec,
    restored_facts: IntCounterVec,
}

/// What a worker of one stage counts.
#[derive(Clone, Debug)]
pub struct StageMetrics {
    /// Records sent to the internal topic since their home is elsewhere.
    pub forwarded: IntCounter,
    /// Seconds from the end of a round's work to the transaction's commit.
    pub commit_duration: Histogram,
    /// The same to the failure of a transaction that was to be committed.
    pub failed_commit_duration: Histogram,
    /// Transactions that were undone.
    pub transactions_aborted: IntCounter,
    /// Times that partitions were assigned.
    pub rebalances: IntCounter,
    /// Seconds from a record's timestamp to its commit.
    pub event_latency: Histogram,
    /// Seconds from the assignment of a partition to the end of its restore.
    pub restore: Histogram,
    /// Facts that were read from the changelog.
    pub restored_facts: IntCounter,
}

impl Metrics {
    /// # Errors
    /// A metric that is not well formed or not unique.
    pub fn new(config: &Config, status: &Arc<Status>) -> Result<Metrics, Error> {
        let registry = Registry::new();
        let build_info = IntGauge::with_opts(
            Opts::new("payback_build_info", "Always 1; the version is in the label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build_info.set(1);
        registry.register(Box::new(build_info))?;
        // By the name that Prometheus' own clients give it.
        let started = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register(Box::new(started))?;
        registry.register(Box::new(CampaignCollector::new(config, Arc::clone(status))?))?;
        registry.register(Box::new(StateCollector::new(config.settings.clone(), Arc::clone(status))?))?;
        let metrics = Metrics {
            events: counters(&registry, "events_total", "Events taken, by what became of them.", &["type", "outcome"])?,
            rejected: counters(&registry, "rejected_total", "Events sent to the dead letters.", &["reason"])?,
            forwarded: counters(&registry, "forwarded_total", "Records sent to where they are at home.", &["stage"])?,
            commit_duration: histograms(
                &registry,
                "commit_duration_seconds",
                "Time that a transaction took to be completed and committed, or to fail.",
                &["stage", "outcome"],
                &COMMIT,
            )?,
            transactions_aborted: counters(
                &registry,
                "transactions_aborted_total",
                "Transactions that were aborted; what they did is done again.",
                &["stage"],
            )?,
            rebalances: counters(
                &registry,
                "rebalances_total",
                "Times that a worker was assigned partitions by its group.",
                &["stage"],
            )?,
            event_latency: histograms(
                &registry,
                "event_latency_seconds",
                "Time from a record's timestamp to the commit of what it changed.",
                &["stage"],
                &LATENCY,
            )?,
            purchase_to_roas: histogram(
                &registry,
                "purchase_to_roas_seconds",
                "Time from a purchase's timestamp to the commit of its campaigns' records: the oldest one of each commit.",
                &LATENCY,
            )?,
            consumer_lag: gauges(
                &registry,
                "consumer_lag",
                "Records of an input partition that are not committed yet.",
                &["topic", "partition"],
            )?,
            restore: histograms(
                &registry,
                "restore_seconds",
                "Time that a partition took to be restored.",
                &["stage"],
                &RESTORE,
            )?,
            restored_facts: counters(
                &registry,
                "restored_facts_total",
                "Facts read from the changelogs to restore state.",
                &["stage"],
            )?,
            registry,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// A series that only appears with its first increment hides that increment from `rate`.
    fn begin_at_zero(&self) {
        for kind in EventKind::ALL {
            Outcome::ALL.iter().for_each(|outcome| self.count_events(kind, *outcome, 0));
        }
        Reason::ALL.iter().for_each(|reason| self.count_rejected(*reason, 0));
        StageKind::ALL.into_iter().for_each(|stage| drop(self.stage(stage)));
    }

    /// Counts events of a kind that were committed.
    pub fn count_events(&self, kind: EventKind, outcome: Outcome, events: u64) {
        self.events.with_label_values(&[kind.name(), outcome.code()]).inc_by(events);
    }

    /// Counts dead letters that were committed.
    pub fn count_rejected(&self, reason: Reason, events: u64) {
        self.rejected.with_label_values(&[reason.code()]).inc_by(events);
    }

    /// All events that were committed, dead letters too.
    pub fn committed_events(&self) -> u64 {
        let taken = EventKind::ALL.iter().flat_map(|kind| {
            Outcome::ALL.iter().map(|outcome| self.events.with_label_values(&[kind.name(), outcome.code()]).get())
        });
        let rejected = Reason::ALL.iter().map(|reason| self.rejected.with_label_values(&[reason.code()]).get());
        taken.chain(rejected).sum()
    }

    /// The counters of a stage.
    pub fn stage(&self, stage: StageKind) -> StageMetrics {
        let stage = stage.name();
        StageMetrics {
            forwarded: self.forwarded.with_label_values(&[stage]),
            commit_duration: self.commit_duration.with_label_values(&[stage, "committed"]),
            failed_commit_duration: self.commit_duration.with_label_values(&[stage, "failed"]),
            transactions_aborted: self.transactions_aborted.with_label_values(&[stage]),
            rebalances: self.rebalances.with_label_values(&[stage]),
            event_latency: self.event_latency.with_label_values(&[stage]),
            restore: self.restore.with_label_values(&[stage]),
            restored_facts: self.restored_facts.with_label_values(&[stage]),
        }
    }

    /// Seconds from a purchase's timestamp to the commit of its campaigns' records.
    pub fn purchase_to_roas(&self) -> &Histogram {
        &self.purchase_to_roas
    }

    /// Says how many records of an input partition are not committed yet.
    pub fn set_lag(&self, topic: &str, partition: i32, records: i64) {
        self.consumer_lag.with_label_values(&[topic, &partition.to_string()]).set(records);
    }

    /// Takes the lag of a partition away that was revoked.
    pub fn forget_lag(&self, topic: &str, partition: i32) {
        // It is not there when no lag was known yet.
        let _ = self.consumer_lag.remove_label_values(&[topic, &partition.to_string()]);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric that can't be written out.
    pub fn render(&self) -> Result<String, Error> {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    let counters = IntCounterVec::new(Opts::new(name, help).namespace("payback"), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    let gauges = IntGaugeVec::new(Opts::new(name, help).namespace("payback"), labels)?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
    let options = HistogramOpts::new(name, help).namespace("payback").buckets(buckets.to_vec());
    let histogram = Histogram::with_opts(options)?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, Error> {
    let options = HistogramOpts::new(name, help).namespace("payback").buckets(buckets.to_vec());
    let histograms = HistogramVec::new(options, labels)?;
    registry.register(Box::new(histograms.clone()))?;
    Ok(histograms)
}

#[cfg(test)]
mod tests;
