//! Where an event stood.

use crate::events::Rejection;

/// One line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Its text; of one that is too long, the head.
    pub raw: &'a [u8],
    /// Bytes of the whole line.
    pub length: u64,
}

/// A line that can't be used: it is no event, or its event was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// Where it stands.
    pub line: Line<'a>,
    /// Why it can't be used.
    pub rejection: Rejection,
}
