//! What librdkafka tells a client: rebalances, deliveries that failed, where partitions end, connections that are refused or
//! gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::contact::{self, Complaint};
use super::reachability::Reachability;
use super::statistics::Ends;

/// Takes the events of one client. Calls come on the thread that polls it.
pub struct Link {
    /// Told when no broker can be reached; none of a client whose idle connections brokers close.
    reachability: Option<Arc<Reachability>>,
    /// Whether the client waits for an answer at present.
    waiting: AtomicBool,
    /// The first delivery that failed since it was last asked for.
    undelivered: Mutex<Option<KafkaError>>,
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

    pub fn take_undelivered(&self) -> Option<KafkaError> {
        lock(&self.undelivered).take()
    }
}

/// A lock whose holder panicked still holds plain data.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl ClientContext for Link {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        contact::log(level, facility, message);
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
        if let Err((error, _)) = result {
            lock(&self.undelivered).get_or_insert_with(|| error.clone());
        }
    }
}
