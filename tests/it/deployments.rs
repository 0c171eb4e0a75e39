//! Two deployments under one `kafka.application_id` do not share each other's partitions; the instances of one do.

use std::time::Duration;

use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, create, latest};

/// Long enough for a busy machine, so that nobody leaves the group who is alive.
const SESSION: Duration = Duration::from_secs(10);

/// The partitions that were assigned to an instance's workers, each time.
fn assignments(instance: &Instance) -> Vec<String> {
    let log = instance.log();
    let assigned = log.lines().filter_map(|line| line.split_once("partitions assigned")?.1.split_once("partitions="));
    assigned.map(|(_, partitions)| partitions.to_owned()).collect()
}

fn order(customer: &str) -> String {
    format!(
        r#"{{"type":"purchase","customer_id":"{customer}","order_id":"o","occurred_at":"2026-01-02T03:04:05Z","revenue":10}}"#
    )
}

/// Sends an order of a customer, and waits until it is counted.
#[track_caller]
fn counts(processor: &Processor, source: &str, customer: &str) {
    let loader = Loader::new();
    loader.send(source, customer, &order(customer));
    loader.flush();
    wait_until("the order is counted", LIMIT, || latest(&processor.ltv_updates).contains_key(customer));
}

#[test]
fn a_second_deployment_under_one_id_ends_before_it_takes_a_partition() {
    let processor = Processor::new("production", Partitions::alike(4)).with_session(SESSION);
    let mut production = processor.start("a");
    production.wait_until_ready();
    let id = &processor.application_id;
    let [purchases, spend, ltv, roas] = ["orders", "spend", "ltv", "roas"].map(|name| format!("{id}-test-{name}"));
    create(&purchases, 4);
    create(&spend, 4);
    let copies: [(&[(&str, &str)], &str); 3] = [
        (
            &[
                ("PAYBACK_TOPICS__PURCHASES", &purchases),
                ("PAYBACK_TOPICS__AD_SPEND", &spend),
                ("PAYBACK_TOPICS__LTV_UPDATES", &ltv),
                ("PAYBACK_TOPICS__ROAS_UPDATES", &roas),
            ],
            "another topics.purchases, topics.ad_spend, topics.ltv_updates, topics.roas_updates.",
        ),
        (&[("PAYBACK_REPORTING__CURRENCY", "JPY")], "another reporting.currency."),
        (
            &[("PAYBACK_REPORTING__TIME_ZONE", "Asia/Tokyo"), ("PAYBACK_ATTRIBUTION__MODEL", "linear")],
            "another reporting.time_zone, attribution.",
        ),
    ];
    for (variables, names) in copies {
        let mut copy = processor.start_with("b", variables);
        let status = copy.wait_for_end();
        let log = copy.log();
        assert_eq!(status.code(), Some(1), "{log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains(names) && last.contains("-a-0 at "), "{last}");
        assert!(last.contains("give this one another, and other output topics"), "it says what to do: {last}");
        assert!(assignments(&copy).is_empty(), "{log}");
    }
    production.must_run();
    let assigned = assignments(&production);
    assert!(assigned.iter().all(|partitions| partitions == "[0, 1, 2, 3]"), "nobody was in its group: {assigned:?}");
    counts(&processor, &processor.purchases, "c-1");
    production.leave();
}

#[test]
fn an_update_that_goes_from_instance_to_instance_adds_a_source() {
    let processor = Processor::new("rolling", Partitions::alike(2));
    let more = format!("{}-more", processor.application_id);
    create(&more, 2);
    let both = format!("{},{more}", processor.purchases);
    let with_more = [("PAYBACK_TOPICS__PURCHASES", both.as_str())];
    let (mut first, mut second) = (processor.start("a"), processor.start("b"));
    first.wait_until_ready();
    second.wait_until_ready();
    counts(&processor, &processor.purchases, "c-1");
    first.leave();
    let mut first = processor.start_with("a", &with_more);
    first.wait_until_ready();
    second.must_run();
    counts(&processor, &processor.purchases, "c-2");
    second.leave();
    let mut second = processor.start_with("b", &with_more);
    second.wait_until_ready();
    counts(&processor, &more, "c-3");
    counts(&processor, &processor.purchases, "c-4");
    [first, second].iter_mut().for_each(Instance::leave);
}

/// Whose session is not over yet is still in the group.
#[test]
fn an_instance_that_was_killed_does_not_keep_the_next_one_from_another_output_topic() {
    let processor = Processor::new("killed", Partitions::alike(1)).with_session(SESSION);
    let mut first = processor.start("a");
    first.wait_until_ready();
    first.kill();
    let roas = format!("{}-other", processor.roas_updates);
    let mut second = processor.start_with("b", &[("PAYBACK_TOPICS__ROAS_UPDATES", roas.as_str())]);
    second.wait_until_ready();
    assert!(second.log().contains("waiting to see whether it is alive"), "{}", second.log());
    second.leave();
}
