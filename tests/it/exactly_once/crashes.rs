//! Instances that die at the worst moments, one after the other, under load.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::abroad::{in_kathmandu, in_new_york};
use super::check::{every_update, figures_of_now, final_figures};
use super::clock::Clock;
use super::feed::Feed;
use super::load::{Steady, disturbed, leaving, mixed, now, shop};
use crate::process::wait_until;
use crate::processor::{LIMIT, Partitions, Processor};
use crate::proxy::{Api, Fault, Plan, Proxy};
use crate::topics::{read, written};

/// Where to die, and the how-many-eth time that it comes there.
const CRASHES: [&str; 10] = [
    "after-produce:9",
    "before-last-acknowledgement:7",
    "after-send-offsets:6",
    "after-commit-sent:8",
    "during-restore:200",
    "during-roll:1",
    // Again, with the state grown, and early: in what a new owner does first.
    "after-produce:1",
    "after-send-offsets:1",
    "after-commit-sent:1",
    "during-restore:1500",
];

#[test]
fn no_crash_changes_a_figure() {
    let processor = Processor::new("crashes", Partitions { purchases: 4, spend: 3, internal: 4 });
    let processor = processor.with_figures(in_new_york());
    let clock = Clock::new();
    let steady = Steady::new(4, 600);
    // More than one part of a roll looks at.
    let load = [leaving(600), mixed(disturbed(shop(3_000)), steady.deliveries())].concat();
    // A state worth restoring.
    let (before, during) = load.split_at(load.len() / 3);
    let mut first = processor.start_with("a", &[clock.variable()]);
    Feed::start(&processor, before, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut first]);
    first.leave();
    let feed = Feed::start(&processor, during, 150);

    for point in CRASHES {
        // A roll is done in parts.
        let slices = ("PAYBACK_TEST_KEYS", "50");
        let mut instance = processor.start_with("a", &[("PAYBACK_TEST_CRASH_AT", point), slices, clock.variable()]);
        if point.starts_with("during-roll") {
            // At the turn of a real hour it rolls, and so ends, without being made to.
            wait_until("it is ready, or has ended", Duration::from_secs(60), || {
                instance.has_ended() || instance.get("/readyz").is_some()
            });
            clock.forward_an_hour();
        }
        assert_eq!(instance.wait_for_end().signal(), Some(6), "it aborts at {point}:\n{}", instance.log());
    }
    feed.must_go_on();
    // From outside, wherever it is.
    for _ in 0..3 {
        let mut instance = processor.start_with("a", &[clock.variable()]);
        instance.wait_until_ready();
        instance.kill();
    }
    let mut last = processor.start_with("a", &[clock.variable()]);
    feed.finish();
    processor.wait_until_done(&mut [&mut last]);
    figures_of_now(&processor, &mut [&mut last], &load, || clock.now());
    last.leave();

    final_figures(&processor, &load);
    every_update(&processor, &steady);
    // Without these nothing was put to the test.
    let changelogs = ["customers", "campaigns"].map(|stage| format!("{}-{stage}-changelog", processor.application_id));
    let aborted = |topic: &String| written(topic) - read(topic).len();
    assert!(changelogs.iter().map(aborted).sum::<usize>() > 0, "no transaction was aborted");
    assert!(processor.counted("payback_forwarded_total") > 0.0, "nothing was forwarded");
    let restored = processor.counted("payback_restored_facts_total");
    assert!(restored >= 10_000.0, "only {restored} facts were restored");
}

/// The coordinator has a commit, and its writer dies before it learns of that: what was committed counts, and once.
#[test]
fn a_commit_that_the_writer_never_learns_of_changes_no_figure() {
    let processor = Processor::new("crashes-unknown", Partitions::alike(2)).with_figures(in_kathmandu());
    let proxy = Proxy::start();
    let steady = Steady::new(2, 600);
    let load = mixed(disturbed(shop(400)), steady.deliveries());
    let feed = Feed::start(&processor, &load, 100);

    let address = proxy.address();
    let start = || processor.start_with("a", &[("PAYBACK_KAFKA__BROKERS", address.as_str())]);
    for stage in ["customers", "campaigns", "customers", "campaigns"] {
        let mut instance = start();
        wait_until("it commits", LIMIT, || {
            instance.must_run();
            instance.metrics().commits(stage, "committed") >= 3.0
        });
        proxy.plan([Plan { api: Api::EndTxn, client: format!("{stage}-a-0"), fault: Fault::Kept }]);
        wait_until("the broker has answered a commit", LIMIT, || {
            instance.must_run();
            !proxy.kept().is_empty()
        });
        instance.kill();
        assert_eq!(proxy.kept(), [0], "it has the commit of {stage}");
    }
    feed.must_go_on();
    let mut last = start();
    feed.finish();
    processor.wait_until_done(&mut [&mut last]);
    figures_of_now(&processor, &mut [&mut last], &load, now);
    last.leave();

    final_figures(&processor, &load);
    every_update(&processor, &steady);
}
