//! One broker, as every trial has: it is killed and away for so long that every session is over, comes back, and all goes on
//! within a minute. Two instances, under load.

use std::thread;
use std::time::{Duration, Instant};

use payback::shop::Source;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rdkafka::producer::BaseRecord;

use crate::broker;
use crate::check::{figures_of_now, final_figures, updates_of_each};
use crate::feed::Feed;
use crate::kafka;
use crate::load::{Delivery, Steady, disturbed_by, mixed, now, shop_of};
use crate::ordeal::{COMPARED, PARTITIONS, processor};
use crate::probe::Probes;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Processor};
use crate::topics::Loader;
use crate::witness::{Adding, Witness};

/// From when the broker serves again.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);
/// Seconds.
const AWAY: std::ops::RangeInclusive<u64> = 12..=52;
/// Events a second at first.
const RATE: u32 = 30;

/// Has the broker go away so many times.
pub fn endure(seed: u64, times: usize) {
    let _alone = broker::alone();
    let processor = processor("alone");
    let steady = Steady::new(PARTITIONS as u32, (100 * times).clamp(300, 2_500));
    let customers = u32::try_from(150 * times).unwrap_or(u32::MAX);
    let load = mixed(disturbed_by(shop_of(customers, seed), seed), steady.deliveries());
    let probes = Probes::new(PARTITIONS as u32);
    let mut instances = ["a", "b"].map(|name| processor.start(name));
    instances.iter_mut().for_each(Instance::wait_until_ready);
    let mut witness = Witness::start(&processor, Adding::new(&steady, &probes, times + 1));
    let feed = Feed::start(&processor, &load, RATE);
    let loader = Loader::new();

    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut sent = load.clone();
    let mut recoveries = Vec::new();
    for number in 0..times {
        let away = Duration::from_secs(dice.random_range(AWAY));
        kafka::interrupt(|| thread::sleep(away));
        let since = Instant::now();
        for order in probes.orders(number) {
            send(&loader, &processor, &order);
            sent.push(order);
        }
        wait_until("all partitions go on", GOES_ON_WITHIN, || {
            instances.iter_mut().for_each(Instance::must_run);
            witness.must_be_content();
            witness.has_seen(probes.keys(), number + 1)
        });
        let took = since.elapsed().as_secs_f64();
        println!("{}. away for {} s, goes on after {took:.1} s", number + 1, away.as_secs());
        recoveries.push(took);
        thread::sleep(Duration::from_millis(dice.random_range(3_000..8_000)));
    }
    feed.finish();
    loader.flush();
    wait_until("all is processed", 2 * LIMIT, || processor.is_done());
    figures_of_now(&processor, &mut [], &sent, now);
    instances.iter_mut().for_each(|instance| instance.leave_within(2 * LIMIT));
    final_figures(&processor, &sent);
    updates_of_each(&processor, &steady, COMPARED);
    println!("{}", witness.finish(&processor));
    recoveries.sort_by(f64::total_cmp);
    let (median, worst) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    println!(
        "seed {seed}: away {times} times, {} events, 0 differences; median {median:.1} s, worst {worst:.1} s",
        sent.len()
    );
}

fn send(loader: &Loader, processor: &Processor, delivery: &Delivery) {
    let topic = match delivery.source {
        Source::Purchases => &processor.purchases,
        Source::AdSpend => &processor.spend,
    };
    let record = BaseRecord::to(topic).payload(&delivery.value[..]);
    loader.send_record(match &delivery.key {
        Some(key) => record.key(key.as_bytes()),
        None => record,
    });
}
