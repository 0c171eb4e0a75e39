//! Sends dead letters again, each to the topic that it came from, as it was. Which were sent stands in a topic of its own
//! ([`sent`]) and is written in the same transactions, so that a letter is sent once, however often this is begun anew or ended
//! before its end. (Offsets of a consumer group would expire while nobody is in it.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, ConsumerGroupMetadata};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::BaseRecord;

use super::choice::Choice;
use super::reader::{Letter, Letters, LettersError, PATIENCE, answer, client_name, partitions_of};
use super::sent::{self, Changes, Retries};
use crate::config::Config;
use crate::kafka::client::ask::{offset_in, watermarks};
use crate::kafka::client::{Clients, Link, Reachability};
use crate::kafka::transaction::{Failure, Patience, Transactions};

/// Of one transaction: letters, bytes of them, and how long it may be open. A broker aborts it after 10 s, and many letters
/// may be read before the next one that is to be sent.
const MAX_LETTERS: usize = 500;
const MAX_BYTES: usize = 1 << 20;
const MAX_AGE: Duration = Duration::from_secs(2);
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// Which letters are to be sent again, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Which letters.
    pub choice: Choice,
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

/// Sends letters again. Blocks; not to be called from async code.
///
/// # Errors
/// What was committed stays so; calling it again goes on after that.
pub fn retry(config: &Config, request: &Request) -> Result<Retried, LettersError> {
    let clients = Clients::new(config);
    let name = client_name(config);
    let topic = format!("{name}-retried");
    let sources = [&config.topics.purchases[..], &config.topics.ad_spend].concat();
    let mut sender = None;
    if !request.dry_run {
        if !exists(&clients, &topic)? {
            create(config, &clients, &topic)?;
            await_topic(&clients, &topic)?;
        }
        // From here on no other call can commit anything: what it has committed is read next.
        sender = Some(Sender::new(format!("{name}-retry"), &clients, &sources, &topic)?);
    }
    let mut retries = read_retries(&clients, &name, &topic)?;
    let mut retried = Retried::default();
    let mut letters = Letters::open(&clients, &name, &config.topics.dead_letters)?;
    while let Some(record) = letters.read()? {
        if let Some(sender) = &mut sender {
            sender.commit_if_due()?;
        }
        let Some(letter) = Letter::of(&record) else {
            retried.foreign += 1;
            continue;
        };
        let (line, offset) = ((letter.reason.to_owned(), record.partition()), record.offset());
        let fate = Fate::of(&letter, &record, request, &sources, retries.hold(&line, offset));
        match fate {
            Fate::NotMeant => {}
            Fate::SentBefore => retried.before += 1,
            Fate::Cut => retried.cut += 1,
            Fate::Elsewhere => *retried.elsewhere.entry(letter.origin.topic.to_owned()).or_default() += 1,
            Fate::Send => *retried.sent.entry(letter.reason.to_owned()).or_default() += 1,
        }
        match &mut sender {
            Some(sender) if fate == Fate::Send => {
                sender.send(&record, &letter)?;
                retries.note(&line, offset, &mut sender.changes);
            }
            // What is not sent is not dealt with either: a later call may send it.
            _ => retries.pass(&line, offset),
        }
    }
    if let Some(sender) = &mut sender {
        sender.commit()?;
    }
    Ok(retried)
}

/// What becomes of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is none of those that are asked for.
    NotMeant,
    SentBefore,
    /// It is not whole any more.
    Cut,
    /// It is from a topic that is no source of this configuration.
    Elsewhere,
    Send,
}

impl Fate {
    fn of(
        letter: &Letter<'_>,
        record: &BorrowedMessage<'_>,
        request: &Request,
        sources: &[String],
        is_dealt_with: bool,
    ) -> Fate {
        if !request.choice.wants(&letter.known(record)) {
            Fate::NotMeant
        } else if is_dealt_with && !request.again {
            Fate::SentBefore
        } else if letter.cut.is_some() {
            Fate::Cut
        } else if !sources.iter().any(|source| source == letter.origin.topic) {
            Fate::Elsewhere
        } else {
            Fate::Send
        }
    }
}

/// What is in a transaction that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: Instant,
    letters: usize,
    bytes: usize,
}

impl Open {
    fn since(now: Instant) -> Open {
        Open { since: now, letters: 0, bytes: 0 }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.letters >= MAX_LETTERS || self.bytes >= MAX_BYTES || now.duration_since(self.since) >= MAX_AGE
    }
}

/// Sends letters and how far they are sent, in transactions.
struct Sender {
    transactions: Transactions,
    group: Arc<ConsumerGroupMetadata>,
    /// Where letters are sent.
    sources: Vec<String>,
    /// The topic that records which letters were sent.
    topic: String,
    /// What the open transaction says of them.
    changes: Changes,
    open: Option<Open>,
}

impl Sender {
    /// Ends what an earlier one has left open, and fences it.
    fn new(id: String, clients: &Clients, sources: &[String], topic: &str) -> Result<Sender, LettersError> {
        let reachability: Arc<Reachability> = Arc::default();
        let transactions =
            Transactions::new(clients.producer(&id), reachability).map_err(LettersError::kafka("a producer"))?;
        let what = "the transactional producer";
        if !transactions.introduce_within(PATIENCE).map_err(LettersError::kafka(what))? {
            return Err(LettersError::Unreachable { what: what.to_owned() });
        }
        let group = clients.group_in_name(&id).map_err(LettersError::kafka("a consumer"))?;
        let group = group.ok_or_else(|| LettersError::Unreachable { what: id.clone() })?;
        Ok(Sender {
            transactions,
            group: Arc::new(group),
            sources: sources.to_vec(),
            topic: topic.to_owned(),
            changes: Changes::new(),
            open: None,
        })
    }

    /// Sends the letter that a record is, in the open transaction.
    fn send(&mut self, record: &impl Message, letter: &Letter<'_>) -> Result<(), LettersError> {
        self.transactions.begin().map_err(|failure| self.failed(failure))?;
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
        sent.map_err(|failure| self.failed(failure))?;
        let open = self.open.get_or_insert_with(|| Open::since(Instant::now()));
        open.letters += 1;
        open.bytes += record.payload().map_or(0, <[u8]>::len);
        Ok(())
    }

    fn failed(&self, failure: Failure) -> LettersError {
        let cause = failure.to_string();
        match failure.code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => LettersError::MayNotWrite {
                cause,
                topics: [&self.sources[..], std::slice::from_ref(&self.topic)].concat(),
            },
            _ => LettersError::Transaction { cause },
        }
    }

    /// To be called for each record that is read, whatever becomes of it.
    fn commit_if_due(&mut self) -> Result<(), LettersError> {
        if self.open.is_some_and(|open| open.is_due(Instant::now())) { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), LettersError> {
        if self.open.take().is_none() {
            return Ok(());
        }
        for ((line, from), next) in std::mem::take(&mut self.changes) {
            let (key, value) = sent::record(&line, from, next);
            let record = BaseRecord::to(&self.topic).partition(0).key(key.as_bytes());
            let record = BaseRecord { payload: value.as_deref(), ..record };
            self.transactions.send(record).map_err(|failure| self.failed(failure))?;
        }
        let patience = Patience::of(COMMIT_WITHIN);
        self.transactions.acknowledge(patience).map_err(|failure| self.failed(failure))?;
        self.transactions
            .commit(&TopicPartitionList::new(), &self.group, patience)
            .map_err(|failure| self.failed(failure))?;
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // What could not be committed holds up readers no longer than needed.
        let _ = self.transactions.abort(Patience::of(Duration::from_secs(2)));
    }
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
        Some(Err((_, RDKafkaErrorCode::TopicAuthorizationFailed))) => {
            Err(problem("this user needs the right Create on it, or Read and Write if it exists".to_owned()))
        }
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(problem(code.to_string())),
        _ => Ok(()),
    }
}

/// Which letters were sent; none where none ever were.
fn read_retries(clients: &Clients, name: &str, topic: &str) -> Result<Retries, LettersError> {
    let mut retries = Retries::default();
    if !exists(clients, topic)? {
        return Ok(retries);
    }
    await_stable(clients, name, topic)?;
    let mut records = Letters::open(clients, name, topic)?;
    while let Some(record) = records.read()? {
        let wrong = |problem| LettersError::Progress { topic: topic.to_owned(), offset: record.offset(), problem };
        retries.read(record.key(), record.payload()).map_err(wrong)?;
    }
    Ok(retries)
}

fn consumer(config: ClientConfig) -> Result<BaseConsumer<Link>, LettersError> {
    config.create_with_context(Link::idle()).map_err(LettersError::kafka("a consumer"))
}

fn exists(clients: &Clients, topic: &str) -> Result<bool, LettersError> {
    Ok(partitions_of(clients, topic)?.is_some())
}

/// Waits until a topic that was made is known everywhere.
fn await_topic(clients: &Clients, topic: &str) -> Result<(), LettersError> {
    let began = Instant::now();
    while !exists(clients, topic)? {
        if began.elapsed() > PATIENCE {
            return Err(LettersError::NoTopic { topic: topic.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits until all that is in the topic can be read: for a moment after a commit a reader is shown less.
fn await_stable(clients: &Clients, name: &str, topic: &str) -> Result<(), LettersError> {
    let reader = consumer(clients.reader(name))?;
    let watcher = consumer(clients.watcher(&format!("{name}-watcher"), name))?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let end_for = |consumer: &BaseConsumer<Link>| {
        let ends = answer(|| watermarks(consumer, &list, Offset::End)).map_err(LettersError::kafka(topic));
        ends.map(|ends| offset_in(&ends, topic, 0).unwrap_or(0))
    };
    let began = Instant::now();
    let end = end_for(&watcher)?;
    while end_for(&reader)? < end {
        if began.elapsed() > PATIENCE {
            return Err(LettersError::Blocked { topic: topic.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_due_by_what_is_in_it_or_by_its_age() {
        let begun = Instant::now();
        let due_after = |open: &Open, age: u64| open.is_due(begun + Duration::from_millis(age));
        let mut open = Open { letters: 1, bytes: 100, ..Open::since(begun) };
        assert!(!due_after(&open, 1_999) && due_after(&open, 2_000), "many letters may come that are not sent");
        open.letters = MAX_LETTERS;
        assert!(due_after(&open, 0));
        open = Open { letters: 1, bytes: MAX_BYTES, ..open };
        assert!(due_after(&open, 0));
    }
}
