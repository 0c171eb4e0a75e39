//! Sends made-up events to Kafka: at least once, in order, keyed as a shop would key them.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::error::GenerateError;
use crate::kafka::client::contact;
use crate::shop::{Message, Source};
use crate::status::lock::lock;

/// A producer for the two source topics.
pub struct Producer {
    client: BaseProducer<Deliveries>,
    brokers: String,
    purchases: String,
    ad_spend: String,
}

/// How long an unreachable broker is waited for before anything was sent.
const PATIENCE: Duration = Duration::from_secs(30);

impl Producer {
    /// Connects and checks that both topics exist.
    ///
    /// # Errors
    /// No broker answers, or a topic is missing.
    pub fn connect<'a>(
        brokers: &str,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
        purchases: &str,
        ad_spend: &str,
    ) -> Result<Producer, GenerateError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("client.id", "payback-generate").set("linger.ms", "5");
        config.extend(properties.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        // Keys go where the processor looks for them first.
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true");
        config.set("delivery.report.only.error", "true");
        for topic in [purchases, ad_spend] {
            let metadata = contact::metadata(&config, Some(topic), PATIENCE, &AtomicBool::new(false))
                .map_err(|error| GenerateError::NoContact { brokers: brokers.to_owned(), error })?;
            if let Some(error) = metadata.topics().iter().find_map(|topic| topic.error()) {
                let error = KafkaError::MetadataFetch(RDKafkaErrorCode::from(error));
                return Err(GenerateError::Kafka { topic: topic.to_owned(), error });
            }
        }
        let client = config
            .create_with_context(Deliveries::default())
            .map_err(|error| GenerateError::Unreachable { brokers: brokers.to_owned(), error })?;
        Ok(Producer {
            client,
            brokers: brokers.to_owned(),
            purchases: purchases.to_owned(),
            ad_spend: ad_spend.to_owned(),
        })
    }

    /// Queues one event; waits while the queue is full.
    ///
    /// # Errors
    /// It, or one before it, can't be delivered.
    pub fn send(&self, message: &Message) -> Result<(), GenerateError> {
        let topic = match message.source {
            Source::Purchases => &self.purchases,
            Source::AdSpend => &self.ad_spend,
        };
        let mut record = BaseRecord::to(topic).key(&message.key).payload(&message.value);
        loop {
            match self.client.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.poll(Duration::from_millis(5))?;
                }
                Err((error, _)) => return Err(GenerateError::Kafka { topic: topic.clone(), error }),
            }
        }
        Ok(())
    }

    /// Serves deliveries for `time`.
    ///
    /// # Errors
    /// An event can't be delivered.
    pub fn poll(&self, time: Duration) -> Result<(), GenerateError> {
        self.client.poll(time);
        self.client.context().failure()
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// An event can't be delivered.
    pub fn flush(&self) -> Result<(), GenerateError> {
        let deadline = Instant::now() + PATIENCE;
        while self.client.in_flight_count() > 0 {
            self.poll(Duration::from_millis(1))?;
            if Instant::now() > deadline {
                let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
                return Err(GenerateError::Unreachable { brokers: self.brokers.clone(), error });
            }
        }
        self.client.context().failure()
    }
}

/// Keeps the first delivery that failed.
#[derive(Default)]
struct Deliveries(Mutex<Option<(String, KafkaError)>>);

impl Deliveries {
    fn failure(&self) -> Result<(), GenerateError> {
        let mut failed = lock(&self.0);
        match failed.take() {
            Some((topic, error)) => Err(GenerateError::Kafka { topic, error }),
            None => Ok(()),
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        contact::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, message)) = result {
            let mut failed = lock(&self.0);
            failed.get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
        }
    }
}
