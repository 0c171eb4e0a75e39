//! Who is let in, what is told to whom, and what stays untold: see `docs/security.md`.

mod guarded;
mod secrecy;
mod settings;

use crate::broker;
use crate::own_process;
use crate::processor::LIMIT;

/// Runs the tests of `guarded` in a process of its own, with a Kafka of its own that asks who is there.
#[test]
fn brokers_that_ask_who_is_there_are_worked_with() {
    if std::env::var_os("PAYBACK_TEST_BROKERS").is_some() && !broker::can_be_started() {
        eprintln!("SKIPPED: TLS, SCRAM and ACLs need a Kafka of their own: Docker, or Java 17 and Maven");
        return;
    }
    own_process::run(&[guarded::filter()], 5 * LIMIT);
}
