//! What the processor refuses to work with, and that it says what is wrong and what to do.

use std::time::Duration;

use payback::format::{READS, WRITES};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::broker::brokers;
use crate::processor::{Partitions, Processor};
use crate::topics::{Loader, create, read};

/// An order of 10 by a customer.
fn order(customer: &str, order: &str) -> String {
    format!(
        r#"{{"type":"purchase","customer_id":"{customer}","order_id":"{order}","occurred_at":"2026-01-02T03:04:05Z","revenue":10}}"#
    )
}

/// Starts an instance that must end by itself with exit code 1, and returns what it logged.
#[track_caller]
fn refusal(processor: &Processor, variables: &[(&str, &str)]) -> String {
    let mut instance = processor.start_with("a", variables);
    let status = instance.wait_for_end();
    assert_eq!(status.code(), Some(1), "{}", instance.log());
    instance.log()
}

/// Has an instance process some orders, and leave.
fn process_some(processor: &Processor) {
    let loader = Loader::new();
    for number in 0..20 {
        loader.send(&processor.purchases, &format!("c-{number}"), &order(&format!("c-{number}"), "o-1"));
    }
    loader.flush();
    let mut instance = processor.start("a");
    processor.wait_until_done(&mut [&mut instance]);
    instance.leave();
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("an admin client")
}

fn wait_for<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(answer)
}

#[test]
fn a_topic_that_collides_with_another_is_named_with_it() {
    let processor = Processor::new("collides", Partitions::alike(1));
    let id = &processor.application_id;
    let [there, wanted] = ["sh.op", "sh_op"].map(|name| format!("{id}-{name}"));
    create(&there, 1);
    let log = refusal(&processor, &[("PAYBACK_TOPICS__LTV_UPDATES", &wanted)]);
    assert!(log.contains(&format!("topic {wanted} can't be created: it collides with {there}")), "{log}");
}

#[test]
fn a_source_topic_that_does_not_exist_is_named() {
    let processor = Processor::new("no-source", Partitions::alike(1));
    let log = refusal(&processor, &[("PAYBACK_TOPICS__PURCHASES", "nowhere-to-be-found")]);
    assert!(log.contains("source topic does not exist: nowhere-to-be-found"), "{log}");
    assert!(log.contains("topics.create_sources"), "it says what to do: {log}");
}

#[test]
fn a_topic_that_does_not_fit_is_named_with_what_it_is_and_what_it_must_be() {
    let processor = Processor::new("misfit", Partitions::alike(1));
    create(&processor.ltv_updates, 1);
    create(&format!("{}-customers-changelog", processor.application_id), 3);
    let log = refusal(&processor, &[]);
    let updates = &processor.ltv_updates;
    assert!(log.contains(&format!("topic {updates}: cleanup.policy is delete, but must be compact")), "{log}");
    assert!(log.contains("customers-changelog: cleanup.policy is delete, but must be compact"), "{log}");
}

#[test]
fn partitions_that_topics_do_not_get_any_more_are_said() {
    let processor = Processor::new("as-before", Partitions::alike(2));
    let topics = |partitions: &str| {
        let mut command = processor.command(&["topics"]);
        let output = command.env("PAYBACK_TOPICS__PARTITIONS", partitions).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let lines = |said: &str, ending: &str| said.lines().filter(|line| line.ends_with(ending)).count();
    // The sources were there.
    let said = topics("2");
    assert_eq!((lines(&said, ": created, 2 partitions"), lines(&said, ": fits, 2 partitions")), (7, 2), "{said}");
    let said = topics("2");
    assert_eq!((lines(&said, ": fits, 2 partitions"), said.lines().count()), (9, 9), "{said}");
    let said = topics("8");
    assert_eq!(lines(&said, ": has 2 partitions, topics.partitions = 8 has no effect on it"), 9, "{said}");
    assert!(!said.contains("fits") && said.contains("another kafka.application_id"), "{said}");
}

#[test]
fn a_setting_that_contradicts_the_stored_state_is_named_with_both_values() {
    let processor = Processor::new("contradiction", Partitions::alike(2));
    process_some(&processor);
    let log = refusal(&processor, &[("PAYBACK_ATTRIBUTION__MODEL", "linear")]);
    assert!(log.contains("`attribution.model` is linear, but the state on Kafka was computed with last"), "{log}");
    assert!(log.contains("another `kafka.application_id`"), "it says what to do: {log}");

    let mut instance = processor.start_with("a", &[("PAYBACK_LTV__LIFESPAN_YEARS", "3")]);
    instance.wait_until_ready();
    instance.leave();
}

#[test]
fn state_whose_committed_offsets_are_gone_is_not_replayed_over_itself() {
    let processor = Processor::new("expired", Partitions::alike(1));
    process_some(&processor);
    let group = format!("{}-customers", processor.application_id);
    let deleted = wait_for(admin().delete_groups(&[&group], &AdminOptions::new())).expect("the broker answers");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let log = refusal(&processor, &[]);
    assert!(log.contains("has no committed offset, but its state"), "{log}");
}

#[test]
fn what_a_newer_program_wrote_stops_this_one_which_says_so_once() {
    let newer = READS.end() + 1;
    let header = |name: &'static str, value: u8| {
        OwnedHeaders::new().insert(Header { key: name, value: Some(&value.to_string()) })
    };
    let fact = |key: &'static [u8]| (Some(key), vec![newer, 1, 2, 3], OwnedHeaders::new());
    let cases = [
        ("customers-changelog", fact(b"o\0\x01c\0\x01o")),
        // Of a kind that is not known here.
        ("campaigns-changelog", fact(b"!")),
        ("customers-changelog", fact(b"P")),
        ("campaign-events", (None, vec![newer, 1, 2, 3], header("payback.differences", 1))),
        ("roas-updates", (Some(&b"campaign/c"[..]), b"{}".to_vec(), header("payback.format", newer))),
    ];
    for (topic, (key, value, headers)) in cases {
        let processor = Processor::new("newer", Partitions::alike(1));
        process_some(&processor);
        let topic = format!("{}-{topic}", processor.application_id);
        let loader = Loader::new();
        let mut record = BaseRecord::to(&topic).partition(0).payload(value.as_slice()).headers(headers);
        record.key = key;
        loader.send_record(record);
        loader.send(&processor.purchases, "c-99", &order("c-99", "o-1"));
        loader.flush();
        let log = refusal(&processor, &[]);
        let known = READS.end();
        let expected =
            format!("it is of format {newer}, and this program knows formats up to {known}: a newer program wrote it");
        assert!(log.contains(&format!("{topic} partition 0, offset ")) && log.contains(&expected), "{topic}: {log}");
        assert_eq!(log.matches(&expected).count(), 1, "it is said once: {log}");
    }
}

#[test]
fn under_json_logs_every_line_is_json_and_the_failure_is_said_once() {
    let processor = Processor::new("json-logs", Partitions::alike(1));
    let variables = [("PAYBACK_LOG__FORMAT", "json"), ("PAYBACK_TOPICS__PURCHASES", "nowhere-to-be-found")];
    let log = refusal(&processor, &variables);
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<serde_json::Value> = log.lines().map(parsed).collect();
    let failures: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    let [failure] = &failures[..] else { panic!("{log}") };
    assert_eq!(failure["message"], "payback failed");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("nowhere-to-be-found")), "{failure}");
}

#[test]
fn output_records_say_which_format_they_are_of() {
    let processor = Processor::new("format", Partitions::alike(1));
    let loader = Loader::new();
    let spend =
        r#"{"type":"ad_spend","campaign_id":"c","spend_id":"s","occurred_at":"2026-01-02T03:04:05Z","amount":1}"#;
    loader.send(&processor.spend, "c", spend);
    loader.flush();
    process_some(&processor);
    for topic in [&processor.ltv_updates, &processor.roas_updates] {
        let records = read(topic);
        assert!(!records.is_empty(), "{topic}");
        let format = WRITES.to_string();
        assert!(records.iter().all(|record| record.header("payback.format") == Some(format.as_bytes())), "{records:?}");
    }
}

#[test]
fn input_that_was_deleted_before_it_was_read_is_counted_and_nothing_goes_on() {
    let processor = Processor::new("lost", Partitions::alike(1));
    process_some(&processor);
    let loader = Loader::new();
    for number in 0..7 {
        loader.send(&processor.purchases, "c-1", &order("c-1", &format!("late-{number}")));
    }
    loader.flush();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&processor.purchases, 0, Offset::Offset(25)).expect("a valid offset");
    wait_for(admin().delete_records(&before, &AdminOptions::new())).expect("the broker deletes records");
    let log = refusal(&processor, &[]);
    assert!(log.contains("from offset 20 up to 25 were deleted before they were read: 5 are lost"), "{log}");
}

#[test]
fn records_that_cant_be_used_keep_what_they_were_wherever_they_were_rejected() {
    let processor = Processor::new("dead-letters", Partitions::alike(4));
    let loader = Loader::new();
    let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("7") });
    loader.send_record(
        BaseRecord::to(&processor.purchases)
            .partition(3)
            .key(b"raw \xff key".as_slice())
            .payload(b"{\"type\":\"purchase\"}".as_slice())
            .headers(headers),
    );
    // About as large as a broker's topic takes by default, and far from JSON.
    let large = vec![b'x'; 1_000_000];
    loader.send_record(BaseRecord::to(&processor.spend).partition(0).payload(&large[..]));
    loader.send_record(BaseRecord::to(&processor.spend).partition(1).key(b"empty".as_slice()));
    loader.flush();
    let mut instance = processor.start("a");
    processor.wait_until_done(&mut [&mut instance]);

    let letters = read(&processor.dead_letters);
    assert_eq!(letters.len(), 3);
    let of = |topic: &str, partition: &str| {
        let header = |record: &crate::topics::Record, name: &str| {
            String::from_utf8_lossy(record.header(name).unwrap_or_default()).into_owned()
        };
        letters
            .iter()
            .find(|letter| header(letter, "payback.topic") == topic && header(letter, "payback.partition") == partition)
            .unwrap_or_else(|| panic!("no dead letter of {topic} {partition}"))
    };
    let missing = of(&processor.purchases, "3");
    assert_eq!(missing.key.as_deref(), Some(b"raw \xff key".as_slice()));
    assert_eq!(missing.value.as_deref(), Some(b"{\"type\":\"purchase\"}".as_slice()));
    assert_eq!(missing.header("trace"), Some(b"7".as_slice()));
    assert_eq!(missing.header("payback.reason"), Some(b"missing_field".as_slice()));
    assert_eq!(missing.header("payback.offset"), Some(b"0".as_slice()));
    assert!(missing.header("payback.detail").is_some_and(|detail| !detail.is_empty()));
    assert!(missing.header("payback.timestamp").is_some_and(|at| !at.is_empty()));
    let json = of(&processor.spend, "0");
    assert_eq!(json.header("payback.reason"), Some(b"invalid_json".as_slice()));
    assert_eq!(json.value.as_deref(), Some(&large[..]));
    let empty = of(&processor.spend, "1");
    assert_eq!((empty.value.as_deref(), empty.header("payback.reason")), (None, Some(b"empty".as_slice())));
    instance.leave();
}

/// A source topic may take records that no other topic takes.
#[test]
fn a_record_too_large_for_the_dead_letters_is_cut_and_says_what_it_was() {
    let processor = Processor::new("too-large", Partitions::alike(1));
    let limit = AlterConfig::new(ResourceSpecifier::Topic(&processor.purchases)).set("max.message.bytes", "10000000");
    let altered = wait_for(admin().alter_configs([&limit], &AdminOptions::new())).expect("the broker answers");
    assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("message.max.bytes", "10000000")
        .create()
        .expect("a producer");
    let huge = vec![b'x'; 6_000_000];
    producer.send(BaseRecord::to(&processor.purchases).key(b"huge".as_slice()).payload(&huge)).expect("it is queued");
    let next = order("c-1", "o-1");
    producer
        .send(BaseRecord::to(&processor.purchases).key(b"c-1".as_slice()).payload(next.as_bytes()))
        .expect("queued");
    producer.flush(Duration::from_secs(30)).expect("the broker takes them");
    let mut instance = processor.start("a");
    processor.wait_until_done(&mut [&mut instance]);

    let letters = read(&processor.dead_letters);
    let [letter] = &letters[..] else { panic!("{} dead letters", letters.len()) };
    assert_eq!(letter.header("payback.reason"), Some(b"too_large".as_slice()));
    let cut = String::from_utf8_lossy(letter.header("payback.cut.value").expect("it says that it was cut"));
    assert!(cut.starts_with("6000000 bytes, xxh3-128 "), "{cut}");
    let kept = letter.value.as_deref().expect("what fits is kept");
    assert!(kept.len() > 3_000_000 && huge.starts_with(kept));
    assert_eq!(read(&processor.ltv_updates).len(), 1, "the rest goes on");
    instance.leave();
}

#[test]
fn kafka_that_is_away_at_the_start_is_waited_for() {
    let processor = Processor::new("away", Partitions::alike(1));
    // Nobody listens on a port that was just given back.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut instance = processor.start_with("a", &[("PAYBACK_KAFKA__BROKERS", &nobody.to_string())]);
    crate::process::wait_until("it says so", Duration::from_secs(30), || {
        instance.must_run();
        instance.log().contains("Kafka does not answer: trying again until it does")
    });
    let (status, body) = instance.ask("/readyz").expect("an answer");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["ready"], &body["error"]["reason"]), (503, &false.into(), &"starting".into()), "{body}");
    let detail = body["error"]["detail"].as_str().expect("it says why");
    assert!(detail.starts_with(&format!("instance: kafka: {nobody}: ")), "{detail}");
    assert!(detail.contains("Connection refused"), "{detail}");
    assert_eq!(body["error"]["missing"][0]["part"], "instance", "{body}");
    instance.leave();
}
