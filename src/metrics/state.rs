//! What the workers of this instance hold, and how they are.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::domain::order::{OrderSums, covered};
use crate::engine::{Sizes, StageKind};
use crate::money::{SCALE, Sum};
use crate::settings::Settings;
use crate::status::{Progress, Status, Worker};
use crate::time::Millis;

pub struct StateCollector {
    status: Arc<Status>,
    settings: Settings,
    customers: Family,
    ltv_historic: Family,
    ltv_gross_profit: Family,
    refunded_in_excess: Family,
    state_customers: Family,
    state_orders: Family,
    state_campaigns: Family,
    state_bytes: Family,
    read_back_bytes: Family,
    read_back_complete: Family,
    state_limit: Family,
    over_limit: Family,
    partitions: Family,
    stage_partitions: Family,
    restore_remaining: Family,
    to_rewrite: Family,
    as_of: Family,
    open_transaction: Family,
    last_round: Family,
    read_through: Family,
    backlog: Family,
    blocked: Family,
    ready: Family,
}

impl StateCollector {
    /// For the state that `status` knows of, whose figures depend on `settings`.
    ///
    /// # Errors
    /// Prometheus takes no such name or label.
    pub fn new(settings: Settings, status: Arc<Status>) -> Result<StateCollector, Error> {
        Ok(StateCollector {
            status,
            settings,
            customers: Family::new(
                "payback_customers",
                "Customers, by whether they contribute: net LTV over 0 (unknown: their cost of goods is).",
                &["contributing"],
            )?,
            ltv_historic: Family::new(
                "payback_ltv_historic",
                "Sum of the customers' revenue to date, in the reporting currency.",
                &[],
            )?,
            ltv_gross_profit: Family::new(
                "payback_ltv_gross_profit",
                "Sum of the customers' revenue less cost of goods to date, in the reporting currency; none where too little of it is known.",
                &[],
            )?,
            refunded_in_excess: Family::new(
                "payback_orders_refunded_in_excess",
                "Orders whose refunds exceed their revenue or cost of goods; the excess is ignored.",
                &[],
            )?,
            state_customers: Family::new("payback_state_customers", "Customers held.", &[])?,
            state_orders: Family::new("payback_state_orders", "Orders held.", &[])?,
            state_campaigns: Family::new("payback_state_campaigns", "Campaigns held.", &[])?,
            state_bytes: Family::new("payback_state_bytes", "Memory of the state, estimated.", &["stage"])?,
            read_back_bytes: Family::new(
                "payback_read_back_bytes",
                "Memory of the campaigns' records of all instances, for the API.",
                &[],
            )?,
            read_back_complete: Family::new(
                "payback_read_back_complete",
                "1 when the campaigns' records of all instances are there, else 0: then there are no series of campaigns.",
                &[],
            )?,
            state_limit: Family::new(
                "payback_state_limit_bytes",
                "What the state and the campaigns' records may take together, where that is configured.",
                &[],
            )?,
            over_limit: Family::new(
                "payback_state_over_limit",
                "1 while the state and the campaigns' records take more than they may, else 0.",
                &[],
            )?,
            partitions: Family::new("payback_partitions", "Partitions owned.", &["stage", "state"])?,
            stage_partitions: Family::new(
                "payback_stage_partitions",
                "Partitions that a stage has, whoever owns them.",
                &["stage"],
            )?,
            restore_remaining: Family::new(
                "payback_restore_remaining_facts",
                "Facts that are still to be read to restore the partitions owned.",
                &["stage"],
            )?,
            to_rewrite: Family::new(
                "payback_records_to_rewrite",
                "Records that are still to be written again: for other settings, another output topic, or on demand.",
                &["stage"],
            )?,
            as_of: Family::new(
                "payback_as_of_timestamp_seconds",
                "The latest moment that figures are of, in seconds since 1970: the clock's, unless that was wrong.",
                &["stage"],
            )?,
            open_transaction: Family::new(
                "payback_open_transaction_age_seconds",
                "Age of the oldest transaction that is open; 0 when none is.",
                &["stage"],
            )?,
            last_round: Family::new(
                "payback_worker_last_round_timestamp_seconds",
                "When a worker last went round, in seconds since 1970.",
                &["worker"],
            )?,
            read_through: Family::new(
                "payback_read_through_seconds",
                "Age of what campaigns' figures are read through, while a record waits for longer than it may; else 0.",
                &[],
            )?,
            backlog: Family::new(
                "payback_backlog_age_seconds",
                "For how long a record has waited in this instance's inputs, while one does for longer than it may; else 0.",
                &[],
            )?,
            blocked: Family::new(
                "payback_blocked_partition_seconds",
                "For how long an assigned partition that has records has not moved, from 30 s on.",
                &["topic", "partition"],
            )?,
            ready: Family::new("payback_ready", "1 when the instance is ready, else 0.", &[])?,
        })
    }
}

impl StateCollector {
    /// `None` where the costs of too much of the revenue are not known, as in the records.
    fn gross_profit(&self, sizes: &Sizes) -> Option<f64> {
        let sums = OrderSums {
            revenue: Sum(sizes.ltv_historic),
            covered_revenue: Sum(sizes.covered_revenue),
            gross_profit: Sum(sizes.ltv_gross_profit),
            ..OrderSums::default()
        };
        covered(&self.settings, &sums).then_some(sums.gross_profit.0 as f64 / SCALE as f64)
    }
}

impl Collector for StateCollector {
    fn desc(&self) -> Vec<&Desc> {
        [
            &self.customers,
            &self.ltv_historic,
            &self.ltv_gross_profit,
            &self.refunded_in_excess,
            &self.state_customers,
            &self.state_orders,
            &self.state_campaigns,
            &self.state_bytes,
            &self.read_back_bytes,
            &self.read_back_complete,
            &self.state_limit,
            &self.over_limit,
            &self.partitions,
            &self.stage_partitions,
            &self.restore_remaining,
            &self.to_rewrite,
            &self.as_of,
            &self.open_transaction,
            &self.last_round,
            &self.read_through,
            &self.backlog,
            &self.blocked,
            &self.ready,
        ]
        .map(|family| &family.desc)
        .to_vec()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let workers = self.status.workers();
        let [customers, campaigns] = StageKind::ALL.map(|stage| Holding::of(stage, &workers));
        let single = |family: &Family, value: f64| family.of(vec![family.series(&[], value)]);
        let sizes = &customers.sizes;
        let gross_profit = self.gross_profit(sizes).map(|profit| self.ltv_gross_profit.series(&[], profit));
        let contributing = ["true", "false", "unknown"].into_iter().zip(sizes.contributing);
        let contributing = contributing.map(|(label, count)| self.customers.series(&[label], count as f64));
        let bytes = [&customers, &campaigns]
            .map(|holding| self.state_bytes.series(&[holding.stage.name()], holding.sizes.bytes as f64));
        let partitions = [&customers, &campaigns].into_iter().flat_map(|holding| {
            [("current", holding.current), ("restoring", holding.restoring)]
                .map(|(state, count)| self.partitions.series(&[holding.stage.name(), state], count as f64))
        });
        let stage_partitions = StageKind::ALL.into_iter().filter_map(|stage| {
            Some(self.stage_partitions.series(&[stage.name()], f64::from(self.status.partitions(stage)?)))
        });
        let remaining = [&customers, &campaigns]
            .map(|holding| self.restore_remaining.series(&[holding.stage.name()], holding.remaining as f64));
        let to_rewrite = [&customers, &campaigns]
            .map(|holding| self.to_rewrite.series(&[holding.stage.name()], holding.to_rewrite as f64));
        let as_of = [&customers, &campaigns]
            .into_iter()
            .filter_map(|holding| Some(self.as_of.series(&[holding.stage.name()], holding.as_of?.0 as f64 / 1_000.0)));
        let open = [&customers, &campaigns].map(|holding| {
            self.open_transaction.series(&[holding.stage.name()], holding.open_transaction.as_secs_f64())
        });
        let rounds = workers.iter().map(|worker| self.last_round.series(&[&worker.to_string()], last_round(worker)));
        let limit = self.status.state_limit().into_iter().map(|bytes| self.state_limit.series(&[], bytes as f64));
        let backlog = workers.iter().filter_map(|worker| worker.backlog()).map(|backlog| backlog.age);
        let blocked = workers.iter().flat_map(|worker| worker.blocked()).map(|blocked| {
            self.blocked.series(&[&blocked.topic, &blocked.partition.to_string()], blocked.age.as_secs_f64())
        });
        let ready = if self.status.not_ready().is_empty() { 1.0 } else { 0.0 };
        vec![
            self.customers.of(contributing.collect()),
            single(&self.ltv_historic, sizes.ltv_historic as f64 / SCALE as f64),
            self.ltv_gross_profit.of(gross_profit.into_iter().collect()),
            single(&self.refunded_in_excess, sizes.orders_refunded_in_excess as f64),
            single(&self.state_customers, sizes.customers as f64),
            single(&self.state_orders, sizes.orders as f64),
            single(&self.state_campaigns, campaigns.sizes.campaigns as f64),
            self.state_bytes.of(bytes.to_vec()),
            single(&self.read_back_bytes, self.status.campaigns.bytes() as f64),
            single(&self.read_back_complete, if self.status.campaigns_are_complete() { 1.0 } else { 0.0 }),
            self.state_limit.of(limit.collect()),
            single(&self.over_limit, if self.status.over_limit().is_some() { 1.0 } else { 0.0 }),
            self.partitions.of(partitions.collect()),
            self.stage_partitions.of(stage_partitions.collect()),
            self.restore_remaining.of(remaining.to_vec()),
            self.to_rewrite.of(to_rewrite.to_vec()),
            self.as_of.of(as_of.collect()),
            self.open_transaction.of(open.to_vec()),
            self.last_round.of(rounds.collect()),
            single(&self.read_through, campaigns.read_through.map_or(0.0, age)),
            single(&self.backlog, backlog.max().unwrap_or_default().as_secs_f64()),
            self.blocked.of(blocked.collect()),
            single(&self.ready, ready),
        ]
    }
}

/// What all workers of a stage hold together.
struct Holding {
    stage: StageKind,
    sizes: Sizes,
    current: usize,
    restoring: usize,
    /// Facts that are still to be read.
    remaining: u64,
    /// Records that are still to be written again.
    to_rewrite: u64,
    /// The latest moment of figures.
    as_of: Option<Millis>,
    /// Age of the oldest.
    open_transaction: Duration,
    /// The earliest.
    read_through: Option<Millis>,
}

impl Holding {
    fn of(stage: StageKind, workers: &[Arc<Worker>]) -> Holding {
        let mut holding = Holding {
            stage,
            sizes: Sizes::default(),
            current: 0,
            restoring: 0,
            remaining: 0,
            to_rewrite: 0,
            as_of: None,
            open_transaction: Duration::ZERO,
            read_through: None,
        };
        let of_stage = workers.iter().filter(|worker| worker.stage == stage);
        let ages = of_stage.clone().filter_map(|worker| worker.transaction.age());
        holding.open_transaction = ages.max().unwrap_or_default();
        for partition in of_stage.flat_map(|worker| worker.partitions().into_values()) {
            match partition.progress {
                Progress::Current => holding.current += 1,
                Progress::Restoring { done, total } => {
                    holding.restoring += 1;
                    holding.remaining += total.saturating_sub(done);
                }
            }
            holding.add(&partition.sizes);
            holding.read_through = holding.read_through.into_iter().chain(partition.read_through).min();
            holding.to_rewrite += partition.to_rewrite;
            holding.as_of = holding.as_of.max(partition.as_of);
        }
        holding
    }

    fn add(&mut self, sizes: &Sizes) {
        let sum = &mut self.sizes;
        sum.customers += sizes.customers;
        sum.contributing.iter_mut().zip(sizes.contributing).for_each(|(sum, count)| *sum += count);
        sum.orders += sizes.orders;
        sum.orders_refunded_in_excess += sizes.orders_refunded_in_excess;
        sum.campaigns += sizes.campaigns;
        sum.ltv_historic += sizes.ltv_historic;
        sum.ltv_gross_profit += sizes.ltv_gross_profit;
        sum.covered_revenue += sizes.covered_revenue;
        sum.bytes += sizes.bytes;
    }
}

fn last_round(worker: &Worker) -> f64 {
    since_1970().saturating_sub(worker.since_last_round()).as_secs_f64()
}

/// In seconds, over 0: 0 says that nothing waits.
fn age(moment: Millis) -> f64 {
    (since_1970().as_secs_f64() - moment.0 as f64 / 1_000.0).max(0.001)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
