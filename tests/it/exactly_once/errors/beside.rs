//! What stands beside the loop: the reader of `roas-updates`, the trimmer of what was read, and the look at the topics at
//! the start.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::topics::{beginnings, latest, read};

/// What a broker says of a partition that is somewhere else, or not to be read for a while.
const OF_PARTITION: [i16; 6] = [
    UNKNOWN_SERVER_ERROR,
    CORRUPT_MESSAGE,
    UNKNOWN_TOPIC_OR_PARTITION,
    NOT_LEADER_OR_FOLLOWER,
    KAFKA_STORAGE_ERROR,
    FENCED_LEADER_EPOCH,
];

fn each<const N: usize>(who: Who, api: Api, faults: [Fault; N]) -> Vec<(Who, Api, Fault)> {
    faults.map(|fault| (who, api, fault)).into()
}

/// The moment of a record, in milliseconds.
fn as_of(record: &Value) -> Option<i64> {
    let moment = record["as_of"].as_str()?.parse::<jiff::Timestamp>().ok()?;
    Some(moment.as_millisecond())
}

/// All campaigns, as the API shows them.
fn page(instance: &Instance) -> Option<Value> {
    serde_json::from_str(&instance.get("/v1/campaigns?limit=1000")?).ok()
}

/// The latest moment of all campaigns that the API shows, once it says that these are all.
fn shown(instance: &Instance) -> Option<i64> {
    let page = page(instance)?;
    let moments = page["campaigns"].as_array()?.iter().filter_map(as_of);
    if page["complete"] == true { moments.max() } else { None }
}

/// After the faults the same process works on, and its API shows all campaigns as they become.
#[track_caller]
fn reads_back(world: &mut World, when: When, faults: Faults<'_>) {
    world.goes_on(CAMPAIGNS, when, faults);
    let mut first = None;
    world.wait(&format!("the API follows the campaigns after {faults:?}"), |_, instance| {
        let now = shown(instance);
        first = first.or(now);
        now > first
    });
    let instance = world.running();
    assert!(!instance.has_ended(), "it ends after {faults:?}:\n{}", instance.log());
}

/// Where the topic is not what it was, all is read anew, and is not said to be all before it is.
fn shows_no_older_record_as_the_last(world: &mut World) {
    let mut before = None;
    world.wait("all campaigns are shown", |_, instance| {
        before = shown(instance);
        before.is_some()
    });
    // As long as these happen it is not known where the topic ends.
    let unknown = [(ReadBackWatcher, Api::ListOffsets, Denied(NOT_LEADER_OR_FOLLOWER)); 500];
    let gone = each(ReadBack, Api::Fetch, [DeniedPart(OFFSET_OUT_OF_RANGE)]);
    world.comes_to(CAMPAIGNS, Working, &[&gone[..], &unknown].concat());
    world.wait("these are not said to be all", |_, instance| {
        page(instance).is_some_and(|page| page["complete"] == false)
    });
    let (status, body) = world.running().ask("/readyz").expect("an answer");
    assert!(status == 503 && body.contains("records read back"), "{body}");
    world.proxy.behave();
    let mut after = None;
    world.wait("all campaigns are shown again", |_, instance| {
        after = shown(instance);
        after.is_some()
    });
    assert!(after >= before, "older records are shown as the last: {after:?}, {before:?} before");
}

/// Each campaign that was committed is shown, as it was committed then or later.
fn shows_what_is_committed(world: &mut World) {
    let topic = world.processor.roas_updates.clone();
    let mut shown = BTreeMap::new();
    for (key, record) in latest(&topic) {
        let id: String = key["campaign/".len()..].bytes().map(|byte| format!("%{byte:02X}")).collect();
        world.wait(&format!("{key} is shown as it is, or later"), |_, instance| {
            let text = instance.get(&format!("/v1/campaigns/{id}"));
            let mut found: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
            // Not of the record, but of the answer.
            let complete = found.as_mut().and_then(Value::as_object_mut).and_then(|found| found.remove("complete"));
            assert!(found.is_none() || complete.is_some_and(|complete| complete.is_boolean()), "{found:?}");
            let is_new = found.as_ref().is_some_and(|found| as_of(found) >= as_of(&record));
            shown.insert(key.clone(), found);
            is_new
        });
    }
    assert!(shown.len() > 2, "{shown:?}");
    let committed = read(&topic);
    for (key, found) in shown {
        let is_committed = committed.iter().any(|record| record.key() == key && record.json() == found);
        assert!(is_committed, "{key} is shown as nobody has committed it: {found:?}");
    }
}

#[test]
fn campaigns_that_can_not_be_read_back_are_shown_later_or_the_process_ends() {
    all_under_less("errors-read-back", |world| {
        // Something to be read.
        world.goes_on(CUSTOMERS, Working, &[]);
        reads_back(world, Working, &each(ReadBack, Api::Fetch, OF_PARTITION.map(DeniedPart)));
        reads_back(world, Working, &each(ReadBack, Api::Fetch, [Lost, Unanswered, DeniedPart(OFFSET_OUT_OF_RANGE)]));
        shows_no_older_record_as_the_last(world);
        shows_what_is_committed(world);
        let ends = [UNKNOWN_SERVER_ERROR, UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, OFFSET_NOT_AVAILABLE];
        let of_topics = [UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE];
        let start = [
            each(ReadBack, Api::Metadata, of_topics.map(DeniedPart)),
            each(ReadBackWatcher, Api::ListOffsets, ends.map(Denied)),
            each(ReadBack, Api::Fetch, OF_PARTITION.map(DeniedPart)),
        ];
        reads_back(world, Starting, &start.concat());
        for fault in [Lost, Unanswered] {
            let start = [
                each(ReadBack, Api::Metadata, [fault]),
                each(ReadBackWatcher, Api::ListOffsets, [fault]),
                each(ReadBack, Api::Fetch, [fault]),
            ];
            reads_back(world, Starting, &start.concat());
        }
        reads_back(world, Starting, &[(ReadBackWatcher, Api::ListOffsets, SLOW)]);
        shows_what_is_committed(world);

        let may_not = TOPIC_AUTHORIZATION_FAILED;
        for (when, fault) in [
            (Working, (ReadBack, Api::Fetch, DeniedPart(may_not))),
            (Starting, (ReadBackWatcher, Api::Metadata, DeniedPart(may_not))),
            (Starting, (ReadBackWatcher, Api::ListOffsets, Denied(may_not))),
        ] {
            // As often as it asks: a word about a topic is not the last before it has been asked for again.
            world.comes_to(CAMPAIGNS, when, &[fault; 500]);
            world.wait(&format!("{fault:?} ends it"), |_, _| false);
            let error = world.last_words();
            let expected = format!("payback: read-back: reading {} back: ", world.processor.roas_updates);
            assert!(error.starts_with(&expected) && error.contains("Topic authorization failed"), "{fault:?}: {error}");
            world.proxy.behave();
        }
    });
}

/// How often an instance has said that it can't delete.
fn complaints(instance: &Instance) -> usize {
    instance.log().matches("what was read can't be deleted").count()
}

#[test]
fn records_that_can_not_be_deleted_stay_for_a_while_and_change_no_figure() {
    let refused = [
        UNKNOWN_SERVER_ERROR,
        OFFSET_OUT_OF_RANGE,
        UNKNOWN_TOPIC_OR_PARTITION,
        NOT_LEADER_OR_FOLLOWER,
        REQUEST_TIMED_OUT,
        TOPIC_AUTHORIZATION_FAILED,
        POLICY_VIOLATION,
    ];
    all_under_less("errors-trimming", |world| {
        world.trims_every = "200";
        let topic = format!("{}-campaign-events", world.processor.application_id);
        let swept = || beginnings(&topic).values().sum::<i64>();
        let is_swept = |world: &mut World| {
            let before = swept();
            world.wait("what was read is deleted again", |_, _| swept() > before);
            world.running().must_run();
        };
        world.goes_on(CAMPAIGNS, Working, &[]);
        is_swept(world);
        assert_eq!(complaints(world.running()), 0);
        world.goes_on(CAMPAIGNS, Working, &each(Admin, Api::DeleteRecords, refused.map(Refused)));
        is_swept(world);
        assert_eq!(complaints(world.running()), 1, "it is said once as long as it lasts");
        world.goes_on(CAMPAIGNS, Working, &each(Admin, Api::DeleteRecords, [Refused(NOT_LEADER_OR_FOLLOWER)]));
        is_swept(world);
        assert_eq!(complaints(world.running()), 2, "and again the next time");
        world.goes_on(CAMPAIGNS, Working, &each(Admin, Api::DeleteRecords, [Lost, Unanswered, Kept]));
        is_swept(world);
        // Nobody waits for it at the end.
        world.goes_on(CAMPAIGNS, Working, &each(Admin, Api::DeleteRecords, [Kept]));
        world.instance.take().expect("it was started").leave();
    });
}

#[test]
fn topics_that_can_not_be_created_or_looked_at_yet_are_a_moment_later() {
    let passing = [NOT_CONTROLLER, REQUEST_TIMED_OUT, THROTTLING_QUOTA_EXCEEDED, UNKNOWN_SERVER_ERROR];
    let not_shown = [UNKNOWN_TOPIC_OR_PARTITION, REQUEST_TIMED_OUT, UNKNOWN_SERVER_ERROR];
    all_under_less("errors-topics", |world| {
        let unknown = [LEADER_NOT_AVAILABLE, UNKNOWN_SERVER_ERROR].map(DeniedPart);
        let first = [
            each(Admin, Api::Metadata, [Lost, Unanswered]),
            each(Admin, Api::CreateTopics, passing.map(Refused)),
            each(Admin, Api::CreateTopics, [Lost, Unanswered]),
            each(Admin, Api::DescribeConfigs, not_shown.map(Refused)),
            each(Admin, Api::DescribeConfigs, [Lost, Unanswered]),
        ];
        world.goes_on(CUSTOMERS, Starting, &first.concat());
        let waits = world.running().log().matches("Kafka does not answer: trying again until it does").count();
        assert_eq!(waits, 1, "it is said once:\n{}", world.running().log());
        let again = [each(Admin, Api::Metadata, unknown), each(Admin, Api::DescribeConfigs, [Kept])];
        world.goes_on(CAMPAIGNS, Starting, &again.concat());
    });
}

#[test]
fn topics_that_may_not_be_created_or_looked_at_end_the_start() {
    let by_another = "create it by `payback topics` as a user who may";
    for (api, error, why) in [
        (Api::CreateTopics, TOPIC_AUTHORIZATION_FAILED, by_another),
        (Api::CreateTopics, CLUSTER_AUTHORIZATION_FAILED, by_another),
        (Api::CreateTopics, POLICY_VIOLATION, "can't be created: "),
        (Api::CreateTopics, INVALID_REPLICATION_FACTOR, "can't be created: "),
        (Api::DescribeConfigs, TOPIC_AUTHORIZATION_FAILED, "needs the right DescribeConfigs"),
    ] {
        let mut world = World::new("errors-no-topics");
        // What is not shown is asked for again, for a few seconds.
        world.comes_to(CUSTOMERS, Starting, &[(Admin, api, Refused(error)); 200]);
        world.wait(&format!("{api:?} refused with {error} ends it"), |_, _| false);
        let words = world.last_words();
        let topic = format!("payback: topic {}", world.processor.application_id);
        assert!(words.starts_with(&topic) && words.contains(why), "{api:?} refused with {error}: {words}");
    }
}

/// A question that is answered late holds up whoever asked it: a worker that works asks none.
#[test]
fn lag_is_known_of_each_input_without_a_question() {
    all_under_less("errors-lag", |world| {
        // It has asked what it has to before it begins to work.
        world.comes_to(CUSTOMERS, Working, &[(Watcher, Api::ListOffsets, SLOW); 50]);
        let before = commits(world.running(), CUSTOMERS);
        let topics = [world.processor.purchases.clone(), format!("{}-customer-events", world.processor.application_id)];
        world.wait("lag is known", |_, instance| {
            topics.iter().all(|topic| instance.metrics().series("payback_consumer_lag", topic) == 2)
        });
        world.wait("it commits on", |_, instance| commits(instance, CUSTOMERS) >= before + 80.0);
        assert!(!world.proxy.has_struck(), "it asked where a partition ends");
    });
}

#[test]
fn commits_that_fail_are_counted_as_such() {
    all_under_less("errors-counted", |world| {
        for stage in [CUSTOMERS, CAMPAIGNS] {
            world.goes_on(stage, Working, &[(Worker, Api::EndTxn, Refused(INVALID_TXN_STATE))]);
            world.wait("it is counted", |_, instance| instance.metrics().commits(stage, "failed") > 0.0);
        }
    });
}
