//! Sends dead letters again, each to the topic that it came from, as it was. How far that is done stands in a topic of its
//! own and is written in the same transactions, so that a letter is sent once, however often this is begun anew or ended
//! in its midst. (Offsets of a consumer group would expire while nobody is in it.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use serde::{Deserialize, Serialize};

use super::clients::{Clients, Link};
use super::letters::{Letter, Letters, LettersError, PATIENCE, answer, partitions_of};
use super::reachability::Reachability;
use super::transaction::{Failure, Patience, Transactions};
use super::watch::{offset_in, watermarks};
use crate::config::Config;
use crate::events::Reason;
use crate::format;

/// Of one transaction.
const MAX_LETTERS: usize = 500;
const MAX_BYTES: usize = 1 << 20;
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// Which letters are to be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// None: of whatever reason.
    pub reasons: Vec<Reason>,
    /// Only says what would be sent.
    pub dry_run: bool,
    /// Also those that were sent before.
    pub again: bool,
}

/// What became of the letters that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Sent again (or would have been), by reason.
    pub sent: BTreeMap<String, u64>,
    /// Sent by an earlier call.
    pub before: u64,
    /// Not whole any more, so never sent.
    pub cut: u64,
    /// From topics that are no sources of this configuration, so not sent.
    pub elsewhere: BTreeMap<String, u64>,
    /// Records that are no dead letters of this program's.
    pub foreign: u64,
}

/// The next letter of a reason and partition that is not dealt with: a record of the topic of progress.
#[derive(Serialize, Deserialize)]
struct Position {
    format: u8,
    next: i64,
}

type Positions = BTreeMap<(String, i32), i64>;

/// Sends letters again. Blocks; not to be called from async code.
///
/// # Errors
/// What was committed stays so; calling it again goes on after that.
pub fn retry(config: &Config, request: &Request) -> Result<Retried, LettersError> {
    let clients = Clients::new(config);
    let topic = format!("{}-dead-letters-retried", config.kafka.application_id);
    let mut sender = None;
    if !request.dry_run {
        create(config, &clients, &topic)?;
        // From here on no other call can commit anything: what it has committed is read next.
        sender = Some(Sender::new(config, &clients, &topic)?);
    }
    let positions = read_positions(&clients, &topic)?;
    let sources: BTreeSet<&str> =
        config.topics.purchases.iter().chain(&config.topics.ad_spend).map(String::as_str).collect();
    let wanted: Vec<&str> = request.reasons.iter().map(|reason| reason.code()).collect();
    let mut retried = Retried::default();
    let mut letters = Letters::open(&clients, &config.topics.dead_letters, |_| 0)?;
    while let Some(record) = letters.read()? {
        let Some(letter) = Letter::of(&record) else {
            retried.foreign += 1;
            continue;
        };
        if !wanted.is_empty() && !wanted.contains(&letter.reason) {
            continue;
        }
        let key = (letter.reason.to_owned(), record.partition());
        if !request.again && positions.get(&key).is_some_and(|next| record.offset() < *next) {
            retried.before += 1;
            continue;
        }
        let is_sent = if letter.cut.is_some() {
            retried.cut += 1;
            false
        } else if !sources.contains(letter.origin.topic) {
            *retried.elsewhere.entry(letter.origin.topic.to_owned()).or_default() += 1;
            false
        } else {
            *retried.sent.entry(letter.reason.to_owned()).or_default() += 1;
            true
        };
        if let Some(sender) = &mut sender {
            let next = positions.get(&key).copied().unwrap_or(0).max(record.offset() + 1);
            sender.take(key, next, &record, is_sent.then_some(&letter))?;
        }
    }
    if let Some(sender) = &mut sender {
        sender.commit()?;
    }
    Ok(retried)
}

/// Sends letters and how far they are sent, in transactions.
struct Sender {
    transactions: Transactions,
    group: Arc<ConsumerGroupMetadata>,
    topic: String,
    /// What the open transaction does.
    positions: Positions,
    letters: usize,
    bytes: usize,
}

impl Sender {
    /// Ends what an earlier one has left open, and fences it.
    fn new(config: &Config, clients: &Clients, topic: &str) -> Result<Sender, LettersError> {
        let id = format!("{}-dead-letters-retry", config.kafka.application_id);
        let reachability: Arc<Reachability> = Arc::default();
        let transactions = Transactions::new(clients.producer(&id), String::new(), reachability)
            .map_err(LettersError::kafka("a producer"))?;
        let began = Instant::now();
        while !transactions
            .introduce(Duration::from_secs(2))
            .map_err(LettersError::kafka("the transactional producer"))?
        {
            if began.elapsed() > PATIENCE {
                return Err(LettersError::Unreachable { what: "the transactional producer".to_owned() });
            }
        }
        // No offsets are committed, so that no group is needed but in name.
        let consumer: BaseConsumer<Link> =
            clients.reader(&id).create_with_context(Link::idle()).map_err(LettersError::kafka("a consumer"))?;
        let group = consumer.group_metadata().ok_or_else(|| LettersError::Unreachable { what: id.clone() })?;
        Ok(Sender {
            transactions,
            group: Arc::new(group),
            topic: topic.to_owned(),
            positions: Positions::new(),
            letters: 0,
            bytes: 0,
        })
    }

    /// Notes that a record is dealt with; sends the letter that it is, if it is to be sent.
    fn take(
        &mut self,
        key: (String, i32),
        next: i64,
        record: &impl Message,
        letter: Option<&Letter<'_>>,
    ) -> Result<(), LettersError> {
        self.transactions.begin().map_err(failed)?;
        if let Some(letter) = letter {
            let sent = self.transactions.send(BaseRecord {
                topic: letter.origin.topic,
                // Where its key is at home today.
                partition: None,
                payload: record.payload(),
                key: record.key(),
                timestamp: None,
                headers: letter.own_headers(),
                delivery_opaque: (),
            });
            sent.map_err(failed)?;
            self.bytes += record.payload().map_or(0, <[u8]>::len);
        }
        self.positions.insert(key, next);
        self.letters += 1;
        if self.letters >= MAX_LETTERS || self.bytes >= MAX_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), LettersError> {
        if !self.transactions.is_open() {
            return Ok(());
        }
        for ((reason, partition), next) in std::mem::take(&mut self.positions) {
            let key = format!("{reason}/{partition}");
            let position = Position { format: format::WRITES, next };
            let value = serde_json::to_vec(&position).unwrap_or_default();
            let record = BaseRecord::to(&self.topic).partition(0).key(key.as_bytes()).payload(value.as_slice());
            self.transactions.send(record).map_err(failed)?;
        }
        let patience = Patience::of(COMMIT_WITHIN);
        self.transactions.acknowledge(patience).map_err(failed)?;
        self.transactions.commit(&TopicPartitionList::new(), &self.group, patience).map_err(failed)?;
        (self.letters, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // What could not be committed holds up readers no longer than needed.
        let _ = self.transactions.abort(Patience::of(Duration::from_secs(2)));
    }
}

fn failed(failure: Failure) -> LettersError {
    LettersError::Transaction { cause: failure.to_string() }
}

fn create(config: &Config, clients: &Clients, topic: &str) -> Result<(), LettersError> {
    let problem = |problem: String| LettersError::CantCreate { topic: topic.to_owned(), problem };
    let admin: AdminClient<DefaultClientContext> =
        clients.admin().create().map_err(|error| problem(error.to_string()))?;
    let replicas = config.kafka.replication_factor.map_or(-1, i32::from);
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replicas)).set("cleanup.policy", "compact");
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| problem(error.to_string()))?;
    let created =
        runtime.block_on(admin.create_topics([&new], &options)).map_err(|error| problem(error.to_string()))?;
    match created.into_iter().next() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(problem(code.to_string())),
        _ => Ok(()),
    }
}

/// How far letters were sent; nothing where none ever were.
fn read_positions(clients: &Clients, topic: &str) -> Result<Positions, LettersError> {
    let mut positions = Positions::new();
    if !await_stable(clients, topic)? {
        return Ok(positions);
    }
    let mut records = Letters::open(clients, topic, |_| 0)?;
    while let Some(record) = records.read()? {
        let wrong =
            |problem: String| LettersError::Progress { topic: topic.to_owned(), offset: record.offset(), problem };
        let position: Position = serde_json::from_slice(record.payload().unwrap_or_default())
            .map_err(|_| wrong("malformed progress".to_owned()))?;
        let malformed = format::FormatError::Malformed { what: "progress" };
        format::split(&[position.format], malformed).map_err(|error| wrong(error.to_string()))?;
        let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
        let key = key.and_then(|key| key.rsplit_once('/'));
        let key = key.and_then(|(reason, partition)| Some((reason.to_owned(), partition.parse().ok()?)));
        positions.insert(key.ok_or_else(|| wrong("malformed key".to_owned()))?, position.next);
    }
    Ok(positions)
}

/// Waits until all that is in the topic can be read: for a moment after a commit a reader is shown less. `false`: there
/// is no such topic.
fn await_stable(clients: &Clients, topic: &str) -> Result<bool, LettersError> {
    let client = |config: rdkafka::ClientConfig| -> Result<BaseConsumer<Link>, LettersError> {
        config.create_with_context(Link::idle()).map_err(LettersError::kafka("a consumer"))
    };
    let reader = client(clients.reader("payback-dead-letters"))?;
    let watcher = client(clients.watcher("payback-dead-letters-watcher", "payback-dead-letters"))?;
    if partitions_of(&reader, topic)?.is_none() {
        return Ok(false);
    }
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let end_for = |consumer: &BaseConsumer<Link>| {
        let ends = answer(|| watermarks(consumer, &list, Offset::End)).map_err(LettersError::kafka(topic))?;
        Ok(offset_in(&ends, topic, 0).unwrap_or(0))
    };
    let began = Instant::now();
    let end = end_for(&watcher)?;
    while end_for(&reader)? < end {
        if began.elapsed() > PATIENCE {
            return Err(LettersError::Blocked { topic: topic.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}
