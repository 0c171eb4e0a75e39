//! What a transaction did, counted while it is open and reported once it is committed.

use crate::engine::Outcome;
use crate::events::{EventKind, Reason};

/// Counts of one transaction.
#[derive(Debug, Default)]
pub struct Tally {
    /// By kind and outcome, in the order of [`EventKind::ALL`] and [`Outcome::ALL`].
    pub events: [[u64; Outcome::ALL.len()]; EventKind::ALL.len()],
    /// In the order of [`Reason::ALL`].
    pub rejected: [u64; Reason::ALL.len()],
    pub forwarded: u64,
    /// When the records that were dealt with here were written to their source, milliseconds since the epoch.
    pub written_at: Vec<i64>,
    /// Of each record of differences, the same of the oldest record that these come from.
    pub differences_since: Vec<i64>,
}

impl Tally {
    pub fn event(&mut self, kind: EventKind, outcome: Outcome, written_at: Option<i64>) {
        if let (Some(kind), Some(outcome)) = (place_in(&EventKind::ALL, kind), place_in(&Outcome::ALL, outcome)) {
            self.events[kind][outcome] += 1;
        }
        self.written_at.extend(written_at);
    }

    pub fn rejection(&mut self, reason: Reason) {
        if let Some(reason) = place_in(&Reason::ALL, reason) {
            self.rejected[reason] += 1;
        }
    }

    /// Begins anew, keeping the room.
    pub fn clear(&mut self) {
        let mut written_at = std::mem::take(&mut self.written_at);
        written_at.clear();
        let mut differences_since = std::mem::take(&mut self.differences_since);
        differences_since.clear();
        *self = Tally { written_at, differences_since, ..Tally::default() };
    }
}

fn place_in<T: PartialEq>(all: &[T], one: T) -> Option<usize> {
    all.iter().position(|other| *other == one)
}
