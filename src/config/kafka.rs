//! `[kafka]`: where the brokers are, under which names this application works there, and librdkafka's properties.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::secret::HIDDEN;
use super::{Problem, ensure, topics};
use crate::engine::StageKind;

/// `[kafka]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port` of some of the brokers.
    pub brokers: Vec<String>,
    /// Names the internal topics, the consumer groups and the transactional ids. Two applications with one id share
    /// the work; with two they each do all of it. Empty while nobody has chosen one
    /// ([`Config::require_application_id`](super::Config::require_application_id)).
    #[serde(deserialize_with = "chosen_id", skip_serializing_if = "String::is_empty")]
    pub application_id: String,
    /// Unique among live instances. Unset: by the host's name.
    pub instance_id: Option<String>,
    /// Of topics that are created. Unset: the broker's own default.
    pub replication_factor: Option<i16>,
    /// Any of librdkafka's, but those that this program's promises rest on.
    pub properties: Properties,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig {
            brokers: vec!["localhost:9092".to_owned()],
            application_id: String::new(),
            instance_id: None,
            replication_factor: None,
            properties: Properties::default(),
        }
    }
}

impl KafkaConfig {
    /// The brokers as `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.brokers.join(",")
    }

    /// The topic by which a stage gets what is not at home where it was read.
    pub fn internal_topic(&self, stage: StageKind) -> String {
        let events = match stage {
            StageKind::Customers => "customer-events",
            StageKind::Campaigns => "campaign-events",
        };
        format!("{}-{events}", self.application_id)
    }

    /// The topic that holds a stage's facts.
    pub fn changelog_topic(&self, stage: StageKind) -> String {
        format!("{}-{}-changelog", self.application_id, stage.name())
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        ensure(!self.brokers.is_empty(), "kafka.brokers", || "at least one broker is needed".to_owned())?;
        for (position, broker) in self.brokers.iter().enumerate() {
            check_broker(broker).map_err(|expected| {
                Problem::new("kafka.brokers", format!("{expected} (number {} of the list)", position + 1))
            })?;
        }
        let id = &self.application_id;
        ensure(id.is_empty() || is_legal_id(id), "kafka.application_id", || legal_id(id))?;
        if let Some(id) = &self.instance_id {
            ensure(is_legal_id(id), "kafka.instance_id", || legal_id(id))?;
        }
        if let Some(factor) = self.replication_factor {
            ensure(factor >= 1, "kafka.replication_factor", || format!("expected at least 1, found {factor}"))?;
        }
        self.properties.check()
    }
}

/// Checks that a broker is `host:port`. What it is instead is not said, for other addresses may hold a password.
///
/// # Errors
/// What was expected.
pub fn check_broker(broker: &str) -> Result<(), String> {
    let expected = "expected host:port, such as kafka-1:9092 or [::1]:9092".to_owned();
    if broker.contains("://") {
        return Err(format!(
            "{expected}: leave out what stands before the host; TLS and logins are set by kafka.properties \
             (security.protocol, sasl.*)"
        ));
    }
    let is_name = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    let is_address = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    match broker.rsplit_once(':') {
        Some((host, port)) if (is_name(host) || is_address(host)) && is_port(port) => Ok(()),
        _ => Err(expected),
    }
}

/// Leaves room for the suffixes of the names that are made of an id; Kafka's limit is 249.
const MAX_ID_BYTES: usize = 200;

fn is_legal_id(id: &str) -> bool {
    topics::is_legal_name(id) && id.len() <= MAX_ID_BYTES
}

/// An id that is given: an empty one is none.
fn chosen_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() { Err(serde::de::Error::custom(legal_id(&id))) } else { Ok(id) }
}

fn legal_id(id: &str) -> String {
    format!("expected 1 to {MAX_ID_BYTES} letters, digits, dots, underscores and hyphens, found {id:?}")
}

/// Properties that are not the user's to set, and why. A name that ends in a dot stands for all that begin so.
const REFUSED: [(&str, &str); 40] = [
    ("bootstrap.servers", "set kafka.brokers"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("isolation.level", EXACTLY_ONCE),
    ("enable.auto.", EXACTLY_ONCE),
    ("auto.commit.", EXACTLY_ONCE),
    ("auto.offset.reset", EXACTLY_ONCE),
    ("offset.store.", EXACTLY_ONCE),
    ("enable.partition.eof", EXACTLY_ONCE),
    ("transactional.id", EXACTLY_ONCE),
    ("transaction.timeout.ms", "readers wait so long for a transaction that was left open, so it is fixed"),
    ("enable.idempotence", EXACTLY_ONCE),
    ("acks", EXACTLY_ONCE),
    ("request.required.acks", EXACTLY_ONCE),
    ("max.in.flight", EXACTLY_ONCE),
    ("max.in.flight.requests.per.connection", EXACTLY_ONCE),
    ("retries", EXACTLY_ONCE),
    ("message.send.max.retries", EXACTLY_ONCE),
    ("message.timeout.ms", OUTLIVED),
    ("delivery.timeout.ms", OUTLIVED),
    ("enable.gapless.guarantee", EXACTLY_ONCE),
    ("queuing.strategy", "the order of records rests on it, so it is fixed"),
    ("queue.buffering.backpressure.threshold", EXACTLY_ONCE),
    ("queue.buffering.max.kbytes", "set limits.output_queue_bytes"),
    ("queued.max.messages.kbytes", "set limits.input_queue_bytes"),
    ("partitioner", HOMES),
    ("partition.assignment.strategy", HOMES),
    ("group.id", "it is made of kafka.application_id"),
    ("group.instance.id", HOMES),
    ("group.protocol", HOMES),
    ("group.protocol.type", HOMES),
    ("group.remote.assignor", HOMES),
    ("allow.auto.create.topics", "topics are created by topics.create_sources alone"),
    ("test.mock.num.brokers", MOCK),
    ("test.mock.broker.rtt", MOCK),
    ("topic.blacklist", "the topics are those of [topics]"),
    ("client.id", "clients are named for what they do"),
    ("delivery.report.only.error", "reports of what was delivered are not looked at, so it is fixed"),
    ("message.max.bytes", "it is fixed, so that any accepted record can be forwarded"),
    ("log_level", "set log.level"),
    ("plugin.library.paths", "plug-ins may change what exactly-once processing rests on"),
];
const EXACTLY_ONCE: &str = "exactly-once processing rests on it, so it is fixed";
const OUTLIVED: &str = "a record is given up with its transaction, so it is fixed";
const HOMES: &str = "where keys live rests on it, so it is fixed";
const MOCK: &str = "a mock broker keeps no promises; use `payback demo`";

/// Properties that clients are refused with, or never get anything done with, outside of these ends, and why. librdkafka
/// itself says so only when a client is made.
const BOUNDED: [(&str, u64, u64, &str); 5] = [
    ("socket.timeout.ms", 10, 10_100, "a broker aborts a transaction that is open for 10 s"),
    ("linger.ms", 0, 1_000, "each transaction waits so long, and is aborted after 10 s"),
    ("queue.buffering.max.ms", 0, 1_000, "each transaction waits so long, and is aborted after 10 s"),
    ("fetch.max.bytes", 1_000_000, 2_147_483_135, "a record of an input may be so large"),
    ("max.poll.interval.ms", 45_000, 86_400_000, "a consumer's session may last so long"),
];

/// librdkafka properties by name: they go over this program's own defaults, and what is fixed is refused here. No error
/// says a value of theirs. They are printed, also by `Debug`, with all hidden that may be a secret.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Properties(BTreeMap<String, Scalar>);

impl Properties {
    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// The value of a property, if it is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.0.as_str())
    }

    /// What librdkafka says, with the values that are not to be printed hidden.
    pub fn without_values(&self, said: &str) -> String {
        let hidden = self.iter().filter(|(name, value)| !value.is_empty() && !is_shown(name, value));
        hidden.fold(said.to_owned(), |said, (_, value)| said.replace(value, HIDDEN))
    }

    pub(super) fn hide_secrets(&mut self) {
        for (name, value) in &mut self.0 {
            if !is_shown(name, &value.0) {
                value.0 = HIDDEN.to_owned();
            }
        }
    }

    fn check(&self) -> Result<(), Problem> {
        for (name, value) in self.iter() {
            let key = format!("kafka.properties.{name}");
            if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| is_named(name, refused)) {
                return Err(Problem::new(key, *why));
            }
            if let Err(error) = ClientConfig::new().set(name, value).create_native_config() {
                return Err(Problem::new(key, librdkafka_says(&error)));
            }
            if let Some((_, least, most, why)) = BOUNDED.iter().find(|(bounded, ..)| name == *bounded) {
                // librdkafka takes some of them with a fraction.
                let is_within = value.parse().is_ok_and(|value: f64| (*least as f64..=*most as f64).contains(&value));
                ensure(is_within, &key, || format!("expected {least} to {most}: {why}"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, if is_shown(name, value) { value } else { HIDDEN })))
            .finish()
    }
}

fn is_named(name: &str, refused: &str) -> bool {
    name == refused || (refused.ends_with('.') && name.starts_with(refused))
}

/// Whether the value of a property may be printed: a number or a switch, and the texts that help to see why there is no
/// connection. A name that sounds like a secret goes before that.
fn is_shown(name: &str, value: &str) -> bool {
    let sounds_secret = ["password", "secret", "key", "token", "jaas", "credential", "oauthbearer.config"]
        .iter()
        .any(|mark| name.to_ascii_lowercase().contains(mark));
    let is_number_or_switch = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    !sounds_secret && (is_number_or_switch || SHOWN.contains(&name))
}

const SHOWN: [&str; 8] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.kerberos.service.name",
    "sasl.oauthbearer.method",
    "ssl.ca.location",
    "ssl.certificate.location",
];

/// What librdkafka has against a property, without its value, which most of its sentences quote.
fn librdkafka_says(error: &KafkaError) -> String {
    let KafkaError::ClientConfig(_, description, ..) = error else { return BAD_VALUE.to_owned() };
    let description = description.trim_end();
    if let Some((_, range)) = description.split_once("is outside allowed range ") {
        return format!("{BAD_VALUE}: expected {}", range.replace("..", " to "));
    }
    if let Some((_, why)) = description.split_once("not supported in this build: ") {
        let by = if why.contains("libcurl") {
            " (the container image has it, and so has a build with --features oidc)"
        } else {
            ""
        };
        return format!("not supported in this build: {why}{by}");
    }
    // These speak of the name alone.
    let is_of_the_name = ["No such configuration property", "Java ", "Expected bool value"];
    let of_the_name = is_of_the_name.iter().any(|beginning| description.starts_with(beginning));
    if of_the_name { description.to_owned() } else { BAD_VALUE.to_owned() }
}

const BAD_VALUE: &str = "Invalid value";

/// A property's value: a text, a number or a switch, kept as text.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Scalar(text)),
            Value::Integer(number) => Ok(Scalar(number.to_string())),
            Value::Float(number) => Ok(Scalar(number.to_string())),
            Value::Boolean(on) => Ok(Scalar(on.to_string())),
            // Serde's own words would quote it.
            _ => Err(serde::de::Error::custom("expected a text, a number or true or false")),
        }
    }
}

/// Lets `security.protocol = "SSL"` be written without quotes around the name, which TOML takes for nested tables.
pub(super) fn flatten_properties(table: &mut Table) -> Result<(), Problem> {
    let kafka = table.get_mut("kafka").and_then(Value::as_table_mut);
    let Some(properties) = kafka.and_then(|kafka| kafka.get_mut("properties")).and_then(Value::as_table_mut) else {
        return Ok(());
    };
    let mut flat = Table::new();
    flatten_into(&mut flat, String::new(), std::mem::take(properties))?;
    *properties = flat;
    Ok(())
}

fn flatten_into(flat: &mut Table, prefix: String, nested: Table) -> Result<(), Problem> {
    for (name, value) in nested {
        let name = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => flatten_into(flat, format!("{name}."), inner)?,
            value => {
                let key = format!("kafka.properties.{name}");
                ensure(flat.insert(name, value).is_none(), &key, || "is set twice".to_owned())?;
            }
        }
    }
    Ok(())
}
