//! From an assignment to work: state is restored, offsets are asked for, inputs go on exactly there.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::inputs::Inputs;
use super::positions::{Known, set_positions};
use super::{COMMIT_WITHIN, Phase, Worker, clock};
use crate::engine::Stage;
use crate::kafka::changelog::partition::Partition;
use crate::kafka::client::{ask, errors};
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::faults;
use crate::kafka::restore::{Restore, Surroundings};
use crate::status;

/// Part of a restore between two looks at the group.
const STEP: Duration = Duration::from_millis(100);

impl<S: Stage> Worker<S> {
    pub(super) fn begin_restore(&mut self) -> Result<(), Trouble> {
        self.assign_nothing()?;
        let Some(membership) = &self.state.membership else {
            self.state.phase = Phase::Idle;
            return Ok(());
        };
        let now = clock();
        let settings = &self.pipeline.settings;
        for (number, partition) in self.pipeline.partitions.iter_mut() {
            if partition.progress.is_far_ahead(now, settings.format) {
                tracing::warn!(worker = %self.status, partition = number, as_of = %partition.progress.as_of, "its figures are far ahead of the clock: it is restored, and all of its records are written again as of now");
                *partition = Partition::new(Arc::clone(settings));
            }
        }
        let changelog = &self.pipeline.outputs.changelog;
        let restore = Restore::new(&self.clients, changelog, &membership.owned)?;
        self.state.phase = Phase::Restoring(Box::new(restore));
        self.report_restore();
        self.status.set_assigned();
        Ok(())
    }

    pub(super) fn restore(&mut self) -> Result<(), Trouble> {
        let (Phase::Restoring(restore), Some(membership)) = (&mut self.state.phase, &self.state.membership) else {
            return Ok(());
        };
        let inputs = inputs_to_fence(&membership.owned, &self.pipeline.inputs);
        let pipeline = &mut self.pipeline;
        let around = Surroundings {
            stored_settings: &pipeline.stored_settings,
            settings: &pipeline.settings,
            checkpoints: self.checkpoints.as_ref(),
            watcher: &self.watcher,
            inputs,
            own: &pipeline.transactional_id,
            now: clock(),
        };
        let facts = restore.facts();
        let done = restore.step(&mut pipeline.partitions, &around, STEP)?;
        self.report.restored_facts(restore.facts() - facts);
        self.report.sizes(&self.status, &pipeline.partitions);
        if done {
            let (facts, loaded, elapsed) = (restore.facts(), restore.loaded(), restore.elapsed());
            let seconds = elapsed.as_secs_f64();
            tracing::info!(worker = %self.status, facts, of_checkpoints = loaded, seconds, "state restored");
            self.report.restored(membership.owned.len(), elapsed);
            self.state.phase = Phase::Resuming { since: Instant::now(), fenced: false };
            faults::at(faults::Point::AfterRestore);
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
    pub(super) fn resume(&mut self) -> Result<(), Trouble> {
        let (Phase::Resuming { since, fenced }, Some(membership)) = (&mut self.state.phase, &self.state.membership)
        else {
            return Ok(());
        };
        let assigned = &membership.assigned;
        let known = ask::committed(&self.consumer, assigned).and_then(|committed| {
            Ok((committed, self.watcher.low_watermarks(assigned)?, self.watcher.high_watermarks(assigned)?))
        });
        let (committed, low, high) = match known {
            Ok(known) => known,
            Err(error) if errors::is_hopeless(&error) => {
                return Err(WorkerError::Kafka { what: "committed offsets".to_owned(), cause: error }.into());
            }
            Err(error) => {
                tracing::debug!(%error, worker = %self.status, "committed offsets are not known yet");
                thread::sleep(ask::ASK_AGAIN_AFTER);
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
            None => match set_positions(&mut self.pipeline.inputs, &self.pipeline.partitions, &known) {
                Ok(()) => self.state.doubted = None,
                Err(error) => return self.doubt(error, committed),
            },
        }
        let positions = self.pipeline.inputs.offsets(None).map_err(WorkerError::kafka("positions"))?;
        if let Ok(former) = self.consumer.position() {
            self.pipeline.inputs.distrust(&former);
        }
        self.consumer.assign(&positions).map_err(WorkerError::kafka("resuming inputs"))?;
        self.consumer.context().forget_ends();
        self.state.ends = None;
        self.pipeline.begin_waiting(&high, clock());
        for (number, partition) in self.pipeline.partitions.iter() {
            self.status.set_current(number, partition.stage.sizes(), partition.read_through);
        }
        self.state.phase = Phase::Working;
        if membership.owned.is_empty() {
            return Ok(());
        }
        // The first transaction claims the partitions: it names this worker as their writer, for whoever comes next.
        self.commit(COMMIT_WITHIN)
    }

    /// State and committed offsets contradict each other. They do for a moment when the group has given the partitions to
    /// another, which has gone on since the state was restored, and this worker doesn't know yet. So both are looked at
    /// again, while the group has its say: if nobody has committed anything meanwhile, the contradiction is there to stay.
    fn doubt(&mut self, error: WorkerError, committed: TopicPartitionList) -> Result<(), Trouble> {
        if self.state.doubted.take().is_some_and(|before| before == committed) {
            return Err(error.into());
        }
        tracing::debug!(%error, worker = %self.status, "state and offsets are looked at again");
        self.state.doubted = Some(committed);
        self.begin_restore()
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
