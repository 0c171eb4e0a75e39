//! The customers stage: every customer's orders and figures, and what they contribute to campaigns.
//!
//! An event changes one order (or refund, or cost). The order's figures leave the sums before the change and enter them
//! after it, so the first order, an amendment, a refund, a cancellation and a late earlier order are all one case. The
//! same goes for campaigns.
//!
//! - [`intake`]: events to facts, and facts to state; [`counting`]: the sums that follow; [`timeline`]: orders by time.
//! - [`refunds`]: those of one order, be they one or a hundred thousand.
//! - [`acquisition`]: who acquired a customer.
//! - [`compaction`]: what is too old to be kept individually becomes [`compacted`], and is known by its [`fingerprints`];
//!   [`lateness`]: what comes too late for it.
//! - [`contribution`]: what campaigns are told. [`record`]: what the world is told. [`facts`] and [`order_fact`]: what the changelog
//!   keeps; [`snapshot`]: the state as a whole.

mod acquisition;
mod compacted;
mod compaction;
mod contribution;
mod counting;
mod facts;
mod fingerprints;
mod intake;
mod lateness;
mod order_fact;
mod record;
mod refunds;
mod since;
mod snapshot;
mod state;
mod timeline;

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;

use self::acquisition::{Acquired, First};
use self::compaction::{Compaction, Horizon};
use self::contribution::{Ledger, Sign};
use self::facts::{CancellationFact, CompactedFact, Key};
use self::fingerprints::Fingerprints;
use self::order_fact::OrderFact;
use self::record::Figures;
use self::refunds::Refunds;
use self::snapshot::AtHand;
use self::state::{Cost, Customer, Order};
use super::fact::FactWriter;
use super::ledger::OrderSums;
use super::moments::{Moments, Taken};
use super::table::{Names, Table};
use super::{Effects, FormatError, Last, Outcome, Sizes, Stage, StageKind};
use crate::events::{Event, Rejection};
use crate::settings::Settings;
use crate::time::Millis;

/// The days that `purchases_per_year` looks back, and `observed_days` counts at most.
const YEAR: i64 = 365 * Millis::DAY;

/// Room for so many of what is gathered between two flushes is kept whatever comes.
const KEPT: usize = 128;

/// Before any moment that an order can have, by more than a year.
const NEVER: Millis = Millis(i64::MIN / 2);

/// The state of one partition.
#[derive(Debug)]
pub struct Customers {
    settings: Arc<Settings>,
    customers: Table<Customer>,
    orders: Table<Order>,
    refunds: Refunds,
    costs: Table<Cost>,
    campaigns: Names,
    channels: Names,
    skus: Names,
    ledger: Ledger,
    /// Customers changed since the last flush, with what they contributed before.
    touched: Vec<(u32, Option<Acquired>)>,
    /// When time alone changes a customer's record.
    moments: Moments,
    /// Facts are being folded: nothing goes out.
    restoring: bool,
    /// The greatest that was given.
    as_of: Option<Millis>,
    /// As of when history is compacted at the latest.
    trusted: Option<Millis>,
    horizon: Horizon,
    compaction: Compaction,
    /// Customers of whom something was compacted that is not written yet, each with a block of what it is known by.
    unwritten: Vec<(u32, u16)>,
    /// Facts were deleted in this restore.
    deleted: bool,
    /// Where the snapshot that is being read has come to.
    at_hand: AtHand,
    totals: Totals,
    facts: FactWriter,
    /// Where records are written.
    json: Vec<u8>,
}

#[derive(Debug, Default)]
struct Totals {
    sums: OrderSums,
    contributing: [u64; 3],
    refunded_in_excess: u64,
    placed_bytes: usize,
    since_bytes: usize,
    compacted_bytes: usize,
}

impl Customers {
    /// Takes a restored customer as one of whom all that followed was sent when its facts were written, and what time changed
    /// up to `rolled_to` as well.
    fn adopt(&mut self, slot: u32, rolled_to: Millis) {
        let customer = &self.customers[slot];
        let acquisition = customer.acquisition(self.first(customer).as_ref());
        let customer = &mut self.customers[slot];
        customer.contributed = acquisition;
        customer.touched = false;
        self.count_contributing(slot);
        self.count_compacted(slot);
        self.note_moment(slot, rolled_to);
    }

    /// What the record of a customer, whose first order this is, is computed from.
    fn figures<'a>(&'a self, customer: &'a Customer, first: Option<First>, as_of: Millis) -> Figures<'a> {
        let compacted = customer.compacted.as_deref();
        let last_at = customer.timeline.last().map(|(at, _)| at);
        Figures {
            settings: &self.settings,
            as_of,
            customer,
            purchases_in_year: customer.orders_in_year(as_of),
            orders: customer.timeline.len() + compacted.map_or(0, |compacted| compacted.orders),
            first_at: first.map(|first| first.at),
            last_at: last_at.or(compacted.filter(|compacted| compacted.orders > 0).map(|compacted| compacted.last_at)),
            since: first.map_or(Millis::MAX, |first| first.since),
            known_before: first.is_some_and(|first| first.known_before),
            campaign: first.and_then(|first| self.campaigns.text(first.campaign)),
            channel: first.and_then(|first| self.channels.text(first.channel)),
            sku: first.and_then(|first| self.skus.text(first.sku)),
        }
    }
}

impl Stage for Customers {
    const KIND: StageKind = StageKind::Customers;
    const KINDS: &'static [u8] = facts::KINDS;

    fn new(settings: Arc<Settings>) -> Self {
        let facts = FactWriter::new(settings.format);
        Customers {
            settings,
            customers: Table::default(),
            orders: Table::default(),
            refunds: Refunds::default(),
            costs: Table::default(),
            campaigns: Names::default(),
            channels: Names::default(),
            skus: Names::default(),
            ledger: Ledger::default(),
            touched: Vec::new(),
            moments: Moments::default(),
            restoring: false,
            as_of: None,
            trusted: None,
            horizon: Horizon::default(),
            compaction: Compaction::default(),
            unwritten: Vec::new(),
            deleted: false,
            at_hand: AtHand::NOTHING,
            totals: Totals::default(),
            facts,
            json: Vec::new(),
        }
    }

    fn apply(&mut self, event: &Event<'_>, effects: &mut impl Effects) -> Result<Outcome, Rejection> {
        if self.horizon.orders > Millis::MIN {
            self.make_way(event, effects)?;
        }
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

    fn check(&self, event: &Event<'_>) -> Result<(), Rejection> {
        if self.horizon.orders > Millis::MIN { self.not_too_late(event).map(drop) } else { Ok(()) }
    }

    fn absorb(&mut self, _payload: &[u8]) -> Result<(), FormatError> {
        Err(FormatError::Malformed { what: "record: the customers stage takes no differences" })
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError> {
        self.restoring = true;
        self.deleted |= value.is_none();
        match Key::read(key)? {
            Key::Order { customer, order } => {
                let fact = value.map(OrderFact::read).transpose()?;
                let slot = self.order(customer, order);
                match fact {
                    Some(fact) => self.place(slot, &fact),
                    None => self.displace(slot),
                }
            }
            Key::Refund { customer, order, refund } => {
                let fact = value.map(facts::read).transpose()?;
                let slot = self.order(customer, order);
                match fact {
                    Some(fact) => self.put_refund(slot, refund, &fact),
                    None => self.remove_refund(slot, refund),
                }
            }
            Key::Cancellation { customer, order } => {
                let fact: Option<CancellationFact> = value.map(facts::read).transpose()?;
                let slot = self.order(customer, order);
                self.change(slot, |order, _| order.cancel(fact.map(|fact| fact.occurred_at)));
            }
            Key::Cost { customer, cost } => {
                let fact = value.map(facts::read).transpose()?;
                let slot = self.customer(customer);
                match fact {
                    Some(fact) => self.spend_on(slot, cost, &fact),
                    None => self.forget_cost(slot, cost),
                }
            }
            // These are never deleted.
            Key::Compacted { customer } => {
                let fact = CompactedFact::read(value.unwrap_or_default())?;
                let slot = self.customer(customer);
                self.fold_compacted(slot, &fact);
            }
            Key::Fingerprints { customer, block } => {
                let fingerprints = Fingerprints::read(block, value.unwrap_or_default())?;
                let slot = self.customer(customer);
                self.fold_fingerprints(slot, block, fingerprints);
            }
            Key::Horizon => self.horizon = facts::read(value.unwrap_or_default())?,
        }
        Ok(())
    }

    fn expect(&mut self, sizes: Sizes) {
        self.customers.reserve(sizes.customers as usize);
        self.orders.reserve(sizes.orders as usize);
    }

    fn restored(&mut self, last: Option<Last>) {
        for (slot, _) in mem::take(&mut self.touched) {
            self.adopt(slot, last.map_or(NEVER, |last| last.rolled_to));
        }
        self.at_hand = AtHand::NOTHING;
        if mem::take(&mut self.deleted) {
            self.drop_empty_orders();
        }
        self.forget_names();
        self.as_of = self.as_of.max(last.map(|last| last.as_of));
        self.compaction = Compaction::default();
        self.restoring = false;
    }

    fn flush(&mut self, as_of: Millis, effects: &mut impl Effects) {
        self.move_horizon(as_of, effects);
        let mut json = mem::take(&mut self.json);
        let mut touched = mem::take(&mut self.touched);
        let most = KEPT.max(2 * touched.len());
        for (slot, before) in touched.drain(..) {
            let first = self.first(&self.customers[slot]);
            self.rebook(slot, first.as_ref());
            let acquired_at = first.filter(|first| !first.known_before).map(|first| first.at);
            let after = Acquired::of(&self.settings, &self.customers[slot], acquired_at);
            if before != after {
                before.into_iter().for_each(|before| self.ledger.acquired(before, Sign::Minus));
                after.into_iter().for_each(|after| self.ledger.acquired(after, Sign::Plus));
            }
            self.count_contributing(slot);
            self.note_moment(slot, as_of);
            if effects.wants_updates() {
                let customer = &self.customers[slot];
                json.clear();
                self.figures(customer, first, as_of).write(&mut json);
                effects.update(&customer.id, Some(&json));
            }
            self.customers[slot].touched = false;
        }
        touched.shrink_to(most);
        self.touched = touched;
        self.json = json;
        self.ledger.drain(&self.settings, &self.campaigns, effects);
        self.forget_names();
    }

    fn rewrite(&mut self, from: u32, budget: usize, as_of: Millis, effects: &mut impl Effects) -> Option<u32> {
        let budget = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let end = from.saturating_add(budget).min(self.customers.len());
        (from..end).for_each(|slot| self.touch(slot));
        self.flush(as_of, effects);
        (end < self.customers.len()).then_some(end)
    }

    fn next_moment(&self) -> Option<Millis> {
        self.moments.first().into_iter().chain(self.next_compaction()).min()
    }

    fn set_trusted(&mut self, moment: Millis) {
        self.trusted = Some(moment);
    }

    fn roll(&mut self, as_of: Millis, budget: usize, effects: &mut impl Effects) -> bool {
        for _ in 0..budget.max(1) {
            match self.moments.take(as_of, |slot| &mut self.customers[slot].indexed) {
                Taken::Nothing => break,
                Taken::Passed => {}
                Taken::Due { key, since } if self.customers[key].changes_between(since, as_of) => self.touch(key),
                Taken::Due { key, .. } => self.note_moment(key, as_of),
            }
        }
        self.flush(as_of, effects);
        // Who bought a year ago is known before what is older is compacted.
        self.moments.first().is_none_or(|first| first > as_of) && self.compact(budget, effects)
    }

    fn record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>> {
        let customer = &self.customers[self.customers.find(0, id)?];
        let mut json = Vec::new();
        self.figures(customer, self.first(customer), as_of).write(&mut json);
        Some(json)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.customers.iter().map(|(_, customer)| &*customer.id)
    }

    fn sizes(&self) -> Sizes {
        let timelines = self.totals.placed_bytes
            + self.totals.compacted_bytes
            + self.totals.since_bytes
            + self.orders.len() as usize * size_of::<timeline::Entry>();
        let tables =
            self.customers.bytes() + self.orders.bytes() + self.refunds.bytes() + self.costs.bytes() + timelines;
        let gathered = self.ledger.bytes() + self.touched.capacity() * size_of::<(u32, Option<Acquired>)>();
        let names = self.campaigns.bytes() + self.channels.bytes() + self.skus.bytes();
        Sizes {
            customers: self.customers.len().into(),
            contributing: self.totals.contributing,
            orders: self.orders.len().into(),
            orders_refunded_in_excess: self.totals.refunded_in_excess,
            campaigns: 0,
            ltv_historic: self.totals.sums.revenue.0,
            ltv_gross_profit: self.totals.sums.gross_profit.0,
            covered_revenue: self.totals.sums.covered_revenue.0,
            bytes: (tables + names + gathered + self.moments.bytes()) as u64,
        }
    }

    fn save<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.write_snapshot(take)
    }

    fn load(&mut self, block: &[u8]) -> Result<u64, FormatError> {
        self.read_snapshot(block)
    }
}
