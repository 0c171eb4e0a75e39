//! Routing: where an event is dealt with.

use super::Event;

/// Where an event is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home<'a> {
    /// In the customers stage, by customer id.
    Customer(&'a str),
    /// In the campaigns stage, by campaign id.
    Campaign(&'a str),
}

impl Event<'_> {
    /// Whose it is: the customer's or the campaign's. Of the events that one record became, each has a home of its own.
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
}
