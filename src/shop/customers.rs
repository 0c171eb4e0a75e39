//! What the shop's customers do: come by a campaign or by themselves, buy, come back, change and cancel orders, send
//! things back.

use smallvec::SmallVec;

use super::catalogue::{Basket, COFFEE, Campaign, PRODUCTS};
use super::wire::{Cents, Event, Id, Item, Moment, Purchase, Touchpoint};
use super::{Due, Message, Running, Shop, Source};
use crate::time::Millis;

/// One customer between two orders.
#[derive(Clone, Copy, Debug)]
pub struct Customer {
    number: u64,
    /// The campaign that brought it: an index into [`Shop::campaigns`].
    campaign: Option<u32>,
    orders: u32,
    /// First bought elsewhere, at this moment.
    since: Option<Millis>,
}

/// An order, kept while something may still become of it.
#[derive(Clone, Debug)]
pub struct Order {
    customer: Customer,
    number: u64,
    at: Millis,
    items: SmallVec<[Item; 3]>,
    discount: Cents,
    offer: Option<&'static str>,
    touches: SmallVec<[Touch; 3]>,
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    at: Millis,
    campaign: Option<u32>,
    channel: &'static str,
}

/// Goods that come back.
#[derive(Debug)]
pub struct Return {
    customer: Id,
    order: Id,
    amount: Cents,
    cost_recovered: Cents,
}

/// How many of the day's orders fall into each hour, in hundredths of those in the busiest.
const HOURS: [i64; 24] = [22, 12, 7, 5, 5, 9, 22, 40, 55, 64, 70, 74, 78, 72, 66, 64, 66, 72, 80, 92, 100, 96, 74, 44];

/// Mean of [`HOURS`], as a share.
const MEAN_HOUR: f64 = 0.54;

/// How customers behave whom no campaign brought.
const ORGANIC_STAY: f64 = 0.55;
const ORGANIC_GAP_DAYS: f64 = 26.0;
const ORGANIC_REFUND: f64 = 0.03;

impl Shop {
    pub(super) fn new_customer(&mut self, at: Millis, now: Millis) {
        // Candidates come evenly; the hour decides which of them are customers.
        let wait = self.dice.wait(MEAN_HOUR * self.candidate_every);
        self.queue.push(Millis(at.0 + wait), Due::NewCustomer);
        let hour = at.0.rem_euclid(Millis::DAY) / Millis::HOUR;
        if self.dice.between(0, 99) >= HOURS[hour as usize] {
            return;
        }
        let by = self.dice.pick(&self.new_customers_by);
        let campaign = (by < self.campaigns.len()).then_some(by as u32);
        if let Some(index) = campaign {
            let Running { opens, plan, .. } = &self.campaigns[index as usize];
            let doubted =
                at > self.plan.until.plus(-Campaign::DOUBTED_DAYS * Millis::DAY) && !self.dice.chance(plan.kept);
            if *opens > at || doubted {
                return;
            }
        }
        let known = campaign.is_none() && self.dice.chance(0.06);
        let since = known.then(|| Millis(now.0 - self.dice.between(200, 900) * Millis::DAY));
        self.customers += 1;
        self.order(at, now, Customer { number: self.customers, campaign, orders: 0, since });
    }

    pub(super) fn order(&mut self, at: Millis, now: Millis, mut customer: Customer) {
        customer.orders += 1;
        self.orders += 1;
        let first = customer.orders == 1;
        let plan = customer.campaign.map(|index| self.campaigns[index as usize].plan);
        let moment = Millis(now.0 - self.dice.between(0, 3_000));

        let (source, touches) = if first { self.first_touches(moment, &customer) } else { self.repeat_touches(moment) };
        let basket = plan.filter(|_| first).map_or(COFFEE, |plan| plan.first_basket);
        let items = self.fill(basket);
        let discount = plan.filter(|_| first).map_or(Cents(0), |plan| plan.first_discount);
        let coupon = discount.0 > 0 || self.dice.chance(0.05);
        let order = Order {
            customer,
            number: self.orders,
            at: moment,
            items,
            discount: if coupon && discount.0 == 0 { Cents(2_00) } else { discount },
            offer: coupon.then_some(if first { "WELCOME" } else { "THANKS" }),
            touches,
        };
        if let Some(by) = source {
            let plan = self.campaigns[by].plan;
            let cost = if first { plan.cost_of_customer } else { plan.cost_of_repeat };
            self.charge(by, cost, order.value(), now);
        }
        self.send_order(at, &order);
        self.customer_costs(&customer, now);
        self.fate(at, order);

        let (stay, gap) = plan.map_or((ORGANIC_STAY, ORGANIC_GAP_DAYS), |plan| (plan.stay, plan.gap_days));
        if self.dice.chance(stay) {
            // Nobody is through a bag of coffee in two days.
            let wait = 2 * Millis::DAY + self.dice.wait((gap - 2.0).max(1.0));
            self.queue.push(Millis(at.0 + wait), Due::Order(customer));
        }
    }

    /// What led to a first order, and the campaign that is charged for it.
    fn first_touches(&mut self, moment: Millis, customer: &Customer) -> (Option<usize>, SmallVec<[Touch; 3]>) {
        let mut touches = SmallVec::new();
        let Some(index) = customer.campaign else {
            if self.dice.chance(0.7) {
                let channel = if self.dice.chance(0.5) { "direct" } else { "organic" };
                touches.push(Touch { at: moment, campaign: None, channel });
            }
            return (None, touches);
        };
        if self.dice.chance(0.25) {
            let other = self.dice.pick(&self.new_customers_by);
            let at = Millis(moment.0 - self.dice.between(Millis::DAY, 20 * Millis::DAY));
            if let Some(running) = self.campaigns.get(other).filter(|running| running.opens <= at) {
                touches.push(Touch { at, campaign: Some(other as u32), channel: running.plan.channel });
            }
        }
        let channel = self.campaigns[index as usize].plan.channel;
        let at = Millis(moment.0 - self.dice.between(0, 6 * Millis::HOUR));
        touches.push(Touch { at, campaign: Some(index), channel });
        if self.dice.chance(0.15) {
            touches.push(Touch { at: moment, campaign: None, channel: "direct" });
        }
        (Some(index as usize), touches)
    }

    fn repeat_touches(&mut self, moment: Millis) -> (Option<usize>, SmallVec<[Touch; 3]>) {
        let mut touches = SmallVec::new();
        let by = self.dice.pick(&self.repeat_orders_by);
        let Some(running) = self.campaigns.get(by) else {
            if self.dice.chance(0.8) {
                touches.push(Touch { at: moment, campaign: None, channel: "direct" });
            }
            return (None, touches);
        };
        let at = Millis(moment.0 - self.dice.between(0, 2 * Millis::DAY));
        touches.push(Touch { at, campaign: Some(by as u32), channel: running.plan.channel });
        (Some(by), touches)
    }

    fn fill(&mut self, basket: Basket) -> SmallVec<[Item; 3]> {
        let weights = super::cumulative(basket.iter().map(|(_, weight)| *weight));
        let lines = if basket.len() < 4 || self.dice.chance(0.65) { 1 } else { 2 };
        let mut items: SmallVec<[Item; 3]> = SmallVec::new();
        for _ in 0..lines {
            let product = &PRODUCTS[basket[self.dice.pick(&weights)].0];
            if items.iter().any(|item| item.sku == product.sku) {
                continue;
            }
            items.push(Item {
                sku: product.sku,
                category: product.category,
                quantity: self.dice.between(1, i64::from(product.most)) as u32,
                unit_price: product.price,
                unit_cost: product.cost,
            });
        }
        items
    }

    /// Gifts and calls: what a customer costs beside goods and ads.
    fn customer_costs(&mut self, customer: &Customer, now: Millis) {
        let gift = customer.campaign.map_or(Cents(0), |index| self.campaigns[index as usize].plan.welcome_gift);
        let (amount, kind, channel) = if customer.orders == 1 && gift.0 > 0 {
            (gift, "acquisition", "dm")
        } else if customer.orders > 2 && self.dice.chance(0.15) {
            let (channel, amount) =
                [("email", 10), ("line", 15), ("dm", 1_20), ("call", 4_50)][self.dice.between(0, 3) as usize];
            (Cents(amount), "retention", channel)
        } else {
            return;
        };
        self.numbers += 1;
        let event = Event::CustomerCost {
            customer_id: self.customer_id(customer),
            cost_id: self.id('k', self.numbers),
            occurred_at: Moment(now),
            amount,
            kind,
            channel,
        };
        self.send(customer, &event);
    }

    /// What may become of an order later.
    fn fate(&mut self, at: Millis, order: Order) {
        let plan = order.customer.campaign.map(|index| self.campaigns[index as usize].plan);
        let refund = plan.map_or(ORGANIC_REFUND, |plan| plan.refund);
        if self.dice.chance(refund) {
            // Rarely the warehouse is faster than the order that comes late: see `send_order`.
            let wait = if self.dice.chance(0.1) {
                self.dice.between(1, 30) * Millis::HOUR
            } else {
                self.dice.between(3, 21) * Millis::DAY
            };
            let whole = self.dice.chance(0.5);
            let pieces: i64 = order.items.iter().map(|item| i64::from(item.quantity)).sum();
            let part = |cents: i64| Cents(if whole { cents } else { cents / pieces.max(1) });
            // What was opened can't be sold again.
            let sellable = self.dice.chance(0.5);
            let cost = if sellable { order.cost().0 } else { 0 };
            let refund = Return {
                customer: self.customer_id(&order.customer),
                order: self.id('o', order.number),
                amount: part(order.value().0),
                cost_recovered: part(cost),
            };
            if refund.amount.0 > 0 {
                self.queue.push(Millis(at.0 + wait), Due::Refund(Box::new(refund)));
            }
        } else if self.dice.chance(0.015) {
            let wait = self.dice.between(Millis::MINUTE, 5 * Millis::HOUR);
            self.queue.push(Millis(at.0 + wait), Due::Cancel(Box::new(order)));
        } else if self.dice.chance(0.02) {
            let wait = self.dice.between(Millis::HOUR, 40 * Millis::HOUR);
            self.queue.push(Millis(at.0 + wait), Due::Amend(Box::new(order)));
        }
    }

    pub(super) fn amend(&mut self, now: Millis, order: &Order) {
        let mut amended = order.clone();
        if amended.items.len() > 1 {
            amended.items.pop();
        } else if let Some(item) = amended.items.first_mut() {
            item.quantity += 1;
        }
        let message = self.order_message(&amended, Some(now));
        self.ready.0.extend(message);
    }

    pub(super) fn refund(&mut self, now: Millis, refund: &Return) {
        self.numbers += 1;
        let event = Event::Refund {
            customer_id: refund.customer,
            order_id: refund.order,
            refund_id: self.id('r', self.numbers),
            occurred_at: Moment(now),
            amount: refund.amount,
            cost_recovered: (refund.cost_recovered.0 > 0).then_some(refund.cost_recovered),
        };
        self.ready.push(Source::Purchases, &refund.customer.to_string(), &event);
    }

    pub(super) fn cancel(&mut self, now: Millis, order: &Order) {
        let event = Event::Cancellation {
            customer_id: self.customer_id(&order.customer),
            order_id: self.id('o', order.number),
            occurred_at: Moment(now),
        };
        self.send(&order.customer, &event);
    }

    fn send_order(&mut self, at: Millis, order: &Order) {
        let Some(message) = self.order_message(order, None) else { return };
        if self.dice.chance(0.005) {
            let wait = self.dice.between(1, 2 * Millis::HOUR);
            self.queue.push(Millis(at.0 + wait), Due::Deliver(Box::new(message.clone())));
        }
        // Orders of the market stalls come with the evening's upload, or after the weekend.
        if self.dice.chance(0.03) {
            let wait = self.dice.between(Millis::HOUR, 60 * Millis::HOUR);
            self.queue.push(Millis(at.0 + wait), Due::Deliver(Box::new(message)));
        } else {
            self.ready.0.push_back(message);
        }
    }

    fn order_message(&self, order: &Order, updated_at: Option<Millis>) -> Option<Message> {
        let campaign_id = |index: Option<u32>| index.map(|index| self.campaigns[index as usize].id.as_str());
        // A shop system that knows one campaign an order sends the short form.
        let short = order.number.is_multiple_of(8) && order.touches.len() == 1;
        let shorthand = order.touches.first().filter(|_| short);
        let touchpoints: SmallVec<[Touchpoint<'_>; 3]> = order
            .touches
            .iter()
            .filter(|_| !short)
            .map(|touch| Touchpoint {
                at: Moment(touch.at),
                campaign_id: campaign_id(touch.campaign),
                channel: touch.channel,
            })
            .collect();
        let purchase = Purchase {
            customer_id: self.customer_id(&order.customer),
            order_id: self.id('o', order.number),
            occurred_at: Moment(order.at),
            updated_at: updated_at.map(Moment),
            operating_cost: order.operating_cost(),
            discount: (order.discount.0 > 0).then_some(order.discount),
            offer: order.offer,
            customer_since: order.customer.since.map(Moment),
            campaign_id: shorthand.and_then(|touch| campaign_id(touch.campaign)),
            channel: shorthand.map(|touch| touch.channel),
            touchpoints: &touchpoints,
            items: &order.items,
        };
        let key = purchase.customer_id.to_string();
        Message::write(Source::Purchases, &key, &Event::Purchase(&purchase))
    }

    fn send(&mut self, customer: &Customer, event: &Event<'_>) {
        self.ready.push(Source::Purchases, &self.customer_id(customer).to_string(), event);
    }

    fn customer_id(&self, customer: &Customer) -> Id {
        self.id('c', customer.number)
    }

    fn id(&self, prefix: char, number: u64) -> Id {
        Id { prefix, seed: self.plan.seed, number }
    }
}

impl Order {
    fn value(&self) -> Cents {
        let sum: i64 = self.items.iter().map(|item| item.unit_price.0 * i64::from(item.quantity)).sum();
        Cents(sum - self.discount.0)
    }

    fn cost(&self) -> Cents {
        Cents(self.items.iter().filter_map(|item| Some(item.unit_cost?.0 * i64::from(item.quantity))).sum())
    }

    /// Parcel and packing, and 2.5 % to the payment provider.
    fn operating_cost(&self) -> Cents {
        Cents(4_20 + self.value().0 / 40)
    }
}
