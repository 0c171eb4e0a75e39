//! The way on where offsets or topics are gone: shows from where each partition that can't go on would, by what the changelogs
//! hold, and what is lost with it; and sets the groups' offsets so when told to. Nothing is guessed: of what the state says
//! that it was computed up to there, reading goes on there.
//!
//! What can go on by itself is left alone, and so is what can't be had back: without its state a partition has nothing to go on
//! from. Each offset that is set says beside it that it was decided ([`Claim`]), for which topic and for which state: a worker
//! believes it of these alone, and writes its own in its place at its first commit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use crate::config::Config;
use crate::engine::StageKind;
use crate::kafka::claim::Claim;
use crate::kafka::client::ask::{ASK_AGAIN_AFTER, Watcher, offset_in};
use crate::kafka::client::errors::is_hopeless;
use crate::kafka::client::topic_ids::Identity;
use crate::kafka::client::{Clients, Link};
use crate::kafka::restore::survey::{Surveyed, survey};
use crate::kafka::resumption::{Evidence, Obstacle, Start};
use crate::kafka::topics::{self, TopicsError};
use crate::kafka::{WorkerError, names};

/// How long a broker that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing was found out, or nothing set.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum RecoverError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("{what}: {cause}")]
    Kafka { what: String, cause: KafkaError },
    #[error(
        "nothing was changed: {client} at {host} is in consumer group {group}. Stop all instances first; one that was killed is in \
         it until its session is over"
    )]
    Busy { group: String, client: String, host: String },
    #[error(
        "{plan}nothing was changed: the state of these can't be had back. Give this processor another `kafka.application_id` and \
         other output topics, and it computes all from the source topics anew"
    )]
    Impossible { plan: Plan },
}

/// What was found, and what is to be set.
#[derive(Debug)]
pub struct Plan {
    groups: Vec<GroupPlan>,
    /// Whether the offsets are set.
    done: bool,
}

/// Of one stage.
#[derive(Debug)]
struct GroupPlan {
    stage: StageKind,
    group: String,
    steps: Vec<Step>,
    /// Sources that are read from their beginning without being told to, and partitions of them.
    begins: Vec<(String, i32)>,
    hopeless: Vec<(String, i32, Obstacle)>,
}

/// A partition whose offset is to be set.
#[derive(Debug)]
struct Step {
    topic: String,
    partition: i32,
    obstacle: Obstacle,
    /// The next record.
    next: i64,
    low: i64,
    is_internal: bool,
    note: String,
}

/// Finds out what can't go on, and how it could; sets the offsets so where `is_told`. Blocks; not to be called from async code.
///
/// # Errors
/// Kafka does not answer or refuses; somebody is at work; or what is gone can't be had back. Nothing was set then, unless the
/// message says so.
pub fn recover(config: &Config, is_told: bool) -> Result<Plan, RecoverError> {
    let clients = Clients::new(config);
    let layout = topics::layout(config, &clients, &AtomicBool::new(false))?;
    let mut plan = Plan { groups: Vec::new(), done: false };
    let mut watchers = Vec::new();
    for stage in StageKind::ALL {
        let group = names::group(&config.kafka.application_id, stage);
        let watcher = Watcher::new(&clients, &group, Arc::default())
            .map_err(WorkerError::kafka("a client for the consumer group"))?;
        let (internal, changelog) = (config.kafka.internal_topic(stage), config.kafka.changelog_topic(stage));
        let states = survey(&clients, &watcher, &changelog, layout.partitions(&internal))?;
        let (_, sources) = config.topics.sources(stage);
        let inputs = sources.iter().map(|topic| (topic, false)).chain([(&internal, true)]);
        let inputs = inputs.map(|(topic, is_internal)| (topic.as_str(), layout.partitions(topic), is_internal));
        plan.groups.push(of_group(&watcher, stage, group, &inputs.collect::<Vec<_>>(), &states)?);
        watchers.push(watcher);
    }
    if plan.groups.iter().any(|group| !group.hopeless.is_empty()) {
        return Err(RecoverError::Impossible { plan });
    }
    if !is_told || plan.is_empty() {
        return Ok(plan);
    }
    for (group, watcher) in plan.groups.iter().zip(&watchers) {
        let members = ask(&format!("consumer group {}", group.group), || watcher.members(&group.group))?;
        if let Some(member) = members.into_iter().next() {
            let client = crate::kafka::terms::name_of(&member.client_id).to_owned();
            return Err(RecoverError::Busy { group: group.group.clone(), client, host: member.host });
        }
    }
    plan.groups.iter().try_for_each(|group| set(&clients, group))?;
    plan.done = true;
    Ok(plan)
}

/// Holds what a group has committed against the states.
fn of_group(
    watcher: &Watcher,
    stage: StageKind,
    group: String,
    inputs: &[(&str, u32, bool)],
    states: &[Surveyed],
) -> Result<GroupPlan, RecoverError> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions, _) in inputs {
        list.add_partition_range(topic, 0, i32::try_from(*partitions).unwrap_or(i32::MAX) - 1);
    }
    let what = format!("consumer group {group}");
    let committed = ask(&what, || {
        let committed = watcher.committed(list.clone())?;
        committed.elements().iter().try_for_each(|element| element.error())?;
        Ok(committed)
    })?;
    let low = ask(&what, || watcher.low_watermarks(&list))?;
    let high = ask(&what, || watcher.high_watermarks(&list))?;
    let topics: Vec<&str> = inputs.iter().map(|(topic, ..)| *topic).collect();
    let ids = ask("the topics", || watcher.identities(&topics))?;

    let mut plan = GroupPlan { stage, group, steps: Vec::new(), begins: Vec::new(), hopeless: Vec::new() };
    for (&(topic, partitions, is_internal), id) in inputs.iter().zip(ids) {
        for number in 0..partitions {
            let state = states.get(number as usize);
            let progress = state.and_then(|state| state.progress.as_ref());
            let stored = progress.and_then(|progress| progress.stored(topic, is_internal));
            let partition = i32::try_from(number).unwrap_or(i32::MAX);
            let element = committed.find_partition(topic, partition);
            let evidence = Evidence {
                topic: if let Identity::Known(id) = id { Some(id) } else { None },
                committed: offset_in(&committed, topic, partition),
                claim: element.as_ref().map_or(Claim::default(), |element| Claim::read(element.metadata())),
                stored,
                birth: state.and_then(|state| state.birth),
                low: offset_in(&low, topic, partition).unwrap_or(0),
                high: offset_in(&high, topic, partition).unwrap_or(i64::MAX),
            };
            match evidence.start(is_internal) {
                Ok(Start::Another { .. }) => plan.begins.push((topic.to_owned(), partition)),
                Ok(_) => {}
                Err(obstacle) if !obstacle.is_passable() => plan.hopeless.push((topic.to_owned(), partition, obstacle)),
                Err(obstacle) => {
                    let claim = Claim {
                        writer: evidence.claim.writer,
                        topic: evidence.topic,
                        state: evidence.birth.filter(|_| is_internal),
                        whole_on: None,
                        is_decided: true,
                    };
                    // What is known by its id is read again rather than left out.
                    let is_known_by_id = !is_internal || stage == StageKind::Customers;
                    plan.steps.push(Step {
                        topic: topic.to_owned(),
                        partition,
                        obstacle,
                        next: next_of(obstacle, &evidence, is_known_by_id),
                        low: evidence.low,
                        is_internal,
                        note: claim.write(),
                    });
                }
            }
        }
    }
    Ok(plan)
}

/// Where a partition is to go on that can't by itself.
fn next_of(obstacle: Obstacle, evidence: &Evidence<'_>, is_known_by_id: bool) -> i64 {
    match obstacle {
        Obstacle::NotCommitted { stored } | Obstacle::Differs { stored, .. } => {
            if stored > evidence.high && is_known_by_id {
                evidence.low
            } else {
                stored.clamp(evidence.low, evidence.high.max(evidence.low))
            }
        }
        Obstacle::Truncated { end, .. } if !is_known_by_id => end,
        _ => evidence.low,
    }
}

/// Sets the offsets of a group that nobody is in.
fn set(clients: &Clients, plan: &GroupPlan) -> Result<(), RecoverError> {
    if plan.steps.is_empty() {
        return Ok(());
    }
    let what = || format!("setting the offsets of consumer group {}", plan.group);
    let failed = |cause| RecoverError::Kafka { what: what(), cause };
    let mut list = TopicPartitionList::new();
    for step in &plan.steps {
        let mut element = list.add_partition(&step.topic, step.partition);
        element.set_offset(Offset::Offset(step.next)).map_err(failed)?;
        element.set_metadata(&step.note);
    }
    let name = format!("{}-recover", plan.group);
    let client: BaseConsumer<Link> =
        clients.watcher(&plan.group, &name).create_with_context(Link::idle()).map_err(failed)?;
    ask(&what(), || client.commit(&list, CommitMode::Sync))
}

/// Asks again and again, for a while.
fn ask<T>(what: &str, question: impl Fn() -> KafkaResult<T>) -> Result<T, RecoverError> {
    let began = Instant::now();
    loop {
        match question() {
            Ok(answer) => return Ok(answer),
            Err(cause) if is_hopeless(&cause) || began.elapsed() > PATIENCE => {
                return Err(RecoverError::Kafka { what: what.to_owned(), cause });
            }
            Err(_) => thread::sleep(ASK_AGAIN_AFTER),
        }
    }
}

impl Plan {
    /// Whether there is nothing to be set.
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.steps.is_empty())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            for (topic, partition, _) in &group.hopeless {
                writeln!(
                    f,
                    "{}: {topic} partition {partition}: there are offsets, and no state that goes with them",
                    group.group
                )?;
            }
            for (topic, partition) in &group.begins {
                writeln!(
                    f,
                    "{}: {topic} partition {partition}: a new topic of that name: it is read from its beginning, without being set",
                    group.group
                )?;
            }
            for step in &group.steps {
                writeln!(f, "{}: {}", group.group, step.line(group.stage))?;
            }
        }
        match (self.is_empty(), self.done) {
            _ if self.groups.iter().any(|group| !group.hopeless.is_empty()) => Ok(()),
            (true, _) => write!(f, "nothing is to be set: all partitions can go on"),
            (false, true) => write!(f, "set. Start payback again"),
            (false, false) => {
                write!(f, "nothing was changed. Stop all instances, and run `payback recover --yes` to set this")
            }
        }
    }
}

impl Step {
    fn line(&self, stage: StageKind) -> String {
        let Step { topic, partition, obstacle, next, low, is_internal, .. } = self;
        let place = format!("{topic} partition {partition}: goes on at offset {next}");
        let lost = |from: i64| {
            format!("the {} records from offset {from} on were deleted before they were read: lost", low - from)
        };
        match *obstacle {
            Obstacle::NotCommitted { stored } | Obstacle::Differs { stored, .. } if stored == *next => {
                format!("{place}, up to where its state was computed: nothing is lost")
            }
            Obstacle::NotCommitted { stored } | Obstacle::Differs { stored, .. } if stored < *low => {
                format!("{place}, its beginning: {}", lost(stored))
            }
            Obstacle::Recreated { read } => {
                let whose = match stage {
                    StageKind::Customers => "events that came by it",
                    StageKind::Campaigns => "orders of which campaigns have not heard yet, and spend that came by it",
                };
                format!(
                    "{place}, its beginning: the topic was deleted and created again. What the former one had from offset {read} on \
                     is lost: {whose}"
                )
            }
            Obstacle::Lost { from, .. } => format!("{place}, its beginning: {}", lost(from)),
            _ if *is_internal && stage == StageKind::Campaigns => {
                format!(
                    "{place}, its end: it ends before what was read of it, and what was written to it since is left out"
                )
            }
            _ => format!("{place}, its beginning: it ends before what was read of it; what is known counts once"),
        }
    }
}
