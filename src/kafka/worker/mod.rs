//! A worker: one thread with one consumer, one transactional producer and the state of the partitions that it was
//! assigned. It joins its group, restores, works, and gives its partitions up again, each when the group says so.

mod blocked;
mod cadence;
mod commit;
mod group;
pub mod inputs;
pub mod outbox;
mod peers;
pub mod pipeline;
mod positions;
mod recovery;
pub mod report;
mod rewriting;
pub mod route;
mod standstill;
mod tally;
mod telling;
mod trouble;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};

use self::blocked::Standing;
pub use self::cadence::Cadence;
use self::commit::Left;
use self::pipeline::Pipeline;
use self::report::Report;
use self::rewriting::Pace;
use self::standstill::Standstill;
use crate::engine::Stage;
use crate::kafka::client::ask::Watcher;
use crate::kafka::client::statistics::Ends;
use crate::kafka::client::{Clients, Link, Reach, Reachability, TRANSACTION_TIMEOUT};
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::faults;
use crate::kafka::restore::Restore;
use crate::kafka::restore::checkpoint::Checkpoints;
use crate::kafka::retry_policy::RetryPolicy;
use crate::kafka::terms::Terms;
use crate::kafka::topics::destinations::{Destination, Destinations};
use crate::kafka::transaction::Patience;
use crate::kafka::trim::{Consumed, TrimSchedule};
use crate::status::{self, Answer, Question, STALLED_AFTER};
use crate::time::Millis;

/// Records after which a transaction is committed before its time.
const MAX_RECORDS: usize = 30_000;
/// How long a worker with nothing to do waits for a record, and a question for its answer.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long it takes at most to hear all that librdkafka has to say: without time it says one thing, and the rest when it is asked
/// again. After a broker was away for long the group's word stands behind much else.
const NEWS_WITHIN: Duration = Duration::from_millis(5);
/// For so long it is heard at most what it has to say, between two looks at all else.
const LISTENS_FOR: Duration = Duration::from_secs(1);
/// How long a transaction is held open for what comes together with its first record: the partitions of an earlier
/// stage's commit come one after the other.
const GATHER: Duration = Duration::from_millis(10);
/// Records taken between two looks at everything else, and bytes of them: what a round puts out must reach a slow broker
/// well within the time of a transaction.
const ROUND: usize = 512;
const ROUND_BYTES: usize = 1 << 20;
/// How long a commit is waited for. By then its broker has aborted the transaction, if the commit did not come through: it
/// looks every 10 s for those that are older than [`TRANSACTION_TIMEOUT`].
const COMMIT_WITHIN: Duration = Duration::from_secs(20);
/// How long an abort is waited for. A new producer aborts as well, and however long that takes, the worker shows that it
/// lives.
const ABORT_WITHIN: Duration = Duration::from_secs(5);
/// By how much calls to librdkafka may come back late, and all else that a round does.
const LATE: Duration = Duration::from_secs(3);
/// A worker that waits for a Kafka that is away is not stalled. It shows that it lives before each round, each commit and
/// each look at a new producer. The longest in between are records that no broker takes (for as long as a transaction may
/// be open) or a commit, either with an abort after it.
const _: () = {
    assert!(TRANSACTION_TIMEOUT.as_secs() + ABORT_WITHIN.as_secs() + LATE.as_secs() < STALLED_AFTER.as_secs());
    assert!(COMMIT_WITHIN.as_secs() + ABORT_WITHIN.as_secs() + LATE.as_secs() < STALLED_AFTER.as_secs());
};
/// What is left of the 5 s in which a stopping worker must have left.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(3);
/// How long a stopping worker may write checkpoints, all else included.
const CHECKPOINT_WITHIN: Duration = Duration::from_millis(4_500);
/// How long an evicted worker waits for the group to say so.
const EVICTION_NEWS_WITHIN: Duration = Duration::from_secs(15);
/// As often as this within a minute, with no assignment in between, fencing is no accident: whoever takes partitions over
/// fences their last writer, and a broker fences one whose transaction took too long, but neither goes on and on.
const MAX_FENCINGS: usize = 6;

/// A worker, ready to run on a thread of its own.
pub struct Worker<S: Stage> {
    pub clients: Clients,
    pub group_id: String,
    /// What it must have in common with all members of the group.
    pub terms: Terms,
    /// After so long without a sign of life the group goes on without a member.
    pub session: Duration,
    pub consumer: BaseConsumer<Link>,
    pub watcher: Watcher,
    pub pipeline: Pipeline<S>,
    pub reachability: Arc<Reachability>,
    pub status: Arc<status::Worker>,
    pub questions: Receiver<Question>,
    pub report: Report,
    /// None where nothing can be deleted.
    pub trim: Option<TrimSchedule>,
    /// None where none are kept.
    pub checkpoints: Option<Checkpoints>,
    pub cadence: Cadence,
    pub retry_policy: RetryPolicy,
    pub offsets_are_kept: bool,
    /// The changelog that the state is kept in.
    pub changelog: Destination,
    pub destinations: Arc<Destinations>,
    /// How long a broker waits for a member when the group shares out its partitions anew.
    pub shared_out_within: Duration,
    pub stop: Arc<AtomicBool>,
    pub state: State,
}

/// What changes while a worker runs.
#[derive(Default)]
pub struct State {
    phase: Phase,
    membership: Option<Membership>,
    /// Whether it has seen that all members are of its deployment.
    has_met_peers: bool,
    /// When the open transaction's first record came.
    began: Option<Instant>,
    /// Since the last assignment.
    fencings: Vec<Instant>,
    /// Committed offsets that contradicted the state when it was looked at last.
    doubted: Option<TopicPartitionList>,
    /// Of the consumer, while it has no share of the partitions, and of the producer, while no broker knows it.
    groupless: Standstill,
    unknown: Standstill,
    /// What status says of Kafka.
    said: Reach,
    /// Where the inputs end, until the metrics know.
    ends: Option<Ends>,
    /// Which of them do not move.
    standing: Standing,
    /// Positions before an abort, for a worker that is made not to go back.
    unrewound: Option<TopicPartitionList>,
}

#[derive(Default)]
enum Phase {
    /// Nothing is assigned.
    #[default]
    Idle,
    /// The broker says that partitions are another's; the group will say so as well.
    Evicted {
        since: Instant,
    },
    Restoring(Box<Restore>),
    /// State is there; the committed offsets are asked for.
    Resuming {
        since: Instant,
        fenced: bool,
    },
    Working,
}

/// An assignment, under one generation of the group.
struct Membership {
    assigned: TopicPartitionList,
    /// Partitions of the internal topic among them: those whose state is here.
    owned: Vec<u32>,
    group: Arc<ConsumerGroupMetadata>,
}

impl<S: Stage> Worker<S> {
    /// Works until told to stop; then [`Worker::leave`] is due.
    ///
    /// # Errors
    /// What the worker can't go on from.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        if !self.introduce()? || (self.offsets_are_kept && !self.look_before_joining()?) {
            return Ok(());
        }
        self.subscribe()?;
        self.say_phase();
        while !self.is_stopping() {
            self.status.beat();
            let outcome = self.round();
            self.recover_from(outcome)?;
            while let Some(rebalance) = self.consumer.context().next_rebalance() {
                let outcome = self.rebalance(rebalance);
                self.recover_from(outcome)?;
            }
            self.look_after_group()?;
            self.say_phase();
        }
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn round(&mut self) -> Result<(), Trouble> {
        match &self.state.phase {
            Phase::Idle => {
                self.listen(IDLE_WAIT)?;
                self.report.lag_meanwhile(&self.watcher);
                Ok(())
            }
            Phase::Evicted { since } => {
                let overdue = since.elapsed() > EVICTION_NEWS_WITHIN;
                self.listen(IDLE_WAIT)?;
                if overdue { self.begin_restore() } else { Ok(()) }
            }
            Phase::Restoring(_) => {
                self.listen(NEWS_WITHIN)?;
                if self.consumer.context().has_rebalance() { Ok(()) } else { self.restore() }
            }
            Phase::Resuming { .. } => {
                self.listen(NEWS_WITHIN)?;
                if self.consumer.context().has_rebalance() { Ok(()) } else { self.resume() }
            }
            Phase::Working => self.work(),
        }
    }

    /// Hears what the group has to say while no input is assigned: waits for so long, and goes on for as long as there is more. It
    /// may stand behind a hundred thousand errors of one broker, which librdkafka tries again and again.
    fn listen(&mut self, wait: Duration) -> Result<(), Trouble> {
        self.answer_not_here();
        let began = Instant::now();
        loop {
            match self.consumer.poll(wait.saturating_sub(began.elapsed()).max(NEWS_WITHIN)) {
                // Of an assignment that is over.
                Some(Ok(_)) => {}
                Some(Err(error)) => self.consumer_error(error)?,
                None => return Ok(()),
            }
            if self.consumer.context().has_rebalance() || began.elapsed() > wait.max(LISTENS_FOR) {
                return Ok(());
            }
        }
    }

    /// Takes records for a round, and commits when it is time.
    fn work(&mut self) -> Result<(), Trouble> {
        let mut wait = match self.commit_due_in() {
            // In whole milliseconds: through a fraction the client would spin.
            Some(left) if self.cadence.is_caught_up() => whole_millis(left),
            Some(_) => Duration::ZERO,
            None => IDLE_WAIT.min(self.cadence.interval()),
        };
        let mut now = clock();
        let mut bytes = 0;
        for taken in 0..ROUND {
            match self.consumer.poll(wait) {
                Some(Ok(record)) => {
                    if taken == 0 {
                        self.reachability.back();
                        now = clock();
                    }
                    self.pipeline.take(&record, now)?;
                    self.state.began.get_or_insert_with(Instant::now);
                    bytes += record.payload_len();
                    if bytes > ROUND_BYTES {
                        break;
                    }
                }
                Some(Err(error)) => self.consumer_error(error)?,
                None => {
                    // Also when the group has something to say, which goes first; that inputs end somewhere does not.
                    if !self.hear_of_ends() {
                        self.cadence.catch_up();
                        break;
                    }
                }
            }
            wait = Duration::ZERO;
        }
        self.pipeline.transactions.poll();
        if self.is_commit_due() {
            self.commit(COMMIT_WITHIN)?;
        } else {
            self.answer_if_committed();
        }
        self.hear_of_ends();
        if !self.pipeline.transactions.is_open() {
            if let Some(ends) = self.state.ends.take() {
                self.report.lag(&self.consumer, &self.pipeline.inputs, &ends);
            }
            self.report.sizes(&self.status, &self.pipeline.partitions);
            if self.pipeline.rewriter.look() {
                // Its partitions are others as well: a producer that learns of them some time later would send a key's next
                // records elsewhere.
                tracing::warn!(worker = %self.status, topic = self.pipeline.outputs.updates, "the output topic was created again");
                self.renew_producer()?;
                return self.take_up_anew();
            }
            self.go_back_in_time()?;
        }
        Ok(())
    }

    /// Takes what was told of where the inputs end. `false`: it is known.
    fn hear_of_ends(&mut self) -> bool {
        let news = self.consumer.context().news_of_ends();
        let Some(news) = news else { return false };
        let now = clock();
        if let Ok(positions) = self.consumer.position() {
            let inputs = &mut self.pipeline.inputs;
            inputs.pass_markers(&positions);
            self.status.set_blocked(self.state.standing.look(inputs, &positions, &news, Instant::now()));
        }
        self.pipeline.waiting.look(&self.pipeline.inputs, &news, now);
        self.say_what_waits(now);
        self.state.ends = Some(news);
        true
    }

    fn say_what_waits(&self, now: Millis) {
        self.status.set_backlog(self.pipeline.waiting.backlog(&self.pipeline.inputs, now));
    }

    /// Restores partitions anew whose figures are of a moment that a wrong clock has given. No transaction may be open.
    fn go_back_in_time(&mut self) -> Result<(), Trouble> {
        let (now, format) = (clock(), self.pipeline.settings.format);
        if self.pipeline.partitions.iter().all(|(_, partition)| !partition.progress.is_far_ahead(now, format)) {
            return Ok(());
        }
        self.take_up_anew()
    }

    /// Takes up all partitions as if they had just been assigned: their state as it is, their inputs from where they are committed.
    /// No transaction may be open.
    fn take_up_anew(&mut self) -> Result<(), Trouble> {
        if !self.park() {
            self.pipeline.partitions.clear();
            if let Some(membership) = &self.state.membership {
                self.pipeline.partitions.retain_and_add(&membership.owned, &self.pipeline.settings);
            }
        }
        self.begin_restore()
    }

    fn is_commit_due(&self) -> bool {
        match self.commit_due_in() {
            Some(left) => left.is_zero() || self.pipeline.records >= MAX_RECORDS,
            None => self.cadence.left(Instant::now()).is_zero() && self.pipeline.is_due(clock()),
        }
    }

    /// How long until the open transaction is to be committed: an interval after the last one, so that a record that
    /// comes after a pause hardly waits.
    fn commit_due_in(&self) -> Option<Duration> {
        let began = self.state.began?;
        Some(self.cadence.left(Instant::now()).max(GATHER.saturating_sub(began.elapsed())))
    }

    fn commit(&mut self, within: Duration) -> Result<(), Trouble> {
        let Some(membership) = &self.state.membership else { return Ok(()) };
        let begun = Instant::now();
        self.status.beat();
        if let Ok(positions) = self.consumer.position() {
            self.pipeline.inputs.pass_markers(&positions);
        }
        let pace = Pace::of(self.cadence.is_swift());
        let left = self.pipeline.commit(&membership.group, clock(), pace, Patience::of(within));
        let left = left.inspect_err(|_| self.report.commit_failed(begun.elapsed()))?;
        self.state.began = None;
        let took = begun.elapsed();
        self.cadence.committed(Instant::now(), took);
        if left == Left::Rolling {
            // A backlog does not hold the rest up.
            self.cadence.catch_up();
        }
        self.report.committed(&mut self.pipeline.tally, clock(), took);
        self.report.read_through(&self.status, &self.pipeline.partitions);
        self.say_what_waits(clock());
        self.report.sizes(&self.status, &self.pipeline.partitions);
        self.answer_if_committed();
        if let Some(trim) = &mut self.trim {
            let inputs = &self.pipeline.inputs;
            let consumed = |(partition, before)| Consumed { topic: inputs.internal().topic.clone(), partition, before };
            trim.request(|| inputs.internal_positions().map(consumed).collect());
        }
        Ok(())
    }

    fn answer_not_here(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            // Whoever asked may be gone.
            let _ = question.reply.send(Answer::NotHere);
        }
    }

    /// Answers what was asked, unless something is not committed yet.
    fn answer_if_committed(&mut self) {
        if self.pipeline.transactions.is_open() {
            return;
        }
        while let Ok(question) = self.questions.try_recv() {
            let answer = match self.pipeline.partitions.get(question.partition) {
                Some(partition) => match partition.stage.record(&question.customer_id, partition.moment(clock())) {
                    Some(record) => Answer::Record(record),
                    None => Answer::Unknown,
                },
                None => Answer::NotHere,
            };
            let _ = question.reply.send(answer);
        }
    }

    fn say_phase(&mut self) {
        self.reachability.look();
        let reach = self.reachability.reach();
        let starting = self.status.phase() == status::Phase::Starting;
        if starting || reach != self.state.said {
            self.state.said = reach;
            self.status.set_phase(match (self.reachability.trouble(), &self.state.phase) {
                (Some(trouble), _) => status::Phase::Waiting(trouble),
                (None, Phase::Idle) if starting => status::Phase::Starting,
                (None, _) => status::Phase::Running,
            });
        }
    }
}

/// Rounded up.
fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// The present.
pub fn clock() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)).plus(faults::clock_ahead())
}
