//! Each error that Kafka can answer a worker with, at each step of a transaction, of a restore and of the group: the worker
//! goes on, or the process ends and says why. Either way the figures are those of the batch.
//!
//! The errors are made by a proxy in front of the real Kafka, so that what was committed is what Kafka says.

mod beside;
mod ending;
mod group;
mod reading;
mod straggling;

use std::time::Duration;

use super::check::{every_update, figures_of_now, final_figures};
use super::feed::Feed;
use super::load::{Steady, disturbed, mixed, now, shop};
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT, Partitions, Processor};
use crate::proxy::Fault::{Denied, DeniedPart, Kept, Late, Lost, Refused, Straggles, Unanswered};
use crate::proxy::{Api, Fault, Plan, Proxy};

/// Codes of Kafka's protocol: <https://kafka.apache.org/protocol#protocol_error_codes>.
mod code {
    pub const UNKNOWN_SERVER_ERROR: i16 = -1;
    pub const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub const CORRUPT_MESSAGE: i16 = 2;
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub const LEADER_NOT_AVAILABLE: i16 = 5;
    pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub const REQUEST_TIMED_OUT: i16 = 7;
    pub const REPLICA_NOT_AVAILABLE: i16 = 9;
    pub const MESSAGE_TOO_LARGE: i16 = 10;
    pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub const NOT_COORDINATOR: i16 = 16;
    pub const NOT_ENOUGH_REPLICAS: i16 = 19;
    pub const ILLEGAL_GENERATION: i16 = 22;
    pub const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
    pub const INVALID_GROUP_ID: i16 = 24;
    pub const UNKNOWN_MEMBER_ID: i16 = 25;
    pub const INVALID_SESSION_TIMEOUT: i16 = 26;
    pub const REBALANCE_IN_PROGRESS: i16 = 27;
    pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub const GROUP_AUTHORIZATION_FAILED: i16 = 30;
    pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    pub const INVALID_REPLICATION_FACTOR: i16 = 38;
    pub const NOT_CONTROLLER: i16 = 41;
    pub const POLICY_VIOLATION: i16 = 44;
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
    pub const INVALID_PRODUCER_EPOCH: i16 = 47;
    pub const INVALID_TXN_STATE: i16 = 48;
    pub const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
    pub const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
    pub const CONCURRENT_TRANSACTIONS: i16 = 51;
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
    pub const KAFKA_STORAGE_ERROR: i16 = 56;
    pub const UNKNOWN_PRODUCER_ID: i16 = 59;
    pub const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
    pub const FENCED_LEADER_EPOCH: i16 = 74;
    pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
    pub const OFFSET_NOT_AVAILABLE: i16 = 78;
    pub const MEMBER_ID_REQUIRED: i16 = 79;
    pub const GROUP_MAX_SIZE_REACHED: i16 = 81;
    pub const FENCED_INSTANCE_ID: i16 = 82;
    pub const UNSTABLE_OFFSET_COMMIT: i16 = 88;
    pub const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
    pub const PRODUCER_FENCED: i16 = 90;
    pub const UNKNOWN_TOPIC_ID: i16 = 100;
}
use code::*;

const CUSTOMERS: &str = "customers";
const CAMPAIGNS: &str = "campaigns";

/// Which client a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A worker's consumer and its producer, which go by one name.
    Worker,
    /// A worker's that asks for offsets.
    Watcher,
    /// A worker's that reads the changelog.
    Restore,
    /// The one that reads `roas-updates` back.
    ReadBack,
    /// The one that asks where `roas-updates` ends.
    ReadBackWatcher,
    /// Those that look after topics: at the start, and the trimmer's.
    Admin,
}
use Who::{Admin, ReadBack, ReadBackWatcher, Restore, Watcher, Worker};

/// What happens, all of it at the next occasion.
type Faults<'a> = &'a [(Who, Api, Fault)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Working,
    Starting,
}
use When::{Starting, Working};

/// A processor whose instance sees Kafka through a proxy, and is started again whenever it has ended.
struct World {
    /// Before the folder of its log, which it shows when a test fails.
    instance: Option<Instance>,
    processor: Processor,
    proxy: Proxy,
    /// How often it commits, in milliseconds.
    commits_every: &'static str,
    /// How often it deletes what was read, in milliseconds.
    trims_every: &'static str,
    /// For how long its clients wait before they repeat a request, in milliseconds, where that is not as always.
    backs_off: Option<&'static str>,
    /// In which way it works wrongly.
    works_wrongly: Option<&'static str>,
}

impl World {
    fn new(name: &str) -> World {
        let processor = Processor::new(name, Partitions::alike(2));
        let proxy = Proxy::start();
        World {
            instance: None,
            processor,
            proxy,
            commits_every: "100",
            trims_every: "60000",
            backs_off: None,
            works_wrongly: None,
        }
    }

    fn start(&mut self) {
        let address = self.proxy.address();
        let mut variables = vec![
            ("PAYBACK_KAFKA__BROKERS", address.as_str()),
            ("PAYBACK_COMMIT__INTERVAL_MS", self.commits_every),
            ("PAYBACK_TEST_TRIM_MS", self.trims_every),
        ];
        variables.extend(self.backs_off.map(|time| ("PAYBACK_KAFKA__PROPERTIES__RETRY_BACKOFF_MS", time)));
        variables.extend(self.works_wrongly.map(|fault| ("PAYBACK_TEST_FAULT", fault)));
        self.instance = Some(self.processor.start_with("a", &variables));
    }

    fn wait(&mut self, what: &str, mut condition: impl FnMut(&Proxy, &Instance) -> bool) {
        let (proxy, instance) = (&self.proxy, self.instance.as_mut().expect("it was started"));
        wait_until(what, LIMIT, || {
            // A worker that waits for Kafka is alive.
            let stalled = instance.ask("/healthz").filter(|(status, _)| *status != 200);
            assert_eq!(stalled, None, "{what}");
            instance.has_ended() || condition(proxy, instance)
        });
    }

    /// Lets faults happen to the workers of a stage or beside them, and waits until it works again or has ended.
    fn meets(&mut self, stage: &str, when: When, faults: Faults<'_>) {
        self.comes_to(stage, when, faults);
        self.wait(&format!("{faults:?} happen to {stage}"), |proxy, _| proxy.is_done());
        let before = commits(self.running(), stage);
        self.wait(&format!("{stage} goes on after {faults:?}, or ends"), |_, instance| {
            commits(instance, stage) >= before + 2.0
        });
        self.proxy.behave();
    }

    /// Brings an instance to where faults are to happen, and plans them.
    fn comes_to(&mut self, stage: &str, when: When, faults: Faults<'_>) {
        let plans = faults.iter().map(|&(who, api, fault)| {
            let client = match who {
                Worker => format!("{stage}-a-0"),
                Watcher => format!("{stage}-watcher"),
                Restore => format!("{stage}-changelog-restore"),
                ReadBack => "-read-back".to_owned(),
                ReadBackWatcher => "-read-back-watcher".to_owned(),
                // The only ones that have no name of their own.
                Admin => "rdkafka".to_owned(),
            };
            Plan { api, client, fault }
        });
        match when {
            Working => {
                if self.instance.is_none() {
                    self.start();
                }
                self.wait("it works", |_, instance| commits(instance, stage) > 0.0);
                self.running().must_run();
                self.proxy.plan(plans);
            }
            Starting => {
                if let Some(mut instance) = self.instance.take() {
                    instance.leave();
                }
                self.proxy.plan(plans);
                self.start();
            }
        }
    }

    fn running(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("it was started")
    }

    /// After the faults the same process works on.
    #[track_caller]
    fn goes_on(&mut self, stage: &str, when: When, faults: Faults<'_>) {
        self.meets(stage, when, faults);
        let instance = self.running();
        assert!(!instance.has_ended(), "it ends after {faults:?}:\n{}", instance.log());
    }

    /// The process ends, and says why in one line.
    #[track_caller]
    fn ends(&mut self, stage: &str, when: When, faults: Faults<'_>, why: &str) {
        self.meets(stage, when, faults);
        let error = self.last_words();
        assert!(error.starts_with(&format!("payback: {stage}/0: ")) && error.contains(why), "{faults:?}: {error}");
    }

    /// The one line that the process has ended with.
    #[track_caller]
    fn last_words(&mut self) -> String {
        let mut instance = self.instance.take().expect("it was started");
        assert!(instance.has_ended(), "it goes on:\n{}", instance.log());
        let (status, log) = (instance.wait_for_end(), instance.log());
        assert_eq!(status.code(), Some(1), "{log}");
        let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("payback: ")).collect();
        let [error] = errors.as_slice() else { panic!("it says {} errors:\n{log}", errors.len()) };
        (*error).to_owned()
    }
}

/// Transactions that a stage's worker has committed.
fn commits(instance: &Instance, stage: &str) -> f64 {
    instance.metrics().commits(stage, "committed")
}

/// Runs all of `faults` under load, one after the other, and compares what came out with the batch.
fn all(name: &str, faults: impl FnOnce(&mut World)) {
    under_load(name, (1_000, 600, 80), faults);
}

/// A quarter of that: what is to be compared takes a while.
fn all_under_less(name: &str, faults: impl FnOnce(&mut World)) {
    under_load(name, (250, 150, 40), faults);
}

/// The load is a shop of about so many customers and so many steady orders a partition, so many events a second at first.
fn under_load(name: &str, (customers, steady, rate): (u32, usize, u32), faults: impl FnOnce(&mut World)) {
    let mut world = World::new(name);
    let steady = Steady::new(2, steady);
    let load = mixed(disturbed(shop(customers)), steady.deliveries());
    let feed = Feed::start(&world.processor, &load, rate);
    faults(&mut world);
    feed.must_go_on();
    feed.finish();
    if world.instance.is_none() {
        world.start();
    }
    let mut instance = world.instance.take().expect("it was started");
    world.processor.wait_until_done(&mut [&mut instance]);
    figures_of_now(&world.processor, &mut [&mut instance], &load, now);
    instance.leave();
    final_figures(&world.processor, &load);
    every_update(&world.processor, &steady);
}

/// Longer than a worker waits for an answer before it asks again.
const SLOW: Fault = Late(Duration::from_secs(3));
/// Longer than a transaction may stay open.
const TOO_LATE: Fault = Late(Duration::from_secs(12));
/// Longer than a worker may be without a sign of life.
const STUCK: Fault = Late(Duration::from_secs(45));

#[test]
fn an_end_of_a_transaction_that_fails_or_is_not_known_changes_no_figure() {
    let to_be_repeated =
        [COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS];
    let to_be_undone =
        [UNKNOWN_SERVER_ERROR, REQUEST_TIMED_OUT, UNKNOWN_PRODUCER_ID, INVALID_PRODUCER_ID_MAPPING, INVALID_TXN_STATE];
    all("errors-end", |world| {
        for error in to_be_repeated.into_iter().chain(to_be_undone) {
            for fault in [Refused(error), Denied(error)] {
                world.goes_on(CUSTOMERS, Working, &[(Worker, Api::EndTxn, fault)]);
            }
        }
        for stage in [CUSTOMERS, CAMPAIGNS] {
            for fault in [Lost, Unanswered] {
                world.goes_on(stage, Working, &[(Worker, Api::EndTxn, fault)]);
            }
            // The abort fails as well.
            let failed = (Worker, Api::EndTxn, Refused(UNKNOWN_SERVER_ERROR));
            for fault in [Lost, Unanswered, Refused(UNKNOWN_SERVER_ERROR), Denied(UNKNOWN_SERVER_ERROR)] {
                world.goes_on(stage, Working, &[failed, (Worker, Api::EndTxn, fault)]);
            }
            // And the introduction of the producer that is to take over.
            let failed = (Worker, Api::EndTxn, Refused(INVALID_TXN_STATE));
            for fault in [Lost, Unanswered, Refused(CONCURRENT_TRANSACTIONS)] {
                world.goes_on(stage, Working, &[failed, (Worker, Api::InitProducerId, fault)]);
            }
        }
        world.goes_on(CUSTOMERS, Working, &[(Worker, Api::EndTxn, TOO_LATE)]);
        // Five times within a minute can be an accident, the sixth can't.
        let fenced = [Refused(PRODUCER_FENCED), Denied(PRODUCER_FENCED)];
        for &fault in fenced.iter().cycle().take(5) {
            world.goes_on(CAMPAIGNS, Working, &[(Worker, Api::EndTxn, fault)]);
        }
        let fenced_again = [(Worker, Api::EndTxn, Denied(INVALID_PRODUCER_EPOCH))];
        world.ends(CAMPAIGNS, Working, &fenced_again, "`kafka.instance_id` must be unique");
        for fault in [Refused(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), Denied(TRANSACTIONAL_ID_AUTHORIZATION_FAILED)] {
            let may_not = "Transactional Id authorization failed";
            world.ends(CUSTOMERS, Working, &[(Worker, Api::EndTxn, fault)], may_not);
        }
    });
}

#[test]
fn a_worker_that_gets_no_answer_goes_on_in_time_to_be_taken_for_alive() {
    all_under_less("errors-stuck", |world| {
        world.goes_on(CUSTOMERS, Working, &[]);
        // First its records, then the abort of their transaction, however often it is asked for.
        world.proxy.plan([Plan { api: Api::Produce, client: format!("{CUSTOMERS}-a-0"), fault: STUCK }]);
        world.wait("records get no answer", |proxy, _| proxy.is_done());
        world.goes_on(CUSTOMERS, Working, &[(Worker, Api::EndTxn, STUCK); 3]);
    });
}

#[test]
fn records_that_are_not_taken_change_no_figure() {
    let of_records = [
        UNKNOWN_SERVER_ERROR,
        CORRUPT_MESSAGE,
        UNKNOWN_TOPIC_OR_PARTITION,
        NOT_LEADER_OR_FOLLOWER,
        REQUEST_TIMED_OUT,
        NOT_ENOUGH_REPLICAS,
        OUT_OF_ORDER_SEQUENCE_NUMBER,
        INVALID_TXN_STATE,
        UNKNOWN_PRODUCER_ID,
    ];
    let of_partitions = [
        UNKNOWN_SERVER_ERROR,
        UNKNOWN_TOPIC_OR_PARTITION,
        NOT_COORDINATOR,
        CONCURRENT_TRANSACTIONS,
        INVALID_PRODUCER_ID_MAPPING,
        INVALID_TXN_STATE,
    ];
    all("errors-records", |world| {
        for (api, errors) in [(Api::Produce, &of_records[..]), (Api::AddPartitionsToTxn, &of_partitions)] {
            for &error in errors {
                world.goes_on(CUSTOMERS, Working, &[(Worker, api, Refused(error))]);
            }
            for fault in [Lost, Unanswered] {
                world.goes_on(CUSTOMERS, Working, &[(Worker, api, fault)]);
                world.goes_on(CAMPAIGNS, Working, &[(Worker, api, fault)]);
            }
            let may_not = "Topic authorization failed";
            world.ends(CUSTOMERS, Working, &[(Worker, api, Refused(TOPIC_AUTHORIZATION_FAILED))], may_not);
        }
        world.ends(CUSTOMERS, Working, &[(Worker, Api::Produce, Refused(MESSAGE_TOO_LARGE))], "Message size too large");
    });
}

#[test]
fn offsets_that_are_not_taken_change_no_figure() {
    let of_group = [
        UNKNOWN_SERVER_ERROR,
        COORDINATOR_NOT_AVAILABLE,
        CONCURRENT_TRANSACTIONS,
        INVALID_PRODUCER_ID_MAPPING,
        INVALID_TXN_STATE,
    ];
    let of_offsets = [
        UNKNOWN_SERVER_ERROR,
        UNKNOWN_TOPIC_OR_PARTITION,
        COORDINATOR_LOAD_IN_PROGRESS,
        NOT_COORDINATOR,
        // As from a group that has moved on: after a while without news of it the worker begins anew.
        ILLEGAL_GENERATION,
    ];
    all("errors-offsets", |world| {
        for (api, errors) in [(Api::AddOffsetsToTxn, &of_group[..]), (Api::TxnOffsetCommit, &of_offsets)] {
            for &error in errors {
                world.goes_on(CUSTOMERS, Working, &[(Worker, api, Refused(error))]);
            }
            for fault in [Lost, Unanswered] {
                world.goes_on(CUSTOMERS, Working, &[(Worker, api, fault)]);
                world.goes_on(CAMPAIGNS, Working, &[(Worker, api, fault)]);
            }
            let may_not = "Group authorization failed";
            world.ends(CUSTOMERS, Working, &[(Worker, api, Refused(GROUP_AUTHORIZATION_FAILED))], may_not);
        }
    });
}

#[test]
fn a_start_a_group_and_a_restore_that_fail_change_no_figure() {
    let of_producer = [COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS];
    all("errors-group", |world| {
        for error in of_producer {
            world.goes_on(CUSTOMERS, Starting, &[(Worker, Api::InitProducerId, Refused(error))]);
        }
        for fault in [Lost, Unanswered] {
            // One start, and each thing goes wrong once.
            let start = [Api::FindTransaction, Api::InitProducerId, Api::FindGroup, Api::JoinGroup, Api::SyncGroup];
            let start = start.into_iter().chain([Api::OffsetFetch]);
            let start: Vec<_> = start.map(|api| (Worker, api, fault)).collect();
            world.goes_on(CUSTOMERS, Starting, &start);
            world.goes_on(CAMPAIGNS, Starting, &start);
            let restore = [(Watcher, Api::ListOffsets, fault), (Restore, Api::Fetch, fault)];
            world.goes_on(CUSTOMERS, Starting, &restore);
            world.goes_on(CUSTOMERS, Working, &[(Worker, Api::Heartbeat, fault)]);
            world.goes_on(CUSTOMERS, Working, &[(Worker, Api::Fetch, fault)]);
        }
        for error in [COORDINATOR_NOT_AVAILABLE, UNSTABLE_OFFSET_COMMIT, UNKNOWN_SERVER_ERROR] {
            world.goes_on(CUSTOMERS, Starting, &[(Worker, Api::OffsetFetch, Denied(error))]);
        }
        for error in [UNKNOWN_SERVER_ERROR, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION] {
            world.goes_on(CUSTOMERS, Starting, &[(Watcher, Api::ListOffsets, Denied(error))]);
        }
        let late = [(Worker, Api::InitProducerId), (Worker, Api::OffsetFetch), (Watcher, Api::ListOffsets)];
        world.goes_on(CUSTOMERS, Starting, &late.map(|(who, api)| (who, api, SLOW)));
        world.goes_on(CUSTOMERS, Working, &[(Worker, Api::Fetch, Denied(FETCH_SESSION_ID_NOT_FOUND))]);
        let of_offsets = [(Worker, Api::OffsetFetch, Denied(GROUP_AUTHORIZATION_FAILED))];
        world.ends(CUSTOMERS, Starting, &of_offsets, "Group authorization failed");
        let of_producer = [(Worker, Api::InitProducerId, Refused(TRANSACTIONAL_ID_AUTHORIZATION_FAILED))];
        world.ends(CUSTOMERS, Starting, &of_producer, "Transactional Id authorization failed");
        // librdkafka gives the consumer up.
        world.ends(CUSTOMERS, Working, &[(Worker, Api::Heartbeat, Refused(FENCED_INSTANCE_ID))], "fenced");
    });
}

/// What a worker does when partitions are taken away meets the errors too: the commit of what is open, and its abort.
#[test]
fn partitions_that_move_while_commits_fail_change_no_figure() {
    all("errors-moving", |world| {
        for fault in [Refused(UNKNOWN_SERVER_ERROR), Denied(UNKNOWN_SERVER_ERROR), Lost, Unanswered] {
            world.goes_on(CUSTOMERS, Working, &[]);
            let plan = |stage: &str| Plan { api: Api::EndTxn, client: format!("{stage}-a-0"), fault };
            world.proxy.plan([CUSTOMERS, CAMPAIGNS].map(plan).into_iter().cycle().take(60));
            let mut other = world.processor.start("b");
            wait_until("another one works", LIMIT, || {
                other.must_run();
                commits(&other, CUSTOMERS) >= 2.0 && commits(&other, CAMPAIGNS) >= 2.0
            });
            // It leaves while the first still fails, or already goes on.
            other.leave();
            world.proxy.behave();
            world.goes_on(CAMPAIGNS, Working, &[]);
        }
    });
}

/// The last commit fails: it is left to be aborted, and the process leaves in time.
#[test]
fn an_instance_that_can_not_commit_at_its_end_leaves_nevertheless() {
    all("errors-leaving", |world| {
        for fault in [Refused(UNKNOWN_SERVER_ERROR), Lost, Unanswered, TOO_LATE] {
            world.goes_on(CUSTOMERS, Working, &[]);
            let plan = |stage: &str| Plan { api: Api::EndTxn, client: format!("{stage}-a-0"), fault };
            world.proxy.plan([CUSTOMERS, CAMPAIGNS].map(plan).into_iter().cycle().take(60));
            wait_until("a commit fails", LIMIT, || world.proxy.has_struck());
            world.instance.take().expect("it was started").leave();
            world.proxy.behave();
        }
    });
}
