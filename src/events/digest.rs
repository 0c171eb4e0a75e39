//! A number for the whole content of an event, by which two different events that are alike in all that decides between
//! them are put in a fixed order.
//!
//! It is taken of what was read, not of the JSON: the order and the form of the fields don't matter, nor do unknown ones,
//! nor settings. It stands in stored facts, so the same content must give the same number in every version: render a new
//! field only where it is present, after the others.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::kind::EventKind;
use crate::money::Micros;
use crate::time::Millis;

const BLOCK: usize = 512;

/// Gathers a rendering in which no two contents are alike: a fixed sequence of parts, each of which tells its own end.
///
/// Parts fill a block until the next would not fit; the hash of a full block is the seed of the next one's. A usual event
/// is one block, and none needs memory beside it.
pub(super) struct Digest {
    block: [u8; BLOCK],
    filled: usize,
    seed: u64,
}

impl Digest {
    /// Of an event of this kind.
    pub fn of(kind: EventKind) -> Digest {
        let mut digest = Digest { block: [0; BLOCK], filled: 0, seed: 0 };
        digest.part(&[kind as u8]);
        digest
    }

    pub fn text(&mut self, text: &str) -> &mut Digest {
        self.part(&(text.len() as u64).to_le_bytes());
        // A text is at most 256 bytes long, so one piece; the others are for a limit that is raised.
        for piece in text.as_bytes().chunks(BLOCK) {
            self.part(piece);
        }
        self
    }

    pub fn integer(&mut self, integer: i64) -> &mut Digest {
        self.part(&integer.to_le_bytes())
    }

    pub fn money(&mut self, amount: Micros) -> &mut Digest {
        self.integer(amount.0)
    }

    pub fn time(&mut self, at: Millis) -> &mut Digest {
        self.integer(at.0)
    }

    pub fn optional_text(&mut self, text: Option<&str>) -> &mut Digest {
        self.present(text.is_some());
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    pub fn optional_integer(&mut self, integer: Option<i64>) -> &mut Digest {
        self.present(integer.is_some());
        match integer {
            Some(integer) => self.integer(integer),
            None => self,
        }
    }

    pub fn optional_money(&mut self, amount: Option<Micros>) -> &mut Digest {
        self.optional_integer(amount.map(|amount| amount.0))
    }

    /// Stands before each part that may be absent and each element of a list, and at its end.
    pub fn present(&mut self, present: bool) -> &mut Digest {
        self.part(&[u8::from(present)])
    }

    pub fn finish(&self) -> u64 {
        xxh3_64_with_seed(&self.block[..self.filled], self.seed)
    }

    /// Adds a part of at most a block.
    fn part(&mut self, part: &[u8]) -> &mut Digest {
        if self.filled + part.len() > BLOCK {
            self.seed = self.finish();
            self.filled = 0;
        }
        self.block[self.filled..][..part.len()].copy_from_slice(part);
        self.filled += part.len();
        self
    }
}
