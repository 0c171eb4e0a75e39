//! A worker's transactions: one open at a time, begun by its first record, and what became of it told by kind of [`Failure`].
//!
//! librdkafka repeats by itself a request whose connection broke, or that was not answered in time, and says nothing of it; what it
//! sent first may still be on its way. The end of one transaction that comes late ends the next one, of which half is there, for
//! both have the producer's epoch (brokers raise it with each transaction only for clients that know KIP-890, which librdkafka
//! does not: its issue 5423). It does not always tell of the connection either, but before it repeats anything it waits for
//! `retry.backoff.ms`, less a fifth at most, or for `retry.backoff.max.ms` where that is less; before it repeats offsets, for half
//! a second. So a transaction whose end, or whose offsets, took as long may have left something behind. When the next one is to
//! begin, a new producer takes the place of its own first: its introduction raises the epoch, which fences all that is late.

mod batch;
mod failure;
mod repeats;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use self::batch::Batch;
pub use self::failure::Failure;
use self::repeats::repeated_after;
use crate::kafka::client::errors::is_hopeless;
use crate::kafka::client::{Link, Reachability, TRANSACTION_TIMEOUT, Undelivered, place};
use crate::kafka::faults;
use crate::status::OpenTransaction;

/// The transactional producer of one worker.
pub struct Transactions {
    config: ClientConfig,
    reachability: Arc<Reachability>,
    producer: Arc<BaseProducer<Link>>,
    /// What is answered sooner was not repeated.
    repeated_after: Duration,
    /// Whether a request of an earlier transaction may have been repeated, so that the first one may still come.
    may_come_late: bool,
    /// Since when one is open.
    opened: Option<Instant>,
    /// Who is told when one is opened and ended.
    told: Option<Arc<OpenTransaction>>,
    batch: Batch,
}

/// A small part of the time that a broker takes to acknowledge.
const PUMP_EVERY: Duration = Duration::from_micros(250);

/// How often it is asked, while records wait to be acknowledged, whether the transaction has failed meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a broker is waited for until it is asked anew to know a producer.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// How long a broker may take to know the producer that takes the place of another between two transactions. After that all is
/// restored, and it is waited for as after any other failure.
const FENCED_WITHIN: Duration = Duration::from_secs(5);

/// So long after its limit a call is given up that has not come back.
const OVERDUE: Duration = Duration::from_secs(1);

/// How long the steps of a commit are waited for, all in all.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Instant);

impl Patience {
    pub fn of(limit: Duration) -> Patience {
        Patience(Instant::now() + limit)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// How long one call may take.
    fn of_a_call(self) -> Duration {
        self.left().clamp(Duration::from_millis(100), Duration::from_secs(5))
    }
}

impl Transactions {
    /// A producer, not yet introduced to the broker.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: ClientConfig, reachability: Arc<Reachability>) -> Result<Transactions, KafkaError> {
        let producer = new_producer(&config, &reachability)?;
        let repeated_after = repeated_after(&config)?;
        let (may_come_late, batch) = (false, Batch::default());
        Ok(Transactions {
            config,
            reachability,
            producer,
            repeated_after,
            may_come_late,
            opened: None,
            told: None,
            batch,
        })
    }

    /// Introduces the producer: ends what an earlier one of the same transactional id left open, and fences it. `false`:
    /// the broker did not answer within `limit`, try again.
    ///
    /// # Errors
    /// The broker refuses the producer for good.
    pub fn introduce(&self, limit: Duration) -> Result<bool, KafkaError> {
        self.producer.context().set_waiting(true);
        let introduced = self.producer.init_transactions(limit);
        // Why there was no answer.
        self.producer.poll(Duration::ZERO);
        self.producer.context().set_waiting(false);
        match introduced {
            Ok(()) => {
                self.reachability.back();
                Ok(true)
            }
            Err(error) if is_worth_retrying(&error) => {
                self.reachability.gone(&error.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Transactions::introduce`], again and again for so long. `false`: no broker has answered.
    ///
    /// # Errors
    /// The broker refuses the producer for good.
    pub fn introduce_within(&self, limit: Duration) -> Result<bool, KafkaError> {
        let began = Instant::now();
        while !self.introduce(INTRODUCTION)? {
            if began.elapsed() > limit {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces the producer by a new one, which must be introduced again. What was open is ended by that.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn replace(&mut self) -> Result<(), KafkaError> {
        self.producer = new_producer(&self.config, &self.reachability)?;
        self.may_come_late = false;
        self.end();
        Ok(())
    }

    /// Has somebody told when a transaction is opened and ended.
    pub fn tell(&mut self, told: Arc<OpenTransaction>) {
        self.told = Some(told);
    }

    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Begins a transaction, unless one is open. What may come late of an earlier one is fenced first.
    ///
    /// # Errors
    /// The producer refuses, or no broker takes the new one.
    pub fn begin(&mut self) -> Result<(), Failure> {
        if !self.is_open() {
            if self.may_come_late {
                self.fence_what_is_late()?;
            }
            self.producer.begin_transaction().map_err(|cause| Failure::of("a transaction can't be begun", cause))?;
            self.opened = Some(Instant::now());
            self.told.iter().for_each(|told| told.begun());
            self.producer.context().set_waiting(true);
        }
        Ok(())
    }

    /// What was open is over, whichever way.
    fn end(&mut self) {
        self.opened = None;
        self.told.iter().for_each(|told| told.ended());
        self.batch.clear();
        self.producer.context().set_waiting(false);
    }

    /// Takes a record into the open transaction; [`Transactions::acknowledge`] hands over what is kept back of them. May
    /// wait while the producer's queue is full.
    ///
    /// # Errors
    /// A record can't be sent, or there was no room for too long: the transaction has failed.
    pub fn send(&mut self, record: BaseRecord<'_, [u8], [u8]>) -> Result<(), Failure> {
        self.batch.push(record);
        let producer = &self.producer;
        let is_idle = || {
            producer.poll(Duration::ZERO);
            producer.in_flight_count() == 0
        };
        if self.batch.are_due(is_idle) { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Failure> {
        let mut batch = std::mem::take(&mut self.batch);
        let outcome = batch.drain(|record| match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((error, record)) => self.send_when_there_is_room(error, record),
        });
        self.batch = batch;
        outcome
    }

    fn send_when_there_is_room(
        &self,
        mut error: KafkaError,
        mut record: BaseRecord<'_, [u8], [u8]>,
    ) -> Result<(), Failure> {
        // Its broker has no more patience either.
        let patience = Patience(self.opened.unwrap_or_else(Instant::now) + TRANSACTION_TIMEOUT);
        while error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && !patience.is_over() {
            self.pump();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => (error, record) = refused,
            }
        }
        let of_record = Undelivered { to: place(record.topic, record.partition.unwrap_or(-1)), cause: error };
        let of_record = self.producer.context().take_undelivered().unwrap_or(of_record);
        let Undelivered { to, cause } = self.reason(of_record);
        Err(Failure::of(format!("a record can't be sent to {to}"), cause))
    }

    /// Serves what librdkafka has to say. To be called now and then.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Serves librdkafka while something is waited for. Its own `poll` with a timeout would spin through what is left of
    /// a millisecond, and `flush` would wait in steps of 100 ms.
    fn pump(&self) {
        self.producer.poll(Duration::ZERO);
        std::thread::sleep(PUMP_EVERY);
    }

    /// Hands over the last records, and waits until all are acknowledged.
    ///
    /// # Errors
    /// One was not delivered, or not in time: the transaction has failed.
    pub fn acknowledge(&mut self, patience: Patience) -> Result<(), Failure> {
        self.hand_over()?;
        faults::at(faults::Point::AfterProduce);
        if self.producer.in_flight_count() > 0 {
            faults::at(faults::Point::BeforeLastAcknowledgement);
        }
        let mut last_look = Instant::now();
        while self.producer.in_flight_count() > 0 {
            if patience.is_over() {
                let cause = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                return Err(Failure::Abortable { what: "records were not acknowledged in time".into(), cause });
            }
            if last_look.elapsed() >= LOOK_EVERY {
                last_look = Instant::now();
                // Records of a transaction that has failed are not sent, nor given up before their time is over.
                if let Some(cause) = self.failed() {
                    let to = self.producer.context().take_refused().map_or(String::new(), |to| format!(" to {to}"));
                    return Err(Failure::of(format!("records are not delivered{to}"), cause));
                }
            }
            self.pump();
        }
        match self.producer.context().take_undelivered() {
            Some(of_record) => {
                let Undelivered { to, cause } = self.reason(of_record);
                Err(Failure::of(format!("a record was not delivered to {to}"), cause))
            }
            None => Ok(()),
        }
    }

    /// Why the open transaction has failed, if it has: librdkafka says so when it is to begin another, which it refuses.
    fn failed(&self) -> Option<KafkaError> {
        match self.producer.begin_transaction() {
            Err(KafkaError::Transaction(error)) if error.is_fatal() || error.txn_requires_abort() => {
                Some(KafkaError::Transaction(error))
            }
            _ => None,
        }
    }

    /// What is behind a record's error: that of one which was only thrown away with the others says nothing, nor does that
    /// of one which came after the producer had failed for good. Where a partition was refused, it is the one to name.
    fn reason(&self, of_record: Undelivered) -> Undelivered {
        let cause = &of_record.cause;
        if is_hopeless(cause) && cause.rdkafka_error_code() != Some(RDKafkaErrorCode::Fatal) {
            return of_record;
        }
        match self.failed() {
            Some(cause) => Undelivered { to: self.producer.context().take_refused().unwrap_or(of_record.to), cause },
            None => of_record,
        }
    }

    /// Adds the input offsets, which is what fences a worker that was evicted from the group, and commits. All records
    /// must have been acknowledged.
    ///
    /// # Errors
    /// What is to be done next depends on the [`Failure`]; whether it was committed may not be known.
    pub fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        group: &Arc<ConsumerGroupMetadata>,
        patience: Patience,
    ) -> Result<(), Failure> {
        if offsets.count() > 0 {
            self.timed(|transactions| transactions.send_offsets(offsets, group, patience))?;
        }
        faults::at(faults::Point::AfterSendOffsets);
        faults::soon_at(faults::Point::AfterCommitSent);
        self.timed(|transactions| transactions.retried(patience, |producer, limit| producer.commit_transaction(limit)))
            .map_err(|cause| Failure::of("the transaction can't be committed", cause))?;
        self.end();
        self.reachability.back();
        Ok(())
    }

    /// Takes a step towards the end of a transaction, and notes whether a request of it may have been repeated.
    fn timed<T>(&mut self, step: impl FnOnce(&Transactions) -> T) -> T {
        let began = Instant::now();
        let outcome = step(self);
        self.may_come_late |= began.elapsed() >= self.repeated_after;
        outcome
    }

    /// Puts a new producer in the place of one of whose last transaction something may come late.
    fn fence_what_is_late(&mut self) -> Result<(), Failure> {
        let what = "what may come late of an earlier transaction can't be fenced";
        tracing::debug!("a transaction took long to end: a new producer takes over, lest something of it comes late");
        self.replace().map_err(|cause| Failure::Broken { what: what.into(), cause })?;
        match self.introduce_within(FENCED_WITHIN) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let cause = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
                Err(Failure::Broken { what: what.into(), cause })
            }
            Err(cause) => Err(Failure::of(what, cause)),
        }
    }

    /// Adds offsets to the transaction, on a thread of its own: librdkafka, whose limit is none here, may wait for ever for
    /// a group's coordinator that has died (its issues 5456 and 5511). Such a thread is left behind together with its
    /// producer, which is fenced by the one that takes its place.
    fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &Arc<ConsumerGroupMetadata>,
        patience: Patience,
    ) -> Result<(), Failure> {
        let what = "offsets can't be added to the transaction";
        let broken = |code| Failure::Broken { what: what.into(), cause: KafkaError::Global(code) };
        loop {
            let limit = patience.of_a_call();
            let (answer, answered) = mpsc::channel();
            let (producer, offsets, group) = (Arc::clone(&self.producer), offsets.clone(), Arc::clone(group));
            let call = move || {
                // Nobody listens any more when it took too long.
                let _ = answer.send(producer.send_offsets_to_transaction(&offsets, &group, limit));
            };
            let thread = thread::Builder::new().name("offsets".to_owned()).spawn(call);
            thread.map_err(|_| broken(RDKafkaErrorCode::CriticalSystemResource))?;
            match answered.recv_timeout(limit + OVERDUE) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_worth_retrying(&error) && !patience.is_over() => self.pump(),
                Ok(Err(cause)) => return Err(Failure::of(what, cause)),
                Err(_) => return Err(broken(RDKafkaErrorCode::OperationTimedOut)),
            }
        }
    }

    /// Aborts the open transaction, if there is one.
    ///
    /// # Errors
    /// [`Failure::Broken`] or [`Failure::Fenced`]: the producer must be replaced.
    pub fn abort(&mut self, patience: Patience) -> Result<(), Failure> {
        if !self.is_open() {
            return Ok(());
        }
        self.timed(|transactions| transactions.abort_open(patience))?;
        self.end();
        self.producer.context().take_undelivered();
        self.producer.context().take_refused();
        Ok(())
    }

    fn abort_open(&self, patience: Patience) -> Result<(), Failure> {
        // The purged records' reports must be served between the calls, for an abort waits for them without doing so.
        let mut limit = Duration::from_millis(20);
        loop {
            match self.producer.abort_transaction(limit) {
                Ok(()) => return Ok(()),
                Err(error) if is_worth_retrying(&error) && !patience.is_over() => {
                    while self.producer.in_flight_count() > 0 && !patience.is_over() {
                        self.pump();
                    }
                    limit = Duration::from_millis(500);
                }
                Err(cause) => {
                    return Err(match Failure::of("the transaction can't be aborted", cause) {
                        Failure::Abortable { what, cause } | Failure::Evicted { what, cause } => {
                            Failure::Broken { what, cause }
                        }
                        other => other,
                    });
                }
            }
        }
    }

    fn retried(
        &self,
        patience: Patience,
        call: impl Fn(&BaseProducer<Link>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        loop {
            match call(&self.producer, patience.of_a_call()) {
                Err(error) if is_worth_retrying(&error) && !patience.is_over() => self.pump(),
                outcome => return outcome,
            }
        }
    }
}

fn new_producer(
    config: &ClientConfig,
    reachability: &Arc<Reachability>,
) -> Result<Arc<BaseProducer<Link>>, KafkaError> {
    let link = Link::busy(Arc::clone(reachability));
    // Between transactions brokers may close its connections, and all is well.
    link.set_waiting(false);
    config.create_with_context(link).map(Arc::new)
}

fn is_worth_retrying(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::config::Config;
    use crate::kafka::client::Clients;

    const LONG: Duration = Duration::from_secs(60);

    fn record() -> BaseRecord<'static, [u8], [u8]> {
        BaseRecord::to("topic").partition(0).payload(b"value")
    }

    /// A producer that a broker of its own knows.
    fn introduced() -> (MockCluster<'static, rdkafka::producer::DefaultProducerContext>, Transactions) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("topic", 1, 1).unwrap();
        let mut config = Config::default();
        config.kafka.brokers = vec![cluster.bootstrap_servers()];
        let producer = Clients::new(&config).producer("id");
        let transactions = Transactions::new(producer, Arc::default()).unwrap();
        assert!(transactions.introduce(LONG).unwrap());
        (cluster, transactions)
    }

    /// A transaction whose records fail for this reason, in a producer that knows it.
    fn failed(reason: RDKafkaRespErr) -> Transactions {
        let (cluster, mut transactions) = introduced();
        cluster.request_errors(RDKafkaApiKey::AddPartitionsToTxn, &[reason]);
        transactions.begin().unwrap();
        transactions.send(record()).unwrap();
        transactions.hand_over().unwrap();
        let until = Instant::now() + LONG;
        while transactions.failed().is_none() {
            assert!(Instant::now() < until, "the producer does not fail");
            transactions.pump();
        }
        // Whatever is said of the first record has been taken note of, or is yet to come.
        transactions.producer.context().take_undelivered();
        transactions
    }

    #[test]
    fn a_record_that_comes_after_the_producer_was_fenced_says_that_it_was() {
        let mut transactions = failed(RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
        transactions.send(record()).unwrap();
        let failure = transactions.hand_over().unwrap_err();
        assert!(matches!(failure, Failure::Fenced { .. }), "{failure:?}");
    }

    #[test]
    fn a_record_that_comes_after_what_no_new_producer_mends_says_so() {
        let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        let mut transactions = failed(denied);
        transactions.send(record()).unwrap();
        let failure = transactions.hand_over().unwrap_err();
        assert!(matches!(failure, Failure::Hopeless { .. }), "{failure:?}");
        assert_eq!(failure.code(), Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed));
    }

    #[test]
    fn a_record_that_is_refused_is_named_by_its_topic_and_partition() {
        let (cluster, mut transactions) = introduced();
        cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
        transactions.begin().unwrap();
        transactions.send(record()).unwrap();
        let failure = transactions.acknowledge(Patience::of(LONG)).unwrap_err();
        assert!(matches!(failure, Failure::Hopeless { .. }), "{failure:?}");
        assert!(failure.to_string().starts_with("a record was not delivered to topic partition 0: "), "{failure}");

        // One that librdkafka itself does not take.
        let (_cluster, mut transactions) = introduced();
        transactions.begin().unwrap();
        let large = vec![b'x'; 5 << 20];
        let sent = transactions.send(BaseRecord::to("topic").partition(0).payload(&large));
        let failure = sent.and_then(|()| transactions.hand_over()).unwrap_err();
        assert!(matches!(failure, Failure::Hopeless { .. }), "{failure:?}");
        assert!(failure.to_string().starts_with("a record can't be sent to topic partition 0: "), "{failure}");
    }
}
