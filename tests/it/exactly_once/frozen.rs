//! Instances that stand still for so long that others take their place, and then go on as if nothing had happened.

use std::time::Duration;

use super::abroad::{in_kathmandu, on_lord_howe_island};
use super::check::{every_update, figures_of_now, final_figures};
use super::clock::Clock;
use super::feed::Feed;
use super::load::{Steady, disturbed, mixed, now, shop};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{end_offsets, stable_offsets};

/// Lets a frozen instance go on until it works again or has given up; both are right.
fn thaw(instance: &mut Instance) {
    instance.thaw();
    wait_until("the instance is ready again or ends", LIMIT, || {
        instance.has_ended() || instance.get("/readyz").is_some()
    });
}

#[test]
fn one_that_was_evicted_while_idle_changes_nothing() {
    let processor = Processor::new("evicted-idle", Partitions::alike(4));
    let load = disturbed(shop(400));
    let mut parts = load.chunks(load.len().div_ceil(3));
    let mut send_part = || Feed::start(&processor, parts.next().expect("three parts"), u32::MAX).finish();

    let mut a = processor.start("a");
    send_part();
    processor.wait_until_done(&mut [&mut a]);
    a.freeze();
    let mut b = processor.start("b");
    send_part();
    processor.wait_until_done(&mut [&mut b]);
    thaw(&mut a);
    send_part();
    processor.wait_until_done(&mut [&mut b]);

    figures_of_now(&processor, &mut [&mut b], &load, now);
    final_figures(&processor, &load);
}

#[test]
fn one_that_was_evicted_in_a_transaction_commits_nothing_of_it() {
    let processor = Processor::new("evicted-busy", Partitions::alike(4)).with_figures(in_kathmandu());
    let steady = Steady::new(4, 500);
    let load = mixed(disturbed(shop(400)), steady.deliveries());
    let feed = Feed::start(&processor, &load, 200);

    let mut a = processor.start("a");
    freeze_in_transaction(&processor, &a);
    let mut b = processor.start("b");
    b.wait_until_ready();
    wait_until("its successor works", LIMIT, || b.metrics().total("payback_events_total") > 400.0);
    thaw(&mut a);
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut b]);

    figures_of_now(&processor, &mut [&mut b], &load, now);
    final_figures(&processor, &load);
    every_update(&processor, &steady);
    assert!(processor.counted("payback_transactions_aborted_total") > 0.0, "its transaction was aborted");
}

/// While the frozen one's transaction is open, what others commit to the changelog after it is beyond the stable offset.
#[test]
fn what_was_committed_behind_an_open_transaction_is_restored() {
    let processor = Processor::new("behind-open", Partitions::alike(4));
    let steady = Steady::new(4, 1_000);
    let load = steady.deliveries();
    let feed = Feed::start(&processor, &load, 150);

    let mut a = processor.start("a");
    a.wait_until_ready();
    freeze_in_transaction(&processor, &a);
    let mut b = processor.start("b");
    let events = |instance: &Instance| instance.metrics().total("payback_events_total");
    wait_until("its successor works", LIMIT, || events(&b) > 100.0);
    let mut c = processor.start("c");
    wait_until("the successor's successor works", LIMIT, || events(&c) > 100.0);
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut b, &mut c]);

    figures_of_now(&processor, &mut [&mut b, &mut c], &load, now);
    final_figures(&processor, &load);
    every_update(&processor, &steady);
}

/// The coordinator has aborted the transaction, but the partitions stayed: what was read in it must be read again.
#[test]
fn one_whose_transaction_took_too_long_reads_its_input_again() {
    let processor = Processor::new("timed-out", Partitions::alike(2)).with_session(Duration::from_secs(40));
    let steady = Steady::new(2, 1_000);
    let load = steady.deliveries();
    let feed = Feed::start(&processor, &load, 100);

    let mut a = processor.start("a");
    freeze_in_transaction(&processor, &a);
    wait_until("the coordinator aborts the transaction", LIMIT, || !has_open_transaction(&processor));
    let before = a.metrics().total("payback_events_total");
    thaw(&mut a);
    if a.has_ended() {
        a = processor.start("a");
    }
    wait_until("it works again", LIMIT, || a.metrics().total("payback_events_total") > before + 400.0);
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut a]);

    figures_of_now(&processor, &mut [&mut a], &load, now);
    final_figures(&processor, &load);
    every_update(&processor, &steady);
}

/// Its state is of before, and the offsets that it is about to ask for are its successor's: no reason to give up.
#[test]
fn one_that_was_evicted_before_it_asks_for_offsets_does_not_take_them_for_a_contradiction() {
    let processor = Processor::new("evicted-restored", Partitions { purchases: 3, spend: 3, internal: 2 });
    let load = disturbed(shop(400));
    let (first, second) = load.split_at(load.len() / 2);

    let mut writer = processor.start("writer");
    Feed::start(&processor, first, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut writer]);
    writer.leave();
    let mut restored = processor.start_with("restored", &[("PAYBACK_TEST_FREEZE_AT", "after-restore")]);
    wait_until("it freezes when it has restored", LIMIT, || restored.is_frozen());

    let mut successor = processor.start("successor");
    Feed::start(&processor, second, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut successor]);
    let assigned = |instance: &Instance| instance.log().matches("partitions assigned").count();
    let before = assigned(&restored);
    restored.thaw();
    wait_until("both of its workers have partitions again", LIMIT, || {
        restored.must_run();
        assigned(&restored) >= before + 2
    });
    restored.wait_until_ready();
    successor.must_run();

    figures_of_now(&processor, &mut [&mut successor], &load, now);
    final_figures(&processor, &load);
}

/// It takes what its successor has written to the changelog for its own.
#[test]
fn one_that_was_evicted_before_it_parks_its_state_knows_what_its_successor_did() {
    let processor = Processor::new("evicted-parking", Partitions::alike(2)).with_figures(on_lord_howe_island());
    let load = disturbed(shop(400));
    let mut parts = load.chunks(load.len().div_ceil(3));
    let mut send_part = || Feed::start(&processor, parts.next().expect("three parts"), u32::MAX).finish();

    let mut parking = processor.start_with("parking", &[("PAYBACK_TEST_FREEZE_AT", "before-park@customers")]);
    send_part();
    processor.wait_until_done(&mut [&mut parking]);
    let mut successor = processor.start("successor");
    wait_until("it freezes when partitions are taken away", LIMIT, || parking.is_frozen());
    send_part();
    processor.wait_until_done(&mut [&mut successor]);

    let assigned = |instance: &Instance| instance.log().matches("partitions assigned").count();
    let before = assigned(&parking);
    parking.thaw();
    wait_until("both of its workers have partitions again", LIMIT, || {
        parking.must_run();
        assigned(&parking) >= before + 2
    });
    parking.wait_until_ready();
    send_part();
    processor.wait_until_done(&mut [&mut parking, &mut successor]);

    figures_of_now(&processor, &mut [&mut parking, &mut successor], &load, now);
    final_figures(&processor, &load);
}

/// An idle owner has written nothing, so nobody knows to fence it: only the offsets in its transaction tell that its time
/// is over.
#[test]
fn one_that_was_evicted_before_an_hour_roll_puts_out_nothing_of_it() {
    let processor = Processor::new("evicted-roll", Partitions::alike(2));
    let clock = Clock::new();
    let steady = Steady::new(2, 300);
    let load = steady.deliveries();
    let (first, second) = load.split_at(load.len() / 2);

    let mut writer = processor.start_with("writer", &[clock.variable()]);
    Feed::start(&processor, first, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut writer]);
    writer.leave();
    let mut idle = processor.start_with("idle", &[clock.variable(), ("PAYBACK_TEST_FREEZE_AT", "before-roll")]);
    idle.wait_until_ready();
    clock.forward_an_hour();
    wait_until("it freezes before its roll", LIMIT, || idle.is_frozen());

    let mut successor = processor.start_with("successor", &[clock.variable()]);
    Feed::start(&processor, second, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut successor]);
    idle.thaw();
    // What it was about to put out comes before it learns that it was evicted.
    wait_until("its roll is refused", LIMIT, || {
        idle.has_ended() || idle.metrics().total("payback_transactions_aborted_total") > 0.0
    });
    figures_of_now(&processor, &mut [&mut successor], &load, || clock.now());

    final_figures(&processor, &load);
    every_update(&processor, &steady);
}

/// Freezes an instance when it has a transaction open that has written to a changelog.
fn freeze_in_transaction(processor: &Processor, instance: &Instance) {
    wait_until("it is frozen in a transaction", LIMIT, || {
        instance.freeze();
        let open = instance.metrics().total("payback_events_total") > 100.0 && has_open_transaction(processor);
        if !open {
            instance.thaw();
        }
        open
    });
}

fn has_open_transaction(processor: &Processor) -> bool {
    ["customers", "campaigns"].iter().any(|stage| {
        let changelog = format!("{}-{stage}-changelog", processor.application_id);
        end_offsets(&changelog) != stable_offsets(&changelog)
    })
}
