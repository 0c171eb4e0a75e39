//! What comes in: a [`Record`] becomes none, one or many [`Event`]s, or a [`Rejection`]; nothing in between.
//!
//! ```text
//!  syntax             meaning                               routing
//!  record ──> texts ──> draft ─────────────────────> event ──> Home: applied there, or its text is forwarded
//!     Source            what it says  settings, clock
//! ```
//!
//! - [`source`](Source): what a record holds, in the contract's words. It knows no settings. What is new to read (a codec, an
//!   envelope, a format) is a file there, and nothing else changes.
//! - `draft`: one text of the contract, read: `json` finds its fields, `fields` reads each by what it is, and a file for each
//!   kind of event says which it has. `meaning`: what it comes to under the settings, and against the clock. [`Decoder`] does
//!   both.
//! - [`Home`]: whose event it is. Each event of a record has its own; what goes there is the event's text, which is the
//!   record's own bytes where its format is `payback`'s.
//!
//! A record is taken whole or not at all: if one of its events can't be used, none is, and what is rejected is the record.
//! Texts of events borrow from the record where they stand there unescaped, so that one of `payback`'s own format is neither
//! copied nor parsed twice.

mod customer_cost;
mod decoder;
mod digest;
mod draft;
mod fields;
mod home;
mod items;
mod json;
mod kind;
mod meaning;
mod purchase;
mod record;
mod refund;
mod rejection;
mod report;
mod source;
mod spend;
mod touchpoints;

#[cfg(test)]
mod tests;

pub use customer_cost::CustomerCost;
pub use decoder::{Decoder, Events, MAX_AHEAD, MAX_RECORD};
pub use home::Home;
pub use items::{Item, MAX_ITEMS};
pub use kind::EventKind;
pub use purchase::Purchase;
pub use record::{Header, Record};
pub use refund::{Cancellation, Refund};
pub use rejection::{Reason, Rejection};
pub use report::AdSpendReport;
pub use source::{Format, Source, Texts};
pub use spend::AdSpend;
pub use touchpoints::{MAX_TOUCHPOINTS, Touchpoint};

use crate::time::Millis;

/// One accepted event.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most events are purchases: a box for each would cost more than it saves"
)]
pub enum Event<'a> {
    /// An order, or a new version of one.
    Purchase(Purchase<'a>),
    /// Money given back for an order.
    Refund(Refund<'a>),
    /// The end of an order.
    Cancellation(Cancellation<'a>),
    /// What was spent on one customer, beside advertising.
    CustomerCost(CustomerCost<'a>),
    /// An amount spent on a campaign at a moment.
    AdSpend(AdSpend<'a>),
    /// A platform's current total of one cell of spend.
    AdSpendReport(AdSpendReport<'a>),
}

impl Event<'_> {
    /// Its `type`.
    pub fn kind(&self) -> EventKind {
        match self {
            Event::Purchase(_) => EventKind::Purchase,
            Event::Refund(_) => EventKind::Refund,
            Event::Cancellation(_) => EventKind::Cancellation,
            Event::CustomerCost(_) => EventKind::CustomerCost,
            Event::AdSpend(_) => EventKind::AdSpend,
            Event::AdSpendReport(_) => EventKind::AdSpendReport,
        }
    }

    /// The moment that a replay's `as_of` follows: `occurred_at`, or `reported_at` of a report.
    pub fn moment(&self) -> Millis {
        match self {
            Event::Purchase(purchase) => purchase.occurred_at,
            Event::Refund(refund) => refund.occurred_at,
            Event::Cancellation(cancellation) => cancellation.occurred_at,
            Event::CustomerCost(cost) => cost.occurred_at,
            Event::AdSpend(spend) => spend.occurred_at,
            Event::AdSpendReport(report) => report.reported_at,
        }
    }
}
