//! What is too old to be kept individually: it counts on, can't be changed, and takes no memory of its own.

use std::collections::HashMap;

use proptest::prelude::*;

use super::restore::{Step, berlin, start, steps_of, without_collisions};
use super::*;
use crate::events::Reason;
use crate::settings::{Retention, Window, WindowSpan};
use crate::time::Zone;

const DAY: i64 = Millis::DAY;

pub fn settings(retention: Retention) -> Settings {
    let mut settings = Settings { zone: berlin(), retention, ..Settings::default() };
    let windows =
        [WindowSpan::Hours(1), WindowSpan::Hours(24), WindowSpan::Days(1), WindowSpan::Days(9), WindowSpan::Lifetime];
    settings.windows = windows.map(Window::new).to_vec();
    settings.verdict.window = 4;
    settings.verdict.maturity_days = 5;
    settings
}

pub const SHORT: Retention = Retention { hours_days: Some(1), days: 9, spend_days: 3, orders_days: None };

/// A shop of some days before `start`, for which the first week is over.
pub fn shop(settings: &Settings, start: Millis) -> Shop {
    let mut shop = Shop::new(settings.clone());
    for back in [9, 5, 1] {
        shop.flush(start.plus(-back * DAY));
    }
    shop
}

fn new_customers(count: i64) -> LedgerSums {
    LedgerSums { shares: count, new_customers: count, ..LedgerSums::default() }
}

fn kinds(shop: &Shop) -> String {
    shop.out.facts.keys().map(|key| key[0] as char).collect()
}

fn reason(outcome: Result<Outcome, Rejection>) -> Reason {
    outcome.unwrap_err().reason
}

#[test]
fn an_old_amount_counts_on_and_can_not_be_changed() {
    let settings = settings(SHORT);
    let mut shop = shop(&settings, NOW);
    let named = |id, back: i64, channel: &'static str| AdSpend {
        channel: Some(channel.into()),
        ..spend("c", id, NOW.plus(-back * DAY), 7)
    };
    shop.apply(Event::AdSpend(named("1", 2, "search")));
    shop.apply(Event::AdSpend(named("2", 2, "social")));
    shop.apply(Event::AdSpend(AdSpend { kind: SpendKind::Fee, ..named("3", 1, "mail") }));
    shop.roll(NOW);
    assert_eq!(kinds(&shop), "aaa");
    let before = shop.present("c", NOW.plus(2 * DAY));

    shop.roll(NOW.plus(2 * DAY));
    assert_eq!(kinds(&shop), "acs", "the amounts of four days ago are one sum, and what they say");
    assert_eq!(shop.present("c", NOW.plus(2 * DAY)), before);
    assert_eq!(shop.window("c", "lifetime").invested.0, units(21));
    assert_eq!(shop.record("c").spend_through.unwrap(), "2026-11-19T10:00:05Z");

    let again = shop.try_to_apply(Event::AdSpend(named("1", 2, "search"))).unwrap_err();
    assert_eq!(
        again.to_string(),
        "too_late: occurred_at: amounts of days before 2026-11-20 can't be told apart any more"
    );
    assert_eq!(reason(shop.try_to_apply(Event::AdSpend(spend("c", "new", NOW.plus(-2 * DAY), 1)))), Reason::TooLate);
    assert_eq!(shop.apply(Event::AdSpend(spend("c", "new", NOW.plus(-DAY), 1))), Outcome::Applied);

    shop.roll(NOW.plus(4 * DAY));
    assert_eq!(kinds(&shop), "css");
    assert_eq!(shop.record("c").channel.unwrap(), "mail", "the latest that named one");
    let then = NOW.plus(4 * DAY);
    assert_eq!(shop.restored(&settings, Some(then), &[]).present("c", then), shop.present("c", then));
}

/// That of UTC; west of it, it began the day before.
#[test]
fn spend_of_the_first_day_is_not_too_late_while_nothing_is_compacted() {
    let settings = Settings { zone: Zone::named("America/New_York").unwrap(), ..Settings::default() };
    let mut shop = Shop::new(settings.clone());
    shop.flush(NOW);
    let mut shop = shop.restored(&settings, Some(NOW), &[]);
    assert_eq!(shop.apply(Event::AdSpend(spend("c", "1", Millis::MIN, 7))), Outcome::Applied);
    shop.roll(NOW);
    assert_eq!(kinds(&shop), "a", "it is kept singly");
}

#[test]
fn an_id_whose_amount_is_compacted_is_free_for_another_amount() {
    for compact_first in [false, true] {
        let mut shop = shop(&settings(SHORT), NOW);
        shop.apply(Event::AdSpend(spend("c", "1", NOW.plus(-2 * DAY), 7)));
        shop.flush(NOW);
        let then = NOW.plus(2 * DAY);
        if compact_first {
            drop(shop.roll(then))
        } else {
            shop.flush(then)
        }
        assert_eq!(shop.apply(Event::AdSpend(spend("c", "1", then, 5))), Outcome::Applied);
        assert_eq!(kinds(&shop), "acs", "of a flush alone the turn has not come, but then it comes with the event");
        shop.flush(then);
        assert_eq!(shop.window("c", "lifetime").spend.0, units(12));
    }
}

#[test]
fn days_that_are_compacted_are_of_the_lifetime_alone() {
    let settings = settings(SHORT);
    let mut shop = shop(&settings, NOW);
    let named = AdSpendReport {
        breakdown: Some("de:1".into()),
        campaign_name: Some("Spring".into()),
        impressions: Some(100),
        ..report("c", today().plus(-2), NOW, 24)
    };
    shop.apply(Event::AdSpendReport(named.clone()));
    shop.apply(Event::AdSpend(spend("c", "1", NOW.plus(-2 * DAY), 7)));
    shop.absorb("c", hour(48), new_customers(2));
    shop.absorb("c", hour(4), new_customers(1));
    shop.roll(NOW);
    shop.roll(NOW.plus(6 * DAY));
    assert_eq!(kinds(&shop), "cddrs");
    let before = shop.present("c", NOW.plus(8 * DAY)).unwrap();
    assert_eq!(before.windows.get("lifetime").unwrap().new_customers, 3);

    let then = NOW.plus(8 * DAY);
    shop.roll(then);
    assert_eq!(kinds(&shop), "bcd");
    assert_eq!(shop.present("c", then).unwrap(), before);
    assert_eq!(shop.record("c").name.unwrap(), "Spring");
    assert_eq!(reason(shop.try_to_apply(Event::AdSpendReport(named))), Reason::TooLate);
    assert_eq!(shop.apply(Event::AdSpendReport(report("c", today().plus(-1), then, 1))), Outcome::Applied);

    // What customers contribute to days that are gone still comes, and goes.
    shop.absorb("c", hour(48), new_customers(-1));
    shop.absorb("c", hour(24 * 900), new_customers(5));
    shop.flush(then);
    assert_eq!(kinds(&shop), "bcdr");
    assert_eq!((shop.window("c", "lifetime").new_customers, shop.window("c", "9d").new_customers), (7, 1));
    let restored = shop.restored(&settings, Some(then), &[]);
    assert_eq!(restored.present("c", then), shop.present("c", then));
}

#[test]
fn compaction_is_done_in_parts_and_goes_on_after_a_restart() {
    let settings = settings(SHORT);
    let mut shop = shop(&settings, NOW);
    let ids: Vec<&'static str> = (0..40).map(|id: i32| &*id.to_string().leak()).collect();
    for (back, id) in (0..).zip(&ids) {
        shop.apply(Event::AdSpend(spend("c", id, NOW.plus(-back % 2 * DAY), 1)));
    }
    shop.flush(NOW);
    let then = NOW.plus(6 * DAY);
    let written = shop.out.facts_written;
    assert!(!shop.stage.roll(then, 20, &mut shop.out), "two days of twenty amounts");
    assert_eq!(shop.out.facts_written - written, 22, "one day of them");
    let mut restored = shop.restored(&settings, Some(then), &[]);
    assert_eq!(restored.present("c", then), shop.present("c", then));
    assert_eq!(reason(restored.try_to_apply(Event::AdSpend(spend("c", "0", NOW, 1)))), Reason::TooLate);
    restored.roll(then);
    shop.roll(then);
    assert_eq!(kinds(&restored), "css");
    assert_eq!(restored.out.facts, shop.out.facts);
    assert!(shop.stage.sizes().bytes < 20_000, "{}", shop.stage.sizes().bytes);
}

#[test]
fn in_the_first_week_and_after_a_standstill_all_may_come() {
    let mut shop = Shop::new(settings(SHORT));
    let mut try_one = |id, at: Millis, flush: Millis| {
        shop.flush(flush);
        shop.try_to_apply(Event::AdSpend(spend("c", id, at, 1))).map_err(|rejection| rejection.reason)
    };
    let old = NOW.plus(-100 * DAY);
    assert_eq!(try_one("1", old, NOW), Ok(Outcome::Applied));
    assert_eq!(try_one("2", old, NOW.plus(6 * DAY)), Ok(Outcome::Applied));
    assert_eq!(try_one("3", old, NOW.plus(8 * DAY)), Err(Reason::TooLate));
    let away = NOW.plus(38 * DAY);
    assert_eq!(try_one("4", NOW.plus(8 * DAY), away), Ok(Outcome::Applied), "thirty days of events wait to be read");
    assert_eq!(try_one("5", NOW.plus(4 * DAY), away), Err(Reason::TooLate), "what was compacted stays so");
    assert_eq!(try_one("6", NOW.plus(8 * DAY), away.plus(7 * DAY)), Err(Reason::TooLate));
}

/// What is known of a spend id: the rank of its current amount, and the id under which the twin knows it.
#[derive(Clone, Copy)]
struct Known {
    rank: (Millis, Micros, u64),
    id: &'static str,
}

/// Up to which day amounts, and days, are compacted.
fn horizons(now: Millis) -> (Date, Date) {
    let today = berlin().date(now);
    (today.plus(-(SHORT.spend_days as i32)), today.plus(-(SHORT.days as i32)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Beside one that keeps everything, and takes the same events but for those that are too late.
    #[test]
    fn compaction_changes_no_figure(
        steps in steps_of(6_000).prop_map(without_collisions),
        order in proptest::collection::vec(any::<usize>(), 0..80),
        restarts in any::<u64>(),
    ) {
        let (short, all) = (settings(SHORT), settings(SHORT.of_everything()));
        let (mut shop, mut twin) = (shop(&short, start()), shop(&all, start()));
        let mut now = start().plus(-DAY);
        let mut ids: HashMap<(String, String), Known> = HashMap::new();
        for (number, step) in steps.iter().enumerate() {
            let (amounts, days) = horizons(now);
            match step {
                Step::Report(report) => {
                    let outcome = shop.try_to_apply(Event::AdSpendReport(report.clone()));
                    prop_assert_eq!(outcome.is_err(), report.date < days);
                    if let Ok(outcome) = outcome {
                        prop_assert_eq!(twin.apply(Event::AdSpendReport(report.clone())), outcome);
                    }
                }
                Step::Amount(spend) => {
                    let outcome = shop.try_to_apply(Event::AdSpend(spend.clone()));
                    prop_assert_eq!(outcome.is_err(), berlin().date(spend.occurred_at) < amounts);
                    if let Ok(outcome) = outcome {
                        let rank = (spend.occurred_at, spend.amount, spend.digest);
                        let new = || Known { rank, id: &*format!("{}-{number}", spend.spend_id).leak() };
                        let known = ids.entry((spend.campaign_id.to_string(), spend.spend_id.to_string()));
                        let known = known.or_insert_with(new);
                        if berlin().date(known.rank.0) < amounts {
                            *known = new();
                        }
                        known.rank = known.rank.max(rank);
                        let renamed = AdSpend { spend_id: known.id.into(), ..spend.clone() };
                        prop_assert_eq!(twin.apply(Event::AdSpend(renamed)), outcome);
                    }
                }
                _ => {
                    shop.take(step, &mut now.clone());
                    twin.take(step, &mut now);
                }
            }
            if restarts >> (number % 64) & 1 == 1 && matches!(step, Step::Flush(_)) {
                shop = shop.restored(&short, Some(now), &order);
            }
        }
        shop.flush(now);
        twin.flush(now);
        prop_assert_eq!(shop.records(now), twin.records(now));
        shop.roll(now);
        prop_assert_eq!(shop.records(now), twin.records(now));
        for as_of in [None, Some(now)] {
            prop_assert_eq!(shop.restored(&short, as_of, &order).records(now), twin.records(now));
        }

        // Nothing old is left.
        let (amounts, days) = horizons(now);
        for key in shop.out.facts.keys() {
            match Key::read(key).unwrap() {
                Key::Day { day, .. } | Key::DaySpend { day, .. } => prop_assert!(day >= days),
                Key::Report { date, .. } => prop_assert!(date >= days),
                Key::Hour { hour, .. } => prop_assert!(hour >= now.plus(-4 * DAY)),
                Key::Amount { campaign, spend } => {
                    let known = ids[&(campaign.to_owned(), spend.to_owned())];
                    prop_assert!(berlin().date(known.rank.0) >= amounts);
                }
                Key::Compacted { .. } | Key::Before { .. } | Key::Horizons => {}
            }
        }
    }

    #[test]
    fn a_parked_state_follows_one_that_compacts(
        before in steps_of(6_000).prop_map(without_collisions),
        after in steps_of(6_000).prop_map(without_collisions),
    ) {
        let settings = settings(SHORT);
        let mut now = start().plus(-DAY);
        let mut parked = shop(&settings, start());
        before.iter().for_each(|step| parked.take(step, &mut now));
        parked.flush(now);
        let mut owner = parked.restored(&settings, Some(now), &[]);
        let seen = owner.out.facts.clone();
        after.iter().for_each(|step| owner.take(step, &mut now));
        owner.flush(now);
        owner.roll(now);
        for key in seen.keys().filter(|key| !owner.out.facts.contains_key(*key)) {
            parked.stage.restore(key, None).unwrap();
        }
        for (key, value) in owner.out.facts.iter().filter(|(key, value)| seen.get(*key) != Some(value)) {
            parked.stage.restore(key, Some(value)).unwrap();
        }
        parked.stage.restore(b"z", owner.out.horizons.as_deref()).unwrap();
        parked.stage.restored(Some(Last::at(now)));
        prop_assert_eq!(parked.records(now), owner.records(now));
        parked.out.facts = owner.out.facts.clone();
        let then = now.plus(5 * DAY);
        parked.roll(then);
        owner.roll(then);
        prop_assert_eq!(&parked.out.facts, &owner.out.facts);
    }
}
