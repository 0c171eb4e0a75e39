use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::engine::StageKind;
use crate::home::home;
use crate::status::{Blocked, Obstacle, Progress};
use crate::time::Millis;

const PARTITIONS: u32 = 4;
/// Named as by Prometheus' own clients.
const START_TIME: &str = "process_start_time_seconds";

fn record(id: &str, spend: u32, roas: &str) -> String {
    format!(
        r#"{{"id":"{id}","verdict":{{"value":"deficit","progress":0.25,"at_stake":"-7.5"}},"windows":{{
        "24h":{{"spend":"0","revenue":"0","roas":null}},
        "lifetime":{{"spend":"{spend}","revenue":null,"roas":{roas},"gross_profit_roas":0.4,
        "operating_profit_roas":0.3,"ltv_roas":1.2,"roi":-0.5,"cac":"12.5"}}}}}}"#
    )
}

/// An instance that owns all partitions of the campaigns stage, with one campaign for each spend.
fn instance(spends: &[u32]) -> Arc<Status> {
    let status = Arc::new(Status::with_limit(Some(1_000_000)));
    status.set_read_back(Progress::Current);
    status.set_partitions(StageKind::Campaigns, PARTITIONS);
    let (worker, _questions) = status.add_worker(StageKind::Campaigns);
    (0..PARTITIONS).for_each(|partition| worker.set_progress(partition, Progress::Current));
    for spend in spends {
        let id = format!("c{spend}");
        status.campaigns.take(&format!("campaign/{id}"), Some(record(&id, *spend, "0.8").as_bytes()));
    }
    status
}

fn render(config: &str, status: &Arc<Status>) -> String {
    let config = Config::read(config, []).unwrap();
    Metrics::new(&config, status).unwrap().render().unwrap()
}

fn samples(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap())
}

fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    samples(text).find(|(name, _)| *name == series).map(|(_, value)| value)
}

#[test]
fn every_metric_that_is_promised_is_there() {
    let status = instance(&[100]);
    let metrics = Metrics::new(&Config::default(), &status).unwrap();
    metrics.set_lag("purchases", 0, 7);
    let text = metrics.render().unwrap();
    let promised = [
        "payback_roas_ratio",
        "payback_gross_profit_roas_ratio",
        "payback_operating_profit_roas_ratio",
        "payback_ltv_roas_ratio",
        "payback_roi_ratio",
        "payback_spend",
        "payback_revenue",
        "payback_cac",
        "payback_verdict",
        "payback_progress_ratio",
        "payback_at_stake",
        "payback_customers",
        "payback_ltv_historic",
        "payback_ltv_gross_profit",
        "payback_events_total",
        "payback_rejected_total",
        "payback_forwarded_total",
        "payback_commit_duration_seconds",
        "payback_transactions_aborted_total",
        "payback_event_latency_seconds",
        "payback_purchase_to_roas_seconds",
        "payback_consumer_lag",
        "payback_rebalances_total",
        "payback_open_transaction_age_seconds",
        "payback_restore_remaining_facts",
        "payback_records_to_rewrite",
        "payback_state_customers",
        "payback_state_orders",
        "payback_state_campaigns",
        "payback_state_bytes",
        "payback_read_back_bytes",
        "payback_read_back_complete",
        "payback_partitions",
        "payback_stage_partitions",
        "payback_state_limit_bytes",
        "payback_state_over_limit",
        "payback_restore_seconds",
        "payback_restored_facts_total",
        "payback_build_info",
        "payback_campaigns_not_exported",
        "payback_worker_last_round_timestamp_seconds",
        "payback_read_through_seconds",
        "payback_backlog_age_seconds",
        "payback_ready",
        START_TIME,
    ];
    for name in promised {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is not in\n{text}");
    }
}

#[test]
fn what_the_document_lists_is_what_is_there() {
    let status = instance(&[100]);
    let worker = &status.workers()[0];
    worker.set_written(0, Some(Millis(1)), 0);
    worker.set_blocked(vec![blocked()]);
    let metrics = Metrics::new(&Config::default(), &status).unwrap();
    metrics.set_lag("purchases", 0, 7);
    let text = metrics.render().unwrap();
    let there: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let document = include_str!("../../docs/http.md");
    let is_metric = |word: &&str| word.starts_with("payback_") || *word == START_TIME;
    let listed: BTreeSet<&str> = document.split('`').filter(is_metric).collect();
    assert_eq!(listed, there);
}

#[test]
fn names_follow_prometheus_practice() {
    let status = instance(&[100]);
    let metrics = Metrics::new(&Config::default(), &status).unwrap();
    metrics.set_lag("purchases", 0, 7);
    let text = metrics.render().unwrap();
    let mut families = HashSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(families.insert(name), "{name} is there twice");
        let is_ours = name.starts_with("payback_") || name == START_TIME;
        assert!(is_ours && name.chars().all(|c| c == '_' || c.is_ascii_lowercase()), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(
            kind == "histogram",
            name.ends_with("_seconds")
                && !["timestamp", "_age_", "start_time", "read_through"].iter().any(|gauge| name.contains(gauge)),
            "{name}"
        );
        for reserved in ["_sum", "_count", "_bucket", "_gauge", "_counter", "_milliseconds", "_ms", "_percent"] {
            assert!(!name.ends_with(reserved), "{name}");
        }
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
        assert!(help.ends_with('.') && help.len() > 10, "{name}: {help}");
    }
}

#[test]
fn no_series_is_there_twice() {
    let text = render("", &instance(&[1, 2, 3]));
    let mut seen = HashSet::new();
    samples(&text).for_each(|(series, _)| assert!(seen.insert(series), "{series}"));
}

#[test]
fn an_undefined_figure_has_no_series() {
    let text = render("", &instance(&[100]));
    let roas = |window| value(&text, &format!(r#"payback_roas_ratio{{scope="campaign",id="c100",window="{window}"}}"#));
    assert_eq!(roas("lifetime"), Some("0.8"));
    assert_eq!(roas("24h"), None);
    assert_eq!(value(&text, r#"payback_spend{scope="campaign",id="c100",window="24h"}"#), Some("0"));
    assert_eq!(value(&text, r#"payback_cac{scope="campaign",id="c100",window="lifetime"}"#), Some("12.5"));
    assert_eq!(value(&text, r#"payback_verdict{scope="campaign",id="c100",verdict="deficit"}"#), Some("1"));
    assert_eq!(value(&text, r#"payback_progress_ratio{scope="campaign",id="c100"}"#), Some("0.25"));
    assert_eq!(value(&text, r#"payback_at_stake{scope="campaign",id="c100"}"#), Some("-7.5"));
    assert!(!text.contains("NaN"));
}

#[test]
fn a_verdict_without_figures_has_no_series_of_them() {
    let status = instance(&[]);
    let record = br#"{"verdict":{"value":"unknown_cost","progress":null,"at_stake":null},"windows":{}}"#;
    status.campaigns.take("campaign/c", Some(record));
    let text = render("", &status);
    assert!(text.contains(r#"payback_verdict{scope="campaign",id="c",verdict="unknown_cost"} 1"#), "{text}");
    assert!(!text.contains("payback_progress_ratio{") && !text.contains("payback_at_stake{"), "{text}");
}

#[test]
fn a_campaign_is_shown_by_the_instance_that_owns_its_home_alone() {
    let status = instance(&[100]);
    assert!(render("", &status).contains("c100"));
    let worker = &status.workers()[0];
    worker.revoke(home("c100", PARTITIONS));
    assert!(!render("", &status).contains("c100"));
    worker.set_progress(home("c100", PARTITIONS), Progress::Restoring { done: 0, total: 1 });
    assert!(render("", &status).contains("c100"));
}

/// A record that was read may be an older one, and a newer one still to be read.
#[test]
fn no_campaign_is_shown_until_all_are_read_back() {
    let status = instance(&[100]);
    let shown = || {
        let text = render("", &status);
        let of_campaigns = samples(&text).filter(|(series, _)| series.contains("c100")).count();
        let read = |series| value(&text, series).map(str::to_owned);
        (of_campaigns > 0, read("payback_campaigns_not_exported"), read("payback_read_back_complete"))
    };
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(shown(), (true, some("0"), some("1")));
    status.set_read_back(Progress::Restoring { done: 1, total: 2 });
    assert_eq!(shown(), (false, None, some("0")));
}

#[test]
fn campaigns_that_spend_now_keep_their_series_before_those_that_did_once() {
    let status = instance(&[]);
    let take = |id: &str, through: &str, [day, week, lifetime]: [u32; 3]| {
        let window = |name, spend| format!(r#""{name}":{{"spend":"{spend}"}}"#);
        let windows = [window("lifetime", lifetime), window("7d", week), window("1h", 0), window("24h", day)].join(",");
        let verdict = r#"{"value":"deficit"}"#;
        let record =
            format!(r#"{{"spend_through":"2026-11-{through}T00:00:00Z","verdict":{verdict},"windows":{{{windows}}}}}"#);
        assert!(status.campaigns.take(&format!("campaign/{id}"), Some(record.as_bytes())));
    };
    take("of-the-past", "01", [0, 0, 9_000]);
    take("of-the-past-later", "02", [0, 0, 10]);
    take("of-the-past-smaller", "01", [0, 0, 20]);
    take("of-the-week", "20", [0, 8, 8]);
    take("new", "21", [5, 5, 5]);
    take("newer", "21", [5, 6, 6]);
    let order = ["newer", "new", "of-the-week", "of-the-past-later", "of-the-past", "of-the-past-smaller"];
    for limit in 0..=order.len() {
        let config = format!("windows = ['lifetime', '7d', '1h', '24h']\nmetrics.max_campaigns = {limit}");
        let text = render(&config, &status);
        let shown = order.map(|id| text.contains(&format!(r#"payback_verdict{{scope="campaign",id="{id}","#)));
        let expected: Vec<bool> = (0..order.len()).map(|place| place < limit).collect();
        assert_eq!(shown.to_vec(), expected, "the first {limit} of {order:?}");
    }
}

#[test]
fn over_the_limit_the_campaigns_of_the_least_spend_are_counted_only() {
    let status = instance(&[5, 100, 20, 300]);
    let text = render("[metrics]\nmax_campaigns = 2", &status);
    let shown: HashSet<_> = ["c5", "c20", "c100", "c300"].into_iter().filter(|id| text.contains(id)).collect();
    assert_eq!(shown, HashSet::from(["c100", "c300"]));
    assert_eq!(value(&text, "payback_campaigns_not_exported"), Some("2"));
    assert_eq!(value(&render("", &status), "payback_campaigns_not_exported"), Some("0"));
}

#[test]
fn what_workers_hold_is_summed_over_their_partitions() {
    let status = Arc::new(Status::with_limit(Some(19)));
    for partition in 0..2 {
        let (worker, _questions) = status.add_worker(StageKind::Customers);
        worker.set_progress(partition, Progress::Current);
        let sizes = crate::engine::Sizes {
            customers: 3,
            contributing: [1, 0, 2],
            ltv_historic: 1_500_000,
            bytes: 10,
            ..Default::default()
        };
        worker.set_sizes(partition, sizes);
    }
    let text = render("", &status);
    assert_eq!(value(&text, "payback_state_customers"), Some("6"));
    assert_eq!(value(&text, r#"payback_customers{contributing="true"}"#), Some("2"));
    assert_eq!(value(&text, r#"payback_customers{contributing="unknown"}"#), Some("4"));
    assert_eq!(value(&text, "payback_ltv_historic"), Some("3"));
    assert_eq!(value(&text, r#"payback_state_bytes{stage="customers"}"#), Some("20"));
    assert_eq!(value(&text, "payback_state_limit_bytes"), Some("19"));
    assert_eq!(value(&text, "payback_state_over_limit"), Some("1"));
    assert_eq!(value(&render("", &instance(&[5])), "payback_state_over_limit"), Some("0"));
    assert_eq!(value(&render("", &Arc::default()), "payback_state_limit_bytes"), None);
    assert_eq!(value(&text, r#"payback_partitions{stage="customers",state="current"}"#), Some("2"));
}

#[test]
fn what_is_to_be_written_again_is_summed_and_the_latest_moment_is_shown() {
    let status = instance(&[]);
    let (worker, _questions) = status.add_worker(StageKind::Customers);
    for (partition, as_of, to_rewrite) in [(0, Some(Millis(1_500)), 7), (1, Some(Millis(2_500)), 8), (2, None, 0)] {
        worker.set_progress(partition, Progress::Current);
        worker.set_written(partition, as_of, to_rewrite);
    }
    let text = render("", &status);
    let of = |metric: &str, stage: &str| value(&text, &format!("{metric}{{stage=\"{stage}\"}}")).map(str::to_owned);
    assert_eq!(of("payback_records_to_rewrite", "customers").as_deref(), Some("15"));
    assert_eq!(of("payback_records_to_rewrite", "campaigns").as_deref(), Some("0"));
    assert_eq!(of("payback_as_of_timestamp_seconds", "customers").as_deref(), Some("2.5"));
    assert_eq!(of("payback_as_of_timestamp_seconds", "campaigns"), None, "there are no figures yet");
}

/// As `ltv.gross_profit` of a customer is null: without costs it would be revenue.
#[test]
fn gross_profit_is_shown_where_enough_of_its_costs_are_known() {
    let status = Arc::new(Status::default());
    let (worker, _questions) = status.add_worker(StageKind::Customers);
    let shown = |config, covered_revenue| {
        let sizes = crate::engine::Sizes {
            ltv_historic: 100_000_000,
            ltv_gross_profit: 60_000_000,
            covered_revenue,
            ..Default::default()
        };
        worker.set_current(0, sizes, None);
        let text = render(config, &status);
        assert_eq!(value(&text, "payback_ltv_historic"), Some("100"));
        value(&text, "payback_ltv_gross_profit").map(str::to_owned)
    };
    let some = Some("60".to_owned());
    assert_eq!(shown("", 0), None);
    assert_eq!(shown("", 94_999_999), None);
    assert_eq!(shown("", 95_000_000), some);
    assert_eq!(shown("costs.min_coverage = 0.5", 50_000_000), some);
    worker.set_current(0, crate::engine::Sizes::default(), None);
    assert_eq!(value(&render("", &status), "payback_ltv_gross_profit"), Some("0"), "nothing was sold");
}

/// Sums over the shop are those of all its partitions, or none.
#[test]
fn it_is_seen_whether_all_partitions_of_a_stage_are_there() {
    let status = instance(&[]);
    status.set_partitions(StageKind::Customers, 2);
    let (worker, _questions) = status.add_worker(StageKind::Customers);
    worker.set_progress(0, Progress::Restoring { done: 0, total: 9 });
    let read = || {
        let text = render("", &status);
        let read = |series: &str| value(&text, series).unwrap_or("none").to_owned();
        [
            read(r#"payback_stage_partitions{stage="customers"}"#),
            read(r#"payback_partitions{stage="customers",state="current"}"#),
            read("payback_state_customers"),
        ]
    };
    assert_eq!(read(), ["2", "0", "0"]);
    worker.set_current(0, crate::engine::Sizes { customers: 7, ..Default::default() }, None);
    assert_eq!(read(), ["2", "1", "7"]);
    assert_eq!(value(&render("", &Arc::default()), r#"payback_stage_partitions{stage="customers"}"#), None);
}

/// An alert counts how often it changes.
#[test]
fn the_time_of_the_start_stays_the_same() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let metrics = Metrics::new(&Config::default(), &Arc::default()).unwrap();
    let started = || value(&metrics.render().unwrap(), START_TIME).unwrap().to_owned();
    let first = started();
    assert!((before..before + 60.0).contains(&first.parse().unwrap()), "{first} is not about {before}");
    assert_eq!(started(), first);
}

#[test]
fn what_is_under_way_is_shown_as_long_as_it_is() {
    let status = Arc::new(Status::default());
    let (worker, _questions) = status.add_worker(StageKind::Customers);
    let read = |series: &str| -> f64 { value(&render("", &status), series).unwrap().parse().unwrap() };
    let age = r#"payback_open_transaction_age_seconds{stage="customers"}"#;
    let remaining = r#"payback_restore_remaining_facts{stage="customers"}"#;
    assert_eq!((read(age), read(remaining)), (0.0, 0.0));
    worker.transaction.begun();
    worker.set_progress(0, Progress::Restoring { done: 5, total: 9 });
    worker.set_progress(1, Progress::Restoring { done: 0, total: 3 });
    assert_eq!(read(remaining), 7.0);
    assert!(worker.transaction.age().is_some() && read(age) >= 0.0);
    worker.transaction.ended();
    worker.set_progress(0, Progress::Current);
    assert_eq!((worker.transaction.age(), read(remaining)), (None, 3.0));
}

#[test]
fn how_old_figures_are_is_shown_while_records_wait() {
    let status = instance(&[100]);
    let age = || value(&render("", &status), "payback_read_through_seconds").unwrap().parse::<f64>().unwrap();
    assert_eq!(age(), 0.0);
    let ago = |seconds: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Some(crate::time::Millis(i64::try_from((now.as_secs() - seconds) * 1_000).unwrap()))
    };
    let worker = &status.workers()[0];
    worker.set_read_through(0, ago(100));
    worker.set_read_through(1, ago(5_000));
    assert!((4_999.0..5_200.0).contains(&age()), "{}", age());
    // A record of the next minute waits all the same.
    [0, 1].iter().for_each(|partition| worker.set_read_through(*partition, ago(0).map(|now| now.plus(60_000))));
    assert!(age() > 0.0);
}

#[test]
fn an_instance_says_how_long_its_oldest_record_has_waited() {
    let status = instance(&[]);
    let (other, _questions) = status.add_worker(StageKind::Customers);
    let age = || value(&render("", &status), "payback_backlog_age_seconds").unwrap().to_owned();
    assert_eq!(age(), "0");
    for (worker, seconds) in [(&status.workers()[0], 70), (&other, 90)] {
        worker.set_backlog(Some(crate::status::Backlog { records: 1, age: std::time::Duration::from_secs(seconds) }));
    }
    assert_eq!(age(), "90");
}

fn blocked() -> Blocked {
    let age = std::time::Duration::from_secs(45);
    Blocked { topic: "purchases".to_owned(), partition: 3, offset: 320, age, obstacle: Obstacle::OpenTransaction }
}

#[test]
fn a_partition_that_does_not_move_has_a_series_while_it_does_not() {
    let status = instance(&[]);
    let metrics = Metrics::new(&Config::default(), &status).unwrap();
    let series = r#"payback_blocked_partition_seconds{topic="purchases",partition="3"}"#;
    let read = || value(&metrics.render().unwrap(), series).map(str::to_owned);
    let (worker, _questions) = status.add_worker(StageKind::Customers);
    worker.set_blocked(vec![blocked()]);
    assert_eq!(read().as_deref(), Some("45"));
    worker.revoke_all();
    assert_eq!(read(), None);
}

#[test]
fn counters_begin_at_zero_and_lag_goes_with_its_partition() {
    let metrics = Metrics::new(&Config::default(), &instance(&[])).unwrap();
    let read = |series: &str| value(&metrics.render().unwrap(), series).map(str::to_owned);
    let applied = r#"payback_events_total{outcome="applied",type="purchase"}"#;
    assert_eq!(read(applied).as_deref(), Some("0"));
    metrics.count_events(EventKind::Purchase, Outcome::Applied, 5);
    assert_eq!(read(applied).as_deref(), Some("5"));
    metrics.count_rejected(Reason::InvalidJson, 2);
    assert_eq!(read(r#"payback_rejected_total{reason="invalid_json"}"#).as_deref(), Some("2"));
    assert_eq!(read(r#"payback_transactions_aborted_total{stage="campaigns"}"#).as_deref(), Some("0"));
    let lag = r#"payback_consumer_lag{partition="3",topic="purchases"}"#;
    metrics.set_lag("purchases", 3, 9);
    assert_eq!(read(lag).as_deref(), Some("9"));
    metrics.forget_lag("purchases", 3);
    assert_eq!(read(lag), None);
}
