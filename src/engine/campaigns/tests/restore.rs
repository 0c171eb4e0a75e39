//! Folding the facts again gives the same records, in any order; and events in any order give the same facts.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::engine::ledger::OrderSums;
use crate::settings::{Window, WindowSpan};
use crate::time::Zone;

pub const CAMPAIGNS: [&str; 3] = ["a", "ab", "b"];
const LABELS: [Option<&str>; 3] = [None, Some("x"), Some("y")];

/// Shortly before clocks are put back in Berlin.
pub fn start() -> Millis {
    let zone = berlin();
    zone.start_of(Date::parse("2026-10-24").unwrap()).plus(21 * Millis::HOUR)
}

pub fn berlin() -> Zone {
    Zone::named("Europe/Berlin").unwrap()
}

fn settings() -> Settings {
    let mut settings = Settings { zone: berlin(), ..Settings::default() };
    settings.windows = [
        WindowSpan::Hours(1),
        WindowSpan::Hours(24),
        WindowSpan::Hours(Window::MAX_HOURS),
        WindowSpan::Days(1),
        WindowSpan::Days(7),
        WindowSpan::Days(90),
        WindowSpan::Lifetime,
    ]
    .map(Window::new)
    .to_vec();
    settings.verdict.window = 6;
    settings.verdict.maturity_days = 3;
    settings.retention = settings.retention.of_everything();
    settings
}

#[derive(Clone, Debug)]
pub enum Step {
    Report(AdSpendReport<'static>),
    Amount(AdSpend<'static>),
    Difference(&'static str, Millis, LedgerSums),
    /// A flush so many minutes later.
    Flush(i64),
    /// Some campaigns of a roll so many minutes later.
    Roll(i64, usize),
}

fn campaign() -> impl Strategy<Value = &'static str> {
    (0..CAMPAIGNS.len()).prop_map(|index| CAMPAIGNS[index])
}

/// Hours before (or a few after) the start: often around it, around where hours are rolled up into days, and long before.
fn hours_back() -> impl Strategy<Value = i64> {
    prop_oneof![-3_i64..60, 980_i64..1_060, 0_i64..2_200]
}

fn kind() -> impl Strategy<Value = SpendKind> {
    prop_oneof![3 => Just(SpendKind::Media), 1 => Just(SpendKind::Fee)]
}

fn label() -> impl Strategy<Value = Option<std::borrow::Cow<'static, str>>> {
    (0..LABELS.len()).prop_map(|index| LABELS[index].map(Into::into))
}

fn a_report() -> impl Strategy<Value = Step> {
    let identity = (campaign(), hours_back(), kind(), label());
    let content = (0_i64..30, 0_i64..100, 0_u64..3, label(), label(), proptest::option::of(0_i64..50));
    (identity, content).prop_map(
        |((campaign, back, kind, breakdown), (after, amount, digest, channel, name, number))| {
            let date = berlin().date(start().plus(-back * Millis::HOUR));
            let reported_at = berlin().start_of(date).plus(after * 55 * Millis::MINUTE);
            Step::Report(AdSpendReport {
                breakdown,
                kind,
                amount: Micros(amount),
                channel,
                campaign_name: name,
                impressions: number.map(|number| number * 7),
                reported_revenue: number.map(Micros),
                digest,
                ..report(campaign, date, reported_at, 0)
            })
        },
    )
}

fn an_amount() -> impl Strategy<Value = Step> {
    (campaign(), 0..4_usize, hours_back(), kind(), 0_i64..100, 0_u64..3, label()).prop_map(
        |(campaign, id, back, kind, amount, digest, channel)| {
            let at = start().plus(-back * Millis::HOUR + 1);
            let event = spend(campaign, ["1", "2", "3", "b1"][id], at, 0);
            Step::Amount(AdSpend { amount: Micros(amount), kind, channel, digest, ..event })
        },
    )
}

fn a_difference() -> impl Strategy<Value = Step> {
    (campaign(), hours_back(), -2_i64..4, -50_i64..50).prop_map(|(campaign, back, count, amount)| {
        let some = OrderSums {
            revenue: Sum(i128::from(amount) * 3),
            covered_revenue: Sum(i128::from(amount) * 3),
            gross_profit: Sum(i128::from(amount) * 2),
            operating_profit: Sum(amount.into()),
        };
        let sums = LedgerSums {
            shares: count,
            orders: count * 333_333,
            attributed: some,
            new_customers: count,
            acquired: some,
            ..LedgerSums::default()
        };
        Step::Difference(campaign, berlin().hour_start(start().plus(-back * Millis::HOUR)), sums)
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    steps_of(3_000)
}

/// With times of up to so many minutes between flushes.
pub fn steps_of(most: i64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => a_report(),
        3 => an_amount(),
        4 => a_difference(),
        3 => (0_i64..200).prop_map(Step::Flush),
        1 => (0..most).prop_map(Step::Flush),
        1 => (0_i64..200, 1_usize..4).prop_map(|(minutes, budget)| Step::Roll(minutes, budget)),
    ];
    proptest::collection::vec(step, 1..60)
}

impl Shop {
    pub fn take(&mut self, step: &Step, now: &mut Millis) {
        match step {
            Step::Report(report) => {
                let _ = self.try_to_apply(Event::AdSpendReport(report.clone()));
            }
            Step::Amount(spend) => {
                let _ = self.try_to_apply(Event::AdSpend(spend.clone()));
            }
            Step::Difference(campaign, hour, sums) => self.absorb(campaign, *hour, *sums),
            Step::Flush(minutes) => {
                *now = now.plus(minutes * Millis::MINUTE);
                self.flush(*now);
            }
            Step::Roll(minutes, budget) => {
                *now = now.plus(minutes * Millis::MINUTE);
                self.stage.roll(*now, *budget, &mut self.out);
            }
        }
    }

    pub fn records(&self, as_of: Millis) -> Vec<Option<CampaignRecord<'static>>> {
        CAMPAIGNS.iter().map(|campaign| self.present(campaign, as_of)).collect()
    }
}

/// The greater of two events of one identity is current; everything is booked hour by hour and summed over the hours of
/// a window, one after the other.
fn naive(steps: &[Step], campaign: &str, from: Option<Millis>, to: Option<Millis>) -> (Sum, Sum, Sum, i64) {
    let zone = berlin();
    let within = |hour: Millis| from.is_none_or(|from| hour >= from) && to.is_none_or(|to| hour < to);
    let mut reports = HashMap::new();
    let mut amounts = HashMap::new();
    let (mut media, mut all, mut revenue, mut customers) = (0, 0, 0, 0);
    for step in steps {
        match step {
            Step::Report(report) if report.campaign_id == campaign => {
                let current = reports.entry((report.date, report.breakdown.clone(), report.kind)).or_insert(report);
                let rank = |report: &AdSpendReport<'_>| (report.reported_at, report.amount, report.digest);
                *current = if rank(report) > rank(current) { report } else { *current };
            }
            Step::Amount(spend) if spend.campaign_id == campaign => {
                let current = amounts.entry(&spend.spend_id).or_insert(spend);
                let rank = |spend: &AdSpend<'_>| (spend.occurred_at, spend.amount, spend.digest);
                *current = if rank(spend) > rank(current) { spend } else { *current };
            }
            Step::Difference(id, hour, sums) if *id == campaign && within(*hour) => {
                revenue += sums.attributed.revenue.0;
                customers += sums.new_customers;
            }
            _ => {}
        }
    }
    let mut add = |hour, kind, amount: i64| {
        if within(hour) {
            all += i128::from(amount);
            media += if kind == SpendKind::Media { i128::from(amount) } else { 0 };
        }
    };
    for report in reports.values() {
        let mut hours = vec![zone.start_of(report.date)];
        let end = zone.start_of(report.date.plus(1)).min(report.reported_at);
        while hours.last().is_some_and(|last| last.plus(Millis::HOUR) < end) {
            hours.push(hours[hours.len() - 1].plus(Millis::HOUR));
        }
        let count = hours.len() as i64;
        for (index, hour) in (0..).zip(hours) {
            add(hour, report.kind, report.amount.0 / count + i64::from(index < report.amount.0 % count));
        }
    }
    for spend in amounts.values() {
        add(zone.hour_start(spend.occurred_at), spend.kind, spend.amount.0);
    }
    (Sum(media), Sum(all), Sum(revenue), customers)
}

/// Of two current events with all the same rank the contents may differ only if a digest collides; here they would often.
pub fn without_collisions(steps: Vec<Step>) -> Vec<Step> {
    let mut seen = HashMap::new();
    let keep = |step: &Step| {
        let (identity, content) = match step {
            Step::Report(report) => {
                let identity = (&report.campaign_id, report.date, &report.breakdown, report.kind);
                let rank = (report.reported_at, report.amount, report.digest);
                (format!("{identity:?} {rank:?}"), format!("{report:?}"))
            }
            Step::Amount(spend) => {
                let rank = (spend.occurred_at, spend.amount, spend.digest);
                (format!("{:?} {:?} {rank:?}", spend.campaign_id, spend.spend_id), format!("{spend:?}"))
            }
            Step::Difference(..) | Step::Flush(_) | Step::Roll(..) => return true,
        };
        *seen.entry(identity).or_insert_with(|| content.clone()) == content
    };
    let mut steps = steps;
    steps.retain(keep);
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_state_is_the_fold_of_its_facts_in_any_order(
        steps in steps().prop_map(without_collisions),
        shuffled in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        order in proptest::collection::vec(any::<usize>(), 0..80),
        later in 0_i64..5_000,
    ) {
        let settings = settings();
        let mut now = start();
        let mut shop = Shop::new(settings.clone());
        steps.iter().for_each(|step| shop.take(step, &mut now));
        shop.flush(now);
        let records = shop.records(now);

        // What is on the topic differs from the present only in time, once a roll has been all round.
        shop.roll(now);
        for (campaign, record) in CAMPAIGNS.iter().zip(&records) {
            prop_assert_eq!(shop.out.topic.contains_key(&format!("campaign/{campaign}")), record.is_some());
            let Some(record) = record else { continue };
            let mut written = shop.record(campaign);
            written.as_of = record.as_of.clone();
            for ((_, written), (_, present)) in written.windows.0.iter_mut().zip(&record.windows.0) {
                (written.from, written.to) = (present.from.clone(), present.to.clone());
            }
            prop_assert_eq!(&written, record);
        }
        prop_assert_eq!(shop.stage.sizes().campaigns, records.iter().flatten().count() as u64);

        // Against sums made one by one.
        for record in records.iter().flatten() {
            for (name, window) in &record.windows.0 {
                let moment = |text: &Option<std::borrow::Cow<'_, str>>| {
                    text.as_ref().map(|text| Millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()))
                };
                let (media, all, revenue, customers) =
                    naive(&steps, &record.id, moment(&window.from), moment(&window.to));
                prop_assert_eq!(
                    (window.spend.0, window.invested.0, window.revenue.0, window.new_customers),
                    (media, all, revenue, customers),
                    "{} of {}", name, record.id
                );
            }
        }

        // All in another order, some twice, flushed once.
        let mut other = Shop::new(settings.clone());
        let events: Vec<&Step> = steps.iter().filter(|step| !matches!(step, Step::Flush(_) | Step::Roll(..))).collect();
        if !events.is_empty() {
            for index in &shuffled {
                let again = index.get(&events);
                if !matches!(again, Step::Difference(..)) {
                    other.take(again, &mut now.clone());
                }
            }
        }
        events.iter().rev().for_each(|step| other.take(step, &mut now.clone()));
        other.flush(now);
        prop_assert_eq!(&other.records(now), &records);

        // From the facts, some of them early, some of them twice; at once and later on.
        let then = now.plus(later * Millis::MINUTE);
        for as_of in [None, Some(now)] {
            let mut restored = shop.restored(&settings, as_of, &order);
            prop_assert_eq!(&restored.records(now), &records);
            restored.flush(now);
            prop_assert!(restored.out.updates.is_empty(), "nothing changed");
            let mut going_on = shop.restored(&settings, as_of, &order);
            going_on.roll(then);
            let again = going_on.restored(&settings, None, &[]);
            prop_assert_eq!(again.records(then), shop.records(then));
            prop_assert_eq!(going_on.records(then), shop.records(then));
        }
    }

    #[test]
    fn a_parked_state_follows_the_changelog_by_its_tail(
        before in steps().prop_map(without_collisions),
        after in steps().prop_map(without_collisions),
    ) {
        let settings = settings();
        let mut now = start();
        let mut shop = Shop::new(settings.clone());
        before.iter().for_each(|step| shop.take(step, &mut now));
        shop.flush(now);
        let mut owner = shop.restored(&settings, Some(now), &[]);
        let seen = owner.out.facts.clone();
        after.iter().for_each(|step| owner.take(step, &mut now));
        owner.flush(now);
        owner.roll(now);
        for (key, _) in seen.iter().filter(|(key, _)| !owner.out.facts.contains_key(*key)) {
            shop.stage.restore(key, None).unwrap();
        }
        for (key, value) in owner.out.facts.iter().filter(|(key, value)| seen.get(*key) != Some(value)) {
            shop.stage.restore(key, Some(value)).unwrap();
        }
        shop.stage.restored(Some(Last::at(now)));
        prop_assert_eq!(shop.records(now), owner.records(now));
        shop.out.topic.clear();
        shop.roll(now);
        let written: Vec<_> = shop.out.topic.into_iter().collect();
        owner.stage.restored(Some(Last::at(now)));
        owner.out.topic.clear();
        owner.roll(now);
        prop_assert_eq!(written, owner.out.topic.into_iter().collect::<Vec<_>>());
    }
}
