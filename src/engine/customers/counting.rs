//! Keeps a customer's sums as its orders change: an order's figures leave all sums before a change and enter them after.

use std::mem;

use super::Customers;
use super::acquisition::Acquired;
use super::acquisition::First;
use super::contribution::Sign;
use super::record;
use super::refunds::Refunds;
use super::state::{Contributing, Counted, Order, Placed};
use crate::engine::table::{NONE, Names};
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
        let acquired_at = self.acquired_at(customer);
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
        match sign {
            Sign::Plus => {
                customer.sums += figures;
                self.totals.sums += figures;
                self.totals.refunded_in_excess += excess;
                customer.items += i128::from(placed.items);
            }
            Sign::Minus => {
                customer.sums -= figures;
                self.totals.sums -= figures;
                self.totals.refunded_in_excess -= excess;
                customer.items -= i128::from(placed.items);
            }
        }
        self.list(slot, sign);
    }

    /// Lists an order that counts among those of its customer that are kept individually, or takes it off.
    pub(super) fn list(&mut self, slot: u32, sign: Sign) {
        let orders = &self.orders;
        let Some(placed) = orders[slot].counting() else { return };
        let customer = &mut self.customers[orders[slot].customer];
        let entry = (placed.occurred_at, slot);
        let is_smaller = |one: u32, other: u32| *orders[one].id < *orders[other].id;
        self.totals.since_bytes -= customer.since.bytes();
        match sign {
            Sign::Plus => {
                customer.timeline.insert(entry, is_smaller);
                customer.since.add(placed.customer_since);
            }
            Sign::Minus => {
                customer.timeline.remove(entry, is_smaller);
                customer.since.remove(placed.customer_since);
            }
        }
        self.totals.since_bytes += customer.since.bytes();
    }

    /// Counts what an order's event holds elsewhere: names, and the memory of its touchpoints.
    pub(super) fn hold_placed(&mut self, placed: &Placed, sign: Sign) {
        let bytes = size_of_val(&*placed.touches);
        match sign {
            Sign::Plus => self.totals.placed_bytes += bytes,
            Sign::Minus => self.totals.placed_bytes -= bytes,
        }
        let hold = sign.of_names();
        hold(&mut self.skus, placed.sku);
        for touch in &placed.touches {
            hold(&mut self.campaigns, touch.campaign);
            hold(&mut self.channels, touch.channel);
        }
    }

    /// As [`Customers::hold_placed`], of a first order that is not kept individually.
    pub(super) fn hold_first(&mut self, first: &First, sign: Sign) {
        let hold = sign.of_names();
        hold(&mut self.campaigns, first.campaign);
        hold(&mut self.channels, first.channel);
        hold(&mut self.skus, first.sku);
    }

    /// Forgets the names that nothing holds any more. All that was told with them must have been handed over.
    pub(super) fn forget_names(&mut self) {
        [&mut self.campaigns, &mut self.channels, &mut self.skus].into_iter().for_each(Names::forget_unused);
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

impl Sign {
    /// Whether names are held, or released.
    fn of_names(self) -> fn(&mut Names, u32) {
        match self {
            Sign::Plus => Names::hold,
            Sign::Minus => Names::release,
        }
    }
}
