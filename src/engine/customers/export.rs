//! The state told as facts again: those that the changelog holds, each once.

use super::Customers;
use super::carrying::Horizon;
use super::facts::{self, CancellationFact, CostFact, Key, OrderFact, TouchFact};
use super::state::{Order, Placed};
use crate::engine::table::NONE;
use crate::format::Format;
use crate::time::Millis;

/// Writes facts, with buffers that are used again and again.
struct Telling<F> {
    format: Format,
    key: Vec<u8>,
    value: Vec<u8>,
    take: F,
}

impl<F: FnMut(&[u8], &[u8])> Telling<F> {
    fn tell(&mut self, key: Key<'_>, fact: &impl serde::Serialize) {
        key.write(&mut self.key);
        facts::write(self.format, fact, &mut self.value);
        (self.take)(&self.key, &self.value);
    }
}

impl Customers {
    /// A customer's orders come together, so that whoever restores them finds the customer at hand.
    pub(super) fn tell_facts(&self, take: impl FnMut(&[u8], &[u8])) {
        let mut telling = Telling { format: self.settings.format, key: Vec::new(), value: Vec::new(), take };
        for (_, customer) in self.customers.iter() {
            for (_, slot) in customer.timeline.iter() {
                self.tell_order(&self.orders[slot], &mut telling);
            }
        }
        let is_there = |order: &Order| order.customer != NONE && order.counting().is_none();
        for (_, order) in self.orders.iter().filter(|(_, order)| is_there(order)) {
            self.tell_order(order, &mut telling);
        }
        for (_, cost) in self.costs.iter().filter(|(_, cost)| cost.customer != NONE) {
            let key = Key::Cost { customer: &self.customers[cost.customer].id, cost: &cost.id };
            let fact =
                CostFact { occurred_at: cost.occurred_at, amount: cost.amount, kind: cost.kind, digest: cost.digest };
            telling.tell(key, &fact);
        }
        for (_, customer) in self.customers.iter() {
            let Some(carried) = &customer.carried else { continue };
            let id = &customer.id;
            for block in carried.known.numbers() {
                Key::Known { customer: id, block }.write(&mut telling.key);
                carried.known.write(telling.format, block, &mut telling.value);
                (telling.take)(&telling.key, &telling.value);
            }
            telling.tell(Key::Carried { customer: id }, &self.carried_fact(customer, carried));
        }
        if self.horizon != Horizon::default() {
            telling.tell(Key::Horizon, &self.horizon);
        }
    }

    fn tell_order(&self, order: &Order, telling: &mut Telling<impl FnMut(&[u8], &[u8])>) {
        let customer = &self.customers[order.customer].id;
        if let Some(placed) = &order.placed {
            telling.tell(Key::Order { customer, order: &order.id }, &self.order_fact(placed));
        }
        if let Some(occurred_at) = order.cancelled_at() {
            telling.tell(Key::Cancellation { customer, order: &order.id }, &CancellationFact { occurred_at });
        }
        for refund in self.refunds.iter(order.refunds) {
            telling.tell(Key::Refund { customer, order: &order.id, refund: &refund.id }, &refund.fact);
        }
    }

    fn order_fact(&self, placed: &Placed) -> OrderFact<'_> {
        let touches = placed.touches.iter().map(|touch| TouchFact {
            at: touch.at,
            campaign: self.campaigns.text(touch.campaign),
            channel: self.channels.text(touch.channel),
        });
        OrderFact {
            occurred_at: placed.occurred_at,
            updated_at: placed.updated_at,
            revenue: placed.revenue,
            cost_of_goods: placed.cost_of_goods,
            operating_cost: placed.operating_cost,
            items: placed.items,
            customer_since: (placed.customer_since != Millis::MAX).then_some(placed.customer_since),
            digest: placed.digest,
            sku: self.skus.text(placed.sku),
            touches: touches.collect(),
        }
    }
}
