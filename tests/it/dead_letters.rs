//! `payback dead-letters`: what is listed, and that a letter is sent again once, whole, whatever comes between.

use std::process::Output;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use crate::processor::{Partitions, Processor};
use crate::topics::{Loader, Record, create, end_offsets, read};

const SECRET: &str = "bearer 4711";

/// Records that can't be used, and an instance that has rejected them and left: three of them `missing_field` (one without
/// a key), two `invalid_json`.
fn rejected(name: &str) -> Processor {
    let processor = Processor::new(name, Partitions::alike(3));
    let loader = Loader::new();
    for number in 0..2 {
        let headers = OwnedHeaders::new().insert(Header { key: "authorization", value: Some(SECRET) });
        let (key, value) = (format!("c-{number}"), format!(r#"{{"type":"purchase","customer_id":"c-{number}"}}"#));
        let record = BaseRecord::to(&processor.purchases).key(key.as_bytes()).payload(value.as_bytes());
        loader.send_record(record.headers(headers));
    }
    loader.send_record(BaseRecord::to(&processor.spend).partition(2).payload(br#"{"type":"ad_spend"}"#.as_slice()));
    loader.send(&processor.spend, "g", "no JSON");
    loader.send(&processor.purchases, "c-9", "{");
    loader.flush();
    let mut instance = processor.start("a");
    processor.wait_until_done(&mut [&mut instance]);
    instance.leave();
    assert_eq!(read(&processor.dead_letters).len(), 5);
    processor
}

fn call(processor: &Processor, words: &[&str]) -> (String, String) {
    let output = processor.command(words).output().expect("the program runs");
    let (shown, said) = texts(&output);
    assert!(output.status.success(), "{words:?}: {said}");
    (shown, said)
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn lines(processor: &Processor, words: &[&str]) -> Vec<Value> {
    let (shown, _) = call(processor, &[&["dead-letters", "list", "--json"], words].concat());
    shown.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Value, key and headers.
type Whole = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

/// What a source topic holds, wherever in it.
fn held(topic: &str) -> Vec<Whole> {
    let whole = |record: Record| (record.value, record.key, record.headers);
    let mut held: Vec<Whole> = read(topic).into_iter().map(whole).collect();
    held.sort();
    held
}

#[test]
fn a_list_says_where_letters_came_from_and_shows_what_is_in_them_only_when_asked() {
    let processor = rejected("letters");
    let (table, said) = call(&processor, &["dead-letters", "list"]);
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.contains("missing_field") && table.contains(&format!("{}/2@", processor.spend)), "{table}");
    assert!(said.ends_with("5 dead letters: 2 invalid_json, 3 missing_field\n"), "{said}");

    let all = lines(&processor, &[]);
    let text = serde_json::to_string(&all).expect("JSON");
    assert!(!text.contains("no JSON") && !text.contains(SECRET) && !text.contains("customer_id\\\":"), "{text}");
    let of_json = lines(&processor, &["--reason", "invalid_json", "--source", &processor.spend]);
    let [letter] = &of_json[..] else { panic!("{of_json:?}") };
    assert_eq!(letter["source"]["topic"], json!(processor.spend));
    assert_eq!((&letter["reason"], &letter["value_bytes"]), (&json!("invalid_json"), &json!(7)));
    assert!(letter["detail"].as_str().is_some_and(|detail| !detail.is_empty()));

    let at = letter["at"].as_str().expect("it says when");
    assert!(lines(&processor, &["--since", at]).iter().any(|other| other == letter));
    assert!(!lines(&processor, &["--until", at]).iter().any(|other| other == letter));
    let content = lines(&processor, &["--content", "--reason", "invalid_json", "--source", &processor.spend]);
    assert_eq!((&content[0]["key"], &content[0]["value"]), (&json!("g"), &json!("no JSON")));

    let output = processor.command(&["dead-letters", "list", "--reason", "bad"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(texts(&output).1.contains("expected one of empty, too_large"), "{output:?}");
}

#[test]
fn letters_are_sent_again_once_as_they_were_to_where_they_came_from() {
    let processor = rejected("retry");
    let before = [&processor.purchases, &processor.spend].map(|topic| held(topic));
    let (said, _) = call(&processor, &["dead-letters", "retry", "--dry-run"]);
    assert_eq!(said, "would send 5 dead letters: 2 invalid_json, 3 missing_field\n");
    assert_eq!([&processor.purchases, &processor.spend].map(|topic| held(topic)), before, "nothing was sent");

    let (said, _) = call(&processor, &["dead-letters", "retry", "--reason", "invalid_json"]);
    assert_eq!(said, "sent 2 dead letters: 2 invalid_json\n");
    let (said, _) = call(&processor, &["dead-letters", "retry"]);
    assert_eq!(said, "sent 3 dead letters: 3 missing_field\n2 sent by an earlier retry\n");
    let (said, _) = call(&processor, &["dead-letters", "retry"]);
    assert_eq!(said, "sent 0 dead letters\n5 sent by an earlier retry\n");
    let twice = before.map(|records| {
        let mut twice = [records.clone(), records].concat();
        twice.sort();
        twice
    });
    assert_eq!([&processor.purchases, &processor.spend].map(|topic| held(topic)), twice, "each once more, as it was");

    // They are rejected again, as new letters, which may be sent again.
    let mut instance = processor.start("b");
    processor.wait_until_done(&mut [&mut instance]);
    instance.leave();
    assert_eq!(read(&processor.dead_letters).len(), 10);
    let (said, _) = call(&processor, &["dead-letters", "retry", "--dry-run"]);
    assert!(said.starts_with("would send 5 dead letters"), "{said}");
}

#[test]
fn a_choice_is_listed_and_sent_alone_and_the_rest_is_not_forgotten() {
    let processor = rejected("choice");
    let before = [&processor.purchases, &processor.spend].map(|topic| held(topic));
    let spend = lines(&processor, &["--type", "ad_spend"]);
    let [letter] = &spend[..] else { panic!("{spend:?}") };
    let place = format!("{}/{}@{}", processor.spend, letter["source"]["partition"], letter["source"]["offset"]);
    assert_eq!(lines(&processor, &["--source", &place]), spend);
    assert_eq!(lines(&processor, &["--type", "purchase"]).len(), 2);
    assert_eq!(lines(&processor, &["--id", "c-1", "--id", "c-9"]).len(), 1, "what c-9 sent can't be read");

    let (said, _) = call(&processor, &["dead-letters", "retry", "--dry-run", "--source", &place]);
    assert_eq!(said, "would send 1 dead letter: 1 missing_field\n");
    let retry = |words: &[&str], expected: &str| {
        let (said, _) = call(&processor, &[&["dead-letters", "retry"], words].concat());
        assert_eq!(said, expected, "{words:?}");
    };
    retry(&["--id", "c-1"], "sent 1 dead letter: 1 missing_field\n");
    retry(&["--source", &place], "sent 1 dead letter: 1 missing_field\n");
    retry(
        &["--source", &processor.purchases],
        "sent 2 dead letters: 1 invalid_json, 1 missing_field\n1 sent by an earlier retry\n",
    );
    retry(&["--until", "2020-01-01T00:00:00Z"], "sent 0 dead letters\n");
    retry(&[], "sent 1 dead letter: 1 invalid_json\n4 sent by an earlier retry\n");
    let twice = before.map(|records| {
        let mut twice = [records.clone(), records].concat();
        twice.sort();
        twice
    });
    assert_eq!([&processor.purchases, &processor.spend].map(|topic| held(topic)), twice, "each once more");

    for wrong in [["--source", "a/b"], ["--source", "a/1@9-7"]] {
        let output = processor.command(&[&["dead-letters", "retry"], &wrong[..]].concat()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(texts(&output).1.contains("expected TOPIC, TOPIC/PARTITION"), "{output:?}");
    }
}

#[test]
fn a_retry_that_is_killed_has_sent_all_or_nothing_of_a_transaction_and_is_taken_up_again() {
    let processor = rejected("killed-retry");
    let total = || {
        let sources = [&processor.purchases, &processor.spend];
        sources.iter().map(|topic| read(topic).len()).sum::<usize>()
    };
    for point in ["after-produce", "after-send-offsets"] {
        let mut command = processor.command(&["dead-letters", "retry"]);
        let output = command.env("PAYBACK_TEST_CRASH_AT", point).output().expect("it runs");
        assert!(!output.status.success(), "{point}: {output:?}");
    }
    // At this point it may be committed or not.
    let mut command = processor.command(&["dead-letters", "retry"]);
    command.env("PAYBACK_TEST_CRASH_AT", "after-commit-sent").output().expect("it runs");
    call(&processor, &["dead-letters", "retry"]);
    assert_eq!(total(), 10, "each once more");
    let (said, _) = call(&processor, &["dead-letters", "retry"]);
    assert_eq!(said, "sent 0 dead letters\n5 sent by an earlier retry\n");
}

/// The headers of a letter of the reason `empty`, from a topic.
pub fn letter(topic: &str, cut: bool) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new().insert(Header { key: "payback.topic", value: Some(topic) });
    for (key, value) in [("payback.partition", "0"), ("payback.offset", "3"), ("payback.timestamp", "")] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    if cut {
        headers = headers.insert(Header { key: "payback.cut.value", value: Some("9 bytes, xxh3-128 0") });
    }
    for (key, value) in [("payback.reason", "empty"), ("payback.detail", "of a test")] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    headers
}

#[test]
fn what_is_not_whole_or_not_ours_is_not_sent_and_said() {
    let processor = rejected("odd-letters");
    let loader = Loader::new();
    let internal = format!("{}-customer-events", processor.application_id);
    let ends = end_offsets(&internal);
    for headers in [letter(&processor.purchases, true), letter(&internal, false), OwnedHeaders::new()] {
        loader.send_record(BaseRecord::to(&processor.dead_letters).key(b"k".as_slice()).headers(headers));
    }
    loader.flush();
    let (said, _) = call(&processor, &["dead-letters", "retry", "--reason", "empty"]);
    let expected = format!(
        "sent 0 dead letters\n1 cut, so not sent: send these again from where they came\n1 not written by payback, so not sent\n\
         1 from {internal}, so not sent: it is neither in topics.purchases nor in topics.ad_spend\n"
    );
    assert_eq!(said, expected);
    assert_eq!(end_offsets(&internal), ends, "nobody is led to write where only the workers may");
    let (said, _) = call(&processor, &["dead-letters", "retry", "--reason", "empty"]);
    assert_eq!(said, expected, "what was not sent is not taken for sent");
}

#[test]
fn a_letter_from_a_topic_that_was_no_source_is_sent_once_it_is_one() {
    let processor = rejected("late-source");
    let source = format!("{}-more", processor.application_id);
    create(&source, 1);
    let loader = Loader::new();
    let record = BaseRecord::to(&processor.dead_letters).key(b"k".as_slice()).payload(b"v".as_slice());
    loader.send_record(record.headers(letter(&source, false)));
    loader.flush();
    let words = ["dead-letters", "retry", "--reason", "empty"];
    let (said, _) = call(&processor, &words);
    assert!(said.starts_with("sent 0 dead letters\n") && said.contains(&format!("1 from {source}")), "{said}");
    let sources = format!("{},{source}", processor.purchases);
    let with_it = || {
        let output = processor.command(&words).env("PAYBACK_TOPICS__PURCHASES", &sources).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        texts(&output).0
    };
    assert_eq!(with_it(), "sent 1 dead letter: 1 empty\n");
    assert_eq!(held(&source), [(Some(b"v".to_vec()), Some(b"k".to_vec()), Vec::new())]);
    assert_eq!(with_it(), "sent 0 dead letters\n1 sent by an earlier retry\n");
}
