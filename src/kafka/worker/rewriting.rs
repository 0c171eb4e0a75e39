//! Records that are written again although nothing of them changed: of partitions whose [`Epoch`] is not the one that
//! records are written under now, or whose records somebody asked for. A part of them at each commit, beside all else.
//!
//! What all records of a partition have in common stands in the changelog. Before the first record of another epoch is
//! written, in the same transaction, what no longer holds for all of them is taken out of there; when the last one is
//! written, the epoch takes its place. So whoever has the partition next, at whatever moment this ends, sees what is left
//! to do, and begins with all of it anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::outbox::Outbox;
use crate::engine::{Effects, Stage, StageKind};
use crate::kafka::changelog::epoch::{EPOCH_KEY, Epoch};
use crate::kafka::changelog::partition::{Partition, Partitions, Rewriting};
use crate::kafka::faults;
use crate::kafka::topics::destinations::{Destination, Destinations};
use crate::settings::Settings;
use crate::time::Millis;

/// Keys that are written again in one commit, and bytes of their records.
const KEYS: usize = 2_000;
const BYTES: usize = 4 << 20;
/// The same with a broker that is slow: well within what it takes in the time of a transaction.
const SLOW_BYTES: usize = 1 << 20;
/// Keys between two looks at how many bytes they came to.
const SLICE: usize = 100;

/// What is left of that in a commit.
#[derive(Debug)]
pub struct Pace {
    keys: usize,
    bytes: usize,
}

impl Pace {
    /// Of a commit, with a broker that is swift or slow.
    pub fn of(is_swift: bool) -> Pace {
        Pace { keys: faults::keys().unwrap_or(KEYS), bytes: if is_swift { BYTES } else { SLOW_BYTES } }
    }

    /// How many keys may be written next; `None` when it is enough for this commit.
    pub fn slice(&self) -> Option<usize> {
        (self.keys > 0 && self.bytes > 0).then(|| self.keys.min(SLICE))
    }

    /// So many were, which came to so many bytes.
    pub fn spend(&mut self, keys: usize, bytes: usize) {
        self.keys = self.keys.saturating_sub(keys);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What a worker's records are written under now, and what it has to say of those that are written again.
pub struct Rewriter {
    kind: StageKind,
    settings: Arc<Settings>,
    destinations: Arc<Destinations>,
    destination: Destination,
    epoch: Epoch,
    /// Counts the epochs that there were in this process.
    number: u64,
    /// Partitions that were begun with since this was last said, each with why.
    begun: BTreeMap<String, Vec<u32>>,
    /// Since when there is something to do that was said.
    since: Option<Instant>,
}

impl Rewriter {
    /// Of records that go to this topic.
    pub fn new(kind: StageKind, settings: Arc<Settings>, destinations: Arc<Destinations>, topic: &str) -> Rewriter {
        let destination = destinations.get(topic);
        let epoch = Epoch::of(kind, &settings, &destination);
        let begun = BTreeMap::new();
        Rewriter { kind, settings, destinations, destination, epoch, number: 0, begun, since: None }
    }

    /// Looks at the output topic. Returns whether it is another one than before: it was deleted and created again.
    pub fn look(&mut self) -> bool {
        let is_another = !self.destinations.is_still(&self.destination);
        if is_another {
            self.destination = self.destinations.get(&self.destination.topic);
            self.epoch = Epoch::of(self.kind, &self.settings, &self.destination);
            self.number += 1;
        }
        is_another
    }

    /// Whether the records of a partition are to be looked at, or written again.
    pub fn is_due<S: Stage>(&self, partition: &Partition<S>) -> bool {
        partition.rewriting != Rewriting::Done { epoch: self.number }
    }

    /// The topic on which all records of the partition are, once they are; format 1 does not say.
    pub fn whole_on<S: Stage>(&self, partition: &Partition<S>) -> Option<String> {
        (self.keeps_epochs() && partition.written.is_on(&self.destination)).then(|| self.destination.to_string())
    }

    /// Format 1 knows no epochs.
    fn keeps_epochs(&self) -> bool {
        self.settings.format.number() >= 2
    }

    /// What a partition's records are written under now.
    fn epoch_of<S: Stage>(&self, partition: &Partition<S>) -> Epoch {
        let epoch = self.epoch.clone();
        match self.kind {
            StageKind::Customers => epoch,
            StageKind::Campaigns => epoch.while_catching_up(partition.read_through.is_some()),
        }
    }

    /// Writes some of a partition's records again, if that is due.
    pub fn write<S: Stage>(
        &mut self,
        (number, partition): (u32, &mut Partition<S>),
        as_of: Millis,
        pace: &mut Pace,
        outbox: &mut Outbox<'_>,
    ) {
        let mut next = match partition.rewriting {
            Rewriting::Done { epoch } if epoch == self.number => return,
            Rewriting::UnderWay { epoch, next } if epoch == self.number => next,
            _ => {
                if !self.begin(number, partition, outbox) {
                    partition.rewriting = Rewriting::Done { epoch: self.number };
                    return;
                }
                0
            }
        };
        while let Some(keys) = pace.slice() {
            partition.touched = true;
            let before = outbox.bytes();
            let further = partition.stage.rewrite(next, keys, as_of, outbox);
            pace.spend(keys, outbox.bytes() - before);
            let Some(further) = further else {
                partition.written = self.epoch_of(partition);
                put(&partition.written, &self.settings, outbox);
                partition.rewriting = Rewriting::Done { epoch: self.number };
                return;
            };
            next = further;
        }
        partition.rewriting = Rewriting::UnderWay { epoch: self.number, next };
    }

    /// Takes out of the changelog what will not hold for all records any more. `false`: all of them are as they are to be.
    fn begin<S: Stage>(&mut self, number: u32, partition: &mut Partition<S>, outbox: &mut Outbox<'_>) -> bool {
        let doubt = partition.doubt.take();
        if !self.keeps_epochs() {
            if !partition.written.is_empty() {
                partition.written = Epoch::default();
                partition.touched = true;
                outbox.fact(EPOCH_KEY, None);
            }
            return false;
        }
        let epoch = self.epoch_of(partition);
        let mut common = epoch.common(&partition.written);
        let why = match doubt {
            Some(why) => {
                common.doubt();
                why
            }
            None => match epoch.differs_from(&partition.written) {
                Some(difference) => difference,
                None => return false,
            },
        };
        if common != partition.written {
            partition.touched = true;
            put(&common, &self.settings, outbox);
            partition.written = common;
        }
        if partition.has_state() {
            self.begun.entry(why).or_default().push(number);
        }
        true
    }

    /// Says what was begun with, and that it is done, once that is committed.
    pub fn committed<S: Stage>(&mut self, partitions: &Partitions<S>) {
        for (why, partitions) in std::mem::take(&mut self.begun) {
            self.since.get_or_insert_with(Instant::now);
            let stage = self.kind.name();
            tracing::info!(stage, ?partitions, why, "writing all records again, some at a time");
        }
        let is_done = partitions.iter().all(|(_, partition)| !self.is_due(partition));
        if let Some(since) = self.since.take_if(|_| is_done) {
            tracing::info!(
                stage = self.kind.name(),
                seconds = since.elapsed().as_secs_f64(),
                "all records are written again"
            );
        }
    }

    /// Nothing was committed, and the partitions are others from now on.
    pub fn dropped(&mut self) {
        self.begun.clear();
        self.since = None;
    }
}

fn put(epoch: &Epoch, settings: &Settings, outbox: &mut Outbox<'_>) {
    if epoch.is_empty() {
        outbox.fact(EPOCH_KEY, None);
    } else {
        outbox.fact(EPOCH_KEY, Some(&epoch.fact(settings.format)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_takes_so_many_keys_or_so_many_bytes() {
        let mut pace = Pace::of(true);
        let mut slices = 0;
        while let Some(keys) = pace.slice() {
            pace.spend(keys, 1_000);
            slices += 1;
        }
        assert_eq!(slices, KEYS / SLICE);
        for (is_swift, bytes) in [(true, BYTES), (false, SLOW_BYTES)] {
            let mut pace = Pace::of(is_swift);
            pace.spend(SLICE, bytes - 1);
            assert!(pace.slice().is_some());
            pace.spend(SLICE, 1);
            assert_eq!(pace.slice(), None);
        }
    }
}
