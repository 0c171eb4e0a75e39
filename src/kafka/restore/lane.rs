//! One reader of the changelog, and the partitions that it brings back.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::Surroundings;
use crate::engine::Stage;
use crate::kafka::clients::{Clients, Link};
use crate::kafka::crash;
use crate::kafka::error::WorkerError;
use crate::kafka::partition::Partition;
use crate::kafka::progress::Meaning;
use crate::kafka::watch::{Watcher, offset_in, watermarks};

/// Markers of a commit that returned come within milliseconds.
const STALLED_AFTER: Duration = Duration::from_millis(500);
/// Longer than any transaction can stay open.
const BLOCKED_AFTER: Duration = Duration::from_secs(60);

/// The partitions of a lane, each with its number.
pub type Share<'a, S> = Vec<(u32, &'a mut Partition<S>)>;

/// A part of a restore, done in steps.
pub struct Lane {
    changelog: String,
    reader: BaseConsumer<Link>,
    targets: Vec<Target>,
    /// Whether the targets are known.
    measured: bool,
    last_progress: Instant,
    last_look: Instant,
    fenced: bool,
    /// That the stable offsets were seen at the ends, and reading began anew since.
    confirming: bool,
    /// Facts read so far.
    pub facts: u64,
}

struct Target {
    number: u32,
    /// The next record to read.
    position: i64,
    /// Where the restore began, and where it ends.
    start: i64,
    end: i64,
    /// That the end was seen from here, where no record or marker stands right before it.
    confirmed: bool,
}

impl Target {
    fn is_done(&self) -> bool {
        self.position >= self.end || self.confirmed
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }
}

impl Lane {
    /// Of these partitions, each from where its state stands.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(clients: &Clients, changelog: &str, numbers: impl Iterator<Item = u32>) -> Result<Lane, WorkerError> {
        let mut config = clients.reader(&format!("{changelog}-restore"));
        // To be told when there is nothing left to read.
        config.set("enable.partition.eof", "true");
        let reader =
            config.create_with_context(Link::idle()).map_err(WorkerError::kafka("a consumer for the changelog"))?;
        let targets =
            numbers.map(|number| Target { number, position: 0, start: 0, end: i64::MAX, confirmed: false }).collect();
        let now = Instant::now();
        Ok(Lane {
            changelog: changelog.to_owned(),
            reader,
            targets,
            measured: false,
            last_progress: now,
            last_look: now,
            fenced: false,
            confirming: false,
            facts: 0,
        })
    }

    pub fn holds(&self, number: u32) -> bool {
        self.targets.iter().any(|target| target.number == number)
    }

    /// Reads until then, or until all is read. `true`: the partitions stand at the end of their changelog.
    ///
    /// # Errors
    /// As [`super::Restore::step`].
    pub fn step<S: Stage>(
        &mut self,
        share: &mut Share<'_, S>,
        around: &Surroundings<'_>,
        until: Instant,
    ) -> Result<bool, WorkerError> {
        if !self.measured {
            if let Err(error) = self.measure(share, around.watcher) {
                tracing::debug!(%error, changelog = self.changelog, "the changelog's ends are not known yet");
                return Ok(false);
            }
            self.measured = true;
            self.last_progress = Instant::now();
        }
        while !self.is_done() {
            let taken = self.read_some(share, around.meaning, until)?;
            if !taken {
                self.look_at_positions();
                if !self.is_done() {
                    self.look_after_stall(around)?;
                }
            }
            if Instant::now() >= until {
                break;
            }
        }
        for target in &self.targets {
            if let Some(partition) = partition_of(share, target.number) {
                partition.changelog_position = Some(target.position);
            }
        }
        if !self.is_done() {
            return Ok(false);
        }
        for target in &self.targets {
            if let Some(partition) = partition_of(share, target.number) {
                partition.changelog_position = Some(target.position.max(target.end));
            }
        }
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.measured && self.targets.iter().all(Target::is_done)
    }

    /// How much of each partition is read: number, records done, records in all.
    pub fn progress(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        let count = |from: i64, to: i64| u64::try_from(to - from).unwrap_or(0);
        self.targets.iter().map(move |target| {
            let total = if self.measured { count(target.start, target.end) } else { 0 };
            (target.number, count(target.start, target.position).min(total), total)
        })
    }

    fn list(&self, offset: impl Fn(&Target) -> Offset) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(self.targets.len());
        for target in &self.targets {
            list.add_partition_offset(&self.changelog, target.partition(), offset(target))?;
        }
        Ok(list)
    }

    /// Finds where each partition begins and ends, and begins to read.
    fn measure<S: Stage>(&mut self, share: &mut Share<'_, S>, watcher: &Watcher) -> KafkaResult<()> {
        let list = self.list(|_| Offset::Beginning)?;
        let lows = watcher.low_watermarks(&list)?;
        let highs = if crash::has(crash::Fault::RestoreToStableOffset) {
            watermarks(&self.reader, &list, Offset::End)?
        } else {
            watcher.high_watermarks(&list)?
        };
        for target in &mut self.targets {
            let low = offset_in(&lows, &self.changelog, target.partition()).unwrap_or(0);
            let high = offset_in(&highs, &self.changelog, target.partition());
            target.end = high.ok_or(KafkaError::NoMessageReceived)?;
            let stands = partition_of(share, target.number).and_then(|partition| partition.changelog_position);
            target.start = stands.unwrap_or(low).max(low);
            target.position = target.start;
        }
        self.assign()
    }

    fn assign(&self) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(self.targets.len());
        for target in self.targets.iter().filter(|target| !target.is_done()) {
            list.add_partition_offset(&self.changelog, target.partition(), Offset::Offset(target.position))?;
        }
        self.reader.assign(&list)
    }

    /// Takes records until there are none at hand, all is done, or time is up. Says whether there were any.
    fn read_some<S: Stage>(
        &mut self,
        share: &mut Share<'_, S>,
        meaning: &Meaning,
        until: Instant,
    ) -> Result<bool, WorkerError> {
        let mut wait = Duration::from_millis(5);
        let mut taken = 0_u32;
        loop {
            match self.reader.poll(wait) {
                Some(Ok(record)) => {
                    wait = Duration::ZERO;
                    taken += 1;
                    let number = u32::try_from(record.partition()).unwrap_or(u32::MAX);
                    let Some(target) = self.targets.iter_mut().find(|target| target.number == number) else { continue };
                    target.position = record.offset() + 1;
                    let reached = target.is_done();
                    if let Some(partition) = partition_of(share, number) {
                        let at = || (record.topic().to_owned(), record.partition(), record.offset());
                        let key = record.key().unwrap_or_default();
                        partition.restore(key, record.payload(), meaning, at)?;
                    }
                    self.facts += 1;
                    crash::at(crash::Point::DuringRestore);
                    if (reached && self.is_done()) || (taken.is_multiple_of(1024) && Instant::now() >= until) {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.reached_end(partition),
                Some(Err(error)) => tracing::debug!(%error, changelog = self.changelog, "reading the changelog"),
                None => break,
            }
        }
        if taken > 0 {
            self.last_progress = Instant::now();
        }
        Ok(taken > 0)
    }

    /// Positions move over markers and aborted records too, which are not handed out.
    fn look_at_positions(&mut self) {
        let Ok(positions) = self.reader.position() else { return };
        for target in &mut self.targets {
            if let Some(position) = offset_in(&positions, &self.changelog, target.partition())
                && position > target.position
            {
                target.position = position;
                self.last_progress = Instant::now();
            }
        }
    }

    /// There is nothing left to read in a partition. By itself that only tells where the stable offset is.
    fn reached_end(&mut self, partition: i32) {
        let confirming = self.confirming;
        self.targets
            .iter_mut()
            .filter(|target| confirming && target.partition() == partition)
            .for_each(|target| target.confirmed = true);
    }

    fn look_after_stall(&mut self, around: &Surroundings<'_>) -> Result<(), WorkerError> {
        let stalled = self.last_progress.elapsed();
        if stalled < STALLED_AFTER || self.last_look.elapsed() < STALLED_AFTER {
            return Ok(());
        }
        self.last_look = Instant::now();
        let list = self.list(|_| Offset::End).map_err(WorkerError::kafka("partitions of the changelog"))?;
        let stable = match watermarks(&self.reader, &list, Offset::End) {
            Ok(stable) => stable,
            Err(error) => {
                tracing::debug!(%error, changelog = self.changelog, "the stable offsets are not known");
                return Ok(());
            }
        };
        let behind = self.targets.iter().filter(|target| !target.is_done()).find_map(|target| {
            let stable = offset_in(&stable, &self.changelog, target.partition())?;
            (stable < target.end).then_some((target.partition(), stable, target.end))
        });
        match behind {
            Some(_) if !self.fenced => match around.watcher.fence_writers(around.inputs.clone(), around.own) {
                Ok(()) => self.fenced = true,
                Err(error) => tracing::warn!(%error, "the last writer could not be fenced yet"),
            },
            Some((partition, stable, end)) if stalled > BLOCKED_AFTER => {
                return Err(WorkerError::Blocked { changelog: self.changelog.clone(), partition, stable, end });
            }
            Some(_) => {}
            // All is stable, and yet no record or marker brings the position to the end: compaction took them. Reading anew
            // from here tells that there is nothing left.
            None if !self.confirming => {
                self.confirming = true;
                self.assign().map_err(WorkerError::kafka("the changelog"))?;
            }
            None => {}
        }
        Ok(())
    }
}

fn partition_of<'s, S>(share: &'s mut Share<'_, S>, number: u32) -> Option<&'s mut Partition<S>> {
    share.iter_mut().find(|(known, _)| *known == number).map(|(_, partition)| &mut **partition)
}
