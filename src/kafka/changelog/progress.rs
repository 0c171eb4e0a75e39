//! How far a partition has come, as its worker keeps it in the changelog, beside the stage's facts and under a key that is none
//! of theirs: an upper-case letter.

use crate::format::{self, Format, FormatError};
use crate::kafka::client::topic_ids::TopicId;
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
    /// Which topic that is; `None` in format 1, and of a cluster that gives topics no ids.
    pub internal_id: Option<TopicId>,
    /// Of source topics of as many partitions, the one of this number.
    pub source_offsets: Vec<SourceOffset>,
    /// Grows with each progress that is written. Format 1 has none: there the moment grows each time.
    pub sequence: u64,
    /// As of when history is compacted: the clock, unless that has jumped. In format 1, `as_of`.
    pub trusted: Millis,
    /// What it was told of its inputs. Format 1 says nothing of it: its figures are taken for those of all that there was.
    pub told: Told,
}

/// How far a source's partition is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOffset {
    /// The topic's name.
    pub topic: String,
    /// Which topic that is, as of [`Progress::internal_id`].
    pub id: Option<TopicId>,
    /// The next record.
    pub next: i64,
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
/// What format 2 has of it. At the end the ids of the topics, that of the internal one first, and 0 where there is none.
type Second = (First, u64, Millis, Millis, Option<u64>, Vec<u128>);

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

    /// The next record of an input's partition, of the internal topic or of a source, and which topic that is. `None` where it
    /// does not say.
    pub fn stored(&self, topic: &str, is_internal: bool) -> Option<(i64, Option<TopicId>)> {
        if is_internal {
            return Some((self.internal_offset?, self.internal_id));
        }
        let source = self.source_offsets.iter().find(|source| source.topic == topic)?;
        Some((source.next, source.id))
    }

    /// Writes this as a fact's value into `buffer`, replacing what it holds.
    pub fn write(&self, format: Format, buffer: &mut Vec<u8>) {
        let Progress { as_of, rolled_to, internal_offset, internal_id, source_offsets, sequence, trusted, told } = self;
        let sources: Vec<(&str, i64)> = source_offsets.iter().map(|source| (&*source.topic, source.next)).collect();
        let first = (as_of, rolled_to, internal_offset, sources);
        let encoded = if has_sequence(format) {
            let ids = [*internal_id].into_iter().chain(source_offsets.iter().map(|source| source.id));
            let ids: Vec<u128> = ids.map(|id| id.map_or(0, TopicId::number)).collect();
            postcard::to_allocvec(&(first, sequence, trusted, told.through, told.of, ids))
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
        let (first, sequence, trusted, through, of, ids): Second = if has_sequence(format) {
            format::whole(content, malformed.clone())?
        } else {
            let first: First = format::whole(content, malformed.clone())?;
            // Milliseconds go by faster than commits: what comes after it is like none that went before.
            let sequence = u64::try_from(first.0.0).unwrap_or(0);
            let (as_of, ids) = (first.0, vec![0; first.3.len() + 1]);
            (first, sequence, as_of, as_of, None, ids)
        };
        let (as_of, rolled_to, internal_offset, sources) = first;
        let Some((internal_id, source_ids)) = ids.split_first().filter(|(_, ids)| ids.len() == sources.len()) else {
            return Err(malformed);
        };
        let source = |((topic, next), id): ((String, i64), &u128)| SourceOffset { topic, id: TopicId::new(*id), next };
        let source_offsets = sources.into_iter().zip(source_ids).map(source).collect();
        let internal_id = TopicId::new(*internal_id);
        let told = Told { through, of };
        Ok(Progress { as_of, rolled_to, internal_offset, internal_id, source_offsets, sequence, trusted, told })
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
            internal_id: None,
            source_offsets: vec![SourceOffset { topic: "purchases".to_owned(), id: None, next: 1 << 40 }],
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
        let mut known = Progress { internal_id: TopicId::new(u128::MAX), ..progress() };
        known.source_offsets[0].id = TopicId::new(1);
        known.write(Format::default(), &mut buffer);
        assert_eq!(Progress::read(&buffer), Ok(known));
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
