//! The Kafka clients: their settings, those that exactly-once rests on last, so that nothing overrides them.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};

use super::link::Link;
use super::reachability::Reachability;
use super::statistics::TOLD_EVERY;
use crate::config::{Config, LimitsConfig};

/// How long the broker keeps a transaction open that its writer left.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long without a sign of life a group goes on without a member, where nothing else is configured.
const SESSION_MS: u64 = 8_000;

/// So long a broker waits for each member when a group shares out its partitions anew, and goes on without those that it has not
/// heard of. librdkafka's 5 minutes are for members that work on between two polls; workers poll many times a second, but while
/// they wait for a transaction to end, which takes no more than [`STALLED_AFTER`](crate::status::STALLED_AFTER). No less than
/// a session may be.
const SHARED_OUT_WITHIN_MS: u64 = 45_000;

/// How often a member looks at its topics: partitions that a source gets are read so soon.
const LOOKED_AT_EVERY_MS: u64 = 5_000;

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
        if cfg!(feature = "vendored") {
            // An OpenSSL of its own does not know where the machine keeps the authorities that it trusts.
            set_unless_given(&mut base, "ssl.ca.location", PROBE);
            if cfg!(feature = "oidc") && base.get("https.ca.pem").is_none() {
                set_unless_given(&mut base, "https.ca.location", PROBE);
            }
        }
        Clients { base, limits: config.limits.clone() }
    }

    /// A worker's consumer, a member of `group`.
    pub fn member(&self, group: &str, client_id: &str) -> ClientConfig {
        let mut config = self.fetching(client_id);
        set_unless_given(&mut config, "session.timeout.ms", &SESSION_MS.to_string());
        set_unless_given(&mut config, "heartbeat.interval.ms", "2000");
        let session = millis_of(&config, "session.timeout.ms").unwrap_or(0);
        set_unless_given(&mut config, "max.poll.interval.ms", &SHARED_OUT_WITHIN_MS.max(session).to_string());
        set_unless_given(&mut config, "topic.metadata.refresh.interval.ms", &LOOKED_AT_EVERY_MS.to_string());
        // It is three times that by default, and what is too old is as good as gone: so long Kafka may be away.
        set_unless_given(&mut config, "metadata.max.age.ms", "900000");
        config
            .set("group.id", group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", TOLD_EVERY.as_millis().to_string())
            // Where to begin is decided here, from committed offsets; anything else is an error.
            .set("auto.offset.reset", "error");
        config
    }

    /// [`Clients::member`], which tells when no broker can be reached.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn consumer(
        &self,
        group: &str,
        client_id: &str,
        reachability: &Arc<Reachability>,
    ) -> KafkaResult<BaseConsumer<Link>> {
        self.member(group, client_id).create_with_context(Link::busy(Arc::clone(reachability)))
    }

    /// How long a broker waits for a member when a group shares out its partitions anew.
    pub fn shared_out_within(&self) -> Duration {
        let interval = millis_of(&self.member("", ""), "max.poll.interval.ms");
        Duration::from_millis(interval.unwrap_or(SHARED_OUT_WITHIN_MS))
    }

    /// After so long without a sign of life a group goes on without a member.
    pub fn session(&self) -> Duration {
        Duration::from_millis(millis_of(&self.member("", ""), "session.timeout.ms").unwrap_or(SESSION_MS))
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
        // A transaction that takes as long to end costs a new producer: that is seldom reached.
        set_unless_given(&mut config, "retry.backoff.ms", "250");
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

    /// For a transaction that commits no offsets: it needs a group in name alone. `None`: librdkafka has none for it.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn group_in_name(&self, client_id: &str) -> Result<Option<ConsumerGroupMetadata>, KafkaError> {
        let reader: BaseConsumer<Link> = self.reader(client_id).create_with_context(Link::idle())?;
        Ok(reader.group_metadata())
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

/// Lets librdkafka look through the places where systems have them.
const PROBE: &str = "probe";
/// The largest record that is produced, and the least that internal topics must take.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

fn kbytes(bytes: u64) -> String {
    bytes.div_ceil(1024).to_string()
}

fn millis_of(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.parse().ok()
}

fn set_unless_given(config: &mut ClientConfig, key: &str, value: &str) {
    if config.get(key).is_none() {
        config.set(key, value);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::producer::BaseProducer;

    use super::*;
    use crate::kafka::client::link::Link;

    /// The other members wait for one that is gone no longer than this.
    #[test]
    fn a_member_that_does_not_join_again_is_waited_for_for_45_s() {
        let interval = |properties: &str| {
            let config = format!("[kafka]\nbrokers = \"127.0.0.1:1\"\n[kafka.properties]\n{properties}");
            let member = Clients::new(&Config::read(&config, []).unwrap()).member("g", "c");
            member.create_with_context::<_, BaseConsumer<Link>>(Link::idle()).map(drop).expect(properties);
            member.get("max.poll.interval.ms").map(str::to_owned)
        };
        assert_eq!(interval("").as_deref(), Some("45000"));
        assert_eq!(interval("session.timeout.ms = 60000").as_deref(), Some("60000"), "a session may be longer");
        assert_eq!(interval("max.poll.interval.ms = 300000").as_deref(), Some("300000"));
    }

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
