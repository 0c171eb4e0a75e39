//! What a partition's state was when its worker left, in a file: a cache of the changelog, so that a planned restart reads
//! a local disk in place of Kafka. The changelog stays the truth: a file that is damaged, old, of something else or in
//! another format is ignored, and costs no more than the time to find out.
//!
//! A file is a header (what it is of, and up to where), the facts, and a checksum of all before it. Whether it belongs to
//! this changelog is decided there: among the last records before [`Header::end`] must be the very progress that the
//! file says was written last ([`Proof`]). A changelog that went on keeps that record until it is compacted, and a file
//! that is older than that is of no use anyhow; another changelog never has it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::partition::{Partition, Partitions};
use super::progress::{Meaning, Progress};
use crate::engine::{Sizes, Stage};

/// With the version of the format.
const MAGIC: &[u8; 8] = b"payback1";
/// In place of the length of a key: the facts are over.
const END: u32 = u32::MAX;
/// No header, key or value is longer.
const MAX_PART: u32 = 16 << 20;
/// Hardly any is longer than this.
const USUAL_PART: usize = 64 << 10;
/// No fact is shorter, in bytes of the file.
const MIN_FACT: u64 = 16;
/// Facts between two looks at the time.
const ROUND: usize = 4_096;

/// Where the checkpoints of an application are.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// What a file is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    changelog: String,
    partition: u32,
    /// The offset after the last record of the changelog that is in the state.
    end: i64,
    /// As the changelog holds it, and the settings.
    progress: Vec<u8>,
    settings: Vec<u8>,
    /// How many there are of what there is most of.
    customers: u64,
    orders: u64,
}

impl Header {
    fn of<S: Stage>(changelog: &str, number: u32, end: i64, partition: &Partition<S>) -> Header {
        let Sizes { customers, orders, .. } = partition.stage.sizes();
        Header {
            changelog: changelog.to_owned(),
            partition: number,
            end,
            progress: partition.progress_fact.clone(),
            settings: partition.settings_fact.clone(),
            customers,
            orders,
        }
    }
}

/// By what a state that was loaded is known to be of this changelog: a record of this value before this offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub end: i64,
    pub progress: Vec<u8>,
}

/// Why a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
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

    /// Writes all partitions whose place in the changelog is known. A failure is logged: it costs the next start some time.
    pub fn write<S: Stage>(&self, changelog: &str, partitions: &Partitions<S>, until: Instant) {
        thread::scope(|scope| {
            for (number, partition) in partitions.iter() {
                let Some(end) = partition.changelog_position.filter(|_| partition.has_state()) else { continue };
                scope.spawn(move || {
                    let header = Header::of(changelog, number, end, partition);
                    match self.write_one(&header, &partition.stage, until) {
                        Ok(facts) => tracing::info!(changelog, partition = number, facts, "checkpoint written"),
                        Err(error) => tracing::warn!(changelog, partition = number, %error, "no checkpoint is written"),
                    }
                });
            }
        });
    }

    fn write_one(&self, header: &Header, stage: &impl Stage, until: Instant) -> io::Result<u64> {
        let path = self.path(&header.changelog, header.partition);
        let mut draft = path.clone().into_os_string();
        draft.push(".draft");
        let written =
            File::create(&draft).and_then(|file| write(BufWriter::with_capacity(1 << 20, file), header, stage, until));
        let named = written.and_then(|facts| fs::rename(&draft, &path).map(|()| facts));
        if named.is_err() {
            // It may not have been made at all.
            let _ = fs::remove_file(&draft);
        }
        named
    }

    /// Opens the checkpoint of a partition, if there is one. Said and ignored when it is unfit.
    pub fn open(&self, changelog: &str, partition: u32, meaning: &Meaning) -> Option<Loading> {
        let path = self.path(changelog, partition);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                say_unfit(changelog, partition, &error.into());
                return None;
            }
        };
        let size = file.metadata().map_or(0, |file| file.len());
        match Loading::begin(BufReader::with_capacity(1 << 20, file), size, changelog, partition, meaning) {
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

/// Writes and sums up what was written.
struct Summing<W> {
    file: W,
    sum: Xxh3,
}

impl<W: Write> Summing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }

    fn put_part(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MAX_PART);
        self.put(&length.ok_or(io::ErrorKind::FileTooLarge)?.to_le_bytes())?;
        self.put(bytes)
    }
}

/// Says how many facts there were.
fn write(file: impl Write, header: &Header, stage: &impl Stage, until: Instant) -> io::Result<u64> {
    let mut out = Summing { file, sum: Xxh3::new() };
    out.put(MAGIC)?;
    out.put_part(&postcard::to_allocvec(header).map_err(io::Error::other)?)?;
    let (mut facts, mut outcome) = (0, Ok(()));
    stage.tell_facts(|key, value| {
        if outcome.is_ok() {
            outcome = out.put_part(key).and_then(|()| out.put_part(value));
            facts += 1;
            if facts % ROUND as u64 == 0 && Instant::now() >= until {
                outcome = Err(io::ErrorKind::TimedOut.into());
            }
        }
    });
    outcome?;
    out.put(&END.to_le_bytes())?;
    let sum = out.sum.digest().to_le_bytes();
    out.file.write_all(&sum)?;
    out.file.flush()?;
    Ok(facts)
}

/// A checkpoint that is being read into a new partition.
pub struct Loading<R = BufReader<File>> {
    file: R,
    sum: Xxh3,
    header: Header,
    /// What there is room to be made for.
    expected: Sizes,
    /// As [`Partition::narrowed`].
    narrowed: Option<Meaning>,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Facts read so far.
    pub facts: u64,
}

impl<R: Read> Loading<R> {
    /// Reads the header of a file of so many bytes.
    ///
    /// # Errors
    /// It is damaged, or not of this partition and these settings.
    pub fn begin(file: R, size: u64, changelog: &str, partition: u32, meaning: &Meaning) -> Result<Loading<R>, Unfit> {
        let mut loading = Loading {
            file,
            sum: Xxh3::new(),
            header: Header::default(),
            expected: Sizes::default(),
            narrowed: None,
            key: Vec::new(),
            value: Vec::new(),
            facts: 0,
        };
        let mut magic = [0; MAGIC.len()];
        loading.take(&mut magic)?;
        if &magic != MAGIC {
            return Err(Unfit::Damaged);
        }
        let length = loading.length()?.ok_or(Unfit::Damaged)?;
        let mut header = Vec::new();
        loading.take_part(length, &mut header)?;
        loading.header = postcard::from_bytes(&header).map_err(|_| Unfit::Damaged)?;
        let header = &loading.header;
        if (header.changelog.as_str(), header.partition) != (changelog, partition) {
            return Err(Unfit::Foreign(format!("{} partition {}", header.changelog, header.partition)));
        }
        // A damaged header may expect anything, but each takes some bytes.
        let most = size / MIN_FACT;
        loading.expected.customers = header.customers.min(most);
        loading.expected.orders = header.orders.min(most);
        loading.narrowed = meaning.check(&header.settings).map_err(|_| Unfit::Settings)?;
        Ok(loading)
    }

    /// Reads on until then. `Some` when all is read: by what the state is to be proven, and then goes on from there.
    ///
    /// # Errors
    /// The partition must be thrown away.
    pub fn step<S: Stage>(&mut self, partition: &mut Partition<S>, until: Instant) -> Result<Option<Proof>, Unfit> {
        if self.facts == 0 {
            partition.stage.expect(self.expected);
        }
        loop {
            for _ in 0..ROUND {
                if !self.next_fact()? {
                    return self.finish(partition).map(Some);
                }
                partition.stage.restore(&self.key, Some(&self.value)).map_err(|_| Unfit::Damaged)?;
                self.facts += 1;
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    fn finish<S: Stage>(&mut self, partition: &mut Partition<S>) -> Result<Proof, Unfit> {
        let expected = self.sum.digest();
        let mut sum = [0; 8];
        self.file.read_exact(&mut sum)?;
        if u64::from_le_bytes(sum) != expected {
            return Err(Unfit::Damaged);
        }
        let header = &self.header;
        partition.progress = Progress::read(&header.progress).map_err(|_| Unfit::Damaged)?;
        partition.progress_fact.clone_from(&header.progress);
        partition.settings_fact.clone_from(&header.settings);
        partition.narrowed.clone_from(&self.narrowed);
        partition.changelog_position = Some(header.end);
        Ok(Proof { end: header.end, progress: header.progress.clone() })
    }

    /// Reads the next fact. `false`: there is none.
    fn next_fact(&mut self) -> Result<bool, Unfit> {
        let Some(length) = self.length()? else { return Ok(false) };
        let mut key = std::mem::take(&mut self.key);
        self.take_part(length, &mut key)?;
        self.key = key;
        let length = self.length()?.ok_or(Unfit::Damaged)?;
        let mut value = std::mem::take(&mut self.value);
        self.take_part(length, &mut value)?;
        self.value = value;
        Ok(true)
    }

    /// The length of the next part; `None` at the end of the facts.
    fn length(&mut self) -> Result<Option<usize>, Unfit> {
        let mut length = [0; 4];
        self.take(&mut length)?;
        match u32::from_le_bytes(length) {
            END => Ok(None),
            length if length <= MAX_PART => Ok(Some(length as usize)),
            _ => Err(Unfit::Damaged),
        }
    }

    /// Reads a part of this length. Of a long one, no more room is made than there are bytes: the length may be damaged.
    fn take_part(&mut self, length: usize, part: &mut Vec<u8>) -> Result<(), Unfit> {
        if length <= USUAL_PART {
            part.resize(length, 0);
            return self.take(part);
        }
        part.clear();
        let read = self.file.by_ref().take(length as u64).read_to_end(part)?;
        self.sum.update(part);
        if read == length { Ok(()) } else { Err(Unfit::Damaged) }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::customers::Customers;
    use crate::engine::{Effects, FormatError};
    use crate::events::Decoder;
    use crate::settings::Settings;
    use crate::time::Millis;

    struct Nowhere;

    impl Effects for Nowhere {
        fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}
        fn update(&mut self, _: &str, _: Option<&[u8]>) {}
        fn differences(&mut self, _: u32, _: &[u8]) {}
    }

    fn settings() -> Arc<Settings> {
        Arc::new(Settings::default())
    }

    fn meaning() -> Meaning {
        Meaning::of(&settings(), 1, 1)
    }

    /// With a few orders, and where it stands in its changelog.
    fn partition() -> Partition<Customers> {
        let mut partition: Partition<Customers> = Partition::new(settings());
        let decoder = Decoder::new(&settings());
        for i in 0..5 {
            let purchase = format!(
                r#"{{"type":"purchase","customer_id":"c{}","order_id":"{i}","occurred_at":{i},"revenue":{i}}}"#,
                i % 2
            );
            let event = decoder.decode(purchase.as_bytes(), Millis::MAX).unwrap();
            assert!(partition.stage.apply(&event, &mut Nowhere).is_ok());
        }
        partition.stage.flush(Millis(9), &mut Nowhere);
        partition.progress =
            Progress { as_of: Millis(9), rolled_to: Millis(8), internal_offset: Some(7), source_offsets: Vec::new() };
        partition.progress.write(settings().format, &mut partition.progress_fact);
        meaning().write(&mut partition.settings_fact);
        partition.changelog_position = Some(400);
        partition
    }

    fn written(partition: &Partition<Customers>) -> Vec<u8> {
        let header = Header::of("changelog", 0, partition.changelog_position.unwrap(), partition);
        let mut file = Vec::new();
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(write(&mut file, &header, &partition.stage, later).unwrap(), 5);
        file
    }

    fn read(file: &[u8]) -> Result<(Partition<Customers>, Proof), Unfit> {
        let mut loading = Loading::begin(file, file.len() as u64, "changelog", 0, &meaning())?;
        let mut partition = Partition::new(settings());
        loop {
            // Time is always up: a step makes some way all the same.
            if let Some(proof) = loading.step(&mut partition, Instant::now())? {
                partition.restored();
                return Ok((partition, proof));
            }
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let partition = partition();
        let (again, proof) = read(&written(&partition)).unwrap();
        for customer in ["c0", "c1"] {
            assert_eq!(again.stage.record(customer, Millis(9)), partition.stage.record(customer, Millis(9)));
        }
        assert_eq!(again.progress, partition.progress);
        assert!(again.has_settings() && again.has_state());
        assert_eq!((again.changelog_position, proof.end), (Some(400), 400));
        assert_eq!(Progress::read(&proof.progress), Ok::<_, FormatError>(partition.progress));
    }

    #[test]
    fn what_it_is_of_is_looked_at_first() {
        let file = written(&partition());
        assert!(matches!(Loading::begin(&file[..], 9, "changelog", 1, &meaning()), Err(Unfit::Foreign(_))));
        assert!(matches!(Loading::begin(&file[..], 9, "other", 0, &meaning()), Err(Unfit::Foreign(_))));
        let other = Meaning::of(&settings(), 2, 1);
        assert!(matches!(Loading::begin(&file[..], 9, "changelog", 0, &other), Err(Unfit::Settings)));
    }

    #[test]
    fn what_was_given_up_under_other_settings_stays_given_up() {
        let mut partition = partition();
        let mut less = Settings::default();
        less.retention.days -= 1;
        let less = Meaning::of(&less, 1, 1);
        let mut fact = Vec::new();
        less.write(&mut fact);

        let file = written(&partition);
        let mut loading = Loading::begin(&file[..], 9, "changelog", 0, &less).unwrap();
        let mut again: Partition<Customers> = Partition::new(settings());
        assert!(loading.step(&mut again, Instant::now()).unwrap().is_some());
        assert!(!again.has_settings(), "the changelog is to be told that less is kept");

        partition.settings_fact.clone_from(&fact);
        let (again, _) = read(&written(&partition)).unwrap();
        assert!(again.has_settings());
        assert_eq!(again.settings_fact, fact, "less was kept once, though more is now");
    }

    #[test]
    fn a_checkpoint_takes_its_place_whole() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path(), "app").unwrap();
        let mut partitions = Partitions::default();
        partitions.retain_and_add(&[0], &settings());
        *partitions.get_mut(0).unwrap() = partition();
        let in_a_minute = Instant::now() + Duration::from_secs(60);
        checkpoints.write("changelog", &partitions, in_a_minute);
        let path = checkpoints.path("changelog", 0);
        assert!(read(&fs::read(&path).unwrap()).is_ok());
        assert!(checkpoints.open("changelog", 0, &meaning()).is_some());
        assert!(checkpoints.open("changelog", 1, &meaning()).is_none());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    proptest! {
        #[test]
        fn no_bit_may_flip_and_no_byte_be_missing(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut: bool) {
            let mut file = written(&partition());
            let at = at.index(file.len());
            if cut {
                file.truncate(at);
            } else {
                file[at] ^= 1_u8 << bit;
            }
            prop_assert!(read(&file).is_err());
        }

        #[test]
        fn no_bytes_panic(mut file in prop::collection::vec(any::<u8>(), 0..200), from in 0_usize..120) {
            let _ = read(&file);
            let good = written(&partition());
            file.splice(0..0, good[..from.min(good.len())].iter().copied());
            prop_assert!(read(&file).is_err() || file == good);
        }
    }
}
