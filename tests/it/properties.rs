//! The engines against the batch calculation: whatever the order, the duplicates, the partitions, the flushes and the
//! restarts, the figures are the same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use num_bigint::BigInt;
use payback::settings::Retention;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::batch::{self, Batch, Keeper, Records};
use crate::history::{Case, Maker, cases, poison, with_an_odd_value};
use crate::pipeline::{Pipeline, Updates, put};
use crate::records::{ByKey, difference, without_the_clock};

/// The same cases in each run; more and others by `PROPTEST_CASES` and `PROPTEST_RNG_SEED`.
fn sampled(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let standard = ProptestConfig { rng_seed: RngSeed::Random, ..ProptestConfig::default() };
    ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases },
        rng_seed: if given.rng_seed == standard.rng_seed { RngSeed::Fixed(1) } else { given.rng_seed },
        failure_persistence: None,
        ..given
    }
}

fn pipeline(case: &Case, rng: &mut StdRng) -> Pipeline {
    Pipeline::new(&case.config, rng.random_range(1..4), rng.random_range(1..4))
}

fn same(what: &str, batch: &Records, engines: &Records) -> TestCaseResult {
    for (stage, batch, engine) in
        [("customers", &batch.customers, &engines.customers), ("campaigns", &batch.campaigns, &engines.campaigns)]
    {
        if let Some(difference) = difference(batch, engine) {
            return Err(TestCaseError::fail(format!("{what}: {stage}, batch | engine:\n{difference}")));
        }
    }
    Ok(())
}

/// The updates of one flush are the batch's records of their keys; a tombstone where it has none.
fn updates_are_of_the_batch(what: &str, batch: &Records, updates: &Updates) -> TestCaseResult {
    let of_batch = |batch: &ByKey, keys: &BTreeMap<String, Option<Value>>| -> ByKey {
        keys.keys().filter_map(|key| Some((key.clone(), batch.get(key)?.clone()))).collect()
    };
    let engine = |updates: &BTreeMap<String, Option<Value>>| -> ByKey {
        updates.iter().filter_map(|(key, record)| Some((key.clone(), record.clone()?))).collect()
    };
    same(
        what,
        &Records {
            customers: of_batch(&batch.customers, &updates.customers),
            campaigns: of_batch(&batch.campaigns, &updates.campaigns),
        },
        &Records { customers: engine(&updates.customers), campaigns: engine(&updates.campaigns) },
    )
}

fn no_records() -> Records {
    Records { customers: ByKey::new(), campaigns: ByKey::new() }
}

fn put_all(records: &mut Records, updates: Updates) {
    put(&mut records.customers, updates.customers);
    put(&mut records.campaigns, updates.campaigns);
}

proptest! {
    #![proptest_config(sampled(300))]

    #[test]
    fn any_order_with_any_duplicates_ends_in_the_figures_of_the_batch(case in cases(120, false)) {
        let rng = &mut StdRng::seed_from_u64(case.seed);
        let mut pipeline = pipeline(&case, rng);
        let mut records = no_records();
        for event in Maker::shuffled(&case.history, rng) {
            prop_assert!(pipeline.take(event.as_bytes()).is_ok(), "{event}");
            if rng.random_bool(0.1) {
                put_all(&mut records, pipeline.flush(case.as_of, rng));
                if rng.random_bool(0.2) {
                    pipeline.restart(rng);
                }
            }
        }
        put_all(&mut records, pipeline.flush(case.as_of, rng));

        let batch = Batch::read(&case.history, &case.config);
        prop_assert_eq!(&batch.rejected, &[]);
        let expected = batch.records(case.as_of);
        same("the last updates", &expected, &records)?;
        same("answers", &expected, &pipeline.answers(case.as_of))?;
        pipeline.restart(rng);
        same("answers after a restart", &expected, &pipeline.answers(case.as_of))?;
    }
}

proptest! {
    #![proptest_config(sampled(60))]

    #[test]
    fn every_update_is_the_batch_of_its_moment_and_the_latest_that_of_now(case in cases(60, false)) {
        let mut pipeline = pipeline(&case, &mut StdRng::seed_from_u64(case.seed));
        let mut as_of = case.as_of;
        let mut records = no_records();
        for (taken, event) in (1..).zip(&case.history) {
            // Chance goes by the event, so that the rest stays as it was when events are left out.
            let rng = &mut StdRng::seed_from_u64(case.seed ^ hash(event));
            prop_assert!(pipeline.take(event.as_bytes()).is_ok(), "{event}");
            if rng.random_bool(0.7) {
                continue;
            }
            as_of += step(rng);
            let batch = Batch::read(&case.history[..taken], &case.config).records(as_of);
            let flushed = pipeline.flush(as_of, rng);
            updates_are_of_the_batch("flush", &batch, &flushed)?;
            put_all(&mut records, flushed);
            if rng.random_bool(0.2) {
                pipeline.restart(rng);
            }
            let rolled_on = pipeline.pass(as_of);
            updates_are_of_the_batch("roll", &batch, &rolled_on)?;
            put_all(&mut records, rolled_on);
            same("latest records", &of_now(&batch), &of_now(&records))?;
            same("answers", &batch, &pipeline.answers(as_of))?;
        }
        // Nothing comes any more, and time goes on.
        let rng = &mut StdRng::seed_from_u64(case.seed);
        put_all(&mut records, pipeline.flush(as_of, rng));
        for _ in 0..4 {
            as_of += step(rng);
            if rng.random_bool(0.2) {
                pipeline.restart(rng);
            }
            put_all(&mut records, pipeline.pass(as_of));
            let batch = Batch::read(&case.history, &case.config).records(as_of);
            same("latest records", &of_now(&batch), &of_now(&records))?;
        }
    }

    #[test]
    fn what_customers_gave_is_what_campaigns_have(case in cases(150, true)) {
        let rng = &mut StdRng::seed_from_u64(case.seed);
        let config = crate::batch::Config {
            windows: vec!["lifetime".to_owned()],
            verdict_window: "lifetime".to_owned(),
            min_coverage: 0,
            ..case.config.clone()
        };
        let mut pipeline = Pipeline::new(&config, rng.random_range(1..4), rng.random_range(1..4));
        let mut records = no_records();
        for event in Maker::shuffled(&case.history, rng) {
            prop_assert!(pipeline.take(event.as_bytes()).is_ok(), "{event}");
            if rng.random_bool(0.1) {
                put_all(&mut records, pipeline.flush(case.as_of, rng));
            }
        }
        put_all(&mut records, pipeline.flush(case.as_of, rng));

        let customers: Vec<&Value> = records.customers.values().collect();
        let acquired: Vec<&Value> =
            customers.iter().copied().filter(|record| !record["acquired_by"]["campaign_id"].is_null()).collect();
        let campaigns: Vec<&Value> =
            records.campaigns.values().map(|record| &record["windows"]["lifetime"]).collect();
        for figure in ["revenue", "gross_profit", "operating_profit"] {
            prop_assert_eq!(total(&campaigns, figure), total(&customers, figure), "{}", figure);
        }
        for (of_campaign, of_customer) in [
            ("acquired_ltv", "revenue"),
            ("acquired_gross_profit_ltv", "gross_profit"),
            ("acquired_operating_profit_ltv", "operating_profit"),
        ] {
            prop_assert_eq!(total(&campaigns, of_campaign), total(&acquired, of_customer), "{}", of_campaign);
        }
        let count = |records: &[&Value], figure: &str| -> f64 {
            records.iter().map(|record| record[figure].as_f64().expect("a count")).sum()
        };
        prop_assert!((count(&campaigns, "orders") - count(&customers, "orders")).abs() < 1e-9);
        prop_assert_eq!(count(&campaigns, "new_customers") as usize, acquired.len());
    }
}

proptest! {
    #![proptest_config(sampled(400))]

    #[test]
    fn odd_values_are_refused_or_read_as_the_batch_does(case in cases(60, false)) {
        let rng = &mut StdRng::seed_from_u64(case.seed);
        let mut pipeline = pipeline(&case, rng);
        let odd = |event: &String| with_an_odd_value(event, &mut StdRng::seed_from_u64(case.seed ^ hash(event)));
        let history = Batch::without_open_ties(case.history.iter().map(odd).collect());
        for event in &history {
            let reason = Batch::read(&[event], &case.config).rejected.first().map(|(_, reason)| *reason);
            prop_assert_eq!(reason, pipeline.take(event.as_bytes()).err().map(|found| found.code()), "{}", event);
        }
        pipeline.flush(case.as_of, rng);
        let batch = Batch::read(&history, &case.config).records(case.as_of);
        same("answers", &batch, &pipeline.answers(case.as_of))?;
    }
}

proptest! {
    #![proptest_config(sampled(200))]

    #[test]
    fn what_is_given_up_counts_on_and_what_would_change_it_is_too_late(
        case in cases(100, false),
        hours_days in 1_u32..3,
        days in 5_u32..30,
        spend_days in 1_u32..5,
    ) {
        let rng = &mut StdRng::seed_from_u64(case.seed);
        let windows = ["lifetime", "24h", "2d", "5d"].map(str::to_owned).to_vec();
        let config = batch::Config {
            windows,
            verdict_window: "lifetime".to_owned(),
            maturity_days: case.config.maturity_days % 5,
            ..case.config.clone()
        };
        let rules = batch::Retention { hours_days, days, spend_days, orders_days: 366 };
        let retention = Retention { hours_days: Some(hours_days), days, spend_days, orders_days: Some(366) };
        let mut keeper = Keeper::new(&config, rules);
        let mut pipeline = Pipeline::giving_up(&config, retention, rng.random_range(1..3), rng.random_range(1..3));
        let mut as_of = case.as_of;
        let mut records = no_records();
        for event in Maker::shuffled(&case.history, rng) {
            let found = pipeline.take(event.as_bytes()).map(drop).map_err(|reason| reason.code());
            prop_assert_eq!(found, keeper.take(&event), "{}", event);
            if rng.random_bool(0.7) {
                continue;
            }
            as_of += *[0, 0, 1, HOUR, DAY, 3 * DAY, 6 * DAY, 7 * DAY, 7 * DAY + 1].choose(rng).unwrap();
            keeper.pass(as_of);
            put_all(&mut records, pipeline.flush(as_of, rng));
            put_all(&mut records, pipeline.pass(as_of));
            same("latest records", &of_now(&keeper.batch().records(as_of)), &of_now(&records))?;
            if rng.random_bool(0.3) {
                pipeline.restart(rng);
            }
            same("answers", &keeper.batch().records(as_of), &pipeline.answers(as_of))?;
        }
        for _ in 0..3 {
            as_of += 5 * DAY;
            keeper.pass(as_of);
            put_all(&mut records, pipeline.flush(as_of, rng));
            put_all(&mut records, pipeline.pass(as_of));
        }
        let expected = keeper.batch().records(as_of);
        same("answers", &expected, &pipeline.answers(as_of))?;
        same("latest records", &of_now(&expected), &of_now(&records))?;
        prop_assert_eq!(pipeline.facts_of_customers(b'o'), keeper.open_orders());
        pipeline.restart(rng);
        same("answers after a restart", &expected, &pipeline.answers(as_of))?;
    }
}

#[test]
fn what_cannot_be_used_changes_nothing_and_has_its_reason() {
    let clock = 1_795_255_205_000;
    let config = crate::batch::Config { clock: Some(clock), ..Default::default() };
    let mut pipeline = Pipeline::new(&config, 2, 2);
    let rng = &mut StdRng::seed_from_u64(1);
    let mut records = poison(clock);
    records.shuffle(rng);
    for (record, reason) in &records {
        let shown = String::from_utf8_lossy(&record[..record.len().min(400)]);
        assert_eq!(Batch::read(&[record], &config).rejected, [(0, *reason)], "{shown}");
        assert_eq!(pipeline.take(record).map_err(|found| found.code()), Err(*reason), "{shown}");
    }
    let updates = pipeline.flush(clock, rng);
    assert!(updates.customers.is_empty() && updates.campaigns.is_empty());
}

#[test]
fn real_purchases_give_the_figures_of_the_batch() {
    let config = crate::batch::Config { default_margin: Some(350_000), ..Default::default() };
    let purchases = crate::cdnow::purchases();
    let batch = Batch::read(&purchases, &config);
    let as_of = batch.latest().expect("there are purchases");
    let rng = &mut StdRng::seed_from_u64(1);
    let mut pipeline = Pipeline::new(&config, 3, 1);
    let mut records = no_records();
    for event in Maker::shuffled(&purchases, rng) {
        pipeline.take(event.as_bytes()).expect("a purchase");
        if rng.random_bool(0.001) {
            put_all(&mut records, pipeline.flush(as_of, rng));
            pipeline.restart(rng);
        }
    }
    put_all(&mut records, pipeline.flush(as_of, rng));
    assert_eq!(records.customers.len(), 2_357);
    assert_eq!(difference(&batch.records(as_of).customers, &records.customers), None);
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The same number for the same text in each run.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// How far time goes on between two flushes: nothing, a moment, hours, days, a season.
fn step(rng: &mut StdRng) -> i64 {
    match rng.random_range(0..8) {
        0 | 1 => 0,
        2 => *[1, rng.random_range(0..10_000), 59_000, HOUR / 12].choose(rng).unwrap(),
        3 | 4 => rng.random_range(0..2 * HOUR),
        5 => HOUR,
        6 => rng.random_range(0..40 * HOUR),
        _ => rng.random_range(0..120 * DAY),
    }
}

/// The records without what may be as of the moment in which they were written.
fn of_now(records: &Records) -> Records {
    Records { customers: without_the_clock(&records.customers), campaigns: without_the_clock(&records.campaigns) }
}

/// The exact sum of a figure that is money.
fn total(records: &[&Value], figure: &str) -> BigInt {
    let micros = |record: &&Value| -> BigInt {
        let text = record[figure].as_str().expect("money");
        let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
        format!("{units}{decimals:0<6}").parse().expect("digits")
    };
    records.iter().map(micros).sum()
}
