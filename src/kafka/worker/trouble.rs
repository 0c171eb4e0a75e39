//! What goes wrong, and how a worker goes on: a failed transaction is undone and done again; what can't be mended stops it.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::standstill::Measure;
use super::{ABORT_WITHIN, MAX_FENCINGS, NEWS_WITHIN, Phase, Worker};
use crate::engine::Stage;
use crate::kafka::client::ask::{self, offset_in};
use crate::kafka::client::errors;
use crate::kafka::client::topic_ids::Identity;
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::faults;
use crate::kafka::topics::role::Role;
use crate::kafka::transaction::{Failure, Patience};

/// How long a broker that answers may take to know a producer. It first ends what an earlier one left open.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(20);

impl<S: Stage> Worker<S> {
    /// Goes on from trouble, where that can be gone on from: all is undone and done again.
    pub(super) fn recover_from(&mut self, outcome: Result<(), Trouble>) -> Result<(), WorkerError> {
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
            self.status.revoke_all();
            self.assign_nothing()
        } else {
            self.begin_restore()
        };
        match begun {
            Err(Trouble::Stop(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the transaction as if it had never been, and drops the state of all partitions.
    pub(super) fn undo(&mut self, failure: &Failure) -> Result<(), WorkerError> {
        // What ends the process is said then.
        if !matches!(failure, Failure::Hopeless { .. }) {
            tracing::warn!(worker = %self.status, %failure, "transaction failed: it is undone and done again");
        }
        self.drop_changes();
        match failure {
            Failure::Abortable { .. } | Failure::Evicted { .. } => self.abort(),
            Failure::Broken { .. } | Failure::Fenced { .. } => self.replace_producer(failure),
            Failure::Hopeless { what, cause } => {
                Err(WorkerError::Kafka { what: what.clone().into_owned(), cause: cause.clone() })
            }
        }
    }

    /// As [`Worker::undo`], of a transaction that nothing is wrong with: its partitions are another's now.
    pub(super) fn undo_quietly(&mut self) -> Result<(), WorkerError> {
        self.drop_changes();
        self.abort()
    }

    /// Forgets what was not committed, and all state with it.
    fn drop_changes(&mut self) {
        self.report.aborted();
        self.stay_if_faulty();
        self.pipeline.partitions.clear();
        self.pipeline.tally.clear();
        self.pipeline.rewriter.dropped();
        self.pipeline.records = 0;
        self.state.began = None;
        self.cadence.failed();
    }

    /// Aborts the open transaction. A new producer takes over where that fails, which ends it as well.
    fn abort(&mut self) -> Result<(), WorkerError> {
        match self.pipeline.transactions.abort(Patience::of(ABORT_WITHIN)) {
            Ok(()) => Ok(()),
            Err(failure) => {
                tracing::warn!(worker = %self.status, %failure, "a transaction could not be aborted");
                self.replace_producer(&failure)
            }
        }
    }

    /// Remembers the positions that an abort takes back, in a worker that is made to go on there nevertheless.
    fn stay_if_faulty(&mut self) {
        if faults::has(faults::Fault::NoRewind) {
            self.state.unrewound = self.pipeline.inputs.offsets(None).ok();
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
        tracing::info!(worker = %self.status, "a new producer takes over");
        self.renew_producer()
    }

    /// Puts a new producer in the place of the one that there is, and ends what that left open. The inputs are to be assigned anew
    /// after it.
    pub(super) fn renew_producer(&mut self) -> Result<(), WorkerError> {
        self.pipeline.transactions.replace().map_err(WorkerError::kafka("a new producer"))?;
        self.introduce().map(drop)
    }

    /// Introduces the producer to the broker, however long that takes. `false`: told to stop meanwhile. What the group decides in
    /// the meantime is heard, so that it knows of this worker; records that come are to be read again.
    pub(super) fn introduce(&mut self) -> Result<bool, WorkerError> {
        let since = Instant::now();
        self.state.unknown.is_over();
        while !self.is_stopping() {
            self.status.beat();
            let introduced = self.pipeline.transactions.introduce(Duration::from_secs(2));
            self.say_phase();
            if introduced.map_err(WorkerError::kafka("the transactional producer"))? {
                return Ok(true);
            }
            if let Err(Trouble::Stop(error)) = self.listen(NEWS_WITHIN) {
                return Err(error);
            }
            match self.state.unknown.look(Instant::now(), self.reachability.is_connected(), INTRODUCED_WITHIN) {
                Measure::Wait => {}
                Measure::MakeAnew => {
                    tracing::warn!(worker = %self.status, "a broker answers, and none takes the producer: a new one takes over");
                    self.pipeline.transactions.replace().map_err(WorkerError::kafka("a new producer"))?;
                }
                Measure::GiveUp => {
                    let (id, seconds) = (self.pipeline.transactional_id.clone(), since.elapsed().as_secs());
                    return Err(WorkerError::Unknown { id, seconds });
                }
            }
        }
        Ok(false)
    }

    pub(super) fn consumer_error(&mut self, error: KafkaError) -> Result<(), Trouble> {
        if errors::is_out_of_range(&error) {
            self.explain_offset_out_of_range(error)
        } else {
            Ok(self.retry_policy.go_on_from(error)?)
        }
    }

    /// Says which records are gone; none may be skipped silently. Those that another has read are not: the group has
    /// given the partitions to it, which this worker is about to learn.
    fn explain_offset_out_of_range(&mut self, error: KafkaError) -> Result<(), Trouble> {
        let what = "an input can't be read from its offset";
        let positions = self.pipeline.inputs.offsets(None).map_err(WorkerError::kafka(what))?;
        let topics: Vec<&str> = self.pipeline.inputs.topics().collect();
        // In this order: only what was committed is deleted here.
        let looked = self.watcher.low_watermarks(&positions).and_then(|low| {
            let high = self.watcher.high_watermarks(&positions)?;
            Ok((low, high, ask::committed(&self.consumer, &positions)?, self.watcher.identities(&topics)?))
        });
        let (low, high, committed, identities) = match looked {
            Ok(looked) => looked,
            Err(cause) if errors::is_hopeless(&cause) => return Err(WorkerError::kafka(what)(cause).into()),
            Err(cause) => return Err(Failure::Abortable { what: what.into(), cause }.into()),
        };
        for (index, (topic, identity)) in topics.iter().zip(identities).enumerate() {
            if let (Some(former), Identity::Known(id)) = (self.pipeline.inputs.id(index), identity)
                && former != id
            {
                let role = if self.pipeline.inputs.is_internal(index) { Role::Internal } else { Role::Source };
                return Err(WorkerError::Recreated { topic: (*topic).to_owned(), role }.into());
            }
        }
        for element in positions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let Some(next) = offset_in(&positions, topic, partition) else { continue };
            if offset_in(&committed, topic, partition).is_some_and(|committed| committed > next) {
                return Err(Failure::Evicted { what: what.into(), cause: error }.into());
            }
            let (group, name) = (self.group_id.clone(), topic.to_owned());
            if let Some(low) = offset_in(&low, topic, partition).filter(|low| next < *low) {
                let lost = low - next;
                return Err(WorkerError::Lost { topic: name, partition, from: next, to: low, lost, group }.into());
            }
            if let Some(end) = offset_in(&high, topic, partition).filter(|end| next > *end) {
                return Err(WorkerError::Truncated { topic: name, partition, end, read: next, group }.into());
            }
        }
        // By now it can be read: another broker leads the partition.
        Err(Failure::Abortable { what: what.into(), cause: error }.into())
    }
}
