//! The topics: created when they are missing, and checked when they are there, for a topic that does not fit would lose
//! state or records sooner or later.

pub mod destinations;
mod misfit;
pub(crate) mod role;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use self::misfit::Misfit;
use self::role::{Role, roles};
use crate::config::Config;
use crate::engine::StageKind;
use crate::kafka::client::contact::{self, NoContact};
use crate::kafka::client::{Clients, Link};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a topic may take from its creation to its first leader.
const CREATED_WITHIN: Duration = Duration::from_secs(30);
/// How long a broker may have nothing to say of a topic's configuration, as of one that it has yet to hear of.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(5);

/// How many partitions the topics have that records are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    partitions: BTreeMap<String, u32>,
}

impl Layout {
    /// Of a topic that was found; 0 of any other.
    pub fn partitions(&self, topic: &str) -> u32 {
        self.partitions.get(topic).copied().unwrap_or(0)
    }

    /// All topics by name, with their partitions.
    pub fn topics(&self) -> impl Iterator<Item = (&str, u32)> {
        self.partitions.iter().map(|(topic, partitions)| (topic.as_str(), *partitions))
    }
}

/// What [`prepare`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The names of the topics that were missing.
    pub created: Vec<String>,
    /// How many partitions the topics have now.
    pub layout: Layout,
}

/// Why the topics can't be worked with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum TopicsError {
    #[error(transparent)]
    Contact(#[from] NoContact),
    #[error("{}", missing(topics))]
    Missing { topics: Vec<String> },
    #[error("topic {topic} can't be created: {cause}{}", right_to_create(*cause))]
    Refused { topic: String, cause: RDKafkaErrorCode },
    #[error(
        "topic {topic} can't be created: it collides with {with}, for Kafka takes `.` and `_` for the same. Give one of them another \
         name"
    )]
    Collides { topic: String, with: String },
    #[error("topic {topic} has no leader for all of its partitions after {} s", CREATED_WITHIN.as_secs())]
    NoLeader { topic: String },
    #[error("topic {topic} exists, but is not shown to this user, who needs the right to describe it")]
    Hidden { topic: String },
    #[error("topic {topic}: its configuration is not shown to this user, who needs the right DescribeConfigs")]
    Undescribed { topic: String },
    #[error("{}", misfit::lines(.0))]
    Misfits(Vec<Misfit>),
    #[error("the topics can't be looked at: {0}")]
    Client(String),
}

fn missing(topics: &[String]) -> String {
    let names = topics.join(", ");
    let noun = if topics.len() == 1 { "source topic does not exist" } else { "source topics do not exist" };
    format!(
        "{noun}: {names}. Create what is missing, or set `topics.create_sources = true`; what exists must be shown to this \
         user, who needs the right to read it"
    )
}

/// Whether a topic that could not be created may be a moment later: the controller moves, is late, or has too much to do.
fn is_passing(cause: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        cause,
        Code::NotController
            | Code::RequestTimedOut
            | Code::ThrottlingQuotaExceeded
            | Code::BrokerNotAvailable
            | Code::Unknown
    )
}

/// Which of these topics a new one collides with, if one does: a broker says so, and its client keeps it to itself.
fn collision<'a>(topic: &str, mut others: impl Iterator<Item = &'a String>) -> Option<String> {
    let folded = |name: &str| name.replace('.', "_");
    others.find(|other| *other != topic && folded(other) == folded(topic)).cloned()
}

/// What to do when the user lacks a right.
fn right_to_create(cause: RDKafkaErrorCode) -> &'static str {
    match cause {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            ". Either it exists and this user lacks the right to use it, or it is missing: create it by `payback topics` as \
             a user who may"
        }
        _ => "",
    }
}

/// The names of all topics of a configuration.
pub fn names(config: &Config) -> Vec<String> {
    roles(config).into_iter().map(|(topic, _)| topic).collect()
}

/// Creates the topics that are missing and checks those that are there, until `stop` is set. Blocks; not to be called from
/// async code.
///
/// # Errors
/// [`NoContact::Away`] is worth another try, [`NoContact::Stopped`] is what was asked for; any other needs somebody to do
/// something.
pub fn prepare(config: &Config, clients: &Clients, stop: &AtomicBool) -> Result<Prepared, TopicsError> {
    Preparation::new(config, clients, stop).run()
}

/// Looks at the topics, all of which must be there, without creating or checking them.
///
/// # Errors
/// As [`prepare`].
pub fn layout(config: &Config, clients: &Clients, stop: &AtomicBool) -> Result<Layout, TopicsError> {
    Ok(Layout { partitions: Preparation::new(config, clients, stop).await_topics()? })
}

struct Preparation<'a> {
    config: &'a Config,
    clients: &'a Clients,
    stop: &'a AtomicBool,
    roles: Vec<(String, Role)>,
}

impl Preparation<'_> {
    fn new<'a>(config: &'a Config, clients: &'a Clients, stop: &'a AtomicBool) -> Preparation<'a> {
        Preparation { config, clients, stop, roles: roles(config) }
    }

    fn run(&self) -> Result<Prepared, TopicsError> {
        let existing = self.look()?;
        let is_missing = |(topic, _): &&(String, Role)| !existing.contains_key(topic);
        let missing: Vec<&(String, Role)> = self.roles.iter().filter(is_missing).collect();
        if !self.config.topics.create_sources {
            let sources = missing.iter().filter(|(_, role)| *role == Role::Source);
            let topics: Vec<String> = sources.map(|(topic, _)| topic.clone()).collect();
            if !topics.is_empty() {
                return Err(TopicsError::Missing { topics });
            }
        }
        let created = self.create(&missing, &existing)?;
        let partitions = self.await_topics()?;
        self.check(&partitions)?;
        Ok(Prepared { created, layout: Layout { partitions } })
    }

    /// Partitions of each topic of the cluster; none of one that has no leader everywhere yet.
    fn look(&self) -> Result<BTreeMap<String, u32>, TopicsError> {
        let metadata = contact::metadata(&self.clients.admin(), None, ANSWER_WITHIN, self.stop)?;
        let count = |topic: &rdkafka::metadata::MetadataTopic| {
            let led = topic.partitions().iter().all(|partition| partition.leader() >= 0);
            if led && topic.error().is_none() { u32::try_from(topic.partitions().len()).unwrap_or(0) } else { 0 }
        };
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic))).collect())
    }

    fn await_topics(&self) -> Result<BTreeMap<String, u32>, TopicsError> {
        let began = Instant::now();
        loop {
            let mut all = self.look()?;
            all.retain(|topic, _| self.roles.iter().any(|(wanted, _)| wanted == topic));
            let waiting = self.roles.iter().find(|(topic, _)| all.get(topic).is_none_or(|partitions| *partitions == 0));
            match waiting {
                None => return Ok(all),
                Some((topic, _)) if began.elapsed() > CREATED_WITHIN => {
                    let topic = topic.clone();
                    return Err(if all.contains_key(&topic) {
                        TopicsError::NoLeader { topic }
                    } else {
                        TopicsError::Hidden { topic }
                    });
                }
                Some((topic, _)) => {
                    tracing::debug!(topic, "topics have no leader yet");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn create(
        &self,
        missing: &[&(String, Role)],
        existing: &BTreeMap<String, u32>,
    ) -> Result<Vec<String>, TopicsError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let replicas = self.config.kafka.replication_factor.map_or(-1, i32::from);
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|(topic, role)| {
                let partitions = partner(self.config, topic).and_then(|partner| existing.get(&partner).copied());
                let partitions = partitions.unwrap_or(self.config.topics.partitions);
                let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
                let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
                role.configuration().iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let admin = self.admin()?;
        let options =
            AdminOptions::new().request_timeout(Some(ANSWER_WITHIN * 2)).operation_timeout(Some(ANSWER_WITHIN));
        let results = self.wait_for(admin.create_topics(&new, &options))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(topic) => created.push(topic),
                // Another instance was quicker.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, cause)) if is_passing(cause) => {
                    return Err(NoContact::Away(format!("topic {topic} can't be created yet: {cause}")).into());
                }
                Err((topic, cause)) => {
                    return Err(match collision(&topic, existing.keys()) {
                        Some(with) if cause == RDKafkaErrorCode::InvalidTopic => TopicsError::Collides { topic, with },
                        _ => TopicsError::Refused { topic, cause },
                    });
                }
            }
        }
        Ok(created)
    }

    fn check(&self, partitions: &BTreeMap<String, u32>) -> Result<(), TopicsError> {
        let kafka = &self.config.kafka;
        let mut found = Vec::new();
        for stage in StageKind::ALL {
            let (internal, changelog) = (kafka.internal_topic(stage), kafka.changelog_topic(stage));
            let count = |topic: &str| partitions.get(topic).copied().unwrap_or(0);
            if count(&internal) != count(&changelog) {
                found.push(Misfit {
                    what: "its number of partitions".to_owned(),
                    is: count(&changelog).to_string(),
                    must_be: format!("{}, as many as {internal} has", count(&internal)),
                    why: "the state of each partition is kept in the changelog's of the same number",
                    topic: changelog,
                });
            }
        }
        let checked: Vec<&(String, Role)> = self.roles.iter().filter(|(_, role)| *role != Role::Source).collect();
        let described = self.describe(&checked)?;
        for ((topic, role), entries) in checked.into_iter().zip(described) {
            for entry in entries {
                let value = entry.value.unwrap_or_default();
                if let Some((must_be, why)) = role.demand(&entry.name, &value) {
                    found.push(Misfit { topic: topic.clone(), what: entry.name, is: value, must_be, why });
                }
            }
        }
        if found.is_empty() { Ok(()) } else { Err(TopicsError::Misfits(found)) }
    }

    /// The configuration of each of these topics, in their order. A topic that is there has one: where a broker shows none,
    /// it is asked again for a while, for the client keeps to itself why there is none.
    fn describe(&self, topics: &[&(String, Role)]) -> Result<Vec<Vec<ConfigEntry>>, TopicsError> {
        let admin = self.admin()?;
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|(topic, _)| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
        let began = Instant::now();
        loop {
            let mut described = Vec::with_capacity(topics.len());
            for resource in self.wait_for(admin.describe_configs(&resources, &options))? {
                described.push(resource.map_err(|code| away(KafkaError::AdminOp(code)))?.entries);
            }
            let not_shown = topics.iter().zip(&described).find(|(_, entries)| entries.is_empty());
            match not_shown {
                None => return Ok(described),
                Some(((topic, _), _)) if began.elapsed() > DESCRIBED_WITHIN => {
                    return Err(TopicsError::Undescribed { topic: topic.clone() });
                }
                Some(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn admin(&self) -> Result<AdminClient<Link>, TopicsError> {
        let admin = self.clients.admin().create_with_context(Link::idle());
        admin.map_err(|error| TopicsError::Client(error.to_string()))
    }

    fn wait_for<T>(&self, answer: impl Future<Output = Result<T, KafkaError>>) -> Result<T, TopicsError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| TopicsError::Client(error.to_string()))?;
        let stopped = async {
            while !self.stop.load(Ordering::Relaxed) {
                tokio::time::sleep(contact::LOOK_EVERY).await;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                answer = answer => answer.map_err(away),
                () = stopped => Err(NoContact::Stopped.into()),
            }
        })
    }
}

/// The topic that one must have as many partitions as: of an internal topic its changelog, and the other way round.
fn partner(config: &Config, topic: &str) -> Option<String> {
    StageKind::ALL.into_iter().find_map(|stage| {
        let (internal, changelog) = (config.kafka.internal_topic(stage), config.kafka.changelog_topic(stage));
        match topic {
            _ if topic == internal => Some(changelog),
            _ if topic == changelog => Some(internal),
            _ => None,
        }
    })
}

fn away(error: KafkaError) -> TopicsError {
    NoContact::Away(error.to_string()).into()
}
