//! `customer_cost`: what was spent on one customer, beside advertising.

use std::borrow::Cow;

use super::digest::Digest;
use super::draft::Stated;
use super::fields::{Fields, currency, id, money, one_of, text, time};
use super::kind::EventKind;
use super::rejection::{Reason, Rejection};
use crate::domain::spend::CustomerCostKind;
use crate::money::Micros;
use crate::time::Millis;

/// What was spent on one customer, beside advertising. Identified by customer and cost.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerCost<'a> {
    /// On whom it was spent.
    pub customer_id: Cow<'a, str>,
    /// Which cost of that customer.
    pub cost_id: Cow<'a, str>,
    /// When; of two events for one cost the later wins.
    pub occurred_at: Millis,
    /// 0 or more.
    pub amount: Micros,
    /// What for.
    pub kind: CustomerCostKind,
    /// By which it was spent (`email`, `call`); any text.
    pub channel: Option<Cow<'a, str>>,
    /// Of the whole content: decides between two different events that are alike in time and amount.
    pub digest: u64,
}

impl<'a> CustomerCost<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>) -> Result<Stated<CustomerCost<'a>>, Rejection> {
        let customer_id = fields.required("customer_id", id)?;
        let cost_id = fields.required("cost_id", id)?;
        let occurred_at = fields.required("occurred_at", time)?;
        let currency = fields.optional("currency", currency)?;
        let amount = fields.required("amount", money)?;
        let kind = fields.required("kind", one_of(&CustomerCostKind::ALL, name, Reason::InvalidField))?;
        let channel = fields.optional("channel", text)?;
        let digest = Digest::of(EventKind::CustomerCost)
            .text(&customer_id)
            .text(&cost_id)
            .time(occurred_at)
            .money(amount)
            .integer(number(kind))
            .optional_text(channel.as_deref())
            .finish();
        let event = CustomerCost { customer_id, cost_id, occurred_at, amount, kind, channel, digest };
        Ok(Stated { currency, event })
    }
}

fn name(kind: CustomerCostKind) -> &'static str {
    match kind {
        CustomerCostKind::Acquisition => "acquisition",
        CustomerCostKind::Retention => "retention",
    }
}

/// The number of a kind in a digest.
fn number(kind: CustomerCostKind) -> i64 {
    match kind {
        CustomerCostKind::Acquisition => 1,
        CustomerCostKind::Retention => 2,
    }
}
