//! One reader of the changelog, and the partitions that it brings back.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::checkpoint::{self, Checkpoints, Loading};
use crate::engine::Stage;
use crate::kafka::changelog::partition::{Partition, Place, Proof};
use crate::kafka::changelog::progress::PROGRESS_KEY;
use crate::kafka::changelog::stored_settings::StoredSettings;
use crate::kafka::client::ask::{ANSWER_WITHIN, ASK_AGAIN_AFTER, Watcher, offset_in, watermarks};
use crate::kafka::client::{Clients, Link};
use crate::kafka::error::WorkerError;
use crate::kafka::faults;
use crate::kafka::retry_policy::RetryPolicy;
use crate::settings::Settings;
use crate::time::Millis;

/// Markers of a commit that returned come within milliseconds.
const STALLED_AFTER: Duration = Duration::from_millis(500);
/// So long a reader goes without an answer before it is made anew: one that slept while the address of its broker changed may
/// look for that at the old one for ever.
const ANEW_AFTER: Duration = Duration::from_secs(20);
/// Longer than any transaction can stay open.
const BLOCKED_AFTER: Duration = Duration::from_secs(60);
/// What proves a state that was kept is among so many offsets before its end. Whatever a transaction writes into a
/// partition, its progress comes after; only settings and a few markers may follow, however long ago that was. More do
/// where another has written, or was made to undo it: then all is restored.
const PROOF_WITHIN: i64 = 16;

/// What a restore goes by.
pub struct Surroundings<'a> {
    /// The settings that the facts must have been written under.
    pub stored_settings: &'a StoredSettings,
    pub settings: &'a Arc<Settings>,
    pub checkpoints: Option<&'a Checkpoints>,
    pub watcher: &'a Watcher,
    /// The internal topic's partitions: beside their committed offsets stand their last writers, who are fenced when a
    /// changelog does not come to its end.
    pub inputs: TopicPartitionList,
    /// This worker's own transactional id.
    pub own: &'a str,
    /// The present.
    pub now: Millis,
}

/// The partitions of a lane, each with its number.
pub type Share<'a, S> = Vec<(u32, &'a mut Partition<S>)>;

/// A part of a restore, done in steps.
pub struct Lane {
    changelog: String,
    config: ClientConfig,
    reader: BaseConsumer<Link>,
    /// Since when nobody has answered it.
    unanswered: Option<Instant>,
    targets: Vec<Target>,
    /// Checkpoints that are still to be read, by partition; not opened yet at first.
    loading: Option<Vec<(u32, Loading)>>,
    /// Whether the targets are known.
    measured: bool,
    last_progress: Instant,
    last_look: Instant,
    fenced: bool,
    /// That the stable offsets were seen at the ends, and reading began anew since.
    confirming: bool,
    retry_policy: RetryPolicy,
    /// Facts read so far from the changelog.
    pub facts: u64,
    /// Records read so far from checkpoints.
    pub loaded: u64,
}

struct Target {
    number: u32,
    /// The next record to read.
    position: i64,
    /// Where the changelog begins, where the restore began, and where it ends.
    low: i64,
    start: i64,
    end: i64,
    /// What shows that the state was kept of this changelog, while that is to be found yet.
    proof: Option<Proof>,
    /// That the end was seen from here, where no record or marker stands right before it.
    confirmed: bool,
}

impl Target {
    fn is_done(&self) -> bool {
        self.proof.is_none() && self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.position >= self.end || self.confirmed
    }

    /// Up to where all is in the state.
    fn place(&self) -> i64 {
        if self.has_ended() { self.position.max(self.end) } else { self.position }
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
        let reader = new_reader(&config)?;
        let target =
            |number| Target { number, position: 0, low: 0, start: 0, end: i64::MAX, proof: None, confirmed: false };
        let now = Instant::now();
        Ok(Lane {
            changelog: changelog.to_owned(),
            config,
            reader,
            unanswered: None,
            targets: numbers.map(target).collect(),
            loading: None,
            measured: false,
            last_progress: now,
            last_look: now,
            fenced: false,
            confirming: false,
            retry_policy: RetryPolicy::of(format!("reading {changelog}")),
            facts: 0,
            loaded: 0,
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
        if !self.load(share, around, until) {
            return Ok(false);
        }
        if !self.measured {
            if let Err(error) = self.measure(share, around.watcher) {
                self.retry_policy.go_on_from(error)?;
                self.renew_deaf_reader()?;
                thread::sleep(ASK_AGAIN_AFTER);
                return Ok(false);
            }
            self.unanswered = None;
            self.measured = true;
            self.last_progress = Instant::now();
        }
        while !self.is_done() {
            let taken = self.read_some(share, around.stored_settings, until)?;
            if !taken {
                self.look_at_positions();
                if !self.is_done() {
                    self.look_after_stall(around)?;
                }
            }
            self.discard_unproven(share, around)?;
            if Instant::now() >= until {
                break;
            }
        }
        // Another restore may take this one's place at any time: what is not proven yet is left as it was kept.
        for target in self.targets.iter().filter(|target| target.proof.is_none()) {
            if let Some(partition) = partition_of(share, target.number) {
                partition.place = Place::Read(target.place());
            }
        }
        Ok(self.is_done())
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

    /// Reads the checkpoints of partitions that begin anew. `false`: time is up.
    fn load<S: Stage>(&mut self, share: &mut Share<'_, S>, around: &Surroundings<'_>, until: Instant) -> bool {
        let loading = self.loading.get_or_insert_with(|| begin_anew(&self.changelog, share, around));
        while let Some((number, next)) = loading.last_mut() {
            if let Some(partition) = partition_of(share, *number) {
                match next.step(partition, until) {
                    Ok(false) => return false,
                    Ok(true) => self.loaded += next.records,
                    Err(unfit) => {
                        checkpoint::say_unfit(&self.changelog, *number, &unfit);
                        *partition = Partition::new(Arc::clone(around.settings));
                    }
                }
            }
            loading.pop();
        }
        true
    }

    /// Throws away a state that was kept and that this changelog does not know, and begins at its beginning.
    fn discard_unproven<S: Stage>(
        &mut self,
        share: &mut Share<'_, S>,
        around: &Surroundings<'_>,
    ) -> Result<(), WorkerError> {
        let mut discarded = false;
        for target in &mut self.targets {
            let unproven = |proof: &mut Proof| target.position >= proof.end.min(target.end) || target.confirmed;
            if target.proof.take_if(unproven).is_some() {
                tracing::warn!(
                    changelog = self.changelog,
                    partition = target.number,
                    "the state that was kept is ignored: it is old, or of another changelog, and is restored from Kafka"
                );
                (target.start, target.position, target.confirmed) = (target.low, target.low, false);
                if let Some(partition) = partition_of(share, target.number) {
                    *partition = Partition::new(Arc::clone(around.settings));
                }
                discarded = true;
            }
        }
        if discarded { self.assign().map_err(WorkerError::kafka("the changelog")) } else { Ok(()) }
    }

    /// Finds where each partition begins and ends, and begins to read.
    fn measure<S: Stage>(&mut self, share: &mut Share<'_, S>, watcher: &Watcher) -> KafkaResult<()> {
        let list = self.list(|_| Offset::Beginning)?;
        let lows = watcher.low_watermarks(&list)?;
        let highs = if faults::has(faults::Fault::RestoreToStableOffset) {
            watermarks(&self.reader, &list, Offset::End)?
        } else {
            watcher.high_watermarks(&list)?
        };
        // A consumer that is assigned partitions before it has found their leader may not fetch for most of a second.
        self.reader.fetch_metadata(Some(&self.changelog), ANSWER_WITHIN)?;
        for target in &mut self.targets {
            let low = offset_in(&lows, &self.changelog, target.partition()).unwrap_or(0);
            let high = offset_in(&highs, &self.changelog, target.partition());
            target.end = high.ok_or(KafkaError::NoMessageReceived)?;
            let place = partition_of(share, target.number).map(|partition| partition.place.clone());
            let (start, proof) = match place.unwrap_or_default() {
                Place::Unknown => (low, None),
                Place::Read(next) => (next, None),
                Place::Kept(proof) => (proof.end - PROOF_WITHIN, Some(proof)),
            };
            target.low = low;
            target.start = start.max(low);
            target.position = target.start;
            target.proof = proof;
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
        stored_settings: &StoredSettings,
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
                    let key = record.key().unwrap_or_default();
                    target.proof.take_if(|proof| {
                        key == PROGRESS_KEY && record.payload() == Some(&proof.progress) && record.offset() < proof.end
                    });
                    let reached = target.is_done();
                    if let Some(partition) = partition_of(share, number) {
                        let at = || (record.topic().to_owned(), record.partition(), record.offset());
                        partition.restore(key, record.payload(), stored_settings, at)?;
                    }
                    self.facts += 1;
                    faults::at(faults::Point::DuringRestore);
                    if (reached && self.is_done()) || (taken.is_multiple_of(1024) && Instant::now() >= until) {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.reached_end(partition),
                Some(Err(error)) => self.retry_policy.go_on_from(error)?,
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

    /// There was no answer: puts a new reader in the place of one that has had none for long.
    fn renew_deaf_reader(&mut self) -> Result<(), WorkerError> {
        if self.unanswered.get_or_insert_with(Instant::now).elapsed() < ANEW_AFTER {
            return Ok(());
        }
        self.unanswered = None;
        self.reader = new_reader(&self.config)?;
        if self.measured { self.assign().map_err(WorkerError::kafka("the changelog")) } else { Ok(()) }
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
                self.retry_policy.go_on_from(error)?;
                return self.renew_deaf_reader();
            }
        };
        self.unanswered = None;
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

fn new_reader(config: &ClientConfig) -> Result<BaseConsumer<Link>, WorkerError> {
    config.create_with_context(Link::idle()).map_err(WorkerError::kafka("a consumer for the changelog"))
}

/// Opens the checkpoints of partitions whose place nobody knows. These begin with nothing: an earlier restore may have come
/// to its end in the middle of a checkpoint.
fn begin_anew<S: Stage>(changelog: &str, share: &mut Share<'_, S>, around: &Surroundings<'_>) -> Vec<(u32, Loading)> {
    let mut loading = Vec::new();
    for (number, partition) in share.iter_mut().filter(|(_, partition)| partition.place == Place::Unknown) {
        **partition = Partition::new(Arc::clone(around.settings));
        let open = |checkpoints: &Checkpoints| checkpoints.open(changelog, *number, around.stored_settings);
        let checkpoint = around.checkpoints.and_then(open);
        // The moment of a state never goes back, so that one of a wrong clock is of no use.
        let checkpoint =
            checkpoint.filter(|loading| !loading.progress().is_far_ahead(around.now, around.settings.format));
        loading.extend(checkpoint.map(|checkpoint| (*number, checkpoint)));
    }
    loading
}

fn partition_of<'s, S>(share: &'s mut Share<'_, S>, number: u32) -> Option<&'s mut Partition<S>> {
    share.iter_mut().find(|(known, _)| *known == number).map(|(_, partition)| &mut **partition)
}

#[cfg(test)]
mod tests;
