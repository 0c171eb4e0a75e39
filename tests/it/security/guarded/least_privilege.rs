//! The rights that `docs/security.md` lists are enough, and each of them is used.

use rdkafka::producer::BaseRecord;

use super::acls::{Right, audit, covers, grant, named};
use super::{BROKER_IS_UP, Client, PASSWORD, set_password};
use crate::broker;
use crate::dead_letters::letter;
use crate::process::wait_until;
use crate::processor::{LIMIT, Partitions, Processor};
use crate::topics::{Loader, beginnings, read, unique};

const DOCUMENT: &str = include_str!("../../../../docs/security.md");

/// The rows of the table under a heading of the document, for the topics of a processor.
fn documented(heading: &str, processor: &Processor) -> Vec<Right> {
    let (_, section) = DOCUMENT.split_once(&format!("### {heading}\n")).expect("the document has the section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let mut rights = Vec::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let [_, resource, names, operations, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a row has a resource, names and rights: {row}")
        };
        // What stands in brackets is for people.
        let operations = operations.split(" (").next().expect("a first part");
        for name in names.split('`').skip(1).step_by(2) {
            for operation in operations.split(", ") {
                rights.push((named(resource), here(name, processor), named(operation)));
            }
        }
    }
    assert!(rights.len() > 1, "{heading}: {rights:?}");
    rights
}

/// A name of the document, as this processor has it.
fn here(name: &str, processor: &Processor) -> String {
    match name {
        "purchases" => processor.purchases.clone(),
        "ad-spend" => processor.spend.clone(),
        "ltv-updates" => processor.ltv_updates.clone(),
        "roas-updates" => processor.roas_updates.clone(),
        "dead-letters" => processor.dead_letters.clone(),
        other => {
            let rest = other.strip_prefix("payback-").expect("all other names begin with the application's id");
            format!("{}-{rest}", processor.application_id)
        }
    }
}

/// Every kind of event, some that can't be used, and keys that bring records to the wrong partition.
fn load(processor: &Processor, round: u32) {
    let loader = Loader::new();
    for number in 0..20 {
        let order = format!(
            r#"{{"type":"purchase","customer_id":"c-{number}","order_id":"o-{round}","occurred_at":"2026-01-02T03:04:05Z","revenue":10,
                "campaign_id":"m-{number}"}}"#
        );
        loader.send(&processor.purchases, &format!("any-{number}"), &order);
        let spend = format!(
            r#"{{"type":"ad_spend","campaign_id":"m-{number}","spend_id":"s-{round}","occurred_at":"2026-01-02T03:04:05Z","amount":3}}"#
        );
        loader.send(&processor.spend, &format!("any-{number}"), &spend);
    }
    loader.send(&processor.purchases, "any", "not an event");
    loader.send(&processor.spend, "any", "not an event");
    loader.flush();
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn the_documented_rights_are_enough_and_none_is_too_many() {
    let _up = BROKER_IS_UP.read();
    let user = unique("least");
    set_password(&user, PASSWORD);
    let processor = Processor::new("least-privilege", Partitions::alike(2));

    let to_create = documented("To create topics", &processor);
    grant("topics", &to_create);
    let client = Client::certified("topics.pem");
    let created = processor.command(&["topics"]).envs(client.0).output().expect("the program runs");
    let said = String::from_utf8_lossy(&created.stderr).into_owned() + &broker_says("topics");
    assert!(created.status.success(), "{said}");

    let to_run = documented("To run", &processor);
    grant(&user, &to_run);
    let client = Client::with_password(&user, PASSWORD).and("PAYBACK_TEST_TRIM_MS", "200");
    // A worker forwards what is at home with the other.
    let client = client.and("PAYBACK_WORKERS__CUSTOMERS", "2").and("PAYBACK_WORKERS__CAMPAIGNS", "2");
    load(&processor, 1);
    let mut first = processor.start_with("a", &client.0);
    processor.wait_until_done(&mut [&mut first]);
    first.wait_until_ready();
    // Another takes over what it leaves open, restores, and goes on.
    first.kill();
    load(&processor, 2);
    let mut second = processor.start_with("b", &client.0);
    processor.wait_until_done(&mut [&mut second]);
    second.wait_until_ready();
    for topic in ["customer-events", "campaign-events"] {
        let topic = format!("{}-{topic}", processor.application_id);
        let mut round = 2;
        wait_until("what was read is deleted from the internal topics", LIMIT, || {
            second.must_run();
            round += 1;
            load(&processor, round);
            beginnings(&topic).values().any(|first| *first > 0)
        });
    }
    second.leave();
    let letters = read(&processor.dead_letters).len();
    assert!(letters >= 4);
    for words in ["can't be deleted", "authorization"] {
        assert!(!second.log().contains(words), "{}", second.log());
    }

    let [lister, sender] = ["lister", "sender"].map(unique);
    let to_list = documented("To list dead letters", &processor);
    let to_send = documented("To send dead letters again", &processor);
    for (user, rights) in [(&lister, &to_list), (&sender, &to_send)] {
        set_password(user, PASSWORD);
        grant(user, rights);
    }
    let call = |user: &str, command: &str| {
        let client = Client::with_password(user, PASSWORD);
        let output = processor.command(&["dead-letters", command]).envs(client.0).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &broker_says(user);
        assert!(output.status.success(), "{user}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(call(&lister, "list").lines().count(), 1 + letters);
    assert!(call(&sender, "retry").starts_with(&format!("sent {letters} dead letters")));
    assert!(call(&sender, "retry").ends_with(&format!("\n{letters} sent by an earlier retry\n")));

    let all = [("topics", to_create), (&user, to_run), (&lister, to_list), (&sender, to_send)];
    for (user, granted) in all {
        let (used, denied) = audit(user);
        assert!(denied.is_empty(), "{user} lacks rights:\n{}", denied.join("\n"));
        let unused: Vec<_> = granted.iter().filter(|right| !used.iter().any(|used| covers(right, used))).collect();
        assert!(unused.is_empty(), "{user} has rights that are not used: {unused:?}");
    }
}

/// Rights that were lacking, as the broker says.
fn broker_says(user: &str) -> String {
    audit(user).1.join("\n")
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_right_that_is_lacking_ends_an_instance_with_a_line_that_names_it() {
    let _up = BROKER_IS_UP.read();
    let user = unique("lacking");
    set_password(&user, PASSWORD);
    let not_written = "partition 0: ";
    let lacking: [(Right, &str); 9] = [
        (("TOPIC", "purchases".to_owned(), "READ"), "source topic does not exist"),
        (("TOPIC", "roas-updates".to_owned(), "DESCRIBE_CONFIGS"), "needs the right DescribeConfigs"),
        (("TOPIC", "ltv-updates".to_owned(), "WRITE"), "Topic authorization failed"),
        (("TOPIC", "roas-updates".to_owned(), "WRITE"), not_written),
        (("TOPIC", "dead-letters".to_owned(), "WRITE"), "Topic authorization failed"),
        (("TOPIC", "payback-customers-changelog".to_owned(), "WRITE"), not_written),
        (("TOPIC", "payback-campaign-events".to_owned(), "WRITE"), not_written),
        (("GROUP", "payback-*".to_owned(), "READ"), "Group authorization failed"),
        (("TRANSACTIONAL_ID", "payback-*".to_owned(), "WRITE"), "Transactional Id authorization failed"),
    ];
    for (right, expected) in lacking {
        let processor = Processor::new("lacking", Partitions::alike(1));
        assert!(processor.command(&["topics"]).output().expect("the program runs").status.success());
        let right = (right.0, here(&right.1, &processor), right.2);
        let mut rights = documented("To run", &processor);
        let all = rights.len();
        rights.retain(|granted| *granted != right);
        assert_eq!(rights.len(), all - 1, "{right:?} is documented");
        grant(&user, &rights);
        load(&processor, 1);
        let mut instance = processor.start_with("a", &Client::with_password(&user, PASSWORD).0);
        wait_until(&format!("it ends without {right:?}"), LIMIT, || instance.has_ended());
        let status = instance.wait_for_end();
        let log = instance.log();
        assert_eq!(status.code(), Some(1), "{right:?}: {log}");
        let last = log.lines().last().expect("it says why");
        assert!(last.starts_with("payback: ") && last.contains(expected), "{right:?}: {log}");
        if expected == not_written {
            assert!(last.contains(&format!(" to {} partition 0: ", right.1)), "{right:?}: {log}");
            assert!(last.contains("Topic authorization failed"), "{right:?}: {log}");
        }
        assert!(broker::log().contains(&user), "the broker was asked");
    }
}

#[test]
#[ignore = "needs a Kafka that asks who is there"]
fn a_right_on_dead_letters_that_is_lacking_is_named_in_one_line() {
    let _up = BROKER_IS_UP.read();
    let user = unique("lacking-letters");
    set_password(&user, PASSWORD);
    let (list, retry) = (("list", "To list dead letters"), ("retry", "To send dead letters again"));
    let lacking: [_; 10] = [
        (list, "TOPIC", "dead-letters", "READ", "or is not shown to this user, who needs the right to read it"),
        (list, "GROUP", "payback-dead-letters-*", "DESCRIBE", "needs the right Describe on it"),
        (retry, "TOPIC", "dead-letters", "READ", "or is not shown to this user, who needs the right to read it"),
        (retry, "GROUP", "payback-dead-letters-*", "DESCRIBE", "needs the right Describe on it"),
        (retry, "TOPIC", "purchases", "WRITE", "needs the right Write on each of"),
        (retry, "TOPIC", "ad-spend", "WRITE", "needs the right Write on each of"),
        (retry, "TOPIC", "payback-dead-letters-retried", "CREATE", "needs the right Create on it"),
        (retry, "TOPIC", "payback-dead-letters-retried", "READ", "Topic authorization failed"),
        (retry, "TOPIC", "payback-dead-letters-retried", "WRITE", "needs the right Write on each of"),
        (retry, "TRANSACTIONAL_ID", "payback-dead-letters-retry", "WRITE", "Transactional Id authorization failed"),
    ];
    for ((command, heading), resource, name, operation, expected) in lacking {
        let processor = Processor::new("lacking-letters", Partitions::alike(1));
        assert!(processor.command(&["topics"]).output().expect("the program runs").status.success());
        let loader = Loader::new();
        for source in [&processor.purchases, &processor.spend] {
            loader.send_record(
                BaseRecord::to(&processor.dead_letters).key(b"k".as_slice()).headers(letter(source, false)),
            );
        }
        loader.flush();
        if operation != "CREATE" {
            // By somebody who may do anything.
            let before = processor.command(&["dead-letters", "retry"]).output().expect("the program runs");
            assert!(before.status.success(), "{before:?}");
        }
        let right = (resource, here(name, &processor), operation);
        let mut rights = documented(heading, &processor);
        let all = rights.len();
        rights.retain(|granted| *granted != right);
        assert_eq!(rights.len(), all - 1, "{right:?} is documented");
        grant(&user, &rights);
        let mut run = processor.command(&["dead-letters", command]);
        if command == "retry" {
            run.arg("--again");
        }
        let output = run.envs(Client::with_password(&user, PASSWORD).0).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{right:?}: {said}");
        assert!(
            said.starts_with("payback: ") && said.contains(expected) && said.lines().count() == 1,
            "{right:?}: {said}"
        );
    }
}
