//! What is too old to be kept individually, the slow way: all events are kept, and what may not be changed any more is looked up
//! among them.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::calendar::Calendar;
use super::events::{Event, winners};
use super::orders::{self, Settled};
use super::{Batch, Config, DAY, read};

/// In days.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub hours_days: u32,
    pub days: u32,
    pub spend_days: u32,
    pub orders_days: u32,
}

/// Nothing is given up for so long after a beginning, and after a longer standstill.
const GRACE: i64 = 7 * DAY;

/// The events that were accepted so far, and up to when they are given up.
pub struct Keeper {
    config: Config,
    calendar: Calendar,
    rules: Retention,
    events: Vec<Event>,
    since: Option<i64>,
    last: Option<i64>,
    amounts_before: Option<Date>,
    days_before: Option<Date>,
    orders_before: Option<i64>,
    /// By customer: what followed from the first order when that was given up.
    settled: BTreeMap<String, Settled>,
    renamed: usize,
}

impl Keeper {
    pub fn new(config: &Config, rules: Retention) -> Keeper {
        Keeper {
            config: config.clone(),
            calendar: Calendar::of(&config.zone),
            rules,
            events: Vec::new(),
            since: None,
            last: None,
            amounts_before: None,
            days_before: None,
            orders_before: None,
            settled: BTreeMap::new(),
            renamed: 0,
        }
    }

    /// Time goes on.
    pub fn pass(&mut self, as_of: i64) {
        if self.last.is_some_and(|last| as_of - last > GRACE) {
            self.since = None;
        }
        self.last = Some(as_of);
        if as_of - *self.since.get_or_insert(as_of) < GRACE {
            return;
        }
        let today = self.calendar.date(as_of);
        let back = |days: u32| today - i64::from(days).days();
        let by_the_hour = back(self.rules.hours_days + 1);
        self.days_before = self.days_before.max(Some(back(self.rules.days).min(by_the_hour)));
        self.amounts_before = self.amounts_before.max(Some(back(self.rules.spend_days).min(by_the_hour)));
        self.amounts_before = self.amounts_before.max(self.days_before);
        let start = self.calendar.start_of(back(self.rules.orders_days), 0);
        self.orders_before = self.orders_before.max(Some(start));
        self.settle_customers();
        self.rename_amounts();
    }

    /// Takes an event, unless it is too late.
    pub fn take(&mut self, text: &str) -> Result<(), &'static str> {
        let event = read::event(text.as_bytes(), &self.config)?;
        if self.is_too_late(&event) {
            return Err("too_late");
        }
        self.events.push(event);
        Ok(())
    }

    pub fn batch(&self) -> Batch {
        Batch {
            config: self.config.clone(),
            calendar: Calendar::of(&self.config.zone),
            events: self.events.clone(),
            rejected: Vec::new(),
            settled: self.settled.clone(),
        }
    }

    /// Orders and costs that can still be changed.
    pub fn open_orders(&self) -> usize {
        let winners = winners(&self.events);
        let is_open = |event: &&&Event| match event {
            Event::Purchase(purchase) => !self.is_old(purchase.at),
            _ => false,
        };
        winners.iter().filter(is_open).count()
    }

    fn is_old(&self, at: i64) -> bool {
        self.orders_before.is_some_and(|before| at < before)
    }

    fn is_too_late(&self, event: &Event) -> bool {
        match event {
            Event::Purchase(purchase) => {
                self.is_old(purchase.at) || self.is_gone(&purchase.customer, &purchase.order).unwrap_or(false)
            }
            Event::Refund { customer, order, at, .. } | Event::Cancellation { customer, order, at } => {
                self.is_gone(customer, order).unwrap_or(self.is_old(*at))
            }
            Event::CustomerCost { at, .. } => {
                let identity = event.identity();
                let former = winners(&self.events).into_iter().find(|former| former.identity() == identity);
                self.is_old(*at) || former.is_some_and(|former| self.is_old(former.moment()))
            }
            Event::AdSpend { at, .. } => self.amounts_before.is_some_and(|before| self.calendar.date(*at) < before),
            Event::Report(report) => self.days_before.is_some_and(|before| report.date < before),
        }
    }

    /// Whether an order is too old to be changed; none when nothing is known of it.
    fn is_gone(&self, of_customer: &str, of_order: &str) -> Option<bool> {
        let of_order = winners(&self.events).into_iter().filter(|event| match event {
            Event::Purchase(purchase) => purchase.customer == of_customer && purchase.order == of_order,
            Event::Refund { customer, order, .. } | Event::Cancellation { customer, order, .. } => {
                customer == of_customer && order == of_order
            }
            _ => false,
        });
        let of_order: Vec<&Event> = of_order.collect();
        let placed = of_order.iter().find(|event| matches!(event, Event::Purchase(_)));
        match placed {
            Some(placed) => Some(self.is_old(placed.moment())),
            None if of_order.is_empty() => None,
            None => Some(of_order.iter().all(|event| self.is_old(event.moment()))),
        }
    }

    fn settle_customers(&mut self) {
        let winners = winners(&self.events);
        for customer in orders::by_customer(&winners, &self.config, &self.settled) {
            let Some(first) = customer.orders.first() else { continue };
            if self.is_old(first.purchase.at) {
                let settled = Settled { known_before: customer.known_before, since: customer.since };
                self.settled.entry(customer.id).or_insert(settled);
            }
        }
    }

    /// An id whose amount is given up is free for another.
    fn rename_amounts(&mut self) {
        let before = self.amounts_before;
        let is_old = |event: &&Event| match event {
            Event::AdSpend { at, .. } => before.is_some_and(|before| self.calendar.date(*at) < before),
            _ => false,
        };
        let old: Vec<Vec<String>> =
            winners(&self.events).into_iter().filter(is_old).map(|event| event.identity()).collect();
        for identity in old {
            self.renamed += 1;
            for event in self.events.iter_mut().filter(|event| event.identity() == identity) {
                if let Event::AdSpend { spend, .. } = event {
                    *spend = format!("given up {}", self.renamed);
                }
            }
        }
    }
}
