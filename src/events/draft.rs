//! A text of the contract, read: what it says, before settings give it meaning.

use super::fields::{Fields, one_of};
use super::json::Document;
use super::rejection::{Reason, Rejection};
use super::{AdSpend, AdSpendReport, Cancellation, CustomerCost, EventKind, Refund, purchase};
use crate::settings::Currency;

/// An event as it was stated. The same text is the same draft under all settings and at any time.
#[expect(
    clippy::large_enum_variant,
    reason = "most events are purchases: a box for each would cost more than it saves"
)]
pub(super) enum Draft<'a> {
    Purchase(purchase::Draft<'a>),
    Refund(Stated<Refund<'a>>),
    Cancellation(Cancellation<'a>),
    CustomerCost(Stated<CustomerCost<'a>>),
    AdSpend(Stated<AdSpend<'a>>),
    AdSpendReport(Stated<AdSpendReport<'a>>),
}

/// An event whose amounts are as they were stated.
pub(super) struct Stated<T> {
    /// Theirs; `None`: the reporting currency.
    pub currency: Option<Currency>,
    pub event: T,
}

impl<'a> Draft<'a> {
    pub fn read(text: &'a str) -> Result<Draft<'a>, Rejection> {
        let mut document = Document::default();
        let fields = Fields::read(text, &mut document)?;
        let kind = fields.required("type", one_of(&EventKind::ALL, EventKind::name, Reason::UnknownType))?;
        Ok(match kind {
            EventKind::Purchase => Draft::Purchase(purchase::Draft::read(&fields)?),
            EventKind::Refund => Draft::Refund(Refund::read(&fields)?),
            EventKind::Cancellation => Draft::Cancellation(Cancellation::read(&fields)?),
            EventKind::CustomerCost => Draft::CustomerCost(CustomerCost::read(&fields)?),
            EventKind::AdSpend => Draft::AdSpend(AdSpend::read(&fields)?),
            EventKind::AdSpendReport => Draft::AdSpendReport(AdSpendReport::read(&fields)?),
        })
    }
}
