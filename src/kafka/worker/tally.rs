//! What a transaction did, counted while it is open and reported once it is committed.

use crate::engine::Outcome;
use crate::events::{Event, Reason};

/// The kinds of events, in the order in which they are counted.
pub const EVENT_KINDS: [&str; 6] =
    ["purchase", "refund", "cancellation", "customer_cost", "ad_spend", "ad_spend_report"];
pub const OUTCOMES: [Outcome; 3] = [Outcome::Applied, Outcome::Duplicate, Outcome::Superseded];

/// Counts of one transaction.
#[derive(Debug, Default)]
pub struct Tally {
    /// By kind and outcome.
    pub events: [[u64; OUTCOMES.len()]; EVENT_KINDS.len()],
    /// By reason.
    pub rejected: [u64; Reason::ALL.len()],
    pub forwarded: u64,
    /// When the records that were dealt with here were written to their source, milliseconds since the epoch.
    pub written_at: Vec<i64>,
}

impl Tally {
    pub fn event(&mut self, event: &Event<'_>, outcome: Outcome, written_at: Option<i64>) {
        let kind = match event {
            Event::Purchase(_) => 0,
            Event::Refund(_) => 1,
            Event::Cancellation(_) => 2,
            Event::CustomerCost(_) => 3,
            Event::AdSpend(_) => 4,
            Event::AdSpendReport(_) => 5,
        };
        let outcome = match outcome {
            Outcome::Applied => 0,
            Outcome::Duplicate => 1,
            Outcome::Superseded => 2,
        };
        self.events[kind][outcome] += 1;
        self.written_at.extend(written_at);
    }

    pub fn rejection(&mut self, reason: Reason) {
        if let Some(count) = Reason::ALL.iter().position(|known| *known == reason) {
            self.rejected[count] += 1;
        }
    }

    /// Begins anew, keeping the room.
    pub fn clear(&mut self) {
        let mut written_at = std::mem::take(&mut self.written_at);
        written_at.clear();
        *self = Tally { written_at, ..Tally::default() };
    }
}
