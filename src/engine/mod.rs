//! One partition's state of each stage: event in, effects out. Pure: no Kafka, no clock, no metrics.
//!
//! - State changes only by **facts**. A fact is the current version of one thing by its identity (an order's event, a
//!   refund, a cancellation, a customer cost, a spend cell, a spent amount, a ledger's bucket). [`Stage::apply`] hands
//!   the fact that an event became to [`Effects::fact`]; folding the facts again by [`Stage::restore`], in any
//!   order of identities, gives the same state.
//! - What an event does to figures elsewhere is a **difference**: contribution after less contribution before. The
//!   customers stage gathers them between two flushes and hands them over as one payload a destination partition.
//! - **Updates** (the records of the output topics) are written at a flush, one a touched key.

mod blocks;
pub mod campaigns;
pub mod customers;
pub mod decimal;
mod fact;
mod horizon;
mod kind;
pub mod ledger;
pub mod moments;
pub(crate) mod table;

use std::cmp::Ordering;
use std::sync::Arc;

pub use self::kind::{PerStage, StageKind};
use crate::events::{Event, Rejection};
pub use crate::format::FormatError;
use crate::settings::Settings;
use crate::time::Millis;

/// Takes what a stage puts out. The calls of one flush, and of the `apply`s before it, belong in one transaction.
pub trait Effects {
    /// The new version of one fact for the changelog of this partition; `None` deletes it. Keys start with a lower-case
    /// ASCII letter; other first bytes are free for the caller's own facts.
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>);

    /// A record of the stage's output topic (JSON); `None` is a tombstone.
    fn update(&mut self, key: &str, value: Option<&[u8]>);

    /// Whether updates are of use: a batch looks at records when all is done, by [`Stage::record`], and saves the work
    /// of writing those in between.
    fn wants_updates(&self) -> bool {
        true
    }

    /// Differences for `partition` of the campaigns stage, to be given to [`Stage::absorb`] there.
    fn differences(&mut self, partition: u32, payload: &[u8]);
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is now the current version of what it identifies.
    Applied,
    /// It was here before, to the letter.
    Duplicate,
    /// A later version was here before.
    Superseded,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 3] = [Outcome::Applied, Outcome::Duplicate, Outcome::Superseded];

    /// Of two versions of one thing the greater wins.
    pub fn of<T: Ord>(new: T, current: Option<T>) -> Outcome {
        match current.map(|current| new.cmp(&current)) {
            None | Some(Ordering::Greater) => Outcome::Applied,
            Some(Ordering::Equal) => Outcome::Duplicate,
            Some(Ordering::Less) => Outcome::Superseded,
        }
    }

    /// As it is written in labels of metrics.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Duplicate => "duplicate",
            Outcome::Superseded => "superseded",
        }
    }
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of whom there is a record.
    pub customers: u64,
    /// Customers by `contributing`: true, false, null.
    pub contributing: [u64; 3],
    /// Of which something is kept individually, whether they count or not.
    pub orders: u64,
    /// Orders whose refunds exceed their revenue or cost of goods; the excess is ignored.
    pub orders_refunded_in_excess: u64,
    /// Of which there is a record.
    pub campaigns: u64,
    /// Sum of `ltv.historic` over the customers, micro-units.
    pub ltv_historic: i128,
    /// Sum of revenue less known cost of goods over the customers, micro-units.
    pub ltv_gross_profit: i128,
    /// Sum of revenue whose cost of goods is known or estimated, micro-units.
    pub covered_revenue: i128,
    /// Estimate of the memory of the state.
    pub bytes: u64,
}

/// How far a state had come when it was committed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The moment of the last flush.
    pub as_of: Millis,
    /// All that time alone changed up to this moment was written: never after `as_of`.
    pub rolled_to: Millis,
}

impl Last {
    /// A commit at `as_of` that left nothing to roll.
    pub fn at(as_of: Millis) -> Last {
        Last { as_of, rolled_to: as_of }
    }
}

/// The state of one partition of a stage. Its methods, by what they are for:
///
/// | | methods | called by |
/// | --- | --- | --- |
/// | intake | [`apply`](Stage::apply), [`check`](Stage::check), [`absorb`](Stage::absorb) | records as they come |
/// | output | [`flush`](Stage::flush), [`rewrite`](Stage::rewrite) | commits |
/// | clock | [`next_moment`](Stage::next_moment), [`roll`](Stage::roll), [`set_trusted`](Stage::set_trusted), [`set_read_through`](Stage::set_read_through) | time, also when nothing comes |
/// | changelog | [`expect`](Stage::expect), [`restore`](Stage::restore), [`restored`](Stage::restored) | a restore, before all else |
/// | snapshot | [`save`](Stage::save), [`load`](Stage::load) | checkpoints |
/// | query | [`record`](Stage::record), [`ids`](Stage::ids), [`sizes`](Stage::sizes) | the API, metrics, a replay |
///
/// What puts something out is handed [`Effects`]: `apply`, `flush`, `rewrite` and `roll`. The moment `as_of`, which they and
/// the queries take, never goes back.
pub trait Stage: Send + Sync + Sized + 'static {
    /// Which of the stages it is.
    const KIND: StageKind;

    /// `customers` or `campaigns`.
    const NAME: &'static str = Self::KIND.name();

    /// The kinds of facts that there are: the first bytes of their keys, each once.
    const KINDS: &'static [u8];

    /// With nothing in it.
    fn new(settings: Arc<Settings>) -> Self;

    // Intake.

    /// Takes an event that is at home in this stage and partition. Its fact goes out at once; updates and differences
    /// with the next [`Stage::flush`].
    ///
    /// An event of the other stage is a mistake of the caller's, whom [`Event::home`] would have told: it stops a debug
    /// build. Else it changes nothing, and counts as superseded.
    ///
    /// # Errors
    /// The event is [too late](crate::events::Reason::TooLate): what it would change is not kept individually any more. No figure
    /// has changed.
    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection>;

    /// Whether [`Stage::apply`] would take an event, as things are before it: for a record of several events, of which all are
    /// taken or none. Until the next flush
    /// or roll, what it lets through is taken, also after others that it let through.
    ///
    /// # Errors
    /// As those of [`Stage::apply`].
    fn check(&self, event: &Event<'_>) -> Result<(), Rejection>;

    /// Takes differences of the customers stage.
    ///
    /// # Errors
    /// A payload that can't be read; the customers stage takes none at all. Nothing was changed.
    fn absorb(&mut self, payload: &[u8]) -> Result<(), FormatError>;

    // Output.

    /// Writes all that changed since the last flush.
    fn flush(&mut self, as_of: Millis, effects: &mut impl Effects);

    /// Writes the records of the keys numbered from `from` on again, about `budget` of them, as they are: for settings, models
    /// and topics that are others than when they were written. Says where to go on; `None` at the end. A key that is new
    /// meanwhile has a new record, and need not be among them.
    fn rewrite(&mut self, from: u32, budget: usize, as_of: Millis, effects: &mut impl Effects) -> Option<u32>;

    // Clock.

    /// The earliest moment at which there is something to [roll](Stage::roll). It may be early, but is never late: a roll
    /// that finds nothing moves it on. `None` as long as time changes nothing.
    fn next_moment(&self) -> Option<Millis>;

    /// Writes again what time alone changed up to `as_of`, and compacts what retention keeps no longer, about `budget` keys a call.
    /// Returns whether nothing more is due. To be called whenever [`Stage::next_moment`] has come, at least each second.
    fn roll(&mut self, as_of: Millis, budget: usize, effects: &mut impl Effects) -> bool;

    /// From now on history is compacted as of this moment at the latest: `as_of` may be of a clock that has jumped, and what is
    /// compacted can't be had back. As long as this is not called, it is compacted as of `as_of`. To be called before
    /// [`Stage::restored`] as well.
    fn set_trusted(&mut self, moment: Millis);

    /// What the figures are read through, while something that belongs to them has waited for long: no verdict is given then.
    /// `None` while nothing has. Where that begins and ends, all records are to be [rewritten](Stage::rewrite). Customers have no
    /// verdicts, and go by what they have.
    fn set_read_through(&mut self, _read_through: Option<Millis>) {}

    // Changelog.

    /// Makes room for a state of these sizes that is about to be restored.
    fn expect(&mut self, sizes: Sizes);

    /// Folds one fact of the changelog into the state, replacing the version that is there; `None` deletes. Puts nothing
    /// out. Call [`Stage::restored`] after the last one, before anything else.
    ///
    /// # Errors
    /// A fact that can't be read.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError>;

    /// Ends a restore: what the facts contribute elsewhere was sent when they were written. `last` is the last commit; `None`
    /// where there was none. What time changed after its `rolled_to` counts as not yet written, so that a roll that was cut
    /// short is taken up again.
    fn restored(&mut self, last: Option<Last>);

    // Snapshot.

    /// Hands out all that this state is made of, as blocks of bytes: a snapshot. To be called between a flush and what
    /// comes after it.
    ///
    /// # Errors
    /// The first of `take`'s, and then no more is handed out.
    fn save<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>;

    /// Takes the next block of a snapshot into a state that began with nothing, and says how many records it had: once all
    /// are taken, the state is as if its facts had been restored. More facts may follow; call [`Stage::restored`] then.
    ///
    /// # Errors
    /// It is no block of a snapshot of this build: the state is of no use any more.
    fn load(&mut self, block: &[u8]) -> Result<u64, FormatError>;

    // Query.

    /// The current record of a customer or campaign, as JSON.
    fn record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>>;

    /// Ids that [`Stage::record`] may know, each once, in no order.
    fn ids(&self) -> impl Iterator<Item = &str>;

    /// What it holds now.
    fn sizes(&self) -> Sizes;
}
