//! What is refused: in one line, and without trying again and again.

use std::time::Duration;

use super::ways::{order, says_nothing_secret};
use super::{BROKER_IS_UP, Client, FILES, PASSWORD, set_password};
use crate::broker;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::latest;

/// Starts an instance that must end with exit code 1 and one line, and returns that line.
#[track_caller]
fn refusal(name: &str, client: impl FnOnce() -> Client) -> String {
    let _up = BROKER_IS_UP.read();
    let client = client();
    let processor = Processor::new(name, Partitions::alike(1));
    let mut instance = processor.start_with("a", &client.0);
    let line = last_words(&mut instance);

    // So do the commands that do their work and end.
    for words in [&["topics"][..], &["dead-letters", "list"], &["dead-letters", "retry"]] {
        let mut command = processor.command(words);
        command.envs(client.0.iter().cloned()).env("RUST_LOG", "info");
        let mut said = String::new();
        wait_until("a broker answers", LIMIT, || {
            let output = command.output().expect("the program runs");
            assert_eq!(output.status.code(), Some(1), "{words:?}");
            said = String::from_utf8_lossy(&output.stderr).into_owned();
            !is_silence(&said)
        });
        assert_eq!(said.trim_end(), line, "{words:?}");
    }
    line
}

/// The one line that an instance ends with, exit code 1. Before it may stand that no broker has answered yet.
#[track_caller]
fn last_words(instance: &mut Instance) -> String {
    let status = instance.wait_for_end();
    let log = instance.log();
    assert_eq!(status.code(), Some(1), "{log}");
    says_nothing_secret(instance);
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("listening")).collect();
    match lines[..] {
        [line] => line.to_owned(),
        [waits, line] if is_silence(waits) => line.to_owned(),
        _ => panic!("one line says it all, not\n{log}"),
    }
}

/// Whether a line tells no more than that a broker said nothing in time: a busy machine may take longer over a handshake
/// than it is waited for. Of a refusal that was heard it would say why.
fn is_silence(line: &str) -> bool {
    line.contains("Kafka does not answer: ") && line.contains("Meta data fetch error: ")
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_wrong_password_is_said_once_and_not_tried_again() {
    let line = refusal("wrong-password", || {
        set_password("forgetful", PASSWORD);
        Client::with_password("forgetful", "not-it")
    });
    assert!(line.starts_with("payback: Kafka refuses the connection: sasl_ssl://127.0.0.1:"), "{line}");
    assert!(line.contains("invalid credentials with SASL mechanism SCRAM-SHA-512"), "{line}");
    assert!(line.contains("check sasl.* in kafka.properties"), "{line}");
    assert!(!line.contains("not-it"), "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_user_who_does_not_exist_is_told_as_one_whose_password_is_wrong() {
    let line = refusal("nobody", || Client::with_password("nobody", PASSWORD));
    assert!(line.contains("invalid credentials with SASL mechanism SCRAM-SHA-512"), "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_broker_whose_certificate_is_not_trusted_gets_no_password() {
    let line = refusal("untrusted", || {
        Client::with_password("shop", PASSWORD).with("ssl.ca.location", &FILES.path("other-ca.pem"))
    });
    assert!(line.starts_with("payback: Kafka refuses the connection: sasl_ssl://127.0.0.1:"), "{line}");
    assert!(line.contains("certificate verify failed"), "{line}");
    assert!(line.contains("ssl.ca.location"), "it says what to do: {line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_refusal_that_comes_late_is_waited_for_and_said_once_it_comes() {
    let _alone = BROKER_IS_UP.write();
    let client = Client::anonymous().with("ssl.ca.location", &FILES.path("other-ca.pem"));
    let processor = Processor::new("late", Partitions::alike(1));
    let mut instance = None;
    broker::freeze(|| {
        let instance = instance.insert(processor.start_with("a", &client.0));
        wait_until("it waits", LIMIT, || {
            instance.must_run();
            instance.log().lines().any(is_silence)
        });
    });
    let line = last_words(&mut instance.expect("it was started"));
    assert!(line.contains("certificate verify failed"), "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_certificate_of_another_host_is_not_trusted() {
    let line = refusal("other-host", || {
        let client = Client::anonymous();
        let localhost = broker::guarded("TLS").replace("127.0.0.1", "localhost");
        client.and("PAYBACK_KAFKA__BROKERS", &localhost)
    });
    // As OpenSSL says it, or librdkafka for it: that goes by the version.
    let is_said =
        ["certificate verify failed", "certificate could not be verified"].iter().any(|said| line.contains(said));
    assert!(is_said, "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_client_without_the_certificate_that_is_asked_for_is_refused() {
    let line = refusal("no-certificate", || Client::of("MUTUAL", "SSL"));
    assert!(line.starts_with("payback: Kafka refuses the connection: ssl://127.0.0.1:"), "{line}");
    assert!(line.contains("certificate"), "{line}");
    assert!(line.contains("check ssl.* in kafka.properties"), "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_client_with_a_certificate_of_another_authority_is_refused() {
    let line = refusal("impostor", || Client::certified("impostor.pem"));
    assert!(line.starts_with("payback: Kafka refuses the connection: ssl://127.0.0.1:"), "{line}");
    assert!(line.contains("check ssl.* in kafka.properties"), "{line}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_client_without_tls_is_told_what_may_be_wrong() {
    let _up = BROKER_IS_UP.read();
    let client = Client::anonymous().with("security.protocol", "PLAINTEXT");
    let processor = Processor::new("plain", Partitions::alike(1));
    let mut instance = processor.start_with("a", &client.0);
    // From here it looks like a broker that is away.
    wait_until("it says so", LIMIT, || {
        instance.must_run();
        let answer = instance.ask("/readyz");
        answer.is_some_and(|(status, body)| status == 503 && body.contains("security.protocol"))
    });
    instance.leave();
    let log = instance.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    let [line] = lines[..] else { panic!("one line says it all, not\n{log}") };
    assert!(line.contains("security.protocol") || is_silence(line), "{log}");
}

/// It had the right password once, and its state is worth waiting with.
#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn an_instance_that_worked_waits_while_it_is_refused_and_says_why() {
    let _alone = BROKER_IS_UP.write();
    set_password("rotating", PASSWORD);
    let client = Client::with_password("rotating", PASSWORD);
    let processor = Processor::new("rotated", Partitions::alike(1)).with_session(Duration::from_secs(6));
    order(&processor, "o-1");
    let mut instance = processor.start_with("a", &client.0);
    processor.wait_until_done(&mut [&mut instance]);

    set_password("rotating", "another-password");
    // Connections outlive a password; those that are made from now on need the new one.
    broker::interrupt(|| {});
    wait_until("readiness says why", LIMIT, || {
        instance.must_run();
        let answer = instance.ask("/readyz");
        answer.is_some_and(|(status, body)| status == 503 && body.contains("the connection is refused: "))
    });
    assert_eq!(instance.ask("/healthz").map(|(status, _)| status), Some(200), "a restart would not help");

    set_password("rotating", PASSWORD);
    order(&processor, "o-2");
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!(latest(&processor.ltv_updates)["c-1"]["orders"], 2);
    instance.wait_until_ready();
    instance.leave();
    says_nothing_secret(&instance);
    let log = instance.log();
    assert_eq!(log.matches("Kafka refuses the connection").count(), 1, "{log}");
    assert_eq!(log.matches("Kafka is back").count(), 1, "{log}");
}
