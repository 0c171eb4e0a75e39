//! Topics and offsets that are not the ones that they were: deleted and created again, or gone. Whatever it is, figures are right,
//! or the process ends at once and says what to do; and what it says is done here, and nothing else.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::brokers;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::topics::{Loader, create, create_with, delete, end_offsets, latest};

/// From when a topic is another one until the process has ended, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);
/// As `payback topics` makes them.
const COMPACT: [(&str, &str); 1] = [("cleanup.policy", "compact")];
const INTERNAL: [(&str, &str); 3] =
    [("retention.ms", "-1"), ("retention.bytes", "-1"), ("max.message.bytes", "4194304")];
/// Whoever looks so seldom does not see it.
const BLIND: [(&str, &str); 1] = [("PAYBACK_TEST_LOOK_MS", "600000")];

/// An order of 10 by each of these customers, on which campaign `m` takes part.
fn orders(processor: &Processor, customers: std::ops::Range<u32>) {
    let loader = Loader::new();
    for customer in customers {
        let order = format!(
            r#"{{"type":"purchase","customer_id":"c-{customer}","order_id":"o","occurred_at":"2026-01-02T03:04:05Z","revenue":10,"campaign_id":"m-{}"}}"#,
            customer % 8
        );
        loader.send(&processor.purchases, &format!("c-{customer}"), &order);
    }
    loader.flush();
}

/// Customers that campaigns have acquired, as their records say: all have come by one.
fn acquired(processor: &Processor) -> u64 {
    let lifetime = |record: &serde_json::Value| record["windows"]["lifetime"]["new_customers"].as_u64();
    latest(&processor.roas_updates).values().filter_map(lifetime).sum()
}

/// Waits until these are all customers, and campaigns know of all of their orders.
#[track_caller]
fn are_counted(processor: &Processor, instance: &mut Instance, customers: u64) {
    wait_until("all orders are counted, each once", LIMIT, || {
        instance.must_run();
        let known = latest(&processor.ltv_updates);
        let of_one = known.values().all(|record| record["orders"] == 1);
        (known.len() as u64, acquired(processor)) == (customers, customers) && of_one
    });
}

/// A processor of two partitions that has counted the orders of some customers.
fn with_orders(name: &str, customers: u32, variables: &[(&str, &str)]) -> (Processor, Instance) {
    let processor = Processor::new(name, Partitions::alike(2));
    let mut instance = processor.start_with("a", variables);
    instance.wait_until_ready();
    orders(&processor, 0..customers);
    are_counted(&processor, &mut instance, u64::from(customers));
    (processor, instance)
}

/// Its last line, once it has ended by itself.
#[track_caller]
fn last_word(mut instance: Instance, within: Duration) -> String {
    let status = instance.wait_for_end_within(within);
    let log = instance.log();
    assert_eq!(status.code(), Some(1), "{log}");
    log.lines().last().unwrap_or_default().to_owned()
}

/// What a start says that can't go on.
#[track_caller]
fn refusal(processor: &Processor) -> String {
    last_word(processor.start("a"), LIMIT)
}

/// What `payback recover` says.
#[track_caller]
fn recover(processor: &Processor, options: &[&str]) -> String {
    let output = processor.command(&["recover"]).args(options).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("an admin client")
}

fn wait_for<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(answer)
}

fn delete_groups(processor: &Processor) {
    let groups = ["customers", "campaigns"].map(|stage| format!("{}-{stage}", processor.application_id));
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let deleted = wait_for(admin().delete_groups(&groups, &AdminOptions::new())).expect("the broker answers");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}

#[test]
fn a_source_that_was_created_again_is_read_from_its_beginning() {
    let (processor, mut instance) = with_orders("recreated-source", 40, &[]);
    instance.leave();
    delete(&processor.purchases);
    create(&processor.purchases, 2);
    // Some are known, and count once.
    orders(&processor, 20..200);
    let mut instance = processor.start("a");
    are_counted(&processor, &mut instance, 200);
    let said = instance.log();
    let line = "the topic was deleted and created again: it is read from its beginning";
    assert_eq!(said.matches(line).count(), 2, "once a partition: {said}");
    instance.leave();
    // And from there on as ever.
    let mut instance = processor.start("a");
    orders(&processor, 200..210);
    are_counted(&processor, &mut instance, 210);
    assert!(!instance.log().contains(line), "{}", instance.log());
    instance.leave();
}

/// The offsets of a topic that is another one by now must not pass for those of the new one.
#[test]
fn a_source_that_is_created_again_meanwhile_ends_it_and_is_read_from_its_beginning_then() {
    let (processor, instance) = with_orders("source-meanwhile", 40, &[]);
    delete(&processor.purchases);
    create(&processor.purchases, 2);
    let said = last_word(instance, AT_ONCE);
    assert!(said.contains(&format!("{} was deleted and created again", processor.purchases)), "{said}");
    orders(&processor, 40..200);
    let mut instance = processor.start("a");
    are_counted(&processor, &mut instance, 200);
    instance.leave();
}

#[test]
fn a_changelog_that_is_created_again_ends_it_at_once_and_no_start_takes_it_for_the_state() {
    for stage in ["customers", "campaigns"] {
        let (processor, instance) = with_orders("changelog", 40, &[]);
        let changelog = format!("{}-{stage}-changelog", processor.application_id);
        delete(&changelog);
        create_with(&changelog, 2, &COMPACT);
        let said = last_word(instance, AT_ONCE);
        assert!(said.contains(&format!("{changelog} was deleted and created again")), "{said}");
        assert!(said.contains("another `kafka.application_id`"), "it says what to do: {said}");
        let said = refusal(&processor);
        assert!(said.contains(&changelog) && said.contains("another `kafka.application_id`"), "{said}");
    }
}

/// As by infrastructure code in the night before a restart.
#[test]
fn a_start_finds_out_that_a_changelog_is_another_one_which_was_written_to_since() {
    for stage in ["customers", "campaigns"] {
        let (processor, mut instance) = with_orders("changelog-unseen", 40, &BLIND);
        let changelog = format!("{}-{stage}-changelog", processor.application_id);
        delete(&changelog);
        create_with(&changelog, 2, &COMPACT);
        orders(&processor, 40..200);
        are_counted(&processor, &mut instance, 200);
        instance.leave();
        let said = refusal(&processor);
        assert!(said.contains(&format!("go with another state than what is in {changelog}")), "{said}");
        assert!(said.contains("another `kafka.application_id`"), "it says what to do: {said}");
        let output = processor.command(&["recover", "--yes"]).output().expect("the program runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains("can't be had back"), "{error}");
    }
}

#[test]
fn an_internal_topic_that_is_created_again_ends_it_at_once_and_recover_goes_on_with_the_new_one() {
    let (processor, instance) = with_orders("internal", 40, &[]);
    let events = format!("{}-campaign-events", processor.application_id);
    delete(&events);
    create_with(&events, 2, &INTERNAL);
    let said = last_word(instance, AT_ONCE);
    assert!(said.contains(&format!("{events} was deleted and created again")), "{said}");
    assert!(said.contains("`payback recover`"), "it says what to do: {said}");
    goes_on_by_recover(&processor, &events);
}

#[test]
fn an_internal_topic_that_was_deleted_while_it_was_stopped_is_gone_on_with_by_recover() {
    let (processor, mut instance) = with_orders("internal-stopped", 40, &[]);
    instance.leave();
    let events = format!("{}-campaign-events", processor.application_id);
    delete(&events);
    goes_on_by_recover(&processor, &events);
}

/// Does what is printed, and nothing else.
#[track_caller]
fn goes_on_by_recover(processor: &Processor, topic: &str) {
    let said = refusal(processor);
    for partition in 0..2 {
        assert!(said.contains(&format!("{topic} partition {partition} (read up to offset ")), "all of them: {said}");
    }
    assert!(said.contains("was deleted and created again") && said.contains("`payback recover`"), "{said}");
    let plan = recover(processor, &[]);
    for partition in 0..2 {
        assert!(plan.contains(&format!("{topic} partition {partition}: goes on at offset 0")), "{plan}");
    }
    assert!(plan.contains("run `payback recover --yes`"), "{plan}");
    let again = recover(processor, &[]);
    assert_eq!(plan, again, "nothing was changed");
    let done = recover(processor, &["--yes"]);
    assert!(done.ends_with("Start payback again\n"), "{done}");
    let mut instance = processor.start("a");
    instance.wait_until_ready();
    orders(processor, 40..60);
    are_counted(processor, &mut instance, 60);
    instance.leave();
    assert_eq!(recover(processor, &[]), "nothing is to be set: all partitions can go on\n");
}

#[test]
fn groups_that_were_deleted_are_gone_on_with_after_one_start_and_one_command() {
    let (processor, mut instance) = with_orders("groups", 40, &[]);
    instance.leave();
    delete_groups(&processor);
    orders(&processor, 40..60);
    let said = refusal(&processor);
    assert!(said.contains("`payback recover`"), "{said}");
    let plan = recover(&processor, &[]);
    for topic in [&processor.purchases, &processor.spend] {
        for partition in 0..2 {
            let line = format!("{topic} partition {partition}: goes on at offset ");
            assert!(plan.contains(&line), "{line}: {plan}");
        }
    }
    assert!(plan.lines().filter(|line| line.ends_with("nothing is lost")).count() == 8, "{plan}");
    // Whoever it is that is in the group.
    let group = format!("{}-customers", processor.application_id);
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", &group)
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    member.subscribe(&[&processor.purchases]).expect("subscribed");
    wait_until("it is a member", LIMIT, || {
        let _ = member.poll(Duration::from_millis(100));
        member.assignment().is_ok_and(|assigned| assigned.count() > 0)
    });
    let output = processor.command(&["recover", "--yes"]).output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("nothing was changed: rdkafka at "), "{error}");
    drop(member);
    assert_eq!(recover(&processor, &[]), plan);
    recover(&processor, &["--yes"]);
    let mut instance = processor.start("a");
    are_counted(&processor, &mut instance, 60);
    instance.leave();
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_counted_and_passed_over_by_recover() {
    let (processor, mut instance) = with_orders("passed-over", 40, &[]);
    instance.leave();
    let read = end_offsets(&processor.purchases)[&0];
    orders(&processor, 40..100);
    let written = end_offsets(&processor.purchases)[&0] - read;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&processor.purchases, 0, Offset::Offset(read + 5)).expect("a valid offset");
    wait_for(admin().delete_records(&before, &AdminOptions::new())).expect("the broker deletes records");
    assert!(written > 5, "{written}");
    let said = refusal(&processor);
    assert!(said.contains("5 are lost") && said.contains("`payback recover`"), "{said}");
    let plan = recover(&processor, &[]);
    let line =
        format!("{} partition 0: goes on at offset {}, its beginning: the 5 records", processor.purchases, read + 5);
    assert!(plan.contains(&line) && plan.lines().count() == 2, "{plan}");
    recover(&processor, &["--yes"]);
    let mut instance = processor.start("a");
    are_counted(&processor, &mut instance, 95);
    instance.leave();
}

#[test]
fn a_topic_that_is_gone_is_said_to_be_gone() {
    let (processor, mut instance) = with_orders("gone", 8, &[]);
    delete(&processor.roas_updates);
    let not_ready = |instance: &Instance| {
        let (status, body) = instance.ask("/readyz").unwrap_or_default();
        (status == 503).then_some(body)
    };
    wait_until("it is not ready", LIMIT, || {
        instance.must_run();
        let gone = format!("{} is gone: it was deleted", processor.roas_updates);
        not_ready(&instance).is_some_and(|body| body.contains("topic_gone") && body.contains(&gone))
    });
    create_with(&processor.roas_updates, 2, &COMPACT);
    instance.wait_until_ready();
    are_counted(&processor, &mut instance, 8);
    assert!(instance.log().contains("writing all records again"), "{}", instance.log());

    delete(&processor.spend);
    let said = last_word(instance, AT_ONCE);
    assert!(said.contains(&format!("{} is gone: it was deleted", processor.spend)), "{said}");
}
