//! All that is booked on each campaign, and its record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Config;
use super::attribution::{split, weighted};
use super::calendar::{Calendar, HOUR, moment};
use super::events::{Event, Report};
use super::exact::MILLION;
use super::orders::{Customer, Sums};
use super::verdict;
use super::windows::Window;

#[derive(Default)]
pub struct Campaign<'a> {
    pub spend: Vec<Booking>,
    pub shares: Vec<Share>,
    pub acquired: Vec<Acquired>,
    /// The latest moment that booked media spend covers.
    pub spend_through: Option<i64>,
    /// What spend events say of the campaign, with their moments.
    names: BTreeMap<&'static str, BTreeSet<(i64, &'a str)>>,
}

/// A part of a spend event, at a moment.
#[derive(Clone)]
pub struct Booking {
    pub at: i64,
    pub media: bool,
    pub amount: i128,
    pub impressions: i128,
    pub clicks: i128,
    pub reported_revenue: Option<i128>,
}

/// A touchpoint's share of an order.
pub struct Share {
    pub at: i64,
    pub sums: Sums,
    /// The count of the order, in millionths.
    pub orders: i128,
    /// It is of the order by which somebody acquired its customer.
    pub of_acquisition: bool,
    /// Its customer was acquired by this campaign.
    pub of_own_customer: bool,
}

/// A customer acquired, at the moment of the acquisition order.
pub struct Acquired {
    pub at: i64,
    /// All orders of the customer.
    pub sums: Sums,
    pub acquisition_cost: i128,
}

pub fn gather<'a>(
    events: &[&'a Event],
    customers: &'a [Customer<'a>],
    config: &Config,
    calendar: &Calendar,
) -> BTreeMap<&'a str, Campaign<'a>> {
    let mut campaigns: BTreeMap<&str, Campaign> = BTreeMap::new();
    for event in events {
        match event {
            Event::AdSpend { campaign, at, amount, kind, channel, .. } => {
                let campaign = campaigns.entry(campaign).or_default();
                campaign.name("channel", *at, channel);
                let media = kind == "media";
                campaign.spend_through = campaign.spend_through.max(media.then_some(*at));
                let amount = i128::from(*amount);
                let booking = Booking { at: *at, media, amount, impressions: 0, clicks: 0, reported_revenue: None };
                campaign.spend.push(booking);
            }
            Event::Report(report) => campaigns.entry(&report.campaign).or_default().book(report, calendar),
            _ => {}
        }
    }
    for customer in customers {
        let acquirer = customer.acquired_by.0.as_deref();
        if let (Some(acquirer), Some(first)) = (acquirer, customer.orders.first()) {
            let acquired =
                Acquired { at: first.purchase.at, sums: customer.sums(), acquisition_cost: customer.acquisition_cost };
            campaigns.entry(acquirer).or_default().acquired.push(acquired);
        }
        for (place, order) in customer.orders.iter().enumerate() {
            let touchpoints = weighted(order.purchase, config);
            let weights: Vec<i128> = touchpoints.iter().map(|(_, weight)| *weight).collect();
            if weights.is_empty() {
                continue;
            }
            let revenue = split(order.sums.revenue, &weights);
            let covered_revenue = split(order.sums.covered_revenue, &weights);
            let gross_profit = split(order.sums.gross_profit, &weights);
            let operating_profit = split(order.sums.operating_profit, &weights);
            let orders = split(MILLION.into(), &weights);
            for (i, (touchpoint, weight)) in touchpoints.iter().enumerate() {
                let Some(campaign) = touchpoint.campaign.as_deref().filter(|_| *weight > 0) else { continue };
                let share = Share {
                    at: order.purchase.at,
                    sums: Sums {
                        revenue: revenue[i],
                        covered_revenue: covered_revenue[i],
                        gross_profit: gross_profit[i],
                        operating_profit: operating_profit[i],
                    },
                    orders: orders[i],
                    of_acquisition: place == 0 && !customer.known_before,
                    of_own_customer: acquirer == Some(campaign),
                };
                campaigns.entry(campaign).or_default().shares.push(share);
            }
        }
    }
    campaigns
}

impl<'a> Campaign<'a> {
    fn name(&mut self, what: &'static str, at: i64, text: &'a Option<String>) {
        if let Some(text) = text {
            self.names.entry(what).or_default().insert((at, text));
        }
    }

    /// Books a cell evenly over its hours.
    fn book(&mut self, report: &'a Report, calendar: &Calendar) {
        self.name("channel", report.reported_at, &report.channel);
        self.name("name", report.reported_at, &report.name);
        self.name("platform", report.reported_at, &report.platform);
        self.name("objective", report.reported_at, &report.objective);

        let (start, end) = (calendar.start_of(report.date, 0), calendar.start_of(report.date, 1));
        let until = report.reported_at.min(end);
        let hours = ((until - start + HOUR - 1).div_euclid(HOUR)).max(1);
        let media = report.kind == "media";
        if media {
            // Where clocks change by half an hour the last hour of a date ends with it.
            let booked = (start + hours * HOUR).min(end.max(start + HOUR));
            self.spend_through = self.spend_through.max(Some(booked.min(calendar.end_of_hour(report.reported_at))));
        }
        // What is left over goes to the earliest, as among equal weights.
        let evenly = |total: i64| split(total.into(), &vec![1; hours as usize]);
        let (amounts, impressions, clicks) = (evenly(report.amount), evenly(report.impressions), evenly(report.clicks));
        let reported_revenue = report.reported_revenue.map(evenly);
        self.spend.extend((0..hours as usize).map(|hour| Booking {
            at: start + hour as i64 * HOUR,
            media,
            amount: amounts[hour],
            impressions: impressions[hour],
            clicks: clicks[hour],
            reported_revenue: reported_revenue.as_ref().map(|revenue| revenue[hour]),
        }));
    }

    pub fn record(&self, id: &str, config: &Config, calendar: &Calendar, as_of: i64) -> Value {
        let latest = |what| self.names.get(what).and_then(|texts| texts.last()).map(|(_, text)| *text);
        let of_window = |name: &str| Window::of(self, name, config, calendar, as_of);
        let windows: Map<String, Value> =
            config.windows.iter().map(|name| (name.clone(), of_window(name).record(config))).collect();
        json!({
            "scope": "campaign",
            "id": id,
            "name": latest("name"),
            "platform": latest("platform"),
            "objective": latest("objective"),
            "channel": latest("channel"),
            "currency": config.currency,
            "as_of": moment(as_of),
            "spend_through": self.spend_through.map(moment),
            // A batch reads everything first.
            "read_through": null,
            "verdict": verdict::top(&of_window(&config.verdict_window)),
            "windows": windows,
        })
    }
}
