//! Orders and costs that are too old to be kept individually are compacted: to sums and counts of their customer, its first
//! order, who acquired it, and eight bytes each to know them by ([`compacted`](super::compacted)). Figures stay as they are.
//!
//! The [`Horizon`] says from when. It is a fact, follows `as_of` and never goes back, and by it alone it is decided whether
//! an event is too late ([`lateness`](super::lateness)). What lies before it is compacted a bounded number at a time, in the
//! transactions in which its facts are replaced, or when an event touches the customer; until then it counts the same.

use std::mem;

use serde::{Deserialize, Serialize};

use super::acquisition::{COMPACTED, First};
use super::compacted::{Compacted, Costs};
use super::contribution::Sign;
use super::facts::{CompactedFact, FirstFact, Key};
use super::fingerprints::{of_cost, of_order};
use super::state::{Counted, Customer};
use super::{Customers, NEVER};
use crate::domain::order::OrderSums;
use crate::domain::spend::CustomerCostKind;
use crate::engine::Effects;
use crate::engine::horizon::Grace;
use crate::engine::table::NONE;
use crate::events::{Event, Rejection};
use crate::money::Sum;
use crate::time::Millis;

/// Places that are looked at for each key that may be worked on.
const LOOKS: usize = 16;

/// Before which moment a partition has given things up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    grace: Grace,
    /// The start of a day.
    pub orders: Millis,
}

impl Default for Horizon {
    fn default() -> Self {
        Horizon { grace: Grace::default(), orders: Millis::MIN }
    }
}

/// How far what lies before the horizon is compacted.
#[derive(Debug, Default)]
pub struct Compaction {
    /// The horizon that it goes by.
    horizon: Option<Millis>,
    /// The next places to look at.
    order: u32,
    cost: u32,
    /// All that lay before it is compacted.
    done: bool,
    /// When the horizon may move next; none before it was looked at.
    next: Option<Millis>,
}

impl Customers {
    /// Moves the horizon on to `as_of`; `last` is the moment before it.
    pub(super) fn move_horizon(&mut self, as_of: Millis, effects: &mut impl Effects) {
        let last = self.as_of.replace(self.as_of.map_or(as_of, |last| last.max(as_of)));
        let Some(days) = self.settings.retention.orders_days else { return };
        if self.compaction.next.is_none_or(|next| next <= as_of) {
            let zone = &self.settings.zone;
            self.compaction.next = Some(zone.start_of(zone.date(as_of).plus(1)));
        }
        let mut horizon = self.horizon;
        if horizon.grace.is_over(last, as_of) {
            let zone = &self.settings.zone;
            let trusted = self.trusted.map_or(as_of, |trusted| trusted.min(as_of));
            let day = zone.date(trusted).plus(i32::try_from(days).map_or(i32::MIN, |days| -days));
            horizon.orders = horizon.orders.max(zone.start_of(day));
        }
        if horizon != self.horizon {
            self.horizon = horizon;
            self.facts.put(&Key::Horizon, &horizon, effects);
        }
    }

    /// Compacts what the customer of an event has that is not kept individually, unless the event is too late.
    pub(super) fn make_way(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<(), Rejection> {
        let horizon = self.horizon.orders;
        if let Some(customer) = self.not_too_late(event)?
            && self.customers[customer].timeline.first().is_some_and(|(first, _)| first < horizon)
        {
            // They may have left the last 365 days as well, which a roll finds by the orders that are kept individually.
            self.touch(customer);
            self.compact_orders(customer, effects);
            self.write_compacted(effects);
        }
        Ok(())
    }

    /// Compacts the orders of a customer that count and lie before the horizon. Returns how many.
    fn compact_orders(&mut self, slot: u32, effects: &mut impl Effects) -> usize {
        let before = self.horizon.orders;
        let entries = self.customers[slot].timeline.iter();
        let due: Vec<(Millis, u32)> = entries.take_while(|(at, _)| *at < before).collect();
        let Some(&(last_at, _)) = due.last() else { return 0 };
        let first = self.first(&self.customers[slot]);
        self.rebook(slot, first.as_ref());
        let mut compacted = self.customers[slot].compacted.take().unwrap_or_default();
        if compacted.first.is_none() {
            compacted.first = first;
            first.iter().for_each(|first| self.hold_first(first, Sign::Plus));
        }
        compacted.last_at = compacted.last_at.max(last_at);
        compacted.orders += due.len() as u64;
        for &(_, order) in &due {
            let counted = Counted::of(&self.orders, &self.refunds, order);
            compacted.refunded_in_excess += u64::from(counted.is_some_and(|counted| counted.is_refunded_in_excess()));
            self.list(order, Sign::Minus);
            self.drop_order(order, &mut compacted, effects);
        }
        let customer = &mut self.customers[slot];
        if due.iter().any(|(_, order)| *order == customer.contributed.order) {
            customer.contributed.order = COMPACTED;
        }
        customer.compacted = Some(compacted);
        due.len()
    }

    /// Compacts an order that does not count.
    fn compact_order(&mut self, order: u32, effects: &mut impl Effects) {
        let slot = self.orders[order].customer;
        // What is told of the customer may still be as of before it was cancelled.
        let first = self.first(&self.customers[slot]);
        self.rebook(slot, first.as_ref());
        let mut compacted = self.customers[slot].compacted.take().unwrap_or_default();
        self.drop_order(order, &mut compacted, effects);
        self.customers[slot].compacted = Some(compacted);
    }

    /// Deletes an order with its facts, and remembers that it was there.
    fn drop_order(&mut self, slot: u32, compacted: &mut Compacted, effects: &mut impl Effects) {
        let order = self.orders.remove(slot);
        let customer = &self.customers[order.customer].id;
        for refund in self.refunds.take(order.refunds) {
            self.facts.delete(&Key::Refund { customer, order: &order.id, refund: &refund.id }, effects);
        }
        if order.cancelled_at().is_some() {
            self.facts.delete(&Key::Cancellation { customer, order: &order.id }, effects);
        }
        if order.placed.is_some() {
            self.facts.delete(&Key::Order { customer, order: &order.id }, effects);
        }
        let block = compacted.fingerprints.insert(of_order(&order.id));
        self.unwritten.push((order.customer, block));
        order.placed.iter().for_each(|placed| self.hold_placed(placed, Sign::Minus));
    }

    fn compact_cost(&mut self, slot: u32, effects: &mut impl Effects) {
        let cost = self.costs.remove(slot);
        let customer = &mut self.customers[cost.customer];
        self.facts.delete(&Key::Cost { customer: &customer.id, cost: &cost.id }, effects);
        let compacted = customer.compacted.get_or_insert_default();
        let costs = compacted.costs.get_or_insert_default();
        *match cost.kind {
            CustomerCostKind::Acquisition => &mut costs.acquisition,
            CustomerCostKind::Retention => &mut costs.retention,
        } += cost.amount.into();
        self.unwritten.push((cost.customer, compacted.fingerprints.insert(of_cost(&cost.id))));
    }

    /// Compacts some of what lies before the horizon, and says whether all of it is.
    pub(super) fn compact(&mut self, budget: usize, effects: &mut impl Effects) -> bool {
        if self.horizon.orders == Millis::MIN {
            return true;
        }
        if self.compaction.horizon != Some(self.horizon.orders) {
            self.compaction =
                Compaction { horizon: Some(self.horizon.orders), next: self.compaction.next, ..Compaction::default() };
        }
        let (mut looks, mut budget) = (budget.saturating_mul(LOOKS).max(1), budget.max(1));
        while self.compaction.order < self.orders.places() && looks > 0 && budget > 0 {
            let slot = self.compaction.order;
            self.compaction.order += 1;
            looks -= 1;
            if self.is_old(slot) {
                let worked = if self.orders[slot].counting().is_some() {
                    self.compact_orders(self.orders[slot].customer, effects)
                } else {
                    self.compact_order(slot, effects);
                    1
                };
                budget = budget.saturating_sub(worked);
            }
        }
        while self.compaction.cost < self.costs.places() && looks > 0 && budget > 0 {
            let slot = self.compaction.cost;
            self.compaction.cost += 1;
            looks -= 1;
            let cost = &self.costs[slot];
            if cost.customer != NONE && cost.occurred_at < self.horizon.orders {
                self.compact_cost(slot, effects);
                budget -= 1;
            }
        }
        self.write_compacted(effects);
        self.compaction.done =
            self.compaction.order >= self.orders.places() && self.compaction.cost >= self.costs.places();
        self.compaction.done
    }

    /// When there is something to compact: at any moment while something is left, else when the horizon may move.
    pub(super) fn next_compaction(&self) -> Option<Millis> {
        let horizon = self.horizon.orders;
        let is_done = self.compaction.done && self.compaction.horizon == Some(horizon);
        if horizon > Millis::MIN && !is_done {
            return Some(NEVER);
        }
        self.settings.retention.orders_days.map(|_| self.compaction.next.unwrap_or(NEVER))
    }

    /// Writes what was compacted since this was called last.
    fn write_compacted(&mut self, effects: &mut impl Effects) {
        let mut unwritten = mem::take(&mut self.unwritten);
        unwritten.sort_unstable();
        unwritten.dedup();
        let (mut last, mut facts) = (NONE, mem::take(&mut self.facts));
        for (slot, block) in unwritten.drain(..) {
            self.count_compacted(slot);
            let customer = &self.customers[slot];
            let Some(compacted) = &customer.compacted else { continue };
            let key = Key::Fingerprints { customer: &customer.id, block };
            facts.put_with(&key, |value| compacted.fingerprints.write(block, value), effects);
            if mem::replace(&mut last, slot) != slot {
                let fact = self.compacted_fact(customer, compacted);
                let format = self.settings.format;
                facts.put_with(&Key::Compacted { customer: &customer.id }, |value| fact.write(format, value), effects);
            }
        }
        (self.unwritten, self.facts) = (unwritten, facts);
    }

    pub(super) fn compacted_fact<'a>(&'a self, customer: &Customer, compacted: &Compacted) -> CompactedFact<'a> {
        let (sums, items) = self.compacted_sums(customer);
        let costs = compacted.costs.as_deref().copied().unwrap_or_default();
        let first = compacted.first.map(|first| FirstFact {
            at: first.at,
            since: (first.since != Millis::MAX).then_some(first.since),
            known_before: first.known_before,
            campaign: self.campaigns.text(first.campaign),
            channel: self.channels.text(first.channel),
            sku: self.skus.text(first.sku),
        });
        CompactedFact {
            orders: compacted.orders,
            refunded_in_excess: compacted.refunded_in_excess,
            last_at: compacted.last_at,
            sums,
            items,
            acquisition_cost: costs.acquisition,
            retention_cost: costs.retention,
            first,
        }
    }

    /// Brings the sizes up to date for what is compacted of a customer.
    pub(super) fn count_compacted(&mut self, slot: u32) {
        if let Some(compacted) = &mut self.customers[slot].compacted {
            let bytes = u32::try_from(compacted.bytes()).unwrap_or(u32::MAX);
            self.totals.compacted_bytes = self.totals.compacted_bytes + bytes as usize - compacted.counted as usize;
            compacted.counted = bytes;
        }
    }

    /// What the customer's sums have of orders that are compacted: all but the others.
    fn compacted_sums(&self, customer: &Customer) -> (OrderSums, i128) {
        let (mut sums, mut items) = (customer.sums, customer.items);
        for (_, slot) in customer.timeline.iter() {
            if let Some(counted) = Counted::of(&self.orders, &self.refunds, slot) {
                sums -= counted.figures();
                items -= i128::from(counted.placed.items);
            }
        }
        (sums, items)
    }

    /// Takes the fact of what is compacted of a customer.
    pub(super) fn fold_compacted(&mut self, slot: u32, fact: &CompactedFact<'_>) {
        self.touch(slot);
        let (sums, items) = self.compacted_sums(&self.customers[slot]);
        let first = fact.first.as_ref().map(|first| First {
            at: first.at,
            since: first.since.unwrap_or(Millis::MAX),
            known_before: first.known_before,
            campaign: self.campaigns.optional_number(first.campaign),
            channel: self.channels.optional_number(first.channel),
            sku: self.skus.optional_number(first.sku),
        });
        first.iter().for_each(|first| self.hold_first(first, Sign::Plus));
        if let Some(before) = self.customers[slot].compacted.as_ref().and_then(|compacted| compacted.first) {
            self.hold_first(&before, Sign::Minus);
        }
        let customer = &mut self.customers[slot];
        customer.sums += fact.sums - sums;
        self.totals.sums += fact.sums - sums;
        customer.items += fact.items - items;
        let compacted = customer.compacted.get_or_insert_default();
        self.totals.refunded_in_excess += fact.refunded_in_excess;
        self.totals.refunded_in_excess -= compacted.refunded_in_excess;
        let costs = compacted.costs.as_deref().copied().unwrap_or_default();
        customer.acquisition_cost += fact.acquisition_cost - costs.acquisition;
        customer.retention_cost += fact.retention_cost - costs.retention;
        let costs = Costs { acquisition: fact.acquisition_cost, retention: fact.retention_cost };
        let has_costs = costs.acquisition != Sum::ZERO || costs.retention != Sum::ZERO;
        compacted.costs = has_costs.then(|| Box::new(costs));
        compacted.orders = fact.orders;
        compacted.refunded_in_excess = fact.refunded_in_excess;
        compacted.last_at = fact.last_at;
        compacted.first = first;
    }

    /// Takes a block of what a customer's compacted orders and costs are known by.
    pub(super) fn fold_fingerprints(&mut self, slot: u32, block: u16, fingerprints: Vec<u64>) {
        self.touch(slot);
        self.customers[slot].compacted.get_or_insert_default().fingerprints.set(block, fingerprints);
    }
}
