//! One worker, as the rest of the process sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lock::lock;
use crate::engine::{Sizes, StageKind};
use crate::time::Millis;

/// Questions that may wait for a worker; beyond, they are refused.
const MAX_QUESTIONS: usize = 256;

/// A worker of a stage. Written by its thread alone.
#[derive(Debug)]
pub struct Worker {
    /// Of which stage it is.
    pub stage: StageKind,
    /// Its number among the workers of the stage in this instance.
    pub slot: usize,
    started: Instant,
    /// Milliseconds after `started`.
    last_round: AtomicI64,
    phase: Mutex<Phase>,
    /// Since when it has no assignment: milliseconds after `started`; negative: it has one.
    unassigned_since: AtomicI64,
    partitions: Mutex<BTreeMap<u32, Partition>>,
    backlog: Mutex<Option<Backlog>>,
    blocked: Mutex<Vec<Blocked>>,
    questions: mpsc::SyncSender<Question>,
    /// The one that its producer has open.
    pub transaction: Arc<OpenTransaction>,
}

/// Since when a transaction is open, if one is.
#[derive(Debug)]
pub struct OpenTransaction {
    started: Instant,
    /// Milliseconds after `started`; negative: none is open.
    since: AtomicI64,
}

impl OpenTransaction {
    fn none(started: Instant) -> OpenTransaction {
        OpenTransaction { started, since: AtomicI64::new(-1) }
    }

    /// Says that one is open from now on.
    pub fn begun(&self) {
        self.since.store(millis(self.started.elapsed()), Ordering::Relaxed);
    }

    /// Says that none is open.
    pub fn ended(&self) {
        self.since.store(-1, Ordering::Relaxed);
    }

    /// For how long it is open.
    pub fn age(&self) -> Option<Duration> {
        let since = u64::try_from(self.since.load(Ordering::Relaxed)).ok()?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

/// Where a worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not in its group yet.
    Starting,
    /// Waits for Kafka: why.
    Waiting(String),
    /// In its group; what it owns may still be restored.
    Running,
}

/// A partition that a worker owns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partition {
    /// How far it is restored.
    pub progress: Progress,
    /// As of the last commit.
    pub sizes: Sizes,
    /// The moment of the last figures, once there are any.
    pub as_of: Option<Millis>,
    /// Records that are still to be written again.
    pub to_rewrite: u64,
    /// Of campaigns, while a record has waited for over `verdict.max_lag_seconds`: what their figures are read through.
    pub read_through: Option<Millis>,
}

impl Partition {
    fn new(progress: Progress, sizes: Sizes) -> Partition {
        Partition { progress, sizes, as_of: None, to_rewrite: 0, read_through: None }
    }
}

/// Records that have waited in the inputs of a worker for longer than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// All that wait.
    pub records: u64,
    /// For how long one has waited, about.
    pub age: Duration,
}

/// `1234 records wait, one of them for about 35 minutes`.
impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.age.as_secs();
        let (number, unit) = match seconds {
            0..=119 => (seconds, "seconds"),
            120..=7_199 => (seconds / 60, "minutes"),
            7_200..=172_799 => (seconds / 3_600, "hours"),
            _ => (seconds / 86_400, "days"),
        };
        write!(f, "{} records wait, one of them for about {number} {unit}", self.records)
    }
}

/// An assigned partition that has records and does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The next record to be read.
    pub offset: i64,
    /// For how long it has stood there.
    pub age: Duration,
    /// Why.
    pub obstacle: Obstacle,
}

/// Why a partition does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Somebody's transaction began there, and is neither committed nor aborted.
    OpenTransaction,
    /// There are records for a reader of what is committed, and they do not come.
    NotHandedOut,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::OpenTransaction => {
                "a transaction is open there that its producer neither commits nor aborts; the broker aborts it after that \
                 producer's transaction.timeout.ms, and `kafka-transactions.sh abort` at once"
            }
            Obstacle::NotHandedOut => "the broker does not hand its records out; its log says why",
        })
    }
}

/// `purchases partition 3 has stood at offset 320 for 45 s: ...`.
impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocked { topic, partition, offset, age, obstacle } = self;
        write!(f, "{topic} partition {partition} has stood at offset {offset} for {} s: {obstacle}", age.as_secs())
    }
}

/// How far something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many records of so many.
    Restoring {
        /// Records that were read.
        done: u64,
        /// Records that are to be read in all.
        total: u64,
    },
    /// All that was there; it follows what comes.
    Current,
}

/// A request for a customer's record.
#[derive(Debug)]
pub struct Question {
    /// Whose record is asked for.
    pub customer_id: String,
    /// Where that customer is at home.
    pub partition: u32,
    /// Where the answer is waited for; whoever asked may be gone.
    pub reply: oneshot::Sender<Answer>,
}

/// What a worker knows of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// JSON, as of the last commit.
    Record(Vec<u8>),
    /// The partition is here, the customer is not in it.
    Unknown,
    /// The partition is no longer here, or not restored yet.
    NotHere,
}

/// Too many questions wait already, or the worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Worker {
    pub(super) fn new(stage: StageKind, slot: usize, started: Instant) -> (Worker, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::sync_channel(MAX_QUESTIONS);
        let worker = Worker {
            stage,
            slot,
            started,
            last_round: AtomicI64::new(millis(started.elapsed())),
            phase: Mutex::new(Phase::Starting),
            unassigned_since: AtomicI64::new(millis(started.elapsed())),
            partitions: Mutex::default(),
            backlog: Mutex::default(),
            blocked: Mutex::default(),
            questions,
            transaction: Arc::new(OpenTransaction::none(started)),
        };
        (worker, asked)
    }

    /// Says that the worker has gone round: polled, or read a batch of a restore.
    pub fn beat(&self) {
        self.beat_at(millis(self.started.elapsed()));
    }

    /// As [`Worker::beat`], at so many milliseconds after the instance's start.
    pub fn beat_at(&self, millis: i64) {
        self.last_round.store(millis, Ordering::Relaxed);
    }

    /// How long ago it last went round.
    pub fn since_last_round(&self) -> Duration {
        let since = millis(self.started.elapsed()) - self.last_round.load(Ordering::Relaxed);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    }

    /// Where it stands, as it said last.
    pub fn phase(&self) -> Phase {
        lock(&self.phase).clone()
    }

    /// Says where the worker stands.
    pub fn set_phase(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// Whether its group has given the worker its share of the partitions, which may be none. From one assignment to the next,
    /// and after it learnt that it was evicted, it has none.
    pub fn is_assigned(&self) -> bool {
        self.unassigned_since.load(Ordering::Acquire) < 0
    }

    /// For how long the worker has had no share of the partitions; `None` while it has one.
    pub fn unassigned_for(&self) -> Option<Duration> {
        let since = u64::try_from(self.unassigned_since.load(Ordering::Acquire)).ok()?;
        Some(self.started.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    /// Says that the worker has an assignment. What it owns was said before.
    pub fn set_assigned(&self) {
        self.unassigned_since.store(-1, Ordering::Release);
    }

    /// What the worker owns now.
    pub fn partitions(&self) -> BTreeMap<u32, Partition> {
        lock(&self.partitions).clone()
    }

    /// Says how far an owned partition is restored; the first time, that it is owned.
    pub fn set_progress(&self, partition: u32, progress: Progress) {
        let fresh = Partition::new(progress, Sizes::default());
        lock(&self.partitions).entry(partition).or_insert(fresh).progress = progress;
    }

    /// Says that an owned partition is restored, what it holds, and what its figures are read through, as
    /// [`Worker::set_read_through`]: together, so that nobody takes what is current for all that there is.
    pub fn set_current(&self, partition: u32, sizes: Sizes, read_through: Option<Millis>) {
        let current = Partition { read_through, ..Partition::new(Progress::Current, sizes) };
        lock(&self.partitions).insert(partition, current);
    }

    /// Says what an owned partition holds.
    pub fn set_sizes(&self, partition: u32, sizes: Sizes) {
        if let Some(partition) = lock(&self.partitions).get_mut(&partition) {
            partition.sizes = sizes;
        }
    }

    /// Says what the figures of an owned partition are read through, while something waits for them.
    pub fn set_read_through(&self, partition: u32, read_through: Option<Millis>) {
        if let Some(partition) = lock(&self.partitions).get_mut(&partition) {
            partition.read_through = read_through;
        }
    }

    /// What waits in the worker's inputs, where something does for longer than it may.
    pub fn backlog(&self) -> Option<Backlog> {
        *lock(&self.backlog)
    }

    /// Says what waits in the worker's inputs.
    pub fn set_backlog(&self, backlog: Option<Backlog>) {
        *lock(&self.backlog) = backlog;
    }

    /// Assigned partitions that have records and do not move, the longest first.
    pub fn blocked(&self) -> Vec<Blocked> {
        lock(&self.blocked).clone()
    }

    /// Says which assigned partitions have records and do not move.
    pub fn set_blocked(&self, blocked: Vec<Blocked>) {
        *lock(&self.blocked) = blocked;
    }

    /// Says of which moment the last figures of an owned partition are, and how many of its records are to be written again.
    pub fn set_written(&self, partition: u32, as_of: Option<Millis>, to_rewrite: u64) {
        if let Some(partition) = lock(&self.partitions).get_mut(&partition) {
            (partition.as_of, partition.to_rewrite) = (as_of, to_rewrite);
        }
    }

    /// Says that a partition is no longer owned.
    pub fn revoke(&self, partition: u32) {
        lock(&self.partitions).remove(&partition);
    }

    /// Says that the worker has no assignment any more.
    pub fn revoke_all(&self) {
        if self.is_assigned() {
            self.unassigned_since.store(millis(self.started.elapsed()), Ordering::Release);
        }
        lock(&self.partitions).clear();
        self.set_backlog(None);
        self.set_blocked(Vec::new());
    }

    /// Asks for a customer's record, which is at home in `partition`. The answer comes between two commits.
    ///
    /// # Errors
    /// The worker does not keep up with the questions.
    pub fn ask(&self, customer_id: String, partition: u32) -> Result<oneshot::Receiver<Answer>, Busy> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(Question { customer_id, partition, reply }).map_err(|_| Busy)?;
        Ok(answer)
    }
}

/// `customers/0`.
impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage.name(), self.slot)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
