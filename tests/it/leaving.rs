//! A process that is told to leave while it can't work: it has nothing to commit, so it does not take its 5 s.

use std::fs::File;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use payback::config::Config;
use payback::kafka::topics;
use rdkafka::mocking::MockCluster;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, wait_until};

/// Much less than a broker's answer, and than a new topic's first leader, are waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

const APPLICATION: &str = "shop";

fn start(folder: &TempDir, brokers: &str) -> Process {
    let log = File::create(folder.path().join("log")).expect("the log can be written");
    Process::start(
        Command::new(env!("CARGO_BIN_EXE_payback"))
            .arg("run")
            .env("PAYBACK_KAFKA__BROKERS", brokers)
            .env("PAYBACK_KAFKA__APPLICATION_ID", APPLICATION)
            .env("PAYBACK_HTTP__LISTEN", "127.0.0.1:0")
            .env("PAYBACK_LOG__LEVEL", "debug")
            .stderr(log.try_clone().expect("a file has many handles"))
            .stdout(log),
    )
}

#[track_caller]
fn leaves_at_once(mut process: Process) {
    process.signal(Signal::TERM);
    assert_eq!(process.wait(AT_ONCE).code(), Some(0));
}

#[test]
fn a_broker_that_does_not_answer_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let process = start(&folder, &silent.local_addr().expect("a bound port").to_string());
    // It is asked, and says nothing.
    let _connection = silent.accept().expect("a connection");
    leaves_at_once(process);
}

#[test]
fn topics_without_a_leader_are_not_waited_for() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let mut config = Config::default();
    config.kafka.application_id = APPLICATION.to_owned();
    for topic in topics::names(&config) {
        cluster.create_topic(&topic, 1, 1).expect("a topic");
        cluster.partition_leader(&topic, 0, None).expect("it loses its leader");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = start(&folder, &cluster.bootstrap_servers());
    wait_until("it waits for leaders", Duration::from_secs(30), || {
        assert_eq!(process.ended(), None);
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        log.contains("topics have no leader yet")
    });
    leaves_at_once(process);
}
