//! The customers stage: every customer's orders and figures, and what they contribute to campaigns.
//!
//! An event changes one order (or refund, or cost). The order's figures leave the sums before the change and enter them
//! after it, so the first order, an amendment, a refund, a cancellation and a late earlier order are all one case. The
//! same goes for campaigns.
//!
//! - [`intake`]: events to facts, and facts to state; [`counting`]: the sums that follow; [`timeline`]: orders by time.
//! - [`contribution`]: what campaigns are told. [`record`]: what the world is told. [`facts`]: what the changelog keeps;
//!   [`export`]: all of it, told again.

mod contribution;
mod counting;
mod export;
mod facts;
mod intake;
mod record;
mod state;
mod timeline;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use self::contribution::{Acquired, Ledger, Sign, acquiring_touch};
use self::facts::{CancellationFact, Key};
use self::record::Figures;
use self::state::{Acquisition, Cost, Customer, Order, Placed, Refund};
use super::ledger::OrderSums;
use super::table::{NONE, Names, Table};
use super::{Effects, FormatError, Outcome, Sizes, Stage};
use crate::events::{Event, Rejection};
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

impl Customers {
    /// Whether the customer bought before this stream knows of it.
    fn known_before(&self, customer: &Customer) -> bool {
        let Some(first) = self.first_placed(customer).map(|placed| placed.occurred_at) else { return false };
        self.since(customer).0 < first || self.settings.complete_from.is_some_and(|complete_from| first < complete_from)
    }

    fn first_placed(&self, customer: &Customer) -> Option<&Placed> {
        self.order_at(self.first_order(customer)).and_then(Order::counting)
    }

    /// Who acquired the customer, as things are now.
    fn acquisition(&self, customer: &Customer) -> Acquisition {
        match self.first_placed(customer).filter(|_| !self.known_before(customer)) {
            Some(placed) => {
                let touch = acquiring_touch(&self.settings, placed);
                let order = self.first_order(customer);
                Acquisition { campaign: touch.map_or(NONE, |touch| touch.campaign), order }
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
        let first = self.first_placed(customer);
        let known_before = self.known_before(customer);
        let touch = first.filter(|_| !known_before).and_then(|placed| acquiring_touch(&self.settings, placed));
        Figures {
            settings: &self.settings,
            as_of,
            customer,
            purchases_in_year: customer.timeline.count_between(as_of.plus(-YEAR), as_of),
            first,
            since: self.since(customer).0,
            known_before,
            campaign: touch.and_then(|touch| self.campaigns.text(touch.campaign)),
            channel: touch.and_then(|touch| self.channels.text(touch.channel)),
            sku: first.and_then(|placed| self.skus.text(placed.sku)),
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

    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        Ok(match event {
            Event::Purchase(purchase) => self.purchase(purchase, effects),
            Event::Refund(refund) => self.refund(refund, effects),
            Event::Cancellation(cancellation) => self.cancellation(cancellation, effects),
            Event::CustomerCost(cost) => self.customer_cost(cost, effects),
            Event::AdSpend(_) | Event::AdSpendReport(_) => {
                debug_assert!(false, "spend is at home in the campaigns stage");
                Outcome::Superseded
            }
        })
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
            self.settle(slot);
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
            self.settle(slot);
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

    const TELLS_FACTS: bool = true;

    fn tell_facts(&self, take: impl FnMut(&[u8], &[u8])) {
        Customers::tell_facts(self, take);
    }
}
