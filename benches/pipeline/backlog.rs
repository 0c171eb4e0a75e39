//! A backlog: purchases of three months and the spend beside them, processed as fast as it goes.

use std::time::SystemTime;

use clap::Args;
use payback::time::Millis;

use crate::bare_loop;
use crate::process::Process;
use crate::progress::{Followed, Stream};
use crate::service::{PARTITIONS, Service};
use crate::shop::{self, CAMPAIGNS, scramble};
use crate::topics::{self, Loader, unique};
use crate::usage;

#[derive(Args, Debug)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    pub purchases: u64,
    #[arg(long, default_value_t = 100_000)]
    pub customers: u64,
    /// How often each runs, in turns.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { purchases: 1_000_000, customers: 100_000, rounds: 3 }
    }
}

const DAYS: i64 = 90;
const WARM_UPS: usize = 4;

pub fn run(options: &Options) {
    let [purchases, spend] = ["purchases", "ad-spend"].map(unique);
    for topic in [&purchases, &spend] {
        topics::create(topic, PARTITIONS);
    }
    let bytes = load(options, &purchases, &spend);
    println!(
        "backlog: {} purchases of {:.0} bytes ({} customers, {CAMPAIGNS} campaigns, {DAYS} days, {PARTITIONS} \
         partitions) and {} spend reports",
        options.purchases,
        bytes as f64 / options.purchases as f64,
        options.customers,
        CAMPAIGNS * DAYS as u64,
    );
    println!("{:<14}{:>12}{:>26}{:>18}", "", "events/s", "CPU-seconds per million", "peak memory MiB");
    // A broker compiles itself through its first minutes: they count for neither.
    for _ in 0..WARM_UPS {
        print("(warm-up)", bare(&purchases));
        print("(warm-up)", payback(&purchases, &spend));
    }
    let (mut bare_loop, mut payback_run) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        bare_loop.push(print("bare loop", bare(&purchases)));
        payback_run.push(print("payback run", payback(&purchases, &spend)));
    }
    let share = |of: fn(&Figures) -> f64| {
        let mean = |runs: &[Figures]| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        mean(&payback_run) / mean(&bare_loop)
    };
    println!(
        "payback run / bare loop: events/s {:.2}, CPU {:.2}",
        share(|figures| figures.rate),
        share(|figures| figures.cpu)
    );
}

/// Runs it over the backlog, and kills it.
fn payback(purchases: &str, spend: &str) -> Figures {
    let service = Service::new(purchases, spend);
    measure(&service.start().process, &service.streams())
}

/// Fills both topics; returns the bytes of all purchases.
pub fn load(options: &Options, purchases: &str, spend: &str) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    let end = now.as_millis() as i64 - Millis::HOUR;
    let start = end - DAYS * Millis::DAY;
    let loader = Loader::new();
    let mut bytes = 0;
    for number in 0..options.purchases {
        let at = start + (number as i128 * (end - start) as i128 / options.purchases as i128) as i64;
        let customer = shop::customer(scramble(number) % options.customers);
        let purchase = shop::purchase(number, &customer, scramble(!number) % CAMPAIGNS, Millis(at));
        bytes += purchase.len() as u64;
        loader.send(purchases, &customer, &purchase);
    }
    for day in 0..DAYS {
        let day = Millis(start + day * Millis::DAY);
        for campaign in 0..CAMPAIGNS {
            let report = shop::spend_report(campaign, day, day.plus(Millis::DAY));
            loader.send(spend, &shop::campaign(campaign), &report);
        }
    }
    loader.flush();
    bytes
}

fn bare(source: &str) -> Figures {
    let group = unique("bare-loop");
    let outputs: Vec<String> = ["a", "b"].map(|output| format!("{group}-{output}")).to_vec();
    for output in &outputs {
        topics::create(output, PARTITIONS);
    }
    let options = bare_loop::Options { source: source.to_owned(), outputs, group: group.clone() };
    measure(&bare_loop::start(&options), &[Stream::of_input(group, source)])
}

pub struct Figures {
    /// Events a second, from the last look at which nothing was committed to the first at which all was.
    rate: f64,
    /// CPU-seconds per million events, of the process from its start.
    cpu: f64,
    pub peak_mib: f64,
}

fn print(name: &str, figures: Figures) -> Figures {
    println!("{name:<14}{:>12.0}{:>26.2}{:>18.0}", figures.rate, figures.cpu, figures.peak_mib);
    figures
}

/// Follows what a process commits of its streams until it has all of it.
pub fn measure(process: &Process, streams: &[Stream]) -> Figures {
    let streams = Followed::new(streams);
    let idle_until = streams.wait_while_idle();
    streams.wait_until_done();
    let seconds = idle_until.elapsed().as_secs_f64();
    let usage = usage::of(process.id());
    let events = streams.events();
    Figures { rate: events / seconds, cpu: usage.cpu_seconds / events * 1e6, peak_mib: usage.peak_mib }
}
