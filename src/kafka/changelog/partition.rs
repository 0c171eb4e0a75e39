//! One partition of a stage, as its worker holds it.

use std::sync::Arc;
use std::time::Instant;

use super::birth::{BIRTH_KEY, Birth};
use super::epoch::{EPOCH_KEY, Epoch};
use super::progress::{PROGRESS_KEY, Progress};
use super::stored_settings::{SETTINGS_KEY, StoredSettings};
use crate::engine::{Last, Sizes, Stage};
use crate::format::{self, Format, FormatError};
use crate::kafka::error::WorkerError;
use crate::kafka::faults;
use crate::kafka::watermarks::Heard;
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
    /// The identity of the state, as the changelog holds it.
    pub birth: Option<Birth>,
    /// The settings that the facts were written under, as the changelog holds them; empty where it does not yet.
    pub settings_fact: Vec<u8>,
    /// What they are from now on, where less is kept than when they were written.
    pub narrowed: Option<StoredSettings>,
    /// How much of its changelog this is, as of the last restore or parking.
    pub place: Place,
    /// Whether this transaction changed something here.
    pub touched: bool,
    /// What all of its records have in common, as the changelog holds it.
    pub written: Epoch,
    /// How far they are written again.
    pub rewriting: Rewriting,
    /// Why all of them are to be written again, whatever they were written under.
    pub doubt: Option<String>,
    /// When the moment as of which history is compacted was moved on.
    trusted_at: Instant,
    /// What it was told of its inputs, since it is here; none in format 1.
    pub heard: Option<Heard>,
    /// Of campaigns, while something of that has waited for long: what the figures are read through.
    pub read_through: Option<Millis>,
    /// Timestamp of the oldest record that this transaction applied here, milliseconds since the epoch.
    pub since: Option<i64>,
}

/// History is compacted as of a moment that goes on at most so many times as fast as time itself: so a clock that is ahead for a
/// while takes nothing along, and after a standstill the clock is caught up with by and by.
const MOST_SPEED: i64 = 8;

/// How far the records of a partition are written again, under the epoch of this number in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rewriting {
    /// What they were written under is to be looked at first.
    #[default]
    Unknown,
    /// Some are left.
    UnderWay {
        /// Of which epoch.
        epoch: u64,
        /// The number of the first key that is left.
        next: u32,
    },
    /// All are of this epoch.
    Done {
        /// Of which one.
        epoch: u64,
    },
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
            birth: None,
            settings_fact: Vec::new(),
            narrowed: None,
            place: Place::Unknown,
            touched: false,
            written: Epoch::default(),
            rewriting: Rewriting::Unknown,
            doubt: None,
            trusted_at: Instant::now(),
            heard: None,
            read_through: None,
            since: None,
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
            (BIRTH_KEY, None) => self.birth = None,
            (BIRTH_KEY, Some(value)) => self.birth = Some(Birth::read(value).map_err(unreadable)?),
            (EPOCH_KEY, None) => self.written = Epoch::default(),
            (EPOCH_KEY, Some(value)) => self.written = Epoch::read(value).map_err(unreadable)?,
            _ if key.first().is_some_and(u8::is_ascii_lowercase) => {
                self.stage.restore(key, value).map_err(unreadable)?
            }
            // What it means is not known here, so that going on could be wrong.
            _ => return Err(unreadable(FormatError::Malformed { what: "fact: its key is not known" })),
        }
        Ok(())
    }

    /// Ends a restore, at this moment. Of a state that is [far ahead](Progress::is_far_ahead) of it the time goes back: all
    /// records are to be written again.
    pub fn restored(&mut self, now: Millis, format: Format) {
        self.touched = false;
        self.rewriting = Rewriting::Unknown;
        if self.progress.is_far_ahead(now, format) {
            self.doubt(&format!("its figures are of {}, ahead of the clock", self.progress.as_of));
            self.progress.as_of = now;
            self.progress.rolled_to = self.progress.rolled_to.min(now);
            self.progress.trusted = self.progress.trusted.min(now);
        }
        self.trusted_at = Instant::now();
        self.trust(now);
        let Progress { as_of, rolled_to, .. } = self.progress;
        self.stage.restored(self.has_state().then_some(Last { as_of, rolled_to }));
    }

    /// Moves on the moment as of which history is compacted.
    pub fn trust(&mut self, now: Millis) {
        let elapsed = std::mem::replace(&mut self.trusted_at, Instant::now()).elapsed();
        let elapsed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX / MOST_SPEED);
        let trusted = self.progress.trusted;
        self.progress.trusted = if self.has_state() && !faults::is_time_let_pass() {
            trusted.max(now.min(trusted.plus(elapsed.saturating_mul(MOST_SPEED))))
        } else {
            now
        };
        self.stage.set_trusted(self.progress.trusted);
    }

    /// All records are to be written again.
    pub fn doubt(&mut self, why: &str) {
        self.doubt = Some(why.to_owned());
        self.rewriting = Rewriting::Unknown;
    }

    /// Notes that a record of this timestamp was applied.
    pub fn applied(&mut self, written_at: Option<i64>) {
        self.since = self.since.into_iter().chain(written_at).min();
    }

    /// What it is read through from now on. All records are to be written again where that begins, and where it ends.
    pub fn set_read_through(&mut self, read_through: Option<Millis>) {
        if self.read_through.is_some() != read_through.is_some() {
            self.rewriting = Rewriting::Unknown;
        }
        self.read_through = read_through;
        self.stage.set_read_through(read_through);
    }

    /// How many of its keys are still to be written again, about.
    pub fn left_to_rewrite(&self) -> u64 {
        match self.rewriting {
            Rewriting::Unknown | Rewriting::Done { .. } => 0,
            Rewriting::UnderWay { next, .. } => {
                let Sizes { customers, campaigns, .. } = self.stage.sizes();
                (customers + campaigns).saturating_sub(u64::from(next)).max(1)
            }
        }
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

    /// Whether time has changed something by this moment that is not written yet.
    pub fn is_roll_due(&self, as_of: Millis) -> bool {
        self.stage.next_moment().is_some_and(|moment| moment <= as_of)
    }

    /// The moment for figures that are shown now: the clock's, but never before one that was written.
    pub fn moment(&self, now: Millis) -> Millis {
        now.max(self.progress.as_of)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::customers::Customers;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn partition(as_of: Millis, trusted: Millis) -> Partition<Customers> {
        let mut partition = Partition::new(Arc::new(Settings::default()));
        partition.progress = Progress { as_of, rolled_to: as_of, internal_offset: Some(1), ..Progress::default() };
        partition.progress.trusted = trusted;
        partition
    }

    fn format(number: u8) -> Format {
        Format::new(number).unwrap()
    }

    #[test]
    fn figures_of_a_wrong_clock_are_taken_back_to_the_present() {
        let minutes = |minutes: i64| NOW.plus(minutes * Millis::MINUTE);
        let restored = |as_of, of_format| {
            let mut partition = partition(as_of, as_of);
            partition.restored(NOW, format(of_format));
            let Progress { as_of, rolled_to, trusted, .. } = partition.progress;
            assert!(rolled_to == as_of && trusted <= as_of.max(NOW));
            (as_of, partition.doubt.is_some())
        };
        assert_eq!(restored(minutes(-5), 2), (minutes(-5), false));
        assert_eq!(restored(minutes(5), 2), (minutes(5), false), "clocks differ");
        assert_eq!(restored(minutes(6), 2), (NOW, true));
        assert_eq!(restored(minutes(6), 1), (minutes(6), false), "nothing else tells one progress from another");
    }

    #[test]
    fn history_is_not_compacted_by_a_clock_that_jumps() {
        let month = NOW.plus(30 * Millis::DAY);
        let mut partition = partition(NOW, NOW);
        partition.restored(month, format(2));
        partition.trust(month);
        let trusted = partition.progress.trusted;
        assert!(NOW <= trusted && trusted < NOW.plus(Millis::HOUR), "{trusted}");
        // Right again.
        partition.trust(NOW.plus(1));
        assert!(partition.progress.trusted >= trusted);
        // It is followed by and by.
        partition.trusted_at = partition.trusted_at.checked_sub(std::time::Duration::from_secs(3_600)).unwrap();
        partition.trust(month);
        let after = partition.progress.trusted.0 - NOW.0;
        assert!((8 * Millis::HOUR..9 * Millis::HOUR).contains(&after), "{after}");
        partition.trusted_at = partition.trusted_at.checked_sub(std::time::Duration::from_secs(3_600)).unwrap();
        partition.trust(NOW.plus(9 * Millis::HOUR));
        assert_eq!(partition.progress.trusted, NOW.plus(9 * Millis::HOUR), "and never overtaken");
    }

    #[test]
    fn a_state_that_begins_goes_by_the_clock() {
        let mut partition: Partition<Customers> = Partition::new(Arc::new(Settings::default()));
        partition.restored(NOW, format(2));
        assert_eq!(partition.progress.trusted, NOW);
    }

    #[test]
    fn an_epoch_is_forgotten_when_its_fact_is_deleted() {
        let settings = StoredSettings::of(&Settings::default(), 1, 1);
        let mut partition = partition(NOW, NOW);
        let mut restore = |value: Option<&[u8]>| {
            partition
                .restore(EPOCH_KEY, value, &settings, || (String::new(), 0, 0))
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(partition.written.clone())
        };
        let epoch = Epoch::read(b"\x02output topic = a\n").unwrap();
        assert_eq!(restore(Some(&epoch.fact(format(2)))), Ok(epoch));
        assert_eq!(restore(None), Ok(Epoch::default()));
        assert!(restore(Some(b"\xff")).unwrap_err().contains("format 255"));
    }
}
