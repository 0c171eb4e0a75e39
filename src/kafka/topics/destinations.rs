//! The topics as they are now. A topic that is deleted and created again has the name of before and nothing of what was
//! written to it, so that its id is looked at again and again, beside the workers' way.
//!
//! What another topic in the place of one means depends on what it is for ([`Role`]). To an output everything is written again.
//! Of all others what was read or kept is gone: what goes on there would be wrong in silence, so that the process ends at once.
//! What was read of them stands in the state and beside the offsets with their ids, and decides how the next start goes on
//! ([`resumption`](crate::kafka::resumption)).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;

use super::Layout;
use super::role::Role;
use crate::config::{Config, Output};
use crate::engine::StageKind;
use crate::kafka::claim::Claim;
use crate::kafka::client::ask::Watcher;
use crate::kafka::client::inquirer::Inquirer;
use crate::kafka::client::topic_ids::{Identity, TopicId, topic_ids};
use crate::kafka::client::{Clients, Reachability};
use crate::kafka::error::WorkerError;
use crate::kafka::faults;
use crate::kafka::names;
use crate::status::Status;

/// How often the topics are looked at: by a request for metadata, of these topics alone.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a topic may not be there: brokers learn of a new one by and by, and who makes one anew takes a moment.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// How often it is said that an output is not there.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often campaigns are, as long as not all are on their topic.
const COUNT_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at whether to stop.
const WAIT: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A topic as it was found last. Shown as what tells it from every other topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The topic's name.
    pub topic: String,
    /// `None` where the cluster gives it no id: the name alone tells then.
    pub id: Option<TopicId>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => id.fmt(f),
            None => self.topic.fmt(f),
        }
    }
}

/// The ids of the topics, for all that go by them.
#[derive(Debug, Default)]
pub struct Destinations(RwLock<BTreeMap<String, TopicId>>);

impl Destinations {
    /// The topic of this name.
    pub fn get(&self, topic: &str) -> Destination {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Destination { topic: topic.to_owned(), id: ids.get(topic).copied() }
    }

    /// Whether the topic is still the one that it was.
    pub fn is_still(&self, destination: &Destination) -> bool {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.get(&destination.topic) == destination.id.as_ref()
    }

    fn set(&self, topic: &str, id: TopicId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), id);
    }
}

/// How it is found whether all campaigns are on their topic: each partition's owner says so beside the offset that it
/// commits.
pub struct CampaignsWritten {
    /// The topic that they are to be on.
    topic: String,
    /// Looks at the group of their stage.
    watcher: Watcher,
    /// The stage's internal topic, and how many partitions it has.
    internal: String,
    partitions: u32,
}

impl CampaignsWritten {
    /// Of a configuration; `None` with format 1, which does not say it.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: &Config, clients: &Clients, layout: &Layout) -> Result<Option<CampaignsWritten>, WorkerError> {
        if config.settings.format.number() < 2 {
            return Ok(None);
        }
        let group = names::group(&config.kafka.application_id, StageKind::Campaigns);
        let watcher = Watcher::new(clients, &group, Arc::default());
        let internal = config.kafka.internal_topic(StageKind::Campaigns);
        Ok(Some(CampaignsWritten {
            topic: config.topics.output(Output::Updates(StageKind::Campaigns)).clone(),
            watcher: watcher.map_err(WorkerError::kafka("a client for the campaigns' group"))?,
            partitions: layout.partitions(&internal),
            internal,
        }))
    }

    /// Whether the owner of each partition, if there ever was one, has written all of its records to the topic.
    fn are_all_on(&self, destination: &Destination) -> KafkaResult<bool> {
        let mut inputs = TopicPartitionList::new();
        inputs.add_partition_range(&self.internal, 0, i32::try_from(self.partitions).unwrap_or(i32::MAX) - 1);
        let committed = self.watcher.committed(inputs)?;
        let wanted = destination.to_string();
        Ok(committed.elements().iter().all(|partition| {
            let claim = Claim::read(partition.metadata());
            (claim.writer.is_empty() && !claim.is_decided) || claim.whole_on == Some(wanted.as_str())
        }))
    }
}

/// Looks at the topics, and at whether all campaigns are on theirs.
pub struct Lookout {
    client: Inquirer,
    /// The topics to look at.
    topics: Vec<Watched>,
    destinations: Arc<Destinations>,
    campaigns: Option<CampaignsWritten>,
    /// The topic that all campaigns were seen to be on.
    whole: Option<Destination>,
    counted: Option<Instant>,
    reachability: Arc<Reachability>,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
}

/// A topic that is looked at.
struct Watched {
    topic: String,
    role: Role,
    /// Since when it is not there.
    gone: Option<Instant>,
    /// When that was said last.
    said: Option<Instant>,
}

impl Lookout {
    /// Looks at these topics.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(
        clients: &Clients,
        topics: Vec<(String, Role)>,
        campaigns: Option<CampaignsWritten>,
        reachability: Arc<Reachability>,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> Result<Lookout, WorkerError> {
        let client = Inquirer::new(clients.admin()).map_err(WorkerError::kafka("a client for the topics"))?;
        status.set_all_campaigns_written(campaigns.is_none());
        let (destinations, whole, counted) = (Arc::default(), None, None);
        let topics = topics.into_iter().map(|(topic, role)| Watched { topic, role, gone: None, said: None }).collect();
        Ok(Lookout { client, topics, destinations, campaigns, whole, counted, reachability, status, stop })
    }

    /// What it finds.
    pub fn destinations(&self) -> Arc<Destinations> {
        Arc::clone(&self.destinations)
    }

    /// Looks at the topics once. `false`: not all of them were found, which may be so for a moment.
    ///
    /// # Errors
    /// A topic that must stay the one that it was is another, or is gone; or no broker answers in time
    /// ([`WorkerError::Kafka`]), and what was found before stays.
    pub fn look(&mut self) -> Result<bool, WorkerError> {
        let names: Vec<&str> = self.topics.iter().map(|watched| watched.topic.as_str()).collect();
        let found = self.client.ask(|client| topic_ids(client.client(), &names, ANSWER_WITHIN));
        let found = found.map_err(WorkerError::kafka("the topics"))?;
        let mut all = true;
        let mut gone = None;
        for (watched, identity) in self.topics.iter_mut().zip(found) {
            let Watched { topic, role, gone: since, said } = watched;
            let former = self.destinations.get(topic).id;
            match identity {
                Identity::Gone => {
                    all = false;
                    if since.get_or_insert_with(Instant::now).elapsed() >= GONE_AFTER {
                        let error = WorkerError::Gone { topic: topic.clone(), role: *role };
                        if role.is_lasting() {
                            return Err(error);
                        }
                        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                            *said = Some(Instant::now());
                            tracing::warn!("{error}");
                        }
                        gone.get_or_insert_with(|| error.to_string());
                    }
                    continue;
                }
                Identity::Known(id) => {
                    self.destinations.set(topic, id);
                    if role.is_lasting() && former.is_some_and(|former| former != id) {
                        return Err(WorkerError::Recreated { topic: topic.clone(), role: *role });
                    }
                }
                Identity::Unnamed => {}
            }
            (*since, *said) = (None, None);
        }
        self.status.set_gone(gone);
        Ok(all)
    }

    /// Looks again and again, until told to stop.
    ///
    /// # Errors
    /// A topic that must stay the one that it was is another, or is gone. What can't be seen now is looked at later.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        let mut looked = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let is_due = looked.elapsed() >= faults::look_every().unwrap_or(LOOK_EVERY);
            // Who waits for a broker with an admin request takes a whole core for it.
            if is_due && !self.reachability.is_away() {
                looked = Instant::now();
                match self.look() {
                    Ok(_) => {}
                    Err(WorkerError::Kafka { cause, .. }) => {
                        tracing::debug!(error = %cause, "the topics can't be looked at");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.count();
            thread::sleep(WAIT);
        }
        Ok(())
    }

    /// Looks whether all campaigns are on their topic, until they are.
    fn count(&mut self) {
        let Some(campaigns) = &self.campaigns else { return };
        let is_due = self.counted.is_none_or(|last| last.elapsed() >= COUNT_EVERY);
        if !is_due || self.whole.as_ref().is_some_and(|whole| self.destinations.is_still(whole)) {
            return;
        }
        self.counted = Some(Instant::now());
        let destination = self.destinations.get(&campaigns.topic);
        match campaigns.are_all_on(&destination) {
            Ok(all) => {
                self.status.set_all_campaigns_written(all);
                self.whole = all.then_some(destination);
            }
            Err(error) => tracing::debug!(%error, "the group of the campaigns can't be looked at"),
        }
    }
}
