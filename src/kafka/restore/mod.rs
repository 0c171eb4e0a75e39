//! Brings partitions back from their changelog: all that was committed, and nothing that was not.
//!
//! The end to reach is the high watermark as a client sees it that reads uncommitted too, taken after the assignment: what
//! the last owner committed lies before it, since its offsets were refused from then on. A client that reads committed is
//! shown less for a moment, and must wait for it. When it has to wait for long, the last owner left a transaction open,
//! and is fenced.
//!
//! A partition that begins anew takes its checkpoint first, where there is one, and then what the changelog has had since.
//!
//! Partitions have nothing to do with each other, so several are brought back at the same time: each [`Lane`] has a
//! reader of its own, and a thread for the length of a step.

pub mod checkpoint;
mod lane;
pub(crate) mod survey;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::lane::Surroundings;
use self::lane::{Lane, Share};
use crate::engine::Stage;
use crate::kafka::changelog::partition::Partitions;
use crate::kafka::client::Clients;
use crate::kafka::error::WorkerError;

/// More would not be faster: the broker and the network have to keep up.
const MAX_LANES: usize = 8;

/// A restore of several partitions, done in steps.
pub struct Restore {
    lanes: Vec<Lane>,
    began: Instant,
}

impl Restore {
    /// Of these partitions, each from where its state stands.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(clients: &Clients, changelog: &str, numbers: &[u32]) -> Result<Restore, WorkerError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = numbers.len().min(cores).min(MAX_LANES);
        let lane = |first| Lane::new(clients, changelog, numbers.iter().copied().skip(first).step_by(count));
        let lanes = (0..count).map(lane).collect::<Result<_, _>>()?;
        Ok(Restore { lanes, began: Instant::now() })
    }

    /// Reads for about `budget`. `true`: all is restored, and the partitions stand at the end of their changelog.
    ///
    /// # Errors
    /// A fact that can't be read, a setting that contradicts the facts, or a changelog that can't be read to its end.
    /// What only takes another try is not an error.
    pub fn step<S: Stage>(
        &mut self,
        partitions: &mut Partitions<S>,
        around: &Surroundings<'_>,
        budget: Duration,
    ) -> Result<bool, WorkerError> {
        let until = Instant::now() + budget;
        let mut shares: Vec<Share<'_, S>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for (number, partition) in partitions.iter_mut() {
            if let Some(lane) = self.lanes.iter().position(|lane| lane.holds(number)) {
                shares[lane].push((number, partition));
            }
        }
        let outcomes: Vec<Result<bool, WorkerError>> = thread::scope(|scope| {
            let lanes = self.lanes.iter_mut().zip(&mut shares);
            let threads: Vec<_> =
                lanes.map(|(lane, share)| scope.spawn(move || lane.step(share, around, until))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(Err(WorkerError::Panicked))).collect()
        });
        let done = outcomes.into_iter().try_fold(true, |all, lane| Ok::<bool, WorkerError>(lane? && all))?;
        if done {
            let format = around.settings.format;
            partitions.iter_mut().for_each(|(_, partition)| partition.restored(around.now, format));
        }
        Ok(done)
    }

    /// Facts read so far from the changelog.
    pub fn facts(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.facts).sum()
    }

    /// Records read so far from checkpoints.
    pub fn loaded(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.loaded).sum()
    }

    /// How much of each partition is read: number, records done, records in all.
    pub fn progress(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        self.lanes.iter().flat_map(Lane::progress)
    }

    /// Since it was begun.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
