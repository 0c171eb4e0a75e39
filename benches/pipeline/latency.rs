//! From the purchase to its update: a steady load, and a reader that sees when each purchase is counted.
//!
//! The n-th purchase is of campaign n mod 200, and all of a campaign's go by one partition. So the number of orders in a
//! campaign's record says which purchases it holds, and each purchase's moment follows from its number: that at which it
//! was due, so that a load which falls behind counts against the result.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use payback::home::home;
use payback::time::Millis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::BaseRecord;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Deserialize;

use crate::broker::brokers;
use crate::process::Process;
use crate::service::{PARTITIONS, Service};
use crate::shop::{self, CAMPAIGNS};
use crate::topics::{self, Loader, unique};
use crate::usage;

#[derive(Args, Debug)]
pub struct Options {
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Purchases a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { seconds: 60, rate: 20_000 }
    }
}

/// Not counted: topics and code are cold.
const WARM_UP: u64 = 5;
const CUSTOMERS: u64 = 100_000;

pub fn run(options: &Options) {
    let [purchases, spend] = ["purchases", "ad-spend"].map(unique);
    for topic in [&purchases, &spend] {
        topics::create(topic, PARTITIONS);
    }
    let service = Service::new(&purchases, &spend);
    let instance = service.start();
    let reader = reader(&service);

    let loader = Loader::new();
    let yesterday = Millis(now() - Millis::DAY);
    for campaign in 0..CAMPAIGNS {
        let report = shop::spend_report(campaign, yesterday, Millis(now()));
        loader.send(&spend, &shop::campaign(campaign), &report);
    }
    loader.flush();
    let mut seen = Seen::new(options);
    while !seen.all_campaigns() {
        assert!(now() - yesterday.0 < 2 * Millis::DAY, "the spend is never seen");
        seen.poll(&reader, 0);
    }

    let schedule =
        Schedule { topic: purchases, start: now() + 1_000, seconds: WARM_UP + options.seconds, rate: options.rate };
    let before = usage::of(instance.process.id());
    let mut generator = schedule.start();
    let deadline = Instant::now() + Duration::from_secs(schedule.seconds + 60);
    while !seen.all_purchases() {
        assert!(Instant::now() < deadline, "not all purchases are seen: {} of {}", seen.purchases(), seen.expected);
        seen.poll(&reader, schedule.start);
    }
    let after = usage::of(instance.process.id());
    println!(
        "latency: {} s at {} purchases a second, from when each was due to its campaign's update read committed: \
         p50 {} ms, p99 {} ms, longest {} ms; {:.1} CPU-seconds per million",
        options.seconds,
        options.rate,
        seen.quantile(0.50),
        seen.quantile(0.99),
        seen.quantile(1.0),
        (after.cpu_seconds - before.cpu_seconds) / seen.expected as f64 * 1e6,
    );
    generator.wait(Duration::from_secs(10));
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    since_epoch.as_millis() as i64
}

/// A reader of committed updates, once the service has created the topic.
fn reader(service: &Service) -> BaseConsumer {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", "unused")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "2")
        .create()
        .expect("a consumer");
    crate::process::wait_until("the topic of the updates is there", Duration::from_secs(30), || {
        let metadata = reader.fetch_metadata(Some(&service.roas_updates), Duration::from_secs(5));
        metadata.is_ok_and(|metadata| metadata.topics()[0].partitions().len() == PARTITIONS as usize)
    });
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(&service.roas_updates, partition, Offset::Beginning).expect("a valid offset");
    }
    reader.assign(&assignment).expect("partitions can be assigned");
    reader
}

/// How long each purchase took to be seen.
struct Seen {
    rate: u64,
    expected: u64,
    /// Orders of each campaign; none before its first record.
    campaigns: Vec<Option<u64>>,
    /// Purchases after the warm-up by their latency in milliseconds.
    histogram: Vec<u64>,
}

impl Seen {
    fn new(options: &Options) -> Seen {
        Seen {
            rate: options.rate,
            expected: (WARM_UP + options.seconds) * options.rate,
            campaigns: vec![None; CAMPAIGNS as usize],
            histogram: Vec::new(),
        }
    }

    fn all_campaigns(&self) -> bool {
        self.campaigns.iter().all(Option::is_some)
    }

    fn purchases(&self) -> u64 {
        self.campaigns.iter().flatten().sum()
    }

    fn all_purchases(&self) -> bool {
        self.purchases() == self.expected
    }

    /// Takes one record, if there is one soon.
    fn poll(&mut self, reader: &BaseConsumer, start: i64) {
        let Some(message) = reader.poll(Duration::from_millis(100)) else { return };
        let message = message.expect("an update");
        let now = now();
        let update: Update = serde_json::from_slice(message.payload().expect("no tombstones here")).expect("an update");
        let campaign = shop::campaign_number(update.id).expect("a campaign of the load");
        let orders = update.windows.lifetime.orders as u64;
        let seen = self.campaigns[campaign as usize].get_or_insert(0);
        for order in *seen..orders {
            let number = order * CAMPAIGNS + campaign;
            if number >= WARM_UP * self.rate {
                let latency = (now - due(start, self.rate, number)).max(0) as usize;
                self.histogram.resize(self.histogram.len().max(latency + 1), 0);
                self.histogram[latency] += 1;
            }
        }
        *seen = orders;
    }

    /// The latency in milliseconds that this share of purchases did not exceed.
    fn quantile(&self, share: f64) -> usize {
        let rank = (self.histogram.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut count = 0;
        self.histogram
            .iter()
            .position(|purchases| {
                count += purchases;
                count >= rank
            })
            .unwrap_or(0)
    }
}

#[derive(Deserialize)]
struct Update<'a> {
    id: &'a str,
    windows: Windows,
}

#[derive(Deserialize)]
struct Windows {
    lifetime: Lifetime,
}

#[derive(Deserialize)]
struct Lifetime {
    orders: f64,
}

/// When the purchase with this number is due.
fn due(start: i64, rate: u64, number: u64) -> i64 {
    start + (number * 1_000 / rate) as i64
}

/// A load: `rate` purchases a second from `start` (milliseconds since the epoch).
#[derive(Args, Clone, Debug)]
pub struct Schedule {
    #[arg(long)]
    topic: String,
    #[arg(long)]
    start: i64,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    rate: u64,
}

impl Schedule {
    /// Starts it in a process of its own, which says at its end what it used.
    fn start(&self) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("a program knows its own file"));
        command.args(["generator", "--topic", &self.topic, "--start", &self.start.to_string()]);
        command.args(["--seconds", &self.seconds.to_string(), "--rate", &self.rate.to_string()]);
        Process::start(command.env("PAYBACK_TEST_BROKERS", brokers()))
    }
}

pub fn generate(schedule: &Schedule) {
    // A campaign's customers all live in its partition.
    let mut homes = vec![Vec::new(); PARTITIONS as usize];
    for number in 0..CUSTOMERS {
        let customer = shop::customer(number);
        homes[home(&customer, PARTITIONS as u32) as usize].push(customer);
    }
    let loader = Loader::new();
    let mut latest = 0;
    for number in 0..schedule.seconds * schedule.rate {
        let due = due(schedule.start, schedule.rate, number);
        while now() < due {
            thread::sleep(Duration::from_millis(1));
        }
        latest = latest.max(now() - due);
        let campaign = number % CAMPAIGNS;
        let partition = (campaign % PARTITIONS as u64) as usize;
        let customer = &homes[partition][shop::scramble(number) as usize % homes[partition].len()];
        let purchase = shop::purchase(number, customer, campaign, Millis(due));
        let record = BaseRecord::to(&schedule.topic).partition(partition as i32).timestamp(due);
        loader.send_record(record.key(customer.as_bytes()).payload(purchase.as_bytes()));
    }
    loader.flush();
    let used = usage::of(std::process::id()).cpu_seconds;
    println!(
        "generator: {used:.1} CPU-seconds in {} s ({:.0} % of a core), at most {latest} ms behind",
        schedule.seconds,
        100.0 * used / schedule.seconds as f64
    );
}
