//! How far a partition has come, as its worker keeps it in the changelog, beside the stage's facts and under a key that is none
//! of theirs: an upper-case letter.

use serde::{Deserialize, Serialize};

use crate::format::{self, Format, FormatError};
use crate::time::Millis;

/// The key under which it stands in the changelog.
pub const PROGRESS_KEY: &[u8] = b"P";

/// How far a partition has come, as of its last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The moment of the last figures; never goes back.
    pub as_of: Millis,
    /// What time alone changed up to this moment was written.
    pub rolled_to: Millis,
    /// The next record of the internal topic's partition; none before the first commit.
    pub internal_offset: Option<i64>,
    /// Source topics of as many partitions, and the next record of this one's number.
    pub source_offsets: Vec<(String, i64)>,
}

impl Progress {
    /// Writes this as a fact's value into `buffer`, replacing what it holds.
    pub fn write(&self, format: Format, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.push(format.number());
        if let Ok(encoded) = postcard::to_allocvec(self) {
            buffer.extend_from_slice(&encoded);
        }
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// A newer version, or bytes that are no progress.
    pub fn read(value: &[u8]) -> Result<Progress, FormatError> {
        format::read(value, FormatError::Malformed { what: "progress" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_written() {
        let progress = Progress {
            as_of: Millis(1_800_000_000_000),
            rolled_to: Millis(-5),
            internal_offset: Some(7),
            source_offsets: vec![("purchases".to_owned(), 1 << 40)],
        };
        let mut buffer = b"what was here before".to_vec();
        progress.write(Format::default(), &mut buffer);
        assert_eq!(Progress::read(&buffer), Ok(progress));
        let newer = format::READS.end() + 1;
        assert_eq!(Progress::read(&[newer, 0]), Err(FormatError::Version { found: newer, known: newer - 1 }));
        assert!(Progress::read(&[]).is_err());
        buffer.push(0);
        assert!(Progress::read(&buffer).is_err(), "there is something behind it");
    }
}
