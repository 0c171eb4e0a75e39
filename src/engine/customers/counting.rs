//! Keeps a customer's sums as its orders change: an order's figures leave all sums before a change and enter them after.

use std::cmp::Ordering;
use std::mem;

use super::Customers;
use super::contribution::{Acquired, Sign};
use super::record;
use super::refunds::Refunds;
use super::state::{Contributing, Counted, Customer, Order};
use crate::engine::table::NONE;
use crate::money::Sum;
use crate::time::Millis;

impl Customers {
    /// Notes a customer for the next flush, with what it contributes before it changes.
    pub(super) fn touch(&mut self, slot: u32) {
        let customer = &mut self.customers[slot];
        if mem::replace(&mut customer.touched, true) {
            return;
        }
        let customer = &self.customers[slot];
        let acquired_at = self.acquired_at(customer, customer.contributed);
        let before = Acquired::of(&self.settings, customer, acquired_at).filter(|_| !self.restoring);
        self.touched.push((slot, before));
    }

    pub(super) fn order_at(&self, slot: u32) -> Option<&Order> {
        (slot != NONE).then(|| &self.orders[slot])
    }

    /// Changes one order: its figures leave all sums before, and enter them after.
    pub(super) fn change(&mut self, slot: u32, change: impl FnOnce(&mut Order, &mut Refunds)) {
        self.touch(self.orders[slot].customer);
        self.count(slot, Sign::Minus);
        change(&mut self.orders[slot], &mut self.refunds);
        self.count(slot, Sign::Plus);
    }

    /// Adds an order's figures to all sums, or takes them out.
    pub(super) fn count(&mut self, slot: u32, sign: Sign) {
        let order = &self.orders[slot];
        let Some(counted) = Counted::of(&self.orders, &self.refunds, slot) else { return };
        let customer = &mut self.customers[order.customer];
        if !self.restoring {
            self.ledger.order(&self.settings, customer.contributed, counted, sign);
        }
        let (placed, figures) = (counted.placed, counted.figures());
        let excess = u64::from(counted.is_refunded_in_excess());
        let entry = (placed.occurred_at, slot);
        match sign {
            Sign::Plus => {
                customer.sums += figures;
                self.totals.sums += figures;
                self.totals.refunded_in_excess += excess;
                customer.items += i128::from(placed.items);
                customer.timeline.insert(entry);
                match placed.customer_since.cmp(&customer.since) {
                    Ordering::Less => (customer.since, customer.since_orders) = (placed.customer_since, 1),
                    Ordering::Equal => customer.since_orders += 1,
                    Ordering::Greater => {}
                }
                let is_first = customer.first_order == NONE
                    || (entry.0, &*order.id) <= (customer.first_at, &*self.orders[customer.first_order].id);
                if is_first {
                    (customer.first_order, customer.first_at, customer.first_is_gone) = (slot, entry.0, false);
                }
            }
            Sign::Minus => {
                customer.sums -= figures;
                self.totals.sums -= figures;
                self.totals.refunded_in_excess -= excess;
                customer.items -= i128::from(placed.items);
                customer.timeline.remove(entry);
                if placed.customer_since == customer.since {
                    customer.since_orders -= 1;
                }
                if customer.timeline.first().is_none() {
                    (customer.first_order, customer.first_is_gone, customer.since) = (NONE, false, Millis::MAX);
                } else if customer.first_order == slot {
                    customer.first_is_gone = true;
                }
            }
        }
    }

    /// Looks for what an order took along when it went; see [`Customer::is_settled`].
    pub(super) fn settle(&mut self, customer: u32) {
        if self.customers[customer].is_settled() {
            return;
        }
        let (first_order, (since, since_orders)) =
            (self.first_order(&self.customers[customer]), self.since(&self.customers[customer]));
        let first_at =
            self.order_at(first_order).and_then(Order::counting).map_or(Millis::MAX, |first| first.occurred_at);
        let customer = &mut self.customers[customer];
        (customer.first_order, customer.first_at, customer.first_is_gone) = (first_order, first_at, false);
        (customer.since, customer.since_orders) = (since, since_orders);
    }

    /// The earliest of a customer's orders that count, or [`NONE`]; of equal times the smaller id.
    pub(super) fn first_order(&self, customer: &Customer) -> u32 {
        if !customer.first_is_gone {
            return customer.first_order;
        }
        let Some((first, _)) = customer.timeline.first() else { return NONE };
        let earliest = customer.timeline.iter().take_while(|entry| entry.0 == first).map(|entry| entry.1);
        earliest.min_by_key(|&slot| &*self.orders[slot].id).unwrap_or(NONE)
    }

    /// The earliest `customer_since` of a customer's orders that count, [`Millis::MAX`] for none, and how many say it.
    pub(super) fn since(&self, customer: &Customer) -> (Millis, u32) {
        if customer.since_orders > 0 {
            return (customer.since, customer.since_orders);
        }
        let said = customer.timeline.iter().filter_map(|(_, slot)| Some(self.orders[slot].counting()?.customer_since));
        said.fold((Millis::MAX, 0), |(since, orders), said| match said.cmp(&since) {
            Ordering::Less => (said, 1),
            Ordering::Equal => (since, orders + 1),
            Ordering::Greater => (since, orders),
        })
    }

    /// Counts the customer as contributing or not, as it is now.
    pub(super) fn count_contributing(&mut self, slot: u32) {
        let customer = &self.customers[slot];
        let now = match record::net(&self.settings, customer).map(|net| net > Sum::ZERO) {
            Some(true) => Contributing::True,
            Some(false) => Contributing::False,
            None => Contributing::Unknown,
        };
        let before = mem::replace(&mut self.customers[slot].contributing, now);
        if before != Contributing::NotCounted {
            self.totals.contributing[before as usize] -= 1;
        }
        self.totals.contributing[now as usize] += 1;
    }

    /// Notes when time changes the customer's record next, which is written as of `as_of`.
    pub(super) fn note_moment(&mut self, slot: u32, as_of: Millis) {
        let customer = &mut self.customers[slot];
        let next = customer.next_moment(as_of);
        self.moments.note(slot, &mut customer.indexed, next);
    }
}
