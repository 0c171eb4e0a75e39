//! What coordinators answer: who they are, who is a member of a group, and what it committed.

use super::*;

/// Of those that librdkafka takes alike, one.
const OF_MEMBER: [i16; 5] =
    [UNKNOWN_SERVER_ERROR, COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID];

/// One fault after the other, each at the next request of its kind.
fn each(who: Who, api: Api, errors: &[i16], fault: fn(i16) -> Fault) -> Vec<(Who, Api, Fault)> {
    errors.iter().map(|&error| (who, api, fault(error))).collect()
}

#[test]
fn a_group_that_does_not_take_a_member_changes_no_figure() {
    // A member that has to join anew.
    let rejoins = (Worker, Api::Heartbeat, Refused(REBALANCE_IN_PROGRESS));
    let of_join = each(Worker, Api::JoinGroup, &OF_MEMBER, Refused);
    let of_sync = each(Worker, Api::SyncGroup, &OF_MEMBER, Refused);
    let of_heartbeat = [
        UNKNOWN_SERVER_ERROR,
        COORDINATOR_LOAD_IN_PROGRESS,
        COORDINATOR_NOT_AVAILABLE,
        NOT_COORDINATOR,
        GROUP_AUTHORIZATION_FAILED,
    ];
    all_under_less("errors-members", |world| {
        // So that a transaction is open, most of the time, when partitions are lost.
        world.commits_every = "400";
        for stage in [CUSTOMERS, CAMPAIGNS] {
            for error in [UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION] {
                world.goes_on(stage, Working, &[(Worker, Api::Heartbeat, Refused(error))]);
            }
        }
        for error in of_heartbeat {
            world.goes_on(CUSTOMERS, Working, &[(Worker, Api::Heartbeat, Refused(error))]);
        }
        world.goes_on(CUSTOMERS, Working, &[&[rejoins][..], &of_join].concat());
        world.goes_on(CAMPAIGNS, Working, &[&[rejoins][..], &of_sync].concat());
        // It is a member, and is told that it is none; it may join, and is told that it may not sync.
        let joined = (Worker, Api::JoinGroup, Denied(REBALANCE_IN_PROGRESS));
        world.goes_on(CUSTOMERS, Working, &[rejoins, joined, (Worker, Api::SyncGroup, Denied(NOT_COORDINATOR))]);
        world.goes_on(CAMPAIGNS, Working, &[rejoins, (Worker, Api::SyncGroup, Refused(GROUP_AUTHORIZATION_FAILED))]);
        // Under the id that it was given by the answer before.
        let named = (Worker, Api::JoinGroup, Denied(MEMBER_ID_REQUIRED));
        world.goes_on(CUSTOMERS, Starting, &[named, (Worker, Api::JoinGroup, Refused(NOT_COORDINATOR))]);
        for (error, why) in [
            (GROUP_AUTHORIZATION_FAILED, "Group authorization failed"),
            (INVALID_GROUP_ID, "Invalid group.id"),
            (INVALID_SESSION_TIMEOUT, "Invalid session timeout"),
            (INCONSISTENT_GROUP_PROTOCOL, "Inconsistent group protocol"),
            (GROUP_MAX_SIZE_REACHED, "maximum size"),
            (FENCED_INSTANCE_ID, "fenced"),
        ] {
            world.ends(CUSTOMERS, Starting, &[(Worker, Api::JoinGroup, Refused(error))], why);
        }
        world.ends(CAMPAIGNS, Starting, &[(Worker, Api::SyncGroup, Refused(FENCED_INSTANCE_ID))], "fenced");
        // A group that could not be left has lost its member all the same, a session later.
        for fault in [Refused(COORDINATOR_NOT_AVAILABLE), Unanswered] {
            world.goes_on(CUSTOMERS, Working, &[]);
            let plan = |stage: &str| Plan { api: Api::LeaveGroup, client: format!("{stage}-a-0"), fault };
            world.proxy.plan([CUSTOMERS, CAMPAIGNS].map(plan));
            world.instance.take().expect("it was started").leave();
            assert!(world.proxy.is_done());
        }
    });
}

#[test]
fn a_coordinator_that_is_not_found_or_does_not_tell_changes_no_figure() {
    let passing = [UNKNOWN_SERVER_ERROR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, REQUEST_TIMED_OUT];
    all_under_less("errors-coordinators", |world| {
        for stage in [CUSTOMERS, CAMPAIGNS] {
            let start = [
                each(Worker, Api::FindTransaction, &passing, Refused),
                each(Worker, Api::InitProducerId, &[UNKNOWN_SERVER_ERROR, REQUEST_TIMED_OUT], Refused),
                each(Worker, Api::FindGroup, &passing, Refused),
                each(Worker, Api::OffsetFetch, &[COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR], Denied),
                each(Worker, Api::OffsetFetch, &[UNSTABLE_OFFSET_COMMIT, UNKNOWN_TOPIC_OR_PARTITION], DeniedPart),
            ];
            world.goes_on(stage, Starting, &start.concat());
            // What was undone is read again from the committed offsets.
            let undone = (Worker, Api::EndTxn, Refused(INVALID_TXN_STATE));
            world.goes_on(stage, Working, &[undone, (Worker, Api::OffsetFetch, DeniedPart(UNSTABLE_OFFSET_COMMIT))]);
        }
        // The producer asks for the group's coordinator once it has lost it.
        let has_moved = (Worker, Api::TxnOffsetCommit, Refused(NOT_COORDINATOR));
        for fault in passing.map(Refused).into_iter().chain([Lost, Unanswered]) {
            world.goes_on(CUSTOMERS, Working, &[has_moved, (Worker, Api::FindGroup, fault)]);
        }
        let of_a_group = "Group authorization failed";
        let may_not = [has_moved, (Worker, Api::FindGroup, Refused(GROUP_AUTHORIZATION_FAILED))];
        world.ends(CUSTOMERS, Working, &may_not, of_a_group);
        for (api, fault, why) in [
            (Api::FindGroup, Refused(GROUP_AUTHORIZATION_FAILED), of_a_group),
            (Api::FindGroup, Refused(INVALID_GROUP_ID), "Invalid group.id"),
            (
                Api::FindTransaction,
                Refused(TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
                "Transactional Id authorization failed",
            ),
            (Api::FindTransaction, Refused(CLUSTER_AUTHORIZATION_FAILED), "Cluster authorization failed"),
            (Api::InitProducerId, Refused(INVALID_TRANSACTION_TIMEOUT), "Transaction timeout is larger"),
            (Api::OffsetFetch, DeniedPart(TOPIC_AUTHORIZATION_FAILED), "Topic authorization failed"),
        ] {
            world.ends(CAMPAIGNS, Starting, &[(Worker, api, fault)], why);
        }
    });
}
