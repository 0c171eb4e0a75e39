//! What brokers answer to those who read: of single partitions, of their ends, and of topics.

use super::*;

/// What a broker says of a partition while its leader moves, its disk fails, or one of both sides knows the other's past.
const OF_PARTITION: [i16; 11] = [
    UNKNOWN_SERVER_ERROR,
    CORRUPT_MESSAGE,
    UNKNOWN_TOPIC_OR_PARTITION,
    LEADER_NOT_AVAILABLE,
    NOT_LEADER_OR_FOLLOWER,
    REPLICA_NOT_AVAILABLE,
    KAFKA_STORAGE_ERROR,
    FENCED_LEADER_EPOCH,
    UNKNOWN_LEADER_EPOCH,
    OFFSET_NOT_AVAILABLE,
    UNKNOWN_TOPIC_ID,
];

/// Each of these errors once, of a partition with records.
fn each(who: Who, errors: &[i16]) -> Vec<(Who, Api, Fault)> {
    errors.iter().map(|&error| (who, Api::Fetch, DeniedPart(error))).collect()
}

#[test]
fn partitions_and_topics_that_can_not_be_read_change_no_figure() {
    let of_topics = |error| (Worker, Api::Metadata, DeniedPart(error));
    // Who was told that a leader has moved asks where to.
    let consumer = (Worker, Api::Fetch, DeniedPart(NOT_LEADER_OR_FOLLOWER));
    let producer = (Worker, Api::Produce, Refused(NOT_LEADER_OR_FOLLOWER));
    all_under_less("errors-reading", |world| {
        for stage in [CUSTOMERS, CAMPAIGNS] {
            world.goes_on(stage, Working, &each(Worker, &OF_PARTITION));
            // That is looked into, and is found to be untrue.
            world.goes_on(stage, Working, &each(Worker, &[OFFSET_OUT_OF_RANGE]));
            // Again, while what was undone is read anew.
            let undone = (Worker, Api::EndTxn, Refused(INVALID_TXN_STATE));
            world.goes_on(stage, Working, &[&[undone][..], &each(Worker, &[OFFSET_OUT_OF_RANGE; 2])].concat());
            // While it is looked into, nothing is known.
            let unknown = (Watcher, Api::ListOffsets, Denied(NOT_LEADER_OR_FOLLOWER));
            world.goes_on(stage, Working, &[&each(Worker, &[OFFSET_OUT_OF_RANGE])[..], &[unknown]].concat());
        }
        for error in [UNKNOWN_SERVER_ERROR, UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE] {
            world.goes_on(CUSTOMERS, Starting, &[of_topics(error)]);
            for asks in [consumer, producer] {
                world.goes_on(CUSTOMERS, Working, &[asks, of_topics(error)]);
            }
        }
        let may_not = "Topic authorization failed";
        world.ends(CUSTOMERS, Working, &each(Worker, &[TOPIC_AUTHORIZATION_FAILED]), may_not);
        world.ends(CAMPAIGNS, Working, &each(Worker, &[TOPIC_AUTHORIZATION_FAILED]), may_not);
        for asks in [consumer, producer] {
            world.ends(CUSTOMERS, Working, &[asks, of_topics(TOPIC_AUTHORIZATION_FAILED)], may_not);
        }
        world.ends(CUSTOMERS, Starting, &[of_topics(TOPIC_AUTHORIZATION_FAILED)], may_not);
    });
}

#[test]
fn a_changelog_that_can_not_be_read_changes_no_figure() {
    let of_ends = [
        LEADER_NOT_AVAILABLE,
        REPLICA_NOT_AVAILABLE,
        KAFKA_STORAGE_ERROR,
        FENCED_LEADER_EPOCH,
        UNKNOWN_LEADER_EPOCH,
        OFFSET_NOT_AVAILABLE,
    ];
    all_under_less("errors-changelog", |world| {
        // A state worth restoring.
        world.goes_on(CUSTOMERS, Working, &[]);
        world.goes_on(CAMPAIGNS, Working, &[]);
        for stage in [CUSTOMERS, CAMPAIGNS] {
            let ends: Vec<_> = of_ends.map(|error| (Watcher, Api::ListOffsets, Denied(error))).into();
            // At last it is read from its beginning, once more.
            world.goes_on(
                stage,
                Starting,
                &[ends, each(Restore, &OF_PARTITION), each(Restore, &[OFFSET_OUT_OF_RANGE])].concat(),
            );
            let undone = (Worker, Api::EndTxn, Refused(INVALID_TXN_STATE));
            world.goes_on(stage, Working, &[&[undone][..], &each(Restore, &[OFFSET_OUT_OF_RANGE])].concat());
        }
        let may_not = "Topic authorization failed";
        // Several, for an answer that comes after reading has begun anew is not looked at.
        world.ends(CUSTOMERS, Starting, &each(Restore, &[TOPIC_AUTHORIZATION_FAILED; 5]), may_not);
        let of_end = [(Watcher, Api::ListOffsets, Denied(TOPIC_AUTHORIZATION_FAILED))];
        world.ends(CAMPAIGNS, Starting, &of_end, may_not);
    });
}
