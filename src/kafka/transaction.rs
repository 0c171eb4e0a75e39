//! A worker's transactions: one open at a time, begun by its first record, and what became of it told in three words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients::{Link, Reachability};
use super::crash;
use super::watch::is_hopeless;

/// The transactional producer of one worker.
pub struct Transactions {
    config: ClientConfig,
    reachability: Arc<Reachability>,
    producer: BaseProducer<Link>,
    open: bool,
}

/// Why a transaction did not come to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It can be aborted, and another begun.
    #[error("{what}: {cause}")]
    Abortable { what: &'static str, cause: KafkaError },
    /// This member is no longer of the group's generation; otherwise as above.
    #[error("{what}: {cause}: this worker's partitions are no longer its own")]
    Evicted { what: &'static str, cause: KafkaError },
    /// Its outcome is not known, or the producer is of no further use: a new one settles it.
    #[error("{what}: {cause}")]
    Broken { what: &'static str, cause: KafkaError },
    /// Doing it again would fail again.
    #[error("{what}: {cause}")]
    Hopeless { what: &'static str, cause: KafkaError },
    /// The broker has ended it, or another producer took over the transactional id; a new producer is needed.
    #[error("{what}: {cause}: the transaction timed out, or another producer has this transactional id")]
    Fenced { what: &'static str, cause: KafkaError },
}

impl Failure {
    fn of(what: &'static str, cause: KafkaError) -> Failure {
        use RDKafkaErrorCode as Code;
        match cause.rdkafka_error_code() {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => Failure::Fenced { what, cause },
            Some(
                Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
                | Code::RebalanceInProgress
                | Code::FencedMemberEpoch
                | Code::StaleMemberEpoch,
            ) => Failure::Evicted { what, cause },
            _ if is_hopeless(&cause) => Failure::Hopeless { what, cause },
            _ => match &cause {
                KafkaError::Transaction(error) if error.is_fatal() => Failure::Broken { what, cause },
                KafkaError::Transaction(error) if error.txn_requires_abort() => Failure::Abortable { what, cause },
                KafkaError::Transaction(_) => Failure::Broken { what, cause },
                // Records that can't be sent or delivered: the transaction is at fault, not the producer.
                _ => Failure::Abortable { what, cause },
            },
        }
    }
}

/// A small part of the time that a broker takes to acknowledge.
const PUMP_EVERY: Duration = Duration::from_micros(250);

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
}

impl Transactions {
    /// A producer, not yet introduced to the broker.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: ClientConfig, reachability: Arc<Reachability>) -> Result<Transactions, KafkaError> {
        let producer = config.create_with_context(Link::idle())?;
        Ok(Transactions { config, reachability, producer, open: false })
    }

    /// Introduces the producer: ends what an earlier one of the same transactional id left open, and fences it. `false`:
    /// the broker did not answer within `limit`, try again.
    ///
    /// # Errors
    /// The broker refuses the producer for good.
    pub fn introduce(&self, limit: Duration) -> Result<bool, KafkaError> {
        match self.producer.init_transactions(limit) {
            Ok(()) => {
                self.reachability.back();
                Ok(true)
            }
            Err(error) if is_worth_retrying(&error) => {
                self.producer.poll(Duration::ZERO);
                self.reachability.gone(&error.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the producer by a new one, which must be introduced again. What was open is settled by that.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn replace(&mut self) -> Result<(), KafkaError> {
        self.producer = self.config.create_with_context(Link::idle())?;
        self.open = false;
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Begins a transaction, unless one is open.
    pub fn begin(&mut self) -> Result<(), Failure> {
        if !self.open {
            self.producer.begin_transaction().map_err(|cause| Failure::of("a transaction can't be begun", cause))?;
            self.open = true;
        }
        Ok(())
    }

    /// Hands a record to the open transaction. Waits while the queue is full.
    pub fn send(&mut self, record: BaseRecord<'_, [u8], [u8]>) -> Result<(), Failure> {
        let Err((error, record)) = self.producer.send(record) else { return Ok(()) };
        self.send_when_there_is_room(error, record)
    }

    fn send_when_there_is_room(
        &mut self,
        mut error: KafkaError,
        mut record: BaseRecord<'_, [u8], [u8]>,
    ) -> Result<(), Failure> {
        let patience = Patience::of(super::clients::TRANSACTION_TIMEOUT);
        while error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && !patience.is_over() {
            self.pump();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => (error, record) = refused,
            }
        }
        Err(Failure::of("a record can't be sent", self.producer.context().take_undelivered().unwrap_or(error)))
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

    /// Waits until all records are acknowledged.
    pub fn acknowledge(&self, patience: Patience) -> Result<(), Failure> {
        if self.producer.in_flight_count() > 0 {
            crash::at(crash::Point::BeforeLastAcknowledgement);
        }
        while self.producer.in_flight_count() > 0 {
            if patience.is_over() {
                let cause = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                return Err(Failure::Abortable { what: "records were not acknowledged in time", cause });
            }
            self.pump();
        }
        match self.producer.context().take_undelivered() {
            Some(cause) => Err(Failure::of("a record was not delivered", cause)),
            None => Ok(()),
        }
    }

    /// Adds the input offsets, which is what fences a worker that was evicted from the group, and commits. All records
    /// must have been acknowledged.
    pub fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        patience: Patience,
    ) -> Result<(), Failure> {
        if offsets.count() > 0 {
            self.retried(patience, |producer, limit| producer.send_offsets_to_transaction(offsets, group, limit))
                .map_err(|cause| Failure::of("offsets can't be added to the transaction", cause))?;
        }
        crash::at(crash::Point::AfterSendOffsets);
        crash::soon_at(crash::Point::AfterCommitSent);
        self.retried(patience, |producer, limit| producer.commit_transaction(limit))
            .map_err(|cause| Failure::of("the transaction can't be committed", cause))?;
        self.open = false;
        self.reachability.back();
        Ok(())
    }

    /// Aborts the open transaction, if there is one.
    ///
    /// # Errors
    /// [`Failure::Broken`] or [`Failure::Fenced`]: the producer must be replaced.
    pub fn abort(&mut self, patience: Patience) -> Result<(), Failure> {
        if !self.open {
            return Ok(());
        }
        // The purged records' reports must be served between the calls, for an abort waits for them without doing so.
        let mut limit = Duration::from_millis(20);
        loop {
            match self.producer.abort_transaction(limit) {
                Ok(()) => break,
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
        self.open = false;
        self.producer.context().take_undelivered();
        Ok(())
    }

    fn retried(
        &self,
        patience: Patience,
        call: impl Fn(&BaseProducer<Link>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        loop {
            let limit = patience.left().clamp(Duration::from_millis(100), Duration::from_secs(5));
            match call(&self.producer, limit) {
                Err(error) if is_worth_retrying(&error) && !patience.is_over() => self.pump(),
                outcome => return outcome,
            }
        }
    }
}

fn is_worth_retrying(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}
