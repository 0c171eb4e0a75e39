//! Reads `roas-updates` back, committed records only: so every instance knows all campaigns, and shows nothing that an abort
//! may undo.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{Clients, Link};
use super::error::WorkerError;
use super::objection::Objection;
use super::outbox::check_format;
use super::reachability::Reachability;
use super::watch::{Watcher, offset_in};
use crate::status::{Progress, Status};

/// Keeps [`Status::campaigns`] as the topic has it.
pub struct ReadBack {
    topic: String,
    partitions: u32,
    consumer: BaseConsumer<Link>,
    /// Until all is read that was there at the start.
    watcher: Option<Watcher>,
    objection: Objection,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

impl ReadBack {
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(
        clients: &Clients,
        application_id: &str,
        topic: &str,
        partitions: u32,
        reachability: &Arc<Reachability>,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> Result<ReadBack, WorkerError> {
        let name = format!("{application_id}-read-back");
        let consumer = clients
            .reader(&name)
            .create_with_context(Link::idle())
            .map_err(WorkerError::kafka("a consumer for the campaigns"))?;
        let watcher = Watcher::new(clients, &name, Arc::clone(reachability))
            .map_err(WorkerError::kafka("a client for the campaigns"))?;
        Ok(ReadBack {
            topic: topic.to_owned(),
            partitions,
            consumer,
            watcher: Some(watcher),
            objection: Objection::to(format!("reading {topic} back")),
            status,
            stop,
        })
    }

    /// Reads from the beginning and follows, until told to stop.
    ///
    /// # Errors
    /// What there is no going on from.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        let from_the_start = self.beginning().map_err(WorkerError::kafka("the topic of the campaigns"))?;
        self.consumer.assign(&from_the_start).map_err(WorkerError::kafka("the topic of the campaigns"))?;
        let mut done = 0_u64;
        let mut ends = None;
        let mut is_current = false;
        let mut last_look = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(Ok(record)) => {
                    self.take(&record)?;
                    done += 1;
                    if is_current || !done.is_multiple_of(1024) {
                        continue;
                    }
                }
                Some(Err(error)) => self.objection.go_on_from(error)?,
                None => {}
            }
            if !is_current && last_look.elapsed() > Duration::from_millis(50) {
                last_look = Instant::now();
                if let (None, Some(watcher)) = (&ends, &self.watcher) {
                    match watcher.high_watermarks(&from_the_start) {
                        Ok(found) => ends = Some(found),
                        Err(error) => self.objection.go_on_from(error)?,
                    }
                }
                if let Some(ends) = &ends {
                    is_current = self.is_at(ends);
                    if is_current {
                        self.watcher = None;
                    }
                    self.status.set_read_back(if is_current {
                        Progress::Current
                    } else {
                        Progress::Restoring { done, total: self.total(ends).max(done) }
                    });
                }
            }
        }
        Ok(())
    }

    fn take(&self, record: &BorrowedMessage<'_>) -> Result<(), WorkerError> {
        check_format(record).map_err(|cause| WorkerError::Format {
            topic: self.topic.clone(),
            partition: record.partition(),
            offset: record.offset(),
            cause,
        })?;
        let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
            tracing::warn!(topic = self.topic, offset = record.offset(), "a record has a key that is not ours");
            return Ok(());
        };
        // Other scopes than campaigns are nothing that is shown here.
        let _ = self.status.campaigns.take(key, record.payload());
        Ok(())
    }

    fn beginning(&self) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for number in 0..i32::try_from(self.partitions).unwrap_or(i32::MAX) {
            list.add_partition_offset(&self.topic, number, Offset::Beginning)?;
        }
        Ok(list)
    }

    /// Whether all was read that was there when it was measured.
    fn is_at(&self, ends: &TopicPartitionList) -> bool {
        let Ok(positions) = self.consumer.position() else { return false };
        ends.elements().iter().all(|element| {
            let end = offset_in(ends, &self.topic, element.partition()).unwrap_or(i64::MAX);
            end == 0 || offset_in(&positions, &self.topic, element.partition()).is_some_and(|position| position >= end)
        })
    }

    fn total(&self, ends: &TopicPartitionList) -> u64 {
        let end = |partition| offset_in(ends, &self.topic, partition).unwrap_or(0);
        ends.elements().iter().filter_map(|element| u64::try_from(end(element.partition())).ok()).sum()
    }
}
