//! Looks at topics and groups from outside: watermarks, committed offsets, and who wrote last.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::errors::is_hopeless;
use super::inquirer::Inquirer;
use super::link::Link;
use super::reachability::Reachability;
use super::settings::Clients;
use super::topic_ids::{Identity, topic_ids};
use crate::kafka::claim::Claim;

/// How long one question to the broker may take; whoever asks asks again.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait before asking again.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A member of a group, as all see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it calls itself.
    pub client_id: String,
    /// The address that it comes from.
    pub host: String,
}

/// Sees what is not committed yet. Never joins the group that it looks at.
pub struct Watcher {
    client: Inquirer,
    clients: Clients,
    reachability: Arc<Reachability>,
}

impl Watcher {
    /// Looks at the offsets of `group`.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(clients: &Clients, group: &str, reachability: Arc<Reachability>) -> KafkaResult<Watcher> {
        let config = clients.watcher(group, &format!("{group}-watcher"));
        Ok(Watcher { client: Inquirer::new(config)?, clients: clients.clone(), reachability })
    }

    /// The members of a group.
    ///
    /// # Errors
    /// A broker does not answer in time, or refuses.
    pub fn members(&self, group: &str) -> KafkaResult<Vec<Member>> {
        let groups = self.client.ask(|client| client.fetch_group_list(Some(group), ANSWER_WITHIN))?;
        let members = groups.groups().iter().filter(|found| found.name() == group).flat_map(|found| found.members());
        let member = |member: &rdkafka::groups::GroupMemberInfo| Member {
            client_id: member.client_id().to_owned(),
            host: member.client_host().trim_start_matches('/').to_owned(),
        };
        Ok(members.map(member).collect())
    }

    /// The first offset of each partition that can still be read.
    ///
    /// # Errors
    /// A broker does not answer in time, or refuses.
    pub fn low_watermarks(&self, partitions: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
        self.ask(partitions, Offset::Beginning)
    }

    /// The offset after the last record of each partition, whether that is committed or not.
    ///
    /// # Errors
    /// As [`Watcher::low_watermarks`].
    pub fn high_watermarks(&self, partitions: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
        self.ask(partitions, Offset::End)
    }

    /// Which topics these are.
    ///
    /// # Errors
    /// As [`Watcher::low_watermarks`].
    pub fn identities(&self, topics: &[&str]) -> KafkaResult<Vec<Identity>> {
        self.client.ask(|client| topic_ids(client.client(), topics, ANSWER_WITHIN))
    }

    /// Ends the transactions that the last writers of these inputs left open: their transactional ids stand beside the
    /// offsets that they committed. `own` are not touched.
    ///
    /// # Errors
    /// The committed offsets can't be asked for, or a writer can't be fenced.
    pub fn fence_writers(&self, inputs: TopicPartitionList, own: &str) -> KafkaResult<()> {
        let committed = self.committed(inputs)?;
        let elements = committed.elements();
        let writers = elements.iter().map(|element| Claim::read(element.metadata()).writer);
        let writers: BTreeSet<&str> = writers.filter(|id| !id.is_empty() && *id != own).collect();
        for id in writers {
            tracing::warn!(transactional_id = id, "the last writer left a transaction open: fencing it");
            let producer: BaseProducer<Link> = self.clients.producer(id).create_with_context(Link::idle())?;
            producer.init_transactions(Duration::from_secs(5))?;
        }
        Ok(())
    }

    /// The offsets that the group has committed, with the [`Claim`] beside each.
    ///
    /// # Errors
    /// As [`Watcher::low_watermarks`].
    pub fn committed(&self, inputs: TopicPartitionList) -> KafkaResult<TopicPartitionList> {
        self.client.ask(|client| client.committed_offsets(inputs, ANSWER_WITHIN))
    }

    fn ask(&self, partitions: &TopicPartitionList, which: Offset) -> KafkaResult<TopicPartitionList> {
        let answer = self.client.ask(|client| watermarks(client, partitions, which))?;
        self.reachability.back();
        Ok(answer)
    }
}

/// What a consumer of this isolation level sees as the first or last offset of each partition.
///
/// # Errors
/// A broker does not answer in time, or has an error for one of the partitions.
pub fn watermarks<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
    which: Offset,
) -> KafkaResult<TopicPartitionList> {
    if partitions.count() == 0 {
        return Ok(TopicPartitionList::new());
    }
    let mut asked = TopicPartitionList::with_capacity(partitions.count());
    for element in partitions.elements() {
        asked.add_partition_offset(element.topic(), element.partition(), which)?;
    }
    let found = consumer.offsets_for_times(asked, ANSWER_WITHIN).and_then(|found| {
        found.elements().iter().try_for_each(|element| element.error())?;
        Ok(found)
    });
    found.map_err(|error| learn_leaders_anew(consumer, partitions).unwrap_or(error))
}

/// librdkafka remembers for a quarter of an hour that a partition had no leader when it asked last, and gives that for an
/// answer all the while: partitions have none for a moment when a broker dies. Returns what else it does not tell: that a
/// topic is not to be seen by this user.
fn learn_leaders_anew<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
) -> Option<KafkaError> {
    let elements = partitions.elements();
    let topics: BTreeSet<&str> = elements.iter().map(|element| element.topic()).collect();
    let mut refused = None;
    for topic in topics {
        match consumer.fetch_metadata(Some(topic), ANSWER_WITHIN) {
            Ok(metadata) => {
                let errors = metadata.topics().iter().filter_map(|topic| topic.error());
                let mut errors = errors.map(|error| KafkaError::MetadataFetch(error.into()));
                refused = refused.or_else(|| errors.find(is_hopeless));
            }
            Err(error) => tracing::debug!(%error, topic, "its leaders are not known yet"),
        }
    }
    refused
}

/// The offsets that `consumer`'s group has committed; it waits for transactions that are about to commit some.
///
/// # Errors
/// As [`watermarks`].
pub fn committed<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    if partitions.count() == 0 {
        return Ok(TopicPartitionList::new());
    }
    let committed = consumer.committed_offsets(partitions.clone(), ANSWER_WITHIN)?;
    committed.elements().iter().try_for_each(|element| element.error())?;
    Ok(committed)
}

/// An offset of a list, where there is one.
pub fn offset_in(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<i64> {
    match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) if offset >= 0 => Some(offset),
        _ => None,
    }
}
