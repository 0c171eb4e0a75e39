//! What the parts of one instance tell each other: workers write here how they are, the API and the metrics read it.
//!
//! Nothing here decides anything, and nothing here is on the way of the data: a worker beats once a round, and locks
//! its own state for a moment when that changes.

mod campaigns;
pub mod lock;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use self::campaigns::{Campaign, CampaignFigures, Campaigns, FIGURES, TopVerdict, WindowFigures};
use self::lock::lock;
pub use self::worker::{
    Answer, Backlog, Blocked, Busy, Obstacle, OpenTransaction, Partition, Phase, Progress, Question, Worker,
};
use crate::engine::StageKind;

/// How long a worker may take for one round before it counts as stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The state of an instance.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    /// What the start still waits for; `None` when it is over.
    start: Mutex<Option<String>>,
    workers: RwLock<Vec<Arc<Worker>>>,
    /// Partitions of each stage's internal topic, once they are known.
    partitions: Mutex<HashMap<StageKind, u32>>,
    read_back: Mutex<Progress>,
    /// Whether all campaigns have a record on their topic, as far as is known.
    all_campaigns_written: AtomicBool,
    /// Which output topic is gone, if one is.
    gone: Mutex<Option<String>>,
    /// `limits.state_bytes`.
    state_limit: Option<u64>,
    /// The records of `roas-updates`, read back.
    pub campaigns: Campaigns,
}

impl Default for Status {
    fn default() -> Self {
        Status {
            started: Instant::now(),
            start: Mutex::new(Some("starting".to_owned())),
            workers: RwLock::default(),
            partitions: Mutex::default(),
            read_back: Mutex::new(Progress::Restoring { done: 0, total: 0 }),
            all_campaigns_written: AtomicBool::new(true),
            gone: Mutex::default(),
            state_limit: None,
            campaigns: Campaigns::default(),
        }
    }
}

impl Status {
    /// Of an instance whose state is to take at most so many bytes.
    pub fn with_limit(state_limit: Option<u64>) -> Status {
        Status { state_limit, ..Status::default() }
    }

    /// `limits.state_bytes`.
    pub fn state_limit(&self) -> Option<u64> {
        self.state_limit
    }

    /// What this instance holds: the state of its partitions and the campaigns that it has read back, bytes.
    pub fn state_bytes(&self) -> u64 {
        let of_worker =
            |worker: &Arc<Worker>| worker.partitions().values().map(|partition| partition.sizes.bytes).sum::<u64>();
        self.workers().iter().map(of_worker).sum::<u64>() + self.campaigns.bytes()
    }

    /// Says what is wrong while the state takes more than it may.
    pub fn over_limit(&self) -> Option<String> {
        let (bytes, limit) = (self.state_bytes(), self.state_limit?);
        (bytes > limit).then(|| format!("the state takes {bytes} bytes, limits.state_bytes is {limit}"))
    }

    /// Adds a worker of a stage, with the questions that it is to answer between commits.
    pub fn add_worker(&self, stage: StageKind) -> (Arc<Worker>, mpsc::Receiver<Question>) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let slot = workers.iter().filter(|worker| worker.stage == stage).count();
        let (worker, questions) = Worker::new(stage, slot, self.started);
        let worker = Arc::new(worker);
        workers.push(Arc::clone(&worker));
        (worker, questions)
    }

    /// All of them, in the order in which they were added.
    pub fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what the start waits for (`kafka: connection refused`).
    pub fn waits_for(&self, what: impl Into<String>) {
        *lock(&self.start) = Some(what.into());
    }

    /// Says that the start is over: all workers are added.
    pub fn has_started(&self) {
        *lock(&self.start) = None;
    }

    /// Says how many partitions the internal topic of a stage has.
    pub fn set_partitions(&self, stage: StageKind, partitions: u32) {
        lock(&self.partitions).insert(stage, partitions);
    }

    /// Of the internal topic of a stage; `None` before they are known.
    pub fn partitions(&self, stage: StageKind) -> Option<u32> {
        lock(&self.partitions).get(&stage).copied()
    }

    /// Says how far `roas-updates` was read back.
    pub fn set_read_back(&self, progress: Progress) {
        *lock(&self.read_back) = progress;
    }

    /// Says whether all campaigns have a record on `roas-updates`: they do not while that is a new topic.
    pub fn set_all_campaigns_written(&self, all: bool) {
        self.all_campaigns_written.store(all, Ordering::Relaxed);
    }

    /// Says which output topic is gone; `None` while all are there.
    pub fn set_gone(&self, what: Option<String>) {
        *lock(&self.gone) = what;
    }

    /// Whether all campaigns are there: all have a record, and it was read.
    pub fn campaigns_are_complete(&self) -> bool {
        *lock(&self.read_back) == Progress::Current && self.all_campaigns_written.load(Ordering::Relaxed)
    }

    /// Whether records wait that belong to campaigns' figures: those of some partition of this instance, or of a record that
    /// was read back.
    pub fn is_catching_up(&self) -> bool {
        let of_worker = |worker: &Arc<Worker>| worker.partitions().values().any(|owned| owned.read_through.is_some());
        self.campaigns.catching_up() > 0 || self.workers().iter().any(of_worker)
    }

    /// The worker of this instance that has a partition, and how far that is restored.
    pub fn owner(&self, stage: StageKind, partition: u32) -> Option<(Arc<Worker>, Progress)> {
        let workers = self.workers();
        let of_stage = workers.into_iter().filter(|worker| worker.stage == stage);
        of_stage.into_iter().find_map(|worker| {
            let progress = worker.partitions().get(&partition).map(|partition| partition.progress)?;
            Some((worker, progress))
        })
    }

    /// Whether the partitions of a stage are being shared out anew: one that nobody here has may be about to come.
    pub fn is_rebalancing(&self, stage: StageKind) -> bool {
        self.workers().iter().any(|worker| worker.stage == stage && !worker.is_assigned())
    }

    /// Workers that have not gone round for [`STALLED_AFTER`], with the time since.
    pub fn stalled(&self) -> Vec<(Arc<Worker>, Duration)> {
        let since = |worker: Arc<Worker>| {
            let since = worker.since_last_round();
            (worker, since)
        };
        self.workers().into_iter().map(since).filter(|(_, since)| *since >= STALLED_AFTER).collect()
    }

    /// Why this instance is not ready; nothing when it is.
    pub fn not_ready(&self) -> Vec<NotReady> {
        let mut reasons = Vec::new();
        if let Some(what) = lock(&self.start).clone() {
            reasons.push(NotReady::new("instance", "starting", what));
        }
        for worker in self.workers() {
            let part = worker.to_string();
            match worker.phase() {
                Phase::Starting => reasons.push(NotReady::new(&part, "starting", "has not joined its group yet")),
                Phase::Waiting(why) => reasons.push(NotReady::new(&part, "waiting", why)),
                Phase::Running => {
                    if let Some(since) = worker.unassigned_for() {
                        let seconds = since.as_secs();
                        let detail = format!("waits for its group to share out the partitions, for {seconds} s");
                        reasons.push(NotReady::new(&part, "rebalancing", detail));
                    }
                }
            }
            for (number, partition) in worker.partitions() {
                if let Progress::Restoring { done, total } = partition.progress {
                    let detail = format!("partition {number}: {done} of {total} facts");
                    reasons.push(NotReady::new(&part, "restoring", detail));
                }
            }
            if let Some(backlog) = worker.backlog() {
                reasons.push(NotReady::new(&part, "catching_up", backlog.to_string()));
            }
            for blocked in worker.blocked() {
                reasons.push(NotReady::new(&part, "blocked", blocked.to_string()));
            }
        }
        for (worker, since) in self.stalled() {
            let detail = format!("has not gone round for {} s", since.as_secs());
            reasons.push(NotReady::new(&worker.to_string(), "stalled", detail));
        }
        if let Some(detail) = lock(&self.gone).clone() {
            reasons.push(NotReady::new("instance", "topic_gone", detail));
        }
        if let Some(detail) = self.over_limit() {
            reasons.push(NotReady::new("instance", "over_limit", detail));
        }
        if let Progress::Restoring { done, total } = *lock(&self.read_back) {
            reasons.push(NotReady::new("campaigns", "restoring", format!("{done} of {total} records read back")));
        }
        reasons
    }
}

/// One thing that keeps an instance from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReady {
    /// `instance`, `campaigns` (the read-back) or a worker.
    pub part: String,
    /// `starting`, `waiting`, `rebalancing`, `restoring`, `catching_up`, `blocked`, `stalled` or `over_limit`.
    pub reason: &'static str,
    /// What exactly is missing, for people.
    pub detail: String,
}

impl NotReady {
    fn new(part: &str, reason: &'static str, detail: impl Into<String>) -> NotReady {
        NotReady { part: part.to_owned(), reason, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    #[test]
    fn an_instance_is_ready_when_everything_has_started_joined_and_been_read() {
        let status = Status::default();
        let reasons = |status: &Status| status.not_ready().iter().map(|reason| reason.reason).collect::<Vec<_>>();
        assert_eq!(reasons(&status), ["starting", "restoring"]);

        status.waits_for("kafka: connection refused");
        assert_eq!(status.not_ready()[0].detail, "kafka: connection refused");

        let (worker, _questions) = status.add_worker(StageKind::Customers);
        status.has_started();
        status.set_read_back(Progress::Current);
        assert_eq!(reasons(&status), ["starting"]);

        worker.set_phase(Phase::Waiting("kafka: all brokers down".to_owned()));
        assert_eq!(reasons(&status), ["waiting"]);

        worker.set_phase(Phase::Running);
        assert_eq!(reasons(&status), ["rebalancing"]);
        let words = status.not_ready()[0].detail.clone();
        assert!(words.starts_with("waits for its group to share out the partitions, for "), "{words}");

        worker.set_progress(3, Progress::Restoring { done: 5, total: 9 });
        worker.set_assigned();
        assert_eq!(status.not_ready()[0].part, "customers/0");
        assert_eq!(status.not_ready()[0].detail, "partition 3: 5 of 9 facts");

        worker.set_progress(3, Progress::Current);
        assert!(status.not_ready().is_empty());

        worker.set_backlog(Some(Backlog { records: 1_234, age: Duration::from_secs(2_100) }));
        assert_eq!(reasons(&status), ["catching_up"]);
        assert_eq!(status.not_ready()[0].detail, "1234 records wait, one of them for about 35 minutes");
        worker.set_backlog(None);
        assert!(status.not_ready().is_empty());

        let age = Duration::from_secs(45);
        let obstacle = Obstacle::OpenTransaction;
        worker.set_blocked(vec![Blocked { topic: "purchases".to_owned(), partition: 3, offset: 320, age, obstacle }]);
        assert_eq!(reasons(&status), ["blocked"]);
        let words = status.not_ready()[0].detail.clone();
        assert!(
            words.starts_with("purchases partition 3 has stood at offset 320 for 45 s: a transaction is open"),
            "{words}"
        );
        worker.set_blocked(Vec::new());

        worker.beat_at(-31_000);
        assert_eq!(reasons(&status), ["stalled"]);
        worker.beat();
        assert!(status.not_ready().is_empty());

        worker.set_backlog(Some(Backlog { records: 1, age: Duration::from_secs(60) }));
        worker.revoke_all();
        assert_eq!(reasons(&status), ["rebalancing"], "what waits is not its own any more");
        worker.set_assigned();
        assert!(status.not_ready().is_empty(), "it may get no partition");
    }

    #[test]
    fn campaigns_are_complete_once_all_are_written_and_read() {
        let status = Status::default();
        assert!(!status.campaigns_are_complete());
        status.set_read_back(Progress::Current);
        assert!(status.campaigns_are_complete());
        status.set_all_campaigns_written(false);
        assert!(!status.campaigns_are_complete());
        status.has_started();
        assert!(status.not_ready().is_empty(), "what it has is right");
    }

    #[test]
    fn an_instance_that_holds_more_than_it_may_is_not_ready() {
        let status = Status::with_limit(Some(100));
        status.has_started();
        status.set_read_back(Progress::Current);
        status.campaigns.take("campaign/c", Some(b"{}"));
        let workers = StageKind::ALL.map(|stage| status.add_worker(stage).0);
        for worker in &workers {
            worker.set_phase(Phase::Running);
            worker.set_progress(0, Progress::Current);
            worker.set_assigned();
            worker.set_sizes(0, crate::engine::Sizes { bytes: 48, ..Default::default() });
        }
        assert_eq!((status.state_bytes(), status.over_limit()), (99, None));
        assert!(status.not_ready().is_empty());
        workers[0].set_sizes(0, crate::engine::Sizes { bytes: 50, ..Default::default() });
        let [reason] = &status.not_ready()[..] else { panic!("{:?}", status.not_ready()) };
        assert_eq!((reason.part.as_str(), reason.reason), ("instance", "over_limit"));
        assert_eq!(reason.detail, "the state takes 101 bytes, limits.state_bytes is 100");
        workers[0].revoke(0);
        assert!(status.not_ready().is_empty());
    }

    #[test]
    fn campaigns_are_catching_up_by_what_is_owned_or_was_read_back() {
        let status = Status::default();
        let (worker, _questions) = status.add_worker(StageKind::Campaigns);
        worker.set_read_through(0, Some(Millis(0)));
        assert!(!status.is_catching_up(), "it does not own that one");
        worker.set_progress(0, Progress::Current);
        worker.set_read_through(0, Some(Millis(0)));
        assert!(status.is_catching_up());
        worker.set_read_through(0, None);
        assert!(!status.is_catching_up());
        let record = |read_through| format!(r#"{{"id":"c","read_through":{read_through},"windows":{{}}}}"#);
        status.campaigns.take("campaign/c", Some(record("\"2026-11-21T10:00:00Z\"").as_bytes()));
        assert!(status.is_catching_up());
        status.campaigns.take("campaign/c", Some(record("null").as_bytes()));
        assert!(!status.is_catching_up());
    }

    #[test]
    fn a_partition_is_found_at_the_worker_that_has_it() {
        let status = Status::default();
        let (first, _questions) = status.add_worker(StageKind::Customers);
        let (second, _more) = status.add_worker(StageKind::Customers);
        let (campaigns, _others) = status.add_worker(StageKind::Campaigns);
        first.set_progress(0, Progress::Current);
        second.set_progress(1, Progress::Restoring { done: 0, total: 1 });
        campaigns.set_progress(2, Progress::Current);
        let slot = |partition| status.owner(StageKind::Customers, partition).map(|(worker, _)| worker.slot);
        assert_eq!((slot(0), slot(1), slot(2)), (Some(0), Some(1), None));
        second.revoke(1);
        assert_eq!(slot(1), None);
    }
}
