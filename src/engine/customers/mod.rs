//! The customers stage: every customer's orders and figures, and what they contribute to campaigns.
//!
//! An event changes one order (or refund, or cost). The order's figures leave the sums before the change and enter them
//! after it, so the first order, an amendment, a refund, a cancellation and a late earlier order are all one case. The
//! same goes for campaigns: see [`contribution`].

mod contribution;
mod facts;
mod record;
mod state;
mod timeline;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use self::contribution::{Acquired, Ledger, Sign, acquiring_touch};
use self::facts::{CancellationFact, CostFact, Key, OrderFact, RefundFact, TouchFact};
use self::record::Figures;
use self::state::{Acquisition, Contributing, Cost, Customer, Order, Placed, Refund, Touch};
use super::ledger::OrderSums;
use super::table::{NONE, Names, Table};
use super::{Effects, FormatError, Outcome, Sizes, Stage};
use crate::domain::attribution::participants;
use crate::domain::order::{Refunded, refunded_in_excess};
use crate::events::{Cancellation, CustomerCost, CustomerCostKind, Event, Purchase, Touchpoint};
use crate::money::{Micros, Sum};
use crate::settings::Settings;
use crate::time::Millis;

/// The days that `purchases_per_year` looks back, and `observed_days` counts at most.
const YEAR: i64 = 365 * Millis::DAY;

/// The state of one partition.
#[derive(Debug)]
pub struct Customers {
    settings: Arc<Settings>,
    customers: Table<Customer>,
    orders: Table<Order>,
    refunds: Table<Refund>,
    costs: Table<Cost>,
    campaigns: Names,
    channels: Names,
    skus: Names,
    ledger: Ledger,
    /// Customers changed since the last flush, with what they contributed before.
    touched: Vec<(u32, Option<Acquired>)>,
    /// Orders ahead of the clock, which enter `purchases_per_year` when it gets there.
    upcoming: BTreeSet<(Millis, u32)>,
    /// Facts are being folded: nothing goes out.
    restoring: bool,
    /// Restored, and no roll was completed since: orders that the clock has reached since the last roll may not have been
    /// `upcoming` here.
    unrolled: bool,
    /// The next customer that the roll under way looks at.
    cursor: u32,
    totals: Totals,
    buffers: Buffers,
}

#[derive(Debug, Default)]
struct Totals {
    sums: OrderSums,
    contributing: [u64; 3],
    refunded_in_excess: u64,
    placed_bytes: usize,
}

#[derive(Debug, Default)]
struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    fn fact(&mut self, key: Key<'_>, fact: &impl serde::Serialize, effects: &mut impl Effects) {
        key.write(&mut self.key);
        facts::write(fact, &mut self.value);
        effects.fact(&self.key, Some(&self.value));
    }
}

/// What an event is, compared with the version that is here: the greater one wins.
fn outcome<T: Ord>(new: T, current: Option<T>) -> Outcome {
    match current.map(|current| new.cmp(&current)) {
        None | Some(Ordering::Greater) => Outcome::Applied,
        Some(Ordering::Equal) => Outcome::Duplicate,
        Some(Ordering::Less) => Outcome::Superseded,
    }
}

impl Customers {
    fn customer(&mut self, id: &str) -> u32 {
        match self.customers.find(0, id) {
            Some(slot) => slot,
            None => self.customers.insert(Customer::new(id)),
        }
    }

    fn order(&mut self, customer_id: &str, order_id: &str) -> u32 {
        let customer = self.customer(customer_id);
        match self.orders.find(customer, order_id) {
            Some(slot) => slot,
            None => self.orders.insert(Order { customer, id: order_id.into(), placed: None, aftermath: None }),
        }
    }

    /// Notes a customer for the next flush, with what it contributes before it changes.
    fn touch(&mut self, slot: u32) {
        let customer = &mut self.customers[slot];
        if mem::replace(&mut customer.touched, true) {
            return;
        }
        let customer = &self.customers[slot];
        let acquisition_order = self.order_at(customer.contributed.order);
        let before = Acquired::of(&self.settings, customer, acquisition_order).filter(|_| !self.restoring);
        self.touched.push((slot, before));
    }

    fn order_at(&self, slot: u32) -> Option<&Order> {
        (slot != NONE).then(|| &self.orders[slot])
    }

    /// Changes one order: its figures leave all sums before, and enter them after.
    fn change(&mut self, slot: u32, change: impl FnOnce(&mut Order)) {
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
    fn orders_first(&self, slot: u32) -> Option<(Millis, &str)> {
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

    /// Whether the customer bought before this stream knows of it.
    fn known_before(&self, customer: &Customer) -> bool {
        let Some((first, _)) = self.orders_first(customer.first_order) else { return false };
        customer.since < first || self.settings.complete_from.is_some_and(|complete_from| first < complete_from)
    }

    /// Who acquired the customer, as things are now.
    fn acquisition(&self, customer: &Customer) -> Acquisition {
        let first = self.order_at(customer.first_order).and_then(Order::counting);
        match first.filter(|_| !self.known_before(customer)) {
            Some(placed) => {
                let touch = acquiring_touch(&self.settings, placed);
                Acquisition { campaign: touch.map_or(NONE, |touch| touch.campaign), order: customer.first_order }
            }
            None => Acquisition::NOBODY,
        }
    }

    /// Books over a customer whose acquisition has changed since the last flush.
    fn reclassify(&mut self, slot: u32) {
        let customer = &self.customers[slot];
        let (from, to) = (customer.contributed, self.acquisition(customer));
        if from == to {
            return;
        }
        let (settings, orders, ledger) = (&self.settings, &self.orders, &mut self.ledger);
        let mut rebook = |slot: u32| {
            if let Some(placed) = orders[slot].counting() {
                ledger.reclassify(settings, (from, to), slot, (&orders[slot], placed));
            }
        };
        if from.campaign == to.campaign {
            [from.order, to.order].into_iter().filter(|&order| order != NONE).for_each(&mut rebook);
        } else {
            customer.timeline.iter().for_each(|(_, order)| rebook(order));
        }
        self.customers[slot].contributed = to;
    }

    fn figures<'a>(&'a self, customer: &'a Customer, as_of: Millis) -> Figures<'a> {
        let first = self.order_at(customer.first_order).and_then(Order::counting);
        let known_before = self.known_before(customer);
        let touch = first.filter(|_| !known_before).and_then(|placed| acquiring_touch(&self.settings, placed));
        Figures {
            settings: &self.settings,
            as_of,
            customer,
            purchases_in_year: customer.timeline.count_between(as_of.plus(-YEAR), as_of),
            first,
            known_before,
            campaign: touch.and_then(|touch| self.campaigns.text(touch.campaign)),
            channel: touch.and_then(|touch| self.channels.text(touch.channel)),
            sku: first.and_then(|placed| self.skus.text(placed.sku)),
        }
    }

    /// Counts the customer as contributing or not, as it is now.
    fn count_contributing(&mut self, slot: u32) {
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

    fn note_upcoming(&mut self, slot: u32, as_of: Millis) {
        let timeline = &self.customers[slot].timeline;
        if timeline.last().is_some_and(|(last, _)| last > as_of) {
            self.upcoming.extend(timeline.iter().filter(|(at, _)| *at > as_of).map(|(at, _)| (at, slot)));
        }
    }

    fn purchase(&mut self, purchase: &Purchase<'_>, effects: &mut impl Effects) -> Outcome {
        let slot = self.order(&purchase.customer_id, &purchase.order_id);
        let version = |at: Millis, revenue: Micros, digest: u64| (at, revenue, digest);
        let current = self.orders[slot].placed.as_ref();
        let outcome = outcome(
            version(purchase.updated_at, purchase.revenue, purchase.digest),
            current.map(|placed| version(placed.updated_at, placed.revenue, placed.digest)),
        );
        if outcome != Outcome::Applied {
            return outcome;
        }
        let mut touches: Vec<&Touchpoint<'_>> = purchase.touchpoints.iter().collect();
        let attribution = &self.settings.attribution;
        let ignorable = |touch: &&Touchpoint<'_>| {
            let ignored = |channel: &str| attribution.ignore_channels.iter().any(|ignored| ignored == channel);
            touch.campaign_id.is_none() && touch.channel.as_deref().is_some_and(ignored)
        };
        participants(&mut touches, attribution, purchase.occurred_at, |touch| touch.at, ignorable);
        let fact = OrderFact {
            occurred_at: purchase.occurred_at,
            updated_at: purchase.updated_at,
            revenue: purchase.revenue,
            cost_of_goods: purchase.cost_of_goods,
            operating_cost: purchase.operating_cost,
            items: purchase.items,
            customer_since: purchase.customer_since,
            digest: purchase.digest,
            sku: purchase.first_sku.as_deref(),
            touches: touches
                .iter()
                .map(|touch| TouchFact {
                    at: touch.at,
                    campaign: touch.campaign_id.as_deref(),
                    channel: touch.channel.as_deref(),
                })
                .collect(),
        };
        let key = Key::Order { customer: &purchase.customer_id, order: &purchase.order_id };
        self.buffers.fact(key, &fact, effects);
        self.place(slot, &fact);
        outcome
    }

    fn place(&mut self, slot: u32, fact: &OrderFact<'_>) {
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
            items: fact.items,
            customer_since: fact.customer_since.unwrap_or(Millis::MAX),
            digest: fact.digest,
            touches: touches.collect(),
            sku: self.skus.optional_number(fact.sku),
        };
        self.totals.placed_bytes += size_of_val(&*placed.touches);
        if let Some(before) = &self.orders[slot].placed {
            self.totals.placed_bytes -= size_of_val(&*before.touches);
        }
        self.change(slot, |order| order.placed = Some(placed));
    }

    fn refund(&mut self, refund: &crate::events::Refund<'_>, effects: &mut impl Effects) -> Outcome {
        let order = self.order(&refund.customer_id, &refund.order_id);
        let fact = RefundFact {
            occurred_at: refund.occurred_at,
            amount: refund.amount,
            cost_recovered: refund.cost_recovered,
            digest: refund.digest,
        };
        let current = self.refunds.find(order, &refund.refund_id).map(|slot| &self.refunds[slot]);
        let outcome = outcome(
            (fact.occurred_at, fact.amount, fact.digest),
            current.map(|current| (current.occurred_at, current.amount, current.digest)),
        );
        if outcome == Outcome::Applied {
            self.give_back(order, &refund.refund_id, &fact);
            let key = Key::Refund { customer: &refund.customer_id, order: &refund.order_id, refund: &refund.refund_id };
            self.buffers.fact(key, &fact, effects);
        }
        outcome
    }

    fn give_back(&mut self, order: u32, id: &str, fact: &RefundFact) {
        let refund = Refund {
            order,
            id: id.into(),
            occurred_at: fact.occurred_at,
            amount: fact.amount,
            cost_recovered: fact.cost_recovered,
            digest: fact.digest,
        };
        let of =
            |refund: &Refund| Refunded { amount: refund.amount.into(), cost_recovered: refund.cost_recovered.into() };
        let new = of(&refund);
        let old = match self.refunds.find(order, id) {
            Some(slot) => of(&mem::replace(&mut self.refunds[slot], refund)),
            None => {
                self.refunds.insert(refund);
                Refunded::default()
            }
        };
        self.change(order, |order| {
            let refunded = &mut order.aftermath_mut().refunded;
            refunded.amount += new.amount - old.amount;
            refunded.cost_recovered += new.cost_recovered - old.cost_recovered;
        });
    }

    fn cancellation(&mut self, cancellation: &Cancellation<'_>, effects: &mut impl Effects) -> Outcome {
        let order = self.order(&cancellation.customer_id, &cancellation.order_id);
        let outcome = outcome(cancellation.occurred_at, self.orders[order].cancelled_at());
        if outcome == Outcome::Applied {
            let key = Key::Cancellation { customer: &cancellation.customer_id, order: &cancellation.order_id };
            let fact = CancellationFact { occurred_at: cancellation.occurred_at };
            self.buffers.fact(key, &fact, effects);
            self.change(order, |order| order.aftermath_mut().cancelled_at = Some(fact.occurred_at));
        }
        outcome
    }

    fn customer_cost(&mut self, cost: &CustomerCost<'_>, effects: &mut impl Effects) -> Outcome {
        let customer = self.customer(&cost.customer_id);
        let fact =
            CostFact { occurred_at: cost.occurred_at, amount: cost.amount, kind: cost.kind, digest: cost.digest };
        let current = self.costs.find(customer, &cost.cost_id).map(|slot| &self.costs[slot]);
        let outcome = outcome(
            (fact.occurred_at, fact.amount, fact.digest),
            current.map(|current| (current.occurred_at, current.amount, current.digest)),
        );
        if outcome == Outcome::Applied {
            let key = Key::Cost { customer: &cost.customer_id, cost: &cost.cost_id };
            self.buffers.fact(key, &fact, effects);
            self.spend_on(customer, &cost.cost_id, &fact);
        }
        outcome
    }

    fn spend_on(&mut self, customer: u32, id: &str, fact: &CostFact) {
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

impl Stage for Customers {
    const NAME: &'static str = "customers";

    fn new(settings: Arc<Settings>) -> Self {
        Customers {
            settings,
            customers: Table::default(),
            orders: Table::default(),
            refunds: Table::default(),
            costs: Table::default(),
            campaigns: Names::default(),
            channels: Names::default(),
            skus: Names::default(),
            ledger: Ledger::default(),
            touched: Vec::new(),
            upcoming: BTreeSet::new(),
            restoring: false,
            unrolled: false,
            cursor: 0,
            totals: Totals::default(),
            buffers: Buffers::default(),
        }
    }

    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Outcome {
        match event {
            Event::Purchase(purchase) => self.purchase(purchase, effects),
            Event::Refund(refund) => self.refund(refund, effects),
            Event::Cancellation(cancellation) => self.cancellation(cancellation, effects),
            Event::CustomerCost(cost) => self.customer_cost(cost, effects),
            Event::AdSpend(_) | Event::AdSpendReport(_) => {
                debug_assert!(false, "spend is at home in the campaigns stage");
                Outcome::Superseded
            }
        }
    }

    fn absorb(&mut self, _payload: &[u8]) -> Result<(), FormatError> {
        Err(FormatError::Malformed { what: "record: the customers stage takes no differences" })
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError> {
        // No fact of a customer is ever deleted.
        let value = value.ok_or(FormatError::Malformed { what: "deletion of a customer's fact" })?;
        self.restoring = true;
        match Key::read(key)? {
            Key::Order { customer, order } => {
                let fact = facts::read(value)?;
                let slot = self.order(customer, order);
                self.place(slot, &fact);
            }
            Key::Refund { customer, order, refund } => {
                let fact = facts::read(value)?;
                let slot = self.order(customer, order);
                self.give_back(slot, refund, &fact);
            }
            Key::Cancellation { customer, order } => {
                let fact: CancellationFact = facts::read(value)?;
                let slot = self.order(customer, order);
                self.change(slot, |order| order.aftermath_mut().cancelled_at = Some(fact.occurred_at));
            }
            Key::Cost { customer, cost } => {
                let fact = facts::read(value)?;
                let slot = self.customer(customer);
                self.spend_on(slot, cost, &fact);
            }
        }
        Ok(())
    }

    fn restored(&mut self, as_of: Option<Millis>) {
        for (slot, _) in mem::take(&mut self.touched) {
            let acquisition = self.acquisition(&self.customers[slot]);
            let customer = &mut self.customers[slot];
            customer.contributed = acquisition;
            customer.touched = false;
            self.count_contributing(slot);
            self.note_upcoming(slot, as_of.unwrap_or(Millis::MIN));
        }
        self.restoring = false;
        self.unrolled = true;
        self.cursor = 0;
    }

    fn flush(&mut self, as_of: Millis, effects: &mut impl Effects) {
        let mut json = mem::take(&mut self.buffers.value);
        let mut touched = mem::take(&mut self.touched);
        for (slot, before) in touched.drain(..) {
            self.reclassify(slot);
            let customer = &self.customers[slot];
            let after = Acquired::of(&self.settings, customer, self.order_at(customer.contributed.order));
            if before != after {
                before.into_iter().for_each(|before| self.ledger.acquired(before, Sign::Minus));
                after.into_iter().for_each(|after| self.ledger.acquired(after, Sign::Plus));
            }
            self.count_contributing(slot);
            self.note_upcoming(slot, as_of);
            if effects.wants_updates() {
                let customer = &self.customers[slot];
                json.clear();
                self.figures(customer, as_of).write(&mut json);
                effects.update(&customer.id, Some(&json));
            }
            self.customers[slot].touched = false;
        }
        self.touched = touched;
        self.buffers.value = json;
        self.ledger.drain(&self.settings, &self.campaigns, effects);
    }

    fn roll(&mut self, since: Millis, as_of: Millis, budget: usize, effects: &mut impl Effects) -> bool {
        while let Some(&(at, slot)) = self.upcoming.first().filter(|(at, _)| *at <= as_of) {
            self.upcoming.remove(&(at, slot));
            self.touch(slot);
        }
        let end = self.cursor.saturating_add(u32::try_from(budget).unwrap_or(u32::MAX)).min(self.customers.len());
        for slot in self.cursor..end {
            let timeline = &self.customers[slot].timeline;
            let left = timeline.count_between(since.plus(-YEAR), as_of.plus(-YEAR)) > 0;
            if left || (self.unrolled && timeline.count_between(since, as_of) > 0) {
                self.touch(slot);
            }
        }
        self.flush(as_of, effects);
        let complete = end == self.customers.len();
        self.unrolled &= !complete;
        self.cursor = if complete { 0 } else { end };
        complete
    }

    fn record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>> {
        let customer = &self.customers[self.customers.find(0, id)?];
        let mut json = Vec::new();
        self.figures(customer, as_of).write(&mut json);
        Some(json)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.customers.iter().map(|(_, customer)| &*customer.id)
    }

    fn sizes(&self) -> Sizes {
        let timelines = self.totals.placed_bytes + self.orders.len() as usize * size_of::<timeline::Entry>();
        let tables =
            self.customers.bytes() + self.orders.bytes() + self.refunds.bytes() + self.costs.bytes() + timelines;
        let names = self.campaigns.bytes() + self.channels.bytes() + self.skus.bytes();
        Sizes {
            customers: self.customers.len().into(),
            contributing: self.totals.contributing,
            orders: self.orders.len().into(),
            orders_refunded_in_excess: self.totals.refunded_in_excess,
            campaigns: 0,
            ltv_historic: self.totals.sums.revenue.0,
            ltv_gross_profit: self.totals.sums.gross_profit.0,
            bytes: (tables + names) as u64,
        }
    }
}
