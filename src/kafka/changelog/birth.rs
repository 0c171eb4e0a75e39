//! The identity of a partition's state: a number that is drawn when the state begins, and kept with it for ever. It stands in
//! the changelog once, and beside every offset that the partition's owner commits. A changelog that is deleted and created
//! again, even while its partition is at work, has it no more: so whoever restores from it knows that it is not the state which
//! the offsets go with, however well their numbers agree.

use std::fmt;

use rand::Rng;

use crate::format::{self, Format, FormatError};

/// The key under which it stands in the changelog.
pub const BIRTH_KEY: &[u8] = b"B";

/// The identity of a state. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth(u128);

impl Birth {
    /// Of a state that begins.
    pub fn draw() -> Birth {
        let mut random = rand::rng();
        Birth(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
    }

    /// Whether facts of this format may have it: a program that knows format 1 alone does not know its key.
    pub fn is_kept(format: Format) -> bool {
        format.number() >= 2
    }

    /// The value of its fact.
    pub fn fact(self, format: Format) -> Vec<u8> {
        [&[format.number()], &self.0.to_be_bytes()[..]].concat()
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// It is of a newer format, or is none.
    pub fn read(value: &[u8]) -> Result<Birth, FormatError> {
        let malformed = FormatError::Malformed { what: "birth" };
        let (_, content) = format::split(value, malformed.clone())?;
        content.try_into().map(|bytes| Birth(u128::from_be_bytes(bytes))).map_err(|_| malformed)
    }

    /// Reads what [`Display`](fmt::Display) shows.
    pub fn parse(text: &str) -> Option<Birth> {
        u128::from_str_radix(text, 16).ok().map(Birth)
    }
}

impl fmt::Display for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_as_it_is_shown() {
        let birth = Birth::draw();
        assert_eq!(Birth::read(&birth.fact(Format::default())), Ok(birth));
        assert_eq!(Birth::parse(&birth.to_string()), Some(birth));
        assert_ne!(Birth::draw(), birth);
        assert!(Birth::read(&[2, 1]).is_err() && Birth::read(&[0xff]).is_err() && Birth::parse("x").is_none());
    }
}
