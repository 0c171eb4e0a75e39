//! Which events are too late: those that would change what is not kept individually any more.

use super::Customers;
use super::fingerprints::{of_cost, of_order};
use crate::engine::table::NONE;
use crate::events::{Event, Rejection};
use crate::time::Millis;

/// What an event would change.
enum Target<'a> {
    Order {
        id: &'a str,
        /// The event is one of those that may be older than what can be told apart, if only their order is not.
        may_be_older: bool,
    },
    Cost {
        id: &'a str,
    },
}

/// What is known of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    New,
    /// It is kept singly.
    Kept,
    /// It lies before the horizon, and can't be changed any more.
    Gone,
}

impl<'a> Target<'a> {
    /// The customer of an event, its moment and its target; `None` of spend, which is not at home in this stage.
    fn of(event: &'a Event<'_>) -> Option<(&'a str, Millis, Target<'a>)> {
        let order = |id, may_be_older| Target::Order { id, may_be_older };
        Some(match event {
            Event::Purchase(purchase) => {
                (&purchase.customer_id, purchase.occurred_at, order(&purchase.order_id, false))
            }
            Event::Refund(refund) => (&refund.customer_id, refund.occurred_at, order(&refund.order_id, true)),
            Event::Cancellation(cancellation) => {
                (&cancellation.customer_id, cancellation.occurred_at, order(&cancellation.order_id, true))
            }
            Event::CustomerCost(cost) => (&cost.customer_id, cost.occurred_at, Target::Cost { id: &cost.cost_id }),
            Event::AdSpend(_) | Event::AdSpendReport(_) => return None,
        })
    }

    /// The field that names it.
    fn field(&self) -> &'static str {
        match self {
            Target::Order { .. } => "order_id",
            Target::Cost { .. } => "cost_id",
        }
    }

    fn may_be_older(&self) -> bool {
        matches!(self, Target::Order { may_be_older: true, .. })
    }
}

impl Customers {
    /// Refuses an event that would change what is not kept individually. Returns its customer, if that is known.
    pub(super) fn not_too_late(&self, event: &Event<'_>) -> Result<Option<u32>, Rejection> {
        let Some((customer_id, at, target)) = Target::of(event) else { return Ok(None) };
        let horizon = self.horizon.orders;
        let day = || self.settings.zone.date(horizon);
        let customer = self.customers.find(0, customer_id);
        let standing = self.standing(customer, &target);
        if standing == Standing::Gone {
            let why = format!("what was before {} can't be changed any more", day());
            return Err(Rejection::too_late(target.field(), why));
        }
        if at < horizon && !(standing == Standing::Kept && target.may_be_older()) {
            let why = format!("orders and costs of days before {} can't be told apart any more", day());
            return Err(Rejection::too_late("occurred_at", why));
        }
        Ok(customer)
    }

    /// What is known of an order or cost of a customer.
    fn standing(&self, customer: Option<u32>, target: &Target<'_>) -> Standing {
        let Some(customer) = customer else { return Standing::New };
        let (is_old, fingerprint) = match *target {
            Target::Order { id, .. } => (self.orders.find(customer, id).map(|order| self.is_old(order)), of_order(id)),
            Target::Cost { id } => {
                let cost = self.costs.find(customer, id);
                (cost.map(|cost| self.costs[cost].occurred_at < self.horizon.orders), of_cost(id))
            }
        };
        let compacted = || self.customers[customer].compacted.as_ref();
        match is_old {
            Some(true) => Standing::Gone,
            Some(false) => Standing::Kept,
            None if compacted().is_some_and(|compacted| compacted.fingerprints.contains(fingerprint)) => Standing::Gone,
            None => Standing::New,
        }
    }

    /// Whether an order lies before the horizon; of one that was not placed yet, all that is known of it.
    pub(super) fn is_old(&self, slot: u32) -> bool {
        let order = &self.orders[slot];
        let before = self.horizon.orders;
        if order.customer == NONE {
            return false;
        }
        match &order.placed {
            Some(placed) => placed.occurred_at < before,
            None => order.cancelled_at().max(self.refunds.last_at(order.refunds)).is_none_or(|at| at < before),
        }
    }
}
