//! A number for the whole content of an event, by which two different events that are alike in all that decides between
//! them are put in a fixed order.
//!
//! It is taken of what was read, not of the JSON: the order and the form of the fields don't matter, nor do unknown ones,
//! nor settings. It stands in stored facts, so the same content must give the same number in every version: render a new
//! field only where it is present, after the others.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::money::Micros;
use crate::time::Millis;

/// Gathers a rendering in which no two contents are alike: a fixed sequence of parts, each of which tells its own end.
pub(super) struct Digest(SmallVec<[u8; 768]>);

impl Digest {
    /// Of an event of a type, which has a number of its own.
    pub fn of(kind: u8) -> Digest {
        Digest(SmallVec::from_slice(&[kind]))
    }

    pub fn text(&mut self, text: &str) -> &mut Digest {
        // A text is at most 256 bytes long.
        self.0.extend_from_slice(&(text.len() as u16).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub fn integer(&mut self, integer: i64) -> &mut Digest {
        self.0.extend_from_slice(&integer.to_le_bytes());
        self
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
        self.0.push(u8::from(present));
        self
    }

    pub fn finish(&self) -> u64 {
        xxh3_64(&self.0)
    }
}
