//! How soon an instance works again: after it was killed, and after it was asked to leave.

use std::time::Instant;

use clap::Args;
use rustix::process::Signal;

use crate::LIMIT;
use crate::backlog::{self, load, measure};
use crate::process::wait_until;
use crate::service::{PARTITIONS, Service};
use crate::topics::{self, unique};

#[derive(Args, Debug)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    customers: u64,
    /// Of each customer, on the average.
    #[arg(long, default_value_t = 5)]
    orders: u64,
}

pub fn run(options: &Options) {
    let [purchases, spend] = ["purchases", "ad-spend"].map(unique);
    for topic in [&purchases, &spend] {
        topics::create(topic, PARTITIONS);
    }
    let shop =
        backlog::Options { purchases: options.customers * options.orders, customers: options.customers, rounds: 0 };
    load(&shop, &purchases, &spend);
    let service = Service::new(&purchases, &spend);
    let instance = service.start();
    let peak = measure(&instance.process, &service.streams()).peak_mib;
    println!("restart: {} customers with {} orders each, {peak:.0} MiB", options.customers, options.orders);

    // Dropping it kills it. Its partitions stay its own until its session is over.
    drop(instance);
    let killed = Instant::now();
    let mut instance = service.start();
    wait_until("the group notices", LIMIT, || instance.partitions("customers") > 0);
    let noticed = Instant::now();
    wait_until("the instance is ready", LIMIT, || instance.is_ready());
    let (facts, _, seconds) = instance.restored().expect("it is ready");
    println!(
        "killed: the group noticed after {:.1} s; ready {:.1} s later ({facts} facts from Kafka in {seconds:.1} s, {:.0} a second)",
        (noticed - killed).as_secs_f64(),
        noticed.elapsed().as_secs_f64(),
        facts as f64 / seconds
    );

    for _ in 0..5 {
        let asked = Instant::now();
        instance.process.signal(Signal::TERM);
        assert!(instance.process.wait(LIMIT).success(), "it leaves as it should");
        let left = asked.elapsed().as_secs_f64();
        instance = service.start();
        wait_until("the instance is ready", LIMIT, || instance.is_ready());
        let (facts, of_checkpoints, seconds) = instance.restored().expect("it is ready");
        println!(
            "stopped and started: ready after {:.1} s ({left:.1} s to leave, {seconds:.1} s to restore {of_checkpoints} records of \
             checkpoints and {facts} from Kafka)",
            asked.elapsed().as_secs_f64()
        );
    }
}
