//! How fast `payback run` is on a real Kafka, beside a bare loop that does only what no such program can do without.
//!
//! ```text
//! cargo bench --bench pipeline                               a backlog of 1,000,000 purchases, then 60 s at 20,000 a second
//! cargo bench --bench pipeline -- backlog --purchases 100000
//! cargo bench --bench pipeline -- latency --seconds 10
//! cargo bench --bench pipeline -- instances                  CPU of two instances beside that of one
//! cargo bench --bench pipeline -- restart                    after a kill and after a stop, with 1,000,000 customers
//! ```
//! Kafka is started as the tests start it (`tests/it/broker.rs`) and shares the machine, so figures compare within a run
//! only.

use std::time::Duration;

use clap::{Parser, Subcommand};

mod backlog;
mod bare_loop;
mod instances;
mod latency;
mod progress;
mod restart;
mod service;
mod shop;
mod usage;

#[path = "../../tests/it/broker.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod broker;
#[path = "../../tests/it/process.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod process;
#[path = "../../tests/it/topics.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod topics;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Passed by `cargo bench`; means nothing here.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Throughput, CPU and memory over a backlog, beside the bare loop's.
    Backlog(backlog::Options),
    /// From the purchase to its update, at a steady rate.
    Latency(latency::Options),
    /// CPU of two instances that share the load, beside that of one.
    Instances(instances::Options),
    /// How soon an instance works again that was killed, or asked to leave.
    Restart(restart::Options),
    /// The bare loop itself: `backlog` starts it in a process of its own.
    #[command(hide = true)]
    BareLoop(bare_loop::Options),
    /// The load of `latency`, in a process of its own.
    #[command(hide = true)]
    Generator(latency::Schedule),
}

/// What no wait here takes longer than.
const LIMIT: Duration = Duration::from_secs(900);

fn main() {
    match Arguments::parse().command {
        None => {
            backlog::run(&backlog::Options::default());
            latency::run(&latency::Options::default());
        }
        Some(Command::Backlog(options)) => backlog::run(&options),
        Some(Command::Latency(options)) => latency::run(&options),
        Some(Command::Instances(options)) => instances::run(&options),
        Some(Command::Restart(options)) => restart::run(&options),
        Some(Command::BareLoop(options)) => bare_loop::run(&options),
        Some(Command::Generator(schedule)) => latency::generate(&schedule),
    }
}
