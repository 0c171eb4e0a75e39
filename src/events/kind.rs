//! The kinds of events: here alone each has its name.

/// What an event is of, and its number in a [`Digest`](super::digest::Digest): stored, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// An order, or a new version of one.
    Purchase = 1,
    /// Money given back for an order.
    Refund = 2,
    /// The end of an order.
    Cancellation = 6,
    /// What was spent on one customer, beside advertising.
    CustomerCost = 3,
    /// An amount spent on a campaign at a moment.
    AdSpend = 4,
    /// A platform's current total of one cell of spend.
    AdSpendReport = 5,
}

impl EventKind {
    /// All of them, in the order in which they are documented.
    pub const ALL: [EventKind; 6] = [
        EventKind::Purchase,
        EventKind::Refund,
        EventKind::Cancellation,
        EventKind::CustomerCost,
        EventKind::AdSpend,
        EventKind::AdSpendReport,
    ];

    /// The `type` as it stands in records and labels.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Purchase => "purchase",
            EventKind::Refund => "refund",
            EventKind::Cancellation => "cancellation",
            EventKind::CustomerCost => "customer_cost",
            EventKind::AdSpend => "ad_spend",
            EventKind::AdSpendReport => "ad_spend_report",
        }
    }
}
