//! Memory has bounds: the state says when it takes more than it may, and a slow broker makes the processor wait, not grow.

use std::fs;
use std::time::Duration;

use payback::shop::Source;

use crate::broker;
use crate::exactly_once::{Delivery, final_figures, now};
use crate::own_process;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, written};

const MIB: u64 = 1 << 20;

fn order(number: usize) -> Delivery {
    let (customer, at) = (format!("c-{number}"), now().plus(-60_000));
    let event = format!(
        r#"{{"type":"purchase","customer_id":"{customer}","order_id":"o-{number}","occurred_at":"{at}","revenue":10,"campaign_id":"c"}}"#
    );
    Delivery { source: Source::Purchases, key: Some(customer), value: event.into_bytes() }
}

#[test]
fn a_state_over_its_limit_is_not_ready_and_says_so_and_stays_right() {
    let processor = Processor::new("over-limit", Partitions::alike(2));
    let load: Vec<Delivery> = (0..8_000).map(order).collect();
    let send = |load: &[Delivery]| {
        let loader = Loader::new();
        for delivery in load {
            let key = delivery.key.as_deref().expect("each has a key");
            loader.send(&processor.purchases, key, std::str::from_utf8(&delivery.value).expect("JSON is UTF-8"));
        }
        loader.flush();
    };
    let variables = [("PAYBACK_LIMITS__STATE_BYTES", "1048576")];
    let mut instance = processor.start_with("a", &variables);
    send(&load[..100]);
    processor.wait_until_done(&mut [&mut instance]);
    instance.wait_until_ready();
    send(&load[100..]);
    processor.wait_until_done(&mut [&mut instance]);
    wait_until("it is not ready", LIMIT, || instance.get("/readyz").is_none());
    wait_until("metrics say so", LIMIT, || instance.metrics().total("payback_state_over_limit") == 1.0);
    assert_eq!(instance.metrics().total("payback_state_limit_bytes"), 1_048_576.0);
    wait_until("the log says so", LIMIT, || instance.log().contains("limits.state_bytes is 1048576: not ready"));
    assert!(instance.get("/v1/customers/c-7").is_some(), "it goes on");
    instance.leave();

    // It says so while it still restores, too.
    let mut instance = processor.start_with("b", &variables);
    wait_until("it says so", LIMIT, || instance.log().contains("limits.state_bytes is 1048576: not ready"));
    instance.must_run();
    instance.leave();
    final_figures(&processor, &load);
}

#[test]
fn a_slow_broker_makes_the_processor_wait_and_not_grow() {
    own_process::run(&["budgets::a_backlog_of_dead_letters_meets_a_slow_broker", "--exact"], 3 * LIMIT);
}

#[test]
#[ignore = "slows the Kafka of its process down: run by a_slow_broker_makes_the_processor_wait_and_not_grow"]
fn a_backlog_of_dead_letters_meets_a_slow_broker() {
    const RECORDS: u64 = 1_500;
    let processor = Processor::new("slow", Partitions::alike(1));
    let loader = Loader::new();
    // No JSON: each becomes a dead letter of its size.
    let poison = "x".repeat(100_000);
    (0..RECORDS).for_each(|number| loader.send(&processor.purchases, &number.to_string(), &poison));
    loader.flush();
    drop(loader);
    broker::throttle_producers(Some(2 * MIB));

    let budgets = [("PAYBACK_LIMITS__INPUT_QUEUE_BYTES", 2 * MIB), ("PAYBACK_LIMITS__OUTPUT_QUEUE_BYTES", 8 * MIB)];
    let budgets = budgets.map(|(key, bytes)| (key, bytes.to_string()));
    let mut instance = processor.start_with("a", &budgets.each_ref().map(|(key, bytes)| (*key, bytes.as_str())));
    let committed = |instance: &Instance| instance.metrics().total("payback_rejected_total");
    wait_until("dead letters trickle", LIMIT, || committed(&instance) > 20.0);
    assert!(committed(&instance) < RECORDS as f64 / 2.0, "the broker is not slow");
    let trickling = peak(&instance);

    broker::freeze(|| std::thread::sleep(Duration::from_secs(4)));
    instance.must_run();
    let after_freeze = committed(&instance);
    wait_until("it goes on after a pause", LIMIT, || committed(&instance) > after_freeze + 20.0);
    broker::throttle_producers(None);
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!(committed(&instance), RECORDS as f64);
    let most = peak(&instance);
    eprintln!("{} MiB at most; {} MiB while it trickled", most / MIB, trickling / MIB);
    assert!(most < 70 * MIB, "it has grown to {} MiB; the backlog is {} MiB", most / MIB, RECORDS * 100_000 / MIB);
    instance.leave();
    assert!(written(&processor.dead_letters) as u64 >= RECORDS);
}

/// The most memory that an instance ever had, bytes.
fn peak(instance: &Instance) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", instance.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
