//! Deletes from the internal topics what was read and committed: they never expire, and would grow for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::client::{Clients, Link};
use crate::kafka::error::WorkerError;
use crate::kafka::faults;

/// How often a worker has its records deleted.
const TRIM_EVERY: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Records of a partition that are needed no more: those before an offset that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    pub topic: String,
    pub partition: i32,
    pub before: i64,
}

/// A worker's side: says now and then what it has committed.
pub struct TrimSchedule {
    trimmer: Sender<Vec<Consumed>>,
    last: Instant,
}

impl TrimSchedule {
    pub fn new(trimmer: Sender<Vec<Consumed>>) -> TrimSchedule {
        TrimSchedule { trimmer, last: Instant::now() }
    }

    /// Hands over what `committed` gives, when it is time.
    pub fn request(&mut self, committed: impl FnOnce() -> Vec<Consumed>) {
        if self.last.elapsed() >= faults::trim_every().unwrap_or(TRIM_EVERY) {
            self.last = Instant::now();
            // The trimmer ends with the process only.
            let _ = self.trimmer.send(committed());
        }
    }
}

/// Deletes what workers have committed, beside their way.
pub struct Trimmer {
    clients: Clients,
    wishes: Receiver<Vec<Consumed>>,
    stop: Arc<AtomicBool>,
}

impl Trimmer {
    pub fn new(clients: Clients, wishes: Receiver<Vec<Consumed>>, stop: Arc<AtomicBool>) -> Trimmer {
        Trimmer { clients, wishes, stop }
    }

    /// Deletes until told to stop. What can't be deleted stays: it costs room, nothing else.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| WorkerError::Io { what: "trimming", error })?;
        let admin: AdminClient<Link> = self
            .clients
            .admin()
            .create_with_context(Link::idle())
            .map_err(WorkerError::kafka("a client for trimming"))?;
        let mut complained = false;
        while !self.stop.load(Ordering::Relaxed) {
            let wishes = match self.wishes.recv_timeout(Duration::from_millis(200)) {
                Ok(wishes) => wishes,
                Err(RecvTimeoutError::Timeout) => continue,
                // All workers have ended.
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let trimmed = list(&wishes).and_then(|list| {
                let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
                let trimmed = runtime.block_on(admin.delete_records(&list, &options))?;
                // Each partition has its own.
                trimmed.elements().iter().try_for_each(|partition| partition.error())
            });
            match trimmed {
                Err(error) if !std::mem::replace(&mut complained, true) => {
                    tracing::warn!(%error, "what was read can't be deleted from the internal topics, which keep growing");
                }
                Err(error) => tracing::debug!(%error, "trimming"),
                Ok(_) => complained = false,
            }
        }
        Ok(())
    }
}

fn list(wishes: &[Consumed]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(wishes.len());
    for wish in wishes {
        list.add_partition_offset(&wish.topic, wish.partition, Offset::Offset(wish.before))?;
    }
    Ok(list)
}
