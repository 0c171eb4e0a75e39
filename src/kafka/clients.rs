//! The Kafka clients: their settings, those that exactly-once rests on last, so that nothing overrides them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::contact::{self, Complaint};
use super::reachability::Reachability;
use crate::config::{Config, LimitsConfig};

/// How long the broker keeps a transaction open that its writer left.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes clients for one cluster. Its properties hold secrets, so it is never printed.
#[derive(Clone)]
pub struct Clients {
    base: ClientConfig,
    limits: LimitsConfig,
}

impl Clients {
    /// Of the brokers, the properties and the budgets of a configuration. What exactly-once rests on was refused there.
    pub fn new(config: &Config) -> Clients {
        let kafka = &config.kafka;
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", kafka.bootstrap_servers());
        // Reconnecting soon matters more than sparing a broker that is away.
        base.set("reconnect.backoff.max.ms", "2000");
        base.set("socket.keepalive.enable", "true");
        for (key, value) in kafka.properties.iter() {
            base.set(key, value);
        }
        Clients { base, limits: config.limits.clone() }
    }

    /// A worker's consumer, a member of `group`.
    pub fn member(&self, group: &str, client_id: &str) -> ClientConfig {
        let mut config = self.fetching(client_id);
        set_unless_given(&mut config, "session.timeout.ms", "8000");
        set_unless_given(&mut config, "heartbeat.interval.ms", "2000");
        config
            .set("group.id", group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set("isolation.level", "read_committed")
            // Where to begin is decided here, from committed offsets; anything else is an error.
            .set("auto.offset.reset", "error");
        config
    }

    /// A transactional producer.
    pub fn producer(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("client.id", transactional_id)
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", kbytes(self.limits.output_queue_bytes))
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The partitioner of Kafka's Java client, by which homes are computed.
            .set("partitioner", "murmur2_random")
            .set("delivery.report.only.error", "true");
        config
    }

    /// Reads what is committed, without a group's offsets. librdkafka assigns partitions only to a consumer that names a
    /// group; this one never joins it.
    pub fn reader(&self, client_id: &str) -> ClientConfig {
        let mut config = self.fetching(client_id);
        config
            .set("group.id", format!("{client_id}-reader"))
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest");
        config
    }

    /// Sees watermarks and offsets of `group` as they are, with transactions that are still open; never joins.
    pub fn watcher(&self, group: &str, client_id: &str) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("client.id", client_id)
            .set("group.id", group)
            .set("isolation.level", "read_uncommitted")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    /// For topics and metadata.
    pub fn admin(&self) -> ClientConfig {
        self.base.clone()
    }

    fn fetching(&self, client_id: &str) -> ClientConfig {
        let mut config = self.base.clone();
        set_unless_given(&mut config, "fetch.max.bytes", "8388608");
        // The default stalls a full queue for a second.
        set_unless_given(&mut config, "fetch.queue.backoff.ms", "5");
        set_unless_given(&mut config, "fetch.error.backoff.ms", "100");
        set_unless_given(&mut config, "fetch.wait.max.ms", "200");
        config
            .set("client.id", client_id)
            .set("queued.max.messages.kbytes", kbytes(self.limits.input_queue_bytes))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }
}

/// The largest record that is produced, and the least that internal topics must take.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

fn kbytes(bytes: u64) -> String {
    bytes.div_ceil(1024).to_string()
}

fn set_unless_given(config: &mut ClientConfig, key: &str, value: &str) {
    if config.get(key).is_none() {
        config.set(key, value);
    }
}

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

    /// From now on partitions are given up as soon as they are revoked: the worker has nothing left to commit.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
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

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client error");
        let Some(reachability) = &self.reachability else { return };
        if !self.waiting.load(Ordering::Relaxed) {
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

#[cfg(test)]
mod tests {
    use rdkafka::producer::BaseProducer;

    use super::*;

    /// librdkafka looks at some properties, and at some of them together, only now.
    #[test]
    fn what_the_configuration_lets_through_clients_are_made_with() {
        let ends = [
            ("socket.timeout.ms", [10, 10_100]),
            ("linger.ms", [0, 1_000]),
            ("queue.buffering.max.ms", [0, 1_000]),
            ("fetch.max.bytes", [1_000_000, 2_147_483_135]),
            ("max.poll.interval.ms", [45_000, 86_400_000]),
        ];
        for (name, value) in ends.iter().flat_map(|(name, ends)| ends.map(|end| (name, end))) {
            let config = format!("[kafka]\nbrokers = \"127.0.0.1:1\"\n[kafka.properties]\n{name} = {value}");
            let clients = Clients::new(&Config::read(&config, []).unwrap());
            for consumer in [clients.member("g", "c"), clients.reader("c"), clients.watcher("g", "c"), clients.admin()]
            {
                consumer.create_with_context::<_, BaseConsumer<Link>>(Link::idle()).map(drop).expect(name);
            }
            clients.producer("t").create_with_context::<_, BaseProducer<Link>>(Link::idle()).map(drop).expect(name);
        }
    }
}
