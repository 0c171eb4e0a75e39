//! The whole state as bytes that are written and read quickly, for a cache of the changelog: no identity stands in them
//! twice, and nothing is looked up to read them but whether it is new.
//!
//! A snapshot is a row of records in blocks. Texts come first, and are named by their number from then on. A customer comes
//! with the orders that count in order of time, an order with its refunds. Other orders and customer costs follow at the
//! end, after the number of their customer. Figures are not in it: they follow from what is read, by the same code that
//! takes facts. What is read must make sense by itself; whether it is what was written is for a checksum to say.

use std::hint::black_box;
use std::mem;
use std::ops::BitXor;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::compaction::Horizon;
use super::contribution::Sign;
use super::facts::{CompactedFact, CostFact, RefundFact};
use super::fingerprints::Fingerprints;
use super::state::{Customer, Order, Placed};
use super::{Customers, NEVER};
use crate::engine::FormatError;
use crate::engine::blocks::Blocks;
use crate::engine::fact::write_value;
use crate::engine::table::{NONE, Names};
use crate::time::Millis;

const MALFORMED: FormatError = FormatError::Malformed { what: "snapshot of customers" };

/// Orders of a customer that room is made for at once; for more it grows as they come.
const USUAL_ORDERS: usize = 16;
/// Orders that are fetched from memory at a time.
const FETCHED: usize = 64;

/// `P` is what is placed: borrowed to be written, owned when read.
#[derive(Serialize, Deserialize)]
enum Record<'a, P> {
    /// The next text of its table; none where it was forgotten.
    Campaign(Option<&'a str>),
    Channel(Option<&'a str>),
    Sku(Option<&'a str>),
    Moment {
        as_of: Option<Millis>,
        /// What time changed up to then was written.
        rolled_to: Millis,
        horizon: Horizon,
    },
    /// The next customer, with as many orders that count.
    Customer {
        id: &'a str,
        orders: u32,
    },
    /// What follows is of this customer.
    Of(u32),
    /// One that counts, of the customer at hand, as what follows.
    Order {
        id: &'a str,
        placed: P,
    },
    /// One that does not count.
    Idle {
        id: &'a str,
        placed: Option<P>,
        cancelled_at: Option<Millis>,
    },
    /// Of the order at hand.
    Refund {
        id: &'a str,
        fact: RefundFact,
    },
    /// As a fact's value.
    Compacted(&'a [u8]),
    Fingerprints {
        block: u16,
        value: &'a [u8],
    },
    Cost {
        id: &'a str,
        fact: CostFact,
    },
}

/// What the next record of a snapshot that is being read is of.
#[derive(Clone, Copy, Debug)]
pub struct AtHand {
    customer: u32,
    order: u32,
    /// As the snapshot says.
    rolled_to: Millis,
}

impl AtHand {
    pub const NOTHING: AtHand = AtHand { customer: NONE, order: NONE, rolled_to: NEVER };
}

type Row<'a> = Record<'a, &'a Placed>;

impl Customers {
    pub(super) fn write_snapshot<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut blocks = Blocks::new(take);
        self.campaigns.iter().try_for_each(|text| blocks.put(&Row::Campaign(text)))?;
        self.channels.iter().try_for_each(|text| blocks.put(&Row::Channel(text)))?;
        self.skus.iter().try_for_each(|text| blocks.put(&Row::Sku(text)))?;
        let due = self.moments.first().map(|first| Millis(first.0 - 1));
        let rolled_to = self.as_of.map_or(NEVER, |as_of| due.map_or(as_of, |due| as_of.min(due)));
        blocks.put(&Row::Moment { as_of: self.as_of, rolled_to, horizon: self.horizon })?;
        let mut ahead = self.customers.iter().flat_map(|(_, customer)| customer.timeline.iter().map(|entry| entry.1));
        let (mut fetched, mut value) = (0, Vec::new());
        for (_, customer) in self.customers.iter() {
            let orders = u32::try_from(customer.timeline.len()).unwrap_or(u32::MAX);
            blocks.put(&Row::Customer { id: &customer.id, orders })?;
            if let Some(compacted) = &customer.compacted {
                let fact = self.compacted_fact(customer, compacted);
                write_value(self.settings.format, &mut value, |value| fact.write(self.settings.format, value));
                blocks.put(&Row::Compacted(&value))?;
                for block in compacted.fingerprints.numbers() {
                    write_value(self.settings.format, &mut value, |value| compacted.fingerprints.write(block, value));
                    blocks.put(&Row::Fingerprints { block, value: &value })?;
                }
            }
            for (_, slot) in customer.timeline.iter() {
                if fetched == 0 {
                    fetched = self.fetch(ahead.by_ref().take(FETCHED));
                }
                fetched -= 1;
                self.write_order(&self.orders[slot], &mut blocks)?;
            }
        }
        let mut of = NONE;
        let is_left = |order: &Order| order.customer != NONE && order.counting().is_none();
        for (_, order) in self.orders.iter().filter(|(_, order)| is_left(order)) {
            write_owner(order.customer, &mut of, &mut blocks)?;
            self.write_order(order, &mut blocks)?;
        }
        for (_, cost) in self.costs.iter().filter(|(_, cost)| cost.customer != NONE) {
            write_owner(cost.customer, &mut of, &mut blocks)?;
            let fact =
                CostFact { occurred_at: cost.occurred_at, amount: cost.amount, kind: cost.kind, digest: cost.digest };
            blocks.put(&Row::Cost { id: &cost.id, fact })?;
        }
        blocks.finish()
    }

    /// Touches orders that are to be written soon, and says how many. A customer's orders lie scattered in memory: in a
    /// loop that does nothing else a processor waits for many at the same time. Without, writing takes nearly twice
    /// as long.
    fn fetch(&self, slots: impl Iterator<Item = u32>) -> usize {
        let orders: SmallVec<[&Order; FETCHED]> = slots.map(|slot| &self.orders[slot]).collect();
        let touches = |order: &Order| order.placed.as_ref().map_or(0, |placed| placed.touches.len());
        black_box(orders.iter().map(|order| order.id.len() + touches(order)).sum::<usize>());
        let first = |order: &&Order| {
            let at = order.placed.as_ref().and_then(|placed| placed.touches.first()).map_or(0, |touch| touch.at.0);
            at ^ i64::from(order.id.as_bytes().first().copied().unwrap_or(0))
        };
        black_box(orders.iter().map(first).fold(0, BitXor::bitxor));
        orders.len()
    }

    fn write_order<E>(&self, order: &Order, blocks: &mut Blocks<impl FnMut(&[u8]) -> Result<(), E>>) -> Result<(), E> {
        let id = &order.id;
        match order.counting() {
            Some(placed) => blocks.put(&Row::Order { id, placed })?,
            None => {
                let (placed, cancelled_at) = (order.placed.as_ref(), order.cancelled_at());
                blocks.put(&Row::Idle { id, placed, cancelled_at })?;
            }
        }
        let mut refunds = self.refunds.iter(order.refunds);
        refunds.try_for_each(|refund| blocks.put(&Row::Refund { id: &refund.id, fact: refund.fact }))
    }

    /// Takes the next block, and says how many records it had.
    pub(super) fn read_snapshot(&mut self, mut block: &[u8]) -> Result<u64, FormatError> {
        self.restoring = true;
        self.take_up();
        let mut records = 0;
        while !block.is_empty() {
            let (record, rest) = postcard::take_from_bytes(block).map_err(|_| MALFORMED)?;
            self.take_record(record)?;
            block = rest;
            records += 1;
        }
        self.lay_down();
        Ok(records)
    }

    fn take_record(&mut self, record: Record<'_, Placed>) -> Result<(), FormatError> {
        match record {
            Record::Campaign(text) => add_name(&mut self.campaigns, text)?,
            Record::Channel(text) => add_name(&mut self.channels, text)?,
            Record::Sku(text) => add_name(&mut self.skus, text)?,
            Record::Moment { as_of, rolled_to, horizon } => {
                (self.as_of, self.horizon) = (as_of, horizon);
                self.at_hand.rolled_to = rolled_to;
            }
            Record::Customer { id, orders } => {
                self.lay_down();
                let mut customer = Customer::new(id);
                customer.timeline.reserve(USUAL_ORDERS.min(orders as usize));
                let customer = self.customers.insert_new(customer).ok_or(MALFORMED)?;
                self.at_hand = AtHand { customer, order: NONE, ..self.at_hand };
                self.take_up();
            }
            Record::Of(customer) => {
                self.lay_down();
                let customer = existing(customer, self.customers.places())?;
                self.at_hand = AtHand { customer, order: NONE, ..self.at_hand };
                self.take_up();
            }
            Record::Order { id, placed } => self.take_order(id, Some(placed), None)?,
            Record::Idle { id, placed, cancelled_at } => self.take_order(id, placed, cancelled_at)?,
            Record::Refund { id, fact } => self.put_refund(self.order_at_hand()?, id, &fact),
            Record::Compacted(value) => self.fold_compacted(self.customer_at_hand()?, &CompactedFact::read(value)?),
            Record::Fingerprints { block, value } => {
                let customer = self.customer_at_hand()?;
                let compacted = self.customers[customer].compacted.as_ref();
                let next = compacted.map_or(0, |compacted| compacted.fingerprints.numbers().end);
                // Any other would make room for all before it.
                if block > next {
                    return Err(MALFORMED);
                }
                self.fold_fingerprints(customer, block, Fingerprints::read(block, value)?);
            }
            Record::Cost { id, fact } => self.spend_on(self.customer_at_hand()?, id, &fact),
        }
        Ok(())
    }

    fn take_order(
        &mut self,
        id: &str,
        placed: Option<Placed>,
        cancelled_at: Option<Millis>,
    ) -> Result<(), FormatError> {
        if let Some(placed) = &placed {
            self.check_names(placed)?;
            self.hold_placed(placed, Sign::Plus);
        }
        let mut order = Order::new(self.customer_at_hand()?, id);
        order.placed = placed;
        order.cancel(cancelled_at);
        self.at_hand.order = self.orders.insert_new(order).ok_or(MALFORMED)?;
        self.count(self.at_hand.order, Sign::Plus);
        Ok(())
    }

    /// Goes on with the customer at hand. It need not be noted for the end of the restore: [`Customers::lay_down`] is near.
    fn take_up(&mut self) {
        if self.at_hand.customer != NONE {
            self.customers[self.at_hand.customer].touched = true;
        }
    }

    /// Ends with the customer at hand, for now.
    fn lay_down(&mut self) {
        if self.at_hand.customer != NONE {
            self.adopt(self.at_hand.customer, self.at_hand.rolled_to);
        }
    }

    fn customer_at_hand(&self) -> Result<u32, FormatError> {
        existing(self.at_hand.customer, self.customers.places())
    }

    fn order_at_hand(&self) -> Result<u32, FormatError> {
        existing(self.at_hand.order, self.orders.places())
    }

    fn check_names(&self, placed: &Placed) -> Result<(), FormatError> {
        let known = |number: u32, names: &Names| number == NONE || number < names.places();
        let of_touches = placed.touches.iter();
        let mut known_touches =
            of_touches.map(|touch| known(touch.campaign, &self.campaigns) && known(touch.channel, &self.channels));
        if known(placed.sku, &self.skus) && known_touches.all(|known| known) { Ok(()) } else { Err(MALFORMED) }
    }
}

/// Says whose the next record is, where it is not the same customer's as the last.
fn write_owner<E>(
    customer: u32,
    last: &mut u32,
    blocks: &mut Blocks<impl FnMut(&[u8]) -> Result<(), E>>,
) -> Result<(), E> {
    if mem::replace(last, customer) == customer { Ok(()) } else { blocks.put(&Row::Of(customer)) }
}

fn add_name(names: &mut Names, text: Option<&str>) -> Result<(), FormatError> {
    if names.add_next(text) { Ok(()) } else { Err(MALFORMED) }
}

fn existing(number: u32, places: u32) -> Result<u32, FormatError> {
    if number < places { Ok(number) } else { Err(MALFORMED) }
}
