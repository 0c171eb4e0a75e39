//! What the Kafka tests rest on does what it says.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::Signal;

use crate::broker::brokers;
use crate::process::{Process, counted, wait_until};
use crate::topics::{
    Loader, committed_offsets, create, end_offsets, is_read, latest, read, stable_offsets, unique, written,
};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_process_is_stopped_continued_and_terminated() {
    let mut sleeper = Process::start(Command::new("sleep").arg("600"));
    let state = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a child has a state");
        stat.rsplit_once(") ").expect("a name and a state").1.chars().next()
    };
    sleeper.signal(Signal::STOP);
    wait_until("it is stopped", LIMIT, || state(sleeper.id()) == Some('T'));
    sleeper.signal(Signal::CONT);
    wait_until("it goes on", LIMIT, || state(sleeper.id()) == Some('S'));
    assert_eq!(sleeper.ended(), None);
    sleeper.signal(Signal::TERM);
    assert_eq!(sleeper.wait(LIMIT).signal(), Some(15));
}

#[test]
fn a_limit_is_what_it_says_unless_programs_wait_for_a_cpu() {
    let seconds = Duration::from_secs;
    for (passed, held_up, counts) in [(8, 0, 8), (8, 4, 5), (8, 8, 2), (8, 9, 2), (0, 5, 0)] {
        assert_eq!(counted(seconds(passed), seconds(held_up)), seconds(counts), "{passed} s, {held_up} s held up");
    }
}

#[test]
fn what_was_sent_is_read_back_in_order_with_its_key_and_headers() {
    let topic = unique("topics");
    create(&topic, 3);
    let loader = Loader::new();
    for number in 0..100 {
        loader.send(&topic, &format!("key-{}", number % 7), &number.to_string());
    }
    let headers = OwnedHeaders::new().insert(Header { key: "reason", value: Some("none") });
    loader.send_record(BaseRecord::to(&topic).partition(2).key(b"last".as_slice()).headers(headers));
    loader.flush();

    let records = read(&topic);
    assert_eq!(records.len(), 101);
    assert_eq!(end_offsets(&topic).values().sum::<i64>(), 101);
    assert_eq!(committed_offsets(&unique("group"), &topic), BTreeMap::from([(0, 0), (1, 0), (2, 0)]));
    let last = records.iter().find(|record| record.key() == "last").expect("it is there");
    assert_eq!((last.partition, last.json(), last.header("reason")), (2, None, Some(b"none".as_slice())));
    for number in 0..7 {
        let key = format!("key-{number}");
        let of_key: Vec<u64> =
            records.iter().filter(|record| record.key() == key).map(|r| r.json().unwrap().as_u64().unwrap()).collect();
        assert_eq!(of_key, (number..100).step_by(7).collect::<Vec<_>>());
    }
    assert_eq!(latest(&topic)["key-1"], serde_json::json!(99));
    let home = |key: &str| payback::home::home(key, 3) as i32;
    assert!(records.iter().filter(|record| record.key() != "last").all(|r| r.partition == home(&r.key())));
}

#[test]
fn aborted_records_are_not_read_and_do_not_stop_the_reader() {
    let topic = unique("topics");
    create(&topic, 1);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", unique("loader"))
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    for (value, commit) in [("kept", true), ("dropped", false)] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<[u8], [u8]>::to(&topic).payload(value.as_bytes())).unwrap();
        producer.flush(LIMIT).unwrap();
        assert!(stable_offsets(&topic)[&0] < end_offsets(&topic)[&0], "a transaction is open");
        if commit {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    }
    let values: Vec<_> = read(&topic).into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, [b"kept"]);
    assert_eq!(written(&topic), 2);
    assert!(!is_read(&unique("group"), &topic));
}
