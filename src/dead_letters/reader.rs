//! The dead letters, read again: which record each is of, why it was rejected, and what it was before this program added
//! its headers.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

use super::choice::Known;
use crate::config::Config;
use crate::kafka::client::ask::{offset_in, watermarks};
use crate::kafka::client::contact::{self, NoContact};
use crate::kafka::client::errors::is_hopeless;
use crate::kafka::client::{Clients, Link};
use crate::kafka::record::dead_letter::{CUT_HEADERS, CUT_KEY, CUT_VALUE, DETAIL, REASON};
use crate::kafka::record::origin::{Origin, text};
use crate::kafka::record::read::size_of_headers;

/// How long a broker that does not answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a first answer is waited for.
const CONTACT_WITHIN: Duration = Duration::from_secs(5);

/// Why the dead letters can't be read or sent again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum LettersError {
    #[error(transparent)]
    NoContact(#[from] NoContact),
    #[error("{what}: {cause}")]
    Kafka { what: String, cause: KafkaError },
    #[error("Kafka does not answer within {} s: {what}", PATIENCE.as_secs())]
    Unreachable { what: String },
    #[error("topic {topic} does not exist, or is not shown to this user, who needs the right to read it")]
    NoTopic { topic: String },
    #[error("group {group}: {cause}. This user needs the right Describe on it: a reader has to name a group")]
    Group { group: String, cause: KafkaError },
    #[error("topic {topic} can't be made: {problem}")]
    CantCreate { topic: String, problem: String },
    #[error("{topic} partition 0, offset {offset}: {problem}")]
    Progress { topic: String, offset: i64, problem: String },
    #[error("a transaction of another program is open on {topic} and does not end")]
    Blocked { topic: String },
    #[error("{cause}. This user needs the right Write on each of {}", topics.join(", "))]
    MayNotWrite { cause: String, topics: Vec<String> },
    #[error("{cause}. What was not committed was not sent: run it again, and it goes on where it stopped")]
    Transaction { cause: String },
}

impl LettersError {
    /// Of an error of librdkafka's, and what it was about (`topic dead-letters`).
    pub fn kafka(what: impl Into<String>) -> impl FnOnce(KafkaError) -> LettersError {
        let what = what.into();
        move |cause| LettersError::Kafka { what, cause }
    }
}

/// The name of clients that read dead letters: one that only an application has, as rights are given by it.
pub fn client_name(config: &Config) -> String {
    format!("{}-dead-letters", config.kafka.application_id)
}

/// A dead letter that this program wrote.
pub struct Letter<'a> {
    headers: &'a BorrowedHeaders,
    /// The code of a [`Reason`](crate::events::Reason).
    pub reason: &'a str,
    /// What exactly was wrong, for people.
    pub detail: &'a str,
    /// Where its record was first read.
    pub origin: Origin<'a>,
    /// What of the record is not there any more.
    pub cut: Option<String>,
    /// How many of the headers are the record's own; they come first.
    own: usize,
}

impl<'a> Letter<'a> {
    /// `None` of a record that is no dead letter of this program's.
    pub fn of(record: &'a BorrowedMessage<'_>) -> Option<Letter<'a>> {
        // Before any is looked at: whether their names can be read.
        size_of_headers(record)?;
        let headers = record.headers()?;
        let mut end = headers.count();
        let mut last = |name| {
            let found = text(headers, end.checked_sub(1)?, name)?;
            end -= 1;
            Some(found)
        };
        let detail = last(DETAIL)?;
        let reason = last(REASON)?;
        let cuts = [("value", last(CUT_VALUE)), ("key", last(CUT_KEY))];
        let origin = Origin::before(headers, end)?;
        let own = end - Origin::HEADERS;
        let without_headers = if own == 1 { text(headers, 0, CUT_HEADERS) } else { None };
        let cuts = cuts.into_iter().chain([("headers", without_headers)]);
        let cuts: Vec<String> = cuts.filter_map(|(what, was)| Some(format!("{what}: {}", was?))).collect();
        let cut = if cuts.is_empty() { None } else { Some(cuts.join("; ")) };
        Some(Letter { headers, reason, detail, origin, cut, own })
    }

    /// What it is chosen by.
    pub fn known(&self, record: &'a BorrowedMessage<'_>) -> Known<'a> {
        Known { reason: Some(self.reason), origin: Some(self.origin), ..Known::of(record) }
    }

    /// The headers that the record had when it was rejected.
    pub fn own_headers(&self) -> Option<OwnedHeaders> {
        let own = self.headers.iter().take(self.own);
        let copied = own.fold(OwnedHeaders::new_with_capacity(self.own), |headers, header| headers.insert(header));
        (self.own > 0).then_some(copied)
    }
}

/// Reads a topic to where it ended when this was begun, committed records only.
pub struct Letters {
    topic: String,
    group: String,
    consumer: BaseConsumer<Link>,
    /// Of the partitions that are not done: where they end.
    ends: BTreeMap<i32, i64>,
    last_news: Instant,
}

impl Letters {
    /// `name` is the client's.
    ///
    /// # Errors
    /// No broker answers, or the topic is not there.
    pub fn open(clients: &Clients, name: &str, topic: &str) -> Result<Letters, LettersError> {
        let what = || format!("topic {topic}");
        let mut config = clients.reader(name);
        let group = config.get("group.id").unwrap_or_default().to_owned();
        config.set("enable.partition.eof", "true");
        let partitions =
            partitions_of(clients, topic)?.ok_or_else(|| LettersError::NoTopic { topic: topic.to_owned() })?;
        let consumer: BaseConsumer<Link> =
            config.create_with_context(Link::idle()).map_err(LettersError::kafka("a consumer"))?;
        let mut all = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            all.add_partition(topic, *partition);
        }
        let [lows, highs] = [Offset::Beginning, Offset::End].map(|which| answer(|| watermarks(&consumer, &all, which)));
        let (lows, highs) = (lows.map_err(LettersError::kafka(what()))?, highs.map_err(LettersError::kafka(what()))?);
        let mut assigned = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for partition in partitions {
            let start = offset_in(&lows, topic, partition).unwrap_or(0);
            let end = offset_in(&highs, topic, partition).unwrap_or(0);
            if start < end {
                ends.insert(partition, end);
                assigned
                    .add_partition_offset(topic, partition, Offset::Offset(start))
                    .map_err(LettersError::kafka(what()))?;
            }
        }
        consumer.assign(&assigned).map_err(LettersError::kafka(what()))?;
        Ok(Letters { topic: topic.to_owned(), group, consumer, ends, last_news: Instant::now() })
    }

    /// The next record; `None` when all partitions are read.
    ///
    /// # Errors
    /// The topic can't be read on.
    pub fn read(&mut self) -> Result<Option<BorrowedMessage<'_>>, LettersError> {
        // Borrowed in one place alone, so that a record can be handed out of the loop.
        let Letters { topic, group, consumer, ends, last_news } = self;
        let consumer: &BaseConsumer<Link> = consumer;
        while !ends.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    *last_news = Instant::now();
                    let partition = record.partition();
                    let Some(end) = ends.get(&partition).copied() else { continue };
                    if record.offset() + 1 >= end {
                        ends.remove(&partition);
                    }
                    if record.offset() < end {
                        return Ok(Some(record));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    *last_news = Instant::now();
                    ends.remove(&partition);
                }
                Some(Err(cause)) if cause.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                    return Err(LettersError::Group { group: group.clone(), cause });
                }
                Some(Err(error)) if is_hopeless(&error) => {
                    return Err(LettersError::Kafka { what: format!("topic {topic}"), cause: error });
                }
                Some(Err(error)) => tracing::debug!(%error, topic, "reading"),
                None => {}
            }
            if last_news.elapsed() > PATIENCE {
                return Err(LettersError::Unreachable { what: format!("topic {topic}") });
            }
        }
        Ok(None)
    }
}

/// The partitions of a topic; `None` when it does not exist, or this user may not see it.
///
/// # Errors
/// No broker answers, or one refuses the connection.
pub fn partitions_of(clients: &Clients, topic: &str) -> Result<Option<Vec<i32>>, LettersError> {
    let metadata = contact::metadata(&clients.admin(), None, CONTACT_WITHIN, &AtomicBool::new(false))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map(|topic| topic.partitions().iter().map(|partition| partition.id()).collect()))
}

/// Asks again for a while.
///
/// # Errors
/// What it was answered last; at once where asking again is of no use.
pub fn answer<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(error) if began.elapsed() < PATIENCE && !is_hopeless(&error) => {
                let known = error.rdkafka_error_code();
                if known == Some(RDKafkaErrorCode::Authentication) {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}
