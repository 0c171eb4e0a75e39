//! The file of a checkpoint: a header (what it is of, and up to where), the state's snapshot, and a checksum of all before
//! it. The header and each block of the snapshot stand after their length.

use std::io::{self, Write};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::engine::{Sizes, Stage};
use crate::format::Format;
use crate::kafka::changelog::partition::{Partition, Proof};

/// With the version of the format, that of snapshots included.
pub const MAGIC: &[u8; 8] = b"payback4";
/// In place of the length of a block: there are no more.
pub const END: u32 = u32::MAX;
/// No header and no block is longer.
pub const MAX_PART: u32 = 1 << 20;

/// What a file is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub changelog: String,
    pub partition: u32,
    /// The offset after the last record of the changelog that is in the state.
    pub end: i64,
    /// As the changelog holds it, and the settings; the epoch as well, empty where there is none.
    pub progress: Vec<u8>,
    pub settings: Vec<u8>,
    pub epoch: Vec<u8>,
    /// The identity of the state; empty where it has none.
    pub birth: Vec<u8>,
    /// Counts, so that a reader can reserve room.
    pub customers: u64,
    pub orders: u64,
}

impl Header {
    pub fn of<S: Stage>(changelog: &str, number: u32, proof: &Proof, partition: &Partition<S>) -> Header {
        let Sizes { customers, orders, .. } = partition.stage.sizes();
        let written = &partition.written;
        Header {
            changelog: changelog.to_owned(),
            partition: number,
            end: proof.end,
            progress: proof.progress.clone(),
            settings: partition.settings_fact.clone(),
            epoch: if written.is_empty() { Vec::new() } else { written.fact(Format::default()) },
            birth: partition.birth.map_or_else(Vec::new, |birth| birth.fact(Format::default())),
            customers,
            orders,
        }
    }
}

/// Writes and sums up what was written.
struct Summing<W> {
    file: W,
    sum: Xxh3,
    bytes: u64,
}

impl<W: Write> Summing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn put_part(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MAX_PART);
        self.put(&length.ok_or(io::ErrorKind::FileTooLarge)?.to_le_bytes())?;
        self.put(bytes)
    }
}

/// Writes a file until then, and says how many bytes it has.
///
/// # Errors
/// It can't be written, or not in time.
pub fn write(file: impl Write, header: &Header, stage: &impl Stage, until: Instant) -> io::Result<u64> {
    let mut out = Summing { file, sum: Xxh3::new(), bytes: 0 };
    out.put(MAGIC)?;
    out.put_part(&postcard::to_allocvec(header).map_err(io::Error::other)?)?;
    stage
        .save(|block| if Instant::now() < until { out.put_part(block) } else { Err(io::ErrorKind::TimedOut.into()) })?;
    out.put(&END.to_le_bytes())?;
    let sum = out.sum.digest().to_le_bytes();
    out.put(&sum)?;
    out.file.flush()?;
    Ok(out.bytes)
}
