//! What customers are and do stands on topics and in answers of the API, and nowhere else.

use std::time::Duration;

use crate::process::wait_until;
use crate::processor::{LIMIT, Partitions, Processor};
use crate::topics::{Loader, read};

/// In everything that is told about customers here.
const MARK: &str = "zq7x";

/// Events of all types about a customer, good ones and such as can't be used, each in a way of its own.
fn events(customer: u32) -> Vec<String> {
    let id = format!(
        r#""customer_id":"{MARK}-{customer}@example.com","order_id":"{MARK}-o","occurred_at":"2026-01-02T03:04:05Z""#
    );
    vec![
        format!(
            r#"{{"type":"purchase",{id},"offer":"{MARK}","items":[{{"sku":"{MARK}","category":"{MARK}","quantity":2,"unit_price":7}}],"campaign_id":"m-1"}}"#
        ),
        format!(r#"{{"type":"refund",{id},"refund_id":"{MARK}-r","amount":1}}"#),
        format!(r#"{{"type":"refund",{id},"refund_id":"{MARK}-r","amount":1}}"#),
        format!(r#"{{"type":"customer_cost",{id},"cost_id":"{MARK}-c","amount":1,"kind":"retention"}}"#),
        format!(
            r#"{{"type":"cancellation","customer_id":"{MARK}-x","order_id":"{MARK}","occurred_at":"2026-01-02T03:04:05Z"}}"#
        ),
        format!(r#"{{"type":"{MARK}",{id}}}"#),
        format!(r#"{{"type":"purchase",{id},"revenue":"{MARK}"}}"#),
        format!(r#"{{"type":"purchase",{id},"revenue":1,"currency":"{MARK}"}}"#),
        format!(r#"{{"type":"purchase",{id},"revenue":1,"updated_at":"{MARK}"}}"#),
        format!(r#"{{"type":"purchase",{id},"revenue":1,"{MARK}":1,"{MARK}":1}}"#),
        format!(r#"{{"type":"purchase",{id},"revenue":1,"items":["{MARK}"]}}"#),
        format!(r#"{{"type":"purchase","customer_id":"{}"}}"#, MARK.repeat(100)),
        format!("{MARK} is no JSON"),
    ]
}

#[test]
fn no_log_line_and_no_metric_tells_of_a_customer() {
    let processor = Processor::new("secrecy", Partitions::alike(2));
    let everything = [("RUST_LOG", "trace"), ("PAYBACK_KAFKA__PROPERTIES__DEBUG", "all")];
    let mut first = processor.start_with("a", &everything);
    let loader = Loader::new();
    for customer in 0..5 {
        // Half of them at the wrong place, so that they are forwarded.
        events(customer)
            .iter()
            .for_each(|event| loader.send(&processor.purchases, &format!("{MARK}-{customer}"), event));
    }
    loader.flush();
    processor.wait_until_done(&mut [&mut first]);
    first.wait_until_ready();
    assert_eq!(read(&processor.dead_letters).len(), 5 * 8, "they were rejected, and their details tell of them");

    let customer = format!("/v1/customers/{MARK}-1@example.com");
    let (status, body) = first.ask(&customer).expect("an answer");
    assert!(status == 200 && body.contains(MARK), "{body}");
    let strange = [
        format!("/v1/customers/{MARK}-nobody"),
        format!("/v1/customers/{}", MARK.repeat(100)),
        format!("/v1/campaigns?q={MARK}"),
        format!("/v1/campaigns?limit={MARK}"),
        format!("/{MARK}"),
    ];
    for path in strange {
        assert!(first.ask(&path).is_some(), "{path}");
    }
    let metrics = first.get("/metrics").expect("metrics");
    // What was open is aborted, and what was committed is restored.
    first.kill();
    let mut second = processor.start_with("b", &everything);
    wait_until("the other has it all", LIMIT + Duration::from_secs(10), || {
        second.must_run();
        second.ask(&customer).is_some_and(|(status, _)| status == 200)
    });
    let more = second.get("/metrics").expect("metrics");
    second.leave();

    for (what, text) in [("metrics", metrics), ("metrics", more), ("log", first.log()), ("log", second.log())] {
        let told: Vec<&str> = text.lines().filter(|line| line.contains(MARK)).collect();
        assert!(told.is_empty(), "{} lines of the {what}, such as {:.2000}", told.len(), told[0]);
    }
    assert!(first.log().contains("record rejected") && first.log().contains("rdkafka"), "everything is logged");
}
