//! The dashboard and the alert rules, against a real Prometheus that scraped a running demo: a query that names a metric
//! or a label that does not exist returns nothing, and nobody would notice.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Process, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// Expressions that are empty while all is well. What they select must be there all the same.
const EMPTY_WHEN_WELL: [(&str, &str); 24] = [
    ("PaybackRoasBelow100", "each campaign may have had a good day"),
    ("PaybackGrossProfitRoasBelow100", "each campaign may have had a good day"),
    ("PaybackPaysBackByLtv", "each campaign may have had a good day"),
    ("PaybackInstanceDown", "the demo answers"),
    ("PaybackAbsent", "the demo is a target"),
    ("PaybackRestarting", "it was started once"),
    ("PaybackAlertWindowMissing", "24h is among its windows"),
    ("PaybackWorkerStalled", "its workers go round"),
    ("PaybackNotReady", "it is ready"),
    ("PaybackPartitionsUnowned", "its workers have them all"),
    ("PaybackPartitionBlocked", "all of them move"),
    ("PaybackConsumerLag", "it keeps up"),
    ("PaybackDeadLetters", "it may have sent no bad event yet"),
    ("PaybackCampaignsNotExported", "it has a dozen campaigns"),
    ("PaybackCatchingUp", "nothing waits for long"),
    ("PaybackClockAhead", "its clock is right"),
    ("PaybackPurchaseToRoasSlow", "orders take less than a second"),
    ("PaybackTransactionOpenTooLong", "its transactions are short"),
    ("PaybackTransactionsAborted", "none is aborted"),
    ("PaybackRebalancing", "its workers stay"),
    ("PaybackRestoreSlow", "it has nothing to restore"),
    ("PaybackRestoreStuck", "it has nothing to restore"),
    ("PaybackStateNearLimit", "it has no limit"),
    ("PaybackStateOverLimit", "it has no limit"),
];

/// Of an instance that has a limit alone, and of one that has a partition that does not move; the tests of the metrics know them.
const NOT_OF_THE_DEMO: [&str; 2] = ["payback_state_limit_bytes", "payback_blocked_partition_seconds"];

#[test]
fn every_query_of_the_dashboard_and_the_rules_finds_what_it_asks_for() {
    if !installed("prometheus") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [demo, server] = free_ports();
    let mut running = Process::start(
        Command::new(env!("CARGO_BIN_EXE_payback"))
            .args(["demo", "--listen", &format!("127.0.0.1:{demo}")])
            .stdout(Stdio::null()),
    );
    let _prometheus = start_prometheus(folder.path(), server, demo);
    let prometheus = Prometheus(format!("http://127.0.0.1:{server}"));
    wait_until("Prometheus has scraped campaigns of the demo", Duration::from_secs(120), || {
        assert_eq!(running.ended(), None, "the demo goes on until it is stopped");
        prometheus.try_query("payback_roas_ratio").is_some_and(|found| !found.is_empty())
    });

    let mut queries = dashboard_queries();
    queries.extend(prometheus.rules());
    assert!(queries.len() > 30, "the dashboard or the rules were not read: {queries:?}");
    for query in queries {
        match EMPTY_WHEN_WELL.iter().find(|(name, _)| *name == query.name) {
            None => prometheus.finds(&query.expression, &query.name),
            Some((_, reason)) => {
                prometheus.query(&query.expression);
                let mut selectors = selectors(&query.expression);
                assert!(!selectors.is_empty(), "{}: nothing is selected, but {reason}", query.name);
                selectors.retain(|selector| !NOT_OF_THE_DEMO.contains(&selector.as_str()));
                selectors.iter().for_each(|selector| prometheus.finds(selector, &query.name));
            }
        }
    }
}

#[test]
fn alerts_fire_when_they_should_and_not_otherwise() {
    if !installed("promtool") {
        return;
    }
    let config = config().join("prometheus");
    let cases = fs::read_dir(config.join("tests")).expect("the cases are there");
    let cases = cases.map(|case| case.expect("a case").path());
    // Beside them stands what they put in the place of the rules.
    let cases: Vec<PathBuf> = cases.filter(|case| case.is_file()).collect();
    let checked = Command::new("promtool").arg("check").arg("config").arg(config.join("prometheus.yml")).output();
    let tested = Command::new("promtool").args(["test", "rules"]).args(cases).output();
    for output in [checked, tested] {
        let output = output.expect("promtool runs");
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    }
}

/// A sum over instances sags while one is restoring, and nobody would see why.
#[test]
fn the_dashboard_shows_sums_over_the_shop_while_all_of_it_is_there() {
    if !installed("promtool") {
        return;
    }
    // Instance b goes and comes back: its partitions are restored by a, whose campaigns are then read back anew.
    const MINUTES: [&str; 5] = ["whole", "restoring", "whole again", "reading back", "whole, and b lacks costs"];
    let of_stage = |series: &str, values: &str| {
        ["customers", "campaigns"].map(|stage| (series.replace("STAGE", stage), values.to_owned()))
    };
    let mut input = of_stage(r#"payback_partitions{instance="a",stage="STAGE",state="current"}"#, "2 2 4 4 2").to_vec();
    input.extend(of_stage(r#"payback_partitions{instance="a",stage="STAGE",state="restoring"}"#, "0 2 0 0 0"));
    input.extend(of_stage(r#"payback_partitions{instance="b",stage="STAGE",state="current"}"#, "2 stale _ _ 2"));
    input.extend(of_stage(r#"payback_stage_partitions{instance="a",stage="STAGE"}"#, "4 4 4 4 4"));
    for (series, values) in [
        (r#"payback_read_back_complete{instance="a"}"#, "1 1 1 0 1"),
        (r#"payback_read_back_complete{instance="b"}"#, "1 stale _ _ 1"),
        (r#"payback_spend{instance="a",scope="campaign",id="c",window="30d"}"#, "5 5 5 5 5"),
        (r#"payback_revenue{instance="a",scope="campaign",id="c",window="30d"}"#, "4 4 4 4 4"),
        (r#"payback_roas_ratio{instance="a",scope="campaign",id="c",window="30d"}"#, "0.8 0.8 0.8 0.8 0.8"),
        (r#"payback_verdict{instance="a",scope="campaign",id="c",verdict="invest_for_ltv"}"#, "1 1 1 1 1"),
        (r#"payback_customers{instance="a",contributing="true"}"#, "1 1 1 1 1"),
        (r#"payback_customers{instance="a",contributing="false"}"#, "1 1 1 1 1"),
        (r#"payback_ltv_historic{instance="a"}"#, "9 9 9 9 9"),
        (r#"payback_ltv_historic{instance="b"}"#, "9 stale _ _ 9"),
        (r#"payback_ltv_gross_profit{instance="a"}"#, "3 3 3 3 3"),
        (r#"payback_ltv_gross_profit{instance="b"}"#, "3 stale"),
    ] {
        input.push((series.to_owned(), values.to_owned()));
    }
    let figures = |expression: &str| {
        let all = selectors(expression);
        let is_of = |start: &&str| all.iter().any(|selector| selector.starts_with(start));
        let of_customers = ["payback_customers", "payback_ltv_"].iter().any(&is_of);
        let of_campaigns = ["payback_spend", "payback_revenue", "payback_roas_ratio", "payback_verdict"];
        (of_customers, of_campaigns.iter().any(is_of))
    };
    let (mut cases, mut of_each) = (Vec::new(), [0; 2]);
    for Query { name, expression } in dashboard_queries() {
        let shown = match figures(&expression) {
            // Of one campaign each.
            _ if ["max by (id) (", "max by (id, verdict) (", "group by"]
                .iter()
                .any(|it| expression.starts_with(it)) =>
            {
                continue;
            }
            (true, _) => [true, false, true, true, !expression.contains("payback_ltv_gross_profit")],
            (_, true) => [true, false, true, false, true],
            _ => continue,
        };
        of_each[usize::from(!figures(&expression).0)] += 1;
        for (minute, shown) in shown.into_iter().enumerate() {
            let samples = if shown { json!([{ "labels": "{}", "value": 1 }]) } else { json!([]) };
            let expression = format!("count(\n# {name}, {}\n{expression})", MINUTES[minute]);
            cases.push(json!({ "expr": expression, "eval_time": format!("{minute}m"), "exp_samples": samples }));
        }
    }
    assert!(of_each[0] >= 3 && of_each[1] >= 8, "sums of customers and of campaigns: {of_each:?}");
    let input: Vec<Value> =
        input.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let test = json!({ "interval": "1m", "input_series": input, "promql_expr_test": cases });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("dashboard.yml");
    fs::write(&file, json!({ "tests": [test] }).to_string()).expect("the folder can be written");
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output().expect("promtool runs");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn an_alert_is_muted_where_another_says_it_better() {
    if !installed("prometheus-alertmanager") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port, _] = free_ports();
    let _alertmanager = Process::start(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config().join("alertmanager/alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.listen-address=", "--log.level=error"]),
    );
    let alerts = format!("http://127.0.0.1:{port}/api/v2/alerts");
    let alert = |name: &str, severity: &str, id: &str| json!({ "labels": { "alertname": name, "severity": severity, "team": "marketing", "scope": "campaign", "id": id } });
    let firing = json!([
        alert("PaybackRoasBelow100", "warning", "keeps"),
        alert("PaybackGrossProfitRoasBelow100", "warning", "keeps"),
        alert("PaybackPaysBackByLtv", "info", "keeps"),
        alert("PaybackRoasBelow100", "warning", "loses"),
        alert("PaybackGrossProfitRoasBelow100", "warning", "loses"),
        alert("PaybackGrossProfitRoasBelow100", "warning", "thin"),
    ]);
    let service = |name: &str, instance: &str| json!({ "labels": { "alertname": name, "team": "operations", "instance": instance, "stage": "customers" } });
    let restoring = json!([
        service("PaybackNotReady", "a"),
        service("PaybackRestoreSlow", "a"),
        service("PaybackRestoreStuck", "a"),
        service("PaybackNotReady", "b"),
        service("PaybackRestoreSlow", "b"),
        service("PaybackStateNearLimit", "c"),
        service("PaybackStateOverLimit", "c"),
        service("PaybackStateNearLimit", "d"),
    ]);
    let over_limit = json!([service("PaybackStateOverLimit", "e")]);
    let of_all = |name: &str, severity: &str| json!({ "labels": { "alertname": name, "severity": severity, "team": "operations" } });
    let catching_up = json!([of_all("PaybackCatchingUp", "info"), of_all("PaybackPurchaseToRoasSlow", "warning")]);
    let mut caught_up = catching_up.clone();
    for alert in caught_up.as_array_mut().expect("alerts") {
        (alert["startsAt"], alert["endsAt"]) = (json!("2020-01-01T00:00:00Z"), json!("2020-01-01T00:00:01Z"));
    }
    let lag = json!([of_all("PaybackConsumerLag", "warning")]);
    wait_until("Alertmanager takes alerts", LIMIT, || ureq::post(&alerts).send_json(&firing).is_ok());

    let keeps = ("PaybackPaysBackByLtv".to_owned(), "keeps".to_owned());
    let loses = ("PaybackRoasBelow100".to_owned(), "loses".to_owned());
    let thin = ("PaybackGrossProfitRoasBelow100".to_owned(), "thin".to_owned());
    let operations = ("PaybackConsumerLag".to_owned(), String::new());
    wait_until("one alert a campaign", LIMIT, || {
        active(&alerts) == Some([keeps.clone(), loses.clone(), thin.clone()].into())
    });
    // The figures of an instance whose state takes more than it may are right and current.
    ureq::post(&alerts).send_json(&over_limit).expect("Alertmanager takes it");
    let over = ("PaybackStateOverLimit".to_owned(), "e".to_owned());
    wait_until("the campaigns beside a state that is too large", LIMIT, || {
        active(&alerts) == Some([&keeps, &loses, &thin, &over].into_iter().cloned().collect())
    });
    // Orders that are not read yet make every campaign look bad, and are late in the end.
    ureq::post(&alerts).send_json(&catching_up).expect("Alertmanager takes it");
    let waits = ("PaybackCatchingUp".to_owned(), String::new());
    wait_until("no campaign while records wait", LIMIT, || {
        active(&alerts) == Some([&keeps, &waits, &over].into_iter().cloned().collect())
    });
    ureq::post(&alerts).send_json(&caught_up).expect("Alertmanager takes it");
    wait_until("the campaigns, once nothing waits", LIMIT, || {
        active(&alerts) == Some([&keeps, &loses, &thin, &over].into_iter().cloned().collect())
    });
    // Late orders make every campaign look bad.
    ureq::post(&alerts).send_json(&lag).expect("Alertmanager takes it");
    wait_until("the service before the campaigns", LIMIT, || {
        active(&alerts) == Some([&keeps, &operations, &over].into_iter().cloned().collect())
    });
    ureq::post(&alerts).send_json(&restoring).expect("Alertmanager takes it");
    let of = |name: &str, instance: &str| (format!("PaybackRestore{name}"), instance.to_owned());
    let limit = |name: &str, instance: &str| (format!("PaybackState{name}Limit"), instance.to_owned());
    let most = [of("Stuck", "a"), of("Slow", "b"), limit("Over", "c"), limit("Near", "d")];
    wait_until("of each instance what says most", LIMIT, || {
        active(&alerts) == Some(most.iter().chain([&keeps, &operations, &over]).cloned().collect())
    });
}

#[test]
fn each_alert_links_to_its_section_and_each_section_is_of_an_alert() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |path: &str| fs::read_to_string(root.join(path)).expect("a file");
    let rules = ["campaigns", "engine"].map(|name| file(&format!("config/prometheus/rules/{name}.yml"))).concat();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    let names: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert.lines().next()).collect();
    assert!(names.len() > 10 && names.len() == alerts.len(), "{names:?}");
    for alert in alerts {
        let name = alert.lines().next().expect("a name").to_lowercase();
        let link = alert.lines().find(|line| line.trim_start().starts_with("runbook_url: ")).unwrap_or_default();
        assert!(link.contains(r#"query "payback:runbooks""#) && link.ends_with(&format!("#{name}'")), "{name}: {link}");
    }
    let runbooks = file("config/prometheus/rules/runbooks.yml");
    let (_, document) = runbooks.split_once("url: ").expect("it says where");
    let document = file(document.trim());
    let (_, sections) = document.split_once("\n## Alerts\n").expect("it has a part on alerts");
    let sections: BTreeSet<&str> = sections.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(sections, names);
    let readme = file("README.md");
    names.iter().for_each(|name| assert!(readme.contains(&format!("`{name}`")), "the README does not list {name}"));
}

/// Name and campaign, or instance, of the alerts that are not muted; `None` while some are not sorted out yet.
fn active(alerts: &str) -> Option<BTreeSet<(String, String)>> {
    let answer: Value = ureq::get(alerts).call().ok()?.body_mut().read_json().ok()?;
    let alerts = answer.as_array()?;
    if alerts.iter().any(|alert| alert["status"]["state"] == "unprocessed") {
        return None;
    }
    let active = alerts.iter().filter(|alert| alert["status"]["state"] == "active");
    let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
    Some(active.map(|alert| (label(alert, "alertname"), label(alert, "id") + &label(alert, "instance"))).collect())
}

/// Whether a program of Debian's packages `prometheus` and `prometheus-alertmanager` is there. In CI it has to be.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let reason = format!("{program} is not installed; Debian's packages are prometheus and prometheus-alertmanager");
    assert!(found || std::env::var_os("CI").is_none(), "{reason}");
    if !found {
        eprintln!("skipped: {reason}");
    }
    found
}

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}

/// With the project's own rules, but scraping every second, so that rates are there within a few.
fn start_prometheus(folder: &Path, port: u16, target: u16) -> Process {
    let file = folder.join("prometheus.yml");
    let rules = config().join("prometheus/rules/*.yml");
    let settings = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: [{rules:?}]\n\
         scrape_configs:\n  - job_name: payback\n    static_configs: [{{ targets: [\"127.0.0.1:{target}\"] }}]\n"
    );
    fs::write(&file, settings).expect("the folder can be written");
    Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error"),
    )
}

struct Prometheus(String);

impl Prometheus {
    /// The samples of an expression, now; `None` when there is no answer yet.
    fn try_query(&self, expression: &str) -> Option<Vec<Value>> {
        let url = format!("{}/api/v1/query", self.0);
        let mut response = ureq::get(url).query("query", expression).call().ok()?;
        let answer: Value = response.body_mut().read_json().ok()?;
        answer["data"]["result"].as_array().cloned()
    }

    #[track_caller]
    fn query(&self, expression: &str) -> Vec<Value> {
        self.try_query(expression).unwrap_or_else(|| panic!("not a query that Prometheus takes: {expression}"))
    }

    /// Rates need a few scrapes, so an empty answer may still become one.
    #[track_caller]
    fn finds(&self, expression: &str, name: &str) {
        wait_until(&format!("{name} returns data: {expression}"), LIMIT, || !self.query(expression).is_empty());
    }

    /// The rules that it loaded.
    fn rules(&self) -> Vec<Query> {
        let mut response = ureq::get(format!("{}/api/v1/rules", self.0)).call().expect("Prometheus answers");
        let answer: Value = response.body_mut().read_json().expect("JSON");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
        rules.map(|rule| Query { name: text(&rule["name"]), expression: text(&rule["query"]) }).collect()
    }
}

#[derive(Debug)]
struct Query {
    /// Of the panel, the variable or the rule.
    name: String,
    expression: String,
}

/// What the panels and the variables of the dashboard ask, with the variables filled in.
fn dashboard_queries() -> Vec<Query> {
    let file = config().join("grafana/dashboards/payback.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).expect("a file")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| Query { name: text(&panel["title"]), expression: filled_in(&text(&target["expr"])) })
    });
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let variables = variables.filter(|variable| variable["type"] == "query").map(|variable| {
        let definition = text(&variable["definition"]);
        let arguments = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = arguments.and_then(|it| it.rsplit_once(", ")).expect("label_values(metric, label)");
        Query { name: text(&variable["name"]), expression: format!("group by ({label}) ({metric}{{{label}!=\"\"}})") }
    });
    panels.chain(variables).collect()
}

fn filled_in(expression: &str) -> String {
    let expression = expression.replace("$window", "30d").replace("$campaign", ".*");
    let expression = expression.replace("$__rate_interval", "10s");
    assert!(!expression.contains('$'), "a variable that the test does not know: {expression}");
    expression
}

/// The metrics that an expression names, each with its label matchers.
fn selectors(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = ["payback_", "process_", "up{"].iter().filter_map(|start| rest.find(start)).min() {
        let name = rest[start..].find(|c| !is_name(c)).map_or(rest.len(), |length| start + length);
        let end = match rest[name..].strip_prefix('{').and_then(|matchers| matchers.find('}')) {
            Some(length) => name + length + 2,
            None => name,
        };
        found.insert(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
