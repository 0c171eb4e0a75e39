//! What comes in: the six events, checked and typed. Bytes become an [`Event`] or a [`Rejection`]; nothing in between.
//!
//! Texts borrow from the record where they stand there unescaped.
//!
//! [`Decoder`] checks a record as a whole, `json` finds its fields, `fields` reads each by its meaning, and a file for each
//! type of event says which fields it has and what they come to.

mod customer_cost;
mod decoder;
mod digest;
mod fields;
mod items;
mod json;
mod kind;
mod purchase;
mod refund;
mod rejection;
mod report;
mod spend;
mod touchpoints;

#[cfg(test)]
mod tests;

pub use customer_cost::CustomerCost;
pub use decoder::{Decoder, MAX_AHEAD, MAX_RECORD};
pub use items::{Item, MAX_ITEMS};
pub use kind::EventKind;
pub use purchase::Purchase;
pub use refund::{Cancellation, Refund};
pub use rejection::{Reason, Rejection};
pub use report::AdSpendReport;
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

/// Where an event is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home<'a> {
    /// In the customers stage, by customer id.
    Customer(&'a str),
    /// In the campaigns stage, by campaign id.
    Campaign(&'a str),
}

impl Event<'_> {
    /// Whose it is: the customer's or the campaign's.
    pub fn home(&self) -> Home<'_> {
        match self {
            Event::Purchase(purchase) => Home::Customer(&purchase.customer_id),
            Event::Refund(refund) => Home::Customer(&refund.customer_id),
            Event::Cancellation(cancellation) => Home::Customer(&cancellation.customer_id),
            Event::CustomerCost(cost) => Home::Customer(&cost.customer_id),
            Event::AdSpend(spend) => Home::Campaign(&spend.campaign_id),
            Event::AdSpendReport(report) => Home::Campaign(&report.campaign_id),
        }
    }

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
