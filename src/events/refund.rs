//! `refund` and `cancellation`: what takes from an order, or all of it.

use std::borrow::Cow;

use super::digest::Digest;
use super::draft::Stated;
use super::fields::{Fields, currency, id, money, money_over_zero, time};
use super::kind::EventKind;
use super::rejection::Rejection;
use crate::money::Micros;
use crate::time::Millis;

/// Money given back for an order. Identified by customer, order and refund; booked on its order, which it may precede.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund<'a> {
    /// Whose order.
    pub customer_id: Cow<'a, str>,
    /// Which order.
    pub order_id: Cow<'a, str>,
    /// Which refund of that order.
    pub refund_id: Cow<'a, str>,
    /// When; of two events for one refund the later wins. It is booked at the time of its order.
    pub occurred_at: Millis,
    /// Over 0.
    pub amount: Micros,
    /// Cost of goods that came back.
    pub cost_recovered: Micros,
    /// Of the whole content: decides between two different events that are alike in time and amount.
    pub digest: u64,
}

impl<'a> Refund<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>) -> Result<Stated<Refund<'a>>, Rejection> {
        let customer_id = fields.required("customer_id", id)?;
        let order_id = fields.required("order_id", id)?;
        let refund_id = fields.required("refund_id", id)?;
        let occurred_at = fields.required("occurred_at", time)?;
        let currency = fields.optional("currency", currency)?;
        let amount = fields.required("amount", money_over_zero)?;
        let cost_recovered = fields.optional("cost_recovered", money)?.unwrap_or(Micros::ZERO);
        let digest = Digest::of(EventKind::Refund)
            .text(&customer_id)
            .text(&order_id)
            .text(&refund_id)
            .time(occurred_at)
            .money(amount)
            .money(cost_recovered)
            .finish();
        let event = Refund { customer_id, order_id, refund_id, occurred_at, amount, cost_recovered, digest };
        Ok(Stated { currency, event })
    }
}

/// The end of an order: it counts for nothing, at any time, whichever of both comes first. Identified by customer and order.
#[derive(Clone, Debug, PartialEq)]
pub struct Cancellation<'a> {
    /// Whose order.
    pub customer_id: Cow<'a, str>,
    /// Which order.
    pub order_id: Cow<'a, str>,
    /// When it was cancelled.
    pub occurred_at: Millis,
}

impl<'a> Cancellation<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>) -> Result<Cancellation<'a>, Rejection> {
        Ok(Cancellation {
            customer_id: fields.required("customer_id", id)?,
            order_id: fields.required("order_id", id)?,
            occurred_at: fields.required("occurred_at", time)?,
        })
    }
}
