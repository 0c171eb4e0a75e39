//! The ways to be let in: each has the whole service work.

use super::{BROKER_IS_UP, Client, PASSWORD, set_password};
use crate::processor::{Instance, Partitions, Processor};
use crate::topics::{Loader, latest};

/// Has an instance take an order, and leave.
#[track_caller]
fn works(name: &str, client: impl FnOnce() -> Client) {
    let _up = BROKER_IS_UP.read();
    let client = client();
    let processor = Processor::new(name, Partitions::alike(1));
    order(&processor, "o-1");
    let mut instance = processor.start_with("a", &client.0);
    processor.wait_until_done(&mut [&mut instance]);
    assert_eq!(latest(&processor.ltv_updates)["c-1"]["orders"], 1);
    instance.wait_until_ready();
    instance.leave();
    says_nothing_secret(&instance);
}

pub fn order(processor: &Processor, order: &str) {
    let order = format!(
        r#"{{"type":"purchase","customer_id":"c-1","order_id":"{order}","occurred_at":"2026-01-02T03:04:05Z","revenue":10}}"#
    );
    let loader = Loader::new();
    loader.send(&processor.purchases, "c-1", &order);
    loader.flush();
}

pub fn says_nothing_secret(instance: &Instance) {
    let log = instance.log();
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_broker_is_trusted_by_its_certificate() {
    works("tls", Client::anonymous);
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_client_is_known_by_its_certificate() {
    works("mutual-tls", || Client::certified("shop.pem"));
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_client_is_known_by_its_password_and_never_prints_it() {
    works("scram", || {
        set_password("shop", PASSWORD);
        // librdkafka tells all it can.
        Client::with_password("shop", PASSWORD).with("debug", "all").and("RUST_LOG", "trace")
    });
}
