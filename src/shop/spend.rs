//! What the shop's campaigns cost, and how it hears of it: day totals that platforms report and restate, weekly bills,
//! commissions, fees.

use super::catalogue::Billing;
use super::wire::{Cents, Day, Event, Id, Moment, Report};
use super::{Due, Shop, Source};
use crate::time::{Date, Millis};

/// How often a platform reports an open day.
const REPORT_EVERY: i64 = 8 * Millis::HOUR;
const WEEK: i64 = 7 * Millis::DAY;

/// One ad group's day, still running. The campaign's costs fall into it as customers come.
#[derive(Debug)]
pub struct Cell {
    campaign: usize,
    breakdown: Option<&'static str>,
    date: Date,
    totals: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    spend: Cents,
    impressions: i64,
    clicks: i64,
    conversions: i64,
    revenue: Cents,
}

/// A day's total once more, somewhat different.
#[derive(Debug)]
pub struct Restatement {
    cell: usize,
    date: Date,
    totals: Totals,
}

impl Shop {
    /// Opens the books of all campaigns.
    pub(super) fn open_books(&mut self, start: Millis) {
        for campaign in 0..self.campaigns.len() {
            let plan = self.campaigns[campaign].plan;
            let opens = self.campaigns[campaign].opens;
            match plan.billing {
                Billing::Reports(groups) => {
                    self.campaigns[campaign].cells = self.cells.len()..self.cells.len() + groups.len();
                    for &breakdown in groups {
                        let date = self.plan.zone.date(opens);
                        self.cells.push(Cell { campaign, breakdown, date, totals: Totals::default() });
                        let cell = self.cells.len() - 1;
                        let first = self.plan.zone.start_of(date).0 + REPORT_EVERY;
                        let delay = self.dice.between(2 * Millis::MINUTE, 20 * Millis::MINUTE);
                        self.queue.push(Millis(first + delay).max(start), Due::Report(cell));
                    }
                }
                Billing::Weekly => self.queue.push(Millis(opens.0 + WEEK), Due::Bill(campaign)),
                Billing::Commission => {}
            }
            if plan.fee > 0.0 {
                self.queue.push(Millis(opens.0 + WEEK), Due::Fee(campaign));
            }
        }
    }

    /// Books what a customer, or a repeat order, cost the campaign that brought it.
    pub(super) fn charge(&mut self, campaign: usize, cost: Cents, order_value: Cents, now: Millis) {
        let plan = self.campaigns[campaign].plan;
        // Nobody pays for exactly the clicks that became orders: days differ.
        let cost = Cents((cost.0 as f64 * self.dice.factor(0.7, 1.3)) as i64);
        match plan.billing {
            Billing::Commission => self.send_spend(campaign, cost, "media", now),
            Billing::Weekly => self.campaigns[campaign].unbilled.0 += cost.0,
            Billing::Reports(groups) => {
                let group = self.dice.between(0, groups.len() as i64 - 1) as usize;
                let clicks = 1 + cost.0 / self.dice.between(30, 60);
                let totals = &mut self.cells[self.campaigns[campaign].cells.start + group].totals;
                totals.spend.0 += cost.0;
                totals.clicks += clicks;
                totals.impressions += clicks * self.dice.between(40, 90);
                totals.conversions += 1;
                totals.revenue.0 += (order_value.0 as f64 * plan.claim) as i64;
            }
        }
        if plan.fee > 0.0 {
            self.campaigns[campaign].unbilled_fee.0 += (cost.0 as f64 * plan.fee) as i64;
        }
    }

    /// The platform reports a day so far; when the day is over, the next one begins.
    pub(super) fn report(&mut self, at: Millis, cell: usize, now: Millis) {
        self.queue.push(Millis(at.0 + REPORT_EVERY), Due::Report(cell));
        let (date, totals) = (self.cells[cell].date, self.cells[cell].totals);
        self.send_report(cell, date, totals, now);
        let today = self.plan.zone.date(now);
        if today > date {
            self.cells[cell].date = today;
            self.cells[cell].totals = Totals::default();
            let restated = Totals {
                spend: Cents((totals.spend.0 as f64 * self.dice.factor(0.96, 1.03)) as i64),
                conversions: totals.conversions + i64::from(self.dice.chance(0.2)),
                revenue: Cents((totals.revenue.0 as f64 * self.dice.factor(1.0, 1.1)) as i64),
                ..totals
            };
            let again = Restatement { cell, date, totals: restated };
            let days = if self.dice.chance(0.3) { 7 } else { 2 };
            self.queue.push(Millis(at.0 + days * Millis::DAY), Due::Restate(Box::new(again)));
        }
    }

    pub(super) fn restate(&mut self, again: &Restatement, now: Millis) {
        self.send_report(again.cell, again.date, again.totals, now);
    }

    /// A week's media bill.
    pub(super) fn bill(&mut self, at: Millis, campaign: usize, now: Millis) {
        self.queue.push(Millis(at.0 + WEEK), Due::Bill(campaign));
        let amount = std::mem::take(&mut self.campaigns[campaign].unbilled);
        // The newsletter's tool is no media.
        let kind = if self.campaigns[campaign].plan.platform == "email" { "other" } else { "media" };
        self.send_spend(campaign, amount, kind, now);
    }

    /// A week's agency fee.
    pub(super) fn fee(&mut self, at: Millis, campaign: usize, now: Millis) {
        self.queue.push(Millis(at.0 + WEEK), Due::Fee(campaign));
        let amount = std::mem::take(&mut self.campaigns[campaign].unbilled_fee);
        self.send_spend(campaign, amount, "fee", now);
    }

    fn send_spend(&mut self, campaign: usize, amount: Cents, kind: &'static str, at: Millis) {
        self.numbers += 1;
        let spend_id = Id { prefix: 's', seed: self.plan.seed, number: self.numbers };
        let Self { campaigns, ready, .. } = self;
        let running = &campaigns[campaign];
        let event = Event::AdSpend {
            campaign_id: &running.id,
            spend_id,
            occurred_at: Moment(at),
            amount,
            kind,
            channel: running.plan.channel,
        };
        ready.push(Source::AdSpend, &running.id, &event);
    }

    fn send_report(&mut self, cell: usize, date: Date, totals: Totals, at: Millis) {
        let Self { campaigns, cells, ready, .. } = self;
        let running = &campaigns[cells[cell].campaign];
        let report = Report {
            campaign_id: &running.id,
            date: Day(date),
            breakdown: cells[cell].breakdown,
            reported_at: Moment(at),
            amount: totals.spend,
            channel: running.plan.channel,
            impressions: totals.impressions,
            clicks: totals.clicks,
            reported_conversions: totals.conversions,
            reported_revenue: totals.revenue,
            campaign_name: &running.name,
            platform: running.plan.platform,
            objective: running.plan.objective,
        };
        ready.push(Source::AdSpend, &running.id, &Event::AdSpendReport(&report));
    }
}
