//! What the group decides: partitions are taken up, given up in time, and left for others at the end.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::standstill::Measure;
use super::{CHECKPOINT_WITHIN, COMMIT_WITHIN, LAST_COMMIT_WITHIN, Membership, Phase, Worker};
use crate::engine::Stage;
use crate::kafka::changelog::partition::Partitions;
use crate::kafka::client::ask::offset_in;
use crate::kafka::client::{Link, Rebalance};
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::faults;
use crate::kafka::transaction::Patience;

/// How long the group may take to share out the partitions while a broker answers, beyond what the broker waits for a member that
/// does not come: so much does all the rest take at most, of which a session is the longest.
const SHARED_OUT_AFTER: Duration = Duration::from_secs(15);
/// How long a consumer may do without the coordinator of its group while it is connected to a broker. librdkafka looks for one that
/// has another address by now, and is the same broker otherwise, at the old one for ever.
const COORDINATED_WITHIN: Duration = Duration::from_secs(20);

impl<S: Stage> Worker<S> {
    pub(super) fn subscribe(&self) -> Result<(), WorkerError> {
        let topics: Vec<&str> = self.pipeline.inputs.topics().collect();
        self.consumer.subscribe(&topics).map_err(WorkerError::kafka("subscribing"))
    }

    /// Puts a new consumer in the place of one that gets no share of the partitions although a broker answers.
    ///
    /// # Errors
    /// The new one got none either.
    pub(super) fn look_after_group(&mut self) -> Result<(), WorkerError> {
        let Some(since) = self.status.unassigned_for() else {
            self.state.groupless.is_over();
            return Ok(());
        };
        let is_coordinated = self.consumer.context().is_coordinated();
        let limit = if is_coordinated { self.shared_out_within + SHARED_OUT_AFTER } else { COORDINATED_WITHIN };
        match self.state.groupless.look(Instant::now(), self.reachability.is_connected(), limit) {
            Measure::Wait => Ok(()),
            Measure::MakeAnew => {
                let seconds = since.as_secs();
                tracing::warn!(worker = %self.status, group = self.group_id, seconds, "a broker answers, and the group gives no partitions: a new consumer joins it");
                self.renew_consumer()
            }
            Measure::GiveUp => Err(WorkerError::Groupless { group: self.group_id.clone(), seconds: since.as_secs() }),
        }
    }

    fn renew_consumer(&mut self) -> Result<(), WorkerError> {
        let client_id = self.terms.client_id(&self.pipeline.transactional_id);
        let consumer = self.clients.consumer(&self.group_id, &client_id, &self.reachability);
        let former = std::mem::replace(&mut self.consumer, consumer.map_err(WorkerError::kafka("the consumer"))?);
        if self.state.membership.is_some() {
            self.revoked(true)?;
        }
        // To leave takes as long as the group's coordinator needs, or for ever.
        let leave = move || {
            former.context().set_waiting(false);
            give_up(&former)
        };
        let thread = thread::Builder::new().name("former".to_owned()).spawn(leave);
        if let Err(error) = thread {
            tracing::debug!(%error, "the former consumer leaves without a word");
        }
        self.subscribe()
    }

    pub(super) fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), Trouble> {
        match rebalance {
            Rebalance::Assigned(Some((assigned, group))) => {
                self.look_at_first_assignment()?;
                let internal = &self.pipeline.inputs.internal().topic;
                let owned: Vec<u32> = assigned
                    .elements_for_topic(internal)
                    .iter()
                    .filter_map(|element| u32::try_from(element.partition()).ok())
                    .collect();
                self.reachability.back();
                self.report.assigned(&assigned);
                self.state.fencings.clear();
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
        self.state.standing.clear();
        self.pipeline.inputs.clear();
        self.pipeline.rewriter.dropped();
        self.status.revoke_all();
        self.report.revoked();
        Ok(())
    }

    /// Keeps each partition's state as one that reaches to the end of its changelog; whether it does is proven when it is
    /// taken up again. `false`: the ends are not known.
    pub(super) fn park(&mut self) -> bool {
        faults::at(faults::Point::BeforePark);
        let changelog = self.pipeline.outputs.changelog.clone();
        let mut list = TopicPartitionList::new();
        for (number, _) in self.pipeline.partitions.iter() {
            list.add_partition(&changelog, i32::try_from(number).unwrap_or(i32::MAX));
        }
        let Ok(ends) = self.watcher.high_watermarks(&list) else { return false };
        self.pipeline.partitions.iter_mut().all(|(number, partition)| {
            let end = offset_in(&ends, &changelog, i32::try_from(number).unwrap_or(i32::MAX));
            end.map(|end| partition.park(end)).is_some()
        })
    }

    /// Takes the inputs out of librdkafka's hands: nothing is fetched until positions are known again.
    pub(super) fn assign_nothing(&mut self) -> Result<(), Trouble> {
        let nothing = self.consumer.assign(&TopicPartitionList::new());
        nothing.map_err(WorkerError::kafka("pausing inputs")).map_err(Trouble::from)
    }

    /// Commits, so that nothing has to be done again, and leaves the group, so that others take over at once. What is left
    /// of the time goes into checkpoints, for when this instance comes back. The state is handed back: to free it takes
    /// time that nobody has to wait for.
    pub fn leave(mut self) -> Partitions<S> {
        let until = Instant::now() + CHECKPOINT_WITHIN;
        let mut is_whole = matches!(self.state.phase, Phase::Working);
        if is_whole
            && self.state.began.is_some()
            && let Err(trouble) = self.commit(LAST_COMMIT_WITHIN)
        {
            tracing::warn!(worker = %self.status, ?trouble, "the last transaction is left to be aborted");
            is_whole = false;
        }
        if self.pipeline.transactions.is_open() {
            is_whole = false;
            let _ = self.pipeline.transactions.abort(Patience::of(Duration::from_secs(1)));
        }
        // A state whose changelog is another one would seem to be whole by its checkpoint.
        is_whole &= self.destinations.is_still(&self.changelog);
        let checkpoints = self.checkpoints.take().filter(|_| is_whole && self.park());
        let partitions = std::mem::take(&mut self.pipeline.partitions);
        let changelog = self.pipeline.outputs.changelog.clone();
        // Dropping the consumer leaves the group.
        drop(self);
        if let Some(checkpoints) = checkpoints {
            checkpoints.write(&changelog, &partitions, until);
        }
        partitions
    }
}

impl<S: Stage> Drop for Worker<S> {
    /// A consumer that is dropped waits until its partitions are given up, and nobody is there any more to do it. What the
    /// group decided last, to assign or to revoke, may still wait for its answer: each is answered by one of these.
    fn drop(&mut self) {
        self.status.revoke_all();
        self.report.left();
        faults::hang_by(faults::Fault::CloseHangs);
        give_up(&self.consumer);
    }
}

/// Answers for a consumer that is about to be dropped.
fn give_up(consumer: &BaseConsumer<Link>) {
    consumer.context().leave();
    let answered = consumer.assign(&TopicPartitionList::new()).and_then(|()| consumer.unassign());
    if let Err(error) = answered {
        tracing::debug!(%error, "leaving the group");
    }
}
