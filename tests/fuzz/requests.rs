//! Who asks the HTTP API for which id: through the router that the server has, each request comes to the one answer that is
//! documented for it.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use axum::body::{Body, to_bytes};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Request, Uri};
use bolero::TypeGenerator;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use payback::config::Config;
use payback::engine::StageKind;
use payback::home::home;
use payback::http::router;
use payback::metrics::Metrics;
use payback::status::{Answer, Phase, Progress, Question, Status};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::bounds::bounded;
use crate::corpus::{AUTHORIZATIONS, PATHS, WORDS};
use crate::mutation::{Mutated, escaped};

const TOKEN: &str = "0123456789abcdef";
const CAMPAIGN: &str = "g:1/é";
/// Of the customers: the first two are here, the third is being restored, the last is with another instance.
const PARTITIONS: u32 = 4;
const MAX_ID_BYTES: usize = 256;

#[derive(Clone, Debug, TypeGenerator)]
struct Input {
    of: Kind,
    id: Mutated,
    /// Whether bytes that no client may send are sent as %XX.
    escaped: bool,
    shown: Shown,
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Kind {
    Campaign,
    Customer,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Campaign => "/v1/campaigns/",
            Kind::Customer => "/v1/customers/",
        }
    }
}

/// The `Authorization` of a request.
#[derive(Clone, Debug, TypeGenerator)]
enum Shown {
    Nothing,
    Token,
    Something(Mutated),
}

impl Shown {
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Shown::Nothing => None,
            Shown::Token => Some(format!("Bearer {TOKEN}").into_bytes()),
            Shown::Something(header) => Some(header.bytes(&AUTHORIZATIONS, &WORDS)),
        }
    }
}

#[test]
fn requests_hold() {
    // A request that panics ends the run.
    let api = AssertUnwindSafe(Api::new());
    bolero::check!().with_type::<Input>().with_iterations(8_000).for_each(|input| {
        let id = input.id.bytes(&PATHS, &WORDS);
        let id = if input.escaped { escaped(&id) } else { id };
        let shown = input.shown.bytes();
        let length = id.len() + shown.as_ref().map_or(0, Vec::len);
        bounded(length, 16, 32 * 1024, || {
            api.must_answer(input.of, &id, shown.as_deref());
        });
    });
}

#[test]
fn the_seeds_of_requests_come_to_every_answer() {
    let api = Api::new();
    let token = Shown::Token.bytes();
    let of_paths = PATHS.iter().flat_map(|path| {
        [Kind::Campaign, Kind::Customer].map(|kind| api.must_answer(kind, &escaped(path), token.as_deref()))
    });
    let of_headers = AUTHORIZATIONS.iter().map(|header| api.must_answer(Kind::Campaign, b"c-1", Some(header)));
    let answers: BTreeSet<u16> = of_paths.chain(of_headers).flatten().collect();
    assert_eq!(answers, BTreeSet::from([200, 400, 401, 404, 421, 503]));
}

/// An instance with a token and one campaign. All of it works on the thread that asks, so that what it takes is counted.
struct Api {
    service: TowerToHyperService<axum::Router>,
    questions: Receiver<Question>,
    runtime: Runtime,
}

impl Api {
    fn new() -> Api {
        let text = format!("[http]\ntoken = \"{TOKEN}\"");
        let config = Config::read(&text, []).expect("a configuration");
        let status = Arc::new(Status::default());
        status.has_started();
        status.set_read_back(Progress::Current);
        status.set_partitions(StageKind::Customers, PARTITIONS);
        assert!(status.campaigns.take(&format!("campaign/{CAMPAIGN}"), Some(b"{}")));
        let (worker, questions) = status.add_worker(StageKind::Customers);
        worker.set_phase(Phase::Running);
        worker.set_progress(0, Progress::Current);
        worker.set_progress(1, Progress::Current);
        worker.set_progress(2, Progress::Restoring { done: 1, total: 2 });
        worker.set_assigned();
        let metrics = Arc::new(Metrics::new(&config, &status).expect("metrics"));
        let service = TowerToHyperService::new(router(&config, status, metrics));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Api { service, questions, runtime }
    }

    /// Checks the answer to a request, and says its status; none where no client can send such a request.
    fn must_answer(&self, kind: Kind, id: &[u8], shown: Option<&[u8]>) -> Option<u16> {
        let uri = Uri::try_from([kind.path().as_bytes(), id].concat()).ok()?;
        let expected = if is_token(shown) { expected(kind, uri.path()) } else { (401, Some("unauthorized")) };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        if let Some(shown) = shown {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_bytes(shown).ok()?);
        }
        let (status, body) = self.runtime.block_on(async {
            let response = tokio::select! {
                response = self.service.call(request) => response.expect("it always answers"),
                () = self.work() => unreachable!("it never ends"),
            };
            let status = response.status().as_u16();
            (status, to_bytes(response.into_body(), usize::MAX).await.expect("a whole body"))
        });
        let body: Value = serde_json::from_slice(&body).expect("an answer is JSON");
        assert_eq!((status, body["error"]["reason"].as_str()), expected, "{body}");
        Some(status)
    }

    /// The worker's side.
    async fn work(&self) {
        loop {
            for Question { customer_id, reply, .. } in self.questions.try_iter() {
                let record = || json!({ "customer_id": customer_id }).to_string().into_bytes();
                let answer = if is_known(&customer_id) { Answer::Record(record()) } else { Answer::Unknown };
                reply.send(answer).expect("somebody waits for it");
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Every second customer, more or less.
fn is_known(customer_id: &str) -> bool {
    customer_id.len().is_multiple_of(2)
}

fn is_token(shown: Option<&[u8]>) -> bool {
    let Some((scheme, token)) = shown.and_then(|shown| shown.split_at_checked(7)) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && token == TOKEN.as_bytes()
}

/// The status and the reason that who shows the token is to get.
fn expected(kind: Kind, path: &str) -> (u16, Option<&'static str>) {
    let id = &path[kind.path().len()..];
    if id.is_empty() {
        return (404, Some("no_such_path"));
    }
    let Ok(id) = String::from_utf8(decoded(id.as_bytes())) else { return (400, Some("invalid_id")) };
    if id.len() > MAX_ID_BYTES {
        return (400, Some("invalid_id"));
    }
    match kind {
        Kind::Campaign if id == CAMPAIGN => (200, None),
        Kind::Campaign => (404, Some("not_found")),
        Kind::Customer => match home(&id, PARTITIONS) {
            2 => (503, Some("restoring")),
            3 => (421, Some("not_here")),
            _ if is_known(&id) => (200, None),
            _ => (404, Some("not_found")),
        },
    }
}

/// With each %XX as the byte that it means, and any other % as it is.
fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&first, rest)) = text.split_first() {
        let digits = rest.get(..2).filter(|digits| first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        text = if byte.is_some() { &rest[2..] } else { rest };
    }
    bytes
}
