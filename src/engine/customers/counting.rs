//! Keeps a customer's sums as its orders change: an order's figures leave all sums before a change and enter them after.

use std::cmp::Ordering;
use std::mem;

use super::Customers;
use super::contribution::{Acquired, Sign};
use super::record;
use super::state::{Contributing, Order};
use crate::domain::order::refunded_in_excess;
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
        let acquisition_order = self.order_at(customer.contributed.order);
        let before = Acquired::of(&self.settings, customer, acquisition_order).filter(|_| !self.restoring);
        self.touched.push((slot, before));
    }

    pub(super) fn order_at(&self, slot: u32) -> Option<&Order> {
        (slot != NONE).then(|| &self.orders[slot])
    }

    /// Changes one order: its figures leave all sums before, and enter them after.
    pub(super) fn change(&mut self, slot: u32, change: impl FnOnce(&mut Order)) {
        self.touch(self.orders[slot].customer);
        self.count(slot, Sign::Minus);
        change(&mut self.orders[slot]);
        self.count(slot, Sign::Plus);
    }

    fn count(&mut self, slot: u32, sign: Sign) {
        let order = &self.orders[slot];
        let Some(placed) = order.counting() else { return };
        let customer = &mut self.customers[order.customer];
        if !self.restoring {
            self.ledger.order(&self.settings, customer.contributed, slot, (order, placed), sign);
        }
        let figures = order.figures(placed);
        let excess = u64::from(refunded_in_excess(placed.revenue, placed.cost_of_goods, order.refunded()));
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
                let is_first = match self.orders_first(self.customers[self.orders[slot].customer].first_order) {
                    Some((at, id)) => (entry.0, &*self.orders[slot].id) < (at, id),
                    None => true,
                };
                if is_first {
                    let customer = self.orders[slot].customer;
                    self.customers[customer].first_order = slot;
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
                let (customer, was_first) = (order.customer, customer.first_order == slot);
                if was_first {
                    self.customers[customer].first_order = self.earliest(customer);
                }
                if self.customers[customer].since_orders == 0 {
                    self.find_since(customer);
                }
            }
        }
    }

    /// When an order that counts was, and its id.
    pub(super) fn orders_first(&self, slot: u32) -> Option<(Millis, &str)> {
        let order = self.order_at(slot)?;
        Some((order.counting()?.occurred_at, &order.id))
    }

    /// The earliest of a customer's orders that count; of equal times the smaller id.
    fn earliest(&self, customer: u32) -> u32 {
        let timeline = &self.customers[customer].timeline;
        let Some((first, _)) = timeline.first() else { return NONE };
        let earliest = timeline.iter().take_while(|entry| entry.0 == first).map(|entry| entry.1);
        earliest.min_by_key(|&slot| &*self.orders[slot].id).unwrap_or(NONE)
    }

    /// Finds the earliest `customer_since` again, after the last order that said it was taken back.
    fn find_since(&mut self, customer: u32) {
        let said = self.customers[customer].timeline.iter();
        let said = said.filter_map(|(_, slot)| Some(self.orders[slot].counting()?.customer_since));
        let (since, orders) = said.fold((Millis::MAX, 0), |(since, orders), said| match said.cmp(&since) {
            Ordering::Less => (said, 1),
            Ordering::Equal => (since, orders + 1),
            Ordering::Greater => (since, orders),
        });
        let customer = &mut self.customers[customer];
        (customer.since, customer.since_orders) = (since, orders);
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

    pub(super) fn note_upcoming(&mut self, slot: u32, as_of: Millis) {
        let timeline = &self.customers[slot].timeline;
        if timeline.last().is_some_and(|(last, _)| last > as_of) {
            self.upcoming.extend(timeline.iter().filter(|(at, _)| *at > as_of).map(|(at, _)| (at, slot)));
        }
    }
}
