//! Events become facts, and facts the current version of what they identify: by [`Customers::place`] and its like, which a
//! restore goes by as well.

use std::mem;

use super::Customers;
use super::contribution::Sign;
use super::facts::{CancellationFact, CostFact, Key, RefundFact};
use super::order_fact::{Details, OrderFact};
use super::state::{Cost, Customer, Order, Placed, Touch};
use crate::domain::attribution::{PerTouch, participants};
use crate::domain::spend::CustomerCostKind;
use crate::engine::table::NONE;
use crate::engine::{Effects, Outcome};
use crate::events::{self, Cancellation, CustomerCost, Purchase, Touchpoint};
use crate::money::{Micros, Sum};
use crate::time::Millis;

impl Customers {
    pub(super) fn customer(&mut self, id: &str) -> u32 {
        self.customers.find_or_insert(0, id, || Customer::new(id))
    }

    pub(super) fn order(&mut self, customer_id: &str, order_id: &str) -> u32 {
        let customer = self.customer(customer_id);
        self.orders.find_or_insert(customer, order_id, || Order::new(customer, order_id))
    }

    pub(super) fn purchase(&mut self, purchase: &Purchase<'_>, effects: &mut impl Effects) -> Outcome {
        let slot = self.order(&purchase.customer_id, &purchase.order_id);
        let version = |at: Millis, revenue: Micros, digest: u64| (at, revenue, digest);
        let current = self.orders[slot].placed.as_ref();
        let outcome = Outcome::of(
            version(purchase.updated_at, purchase.revenue, purchase.digest),
            current.map(|placed| version(placed.updated_at, placed.revenue, placed.digest)),
        );
        if outcome != Outcome::Applied {
            return outcome;
        }
        let mut touches: PerTouch<&Touchpoint<'_>> = purchase.touchpoints.iter().collect();
        let attribution = &self.settings.attribution;
        let ignorable = |touch: &&Touchpoint<'_>| {
            let ignored = |channel: &str| attribution.ignore_channels.iter().any(|ignored| ignored == channel);
            touch.campaign_id.is_none() && touch.channel.as_deref().is_some_and(ignored)
        };
        participants(&mut touches, attribution, purchase.occurred_at, |touch| touch.at, ignorable);
        let fact = OrderFact::of(purchase, touches.into_iter());
        let key = Key::Order { customer: &purchase.customer_id, order: &purchase.order_id };
        let (format, details) = (self.settings.format, Details::of(purchase));
        self.facts.put_with(&key, |value| fact.write(&details, format, value), effects);
        self.place(slot, &fact);
        outcome
    }

    pub(super) fn place(&mut self, slot: u32, fact: &OrderFact<'_>) {
        let touches = fact.touches.iter().map(|touch| Touch {
            at: touch.at,
            campaign: self.campaigns.optional_number(touch.campaign),
            channel: self.channels.optional_number(touch.channel),
        });
        let placed = Placed {
            occurred_at: fact.occurred_at,
            updated_at: fact.updated_at,
            revenue: fact.revenue,
            cost_of_goods: fact.cost_of_goods,
            operating_cost: fact.operating_cost,
            items: fact.quantity,
            customer_since: fact.customer_since.unwrap_or(Millis::MAX),
            digest: fact.digest,
            touches: touches.collect(),
            sku: self.skus.optional_number(fact.sku),
        };
        self.put_placed(slot, Some(placed));
    }

    pub(super) fn refund(&mut self, refund: &events::Refund<'_>, effects: &mut impl Effects) -> Outcome {
        let order = self.order(&refund.customer_id, &refund.order_id);
        let fact = RefundFact {
            occurred_at: refund.occurred_at,
            amount: refund.amount,
            cost_recovered: refund.cost_recovered,
            digest: refund.digest,
        };
        let current = self.refunds.find(self.orders[order].refunds, &refund.refund_id);
        let outcome = Outcome::of(
            (fact.occurred_at, fact.amount, fact.digest),
            current.map(|current| (current.occurred_at, current.amount, current.digest)),
        );
        if outcome == Outcome::Applied {
            self.put_refund(order, &refund.refund_id, &fact);
            let key = Key::Refund { customer: &refund.customer_id, order: &refund.order_id, refund: &refund.refund_id };
            self.facts.put(&key, &fact, effects);
        }
        outcome
    }

    pub(super) fn put_refund(&mut self, order: u32, id: &str, fact: &RefundFact) {
        self.change(order, |order, refunds| order.refunds = refunds.put(order.refunds, id, *fact));
    }

    /// The fact of an order was deleted: it is compacted now, as a restore finds.
    pub(super) fn displace(&mut self, slot: u32) {
        self.put_placed(slot, None);
    }

    fn put_placed(&mut self, slot: u32, placed: Option<Placed>) {
        placed.iter().for_each(|placed| self.hold_placed(placed, Sign::Plus));
        let mut before = None;
        self.change(slot, |order, _| before = mem::replace(&mut order.placed, placed));
        before.iter().for_each(|before| self.hold_placed(before, Sign::Minus));
    }

    /// As [`Customers::displace`], of a refund.
    pub(super) fn remove_refund(&mut self, order: u32, id: &str) {
        self.change(order, |order, refunds| order.refunds = refunds.remove(order.refunds, id));
    }

    /// As [`Customers::displace`], of a cost.
    pub(super) fn forget_cost(&mut self, customer: u32, id: &str) {
        self.touch(customer);
        if let Some(slot) = self.costs.find(customer, id) {
            let cost = self.costs.remove(slot);
            *self.customers[customer].costs_mut(cost.kind) -= cost.amount.into();
        }
    }

    /// Ends a restore in which facts were deleted: orders of which nothing is left leave their places.
    pub(super) fn drop_empty_orders(&mut self) {
        for slot in 0..self.orders.places() {
            if self.orders[slot].customer != NONE && self.orders[slot].is_empty() {
                self.orders.remove(slot);
            }
        }
    }

    pub(super) fn cancellation(&mut self, cancellation: &Cancellation<'_>, effects: &mut impl Effects) -> Outcome {
        let order = self.order(&cancellation.customer_id, &cancellation.order_id);
        let outcome = Outcome::of(cancellation.occurred_at, self.orders[order].cancelled_at());
        if outcome == Outcome::Applied {
            let key = Key::Cancellation { customer: &cancellation.customer_id, order: &cancellation.order_id };
            let fact = CancellationFact { occurred_at: cancellation.occurred_at };
            self.facts.put(&key, &fact, effects);
            self.change(order, |order, _| order.cancel(Some(fact.occurred_at)));
        }
        outcome
    }

    pub(super) fn customer_cost(&mut self, cost: &CustomerCost<'_>, effects: &mut impl Effects) -> Outcome {
        let customer = self.customer(&cost.customer_id);
        let fact =
            CostFact { occurred_at: cost.occurred_at, amount: cost.amount, kind: cost.kind, digest: cost.digest };
        let current = self.costs.find(customer, &cost.cost_id).map(|slot| &self.costs[slot]);
        let outcome = Outcome::of(
            (fact.occurred_at, fact.amount, fact.digest),
            current.map(|current| (current.occurred_at, current.amount, current.digest)),
        );
        if outcome == Outcome::Applied {
            let key = Key::Cost { customer: &cost.customer_id, cost: &cost.cost_id };
            self.facts.put(&key, &fact, effects);
            self.spend_on(customer, &cost.cost_id, &fact);
        }
        outcome
    }

    pub(super) fn spend_on(&mut self, customer: u32, id: &str, fact: &CostFact) {
        self.touch(customer);
        let cost = Cost {
            customer,
            id: id.into(),
            occurred_at: fact.occurred_at,
            amount: fact.amount,
            kind: fact.kind,
            digest: fact.digest,
        };
        let old = match self.costs.find(customer, id) {
            Some(slot) => Some(mem::replace(&mut self.costs[slot], cost)),
            None => {
                self.costs.insert(cost);
                None
            }
        };
        let customer = &mut self.customers[customer];
        if let Some(old) = old {
            *customer.costs_mut(old.kind) -= old.amount.into();
        }
        *customer.costs_mut(fact.kind) += fact.amount.into();
    }
}

impl Customer {
    fn costs_mut(&mut self, kind: CustomerCostKind) -> &mut Sum {
        match kind {
            CustomerCostKind::Acquisition => &mut self.acquisition_cost,
            CustomerCostKind::Retention => &mut self.retention_cost,
        }
    }
}
