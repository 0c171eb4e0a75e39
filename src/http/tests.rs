//! Real requests to a real server, over a status that the tests fill by hand.

mod access;
mod limits;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::*;
use crate::home::home;
use crate::status::{Answer, Backlog, Phase, Progress, Question, Worker};
use crate::time::Millis;

const PARTITIONS: u32 = 4;
/// How long anything here may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

struct Server {
    status: Arc<Status>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// An instance whose start is over and whose campaigns are read back, without any worker.
    fn start() -> Server {
        Server::with("", Limits::default())
    }

    /// The same with a configuration, as TOML, and limits of its own.
    fn with(config: &str, limits: Limits) -> Server {
        let config = Config::read(config, []).unwrap();
        let status = Arc::new(Status::default());
        status.has_started();
        status.set_read_back(Progress::Current);
        status.set_partitions("customers", PARTITIONS);
        status.set_partitions("campaigns", PARTITIONS);
        let metrics = Arc::new(Metrics::new(&config, &status).unwrap());
        let router = router(&config, Arc::clone(&status), metrics);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = runtime.spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        Server { status, address, stop: Some(stop), runtime: Some(runtime), served: Some(served) }
    }

    /// A worker of the customers stage that owns every partition.
    fn with_customers(&self) -> (Arc<Worker>, Receiver<Question>) {
        let (worker, questions) = self.status.add_worker("customers");
        worker.set_phase(Phase::Running);
        (0..PARTITIONS).for_each(|partition| worker.set_progress(partition, Progress::Current));
        worker.set_assigned();
        (worker, questions)
    }

    fn take(&self, id: &str, record: &Value) {
        assert!(self.status.campaigns.take(&format!("campaign/{id}"), Some(record.to_string().as_bytes())));
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get_text(path);
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    }

    fn get_text(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let mut response = agent().get(&url).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The ids on a page, in their order.
    fn ids(&self, query: &str) -> Vec<String> {
        let (status, page) = self.get(&format!("/v1/campaigns{query}"));
        assert_eq!(status, 200, "{page}");
        page["campaigns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|campaign| campaign["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let served = self.served.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(served).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT));
    config.build().into()
}

fn campaign(id: &str, channel: &str, verdict: &str, spend: &str, roas: Value) -> Value {
    json!({
        "scope": "campaign", "id": id, "name": format!("Name of {id}"), "platform": "google", "channel": channel,
        "verdict": { "value": verdict, "window": "lifetime", "progress": 0.5, "at_stake": "-1" },
        "windows": {
            "7d": { "spend": "1", "roas": null, "verdict": "too_early" },
            "lifetime": { "spend": spend, "roas": roas, "verdict": verdict },
        },
    })
}

fn reason(body: &Value) -> &str {
    assert!(body["error"]["detail"].is_string(), "{body}");
    body["error"]["reason"].as_str().unwrap()
}

/// Four campaigns: `a` to `d`.
fn four() -> Server {
    let server = Server::start();
    server.take("a", &campaign("a", "search", "deficit", "300", json!(0.5)));
    server.take("b", &campaign("b", "social", "profitable", "100", json!(2.5)));
    server.take("c", &campaign("c", "search", "profitable", "2000.5", json!(1)));
    server.take("d", &campaign("d", "email", "no_spend", "0", Value::Null));
    server
}

#[test]
fn campaigns_are_sorted_with_the_undefined_last() {
    let server = four();
    let table = [
        ("", "cabd"),
        ("?sort=spend", "dbac"),
        ("?sort=id", "abcd"),
        ("?sort=-id", "dcba"),
        ("?sort=-roas", "bcad"),
        ("?sort=roas", "acbd"),
        ("?sort=name&window=7d", "abcd"),
        ("?sort=-spend&window=7d", "abcd"),
        ("?sort=-progress", "abcd"),
    ];
    for (query, expected) in table {
        assert_eq!(server.ids(query).concat(), expected, "{query}");
    }
}

#[test]
fn campaigns_are_filtered() {
    let server = four();
    let table = [
        ("verdict=profitable", "cb"),
        ("verdict=profitable,deficit", "cab"),
        ("channel=search&verdict=deficit", "a"),
        ("channel=search,email&sort=id", "acd"),
        ("platform=google&limit=1", "c"),
        ("platform=meta", ""),
        ("q=NAME%20of%20b", "b"),
        ("q=d", "d"),
        ("q=%25", ""),
    ];
    for (query, expected) in table {
        assert_eq!(server.ids(&format!("?{query}")).concat(), expected, "{query}");
    }
}

#[test]
fn pages_follow_one_another_and_count_all() {
    let server = four();
    let (_, first) = server.get("/v1/campaigns?limit=3&sort=id");
    assert_eq!((&first["total"], &first["next_offset"], &first["complete"]), (&json!(4), &json!(3), &json!(true)));
    assert_eq!(server.ids("?limit=3&sort=id").concat(), "abc");
    let (_, last) = server.get("/v1/campaigns?limit=3&sort=id&offset=3");
    assert_eq!((&last["total"], &last["next_offset"]), (&json!(4), &Value::Null));
    assert_eq!(server.ids("?limit=3&sort=id&offset=3").concat(), "d");
    assert_eq!(server.ids("?offset=18446744073709551615").concat(), "");
}

#[test]
fn a_listed_campaign_has_the_asked_window_alone() {
    let server = four();
    let windows = |query: &str| server.get(&format!("/v1/campaigns{query}")).1["campaigns"][0]["windows"].clone();
    assert_eq!(windows("?window=7d").as_object().unwrap().keys().collect::<Vec<_>>(), ["7d"]);
    assert_eq!(windows("").as_object().unwrap().keys().collect::<Vec<_>>(), ["lifetime"]);
}

#[test]
fn a_bad_parameter_is_named() {
    let server = four();
    let long = format!("q={}", "x".repeat(257));
    let table = [
        ("limit=0", "limit: expected a whole number from 1 to 1000"),
        ("limit=1001", "limit: "),
        ("limit=ten", "limit: "),
        ("limit=", "limit: expected 1 to 256 bytes"),
        (long.as_str(), "q: expected 1 to 256 bytes"),
        ("offset=-1", "offset: expected a whole number from 0 on"),
        ("window=8d", "window: expected one of 24h, 7d, 30d, 90d, 365d, lifetime"),
        ("sort=colour", "sort: expected id, name"),
        ("sort=-", "sort: "),
        ("verdict=good", "verdict: expected some of catching_up"),
        ("page=2", "page: there are window, sort"),
        ("limit=1&limit=2", "limit: is given twice"),
        ("q=%FF", ""),
    ];
    for (query, expected) in table {
        let (status, body) = server.get(&format!("/v1/campaigns?{query}"));
        if expected.is_empty() {
            assert_eq!(status, 200, "{body}");
            continue;
        }
        assert_eq!((status, reason(&body)), (400, "invalid_parameter"));
        assert!(body["error"]["detail"].as_str().unwrap().starts_with(expected), "{body}");
    }
}

#[test]
fn a_campaigns_id_may_hold_anything() {
    let server = Server::start();
    let table = [
        ("google:1", "google:1"),
        ("a/b//c", "a/b//c"),
        ("a/b", "a%2Fb"),
        ("50% off?", "50%25%20off%3F"),
        ("夏セール", "%E5%A4%8F%E3%82%BB%E3%83%BC%E3%83%AB"),
        ("a+b", "a+b"),
        ("campaign/x", "campaign/x"),
    ];
    for (id, path) in table {
        server.take(id, &campaign(id, "search", "deficit", "1", json!(1)));
        let (status, record) = server.get(&format!("/v1/campaigns/{path}"));
        assert_eq!((status, &record["id"]), (200, &json!(id)));
        assert_eq!(record["windows"].as_object().unwrap().len(), 2);
    }
    let (status, body) = server.get("/v1/campaigns/nobody");
    assert_eq!((status, reason(&body)), (404, "not_found"));
    let (status, body) = server.get("/v1/campaigns/%FF");
    assert_eq!((status, reason(&body)), (400, "invalid_id"));
    let (status, body) = server.get(&format!("/v1/campaigns/{}", "x".repeat(257)));
    assert_eq!((status, reason(&body)), (400, "invalid_id"));
}

#[test]
fn a_campaign_that_may_still_be_read_is_not_denied() {
    let server = four();
    server.status.set_read_back(Progress::Restoring { done: 4, total: 9 });
    let (status, body) = server.get("/v1/campaigns/nobody");
    assert_eq!((status, reason(&body)), (503, "restoring"));
    assert_eq!(server.get("/v1/campaigns/a").0, 200);
    assert_eq!(server.get("/v1/campaigns").1["complete"], false);
}

#[test]
fn campaigns_are_not_complete_while_records_wait() {
    let server = four();
    let (worker, _questions) = server.status.add_worker("campaigns");
    worker.set_progress(0, Progress::Current);
    let complete = || server.get("/v1/campaigns").1["complete"].clone();
    assert_eq!(complete(), true);
    worker.set_read_through(0, Some(Millis(0)));
    assert_eq!(complete(), false);
    worker.set_read_through(0, None);
    assert_eq!(complete(), true);
    // As another instance has written it.
    server.take("e", &json!({ "read_through": "2026-11-21T10:00:00Z" }));
    assert_eq!(complete(), false);
    let (status, body) = server.get("/readyz");
    assert!(status != 200 && body["error"]["reason"] != "catching_up", "{body}");
    worker.set_backlog(Some(Backlog { records: 77, age: Duration::from_secs(90) }));
    let missing = server.get("/readyz").1["error"]["missing"].clone();
    let expected = json!({ "part": "campaigns/0", "reason": "catching_up",
        "detail": "77 records wait, one of them for about 90 seconds" });
    assert!(missing.as_array().unwrap().contains(&expected), "{missing}");
}

#[test]
fn a_campaign_says_whether_its_record_may_be_an_older_one() {
    let server = Server::start();
    let record = r#"{"scope":"campaign","id":"a","windows":{"7d":{"spend":"1.50"}}}"#;
    server.status.campaigns.take("campaign/a", Some(record.as_bytes()));
    let answer = |complete| format!(r#"{},"complete":{complete}}}"#, record.strip_suffix('}').unwrap());
    assert_eq!(server.get_text("/v1/campaigns/a"), (200, answer(true)));
    server.status.set_read_back(Progress::Restoring { done: 4, total: 9 });
    assert_eq!(server.get_text("/v1/campaigns/a"), (200, answer(false)));
}

#[test]
fn a_customer_is_answered_by_the_worker_that_owns_it() {
    let server = Server::start();
    let (_worker, questions) = server.with_customers();
    let answers = thread::spawn(move || {
        for question in questions.iter().take(2) {
            assert_eq!(question.partition, home(&question.customer_id, PARTITIONS));
            let record = json!({ "customer_id": question.customer_id }).to_string();
            let known = question.customer_id == "c/1";
            question.reply.send(if known { Answer::Record(record.into()) } else { Answer::Unknown }).unwrap();
        }
    });
    assert_eq!(server.get("/v1/customers/c%2F1"), (200, json!({ "customer_id": "c/1" })));
    let (status, body) = server.get("/v1/customers/nobody");
    assert_eq!((status, reason(&body)), (404, "not_found"));
    answers.join().unwrap();
}

#[test]
fn a_customer_of_another_instance_is_421_with_its_partition() {
    let server = Server::start();
    let (worker, _questions) = server.with_customers();
    worker.revoke(home("c-1", PARTITIONS));
    let (status, body) = server.get("/v1/customers/c-1");
    assert_eq!((status, reason(&body)), (421, "not_here"));
    assert_eq!(body["error"]["partition"], home("c-1", PARTITIONS));
}

#[test]
fn nobody_is_sent_away_while_the_partitions_are_shared_out_anew() {
    let server = Server::start();
    let (worker, _questions) = server.with_customers();
    let (other, _others) = server.status.add_worker("customers");
    worker.revoke(home("c-1", PARTITIONS));
    let ask = || {
        let (status, body) = server.get("/v1/customers/c-1");
        (status, reason(&body).to_owned())
    };
    assert_eq!(ask(), (503, "rebalancing".to_owned()), "it may come to a worker that has just joined");
    other.set_assigned();
    assert_eq!(ask(), (421, "not_here".to_owned()));
    // Every rebalance takes all away for a moment.
    [&worker, &other].iter().for_each(|worker| worker.revoke_all());
    assert_eq!(ask(), (503, "rebalancing".to_owned()));
    worker.set_assigned();
    assert_eq!(ask(), (503, "rebalancing".to_owned()));
    other.set_assigned();
    assert_eq!(ask(), (421, "not_here".to_owned()));
}

#[test]
fn a_customer_that_can_not_be_answered_now_is_503() {
    let server = Server::start();
    let ask = || {
        let (status, body) = server.get("/v1/customers/c-1");
        assert_eq!(status, 503);
        reason(&body).to_owned()
    };
    let (worker, questions) = server.with_customers();
    let partition = home("c-1", PARTITIONS);

    worker.set_progress(partition, Progress::Restoring { done: 1, total: 2 });
    assert_eq!(ask(), "restoring");

    worker.set_progress(partition, Progress::Current);
    let moved = thread::spawn(move || {
        let question = questions.recv().unwrap();
        question.reply.send(Answer::NotHere).unwrap();
        questions
    });
    assert_eq!(ask(), "rebalancing");

    let questions = moved.join().unwrap();
    let waiting: Vec<_> = (0..256).map(|_| worker.ask("c-1".to_owned(), partition).unwrap()).collect();
    assert_eq!(ask(), "busy");
    // All that waits is taken, and nobody answers.
    let taken: Vec<_> = questions.try_iter().collect();
    assert_eq!(ask(), "timeout");
    drop((waiting, taken, questions));

    worker.revoke_all();
    assert_eq!(ask(), "rebalancing");
}

#[test]
fn health_fails_when_a_worker_has_not_gone_round_for_30_seconds() {
    let server = Server::start();
    assert_eq!(server.get("/healthz").0, 200);
    let (worker, _questions) = server.with_customers();
    let (status, body) = server.get("/healthz");
    assert_eq!((status, &body["workers"][0]["worker"]), (200, &json!("customers/0")));
    worker.beat_at(-30_000);
    let (status, body) = server.get("/healthz");
    assert_eq!((status, reason(&body)), (503, "worker_stalled"));
    assert!(body["error"]["detail"].as_str().unwrap().starts_with("worker customers/0 has not gone round for 30 s"));
    worker.beat();
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn readiness_says_why_not() {
    let server = Server::start();
    assert_eq!(server.get("/readyz"), (200, json!({ "ready": true, "workers": [] })));
    server.status.waits_for("kafka: connection refused");
    let (worker, _questions) = server.with_customers();
    worker.set_progress(2, Progress::Restoring { done: 10, total: 30 });
    let (status, body) = server.get("/readyz");
    assert_eq!((status, reason(&body), &body["ready"]), (503, "starting", &json!(false)));
    assert_eq!(body["error"]["missing"][0]["detail"], "kafka: connection refused");
    assert_eq!(body["error"]["missing"][1]["detail"], "partition 2: 10 of 30 facts");
    worker.set_progress(3, Progress::Current);
    let (_, body) = server.get("/readyz");
    let partitions = json!([
        { "partition": 0, "state": "current" },
        { "partition": 1, "state": "current" },
        { "partition": 2, "state": "restoring", "done": 10, "total": 30 },
        { "partition": 3, "state": "current" },
    ]);
    let workers = json!([{ "worker": "customers/0", "phase": "running", "partitions": partitions }]);
    assert_eq!(body["workers"], workers);
}

#[test]
fn metrics_are_prometheus_text() {
    let server = four();
    let (worker, _questions) = server.status.add_worker("campaigns");
    (0..PARTITIONS).for_each(|partition| worker.set_progress(partition, Progress::Current));
    let (status, text) = server.get_text("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains(r#"payback_roas_ratio{scope="campaign",id="b",window="lifetime"} 2.5"#), "{text}");
    let url = format!("http://{}/metrics", server.address);
    let response = agent().get(&url).call().unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
}

#[test]
fn errors_are_json_everywhere() {
    let server = Server::start();
    for path in ["/nothing", "/v1/campaigns/", "/v1", "/v2/campaigns", "/healthz/x"] {
        let (status, body) = server.get(path);
        assert_eq!((status, reason(&body)), (404, "no_such_path"), "{path}");
    }
    let url = format!("http://{}/v1/campaigns", server.address);
    let mut response = agent().post(&url).send("{}").unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(reason(&response.body_mut().read_json().unwrap()), "method_not_allowed");
    let (status, index) = server.get("/");
    assert_eq!((status, &index["name"]), (200, &json!("payback")));
}

#[test]
fn a_started_answer_is_finished_when_the_server_stops() {
    let mut server = Server::start();
    let (_worker, questions) = server.with_customers();
    let address = server.address;
    let asker = thread::spawn(move || {
        let url = format!("http://{address}/v1/customers/c-1");
        let mut response = agent().get(&url).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    });
    let question = questions.recv().unwrap();
    let answerer = thread::spawn(move || {
        // The server no longer takes connections, so it is stopping.
        while TcpStream::connect(address).is_ok() {
            thread::yield_now();
        }
        question.reply.send(Answer::Record(b"{}".to_vec())).unwrap();
    });
    server.stop();
    assert_eq!(asker.join().unwrap(), "{}");
    answerer.join().unwrap();
}
