//! What is kept of a customer, an order and a customer cost. Sizes matter: there are millions of them.

use serde::{Deserialize, Serialize};

use crate::domain::order::{CostOfGoods, OrderSums, Refunded, figures, refunded_in_excess};
use crate::domain::spend::CustomerCostKind;
use crate::engine::customers::YEAR;
use crate::engine::customers::acquisition::Acquisition;
use crate::engine::customers::compacted::Compacted;
use crate::engine::customers::refunds::{OfOrder, Refunds};
use crate::engine::customers::since::Since;
use crate::engine::customers::timeline::Timeline;
use crate::engine::moments::Indexed;
use crate::engine::table::{Id, Identity, NONE, Table};
use crate::money::{Micros, Sum};
use crate::time::Millis;

/// A customer's sums over the orders that count, kept as the orders change.
#[derive(Debug)]
pub struct Customer {
    pub id: Id,
    /// The orders that count: placed and not cancelled.
    pub timeline: Timeline,
    pub sums: OrderSums,
    /// In millionths.
    pub items: i128,
    pub acquisition_cost: Sum,
    pub retention_cost: Sum,
    /// What the orders that count say.
    pub since: Since,
    /// What is not kept individually of its orders and costs; none while all is.
    pub compacted: Option<Box<Compacted>>,
    /// The acquisition with which the differences sent so far were computed.
    pub contributed: Acquisition,
    pub touched: bool,
    pub indexed: Indexed,
    pub contributing: Contributing,
}

/// Which count of [`crate::engine::Sizes::contributing`] the customer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contributing {
    True,
    False,
    Unknown,
    NotCounted,
}

impl Customer {
    pub fn new(id: &str) -> Customer {
        Customer {
            id: id.into(),
            timeline: Timeline::default(),
            sums: OrderSums::default(),
            items: 0,
            acquisition_cost: Sum::ZERO,
            retention_cost: Sum::ZERO,
            since: Since::default(),
            compacted: None,
            contributed: Acquisition::NOBODY,
            touched: false,
            indexed: Indexed::NOT,
            contributing: Contributing::NotCounted,
        }
    }

    /// The earliest of the orders that count, or [`NONE`]; of equal times the smaller id.
    pub fn first_order(&self) -> u32 {
        self.timeline.first().map_or(NONE, |(_, slot)| slot)
    }

    /// Orders in the last 365 days: (as_of - 365 days, as_of].
    pub fn orders_in_year(&self, as_of: Millis) -> u64 {
        self.timeline.count_between(Millis(as_of.0 - YEAR), as_of)
    }

    /// When an order enters the last 365 days, or leaves them, for the first time after `as_of`.
    pub fn next_moment(&self, as_of: Millis) -> Option<Millis> {
        let enters = self.timeline.first_after(as_of);
        let leaves = self.timeline.first_after(Millis(as_of.0 - YEAR)).map(|at| Millis(at.0 + YEAR));
        enters.into_iter().chain(leaves).min()
    }

    /// Whether an order enters the last 365 days, or leaves them, from one moment to another, both included.
    pub fn changes_between(&self, from: Millis, to: Millis) -> bool {
        let between = |ago: i64| self.timeline.count_between(Millis(from.0 - 1 - ago), Millis(to.0 - ago)) > 0;
        between(0) || between(YEAR)
    }
}

impl Identity for Customer {
    fn owner(&self) -> u32 {
        0
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

/// An order by its current event; also one of which only refunds or a cancellation are known yet.
#[derive(Debug)]
pub struct Order {
    pub customer: u32,
    pub refunds: OfOrder,
    pub id: Id,
    pub placed: Option<Placed>,
    /// [`NOT_CANCELLED`], or when.
    cancelled_at: Millis,
}

/// No moment.
const NOT_CANCELLED: Millis = Millis(i64::MAX);

/// What a `purchase` says that figures depend on: less than its fact. Snapshots hold it as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Placed {
    pub occurred_at: Millis,
    pub updated_at: Millis,
    pub revenue: Micros,
    pub cost_of_goods: CostOfGoods,
    pub operating_cost: Micros,
    /// In millionths.
    pub items: i64,
    /// [`Millis::MAX`]: not stated.
    pub customer_since: Millis,
    pub digest: u64,
    /// Sku of the first item, or [`NONE`].
    pub sku: u32,
    /// Those that take part in the attribution, in order of time.
    pub touches: Box<[Touch]>,
}

/// A touchpoint: 16 bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Touch {
    pub at: Millis,
    /// Campaign, or [`NONE`].
    pub campaign: u32,
    /// Channel, or [`NONE`].
    pub channel: u32,
}

/// An order that counts, and what was given back of it.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub slot: u32,
    pub placed: &'a Placed,
    refunded: Refunded,
}

impl<'a> Counted<'a> {
    /// The order of this number, where it counts.
    pub fn of(orders: &'a Table<Order>, refunds: &Refunds, slot: u32) -> Option<Counted<'a>> {
        let order = &orders[slot];
        let placed = order.counting()?;
        Some(Counted { slot, placed, refunded: refunds.refunded(order.refunds) })
    }

    /// Its figures, net of its refunds.
    pub fn figures(&self) -> OrderSums {
        let Placed { revenue, cost_of_goods, operating_cost, .. } = *self.placed;
        figures(revenue, cost_of_goods, operating_cost, self.refunded)
    }

    pub fn is_refunded_in_excess(&self) -> bool {
        refunded_in_excess(self.placed.revenue, self.placed.cost_of_goods, self.refunded)
    }
}

impl Order {
    /// One of which nothing is known yet.
    pub fn new(customer: u32, id: &str) -> Order {
        Order { customer, id: id.into(), ..Order::default() }
    }

    /// The order's event, where the order counts.
    pub fn counting(&self) -> Option<&Placed> {
        self.placed.as_ref().filter(|_| self.cancelled_at == NOT_CANCELLED)
    }

    pub fn cancelled_at(&self) -> Option<Millis> {
        (self.cancelled_at != NOT_CANCELLED).then_some(self.cancelled_at)
    }

    pub fn cancel(&mut self, at: Option<Millis>) {
        self.cancelled_at = at.unwrap_or(NOT_CANCELLED);
    }

    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        self.placed.is_none() && self.cancelled_at == NOT_CANCELLED && self.refunds == OfOrder::NONE
    }
}

/// No order: of nobody.
impl Default for Order {
    fn default() -> Self {
        Order { customer: NONE, refunds: OfOrder::NONE, id: Id::default(), placed: None, cancelled_at: NOT_CANCELLED }
    }
}

impl Identity for Order {
    fn owner(&self) -> u32 {
        self.customer
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

#[derive(Debug)]
pub struct Cost {
    pub customer: u32,
    pub id: Id,
    pub occurred_at: Millis,
    pub amount: Micros,
    pub kind: CustomerCostKind,
    pub digest: u64,
}

/// No cost: of nobody.
impl Default for Cost {
    fn default() -> Self {
        Cost {
            customer: NONE,
            id: Id::default(),
            occurred_at: Millis::default(),
            amount: Micros::ZERO,
            kind: CustomerCostKind::Retention,
            digest: 0,
        }
    }
}

impl Identity for Cost {
    fn owner(&self) -> u32 {
        self.customer
    }

    fn id(&self) -> &Id {
        &self.id
    }
}
