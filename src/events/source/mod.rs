//! Syntax: a record becomes none, one or many texts of the contract. What they mean is nobody's business here.
//!
//! ```text
//! record ──[codec]──> JSON text ──[envelope]──> payload ──[format]──> texts of the contract
//!          of bytes               what wraps it           in our words, 0 to many
//! ```
//!
//! The three know nothing of each other, nor of settings, state or the clock: the same record always becomes the same
//! texts. Each is an enum of what there is, and a function in a file of its own for each that is more than a line. A codec
//! makes JSON text of a record's value, an envelope the payload of a text (or nothing, where a record says nothing of ours),
//! a format texts of the contract of a payload; each may look at the whole record. There is one codec so far,
//! [`codec::json`], no envelope, and one [`Format`].
//!
//! What comes out is text that a producer could have written in the first place: it goes through the same parser, and it is
//! what is forwarded. So a source can do no more than a producer, and who takes a forwarded event needs to know nothing of
//! sources. Of `payback`'s own format all three steps are nothing: its text is the record's own bytes.

pub(super) mod codec;
#[cfg(test)]
mod made_up;

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::{Record, Rejection};

/// What a record becomes: each text is one event. Borrowed where the record holds it as it is.
pub type Texts<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// How the records of a topic are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// In whose words they speak.
    pub format: Format,
}

/// In whose words a payload speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// In those of the contract: a payload is one event, and its text as it stands. No array is taken for several.
    #[default]
    Payback,
    #[cfg(test)]
    #[expect(missing_docs, reason = "the function says it")]
    Several,
    #[cfg(test)]
    #[expect(missing_docs, reason = "the function says it")]
    Echo,
}

impl Source {
    /// The texts of the contract that a record becomes.
    ///
    /// # Errors
    /// It can't be read: the record as a whole is of no use.
    pub fn texts<'a>(&self, record: &Record<'a>) -> Result<Texts<'a>, Rejection> {
        let payload = codec::json(record.value.unwrap_or_default())?;
        Ok(match self.format {
            Format::Payback => smallvec![Cow::Borrowed(payload)],
            #[cfg(test)]
            Format::Several => made_up::several(payload),
            #[cfg(test)]
            Format::Echo => made_up::echo(record, payload),
        })
    }
}
