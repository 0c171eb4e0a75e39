//! Orders and costs that are too old to be kept individually are carried forward: as sums and counts of their customer, its
//! first order, who acquired it, and eight bytes each to know them by. Figures stay as they are.
//!
//! The [`Horizon`] says from when. It is a fact, follows `as_of` and never goes back, and by it alone it is decided whether
//! an event is too late. What lies before it is carried a bounded number at a time, in the transactions in which its facts
//! are replaced, or when an event touches the customer; until then it counts the same.

use std::mem;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::contribution::Sign;
use super::facts::{CarriedFact, FirstFact, Key};
use super::known::Known;
use super::state::{Acquisition, CARRIED, Counted, Customer};
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

/// What is carried of a customer's orders and costs. Their sums are in the customer's own.
#[derive(Debug)]
pub struct Carried {
    /// Orders that counted.
    pub orders: u64,
    pub refunded_in_excess: u64,
    /// When the last of those orders was.
    pub last_at: Millis,
    pub first: Option<First>,
    costs: Option<Box<Costs>>,
    pub known: Known,
    /// Its memory as the sizes count it.
    counted: u32,
}

impl Default for Carried {
    fn default() -> Self {
        Carried {
            orders: 0,
            refunded_in_excess: 0,
            last_at: Millis::MIN,
            first: None,
            costs: None,
            known: Known::default(),
            counted: 0,
        }
    }
}

/// The first order, and what followed from it when it was carried: that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    pub at: Millis,
    /// The earliest `customer_since`, or [`Millis::MAX`].
    pub since: Millis,
    pub known_before: bool,
    /// Of the acquiring touchpoint, or [`NONE`].
    pub campaign: u32,
    pub channel: u32,
    /// Or [`NONE`].
    pub sku: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Costs {
    acquisition: Sum,
    retention: Sum,
}

/// How far what lies before the horizon is carried.
#[derive(Debug, Default)]
pub struct Sweep {
    /// The horizon that it goes by.
    horizon: Option<Millis>,
    /// The next places to look at.
    order: u32,
    cost: u32,
    /// All that lay before it is carried.
    done: bool,
    /// When the horizon may move next; none before it was looked at.
    next: Option<Millis>,
}

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

fn order_fingerprint(id: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), 0)
}

fn cost_fingerprint(id: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), 1)
}

impl Carried {
    fn bytes(&self) -> usize {
        size_of::<Carried>() + self.costs.as_ref().map_or(0, |_| size_of::<Costs>()) + self.known.bytes()
    }
}

impl Customers {
    /// Moves the horizon on to `as_of`; `last` is the moment before it.
    pub(super) fn move_horizon(&mut self, as_of: Millis, effects: &mut impl Effects) {
        let last = self.as_of.replace(self.as_of.map_or(as_of, |last| last.max(as_of)));
        let Some(days) = self.settings.retention.orders_days else { return };
        if self.sweep.next.is_none_or(|next| next <= as_of) {
            let zone = &self.settings.zone;
            self.sweep.next = Some(zone.start_of(zone.date(as_of).plus(1)));
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

    /// Carries what the customer of an event has that is not kept individually, unless the event is too late.
    pub(super) fn make_way(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<(), Rejection> {
        let horizon = self.horizon.orders;
        if let Some(customer) = self.not_too_late(event)?
            && self.customers[customer].timeline.first().is_some_and(|(first, _)| first < horizon)
        {
            // They may have left the last 365 days as well, which a roll finds by the orders that are kept individually.
            self.touch(customer);
            self.carry_orders(customer, effects);
            self.write_carried(effects);
        }
        Ok(())
    }

    /// What is known of an order or cost of a customer.
    fn standing(&self, customer: Option<u32>, target: &Target<'_>) -> Standing {
        let Some(customer) = customer else { return Standing::New };
        let (is_old, fingerprint) = match *target {
            Target::Order { id, .. } => {
                (self.orders.find(customer, id).map(|order| self.is_old(order)), order_fingerprint(id))
            }
            Target::Cost { id } => {
                let cost = self.costs.find(customer, id);
                (cost.map(|cost| self.costs[cost].occurred_at < self.horizon.orders), cost_fingerprint(id))
            }
        };
        let carried = || self.customers[customer].carried.as_ref();
        match is_old {
            Some(true) => Standing::Gone,
            Some(false) => Standing::Kept,
            None if carried().is_some_and(|carried| carried.known.contains(fingerprint)) => Standing::Gone,
            None => Standing::New,
        }
    }

    /// Whether an order lies before the horizon; of one that was not placed yet, all that is known of it.
    fn is_old(&self, slot: u32) -> bool {
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

    /// Carries the orders of a customer that count and lie before the horizon. Returns how many.
    fn carry_orders(&mut self, slot: u32, effects: &mut impl Effects) -> usize {
        let before = self.horizon.orders;
        let entries = self.customers[slot].timeline.iter();
        let due: Vec<(Millis, u32)> = entries.take_while(|(at, _)| *at < before).collect();
        let Some(&(last_at, _)) = due.last() else { return 0 };
        self.reclassify(slot);
        let first = self.first_of(&self.customers[slot]);
        let mut carried = self.customers[slot].carried.take().unwrap_or_default();
        if carried.first.is_none() {
            carried.first = first;
            first.iter().for_each(|first| self.hold_first(first, Sign::Plus));
        }
        carried.last_at = carried.last_at.max(last_at);
        carried.orders += due.len() as u64;
        for &(_, order) in &due {
            let counted = Counted::of(&self.orders, &self.refunds, order);
            carried.refunded_in_excess += u64::from(counted.is_some_and(|counted| counted.is_refunded_in_excess()));
            self.list(order, Sign::Minus);
            self.drop_order(order, &mut carried, effects);
        }
        let customer = &mut self.customers[slot];
        if due.iter().any(|(_, order)| *order == customer.contributed.order) {
            customer.contributed.order = CARRIED;
        }
        customer.carried = Some(carried);
        due.len()
    }

    /// Carries an order that does not count.
    fn carry_order(&mut self, order: u32, effects: &mut impl Effects) {
        let slot = self.orders[order].customer;
        // What is told of the customer may still be as of before it was cancelled.
        self.reclassify(slot);
        let mut carried = self.customers[slot].carried.take().unwrap_or_default();
        self.drop_order(order, &mut carried, effects);
        self.customers[slot].carried = Some(carried);
    }

    /// Deletes an order with its facts, and remembers that it was there.
    fn drop_order(&mut self, slot: u32, carried: &mut Carried, effects: &mut impl Effects) {
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
        let block = carried.known.insert(order_fingerprint(&order.id));
        self.unwritten.push((order.customer, block));
        order.placed.iter().for_each(|placed| self.hold_placed(placed, Sign::Minus));
    }

    fn carry_cost(&mut self, slot: u32, effects: &mut impl Effects) {
        let cost = self.costs.remove(slot);
        let customer = &mut self.customers[cost.customer];
        self.facts.delete(&Key::Cost { customer: &customer.id, cost: &cost.id }, effects);
        let carried = customer.carried.get_or_insert_default();
        let costs = carried.costs.get_or_insert_default();
        *match cost.kind {
            CustomerCostKind::Acquisition => &mut costs.acquisition,
            CustomerCostKind::Retention => &mut costs.retention,
        } += cost.amount.into();
        self.unwritten.push((cost.customer, carried.known.insert(cost_fingerprint(&cost.id))));
    }

    /// The first order of those that are kept individually, with what follows from it now.
    pub(super) fn first_of(&self, customer: &Customer) -> Option<First> {
        let placed = self.first_placed(customer)?;
        let known_before = self.known_before(customer);
        let touch = if known_before { None } else { self.acquiring(placed) };
        Some(First {
            at: placed.occurred_at,
            since: customer.since.earliest(),
            known_before,
            campaign: touch.map_or(NONE, |touch| touch.campaign),
            channel: touch.map_or(NONE, |touch| touch.channel),
            sku: placed.sku,
        })
    }

    /// Carries some of what lies before the horizon, and says whether all of it is.
    pub(super) fn sweep(&mut self, budget: usize, effects: &mut impl Effects) -> bool {
        if self.horizon.orders == Millis::MIN {
            return true;
        }
        if self.sweep.horizon != Some(self.horizon.orders) {
            self.sweep = Sweep { horizon: Some(self.horizon.orders), next: self.sweep.next, ..Sweep::default() };
        }
        let (mut looks, mut budget) = (budget.saturating_mul(LOOKS).max(1), budget.max(1));
        while self.sweep.order < self.orders.places() && looks > 0 && budget > 0 {
            let slot = self.sweep.order;
            self.sweep.order += 1;
            looks -= 1;
            if self.is_old(slot) {
                let worked = if self.orders[slot].counting().is_some() {
                    self.carry_orders(self.orders[slot].customer, effects)
                } else {
                    self.carry_order(slot, effects);
                    1
                };
                budget = budget.saturating_sub(worked);
            }
        }
        while self.sweep.cost < self.costs.places() && looks > 0 && budget > 0 {
            let slot = self.sweep.cost;
            self.sweep.cost += 1;
            looks -= 1;
            let cost = &self.costs[slot];
            if cost.customer != NONE && cost.occurred_at < self.horizon.orders {
                self.carry_cost(slot, effects);
                budget -= 1;
            }
        }
        self.write_carried(effects);
        self.sweep.done = self.sweep.order >= self.orders.places() && self.sweep.cost >= self.costs.places();
        self.sweep.done
    }

    /// When there is something to carry: at any moment while something is left, else when the horizon may move.
    pub(super) fn next_sweep(&self) -> Option<Millis> {
        let horizon = self.horizon.orders;
        let is_done = self.sweep.done && self.sweep.horizon == Some(horizon);
        if horizon > Millis::MIN && !is_done {
            return Some(NEVER);
        }
        self.settings.retention.orders_days.map(|_| self.sweep.next.unwrap_or(NEVER))
    }

    /// Writes what was carried since this was called last.
    fn write_carried(&mut self, effects: &mut impl Effects) {
        let mut unwritten = mem::take(&mut self.unwritten);
        unwritten.sort_unstable();
        unwritten.dedup();
        let (mut last, mut facts) = (NONE, mem::take(&mut self.facts));
        for (slot, block) in unwritten.drain(..) {
            self.count_carried(slot);
            let customer = &self.customers[slot];
            let Some(carried) = &customer.carried else { continue };
            let known = Key::Known { customer: &customer.id, block };
            facts.put_with(&known, |value| carried.known.write(block, value), effects);
            if mem::replace(&mut last, slot) != slot {
                let fact = self.carried_fact(customer, carried);
                let format = self.settings.format;
                facts.put_with(&Key::Carried { customer: &customer.id }, |value| fact.write(format, value), effects);
            }
        }
        (self.unwritten, self.facts) = (unwritten, facts);
    }

    pub(super) fn carried_fact<'a>(&'a self, customer: &Customer, carried: &Carried) -> CarriedFact<'a> {
        let (sums, items) = self.carried_sums(customer);
        let costs = carried.costs.as_deref().copied().unwrap_or_default();
        let first = carried.first.map(|first| FirstFact {
            at: first.at,
            since: (first.since != Millis::MAX).then_some(first.since),
            known_before: first.known_before,
            campaign: self.campaigns.text(first.campaign),
            channel: self.channels.text(first.channel),
            sku: self.skus.text(first.sku),
        });
        CarriedFact {
            orders: carried.orders,
            refunded_in_excess: carried.refunded_in_excess,
            last_at: carried.last_at,
            sums,
            items,
            acquisition_cost: costs.acquisition,
            retention_cost: costs.retention,
            first,
        }
    }

    /// Brings the sizes up to date for what is carried of a customer.
    pub(super) fn count_carried(&mut self, slot: u32) {
        if let Some(carried) = &mut self.customers[slot].carried {
            let bytes = u32::try_from(carried.bytes()).unwrap_or(u32::MAX);
            self.totals.carried_bytes = self.totals.carried_bytes + bytes as usize - carried.counted as usize;
            carried.counted = bytes;
        }
    }

    /// What the customer's sums have of orders that are carried: all but the others.
    fn carried_sums(&self, customer: &Customer) -> (OrderSums, i128) {
        let (mut sums, mut items) = (customer.sums, customer.items);
        for (_, slot) in customer.timeline.iter() {
            if let Some(counted) = Counted::of(&self.orders, &self.refunds, slot) {
                sums -= counted.figures();
                items -= i128::from(counted.placed.items);
            }
        }
        (sums, items)
    }

    /// Takes the fact of what is carried of a customer.
    pub(super) fn fold_carried(&mut self, slot: u32, fact: &CarriedFact<'_>) {
        self.touch(slot);
        let (sums, items) = self.carried_sums(&self.customers[slot]);
        let first = fact.first.as_ref().map(|first| First {
            at: first.at,
            since: first.since.unwrap_or(Millis::MAX),
            known_before: first.known_before,
            campaign: self.campaigns.optional_number(first.campaign),
            channel: self.channels.optional_number(first.channel),
            sku: self.skus.optional_number(first.sku),
        });
        first.iter().for_each(|first| self.hold_first(first, Sign::Plus));
        if let Some(before) = self.customers[slot].carried.as_ref().and_then(|carried| carried.first) {
            self.hold_first(&before, Sign::Minus);
        }
        let customer = &mut self.customers[slot];
        customer.sums += fact.sums - sums;
        self.totals.sums += fact.sums - sums;
        customer.items += fact.items - items;
        let carried = customer.carried.get_or_insert_default();
        self.totals.refunded_in_excess += fact.refunded_in_excess;
        self.totals.refunded_in_excess -= carried.refunded_in_excess;
        let costs = carried.costs.as_deref().copied().unwrap_or_default();
        customer.acquisition_cost += fact.acquisition_cost - costs.acquisition;
        customer.retention_cost += fact.retention_cost - costs.retention;
        let costs = Costs { acquisition: fact.acquisition_cost, retention: fact.retention_cost };
        let has_costs = costs.acquisition != Sum::ZERO || costs.retention != Sum::ZERO;
        carried.costs = has_costs.then(|| Box::new(costs));
        carried.orders = fact.orders;
        carried.refunded_in_excess = fact.refunded_in_excess;
        carried.last_at = fact.last_at;
        carried.first = first;
    }

    /// Takes a block of what a customer's carried orders and costs are known by.
    pub(super) fn fold_known(&mut self, slot: u32, block: u16, known: Vec<u64>) {
        self.touch(slot);
        self.customers[slot].carried.get_or_insert_default().known.set(block, known);
    }

    /// When a customer was acquired.
    pub(super) fn acquired_at(&self, customer: &Customer, acquisition: Acquisition) -> Option<Millis> {
        match acquisition.order {
            CARRIED => Some(customer.carried.as_ref()?.first?.at),
            NONE => None,
            // The customer knows it: no order is fetched from memory.
            order => match customer.timeline.first() {
                Some((at, first)) if first == order => Some(at),
                _ => Some(self.order_at(order)?.counting()?.occurred_at),
            },
        }
    }
}
