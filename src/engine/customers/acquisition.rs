//! Who acquired a customer: by which order and which of its touchpoints, and what follows from it for the campaign. It is found
//! once for all that a flush writes ([`First`]), and stands in the customer until the next ([`Acquisition`]).

use super::Customers;
use super::contribution::touch_weights;
use super::state::{Counted, Customer, Order, Placed, Touch};
use crate::domain::attribution::acquiring;
use crate::domain::order::OrderSums;
use crate::engine::table::NONE;
use crate::money::Sum;
use crate::settings::Settings;
use crate::time::Millis;

/// Who acquired a customer, and by which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquisition {
    /// Campaign, or [`NONE`].
    pub campaign: u32,
    /// The acquisition order, or [`NONE`] for a customer without orders or known before, or [`COMPACTED`].
    pub order: u32,
}

/// The number of an acquisition order that is not kept individually any more.
pub const COMPACTED: u32 = NONE - 1;

impl Acquisition {
    pub const NOBODY: Acquisition = Acquisition { campaign: NONE, order: NONE };
}

/// A customer's first order, and what follows from it. Once the order is compacted, that stands.
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

/// What a customer contributes to the campaign that acquired it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Acquired {
    pub campaign: u32,
    pub hour: Millis,
    pub sums: OrderSums,
    pub acquisition_cost: Sum,
}

/// The touchpoint that acquired the customer, if `placed` is the acquisition order; if none names a campaign, the last
/// one that names a channel.
fn acquiring_touch<'a>(settings: &Settings, placed: &'a Placed) -> Option<&'a Touch> {
    let weights = touch_weights(settings, placed);
    let by_campaign = acquiring(settings.attribution.model, &weights, |i| placed.touches[i].campaign != NONE);
    match by_campaign {
        Some(i) => placed.touches.get(i),
        None => placed.touches.iter().rfind(|touch| touch.channel != NONE),
    }
}

impl Acquired {
    /// What `customer`, who was acquired then, contributed by the last flush, with its figures as they are now.
    pub fn of(settings: &Settings, customer: &Customer, acquired_at: Option<Millis>) -> Option<Acquired> {
        let at = acquired_at?;
        (customer.contributed.campaign != NONE).then(|| Acquired {
            campaign: customer.contributed.campaign,
            hour: settings.zone.hour_start(at),
            sums: customer.sums,
            acquisition_cost: customer.acquisition_cost,
        })
    }
}

impl Customer {
    /// Who acquired the customer, whose first order this is.
    pub fn acquisition(&self, first: Option<&First>) -> Acquisition {
        let is_compacted = || self.compacted.as_ref().is_some_and(|compacted| compacted.first.is_some());
        match first {
            Some(first) if !first.known_before => {
                let order = if is_compacted() { COMPACTED } else { self.first_order() };
                Acquisition { campaign: first.campaign, order }
            }
            _ => Acquisition::NOBODY,
        }
    }
}

impl Customers {
    /// The first order of a customer, as things are now.
    pub(super) fn first(&self, customer: &Customer) -> Option<First> {
        let compacted = customer.compacted.as_ref().and_then(|compacted| compacted.first);
        compacted.or_else(|| self.first_kept(customer))
    }

    /// The first of the orders that are kept individually.
    fn first_kept(&self, customer: &Customer) -> Option<First> {
        let placed = self.order_at(customer.first_order()).and_then(Order::counting)?;
        let at = placed.occurred_at;
        let since = customer.since.earliest();
        // The customer bought before this stream knows of it.
        let known_before = since < at || self.settings.complete_from.is_some_and(|complete_from| at < complete_from);
        let touch = if known_before { None } else { acquiring_touch(&self.settings, placed) };
        Some(First {
            at,
            since,
            known_before,
            campaign: touch.map_or(NONE, |touch| touch.campaign),
            channel: touch.map_or(NONE, |touch| touch.channel),
            sku: placed.sku,
        })
    }

    /// Books over a customer, whose first order this is, if its acquisition has changed since the last flush.
    pub(super) fn rebook(&mut self, slot: u32, first: Option<&First>) {
        let customer = &self.customers[slot];
        let (from, to) = (customer.contributed, customer.acquisition(first));
        if from == to {
            return;
        }
        let (settings, orders, refunds, ledger) = (&self.settings, &self.orders, &self.refunds, &mut self.ledger);
        let mut rebook = |slot: u32| {
            if let Some(counted) = Counted::of(orders, refunds, slot) {
                ledger.rebook(settings, (from, to), counted);
            }
        };
        if from.campaign == to.campaign {
            [from.order, to.order].into_iter().filter(|&order| order != NONE).for_each(&mut rebook);
        } else {
            customer.timeline.iter().for_each(|(_, order)| rebook(order));
        }
        self.customers[slot].contributed = to;
    }

    /// When a customer was acquired, by what it contributed at the last flush.
    pub(super) fn acquired_at(&self, customer: &Customer) -> Option<Millis> {
        match customer.contributed.order {
            COMPACTED => Some(customer.compacted.as_ref()?.first?.at),
            NONE => None,
            // The customer knows it: no order is fetched from memory.
            order => match customer.timeline.first() {
                Some((at, first)) if first == order => Some(at),
                _ => Some(self.order_at(order)?.counting()?.occurred_at),
            },
        }
    }
}
