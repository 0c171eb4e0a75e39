//! What time alone changes, and what later events take back.

use super::*;
use crate::domain::verdict::Verdict;
use crate::format::Format;
use crate::settings::{VerdictRules, Window, WindowSpan};
use crate::time::Zone;

fn new_customers(count: i64) -> LedgerSums {
    LedgerSums { shares: count, new_customers: count, ..LedgerSums::default() }
}

#[test]
fn an_amount_leaves_a_window_with_no_event_arriving() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "1", hour(23), 7)));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "24h").spend.0, units(7));
    assert_eq!(shop.roll(NOW), Vec::<String>::new(), "nothing moved");
    assert_eq!(shop.roll(NOW.plus(Millis::HOUR)), ["campaign/c"]);
    assert_eq!(shop.window("c", "24h").spend.0, units(0));
    assert_eq!(shop.window("c", "7d").spend.0, units(7));
    assert_eq!(shop.roll(NOW.plus(6 * Millis::DAY)), ["campaign/c"]);
    assert_eq!(shop.window("c", "7d").spend.0, units(0));
    assert_eq!(shop.window("c", "lifetime").spend.0, units(7));
}

#[test]
fn windows_are_of_the_hour_also_where_no_figure_moves() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("steady", "1", hour(24 * 500), 7)));
    shop.flush(NOW);
    assert_eq!(shop.roll(NOW.plus(Millis::HOUR)), ["campaign/steady"]);
    let window = shop.window("steady", "24h");
    assert_eq!(
        (window.from.as_deref(), window.to.as_deref()),
        (Some("2026-11-20T12:00:00Z"), Some("2026-11-21T12:00:00Z"))
    );
    assert_eq!(shop.roll(NOW.plus(2 * Millis::HOUR - Millis::MINUTE)), Vec::<String>::new(), "within the hour");
}

#[test]
fn an_event_a_little_ahead_enters_its_windows_with_the_roll() {
    let mut shop = Shop::new(Settings::default());
    shop.flush(NOW);
    shop.apply(Event::AdSpend(spend("c", "1", hour(-1), 7)));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "24h").spend.0, units(0));
    assert_eq!(shop.window("c", "7d").spend.0, units(7), "it is of today");
    shop.roll(NOW.plus(Millis::HOUR));
    assert_eq!(shop.window("c", "24h").spend.0, units(7));
}

#[test]
fn what_comes_in_a_new_hour_reaches_the_windows_of_days() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "1", hour(0), 7)));
    shop.flush(NOW);
    let next = NOW.plus(Millis::HOUR);
    shop.flush(next);
    shop.apply(Event::AdSpend(spend("c", "2", hour(-1), 8)));
    shop.absorb("c", hour(-1), new_customers(1));
    shop.flush(next);
    for window in ["24h", "7d", "365d", "lifetime"] {
        assert_eq!((shop.window("c", window).spend.0, shop.window("c", window).new_customers), (units(15), 1));
    }
}

#[test]
fn a_roll_in_steps_is_complete_when_all_that_was_due_was_looked_at() {
    let mut shop = Shop::new(Settings::default());
    for campaign in ["a", "b", "c"] {
        shop.apply(Event::AdSpend(spend(campaign, "1", hour(23), 7)));
    }
    shop.flush(NOW);
    let next = NOW.plus(Millis::HOUR);
    assert!(!shop.stage.roll(next, 2, &mut shop.out), "two of three");
    assert_eq!(shop.stage.next_moment(), Some(Millis::MIN.max(hour(-1))), "the third is due");
    assert!(shop.stage.roll(next, 2, &mut shop.out), "the third");
    for campaign in ["a", "b", "c"] {
        assert_eq!(shop.window(campaign, "24h").spend.0, units(0), "{campaign}");
    }
}

#[test]
fn as_of_never_goes_back() {
    let mut shop = Shop::new(Settings::default());
    shop.flush(NOW);
    shop.apply(Event::AdSpend(spend("c", "1", hour(0), 7)));
    shop.flush(NOW.plus(-3 * Millis::DAY));
    assert_eq!(shop.record("c").as_of, "2026-11-21T10:00:05Z");
    assert_eq!(shop.present("c", Millis(0)).unwrap().as_of, "2026-11-21T10:00:05Z");
}

#[test]
fn a_day_that_is_no_longer_recent_becomes_one_fact() {
    let mut settings = Settings::default();
    settings.retention.hours_days = Some(7);
    let mut shop = Shop::new(settings);
    for back in 0..5 {
        shop.absorb("c", hour(back), new_customers(1));
    }
    shop.flush(NOW);
    assert_eq!(shop.out.facts.len(), 5);
    shop.roll(NOW.plus(8 * Millis::DAY));
    assert_eq!(shop.out.facts.len(), 5, "a window of a week of hours may be asked for");
    let then = NOW.plus(9 * Millis::DAY);
    shop.roll(then);
    assert_eq!(shop.out.facts.len(), 1);
    assert_eq!(shop.out.facts.keys().next().unwrap()[0], b'd');

    shop.absorb("c", hour(3), new_customers(2));
    shop.flush(then);
    assert_eq!(shop.out.facts.len(), 1, "a late difference is of the day");
    let restored = shop.restored(&Settings::default(), Some(then), &[]);
    assert_eq!(restored.present("c", then), shop.present("c", then));
    assert_eq!(shop.window("c", "lifetime").new_customers, 7);

    shop.absorb("c", hour(3), -new_customers(7));
    shop.flush(then);
    assert!(shop.out.facts.is_empty(), "what comes to nothing is deleted");
}

/// What a clock that was a month ahead for a moment has compacted could not be had back.
#[test]
fn a_day_stays_recent_for_as_long_as_the_clock_is_not_trusted() {
    let mut shop = Shop::new(Settings::default());
    let give = |shop: &mut Shop, number: &'static str| {
        shop.absorb("c", hour(1), new_customers(1));
        shop.apply(Event::AdSpend(spend("c", number, hour(1), 7)));
    };
    give(&mut shop, "1");
    shop.flush(NOW);
    let month = NOW.plus(30 * Millis::DAY);
    shop.stage.set_trusted(NOW);
    shop.roll(month);
    give(&mut shop, "2");
    shop.flush(month);
    assert_eq!(shop.window("c", "24h").new_customers, 0);
    assert!(shop.out.facts.keys().all(|key| key[0] != b'd'), "its hours are facts of their own");
    let restored = shop.restored(&Settings::default(), Some(NOW), &[]);
    let present = restored.present("c", NOW).unwrap();
    let day = present.windows.get("24h").unwrap();
    assert_eq!((day.new_customers, day.spend.0), (2, units(14)));

    // Once it is trusted, all goes on.
    shop.stage.set_trusted(month);
    shop.roll(month.plus(Millis::HOUR));
    assert!(shop.out.facts.keys().all(|key| key[0] != b'h'));
}

/// East of UTC the first hour that there is begins before the first moment; west of it the last day ends after the last.
#[test]
fn hours_at_the_ends_of_time_are_rolled_up_into_their_days_like_any_other() {
    for name in ["Asia/Tokyo", "America/New_York", "Europe/Berlin", "UTC"] {
        let zone = Zone::named(name).unwrap();
        let mut shop = Shop::new(Settings { zone: zone.clone(), ..Settings::default() });
        let last_year = Millis(Millis::MAX.0 - 365 * Millis::DAY);
        for (as_of, at) in [(NOW, Millis::MIN), (Millis::MAX, last_year)] {
            shop.absorb("c", zone.hour_start(at), new_customers(1));
            shop.flush(as_of);
            let left = shop.stage.book.hours_of(0, zone.date(at)).len();
            assert_eq!(left, 0, "{name}: hours of {} are still kept singly", zone.date(at));
            shop.roll(as_of);
            assert!(shop.out.facts.keys().all(|key| key[0] == b'd'), "{name}");
        }
        let restored = shop.restored(&Settings { zone, ..Settings::default() }, Some(Millis::MAX), &[]);
        assert_eq!(restored.present("c", Millis::MAX), shop.present("c", Millis::MAX));
        assert_eq!(shop.window("c", "lifetime").new_customers, 2);
    }
}

#[test]
fn an_hour_that_came_to_nothing_as_its_day_aged_leaves_no_fact() {
    let mut shop = Shop::new(Settings::default());
    shop.absorb("c", hour(0), new_customers(3));
    shop.absorb("c", hour(1), new_customers(1));
    shop.flush(NOW);
    shop.absorb("c", hour(0), -new_customers(3));
    let then = NOW.plus(50 * Millis::DAY);
    shop.roll(then);
    shop.flush(then);
    assert_eq!(shop.out.facts.len(), 1);
    let restored = shop.restored(&Settings::default(), Some(then), &[]);
    assert_eq!(restored.present("c", then).unwrap().windows.get("lifetime").unwrap().new_customers, 1);
}

#[test]
fn the_differences_of_one_flush_are_one_fact() {
    let mut shop = Shop::new(Settings::default());
    shop.flush(NOW);
    for _ in 0..100 {
        shop.absorb("c", hour(0), new_customers(1));
        shop.absorb("c", hour(24 * 300), new_customers(1));
    }
    assert_eq!(shop.out.facts_written, 0);
    shop.flush(NOW);
    assert_eq!((shop.out.facts_written, shop.out.facts.len()), (2, 2), "of an hour and of a day");
    assert_eq!(shop.out.updates.len(), 1);
}

#[test]
fn a_campaign_of_which_nothing_is_left_is_deleted() {
    let mut shop = Shop::new(Settings::default());
    shop.absorb("c", hour(2), new_customers(1));
    shop.apply(Event::AdSpend(AdSpend { amount: Micros(0), ..spend("spent", "1", hour(2), 0) }));
    shop.flush(NOW);
    assert_eq!(shop.stage.sizes().campaigns, 2, "spend of 0 is an event, too");
    shop.absorb("c", hour(2), -new_customers(1));
    shop.flush(NOW);
    assert_eq!(shop.out.updates.last().unwrap(), &("campaign/c".to_owned(), None));
    assert_eq!(shop.stage.sizes().campaigns, 1);
    assert_eq!(shop.present("c", NOW), None);
    assert_eq!(shop.roll(NOW.plus(Millis::DAY)), ["campaign/spent"], "what is gone stays gone");
}

#[test]
fn a_restated_report_takes_its_booking_back() {
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let settings = Settings { zone: berlin.clone(), ..Settings::default() };
    let mut shop = Shop::new(settings);
    let date = Date::parse("2026-10-25").unwrap();
    let midnight = berlin.start_of(date);
    let first = report("c", date, midnight.plus(2 * Millis::HOUR), 100);
    assert_eq!(shop.apply(Event::AdSpendReport(first.clone())), Outcome::Applied);
    assert_eq!(shop.apply(Event::AdSpendReport(first.clone())), Outcome::Duplicate);
    let as_of = |hours: i64| midnight.plus(hours * Millis::HOUR + 1);
    shop.flush(as_of(24));
    let first_hours =
        |shop: &Shop, end: i64| shop.present("c", as_of(end - 1)).unwrap().windows.get("24h").unwrap().spend;
    assert_eq!(first_hours(&shop, 25).0, units(50), "the first of two hours is out of the last 24 of 25");

    let last = report("c", date, midnight.plus(30 * Millis::HOUR), 50);
    assert_eq!(shop.apply(Event::AdSpendReport(last)), Outcome::Applied);
    assert_eq!(shop.apply(Event::AdSpendReport(first)), Outcome::Superseded);
    shop.flush(as_of(24));
    assert_eq!(first_hours(&shop, 25).0, units(48), "24 of 25 hours");
    assert_eq!(shop.window("c", "7d").spend.0, units(50));
    assert_eq!(shop.record("c").spend_through.unwrap(), "2026-10-25T23:00:00Z");
}

#[test]
fn a_window_of_hours_holds_whole_hours_also_where_clocks_change_by_half_of_one() {
    // Clocks there go back from +11:00 to +10:30 at 2026-04-04T15:00:00Z.
    let zone = Zone::named("Australia/Lord_Howe").unwrap();
    let mut shop = Shop::new(Settings { zone: zone.clone(), ..Settings::default() });
    for order in ["2026-04-04T01:59:59Z", "2026-04-04T02:15:00Z", "2026-04-04T02:45:00Z", "2026-04-04T15:10:00Z"] {
        shop.absorb("c", zone.hour_start(Millis::parse(order).unwrap()), new_customers(1));
    }
    shop.flush(Millis::parse("2026-04-05T01:40:00Z").unwrap());
    let window = shop.window("c", "24h");
    assert_eq!(
        (window.from.as_deref(), window.to.as_deref()),
        (Some("2026-04-04T02:00:00Z"), Some("2026-04-05T02:30:00Z"))
    );
    assert_eq!(window.new_customers, 3, "all from its first moment on");

    shop.flush(Millis::parse("2026-04-05T15:40:00Z").unwrap());
    shop.roll(Millis::parse("2026-04-05T15:40:00Z").unwrap());
    let window = shop.window("c", "24h");
    assert_eq!(
        (window.from.as_deref(), window.to.as_deref()),
        (Some("2026-04-04T16:30:00Z"), Some("2026-04-05T16:30:00Z"))
    );
    assert_eq!(window.new_customers, 0, "24 hours again");
}

#[test]
fn of_two_events_of_one_time_the_greater_amount_and_then_the_digest_wins() {
    let mut shop = Shop::new(Settings::default());
    let event = spend("c", "1", hour(0), 7);
    let table = [
        (event.clone(), Outcome::Applied),
        (AdSpend { amount: Micros(6 * UNIT), digest: 9, ..event.clone() }, Outcome::Superseded),
        (AdSpend { amount: Micros(8 * UNIT), digest: 0, ..event.clone() }, Outcome::Applied),
        (AdSpend { amount: Micros(8 * UNIT), digest: 1, kind: SpendKind::Fee, ..event.clone() }, Outcome::Applied),
        (AdSpend { amount: Micros(8 * UNIT), digest: 1, kind: SpendKind::Fee, ..event.clone() }, Outcome::Duplicate),
        (AdSpend { occurred_at: hour(1), amount: Micros(99 * UNIT), ..event.clone() }, Outcome::Superseded),
        (AdSpend { occurred_at: hour(0).plus(1), amount: Micros(UNIT), ..event }, Outcome::Applied),
    ];
    for (event, outcome) in table {
        assert_eq!(shop.apply(Event::AdSpend(event.clone())), outcome, "{event:?}");
    }
    shop.flush(NOW);
    assert_eq!(shop.window("c", "lifetime").invested.0, units(1));
}

#[test]
fn customers_come_of_age() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "1", hour(0), 100)));
    shop.absorb("c", hour(24), new_customers(2));
    shop.absorb("c", hour(24 * 50), new_customers(1));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "lifetime").verdict, Verdict::TooEarly);
    shop.roll(NOW.plus(88 * Millis::DAY));
    assert_eq!(shop.window("c", "lifetime").verdict, Verdict::TooEarly, "one of three is old enough");
    assert_eq!(shop.roll(NOW.plus(89 * Millis::DAY)), ["campaign/c"]);
    assert_eq!(shop.record("c").verdict.value, Verdict::Deficit, "all three are");
    assert_eq!(shop.window("c", "90d").verdict, Verdict::Deficit, "of those of the window");
}

#[test]
fn a_short_window_waits_for_late_spend() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "1", hour(5), 100)));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "24h").verdict, Verdict::Deficit);
    assert_eq!(shop.roll(NOW.plus(Millis::HOUR)), ["campaign/c"], "6 of 23 hours are missing");
    assert_eq!(shop.window("c", "24h").verdict, Verdict::SpendLate);
    assert_eq!(shop.window("c", "7d").verdict, Verdict::Deficit);
}

#[test]
fn while_something_waits_every_verdict_says_so() {
    let mut shop = Shop::new(Settings::default());
    for campaign in ["b", "c"] {
        shop.apply(Event::AdSpend(spend(campaign, "1", hour(1), 100)));
    }
    shop.flush(NOW);
    assert_eq!((shop.record("c").read_through, shop.record("c").verdict.value), (Some(None), Verdict::Deficit));

    let waits = NOW.plus(-2 * Millis::MINUTE);
    shop.stage.set_read_through(Some(waits));
    assert_eq!(shop.rewrite(NOW), ["campaign/b", "campaign/c"]);
    for record in [shop.record("c"), shop.present("c", NOW).unwrap()] {
        assert_eq!(record.read_through, Some(Some("2026-11-21T09:58:05Z".into())));
        assert_eq!(record.verdict.value, Verdict::CatchingUp);
        assert!(record.windows.0.iter().all(|(_, window)| window.verdict == Verdict::CatchingUp));
        assert_eq!(record.verdict.progress, Some(0.0), "what is there is shown");
    }
    // How long it has waited alone is no change.
    shop.stage.set_read_through(Some(waits.plus(Millis::MINUTE)));
    assert!(shop.roll(NOW).is_empty());

    shop.stage.set_read_through(None);
    assert_eq!(shop.rewrite(NOW), ["campaign/b", "campaign/c"]);
    assert_eq!((shop.record("c").read_through, shop.record("c").verdict.value), (Some(None), Verdict::Deficit));

    // Who reads format 1 knows no such verdict.
    let mut shop = Shop::new(Settings { format: Format::new(1).unwrap(), ..Settings::default() });
    shop.apply(Event::AdSpend(spend("c", "1", hour(1), 100)));
    shop.stage.set_read_through(Some(waits));
    shop.flush(NOW);
    assert_eq!((shop.record("c").read_through, shop.record("c").verdict.value), (None, Verdict::Deficit));
}

/// What is next is looked for again and again, as a worker does, and nothing is rolled that is not due.
fn roll_until(shop: &mut Shop, until: Millis) -> Vec<(String, Millis)> {
    let mut written = Vec::new();
    let mut rolls = 0;
    while let Some(next) = shop.stage.next_moment().filter(|next| *next <= until) {
        rolls += 1;
        assert!(rolls < 10_000, "it does not end");
        shop.out.updates.clear();
        let as_of = next.max(NOW);
        while !shop.stage.roll(as_of, 1, &mut shop.out) {}
        written.extend(shop.out.updates.drain(..).map(|(key, _)| (key, as_of)));
    }
    written
}

/// When the records of `key` were written.
fn moments_of(key: &str, written: &[(String, Millis)]) -> Vec<String> {
    written.iter().filter(|(other, _)| other == key).map(|(_, at)| at.to_string()).collect()
}

fn at(text: &str) -> Millis {
    Millis::parse(text).unwrap()
}

#[test]
fn spend_is_late_at_its_moment_within_the_hour() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "1", at("2026-11-21T05:30:00Z"), 100)));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "24h").verdict, Verdict::Deficit);
    // Of [12:00, 12:00 of the next day) a quarter may be missing: as_of - 05:30 > (as_of - 12:00 of the day before) / 4.
    let written = moments_of("campaign/c", &roll_until(&mut shop, at("2026-11-21T11:59:00Z")));
    assert_eq!(written, ["2026-11-21T11:00:00Z", "2026-11-21T11:20:00.001Z"]);
    assert_eq!(shop.window("c", "24h").verdict, Verdict::SpendLate);
    let written = moments_of("campaign/c", &roll_until(&mut shop, at("2026-11-21T13:30:00Z")));
    assert_eq!(written, ["2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z"], "it stays late");

    // Spend that comes puts it off.
    shop.apply(Event::AdSpend(spend("c", "2", at("2026-11-21T23:30:00Z"), 100)));
    shop.flush(at("2026-11-21T23:30:00Z"));
    assert_eq!(shop.window("c", "24h").verdict, Verdict::Deficit);
    roll_until(&mut shop, at("2026-11-22T04:59:00Z"));
    let written = moments_of("campaign/c", &roll_until(&mut shop, at("2026-11-22T05:59:00Z")));
    assert_eq!(written, ["2026-11-22T05:00:00Z", "2026-11-22T05:20:00.001Z"], "one leaves, the other is late");
}

#[test]
fn nothing_is_looked_at_before_its_moment() {
    let written = |windows: &[WindowSpan], days: i64| {
        let mut settings =
            Settings { windows: windows.iter().copied().map(Window::new).collect(), ..Settings::default() };
        settings.verdict = VerdictRules { window: 0, maturity_days: 3, ..settings.verdict };
        let mut shop = Shop::new(settings);
        shop.apply(Event::AdSpend(spend("c", "1", hour(5), 100)));
        shop.absorb("c", hour(0), new_customers(1));
        shop.flush(NOW);
        moments_of("campaign/c", &roll_until(&mut shop, NOW.plus(days * Millis::DAY)))
    };
    let hourly = written(&[WindowSpan::Hours(24), WindowSpan::Days(7)], 10);
    let (hours, between): (Vec<String>, Vec<String>) = hourly.into_iter().partition(|at| at.ends_with(":00:00Z"));
    assert_eq!(hours.len(), 240, "each hour once");
    assert_eq!(between, Vec::<String>::new(), "spend was late with an hour");
    assert_eq!(
        written(&[WindowSpan::Days(7), WindowSpan::Lifetime], 3),
        ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"]
    );
    assert_eq!(written(&[WindowSpan::Lifetime], 800), ["2026-11-24T00:00:00Z"], "the customer matures");
}

#[test]
fn what_fell_due_before_a_restart_is_written_after_it() {
    let mut shop = Shop::new(Settings::default());
    for campaign in ["a", "b"] {
        shop.apply(Event::AdSpend(spend(campaign, "1", hour(23), 7)));
    }
    shop.flush(NOW);
    let next = NOW.plus(Millis::HOUR);
    assert!(!shop.stage.roll(next, 1, &mut shop.out));
    let last = Last { as_of: next, rolled_to: NOW };
    let mut restored = shop.restored(&Settings::default(), None, &[]);
    restored.stage.restored(Some(last));
    let mut written = restored.roll(next);
    written.sort();
    assert_eq!(written, ["campaign/a", "campaign/b"]);

    let mut restored = shop.restored(&Settings::default(), None, &[]);
    restored.stage.restored(Some(Last::at(next)));
    assert!(restored.stage.next_moment().is_some_and(|moment| moment > next), "all was written");
}

#[test]
fn records_are_written_again_by_number() {
    let mut shop = Shop::new(Settings::default());
    for campaign in ["a", "b", "c", "d", "e"] {
        shop.absorb(campaign, hour(1), new_customers(1));
    }
    shop.flush(NOW);
    shop.absorb("b", hour(1), new_customers(-1));
    shop.flush(NOW);
    shop.out.updates.clear();
    let mut from = Some(0);
    let mut calls = Vec::new();
    while let Some(number) = from {
        from = shop.stage.rewrite(number, 2, NOW, &mut shop.out);
        calls.push(shop.out.updates.drain(..).map(|(key, _)| key).collect::<Vec<_>>());
    }
    let keys: Vec<&str> = calls.iter().flatten().map(String::as_str).collect();
    assert_eq!((calls.len(), keys), (3, vec!["campaign/a", "campaign/c", "campaign/d", "campaign/e"]));
}
