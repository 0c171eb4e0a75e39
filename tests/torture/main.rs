//! Torture: three real brokers, one to four instances of `payback run`, and faults at random, several at a time. Whatever
//! happens, the figures are those of a batch over all events, and no reader ever sees one that counts an event twice.
//!
//! ```text
//! TORTURE_SEED=7 cargo test --locked --test torture ten_faults -- --nocapture                        part of every run
//! TORTURE_SEED=7 TORTURE_FAULTS=200 cargo test --locked --test torture long -- --ignored --nocapture
//! TORTURE_RETENTION=1 TORTURE_SEED=8 TORTURE_FAULTS=40 cargo test --locked --test torture long -- --ignored --nocapture
//! TORTURE_SEED=7 TORTURE_TIMES=30 cargo test --locked --test torture one_broker -- --ignored --nocapture
//! TORTURE_MINUTES=30 cargo test --locked --test torture soak -- --ignored --nocapture
//! ```
//! What is done when is drawn from the seed ([`schedule`]), and printed: a failure is replayed by its seed and its number
//! of faults, as far as processes can be. A fault takes about 8 s; with `TORTURE_MINUTES` it ends after so
//! many, whatever is left to do. A run that fails leaves the logs of brokers and instances in `target/tmp`, and says where.
//!
//! - Brokers are real ones of the version that all tests use, with Java and jars that Maven fetches ([`broker`]). What
//!   counts is on all three of them, and two must have it.
//! - The load is that of the other tests: all types of events with duplicates and disorder, and a part that only adds,
//!   of which every single record that is put out can be checked, as it is read ([`witness`]).
//! - With `TORTURE_RETENTION=1` there are customers and campaigns whose first year is given up before the first fault, and
//!   who go on ([`past`]).
//! - Two of the four instances keep checkpoints, each in a folder of its own that outlives its restarts; the others
//!   restore from Kafka alone.
//! - One broker alone ([`alone`]) is killed, and away for 12 to 52 s, again and again: all partitions go on within a minute
//!   of its return, each time.
//! - Recovery is measured from a fault until orders that were sent right after it are in the figures of every customer
//!   and campaign partition, or from when an instance was there again to do that.

mod alone;
mod broker;
mod ordeal;
mod past;
mod probe;
mod schedule;
mod soak;
mod witness;

// What the integration tests have.
#[path = "../it/batch/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the integration tests use all of it")]
mod batch;
#[path = "../it/exactly_once/check.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod check;
#[path = "../it/exactly_once/clock.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod clock;
#[path = "../it/exactly_once/feed.rs"]
mod feed;
#[path = "../it/broker.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod kafka;
#[path = "../it/exactly_once/load.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod load;
#[path = "../it/history/poison.rs"]
mod poison;
#[path = "../it/process.rs"]
mod process;
#[path = "../it/processor.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod processor;
#[path = "../it/records.rs"]
mod records;
#[path = "../it/topics.rs"]
#[allow(dead_code, reason = "the integration tests use all of it")]
mod topics;

use std::str::FromStr;
use std::time::Duration;

use ordeal::Ordeal;
use schedule::Schedule;

#[test]
fn ten_faults_change_no_figure() {
    torture(setting("TORTURE_SEED", 1), 10, None);
}

#[test]
#[ignore = "takes half an hour: see the top of this file"]
fn long() {
    let minutes: Option<u64> = given("TORTURE_MINUTES");
    let limit = minutes.map(|minutes| Duration::from_secs(60 * minutes));
    torture(setting("TORTURE_SEED", 1), setting("TORTURE_FAULTS", 200), limit);
}

#[test]
#[ignore = "takes half an hour: see the top of this file"]
fn one_broker_that_is_away_and_comes_back() {
    if !broker::can_be_started() {
        return;
    }
    alone::endure(setting("TORTURE_SEED", 1), setting("TORTURE_TIMES", 30));
}

#[test]
#[ignore = "takes half an hour: see the top of this file"]
fn soak() {
    if !broker::can_be_started() {
        return;
    }
    soak::soak(Duration::from_secs(60 * setting::<u64>("TORTURE_MINUTES", 30)));
}

fn torture(seed: u64, faults: usize, limit: Option<Duration>) {
    if !broker::can_be_started() {
        return;
    }
    let schedule = Schedule::draw(seed, faults);
    println!("seed {seed}, {faults} faults:\n{schedule}");
    let gives_up = setting::<u8>("TORTURE_RETENTION", 0) > 0;
    Ordeal::begin(seed, faults, gives_up).go_through(&schedule, limit);
}

fn setting<T: FromStr>(variable: &str, default: T) -> T {
    given(variable).unwrap_or(default)
}

fn given<T: FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}, which is no number that fits")))
}
