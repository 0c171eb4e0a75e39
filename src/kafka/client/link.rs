//! What librdkafka tells a client: rebalances, deliveries that failed, where partitions end, connections that are refused or
//! gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::contact::{self, Complaint};
use super::reachability::Reachability;
use super::statistics::Ends;
use crate::status::lock::lock;

/// Takes the events of one client. Calls come on the thread that polls it.
pub struct Link {
    /// Told when no broker can be reached; none of a client whose idle connections brokers close.
    reachability: Option<Arc<Reachability>>,
    /// Whether the client waits for an answer at present.
    waiting: AtomicBool,
    /// The first delivery that failed since it was last asked for.
    undelivered: Mutex<Option<Undelivered>>,
    /// The first partition that was refused to a transaction since it was last asked for: the log alone says which.
    refused: Mutex<Option<String>>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    leaving: AtomicBool,
    ends: Mutex<Ends>,
    /// Whether `ends` were told since they were asked for.
    has_news: AtomicBool,
}

/// What the group decided, to be acted on by the worker right after the poll that brought it.
pub enum Rebalance {
    /// These partitions, under this generation. `None` when they were lost before the news arrived.
    Assigned(Option<(TopicPartitionList, Arc<ConsumerGroupMetadata>)>),
    /// All partitions are taken away; when `lost`, they may be another's already.
    Revoked { lost: bool },
}

impl Link {
    /// Of a client that now and then has nothing to do.
    pub fn idle() -> Link {
        Link {
            reachability: None,
            waiting: AtomicBool::new(true),
            undelivered: Mutex::default(),
            refused: Mutex::default(),
            rebalances: Mutex::default(),
            leaving: AtomicBool::new(false),
            ends: Mutex::new(Ends::new()),
            has_news: AtomicBool::new(false),
        }
    }

    /// Of a client that waits for answers, and so knows first when none can come: always, or as
    /// [`Link::set_waiting`] says.
    pub fn busy(reachability: Arc<Reachability>) -> Link {
        Link { reachability: Some(reachability), ..Link::idle() }
    }

    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// The next thing that the group decided.
    pub fn next_rebalance(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }

    /// Whether the group has decided something that was not asked for yet.
    pub fn has_rebalance(&self) -> bool {
        !lock(&self.rebalances).is_empty()
    }

    /// From now on partitions are given up as soon as they are revoked: the worker has nothing left to commit.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Where the assigned partitions end, once each time that it was told.
    pub fn news_of_ends(&self) -> Option<Ends> {
        self.has_news.swap(false, Ordering::Relaxed).then(|| lock(&self.ends).clone())
    }

    /// Whether the client is connected to the coordinator of its group, as far as it has told.
    pub fn is_coordinated(&self) -> bool {
        lock(&self.ends).is_coordinated()
    }

    /// Partitions are assigned: what was told of their ends before says nothing of now.
    pub fn forget_ends(&self) {
        lock(&self.ends).forget(Instant::now());
        self.has_news.store(false, Ordering::Relaxed);
    }

    pub fn take_undelivered(&self) -> Option<Undelivered> {
        lock(&self.undelivered).take()
    }

    /// The partition that was refused to a transaction, and so all records with it.
    pub fn take_refused(&self) -> Option<String> {
        lock(&self.refused).take()
    }
}

/// A record that was not delivered.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// Its topic and partition, in words.
    pub to: String,
    pub cause: KafkaError,
}

/// A partition in words; of a record that has none yet its topic.
pub fn place(topic: &str, partition: i32) -> String {
    if partition < 0 { topic.to_owned() } else { format!("{topic} partition {partition}") }
}

/// The partition that a line of librdkafka's log says is refused to a transaction:
/// `... Failed to add partition "topic" [3] to transaction: Broker: Topic authorization failed`. Others of the same request are
/// not even tried.
fn refused_by(message: &str) -> Option<String> {
    let (_, said) = message.split_once("Failed to add partition \"")?;
    let (partition, why) = said.split_once("] to transaction: ")?;
    let (topic, number) = partition.rsplit_once("\" [")?;
    (!why.contains("not attempted")).then(|| place(topic, number.parse().unwrap_or(-1)))
}

impl ClientContext for Link {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        contact::log(level, facility, message);
        if let Some(refused) = (facility == "ADDPARTS").then(|| refused_by(message)).flatten() {
            lock(&self.refused).get_or_insert(refused);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let mut ends = lock(&self.ends);
        match ends.learn(statistics) {
            Ok(is_news) => self.has_news.store(is_news, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "statistics"),
        }
        if let (Some(reachability), Some(at)) = (&self.reachability, ends.connected()) {
            reachability.connected(at);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client error");
        let Some(reachability) = &self.reachability else { return };
        // There may be very many of one kind, as long as it lasts.
        let is_known = error.rdkafka_error_code() == Some(Code::AllBrokersDown) && reachability.is_away();
        if is_known || !self.waiting.load(Ordering::Relaxed) {
            return;
        }
        match Complaint::of(&error, reason) {
            Complaint::Refused(reason) => reachability.refused(&reason),
            // One broker of several may go without a word.
            Complaint::Away(reason) if error.rdkafka_error_code() != Some(Code::BrokerTransportFailure) => {
                reachability.gone(&reason)
            }
            Complaint::Away(_) | Complaint::Passing => {}
        }
    }
}

impl ConsumerContext for Link {
    /// Only takes note: the worker commits or restores first, and then assigns or unassigns, which is what tells
    /// librdkafka to go on.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.leaving.load(Ordering::Relaxed) {
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "partitions could not be given up");
            }
            return;
        }
        let rebalance = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                // In this order: had the membership been lost before the metadata was read, it is known by now.
                let group = consumer.group_metadata();
                let lost = consumer.assignment_lost();
                Rebalance::Assigned(group.filter(|_| !lost).map(|group| (partitions.clone(), Arc::new(group))))
            }
            _ => Rebalance::Revoked { lost: consumer.assignment_lost() },
        };
        lock(&self.rebalances).push_back(rebalance);
    }
}

impl ProducerContext<NoCustomPartitioner> for Link {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, record)) = result {
            let undelivered = || Undelivered { to: place(record.topic(), record.partition()), cause: error.clone() };
            lock(&self.undelivered).get_or_insert_with(undelivered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_that_is_refused_is_told_from_those_that_are_not_tried() {
        let link = Link::idle();
        for line in [
            r#"Failed to add partition "a" [0] to transaction: Broker: Operation not attempted"#,
            r#"Failed to add partition "b" [3] to transaction: Broker: Topic authorization failed"#,
            r#"Failed to add partition "c" [0] to transaction: Broker: Topic authorization failed"#,
        ] {
            link.log(RDKafkaLogLevel::Error, "ADDPARTS", &format!("[thrd:TxnCoordinator]: TxnCoordinator/1: {line}"));
        }
        assert_eq!(link.take_refused().as_deref(), Some("b partition 3"));
        assert_eq!(link.take_refused(), None);
    }
}
