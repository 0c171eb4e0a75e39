//! `payback demo`: one process that shows the figures of the events that it made up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use payback::time::Millis;
use rustix::process::Signal;
use serde_json::Value;

use crate::batch::{Batch, Config};
use crate::process::{Process, wait_until};
use crate::records::difference;

fn demo(folder: &Path, arguments: &[&str]) -> Process {
    let file = |name: &str| File::create(folder.join(name)).unwrap();
    Process::start(
        Command::new(env!("CARGO_BIN_EXE_payback"))
            .args(["demo", "--save", folder.join("events.jsonl").to_str().unwrap()])
            .args(arguments)
            .stdout(file("out"))
            .stderr(file("err")),
    )
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The records of campaigns as the API has them; none that the API does not have.
fn answers<'a>(api: &str, path: &str, ids: impl Iterator<Item = &'a String>) -> BTreeMap<String, Value> {
    let get = |id: &String| {
        let mut answer = ureq::get(format!("{api}/v1/{path}/{id}")).call().ok()?;
        let mut record: Value = answer.body_mut().read_json().ok()?;
        // What the answer says of itself.
        record.as_object_mut()?.remove("complete");
        Some((id.clone(), record))
    };
    ids.filter_map(get).collect()
}

/// What the batch has in the place of these records, each as of its own moment.
fn expected(batch: &Batch, records: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let of_record = |(id, record): (&String, &Value)| {
        let as_of: jiff::Timestamp = record["as_of"].as_str()?.parse().ok()?;
        let mut all = batch.records(Millis(as_of.as_millisecond()).0);
        all.campaigns.append(&mut all.customers);
        Some((id.clone(), all.campaigns.remove(id)?))
    };
    records.iter().filter_map(of_record).collect()
}

#[test]
fn the_demo_has_the_figures_of_the_batch_and_ends_at_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut process = demo(folder, &["--listen", "127.0.0.1:0", "--customers", "300", "--rate", "0"]);
    wait_until("the history is counted", Duration::from_secs(60), || {
        assert_eq!(process.ended(), None, "{}", read(folder, "err"));
        read(folder, "out").contains("of history are counted")
    });
    let out = read(folder, "out");
    let api = out.split_once("API: ").and_then(|(_, rest)| rest.split_once("/v1/")).unwrap().0.to_owned();
    let events: Vec<Vec<u8>> = read(folder, "events.jsonl").lines().map(|line| line.as_bytes().to_vec()).collect();
    let (_, rest) = out.split_once(&format!("{} events of history are counted after ", events.len())).expect(&out);
    // How many they may be depends on the machine; that it says them does not.
    let seconds: f64 = rest.split_once(" s.").and_then(|(seconds, _)| seconds.parse().ok()).expect(&out);
    assert!(seconds > 0.0, "{out}");
    let batch = Batch::read(&events, &Config::default());
    assert_eq!(batch.rejected, []);
    let all = batch.records(batch.latest().unwrap());
    assert!(all.campaigns.len() > 10);

    let mut last = None;
    wait_until("the API has the batch's campaigns", Duration::from_secs(20), || {
        let records = answers(&api, "campaigns", all.campaigns.keys());
        let missing = records.len() != all.campaigns.len();
        let differ = difference(&records, &expected(&batch, &records));
        let is_same = !missing && differ.is_none();
        last = differ;
        is_same
    });
    assert_eq!(last, None);
    let some = all.customers.keys().step_by(97);
    let records = answers(&api, "customers", some.clone());
    assert_eq!(records.len(), some.count());
    assert_eq!(difference(&records, &expected(&batch, &records)), None);

    process.signal(Signal::INT);
    let status = process.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}: {}", read(folder, "err"));
    assert_eq!(read(folder, "err"), "");
    assert!(read(folder, "out").matches("meta:starter-box").count() >= 1);
}

#[test]
fn the_demo_goes_on_with_live_events_and_ends_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = ["--listen", "127.0.0.1:0", "--customers", "100", "--rate", "300", "--for", "15s"];
    let mut process = demo(folder, &arguments);
    let status = process.wait(Duration::from_secs(60));
    assert!(status.success(), "{status}: {}", read(folder, "err"));
    let out = read(folder, "out");
    let sent = read(folder, "events.jsonl").lines().count();
    let history: usize = out.lines().find_map(|line| line.split_once(" events of history")?.0.parse().ok()).unwrap();
    assert!(sent > history, "{sent} events, {history} of history");
    // The last picture has them all.
    let title = out.lines().rfind(|line| line.starts_with("payback demo")).unwrap();
    let shown: String = title.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| *c != ' ').collect();
    assert_eq!(shown.replace(',', ""), sent.to_string());
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut process = demo(folder, &["--listen", &address]);
    assert_eq!(process.wait(Duration::from_secs(30)).code(), Some(1));
    let error = read(folder, "err");
    assert!(error.contains(&address) && error.lines().count() == 1, "{error}");
}
