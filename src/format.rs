//! The format of what instances store and send each other, and of the records that others read: one number for all of
//! it, which stands in each: facts, payloads of differences, progress, settings, output records.
//!
//! What is promised:
//! - Every format that was ever written stays in [`READS`], for a changelog keeps old facts for ever. The bytes of each
//!   stand in `tests/data/formats`, with the figures that they restore to.
//! - What is newer than that stops the program ([`FormatError::Version`]); it is neither skipped nor guessed at.
//! - A program that brings a new format goes on writing the one before, [`WRITES`], until `format.write` says otherwise. So
//!   instances of both programs can work side by side while one takes the other's place, and the way back stays open.
//!
//! A format may get new optional fields of output records. Anything else that would read differently is a new one.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// What this program reads.
pub const READS: RangeInclusive<u8> = 1..=2;

/// What it writes unless it is told otherwise. Format 2 is written at once, since no program was released that reads format
/// 1 alone.
pub const WRITES: u8 = 2;

/// A format that this program can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Format(u8);

impl Default for Format {
    fn default() -> Self {
        Format(WRITES)
    }
}

impl Format {
    /// `None` when this program does not know it.
    pub fn new(number: u8) -> Option<Format> {
        READS.contains(&number).then_some(Format(number))
    }

    /// As it stands in front of what is written.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was stored or sent and can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum FormatError {
    #[error(
        "it is of format {found}, and this program knows formats up to {known}: a newer program wrote it. Run that one, or \
         a newer one still"
    )]
    Version { found: u8, known: u8 },
    #[error("malformed {what}")]
    Malformed { what: &'static str },
}

/// Takes the format off the front of what was written.
///
/// # Errors
/// It is newer than this program; or there is none, or one that never was: `malformed` then.
pub fn split(bytes: &[u8], malformed: FormatError) -> Result<(Format, &[u8]), FormatError> {
    match bytes.split_first() {
        Some((&number, content)) => match Format::new(number) {
            Some(format) => Ok((format, content)),
            None if number > *READS.end() => Err(FormatError::Version { found: number, known: *READS.end() }),
            None => Err(malformed),
        },
        None => Err(malformed),
    }
}

/// Reads what [`split`] takes the format off: one value, and nothing behind it.
///
/// # Errors
/// As [`split`]; `malformed` too for bytes that are no such value, or more than one.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], malformed: FormatError) -> Result<T, FormatError> {
    let (_, content) = split(bytes, malformed.clone())?;
    whole(content, malformed)
}

/// Reads a value that takes up all the bytes.
///
/// # Errors
/// `malformed`: they are no such value, or more than one.
pub fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8], malformed: FormatError) -> Result<T, FormatError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: FormatError = FormatError::Malformed { what: "thing" };

    #[test]
    fn what_is_written_is_read() {
        assert!(READS.contains(&WRITES));
        assert_eq!(split(&[WRITES, 7], MALFORMED), Ok((Format::default(), &[7][..])));
    }

    #[test]
    fn a_value_is_read_to_the_last_byte() {
        assert_eq!(read::<(u8, bool)>(&[WRITES, 7, 1], MALFORMED), Ok((7, true)));
        for bytes in [&[WRITES, 7][..], &[WRITES, 7, 1, 0], &[WRITES, 7, 2], &[WRITES], &[0, 7, 1]] {
            assert_eq!(read::<(u8, bool)>(bytes, MALFORMED), Err(MALFORMED), "{bytes:?}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let newer = *READS.end() + 1;
        assert_eq!(split(&[newer], MALFORMED), Err(FormatError::Version { found: newer, known: *READS.end() }));
        assert_eq!(split(&[0, 1], MALFORMED), Err(MALFORMED));
        assert_eq!(split(&[], MALFORMED), Err(MALFORMED));
    }
}
