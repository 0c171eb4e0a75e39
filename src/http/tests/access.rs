use super::*;

const TOKEN: &str = "0123456789abcdef";

fn guarded() -> Server {
    let config = format!("[http]\nlisten = \"0.0.0.0:80\"\ntoken = \"{TOKEN}\"");
    let server = Server::with(&config, Limits::default());
    server.take("a", &campaign("a", "search", "deficit", "300", json!(0.5)));
    server
}

/// The status, the body, and how to authenticate if that is said.
fn ask(server: &Server, path: &str, authorization: Option<&str>) -> (u16, String, Option<String>) {
    let mut request = agent().get(format!("http://{}{path}", server.address));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let mut response = request.call().unwrap();
    let how = response.headers().get("www-authenticate").map(|how| how.to_str().unwrap().to_owned());
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap(), how)
}

#[test]
fn with_a_token_configured_nothing_is_told_to_who_does_not_show_it() {
    let server = guarded();
    let wrong = [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer 0123456789abcde"),
        Some("Bearer 0123456789abcdeg"),
        Some("Bearer 0123456789abcdef0"),
        Some("Bearer  0123456789abcdef"),
        Some("Basic 0123456789abcdef"),
        Some("0123456789abcdef"),
    ];
    for path in ["/", "/metrics", "/v1/campaigns", "/v1/campaigns/a", "/v1/customers/c-1", "/nothing", "/healthz/x"] {
        for authorization in wrong {
            let (status, body, how) = ask(&server, path, authorization);
            assert_eq!((status, how.as_deref()), (401, Some("Bearer")), "{path} {authorization:?}: {body}");
            assert_eq!(reason(&serde_json::from_str(&body).unwrap()), "unauthorized");
        }
    }
    let (status, _, _) = ask(&server, &format!("/v1/campaigns?token={TOKEN}"), None);
    assert_eq!(status, 401, "a token in an address would end in logs");
}

#[test]
fn who_shows_the_token_is_answered() {
    let server = guarded();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        for path in ["/", "/metrics", "/v1/campaigns", "/v1/campaigns/a", "/healthz", "/readyz"] {
            let (status, body, _) = ask(&server, path, Some(&format!("{scheme} {TOKEN}")));
            assert_eq!(status, 200, "{path}: {body}");
        }
        assert_eq!(ask(&server, "/nothing", Some(&format!("{scheme} {TOKEN}"))).0, 404);
    }
}

#[test]
fn health_is_told_to_anybody_but_no_more_than_yes_or_no() {
    let server = guarded();
    let (worker, _questions) = server.with_customers();
    let answers = |authorization| ["/healthz", "/readyz"].map(|path| ask(&server, path, authorization));
    let [health, readiness] = answers(None);
    assert_eq!((health.0, health.1.as_str()), (200, r#"{"healthy":true}"#));
    assert_eq!((readiness.0, readiness.1.as_str()), (200, r#"{"ready":true}"#));

    server.status.waits_for("kafka: broker.internal:9092: connection refused");
    worker.beat_at(-30_000);
    let [health, readiness] = answers(Some("Bearer of bad news"));
    assert_eq!((health.0, health.1.as_str()), (503, r#"{"healthy":false}"#));
    assert_eq!((readiness.0, readiness.1.as_str()), (503, r#"{"ready":false}"#));
    let [health, readiness] = answers(Some("Bearer 0123456789abcdef"));
    assert!(health.0 == 503 && health.1.contains("customers/0"), "{}", health.1);
    assert!(readiness.0 == 503 && readiness.1.contains("broker.internal"), "{}", readiness.1);
}

#[test]
fn without_a_token_configured_nobody_is_asked() {
    let server = four();
    assert_eq!(ask(&server, "/v1/campaigns/a", None).0, 200);
    assert_eq!(ask(&server, "/v1/campaigns/a", Some("Bearer whatever")).0, 200);
}
