//! A worker: one thread with one consumer, one transactional producer and the state of the partitions that it was
//! assigned. It joins its group, restores, works, and gives its partitions up again, each when the group says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::clients::{Clients, Link, Reachability, Rebalance};
use super::crash;
use super::error::{Trouble, WorkerError};
use super::inputs::Inputs;
use super::pipeline::Pipeline;
use super::report::Report;
use super::restore::{Fencing, Restore};
use super::resume::{Known, set_positions};
use super::sweep::{Broom, Swept};
use super::transaction::{Failure, Patience};
use super::watch::{self, Watcher, offset_in};
use crate::engine::Stage;
use crate::status::{self, Answer, Question};
use crate::time::Millis;

/// Records after which a transaction is committed before its time.
const MAX_RECORDS: usize = 50_000;
/// How long a worker with nothing to do waits for a record, and a question for its answer.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Records taken between two looks at everything else.
const ROUND: usize = 512;
/// How long a commit is waited for. A transaction is aborted by its broker well before.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);
/// What is left of the 5 s in which a stopping worker must have left.
const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(3);
/// How long an evicted worker waits for the group to say so.
const EVICTION_NEWS_WITHIN: Duration = Duration::from_secs(15);
/// As often as this within a minute, fencing is no accident.
const MAX_FENCINGS: usize = 3;

/// A worker, ready to run on a thread of its own.
pub struct Worker<S: Stage> {
    pub clients: Clients,
    pub group_id: String,
    pub consumer: BaseConsumer<Link>,
    pub watcher: Watcher,
    pub pipeline: Pipeline<S>,
    pub reachability: Arc<Reachability>,
    pub status: Arc<status::Worker>,
    pub questions: Receiver<Question>,
    pub report: Report,
    /// None where nothing can be deleted.
    pub broom: Option<Broom>,
    pub commit_interval: Duration,
    pub offsets_are_kept: bool,
    pub stop: Arc<AtomicBool>,
    pub state: State,
}

/// What changes while a worker runs.
#[derive(Default)]
pub struct State {
    phase: Phase,
    membership: Option<Membership>,
    /// When the open transaction's first record came.
    began: Option<Instant>,
    last_commit: Option<Instant>,
    fencings: Vec<Instant>,
    /// Whether status says that Kafka is away.
    said_away: bool,
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
    group: ConsumerGroupMetadata,
}

impl<S: Stage> Worker<S> {
    /// Works until told to stop.
    ///
    /// # Errors
    /// What the worker can't go on from.
    pub fn run(mut self) -> Result<(), WorkerError> {
        if !self.introduce()? {
            return Ok(());
        }
        let topics: Vec<&str> = self.pipeline.inputs.topics().collect();
        self.consumer.subscribe(&topics).map_err(WorkerError::kafka("subscribing"))?;
        self.say_phase();
        while !self.is_stopping() {
            self.status.beat();
            let outcome = self.round();
            self.settle(outcome)?;
            while let Some(rebalance) = self.consumer.context().next_rebalance() {
                let outcome = self.rebalance(rebalance);
                self.settle(outcome)?;
            }
            self.say_phase();
        }
        self.leave();
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn round(&mut self) -> Result<(), Trouble> {
        match &self.state.phase {
            Phase::Idle => self.listen(IDLE_WAIT),
            Phase::Evicted { since } => {
                let overdue = since.elapsed() > EVICTION_NEWS_WITHIN;
                self.listen(IDLE_WAIT)?;
                if overdue { self.begin_restore() } else { Ok(()) }
            }
            Phase::Restoring(_) => {
                self.listen(Duration::ZERO)?;
                self.restore()
            }
            Phase::Resuming { .. } => {
                self.listen(Duration::ZERO)?;
                self.resume()
            }
            Phase::Working => self.work(),
        }
    }

    /// Hears what the group has to say while no input is assigned.
    fn listen(&mut self, wait: Duration) -> Result<(), Trouble> {
        self.answer_not_here();
        match self.consumer.poll(wait) {
            // Of an assignment that is over.
            Some(Ok(_)) | None => Ok(()),
            Some(Err(error)) => self.consumer_error(error),
        }
    }

    /// Takes records for a round, and commits when it is time.
    fn work(&mut self) -> Result<(), Trouble> {
        let mut wait = match self.state.began {
            // In whole milliseconds: through a fraction the client would spin.
            Some(began) => whole_millis(self.commit_interval.saturating_sub(began.elapsed())),
            None => IDLE_WAIT.min(self.commit_interval),
        };
        let mut now = clock();
        for taken in 0..ROUND {
            match self.consumer.poll(wait) {
                Some(Ok(record)) => {
                    if taken == 0 {
                        self.reachability.back();
                        now = clock();
                    }
                    self.pipeline.take(&record, now)?;
                    self.state.began.get_or_insert_with(Instant::now);
                }
                Some(Err(error)) => {
                    self.consumer_error(error)?;
                    break;
                }
                // Also when the group has something to say, which goes first.
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.pipeline.transactions.poll();
        if self.is_commit_due() {
            self.commit(COMMIT_WITHIN)?;
        } else {
            self.answer_if_committed();
        }
        // Asking takes a moment, which no open transaction should wait for.
        if let Some(membership) = &self.state.membership
            && !self.pipeline.transactions.is_open()
        {
            self.report.lag(&self.consumer, &self.watcher, &membership.assigned);
        }
        Ok(())
    }

    fn is_commit_due(&self) -> bool {
        match self.state.began {
            Some(began) => began.elapsed() >= self.commit_interval || self.pipeline.records >= MAX_RECORDS,
            None => {
                let paced = self.state.last_commit.is_none_or(|last| last.elapsed() >= self.commit_interval);
                paced && self.pipeline.is_roll_due(clock())
            }
        }
    }

    fn commit(&mut self, within: Duration) -> Result<(), Trouble> {
        let Some(membership) = &self.state.membership else { return Ok(()) };
        let begun = Instant::now();
        if let Ok(positions) = self.consumer.position() {
            self.pipeline.inputs.pass_markers(&positions);
        }
        self.pipeline.commit(&membership.group, clock(), Patience::of(within))?;
        self.state.began = None;
        self.state.last_commit = Some(Instant::now());
        self.report.committed(&mut self.pipeline.tally, clock(), begun.elapsed());
        self.report.sizes(&self.status, &self.pipeline.partitions);
        self.answer_if_committed();
        if let Some(broom) = &mut self.broom {
            let inputs = &self.pipeline.inputs;
            let swept = |(partition, before)| Swept { topic: inputs.internal().topic.clone(), partition, before };
            broom.sweep(|| inputs.internal_positions().map(swept).collect());
        }
        Ok(())
    }

    // ---- the group -------------------------------------------------------------------------------------------------

    fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), Trouble> {
        match rebalance {
            Rebalance::Assigned(Some((assigned, group))) => {
                let internal = &self.pipeline.inputs.internal().topic;
                let owned: Vec<u32> = assigned
                    .elements_for_topic(internal)
                    .iter()
                    .filter_map(|element| u32::try_from(element.partition()).ok())
                    .collect();
                self.reachability.back();
                tracing::info!(worker = %self.status, partitions = ?owned, "partitions assigned");
                self.pipeline.partitions.retain_and_add(&owned, &self.pipeline.settings);
                self.state.membership = Some(Membership { assigned, owned, group });
                self.begin_restore()
            }
            Rebalance::Assigned(None) => {
                // librdkafka waits for an answer; the next assignment follows.
                self.pipeline.partitions.clear();
                self.assign_nothing()
            }
            Rebalance::Revoked { lost } => {
                self.revoked(lost)?;
                self.consumer.unassign().map_err(WorkerError::kafka("giving partitions up")).map_err(Trouble::from)
            }
        }
    }

    /// Commits what is open while the partitions are still ours, and parks their state.
    fn revoked(&mut self, lost: bool) -> Result<(), WorkerError> {
        let was_working = matches!(self.state.phase, Phase::Working);
        let committed = if lost {
            tracing::warn!(worker = %self.status, "partitions lost: this worker was away for too long");
            false
        } else if self.pipeline.transactions.is_open() {
            match self.commit(COMMIT_WITHIN) {
                Ok(()) => true,
                Err(Trouble::Stop(error)) => return Err(error),
                Err(Trouble::Transaction(failure)) => {
                    self.undo(&failure)?;
                    false
                }
            }
        } else {
            true
        };
        if self.pipeline.transactions.is_open() {
            self.undo_quietly()?;
        }
        if !committed || (was_working && !self.park()) {
            self.pipeline.partitions.clear();
        }
        self.state.membership = None;
        self.state.phase = Phase::Idle;
        self.pipeline.inputs.clear();
        self.status.revoke_all();
        self.report.revoked();
        Ok(())
    }

    /// Notes where the changelog of each partition ends: all in it is in the state. `false`: that is not known.
    fn park(&mut self) -> bool {
        let changelog = self.pipeline.outputs.changelog.clone();
        let mut list = TopicPartitionList::new();
        for (number, _) in self.pipeline.partitions.iter() {
            list.add_partition(&changelog, i32::try_from(number).unwrap_or(i32::MAX));
        }
        let Ok(ends) = self.watcher.high_watermarks(&list) else { return false };
        self.pipeline.partitions.iter_mut().all(|(number, partition)| {
            partition.changelog_position = offset_in(&ends, &changelog, i32::try_from(number).unwrap_or(i32::MAX));
            partition.changelog_position.is_some()
        })
    }

    /// Takes the inputs out of librdkafka's hands: nothing is fetched until positions are known again.
    fn assign_nothing(&mut self) -> Result<(), Trouble> {
        let nothing = self.consumer.assign(&TopicPartitionList::new());
        nothing.map_err(WorkerError::kafka("pausing inputs")).map_err(Trouble::from)
    }

    // ---- restore ---------------------------------------------------------------------------------------------------

    fn begin_restore(&mut self) -> Result<(), Trouble> {
        self.assign_nothing()?;
        let Some(membership) = &self.state.membership else {
            self.state.phase = Phase::Idle;
            return Ok(());
        };
        let changelog = &self.pipeline.outputs.changelog;
        let restore = Restore::new(&self.clients, changelog, &membership.owned)?;
        self.state.phase = Phase::Restoring(Box::new(restore));
        self.report_restore();
        Ok(())
    }

    fn restore(&mut self) -> Result<(), Trouble> {
        let (Phase::Restoring(restore), Some(membership)) = (&mut self.state.phase, &self.state.membership) else {
            return Ok(());
        };
        let inputs = inputs_to_fence(&membership.owned, &self.pipeline.inputs);
        let pipeline = &mut self.pipeline;
        let fencing = Fencing { inputs, own: &pipeline.transactional_id };
        let facts = restore.facts;
        let done = restore.step(
            &mut pipeline.partitions,
            &pipeline.meaning,
            &self.watcher,
            &fencing,
            Duration::from_millis(100),
        )?;
        self.report.restored_facts(restore.facts - facts);
        if done {
            let (facts, elapsed) = (restore.facts, restore.elapsed());
            tracing::info!(worker = %self.status, facts, seconds = elapsed.as_secs_f64(), "state restored");
            self.report.restored(membership.owned.len(), elapsed);
            self.state.phase = Phase::Resuming { since: Instant::now(), fenced: false };
        } else {
            self.report_restore();
        }
        Ok(())
    }

    fn report_restore(&self) {
        if let Phase::Restoring(restore) = &self.state.phase {
            for (number, done, total) in restore.progress() {
                self.status.set_progress(number, status::Progress::Restoring { done, total });
            }
        }
    }

    /// Asks for the committed offsets, and reads on from there.
    fn resume(&mut self) -> Result<(), Trouble> {
        let (Phase::Resuming { since, fenced }, Some(membership)) = (&mut self.state.phase, &self.state.membership)
        else {
            return Ok(());
        };
        let assigned = &membership.assigned;
        let known = watch::committed(&self.consumer, assigned).and_then(|committed| {
            Ok((committed, self.watcher.low_watermarks(assigned)?, self.watcher.high_watermarks(assigned)?))
        });
        let (committed, low, high) = match known {
            Ok(known) => known,
            Err(error) if watch::is_hopeless(&error) => {
                return Err(WorkerError::Kafka { what: "committed offsets".to_owned(), cause: error }.into());
            }
            Err(error) => {
                tracing::debug!(%error, worker = %self.status, "committed offsets are not known yet");
                // A transaction that is about to commit offsets keeps them back, however long it stays open.
                if !*fenced && since.elapsed() > Duration::from_millis(500) && !self.reachability.is_away() {
                    let inputs = inputs_to_fence(&membership.owned, &self.pipeline.inputs);
                    *fenced = self.watcher.fence_writers(inputs, &self.pipeline.transactional_id).is_ok();
                }
                return Ok(());
            }
        };
        let known = Known {
            assigned,
            committed: &committed,
            low: &low,
            high: &high,
            group: &self.group_id,
            changelog: &self.pipeline.outputs.changelog,
            offsets_are_kept: self.offsets_are_kept,
        };
        match self.state.unrewound.take() {
            Some(positions) => self.pipeline.inputs.set_all(&positions),
            None => set_positions(&mut self.pipeline.inputs, &self.pipeline.partitions, &known)?,
        }
        let positions = self.pipeline.inputs.offsets(None).map_err(WorkerError::kafka("positions"))?;
        self.consumer.assign(&positions).map_err(WorkerError::kafka("resuming inputs"))?;
        for number in &membership.owned {
            self.status.set_progress(*number, status::Progress::Current);
        }
        self.state.phase = Phase::Working;
        if membership.owned.is_empty() {
            return Ok(());
        }
        // The first transaction claims the partitions: it names this worker as their writer, for whoever comes next.
        self.commit(COMMIT_WITHIN)
    }

    // ---- what goes wrong -------------------------------------------------------------------------------------------

    /// Goes on from trouble, where that can be gone on from: all is undone and done again.
    fn settle(&mut self, outcome: Result<(), Trouble>) -> Result<(), WorkerError> {
        let failure = match outcome {
            Ok(()) => return Ok(()),
            Err(Trouble::Stop(error)) => return Err(error),
            Err(Trouble::Transaction(failure)) => failure,
        };
        self.undo(&failure)?;
        if let Some(membership) = &self.state.membership {
            self.pipeline.partitions.retain_and_add(&membership.owned, &self.pipeline.settings);
        }
        let begun = if matches!(failure, Failure::Evicted { .. }) {
            self.state.phase = Phase::Evicted { since: Instant::now() };
            self.assign_nothing()
        } else {
            self.begin_restore()
        };
        match begun {
            Err(Trouble::Stop(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the transaction as if it had never been, and drops all state that it touched.
    fn undo(&mut self, failure: &Failure) -> Result<(), WorkerError> {
        tracing::warn!(worker = %self.status, %failure, "transaction failed: it is undone and done again");
        self.report.aborted();
        if crash::has(crash::Fault::NoRewind) {
            self.state.unrewound = self.pipeline.inputs.offsets(None).ok();
        }
        self.pipeline.partitions.clear();
        self.pipeline.tally.clear();
        self.pipeline.records = 0;
        self.state.began = None;
        let ended = match failure {
            Failure::Abortable { .. } | Failure::Evicted { .. } => {
                self.pipeline.transactions.abort(Patience::of(COMMIT_WITHIN))
            }
            Failure::Broken { .. } | Failure::Fenced { .. } => Err(failure.clone()),
            Failure::Hopeless { what, cause } => {
                return Err(WorkerError::Kafka { what: (*what).to_owned(), cause: cause.clone() });
            }
        };
        match ended {
            Ok(()) => Ok(()),
            Err(failure) => self.replace_producer(&failure),
        }
    }

    fn undo_quietly(&mut self) -> Result<(), WorkerError> {
        self.pipeline.partitions.clear();
        self.pipeline.tally.clear();
        self.pipeline.records = 0;
        self.state.began = None;
        self.report.aborted();
        match self.pipeline.transactions.abort(Patience::of(COMMIT_WITHIN)) {
            Ok(()) => Ok(()),
            Err(failure) => self.replace_producer(&failure),
        }
    }

    fn replace_producer(&mut self, failure: &Failure) -> Result<(), WorkerError> {
        if matches!(failure, Failure::Fenced { .. }) {
            self.state.fencings.retain(|at| at.elapsed() < Duration::from_secs(60));
            self.state.fencings.push(Instant::now());
            let times = self.state.fencings.len();
            if times >= MAX_FENCINGS {
                return Err(WorkerError::Fenced { id: self.pipeline.transactional_id.clone(), times });
            }
        }
        tracing::warn!(worker = %self.status, %failure, "a new producer takes over");
        self.pipeline.transactions.replace().map_err(WorkerError::kafka("a new producer"))?;
        self.introduce().map(drop)
    }

    /// Introduces the producer to the broker, however long that takes. `false`: told to stop meanwhile.
    fn introduce(&mut self) -> Result<bool, WorkerError> {
        while !self.is_stopping() {
            self.status.beat();
            let introduced = self.pipeline.transactions.introduce(Duration::from_secs(2));
            self.say_phase();
            if introduced.map_err(WorkerError::kafka("the transactional producer"))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn consumer_error(&mut self, error: KafkaError) -> Result<(), Trouble> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => self.explain_offset_out_of_range(error),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                tracing::warn!(worker = %self.status, %error, "an input topic is not there");
                Ok(())
            }
            _ if watch::is_hopeless(&error) => {
                Err(WorkerError::Kafka { what: "reading inputs".to_owned(), cause: error }.into())
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(WorkerError::Fatal { cause: error }.into())
            }
            _ => {
                tracing::debug!(worker = %self.status, %error, "reading inputs");
                Ok(())
            }
        }
    }

    /// Says which records are gone; none may be skipped silently.
    fn explain_offset_out_of_range(&mut self, error: KafkaError) -> Result<(), Trouble> {
        let unexplained =
            |cause| WorkerError::Kafka { what: "an input can't be read from its offset".to_owned(), cause };
        let positions = self.pipeline.inputs.offsets(None).map_err(unexplained)?;
        let low = self.watcher.low_watermarks(&positions).map_err(unexplained)?;
        let high = self.watcher.high_watermarks(&positions).map_err(unexplained)?;
        for element in positions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let Some(next) = offset_in(&positions, topic, partition) else { continue };
            let (group, name) = (self.group_id.clone(), topic.to_owned());
            if let Some(low) = offset_in(&low, topic, partition).filter(|low| next < *low) {
                let lost = low - next;
                return Err(WorkerError::Lost { topic: name, partition, from: next, to: low, lost, group }.into());
            }
            if let Some(end) = offset_in(&high, topic, partition).filter(|end| next > *end) {
                return Err(WorkerError::Truncated { topic: name, partition, end, read: next, group }.into());
            }
        }
        Err(unexplained(error).into())
    }

    // ---- the rest of the process -----------------------------------------------------------------------------------

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
        let away = self.reachability.is_away();
        let starting = self.status.phase() == status::Phase::Starting;
        if starting || away != self.state.said_away {
            self.state.said_away = away;
            self.status.set_phase(match (away, &self.state.phase) {
                (true, _) => status::Phase::Waiting("kafka: can't be reached".to_owned()),
                (false, Phase::Idle) if starting => status::Phase::Starting,
                (false, _) => status::Phase::Running,
            });
        }
    }

    /// Commits, so that nothing has to be done again, and leaves the group, so that others take over at once.
    fn leave(mut self) {
        let has_work = matches!(self.state.phase, Phase::Working) && self.state.began.is_some();
        if has_work && let Err(trouble) = self.commit(LAST_COMMIT_WITHIN) {
            tracing::warn!(worker = %self.status, ?trouble, "the last transaction is left to be aborted");
        }
        if self.pipeline.transactions.is_open() {
            let _ = self.pipeline.transactions.abort(Patience::of(Duration::from_secs(1)));
        }
        // Dropping the consumer leaves the group.
    }
}

impl<S: Stage> Drop for Worker<S> {
    /// A consumer that is dropped waits until its partitions are given up, and nobody is there any more to do it. What the
    /// group decided last, to assign or to revoke, may still wait for its answer: each is answered by one of these.
    fn drop(&mut self) {
        self.status.revoke_all();
        self.report.revoked();
        self.consumer.context().leave();
        let answered = self.consumer.assign(&TopicPartitionList::new()).and_then(|()| self.consumer.unassign());
        if let Err(error) = answered {
            tracing::debug!(%error, worker = %self.status, "leaving the group");
        }
    }
}

/// The internal topic's partitions of these numbers.
fn inputs_to_fence(owned: &[u32], inputs: &Inputs) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(owned.len());
    for number in owned {
        list.add_partition(&inputs.internal().topic, i32::try_from(*number).unwrap_or(i32::MAX));
    }
    list
}

/// Rounded up.
fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// The present.
pub fn clock() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)).plus(crash::clock_ahead())
}
