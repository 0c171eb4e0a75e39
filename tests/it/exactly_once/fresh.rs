//! What was once written does not go stale: all that was written under other settings, to another topic or at a wrong time is
//! written again, and so is everything on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::check::{as_of, figures_of_now, final_figures};
use super::clock::Clock;
use super::feed::Feed;
use super::load::{Delivery, disturbed, now, shop};
use crate::batch::{Config, Profit};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{create_with, delete, end_offsets, latest, read};

/// A processor whose figures are those of a load.
struct Settled {
    processor: Processor,
    load: Vec<Delivery>,
    /// How many there are on its output topic.
    campaigns: usize,
}

impl Settled {
    /// With the instance that has processed it.
    fn start(name: &str, variables: &[(&str, &str)]) -> (Settled, Instance) {
        let processor = Processor::new(name, Partitions::alike(2));
        let load = disturbed(shop(600));
        let mut instance = processor.start_with("a", variables);
        Feed::start(&processor, &load, u32::MAX).finish();
        processor.wait_until_done(&mut [&mut instance]);
        instance.wait_until_ready();
        let [customers, campaigns] = [&processor.ltv_updates, &processor.roas_updates].map(|topic| latest(topic).len());
        assert!(customers > 300 && campaigns > 5, "{customers} customers, {campaigns} campaigns");
        (Settled { processor, load, campaigns }, instance)
    }

    /// Starts an instance in the place of one that has left.
    fn again(&self, variables: &[(&str, &str)]) -> Instance {
        let mut instance = self.processor.start_with("a", variables);
        instance.wait_until_ready();
        instance
    }

    /// Asks for all records, and returns what is said to that.
    fn republish(&self) -> String {
        let asked = self.processor.command(&["republish"]).output().expect("the program runs");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }

    fn ends(&self) -> [BTreeMap<i32, i64>; 2] {
        self.processor.outputs().map(end_offsets)
    }

    /// Waits until every latest record is as of now.
    #[track_caller]
    fn must_be_fresh(&self, instance: &mut Instance) {
        figures_of_now(&self.processor, &mut [instance], &self.load, now);
    }

    #[track_caller]
    fn finish(self, mut instance: Instance) {
        self.processor.wait_until_done(&mut [&mut instance]);
        self.must_be_fresh(&mut instance);
        instance.leave();
        final_figures(&self.processor, &self.load);
    }
}

/// Waits until all of these stages, each of which has something to be written again, have done so.
#[track_caller]
fn wait_until_written(instance: &mut Instance, stages: &[&str]) {
    wait_until("all is written again", LIMIT, || {
        instance.must_run();
        let text = instance.log();
        let is_done = |stage: &str| {
            let stage = format!("stage={stage:?}");
            let of_stage = || text.lines().enumerate().filter(|(_, line)| line.contains(&stage));
            let last = |what: &str| of_stage().filter(|(_, line)| line.contains(what)).map(|(number, _)| number).last();
            last(BEGUN).is_some_and(|begun| last("all records are written again").is_some_and(|done| begun < done))
        };
        stages.iter().all(|stage| is_done(stage))
    });
}

/// It is the clock that is wrong, and not time that passes.
const JUMPS: (&str, &str) = ("PAYBACK_TEST_CLOCK_JUMPS", "1");

const BOTH: &[&str] = &["customers", "campaigns"];
const BEGUN: &str = "writing all records again";

/// Whether anything is, but for what follows from that inputs are read to their ends.
fn is_written_again(instance: &Instance) -> bool {
    instance.log().lines().any(|line| line.contains(BEGUN) && !line.contains("why=\"catching up "))
}

#[test]
fn a_setting_that_shapes_records_reaches_customers_of_whom_nothing_is_heard_any_more() {
    let (settled, mut first) = Settled::start("lifespan", &[]);
    let lifespans = || -> Vec<f64> {
        latest(&settled.processor.ltv_updates)
            .into_values()
            .map(|record| record["lifespan_years"].as_f64().expect("a number"))
            .collect()
    };
    assert!(lifespans().iter().all(|years| *years == 1.0));
    first.leave();
    assert!(!is_written_again(&first), "a state that begins has nothing to be written again");

    let changed = [("PAYBACK_LTV__LIFESPAN_YEARS", "3")];
    // It dies while some are written and others are not.
    let dies = [changed[0], ("PAYBACK_TEST_CRASH_AT", "during-rewrite:2@customers"), ("PAYBACK_TEST_KEYS", "20")];
    let mut crashed = settled.processor.start_with("a", &dies);
    assert_eq!(crashed.wait_for_end().signal(), Some(6), "it aborts:\n{}", crashed.log());
    let written = lifespans();
    let of = |years: f64| written.iter().filter(|found| **found == years).count();
    assert!(of(1.0) > 0 && of(3.0) > 0, "{} of 1 and {} of 3 years", of(1.0), of(3.0));

    let mut second = settled.again(&changed);
    wait_until("all are of 3 years", LIMIT, || {
        second.must_run();
        lifespans().iter().all(|years| *years == 3.0)
    });
    wait_until_written(&mut second, &["customers"]);
    let ltv = &settled.processor.ltv_updates;
    let formulas = |record: &Value| record["ltv"]["formula"].as_str().and_then(|text| text.parse::<f64>().ok());
    let figures: Vec<(f64, f64)> = latest(ltv)
        .into_values()
        .filter_map(|record| {
            let average: f64 = record["average_order_value"].as_str()?.parse().ok()?;
            Some((formulas(&record)?, average * record["purchases_per_year"].as_f64()? * 3.0))
        })
        .collect();
    assert!(figures.len() > 300 && figures.iter().all(|(found, expected)| (found - expected).abs() < 0.001));
    second.leave();
    // Windows and verdicts are no concern of customers, and what is written once is not written at each start.
    let before = settled.ends();
    let mut third = settled.again(&[changed[0], ("PAYBACK_VERDICT__MIN_SPEND", "1")]);
    wait_until_written(&mut third, &["campaigns"]);
    third.leave();
    let after = settled.ends();
    assert_eq!(before[0], after[0], "of customers nothing was written:\n{}", third.log());
    assert_ne!(before[1], after[1]);
    let mut fourth = settled.again(&[changed[0], ("PAYBACK_VERDICT__MIN_SPEND", "1")]);
    fourth.leave();
    assert!(!is_written_again(&fourth), "{}", fourth.log());
}

#[test]
fn changed_settings_reach_every_record_after_a_start() {
    let (mut settled, mut instance) = Settled::start("settings", &[]);
    settled.must_be_fresh(&mut instance);
    let before = settled.processor.figures.clone();
    let changes: [fn(&mut Config); 5] = [
        |figures| figures.lifespan_years = 3_000_000,
        |figures| figures.min_coverage = 0,
        |figures| figures.windows = ["lifetime", "1h", "24h", "10d"].map(str::to_owned).to_vec(),
        |figures| {
            figures.profit = Profit::Revenue;
            figures.min_spend = 5_000_000_000;
            figures.maturity_days = 3;
            figures.max_spend_gap = 0;
        },
        |figures| figures.verdict_window = "10d".to_owned(),
    ];
    for change in changes {
        instance.leave();
        let mut figures = settled.processor.figures.clone();
        change(&mut figures);
        settled.processor.set_figures(figures);
        instance = settled.again(&[]);
        settled.must_be_fresh(&mut instance);
    }
    instance.kill();
    settled.processor.set_figures(before);
    let last = settled.again(&[]);
    settled.finish(last);
}

/// The way back from a setting: of what was written under it meanwhile nothing stays.
#[test]
fn a_setting_that_is_taken_back_before_all_was_written_leaves_nothing() {
    let (settled, mut first) = Settled::start("back", &[]);
    first.leave();
    let dies = [
        ("PAYBACK_LTV__LIFESPAN_YEARS", "3"),
        ("PAYBACK_TEST_CRASH_AT", "during-rewrite:2@customers"),
        ("PAYBACK_TEST_KEYS", "20"),
    ];
    let mut crashed = settled.processor.start_with("a", &dies);
    assert_eq!(crashed.wait_for_end().signal(), Some(6), "it aborts:\n{}", crashed.log());
    let mut last = settled.again(&[]);
    wait_until_written(&mut last, &["customers"]);
    let records = latest(&settled.processor.ltv_updates);
    assert!(records.values().all(|record| record["lifespan_years"].as_f64() == Some(1.0)));
    settled.finish(last);
}

/// What `/v1/campaigns` says: how many there are, and whether these are all.
fn campaigns(instance: &Instance) -> Option<(u64, bool)> {
    let answer: Value = serde_json::from_str(&instance.get("/v1/campaigns")?).expect("JSON");
    Some((answer["total"].as_u64().expect("a number"), answer["complete"].as_bool().expect("yes or no")))
}

#[test]
fn output_topics_with_other_names_get_everything() {
    let (mut settled, mut first) = Settled::start("renamed", &[]);
    first.leave();
    let before = settled.processor.outputs().map(str::to_owned);
    let ends = settled.ends();
    settled.processor.set_outputs(before.clone().map(|topic| format!("{topic}-renamed")));
    let mut second = settled.processor.start("a");
    let all = settled.campaigns as u64;
    wait_until("the API shows all campaigns", LIMIT, || {
        second.must_run();
        let shown = campaigns(&second);
        assert!(shown.is_none_or(|(total, complete)| !complete || total == all), "{shown:?} of {all} campaigns");
        shown == Some((all, true))
    });
    settled.must_be_fresh(&mut second);
    wait_until_written(&mut second, BOTH);
    second.leave();
    // They are all that is written to from now on.
    let mut third = settled.again(&[]);
    third.leave();
    assert!(!is_written_again(&third), "{}", third.log());
    assert_eq!(before.each_ref().map(|topic| end_offsets(topic)), ends);
    // Back again, what was written there before may have become old meanwhile.
    settled.processor.set_outputs(before);
    let mut last = settled.again(&[]);
    wait_until_written(&mut last, BOTH);
    settled.finish(last);
}

#[test]
fn output_topics_that_are_created_again_get_everything() {
    let (settled, mut first) = Settled::start("recreated", &[("PAYBACK_TEST_LOOK_MS", "200")]);
    let recreate = || {
        for topic in [&settled.processor.ltv_updates, &settled.processor.roas_updates] {
            delete(topic);
            create_with(topic, 3, &[("cleanup.policy", "compact"), ("max.message.bytes", "4194304")]);
        }
    };
    recreate();
    settled.must_be_fresh(&mut first);
    wait_until_written(&mut first, BOTH);
    let all = settled.campaigns as u64;
    wait_until("the API shows all campaigns", LIMIT, || campaigns(&first) == Some((all, true)));
    // All that is written of a key from now on is in one partition, where the latest is the last.
    settled.republish();
    wait_until("both stages have been asked", LIMIT, || {
        first.log().lines().filter(|line| line.contains(BEGUN) && line.contains("republish")).count() == BOTH.len()
    });
    wait_until_written(&mut first, BOTH);
    for topic in [&settled.processor.ltv_updates, &settled.processor.roas_updates] {
        let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for record in read(topic) {
            partitions.entry(record.key()).or_default().insert(record.partition);
        }
        let scattered = partitions.values().filter(|partitions| partitions.len() > 1).count();
        assert_eq!(scattered, 0, "of {} keys in {topic}", partitions.len());
    }
    first.leave();
    // And while no instance is there to see it.
    recreate();
    let mut second = settled.again(&[]);
    settled.must_be_fresh(&mut second);
    wait_until_written(&mut second, BOTH);
    settled.finish(second);
}

#[test]
fn all_is_written_again_once_on_demand() {
    let (settled, mut first) = Settled::start("republish", &[]);
    let records = || {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for topic in [&settled.processor.ltv_updates, &settled.processor.roas_updates] {
            read(topic).iter().for_each(|record| *counts.entry(record.key()).or_default() += 1);
        }
        counts
    };
    let grown = |before: &BTreeMap<String, usize>| {
        let after = records();
        assert!(after.keys().eq(before.keys()));
        after.iter().map(|(key, count)| count - before[key]).collect::<Vec<_>>()
    };
    let before = records();
    let said = settled.republish();
    assert!(said.contains("2 partitions of customers") && said.contains("2 of campaigns"), "{said}");
    wait_until_written(&mut first, BOTH);
    // Campaigns may also have been written at the hour.
    assert!(grown(&before).iter().all(|more| (1..=2).contains(more)), "{:?}", grown(&before));
    first.leave();

    let before = records();
    settled.republish();
    let mut second = settled.again(&[]);
    wait_until_written(&mut second, BOTH);
    second.leave();
    assert!(grown(&before).iter().all(|more| (1..=2).contains(more)), "{:?}", grown(&before));
    let before = records();
    let mut third = settled.again(&[]);
    third.leave();
    assert!(!is_written_again(&third), "{}", third.log());
    assert!(grown(&before).iter().all(|more| *more <= 1), "{:?}", grown(&before));
}

#[test]
fn a_demand_is_refused_where_programs_of_before_would_not_understand_it() {
    let processor = Processor::new("republish-format-1", Partitions::alike(1));
    let asked = processor.command(&["republish"]).env("PAYBACK_FORMAT__WRITE", "1").output().expect("the program runs");
    assert_eq!(asked.status.code(), Some(2));
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(said.contains("format.write"), "{said}");
}

#[test]
fn a_clock_that_was_a_month_ahead_for_one_commit_leaves_nothing_behind() {
    let clock = Clock::new();
    let (settled, mut instance) = Settled::start("month", &[clock.variable(), JUMPS]);
    const MONTH: i64 = 30 * 86_400_000;
    clock.forward(MONTH);
    // One more order of one customer, which is the batch's as well.
    let order = json!({
        "type": "purchase", "customer_id": "month", "order_id": 1, "occurred_at": now().to_string(), "revenue": 100,
        "campaign_id": "month:1",
    });
    let order = Delivery {
        source: payback::shop::Source::Purchases,
        key: Some("month".to_owned()),
        value: order.to_string().into_bytes(),
    };
    let ahead = |topic: &str| latest(topic).values().filter(|record| as_of(record) > now().0 + MONTH / 2).count();
    let (ltv, roas) = (settled.processor.ltv_updates.clone(), settled.processor.roas_updates.clone());
    Feed::start(&settled.processor, std::slice::from_ref(&order), u32::MAX).finish();
    wait_until("figures of the future are written", LIMIT, || {
        instance.must_run();
        ahead(&ltv) > 0 && ahead(&roas) > 0
    });
    clock.forward(-MONTH);
    wait_until("no figure is of the future", LIMIT, || {
        instance.must_run();
        ahead(&ltv) == 0 && ahead(&roas) == 0
    });
    wait_until_written(&mut instance, BOTH);
    instance.wait_until_ready();
    assert!(instance.log().contains("ahead of the clock"), "{}", instance.log());
    let settled = Settled { load: [settled.load.clone(), vec![order]].concat(), ..settled };
    settled.finish(instance);
}

/// As when its machine is started with a wrong clock, and gives its partitions to another.
#[test]
fn a_clock_that_was_ahead_in_an_instance_that_is_gone_binds_nobody() {
    let clock = Clock::new();
    let (settled, mut first) = Settled::start("gone", &[]);
    first.leave();
    clock.forward(30 * 86_400_000);
    let mut wrong = settled.again(&[clock.variable(), JUMPS]);
    wait_until("figures of the future are written", LIMIT, || {
        wrong.must_run();
        latest(&settled.processor.roas_updates).values().any(|record| as_of(record) > now().0 + 86_400_000)
    });
    wrong.kill();
    let mut last = settled.again(&[]);
    wait_until_written(&mut last, &["campaigns"]);
    assert!(last.log().contains("ahead of the clock"), "{}", last.log());
    let topics = [&settled.processor.ltv_updates, &settled.processor.roas_updates];
    for record in topics.iter().flat_map(|topic| latest(topic).into_values()) {
        assert!(as_of(&record) < now().0 + 60_000, "{record}");
    }
    settled.finish(last);
}

#[test]
fn what_is_written_again_is_counted_down_and_keeps_nobody_from_being_ready() {
    let (settled, mut first) = Settled::start("countdown", &[]);
    first.leave();
    let slow = [("PAYBACK_LTV__LIFESPAN_YEARS", "2"), ("PAYBACK_TEST_KEYS", "1")];
    let mut second = settled.again(&slow);
    wait_until("it says how many are left", LIMIT, || {
        second.must_run();
        second.metrics().of("payback_records_to_rewrite", "customers") > 0.0
    });
    assert!(second.get("/readyz").is_some(), "it is ready meanwhile");
    second.leave();
    let mut last = settled.again(&[("PAYBACK_LTV__LIFESPAN_YEARS", "2")]);
    wait_until_written(&mut last, &["customers"]);
    wait_until("none is left", LIMIT, || last.metrics().of("payback_records_to_rewrite", "customers") == 0.0);
    last.leave();
}
