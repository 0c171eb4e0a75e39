//! What stands on the topic is right at every moment, though a campaign is only looked at when something of it is due.

use proptest::prelude::*;

use super::restore::{CAMPAIGNS, Step, start, steps_of, without_collisions};
use super::*;
use crate::settings::{Retention, Window, WindowSpan};
use crate::time::Zone;

fn settings(zone: &str, gap: i64, hours: u32) -> Settings {
    let mut settings = Settings { zone: Zone::named(zone).unwrap(), ..Settings::default() };
    let windows = [
        WindowSpan::Hours(1),
        WindowSpan::Hours(hours),
        WindowSpan::Hours(24),
        WindowSpan::Days(1),
        WindowSpan::Days(3),
        WindowSpan::Lifetime,
    ];
    settings.windows = windows.map(Window::new).to_vec();
    settings.windows[1].name = "some".to_owned();
    settings.verdict.window = 5;
    settings.verdict.maturity_days = 2;
    settings.verdict.max_spend_gap = Micros(gap);
    settings.retention = Retention { days: 8, spend_days: 3, ..Retention::default() };
    settings
}

/// A zone, and how many days before the usual start its clocks change.
const ZONES: [(&str, i32); 5] = [
    ("Europe/Berlin", 0),
    ("UTC", 0),
    ("Australia/Lord_Howe", 21),
    ("Australia/Lord_Howe", 203),
    ("America/Santiago", 48),
];

/// The same so many days before, in this zone.
fn days_before(step: Step, days: i32, zone: &Zone) -> Step {
    let before = |at: Millis| at.plus(i64::from(days) * -Millis::DAY);
    match step {
        Step::Report(report) => {
            let (date, reported_at) = (report.date.plus(-days), before(report.reported_at));
            Step::Report(AdSpendReport { date, reported_at, ..report })
        }
        Step::Amount(spend) => Step::Amount(AdSpend { occurred_at: before(spend.occurred_at), ..spend }),
        Step::Difference(campaign, hour, sums) => Step::Difference(campaign, zone.hour_start(before(hour)), sums),
        time => time,
    }
}

/// The record without what alone goes on with the clock.
fn timeless(record: Option<CampaignRecord<'static>>) -> Option<CampaignRecord<'static>> {
    let mut record = record?;
    record.as_of = "".into();
    Some(record)
}

fn on_topic(shop: &Shop) -> Vec<Option<CampaignRecord<'static>>> {
    let record = |campaign: &str| {
        let json = shop.out.topic.get(&format!("campaign/{campaign}"))?;
        timeless(Some(serde_json::from_slice(json).unwrap()))
    };
    CAMPAIGNS.iter().map(|campaign| record(campaign)).collect()
}

fn roll_if_due(shop: &mut Shop, now: Millis) {
    let mut rolls = 0;
    while shop.stage.next_moment().is_some_and(|next| next <= now) {
        shop.stage.roll(now, 3, &mut shop.out);
        rolls += 1;
        assert!(rolls < 1_000, "it does not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_topic_is_right_whenever_one_looks(
        steps in steps_of(600).prop_map(without_collisions),
        zone in 0..ZONES.len(),
        gap in prop_oneof![Just(0), Just(250_000), Just(1_000_000), 0_i64..=1_000_000],
        hours in 2_u32..40,
        pauses in prop::collection::vec(prop_oneof![1_i64..Millis::HOUR, 1_i64..30 * Millis::HOUR], 0..30),
        restarts in any::<u64>(),
    ) {
        let (zone, days) = ZONES[zone];
        let settings = settings(zone, gap, hours);
        let steps: Vec<Step> = steps.into_iter().map(|step| days_before(step, days, &settings.zone)).collect();
        let mut shop = Shop::new(settings.clone());
        let mut now = start().plus(i64::from(days) * -Millis::DAY);
        let check = |shop: &mut Shop, now: Millis| {
            roll_if_due(shop, now);
            let present: Vec<_> = shop.records(now).into_iter().map(timeless).collect();
            prop_assert_eq!(on_topic(shop), present, "at {}", now);
            Ok(())
        };
        shop.flush(now);
        for (number, step) in steps.iter().enumerate() {
            shop.take(step, &mut now);
            if !matches!(step, Step::Flush(_) | Step::Roll(..)) {
                continue;
            }
            shop.flush(now);
            check(&mut shop, now)?;
            if restarts >> (number % 64) & 1 == 1 {
                let topic = std::mem::take(&mut shop.out.topic);
                shop = shop.restored(&settings, Some(now), &[]);
                shop.out.topic = topic;
            }
        }
        shop.flush(now);
        for pause in pauses {
            now = now.plus(pause);
            check(&mut shop, now)?;
        }
    }
}
