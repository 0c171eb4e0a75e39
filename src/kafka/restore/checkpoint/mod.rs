//! What a partition's state was when its worker left, in a file: a cache of the changelog, so that a planned restart reads
//! a local disk in place of Kafka. The changelog stays the truth: a file that is damaged, old, of something else or in
//! another format is ignored, and costs no more than the time to find out.
//!
//! - [`mod@file`]: what stands in it, and how that is written; [`loading`]: how it is read.
//!
//! Whether it belongs to this changelog is decided there: see [`Proof`](crate::kafka::changelog::partition::Proof).

mod file;
mod loading;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use self::file::Header;
pub use self::loading::{Loading, Unfit};
use crate::engine::Stage;
use crate::kafka::changelog::partition::{Partitions, Place};
use crate::kafka::changelog::stored_settings::StoredSettings;

/// Where the checkpoints of an application are.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// In a folder of this application's, which is made when it is not there.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn new(folder: &Path, application_id: &str) -> io::Result<Checkpoints> {
        let folder = folder.join(application_id);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            // Customers' ids stand in the files.
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder.create(&folder)?;
        Ok(Checkpoints { folder })
    }

    fn path(&self, changelog: &str, partition: u32) -> PathBuf {
        self.folder.join(format!("{changelog}-{partition}"))
    }

    /// Writes all partitions that are parked, as many at a time as there are processors: when time is short some are whole,
    /// rather than none. A failure is logged: it costs the next start some time.
    pub fn write<S: Stage>(&self, changelog: &str, partitions: &Partitions<S>, until: Instant) {
        let parked = partitions.iter().filter_map(|(number, partition)| match &partition.place {
            Place::Kept(proof) => Some((number, proof, partition)),
            Place::Unknown | Place::Read(_) => None,
        });
        let (parked, next): (Vec<_>, _) = (parked.collect(), AtomicUsize::new(0));
        let write_some = || {
            while let Some(&(number, proof, partition)) = parked.get(next.fetch_add(1, Ordering::Relaxed)) {
                let header = Header::of(changelog, number, proof, partition);
                match self.write_one(&header, &partition.stage, until) {
                    Ok(bytes) => tracing::info!(changelog, partition = number, bytes, "checkpoint written"),
                    Err(error) => tracing::warn!(changelog, partition = number, %error, "no checkpoint is written"),
                }
            }
        };
        let at_a_time = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(parked.len());
        thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(write_some))));
    }

    fn write_one(&self, header: &Header, stage: &impl Stage, until: Instant) -> io::Result<u64> {
        let path = self.path(&header.changelog, header.partition);
        let mut draft = path.clone().into_os_string();
        draft.push(".draft");
        let written = File::create(&draft).and_then(|file| file::write(file, header, stage, until));
        let named = written.and_then(|bytes| fs::rename(&draft, &path).map(|()| bytes));
        if named.is_err() {
            // It may not have been made at all.
            let _ = fs::remove_file(&draft);
        }
        named
    }

    /// Opens the checkpoint of a partition, if there is one. Said and ignored when it is unfit.
    pub fn open(&self, changelog: &str, partition: u32, stored_settings: &StoredSettings) -> Option<Loading> {
        let file = match File::open(self.path(changelog, partition)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                say_unfit(changelog, partition, &error.into());
                return None;
            }
        };
        let size = file.metadata().map_or(0, |file| file.len());
        match Loading::begin(file, size, changelog, partition, stored_settings) {
            Ok(loading) => Some(loading),
            Err(unfit) => {
                say_unfit(changelog, partition, &unfit);
                None
            }
        }
    }
}

/// Says why a checkpoint is not used.
pub fn say_unfit(changelog: &str, partition: u32, unfit: &Unfit) {
    tracing::warn!(changelog, partition, reason = %unfit, "the checkpoint is ignored: the state is restored from Kafka");
}
