//! `payback replay`: files of events -> the final record of each customer and campaign, by the engines that run on Kafka.
//!
//! Files are read in chunks while the one before is worked on, so that their size doesn't matter; what is kept is the
//! state. Every line is an event or a dead letter: an empty line is one with the reason `empty`.

mod chunks;
mod decode;
mod line;
mod pipeline;
mod report;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;

pub use self::chunks::ReadError;
use self::chunks::{Chunk, Chunks};
use self::decode::{decode, read};
pub use self::line::{Line, Rejected};
pub use self::pipeline::{Applied, Batch, Outcomes, Pipeline};
use crate::engine::FormatError;
use crate::events::{Decoder, Reason, Source};
use crate::settings::Settings;
use crate::time::Millis;

/// What to replay, and to where.
#[derive(Clone, Debug)]
pub struct Request {
    /// In the order in which they are read; `-` is standard input. Order has no bearing on figures.
    pub files: Vec<PathBuf>,
    /// The folder for the results; made if it is missing.
    pub out: PathBuf,
    /// The moment that the figures are for; `None`: that of the latest event accepted.
    pub as_of: Option<Millis>,
    /// The clock, for the guard against events from the future. Not asked where there is an `as_of`.
    pub now: Millis,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What became of the events that were accepted.
    pub outcomes: Outcomes,
    /// Lines that can't be used, by reason.
    pub rejected: BTreeMap<Reason, u64>,
    /// `None` when no event was accepted.
    pub as_of: Option<Millis>,
    /// Customers with figures.
    pub customers: u64,
    /// Campaigns with figures.
    pub campaigns: u64,
    /// How long all of it took.
    pub took: Duration,
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("can't write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is read and would be overwritten: choose another --out", path.display())]
    Overwrites { path: PathBuf },
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Aim of a chunk's size. A few are in memory at a time.
const CHUNK_BYTES: usize = 2 << 20;

/// Input between two times that campaigns are told what customers contribute: what waits is memory.
const FLUSH_EVERY_BYTES: u64 = 128 << 20;

/// Replays files. `progress` moves by bytes read.
///
/// # Errors
/// A file that can't be read or written. Lines that can't be used are no error.
pub fn replay(settings: &Settings, request: &Request, progress: &ProgressBar) -> Result<Summary, ReplayError> {
    let started = Instant::now();
    match check_inputs(request)? {
        Some(bytes) => progress.set_length(bytes),
        None => progress.unset_length(),
    }
    let mut outputs = Outputs::create(&request.out)?;
    let mut replay = Replay::new(settings, request);

    thread::scope(|scope| {
        let (sender, chunks) = mpsc::sync_channel(1);
        scope.spawn(move || read_chunks(&request.files, &sender));
        for chunk in chunks {
            replay.take(&chunk?, request, &mut outputs.dead_letters)?;
            progress.set_position(replay.bytes);
        }
        Ok::<(), ReplayError>(())
    })?;

    progress.set_message("writing");
    let summary = replay.finish(request, outputs)?;
    progress.finish_and_clear();
    Ok(Summary { took: started.elapsed(), ..summary })
}

/// Reads all files until one fails or nobody takes chunks any more.
fn read_chunks(files: &[PathBuf], chunks: &SyncSender<Result<Chunk, ReadError>>) {
    for (index, path) in files.iter().enumerate() {
        match Chunks::open(path, index, CHUNK_BYTES) {
            Ok(mut file) => {
                if file.any(|chunk| {
                    let failed = chunk.is_err();
                    chunks.send(chunk).is_err() || failed
                }) {
                    return;
                }
            }
            Err(error) => {
                let _ = chunks.send(Err(error));
                return;
            }
        }
    }
}

/// Bytes of all files; `None` where standard input is among them, whose length nobody knows.
fn check_inputs(request: &Request) -> Result<Option<u64>, ReplayError> {
    let mut bytes = Some(0);
    for path in &request.files {
        if path == Path::new("-") {
            bytes = None;
            continue;
        }
        // Opening says at the start what is missing, not after an hour.
        drop(Chunks::open(path, 0, CHUNK_BYTES)?);
        let Ok(read) = path.canonicalize() else { continue };
        if NAMES.iter().any(|name| request.out.join(name).canonicalize().is_ok_and(|written| written == read)) {
            return Err(ReplayError::Overwrites { path: path.clone() });
        }
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        bytes = bytes.map(|bytes| bytes + length);
    }
    Ok(bytes)
}

/// The state between two chunks.
struct Replay {
    pipeline: Pipeline,
    source: Source,
    decoder: Decoder,
    shards: usize,
    as_of: Option<Millis>,
    latest: Option<Millis>,
    now: Millis,
    outcomes: Outcomes,
    rejected: BTreeMap<Reason, u64>,
    bytes: u64,
    flushed_at: u64,
}

impl Replay {
    fn new(settings: &Settings, request: &Request) -> Replay {
        let shards = rayon::current_num_threads() * 4;
        Replay {
            pipeline: Pipeline::new(settings, shards),
            source: Source::default(),
            decoder: Decoder::new(settings),
            shards,
            as_of: request.as_of,
            latest: None,
            now: request.as_of.unwrap_or(request.now),
            outcomes: Outcomes::default(),
            rejected: BTreeMap::new(),
            bytes: 0,
            flushed_at: 0,
        }
    }

    fn take(&mut self, chunk: &Chunk, request: &Request, dead_letters: &mut Output) -> Result<(), ReplayError> {
        let file = request.files[chunk.file].to_string_lossy();
        let parts = read(chunk, &self.source, &file);
        let decoded = decode(&parts, &self.decoder, self.now, self.shards);
        let (mut batches, mut rejected) = (Vec::with_capacity(decoded.len()), Vec::new());
        for part in decoded {
            batches.push(part.batch);
            rejected.extend(part.rejected);
        }
        let Applied { outcomes, latest, refused } = self.pipeline.apply(&batches);
        self.outcomes = self.outcomes.plus(outcomes);
        self.latest = self.latest.max(latest);
        rejected.extend(refused);
        rejected.sort_by_key(|rejected| rejected.line.number);
        for rejected in rejected {
            *self.rejected.entry(rejected.rejection.reason).or_default() += 1;
            dead_letters.json(&DeadLetter::new(&request.files[chunk.file], &rejected))?;
        }
        self.bytes += chunk.bytes;
        if self.bytes - self.flushed_at >= FLUSH_EVERY_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Option<Millis>, FormatError> {
        self.flushed_at = self.bytes;
        let as_of = self.as_of.or(self.latest);
        if let Some(as_of) = as_of {
            self.pipeline.flush(as_of)?;
        }
        Ok(as_of)
    }

    fn finish(mut self, request: &Request, mut outputs: Outputs) -> Result<Summary, ReplayError> {
        let as_of = self.flush()?;
        let at = as_of.unwrap_or(request.now);
        let customers = self.pipeline.customer_records(at, |record| outputs.ltv.line(record))?;
        let campaigns = self.pipeline.campaign_records(at, |record| outputs.roas.line(record))?;
        [outputs.ltv, outputs.roas, outputs.dead_letters].iter_mut().try_for_each(Output::finish)?;
        let (outcomes, rejected) = (self.outcomes, self.rejected);
        Ok(Summary { outcomes, rejected, as_of, customers, campaigns, took: Duration::ZERO })
    }
}

/// A line that could not be used, as it is written out.
#[derive(Serialize)]
struct DeadLetter<'a> {
    reason: &'static str,
    detail: &'a str,
    file: std::borrow::Cow<'a, str>,
    line: u64,
    /// What is not UTF-8 in it is replaced.
    raw: std::borrow::Cow<'a, str>,
    /// Length of the line, where `raw` is only its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_bytes: Option<u64>,
}

impl<'a> DeadLetter<'a> {
    fn new(file: &'a Path, Rejected { line, rejection }: &'a Rejected<'a>) -> DeadLetter<'a> {
        DeadLetter {
            reason: rejection.reason.code(),
            detail: &rejection.detail,
            file: file.to_string_lossy(),
            line: line.number,
            raw: String::from_utf8_lossy(line.raw),
            raw_bytes: (line.length > line.raw.len() as u64).then_some(line.length),
        }
    }
}

const NAMES: [&str; 3] = ["ltv.jsonl", "roas.jsonl", "dead-letters.jsonl"];

/// The three files that are written.
struct Outputs {
    ltv: Output,
    roas: Output,
    dead_letters: Output,
}

impl Outputs {
    /// Makes them all, empty, so that nothing of an earlier replay is taken for this one's.
    fn create(folder: &Path) -> Result<Outputs, ReplayError> {
        fs::create_dir_all(folder).map_err(|source| ReplayError::Write { path: folder.to_owned(), source })?;
        let [ltv, roas, dead_letters] = NAMES.map(|name| Output::create(folder.join(name)));
        Ok(Outputs { ltv: ltv?, roas: roas?, dead_letters: dead_letters? })
    }
}

/// A file of lines.
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(path: PathBuf) -> Result<Output, ReplayError> {
        match File::create(&path) {
            Ok(file) => Ok(Output { path, file: BufWriter::with_capacity(1 << 18, file) }),
            Err(source) => Err(ReplayError::Write { path, source }),
        }
    }

    fn line(&mut self, record: &[u8]) -> Result<(), ReplayError> {
        let written = self.file.write_all(record).and_then(|()| self.file.write_all(b"\n"));
        self.check(written)
    }

    fn json(&mut self, record: &impl Serialize) -> Result<(), ReplayError> {
        let written = serde_json::to_writer(&mut self.file, record).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        self.check(written)
    }

    fn finish(&mut self) -> Result<(), ReplayError> {
        let flushed = self.file.flush();
        self.check(flushed)
    }

    fn check(&self, written: io::Result<()>) -> Result<(), ReplayError> {
        written.map_err(|source| ReplayError::Write { path: self.path.clone(), source })
    }
}
