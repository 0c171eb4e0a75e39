//! `payback generate`, to standard output and to a broker.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use payback::home::home;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::{Offset, TopicPartitionList};

use crate::processor::LIMIT;

const PARTITIONS: i32 = 3;

fn generate(arguments: &[&str]) -> Output {
    let same = ["generate", "--customers", "60", "--days", "30", "--until", "2026-11-22T00:00:00Z"];
    let done = Command::new(env!("CARGO_BIN_EXE_payback")).args(same).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn kafka_gets_what_standard_output_gets_and_every_key_where_its_home_is() {
    let cluster = MockCluster::new(1).unwrap();
    let mut assigned = TopicPartitionList::new();
    for topic in ["purchases", "ad-spend"] {
        cluster.create_topic(topic, PARTITIONS, 1).unwrap();
        for partition in 0..PARTITIONS {
            assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
    }
    let mut expected = lines(&generate(&[]));
    let done = generate(&["--brokers", &cluster.bootstrap_servers()]);
    assert_eq!(String::from_utf8(done.stderr).unwrap(), format!("{} events sent\n", expected.len()));

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "a-reader")
        .create()
        .unwrap();
    consumer.assign(&assigned).unwrap();
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let record = consumer.poll(LIMIT).expect("all records are there").unwrap();
        let key = std::str::from_utf8(record.key().unwrap()).unwrap();
        assert_eq!(record.partition() as u32, home(key, PARTITIONS as u32), "{key}");
        let value = std::str::from_utf8(record.payload().unwrap()).unwrap().to_owned();
        assert_eq!(record.topic() == "ad-spend", value.contains("\"type\":\"ad_spend"), "{value}");
        got.push(value);
    }
    got.sort_unstable();
    expected.sort_unstable();
    assert!(got == expected);
}

#[test]
fn brokers_in_the_environment_alone_get_no_made_up_events() {
    let words = ["generate", "--limit", "3"];
    let nowhere = ("PAYBACK_KAFKA__BROKERS", "127.0.0.1:1");
    let done = Command::new(env!("CARGO_BIN_EXE_payback")).args(words).env(nowhere.0, nowhere.1).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(lines(&done).len(), 3);
}

#[test]
fn a_limit_ends_the_history_or_the_live_events_which_come_at_their_rate() {
    let history = lines(&generate(&[]));
    assert_eq!(lines(&generate(&["--limit", "25"])), history[..25]);
    let limit = (history.len() + 40).to_string();
    let began = Instant::now();
    let live = lines(&generate(&["--rate", "100", "--limit", &limit]));
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    assert_eq!(live[..history.len()], history);
    assert_eq!(live.len(), history.len() + 40);
}
