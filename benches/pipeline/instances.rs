//! What scaling out costs: one instance takes a load, then two that share its partitions.
//!
//! The load comes when all partitions have found their owners, from the first record at full speed.

use clap::Args;

use crate::LIMIT;
use crate::backlog::{self, load};
use crate::process::wait_until;
use crate::progress::Followed;
use crate::service::{Instance, PARTITIONS, Service};
use crate::topics::{self, unique};
use crate::usage;

#[derive(Args, Debug)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    purchases: u64,
    #[arg(long, default_value_t = 100_000)]
    customers: u64,
    /// How often each runs, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub fn run(options: &Options) {
    let shop = backlog::Options { purchases: options.purchases, customers: options.customers, rounds: 0 };
    println!(
        "instances: {} purchases ({} customers, {PARTITIONS} partitions), CPU-seconds per million of all instances",
        options.purchases, options.customers
    );
    // A broker compiles itself through its first minute.
    println!("(warm-up)       {:.2}", cpu(&shop, 1));
    let mut sums = [0.0; 2];
    for _ in 0..options.rounds {
        for (instances, sum) in [1, 2].into_iter().zip(&mut sums) {
            let cpu = cpu(&shop, instances);
            println!("{instances} instance{}{cpu:>9.2}", if instances == 1 { "    " } else { "s   " });
            *sum += cpu;
        }
    }
    println!("two instances / one: CPU {:.2}", sums[1] / sums[0]);
}

/// CPU-seconds per million events that all of so many instances use together, beside what it takes to start them.
fn cpu(shop: &backlog::Options, instances: usize) -> f64 {
    let [purchases, spend] = ["purchases", "ad-spend"].map(unique);
    for topic in [&purchases, &spend] {
        topics::create(topic, PARTITIONS);
    }
    let service = Service::new(&purchases, &spend);
    let instances: Vec<Instance> =
        (0..instances).map(|number| service.start_as(&format!("instance-{number}"))).collect();
    let share = PARTITIONS as usize / instances.len();
    wait_until("the partitions are shared", LIMIT, || {
        let has_its_share = |stage: &str| instances.iter().all(|instance| instance.partitions(stage) == share);
        has_its_share("customers") && has_its_share("campaigns") && instances.iter().all(Instance::is_ready)
    });
    let used = || instances.iter().map(|instance| usage::of(instance.process.id()).cpu_seconds).sum::<f64>();
    let before = used();
    load(shop, &purchases, &spend);
    let streams = Followed::new(&service.streams());
    streams.wait_until_done();
    (used() - before) / streams.events() * 1e6
}
