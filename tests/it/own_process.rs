//! Tests that need a Kafka to themselves: each runs in a process of its own, which starts one.

use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// Runs the ignored tests that `filter` stands for, and panics unless all of them pass within `limit`. They are given the Kafka
/// that they start, also where another one is given to this process.
#[track_caller]
pub fn run(filter: &[&str], limit: Duration) {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its own file"));
    command.args(filter).args(["--ignored", "--nocapture"]).env_remove("PAYBACK_TEST_BROKERS");
    let status = Process::start(&mut command).wait(limit);
    assert!(status.success(), "{filter:?}: {status}");
}
