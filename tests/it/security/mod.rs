//! Who is let in, what is told to whom, and what stays untold: see `docs/security.md`.

mod guarded;
mod secrecy;
mod settings;

use std::process::Command;

use crate::broker;
use crate::process::Process;
use crate::processor::LIMIT;

/// Runs the tests of `guarded` in a process of its own, with a Kafka of its own that asks who is there.
#[test]
fn brokers_that_ask_who_is_there_are_worked_with() {
    if std::env::var_os("PAYBACK_TEST_BROKERS").is_some() && !broker::can_be_started() {
        eprintln!("SKIPPED: TLS, SCRAM and ACLs need a Kafka of their own: Docker, or Java 17 and Maven");
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("a program knows its own file"));
    command.args([guarded::filter(), "--ignored", "--nocapture"]).env_remove("PAYBACK_TEST_BROKERS");
    let status = Process::start(&mut command).wait(5 * LIMIT);
    assert!(status.success(), "{}: {status}", guarded::filter());
}
