//! Instances that share the partitions, join and leave under load.

use std::time::Duration;

use serde_json::Value;

use super::abroad::on_lord_howe_island;
use super::check::{every_update, figures_of_now, final_figures};
use super::clock::Clock;
use super::feed::Feed;
use super::load::{Steady, disturbed, mixed, now, shop};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};

/// What an instance has committed, of all kinds.
fn events(instance: &Instance) -> f64 {
    instance.metrics().total("payback_events_total")
}

/// Waits until each of these instances has processed something that it hadn't when this was called.
#[track_caller]
fn wait_until_all_work(instances: &mut [&mut Instance]) {
    let before: Vec<f64> = instances.iter().map(|instance| events(instance)).collect();
    wait_until("every instance processes events", LIMIT, || {
        instances.iter_mut().for_each(|instance| instance.must_run());
        instances.iter().zip(&before).all(|(instance, before)| events(instance) > *before)
    });
}

#[test]
fn instances_share_the_partitions_while_others_join_leave_and_die() {
    let processor = Processor::new("sharing", Partitions::alike(4)).with_figures(on_lord_howe_island());
    let clock = Clock::new();
    let steady = Steady::new(4, 600);
    let load = mixed(disturbed(shop(800)), steady.deliveries());
    let feed = Feed::start(&processor, &load, 250);

    let start = |name: &str| processor.start_with(name, &[clock.variable()]);
    let mut a = start("a");
    wait_until_all_work(&mut [&mut a]);
    let mut b = start("b");
    wait_until_all_work(&mut [&mut a, &mut b]);
    a.leave();
    clock.forward(26 * 3_600_000);
    wait_until_all_work(&mut [&mut b]);
    let mut c = start("c");
    wait_until_all_work(&mut [&mut b, &mut c]);
    b.kill();
    wait_until_all_work(&mut [&mut c]);
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut c]);
    figures_of_now(&processor, &mut [&mut c], &load, || clock.now());
    c.leave();

    final_figures(&processor, &load);
    every_update(&processor, &steady);
}

/// A partition's next owner reads its changelog within milliseconds of the last owner's commit, whose markers may not
/// be written yet.
#[test]
fn nothing_is_lost_when_partitions_pass_from_hand_to_hand() {
    let processor = Processor::new("hand-to-hand", Partitions::alike(4));
    let steady = Steady::new(4, 1_500);
    let load = steady.deliveries();
    let feed = Feed::start(&processor, &load, 300);

    let mut a = processor.start("a");
    wait_until_all_work(&mut [&mut a]);
    for _ in 0..6 {
        let mut b = processor.start("b");
        wait_until_all_work(&mut [&mut a, &mut b]);
        b.leave();
    }
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut a]);
    figures_of_now(&processor, &mut [&mut a], &load, now);
    a.leave();

    final_figures(&processor, &load);
    every_update(&processor, &steady);
    assert_eq!(processor.counted("payback_rejected_total"), 0.0);
    assert!(!a.log().contains(" is ignored: "), "partitions that stayed are not restored anew");
}

/// A member that stands still holds the group up: until its session is over, nobody has partitions.
#[test]
fn while_the_partitions_are_shared_out_nobody_is_sent_to_another_instance() {
    let processor = Processor::new("between-owners", Partitions::alike(4)).with_session(Duration::from_secs(10));
    let mut a = processor.start("a");
    let mut b = processor.start("b");
    a.wait_until_ready();
    b.wait_until_ready();
    b.freeze();
    let _c = processor.start("c");
    let waits = || {
        let (status, body) = ask(&a, "/readyz");
        let missing = body["error"]["missing"].as_array().cloned().unwrap_or_default();
        status == 503 && missing.iter().any(|it| it["part"] == "customers/0" && it["reason"] == "rebalancing")
    };
    wait_until("it has given its partitions up", LIMIT, waits);
    for customer in ["c-1", "c-2", "c-3", "c-4", "c-5", "c-6", "c-7", "c-8"] {
        let (status, body) = ask(&a, &format!("/v1/customers/{customer}"));
        assert_eq!((status, &body["error"]["reason"]), (503, &"rebalancing".into()), "{body}");
    }
    assert!(waits(), "it had none all the while");
}

fn ask(instance: &Instance, path: &str) -> (u16, Value) {
    let (status, body) = instance.ask(path).expect("an answer");
    (status, serde_json::from_str(&body).expect("JSON"))
}
