//! `payback replay`, and the made-up shop: files in, the figures of the batch out.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use payback::shop::{Plan, Shop, Source};
use payback::time::Millis;
use serde_json::Value;

use crate::batch::{Batch, Config};

/// 2026-11-22T00:00:00Z
const UNTIL: Millis = Millis(1_795_305_600_000);

fn payback(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_payback"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that fails at once does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records by id, which must be sorted.
fn records(path: &Path, id: &str) -> BTreeMap<String, Value> {
    let lines = lines(path);
    let ids: Vec<String> = lines.iter().map(|line| line[id].as_str().unwrap().to_owned()).collect();
    assert!(ids.is_sorted(), "{path:?} is sorted by {id}");
    ids.into_iter().zip(lines).collect()
}

#[test]
fn a_replayed_shop_has_the_figures_of_the_batch_and_the_verdicts_that_it_was_made_for() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { customers: 1_500, ..Plan::new(UNTIL) };
    let messages: Vec<_> = Shop::new(plan).collect();
    let part = |source: Source| {
        let values = messages.iter().filter(|message| message.source == source).map(|message| message.value.clone());
        values.collect::<Vec<_>>().join(&b'\n')
    };
    // Spend first: order has no bearing.
    fs::write(folder.path().join("spend.jsonl"), part(Source::AdSpend)).unwrap();
    let out = folder.path().join("out");
    let spend = folder.path().join("spend.jsonl");
    let arguments = ["replay", "--out", out.to_str().unwrap(), spend.to_str().unwrap(), "-"];
    let done = payback(&arguments, &part(Source::Purchases));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let values: Vec<&[u8]> = messages.iter().map(|message| &message.value[..]).collect();
    let batch = Batch::read(&values, &Config::default());
    assert_eq!(batch.rejected, []);
    let expected = batch.records(batch.latest().unwrap());
    let customers = records(&out.join("ltv.jsonl"), "customer_id");
    for (id, record) in &expected.customers {
        assert_eq!(&customers[id], record, "{id}");
    }
    assert_eq!(customers.len(), expected.customers.len());
    let campaigns = records(&out.join("roas.jsonl"), "id");
    for (id, record) in &expected.campaigns {
        assert_eq!(&campaigns[id], record, "{id}");
    }
    assert_eq!(campaigns.len(), expected.campaigns.len());
    assert_eq!(lines(&out.join("dead-letters.jsonl")).len(), 0);

    let summary = String::from_utf8(done.stdout).unwrap();
    assert!(summary.starts_with(&format!("events      {} in ", messages.len())), "{summary}");
    let verdict = |id: &str| campaigns[id]["verdict"]["value"].as_str().unwrap();
    let lifetime = |id: &str, figure: &str| campaigns[id]["windows"]["lifetime"][figure].as_f64().unwrap();
    assert_eq!(verdict("meta:starter-box"), "invest_for_ltv");
    assert!(lifetime("meta:starter-box", "roas") < 1.0 && lifetime("meta:starter-box", "ltv_roas") > 1.0);
    assert_eq!(verdict("google:shopping-machines"), "loses_on_margin");
    assert!(lifetime("google:shopping-machines", "roas") > 1.0);
    assert_eq!(verdict("google:brand"), "profitable");
    assert_eq!(verdict("tiktok:creators"), "deficit");
    assert_eq!(verdict("youtube:how-to-brew"), "too_early");
}

#[test]
fn what_is_no_event_becomes_a_dead_letter_with_its_place_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let purchase =
        r#"{"type":"purchase","customer_id":"c","order_id":"o","occurred_at":"2026-01-01T00:00:00Z","revenue":5}"#;
    let later = purchase.replace("2026-01-01", "2026-03-01").replace("\"o\"", "\"p\"");
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(1 << 20));
    let input = format!("nonsense\n{purchase}\r\n\n{long}\n{purchase}\n{later}");
    let out = folder.path().join("a/b");
    let arguments = ["replay", "--as-of", "2026-02-01T00:00:00Z", "--out", out.to_str().unwrap(), "-"];
    let done = payback(&arguments, input.as_bytes());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let letters = lines(&out.join("dead-letters.jsonl"));
    let places: Vec<_> =
        letters.iter().map(|letter| (letter["line"].as_u64().unwrap(), letter["reason"].as_str().unwrap())).collect();
    assert_eq!(places, [(1, "invalid_json"), (3, "empty"), (4, "too_large"), (6, "in_the_future")]);
    assert_eq!(letters[0]["raw"], "nonsense");
    assert_eq!(letters[0]["file"], "-");
    assert_eq!(letters[2]["raw"].as_str().unwrap().len(), 1 << 20);
    assert_eq!(letters[2]["raw_bytes"].as_u64().unwrap(), long.len() as u64);
    let customers = records(&out.join("ltv.jsonl"), "customer_id");
    assert_eq!(customers["c"]["orders"], 1);
    assert_eq!(customers["c"]["as_of"], "2026-02-01T00:00:00Z");
    let summary = String::from_utf8(done.stdout).unwrap();
    assert!(summary.contains("applied     1\nduplicates  1\n") && summary.contains("rejected    4\n"), "{summary}");
}

/// In every zone; west of UTC that day began in the year before.
#[test]
fn the_first_and_the_last_day_of_the_calendar_are_replayed_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let input = concat!(
        r#"{"type":"ad_spend","campaign_id":"g","spend_id":"s","occurred_at":"0000-01-01T00:00:00Z","amount":1}"#,
        "\n",
        r#"{"type":"purchase","customer_id":"c","order_id":"o","occurred_at":"0000-01-01T00:00:00Z","revenue":5,"campaign_id":"g"}"#,
        "\n",
        r#"{"type":"ad_spend_report","campaign_id":"g","date":"9999-12-31","reported_at":"9999-12-30T19:30:00Z","amount":2}"#,
    );
    // It has begun in Tokyo, and is about to in the others.
    for zone in ["America/New_York", "UTC", "Asia/Tokyo"] {
        let config = folder.path().join("payback.toml");
        fs::write(&config, format!("[reporting]\ntime_zone = \"{zone}\"\n")).unwrap();
        let out = folder.path().join("out");
        let (config, out_folder) = (config.to_str().unwrap(), out.to_str().unwrap());
        let as_of = "9999-12-30T19:30:00Z";
        let arguments = ["replay", "--config", config, "--as-of", as_of, "--out", out_folder, "-"];
        let done = payback(&arguments, input.as_bytes());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(lines(&out.join("dead-letters.jsonl")), Vec::<Value>::new(), "{zone}");
        let campaigns = records(&out.join("roas.jsonl"), "id");
        let lifetime = &campaigns["g"]["windows"]["lifetime"];
        assert_eq!((lifetime["spend"].as_str(), lifetime["revenue"].as_str()), (Some("3"), Some("5")), "{zone}");
        assert_eq!(campaigns["g"]["spend_through"], "9999-12-30T20:00:00Z", "{zone}");
    }
}

#[test]
fn nothing_in_gives_empty_files() {
    let folder = tempfile::tempdir().unwrap();
    let done = payback(&["replay", "--out", folder.path().to_str().unwrap(), "-"], b"");
    assert!(done.status.success());
    for name in ["ltv.jsonl", "roas.jsonl", "dead-letters.jsonl"] {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"");
    }
}

/// What is said to whoever comes to Kafka under no name.
const NO_ID: &str = "kafka.application_id: is not set: choose a name for this deployment";

#[test]
fn exit_codes_tell_a_failure_from_a_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("bad.toml"), "[reporting]\ncurency = \"JPY\"\n").unwrap();
    fs::write(path("ltv.jsonl"), "").unwrap();
    let (out, missing, file, bad) = (path(""), path("none.jsonl"), path("ltv.jsonl"), path("bad.toml"));
    let under_a_file = format!("{file}/out");
    let cases: [(&[&str], i32, &str); 14] = [
        (&["replay", "--out", &out, &missing], 1, "none.jsonl"),
        (&["replay", "--out", &out, &file], 1, "would be overwritten"),
        (&["replay", "--out", &under_a_file, "-"], 1, "can't write"),
        (&["replay", "--out", &out], 2, "FILE"),
        (&["replay", "--as-of", "yesterday", "--out", &out, "-"], 2, "--as-of"),
        (&["replay", "--config", &bad, "--out", &out, "-"], 2, "curency"),
        (&["check-config", "--config", &bad], 2, "curency"),
        (&["run"], 2, NO_ID),
        (&["topics"], 2, NO_ID),
        (&["republish"], 2, NO_ID),
        (&["dead-letters", "list"], 2, NO_ID),
        (&["check-config"], 2, NO_ID),
        (&["generate", "--rate", "0"], 2, "--rate"),
        (&["no-such-command"], 2, "no-such-command"),
    ];
    for (arguments, code, says) in cases {
        let done = payback(arguments, b"");
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(code == 2 || error.lines().count() == 1, "{arguments:?}: {error}");
    }
}

#[test]
fn a_reader_that_leaves_is_an_error_in_one_line() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_payback"))
        .args(["generate"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(error.starts_with("payback: can't write: ") && error.lines().count() == 1, "{error}");
}
