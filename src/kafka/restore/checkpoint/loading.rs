//! Reads a checkpoint into a new partition, in steps.

use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

use xxhash_rust::xxh3::Xxh3;

use super::file::{END, Header, MAGIC, MAX_PART};
use crate::engine::{Sizes, Stage};
use crate::kafka::changelog::birth::Birth;
use crate::kafka::changelog::epoch::Epoch;
use crate::kafka::changelog::partition::{Partition, Place, Proof};
use crate::kafka::changelog::progress::Progress;
use crate::kafka::changelog::stored_settings::StoredSettings;

/// No customer and no order takes less, in bytes of the file.
const MIN_RECORD: u64 = 4;
/// Room is not made at once for more: a file can be said to be long without being so.
const MOST_EXPECTED: u64 = 1 << 24;

/// Why a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum Unfit {
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is damaged, or of another version")]
    Damaged,
    #[error("it is of {0}")]
    Foreign(String),
    #[error("it was written under other settings")]
    Settings,
}

/// A checkpoint that is being read into a new partition.
pub struct Loading<R = File> {
    file: R,
    sum: Xxh3,
    header: Header,
    /// As the header has it.
    progress: Progress,
    /// What there is room to be made for.
    expected: Sizes,
    /// As [`Partition::narrowed`].
    narrowed: Option<StoredSettings>,
    block: Vec<u8>,
    /// Records of the snapshot read so far.
    pub records: u64,
}

impl<R: Read> Loading<R> {
    /// Reads the header of a file of so many bytes.
    ///
    /// # Errors
    /// It is damaged, or not of this partition and these settings.
    pub fn begin(
        file: R,
        size: u64,
        changelog: &str,
        partition: u32,
        stored_settings: &StoredSettings,
    ) -> Result<Loading<R>, Unfit> {
        let mut loading = Loading {
            file,
            sum: Xxh3::new(),
            header: Header::default(),
            progress: Progress::default(),
            expected: Sizes::default(),
            narrowed: None,
            block: Vec::new(),
            records: 0,
        };
        let mut magic = [0; MAGIC.len()];
        loading.take(&mut magic)?;
        if &magic != MAGIC || !loading.next_part()? {
            return Err(Unfit::Damaged);
        }
        loading.header = postcard::from_bytes(&loading.block).map_err(|_| Unfit::Damaged)?;
        let header = &loading.header;
        if (header.changelog.as_str(), header.partition) != (changelog, partition) {
            return Err(Unfit::Foreign(format!("{} partition {}", header.changelog, header.partition)));
        }
        loading.progress = Progress::read(&header.progress).map_err(|_| Unfit::Damaged)?;
        // A damaged header may expect anything, but each takes some bytes.
        let most = (size / MIN_RECORD).min(MOST_EXPECTED);
        loading.expected.customers = header.customers.min(most);
        loading.expected.orders = header.orders.min(most);
        loading.narrowed = stored_settings.check(&header.settings).map_err(|_| Unfit::Settings)?;
        Ok(loading)
    }

    /// How far the state had come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Reads on until then. `true`: all is read, and the partition is in its place, which is to be proven.
    ///
    /// # Errors
    /// The partition must be thrown away.
    pub fn step<S: Stage>(&mut self, partition: &mut Partition<S>, until: Instant) -> Result<bool, Unfit> {
        if self.records == 0 {
            partition.stage.expect(self.expected);
        }
        loop {
            if !self.next_part()? {
                return self.finish(partition).map(|()| true);
            }
            self.records += partition.stage.load(&self.block).map_err(|_| Unfit::Damaged)?;
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    fn finish<S: Stage>(&mut self, partition: &mut Partition<S>) -> Result<(), Unfit> {
        let expected = self.sum.digest();
        let mut sum = [0; 8];
        self.take(&mut sum)?;
        if u64::from_le_bytes(sum) != expected {
            return Err(Unfit::Damaged);
        }
        let header = &self.header;
        partition.progress.clone_from(&self.progress);
        partition.progress_fact.clone_from(&header.progress);
        partition.settings_fact.clone_from(&header.settings);
        if !header.epoch.is_empty() {
            partition.written = Epoch::read(&header.epoch).map_err(|_| Unfit::Damaged)?;
        }
        if !header.birth.is_empty() {
            partition.birth = Some(Birth::read(&header.birth).map_err(|_| Unfit::Damaged)?);
        }
        partition.narrowed.clone_from(&self.narrowed);
        partition.place = Place::Kept(Proof { end: header.end, progress: header.progress.clone() });
        Ok(())
    }

    /// Reads the header or the next block into `block`. `false`: there is none.
    fn next_part(&mut self) -> Result<bool, Unfit> {
        let mut length = [0; 4];
        self.take(&mut length)?;
        match u32::from_le_bytes(length) {
            END => Ok(false),
            length if length <= MAX_PART => {
                let mut block = std::mem::take(&mut self.block);
                block.resize(length as usize, 0);
                self.take(&mut block)?;
                self.block = block;
                Ok(true)
            }
            _ => Err(Unfit::Damaged),
        }
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Unfit> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.sum.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Unfit::Damaged),
            Err(error) => Err(error.into()),
        }
    }
}
