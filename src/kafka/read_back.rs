//! Reads `roas-updates` back, committed records only: so every instance knows all campaigns, and shows nothing that an abort
//! may undo.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::client::Reachability;
use crate::kafka::client::ask::{ANSWER_WITHIN, Watcher, offset_in};
use crate::kafka::client::errors::is_out_of_range;
use crate::kafka::client::{Clients, Link};
use crate::kafka::error::WorkerError;
use crate::kafka::record::format::check_format;
use crate::kafka::retry_policy::RetryPolicy;
use crate::kafka::topics::destinations::{Destination, Destinations};
use crate::status::{Progress, Status};

/// Between two looks at how far it has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Keeps [`Status::campaigns`] as the topic has it.
pub struct ReadBack {
    topic: String,
    /// As many as it has; not known at first.
    partitions: u32,
    /// Which topic it is, and whether it is still that.
    destination: Destination,
    destinations: Arc<Destinations>,
    /// By which its clients are known.
    name: String,
    clients: Clients,
    reachability: Arc<Reachability>,
    consumer: BaseConsumer<Link>,
    /// Until all is read that was there at the beginning.
    catching_up: Option<CatchingUp>,
    retry_policy: RetryPolicy,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

/// The way to where the topic ends.
struct CatchingUp {
    watcher: Watcher,
    /// Where each partition began and ended when that was asked for; none before.
    ranges: Option<Vec<Range<i64>>>,
    /// Records read so far.
    done: u64,
    last_look: Instant,
}

impl ReadBack {
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(
        clients: &Clients,
        application_id: &str,
        topic: &str,
        reachability: &Arc<Reachability>,
        destinations: Arc<Destinations>,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> Result<ReadBack, WorkerError> {
        let name = format!("{application_id}-read-back");
        Ok(ReadBack {
            topic: topic.to_owned(),
            partitions: 0,
            destination: destinations.get(topic),
            destinations,
            consumer: reader(clients, &name)?,
            name,
            clients: clients.clone(),
            reachability: Arc::clone(reachability),
            catching_up: None,
            retry_policy: RetryPolicy::of(format!("reading {topic} back")),
            status,
            stop,
        })
    }

    /// Reads from the beginning and follows, until told to stop.
    ///
    /// # Errors
    /// What there is no going on from.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        self.begin()?;
        while !self.stop.load(Ordering::Relaxed) {
            if !self.destinations.is_still(&self.destination) {
                tracing::warn!(topic = self.topic, "it was created again: it is read from its beginning");
                self.destination = self.destinations.get(&self.topic);
                self.begin_anew()?;
            }
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(Ok(record)) => {
                    self.take(&record)?;
                    let Some(way) = &mut self.catching_up else { continue };
                    way.done += 1;
                    if !way.done.is_multiple_of(1024) {
                        continue;
                    }
                }
                Some(Err(error)) if is_out_of_range(&error) => {
                    tracing::warn!(%error, topic = self.topic, "truncated or recreated: it is read from its beginning again");
                    self.begin_anew()?;
                }
                Some(Err(error)) => self.retry_policy.go_on_from(error)?,
                None => {}
            }
            self.look()?;
        }
        Ok(())
    }

    /// Has everything still to read.
    fn begin(&mut self) -> Result<(), WorkerError> {
        let watcher = Watcher::new(&self.clients, &self.name, Arc::clone(&self.reachability))
            .map_err(WorkerError::kafka("a client for the campaigns"))?;
        self.catching_up = Some(CatchingUp { watcher, ranges: None, done: 0, last_look: Instant::now() });
        Ok(())
    }

    /// As after a start: older records would be shown in the place of later ones, and some campaigns may be gone.
    fn begin_anew(&mut self) -> Result<(), WorkerError> {
        self.status.set_read_back(Progress::Restoring { done: 0, total: 0 });
        self.status.campaigns.clear();
        // One that is assigned the same partitions again has its positions of before for a moment.
        self.consumer = reader(&self.clients, &self.name)?;
        self.begin()
    }

    /// Says how far it has come, until all is read.
    fn look(&mut self) -> Result<(), WorkerError> {
        let Some(mut way) = self.catching_up.take_if(|way| way.last_look.elapsed() > LOOK_EVERY) else { return Ok(()) };
        way.last_look = Instant::now();
        let ranges = match way.ranges.take().map_or_else(|| self.measure(&way.watcher), Ok) {
            Ok(ranges) => ranges,
            Err(error) => {
                self.catching_up = Some(way);
                return self.retry_policy.go_on_from(error);
            }
        };
        if self.has_read(&ranges) {
            self.status.set_read_back(Progress::Current);
        } else {
            let total: i64 = ranges.iter().map(|range| range.end - range.start).sum();
            let total = u64::try_from(total).unwrap_or(0).max(way.done);
            self.status.set_read_back(Progress::Restoring { done: way.done, total });
            self.catching_up = Some(CatchingUp { ranges: Some(ranges), ..way });
        }
        Ok(())
    }

    /// Finds where each partition begins and ends, and begins to read.
    fn measure(&mut self, watcher: &Watcher) -> KafkaResult<Vec<Range<i64>>> {
        // A consumer that is assigned partitions before it has found their leader may not fetch for most of a second.
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), ANSWER_WITHIN)?;
        // One that was created again may have another number of them.
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        self.partitions =
            u32::try_from(partitions).ok().filter(|some| *some > 0).ok_or(KafkaError::NoMessageReceived)?;
        let mut list = TopicPartitionList::new();
        for number in self.numbers() {
            list.add_partition(&self.topic, number);
        }
        let (lows, highs) = (watcher.low_watermarks(&list)?, watcher.high_watermarks(&list)?);
        let range = |number| Some(offset_in(&lows, &self.topic, number)?..offset_in(&highs, &self.topic, number)?);
        let ranges: Option<Vec<_>> = self.numbers().map(range).collect();
        let ranges = ranges.ok_or(KafkaError::NoMessageReceived)?;
        // By its offset, for what a broker has against looking up the beginning would pass for an offset that is gone.
        let mut starts = TopicPartitionList::new();
        for (number, range) in self.numbers().zip(&ranges) {
            starts.add_partition_offset(&self.topic, number, Offset::Offset(range.start))?;
        }
        self.consumer.assign(&starts)?;
        Ok(ranges)
    }

    fn numbers(&self) -> Range<i32> {
        0..i32::try_from(self.partitions).unwrap_or(i32::MAX)
    }

    /// Whether all was read that was there when it was measured.
    fn has_read(&self, ranges: &[Range<i64>]) -> bool {
        let Ok(positions) = self.consumer.position() else { return false };
        let is_at = |number, end| offset_in(&positions, &self.topic, number).is_some_and(|position| position >= end);
        self.numbers().zip(ranges).all(|(number, range)| range.is_empty() || is_at(number, range.end))
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
}

fn reader(clients: &Clients, name: &str) -> Result<BaseConsumer<Link>, WorkerError> {
    let mut config = clients.reader(name);
    // By itself librdkafka would begin anew, and not say so.
    config.set("auto.offset.reset", "error");
    config.create_with_context(Link::idle()).map_err(WorkerError::kafka("a consumer for the campaigns"))
}
