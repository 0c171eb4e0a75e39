//! One partition of a stage, as its worker holds it.

use std::sync::Arc;

use super::progress::{PROGRESS_KEY, Progress};
use super::stored_settings::{SETTINGS_KEY, StoredSettings};
use crate::engine::{Last, Stage};
use crate::format::{self, FormatError};
use crate::kafka::error::WorkerError;
use crate::settings::Settings;
use crate::time::Millis;

/// The state of a partition, with where it stands in its inputs and in its changelog.
pub struct Partition<S> {
    /// Its state.
    pub stage: S,
    /// How far it has come.
    pub progress: Progress,
    /// That as the changelog holds it; empty where it does not yet.
    pub progress_fact: Vec<u8>,
    /// The settings that the facts were written under, as the changelog holds them; empty where it does not yet.
    pub settings_fact: Vec<u8>,
    /// What they are from now on, where less is kept than when they were written.
    pub narrowed: Option<StoredSettings>,
    /// How much of its changelog this is, as of the last restore or parking.
    pub place: Place,
    /// Whether this transaction changed something here.
    pub touched: bool,
}

/// How much of its changelog a state is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nobody knows: a restore begins anew, with nothing.
    #[default]
    Unknown,
    /// All before this offset, read from there.
    Read(i64),
    /// All before an end, if that can be proven.
    Kept(Proof),
}

/// What shows that a state which was kept, in memory or in a file, is all of its changelog up to an offset: among the last
/// records before that one is the very progress that was written last into the state. A changelog that went on has that
/// record until it is compacted, and what is older than that is of no use anyway; another changelog never has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The offset up to which the state goes.
    pub end: i64,
    /// The value of that record; there are no two alike.
    pub progress: Vec<u8>,
}

impl<S: Stage> Partition<S> {
    /// With nothing restored yet.
    pub fn new(settings: Arc<Settings>) -> Partition<S> {
        Partition {
            stage: S::new(settings),
            progress: Progress::default(),
            progress_fact: Vec::new(),
            settings_fact: Vec::new(),
            narrowed: None,
            place: Place::Unknown,
            touched: false,
        }
    }

    /// Whether the changelog held anything about this partition.
    pub fn has_state(&self) -> bool {
        self.progress.internal_offset.is_some()
    }

    /// Whether the changelog holds the settings as they are.
    pub fn has_settings(&self) -> bool {
        !self.settings_fact.is_empty() && self.narrowed.is_none()
    }

    /// Folds one record of the changelog in. `at` says where it stands.
    ///
    /// # Errors
    /// It can't be read, is of a newer format, or was written under settings that contradict `stored_settings`.
    pub fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        stored_settings: &StoredSettings,
        at: impl Fn() -> (String, i32, i64),
    ) -> Result<(), WorkerError> {
        let unreadable = |cause| {
            let (topic, partition, offset) = at();
            WorkerError::Format { topic, partition, offset, cause }
        };
        if let Some(value) = value {
            // A newer program may also have kinds of facts whose keys are not known here.
            format::split(value, FormatError::Malformed { what: "fact" }).map_err(unreadable)?;
        }
        match (key, value) {
            (PROGRESS_KEY, Some(value)) => {
                self.progress = Progress::read(value).map_err(unreadable)?;
                value.clone_into(&mut self.progress_fact);
            }
            (SETTINGS_KEY, Some(value)) => {
                let (topic, partition, offset) = at();
                let checked = stored_settings.check(value);
                self.narrowed = checked.map_err(WorkerError::stored_settings(&topic, partition, offset))?;
                value.clone_into(&mut self.settings_fact);
            }
            _ if key.first().is_some_and(u8::is_ascii_lowercase) => {
                self.stage.restore(key, value).map_err(unreadable)?
            }
            // What it means is not known here, so that going on could be wrong.
            _ => return Err(unreadable(FormatError::Malformed { what: "fact: its key is not known" })),
        }
        Ok(())
    }

    /// Ends a restore.
    pub fn restored(&mut self) {
        let Progress { as_of, rolled_to, .. } = self.progress;
        self.stage.restored(self.has_state().then_some(Last { as_of, rolled_to }));
        self.touched = false;
    }

    /// Keeps the state for a later restore. All that it holds is committed, and the changelog now ends at `end`: where others
    /// have written as well, the proof will not be found, or what they wrote comes after it.
    pub fn park(&mut self, end: i64) {
        self.place = if self.has_state() {
            Place::Kept(Proof { end, progress: self.progress_fact.clone() })
        } else {
            Place::Unknown
        };
    }

    /// Whether there is something to roll at this moment.
    pub fn is_roll_due(&self, as_of: Millis) -> bool {
        self.stage.next_moment().is_some_and(|next| next <= as_of)
    }

    /// The moment for figures that are shown now: the clock's, but never before one that was written.
    pub fn moment(&self, now: Millis) -> Millis {
        now.max(self.progress.as_of)
    }

    /// The moment for figures that are written now: later than any that was written, whatever the clocks of its writers say,
    /// so that no two progresses of a partition are alike.
    pub fn next_moment(&self, now: Millis) -> Millis {
        now.max(self.progress.as_of.plus(1))
    }
}

/// The partitions of a worker, by their number.
pub struct Partitions<S>(Vec<Option<Partition<S>>>);

impl<S: Stage> Default for Partitions<S> {
    fn default() -> Self {
        Partitions(Vec::new())
    }
}

impl<S: Stage> Partitions<S> {
    /// The partition of this number, if it is here.
    #[inline]
    pub fn get_mut(&mut self, partition: u32) -> Option<&mut Partition<S>> {
        self.0.get_mut(partition as usize)?.as_mut()
    }

    /// As [`Partitions::get_mut`].
    pub fn get(&self, partition: u32) -> Option<&Partition<S>> {
        self.0.get(partition as usize)?.as_ref()
    }

    /// All that are here, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Partition<S>)> {
        (0..).zip(&self.0).filter_map(|(number, partition)| Some((number, partition.as_ref()?)))
    }

    /// As [`Partitions::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Partition<S>)> {
        (0..).zip(&mut self.0).filter_map(|(number, partition)| Some((number, partition.as_mut()?)))
    }

    /// Keeps those of these numbers, drops the others, and makes new ones where there was none.
    pub fn retain_and_add(&mut self, numbers: &[u32], settings: &Arc<Settings>) {
        for (number, slot) in (0..).zip(&mut self.0) {
            if !numbers.contains(&number) {
                *slot = None;
            }
        }
        for &number in numbers {
            let index = number as usize;
            if self.0.len() <= index {
                self.0.resize_with(index + 1, || None);
            }
            self.0[index].get_or_insert_with(|| Partition::new(Arc::clone(settings)));
        }
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
