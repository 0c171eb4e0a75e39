//! How far a partition has come, as its worker keeps it in the changelog, beside the stage's facts and under a key that is none
//! of theirs: an upper-case letter.

use crate::format::{self, Format, FormatError};
use crate::time::Millis;

/// The key under which it stands in the changelog.
pub const PROGRESS_KEY: &[u8] = b"P";

/// How far a partition has come, as of its last commit. No two of a partition are alike, whatever the clocks say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The moment of the last figures.
    pub as_of: Millis,
    /// Up to this moment all is written that time alone changed.
    pub rolled_to: Millis,
    /// The next record of the internal topic's partition; none before the first commit.
    pub internal_offset: Option<i64>,
    /// Source topics of as many partitions, and the next record of this one's number.
    pub source_offsets: Vec<(String, i64)>,
    /// Grows with each progress that is written. Format 1 has none: there the moment grows each time.
    pub sequence: u64,
    /// As of when history is compacted: the clock, unless that has jumped. In format 1, `as_of`.
    pub trusted: Millis,
    /// What it was told of its inputs. Format 1 says nothing of it: its figures are taken for those of all that there was.
    pub told: Told,
}

/// What a partition was told of how far its inputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Nothing that was there before this moment waits in any of them.
    pub through: Millis,
    /// Which inputs these are ([`Expected::fingerprint`](crate::kafka::watermarks::Expected::fingerprint)); `None`: whichever
    /// there are.
    pub of: Option<u64>,
}

/// A moment of figures that lies further ahead of the clock than this is of a wrong clock, and not merely of another one. It is
/// as far as events may be ahead.
const FAR_AHEAD: i64 = 5 * Millis::MINUTE;

/// What format 1 has of it.
type First = (Millis, Millis, Option<i64>, Vec<(String, i64)>);
/// What format 2 has of it.
type Second = (First, u64, Millis, Millis, Option<u64>);

impl Progress {
    /// The moment for figures that are written now: never before the last ones, and in format 1 later, whatever the clocks of
    /// their writers say.
    pub fn next_moment(&self, now: Millis, format: Format) -> Millis {
        now.max(if has_sequence(format) { self.as_of } else { self.as_of.plus(1) })
    }

    /// Whether the last figures are of a moment that a wrong clock has given. The state of such a partition is of no use: it is
    /// to be restored anew. Format 1 has no way back for time, which is all that tells one progress from another there.
    pub fn is_far_ahead(&self, now: Millis, format: Format) -> bool {
        has_sequence(format) && self.internal_offset.is_some() && self.as_of.0 - now.0 > FAR_AHEAD
    }

    /// Writes this as a fact's value into `buffer`, replacing what it holds.
    pub fn write(&self, format: Format, buffer: &mut Vec<u8>) {
        let Progress { as_of, rolled_to, internal_offset, source_offsets, sequence, trusted, told } = self;
        let first = (as_of, rolled_to, internal_offset, source_offsets);
        let encoded = if has_sequence(format) {
            postcard::to_allocvec(&(first, sequence, trusted, told.through, told.of))
        } else {
            postcard::to_allocvec(&first)
        };
        buffer.clear();
        buffer.push(format.number());
        // Writing plain values into memory can't fail.
        buffer.extend_from_slice(&encoded.unwrap_or_default());
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// A newer version, or bytes that are no progress.
    pub fn read(value: &[u8]) -> Result<Progress, FormatError> {
        let malformed = FormatError::Malformed { what: "progress" };
        let (format, content) = format::split(value, malformed.clone())?;
        let (first, sequence, trusted, through, of): Second = if has_sequence(format) {
            format::whole(content, malformed)?
        } else {
            let first: First = format::whole(content, malformed)?;
            // Milliseconds go by faster than commits: what comes after it is like none that went before.
            let sequence = u64::try_from(first.0.0).unwrap_or(0);
            let as_of = first.0;
            (first, sequence, as_of, as_of, None)
        };
        let (as_of, rolled_to, internal_offset, source_offsets) = first;
        let told = Told { through, of };
        Ok(Progress { as_of, rolled_to, internal_offset, source_offsets, sequence, trusted, told })
    }
}

fn has_sequence(format: Format) -> bool {
    format.number() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::READS;

    fn progress() -> Progress {
        Progress {
            as_of: Millis(1_800_000_000_000),
            rolled_to: Millis(-5),
            internal_offset: Some(7),
            source_offsets: vec![("purchases".to_owned(), 1 << 40)],
            sequence: 1_800_000_000_000,
            trusted: Millis(1_800_000_000_000),
            told: Told { through: Millis(1_800_000_000_000), of: None },
        }
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        for format in READS.filter_map(Format::new) {
            let mut buffer = b"what was here before".to_vec();
            progress().write(format, &mut buffer);
            assert_eq!(Progress::read(&buffer), Ok(progress()), "{format}");
            buffer.push(0);
            assert!(Progress::read(&buffer).is_err(), "there is something behind it");
        }
        let told = Progress { told: Told { through: Millis(7), of: Some(u64::MAX) }, ..progress() };
        let mut buffer = Vec::new();
        told.write(Format::default(), &mut buffer);
        assert_eq!(Progress::read(&buffer), Ok(told));
        let newer = *READS.end() + 1;
        assert_eq!(Progress::read(&[newer, 0]), Err(FormatError::Version { found: newer, known: *READS.end() }));
        assert!(Progress::read(&[]).is_err());
    }

    #[test]
    fn no_two_are_alike_at_one_moment() {
        let [Some(first), second] = [1, 2].map(Format::new) else { panic!("format 1 is read for ever") };
        let at = progress().as_of;
        assert_eq!(progress().next_moment(at.plus(-5), first), at.plus(1));
        let Some(second) = second else { return };
        assert_eq!(progress().next_moment(at.plus(-5), second), at);
        assert_eq!(progress().next_moment(at.plus(5), second), at.plus(5));
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        progress().write(second, &mut one);
        Progress { sequence: progress().sequence + 1, ..progress() }.write(second, &mut other);
        assert_ne!(one, other);
    }
}
