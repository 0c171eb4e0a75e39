//! The way of a record through a worker: decoded, applied or passed on, and committed with all that it caused.

use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::BaseRecord;

use super::inputs::Inputs;
use super::outbox::{Outbox, Outputs};
use super::rewriting::Rewriter;
use super::route::{Homes, Route};
use super::tally::Tally;
use super::waiting::Waiting;
use crate::engine::{Outcome, Stage, StageKind};
use crate::events::{Decoder, Event, Rejection, Source};
use crate::format::FormatError;
use crate::kafka::changelog::partition::{Partition, Partitions};
use crate::kafka::changelog::stored_settings::StoredSettings;
use crate::kafka::error::{Trouble, WorkerError};
use crate::kafka::record::dead_letter::DeadLetter;
use crate::kafka::record::origin::{self, Internal, Origin};
use crate::kafka::record::read;
use crate::kafka::topics::destinations::Destinations;
use crate::kafka::transaction::{Failure, Transactions};
use crate::kafka::watermarks::{self, Expected};
use crate::settings::Settings;
use crate::time::Millis;

/// What a worker does with records, and the state that it does it to.
pub struct Pipeline<S> {
    pub settings: Arc<Settings>,
    pub stored_settings: StoredSettings,
    /// How the records of all source topics are read.
    pub source: Source,
    pub decoder: Decoder,
    pub homes: Homes,
    pub inputs: Inputs,
    pub outputs: Outputs,
    pub partitions: Partitions<S>,
    pub transactions: Transactions,
    /// Stands beside committed offsets, and tells the next owner whom to fence.
    pub transactional_id: String,
    pub tally: Tally,
    pub rewriter: Rewriter,
    pub waiting: Waiting,
    /// Records of the open transaction.
    pub records: usize,
}

/// What [`Pipeline::new`] is made of.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub homes: Homes,
    pub inputs: Inputs,
    pub outputs: Outputs,
    pub transactions: Transactions,
    pub transactional_id: String,
    pub destinations: Arc<Destinations>,
    /// All inputs that the stage's figures come from.
    pub expected: Arc<Expected>,
}

impl<S: Stage> Pipeline<S> {
    pub fn new(parts: Parts) -> Pipeline<S> {
        let topic = &parts.outputs.updates;
        Pipeline {
            rewriter: Rewriter::new(S::KIND, Arc::clone(&parts.settings), parts.destinations, topic),
            waiting: Waiting::new(&parts.settings, parts.expected),
            stored_settings: StoredSettings::of(&parts.settings, parts.homes.customers, parts.homes.campaigns),
            source: Source::default(),
            decoder: Decoder::new(&parts.settings),
            settings: parts.settings,
            homes: parts.homes,
            inputs: parts.inputs,
            outputs: parts.outputs,
            partitions: Partitions::default(),
            transactions: parts.transactions,
            transactional_id: parts.transactional_id,
            tally: Tally::default(),
            records: 0,
        }
    }

    /// Takes one record into the open transaction.
    ///
    /// # Errors
    /// It can't be sent on, which fails the transaction; or it has no business where it was read, or is of a format that is not
    /// known, which stops the worker. A record that can't be used is no error.
    pub fn take(&mut self, record: &BorrowedMessage<'_>, now: Millis) -> Result<(), Trouble> {
        self.transactions.begin()?;
        let Some(input) = self.inputs.index_of(record.topic()) else {
            return Err(misplaced(record, "it comes from a topic that was not subscribed to"));
        };
        if self.inputs.is_internal(input) {
            self.take_internal(record, now)?;
        } else {
            self.take_source(record, now)?;
        }
        self.inputs.advance(input, record.partition(), record.offset() + 1);
        self.waiting.taken(input, record);
        self.records += 1;
        Ok(())
    }

    fn take_source(&mut self, record: &BorrowedMessage<'_>, now: Millis) -> Result<(), Trouble> {
        let origin = Origin::of(record);
        let headers = || read::named_headers(record);
        let texts = match self.source.texts(&read::as_read(record, &headers)) {
            Ok(texts) => texts,
            Err(rejection) => return self.reject(record, &origin, false, &rejection),
        };
        let routed = self.decoder.events(&texts, now).and_then(|events| {
            let may_leave = |index: usize| read::check_room(record, &texts[index]);
            let routes = self.homes.routes(&events, &self.partitions, may_leave)?;
            Ok((events, routes))
        });
        let (events, routes) = match routed {
            Ok(routed) => routed,
            Err(rejection) => return self.reject(record, &origin, false, &rejection),
        };
        for ((event, text), route) in events.iter().zip(&texts).zip(routes) {
            match route {
                Route::Here(partition) => match self.apply(partition, event, origin.timestamp)? {
                    Taken::Here => {}
                    Taken::TooLate(rejection) => {
                        debug_assert!(events.len() == 1, "of several events, all were checked");
                        return self.reject(record, &origin, false, &rejection);
                    }
                    Taken::NotHere => return Err(misplaced(record, NOT_HERE)),
                },
                Route::Away(stage, partition) => self.forward(record, &origin, text, stage, partition)?,
            }
        }
        Ok(())
    }

    fn take_internal(&mut self, record: &BorrowedMessage<'_>, now: Millis) -> Result<(), Trouble> {
        let here = u32::try_from(record.partition()).unwrap_or(u32::MAX);
        let value = record.payload().unwrap_or_default();
        match Internal::of(record) {
            Internal::Forwarded => return self.take_forwarded(record, here),
            Internal::Differences { since } => {
                let partition = owned(&mut self.partitions, here, record)?;
                partition.stage.absorb(value).map_err(|cause| unreadable(record, cause))?;
                partition.touched = true;
                self.tally.differences_since.extend(since);
            }
            Internal::Watermarks => {
                let partition = owned(&mut self.partitions, here, record)?;
                let statements = watermarks::read(value).map_err(|cause| unreadable(record, cause))?;
                if let Some(heard) = &mut partition.heard {
                    self.waiting.hear(heard, &statements, (self.inputs.internal_index(), record), now);
                }
            }
            Internal::Request => {
                owned(&mut self.partitions, here, record)?.doubt("somebody has asked for it (payback republish)");
            }
        }
        Ok(())
    }

    fn take_forwarded(&mut self, record: &BorrowedMessage<'_>, here: u32) -> Result<(), Trouble> {
        let Some(origin) = Origin::of_forwarded(record) else {
            return Err(misplaced(record, "it does not say where it comes from"));
        };
        // Whoever forwarded it has looked at the clock; this one's may be behind.
        let event = match self.decoder.decode(record.payload().unwrap_or_default(), Millis::MAX) {
            Ok(event) => event,
            Err(rejection) => return self.reject(record, &origin, true, &rejection),
        };
        if self.homes.of(&event) != (S::KIND, here) {
            return Err(misplaced(record, "its home is elsewhere"));
        }
        match self.apply(here, &event, origin.timestamp)? {
            Taken::Here => Ok(()),
            Taken::NotHere => Err(misplaced(record, NOT_HERE)),
            Taken::TooLate(rejection) => self.reject(record, &origin, true, &rejection),
        }
    }

    /// Applies an event of this stage.
    fn apply(&mut self, number: u32, event: &Event<'_>, written_at: Option<i64>) -> Result<Taken, Failure> {
        let Some(partition) = self.partitions.get_mut(number) else { return Ok(Taken::NotHere) };
        let mut outbox = Outbox::new(&mut self.transactions, &self.outputs, signed(number));
        let outcome = partition.stage.apply(event, &mut outbox);
        outbox.finish()?;
        partition.touched = true;
        Ok(match outcome {
            Ok(outcome) => {
                if outcome == Outcome::Applied {
                    partition.applied(written_at);
                }
                self.tally.event(event.kind(), outcome, written_at);
                Taken::Here
            }
            Err(rejection) => Taken::TooLate(rejection),
        })
    }

    /// Sends an event of a record to its home: its text, with the key and headers of the record and where that was read.
    fn forward(
        &mut self,
        record: &BorrowedMessage<'_>,
        origin: &Origin<'_>,
        text: &str,
        stage: StageKind,
        partition: u32,
    ) -> Result<(), Failure> {
        self.transactions.send(BaseRecord {
            topic: self.outputs.internal.of(stage),
            partition: Some(signed(partition)),
            payload: Some(text.as_bytes()),
            key: record.key(),
            timestamp: None,
            headers: Some(origin.add_to(origin::headers_of(record))),
            delivery_opaque: (),
        })?;
        self.tally.forwarded += 1;
        Ok(())
    }

    fn reject(
        &mut self,
        record: &BorrowedMessage<'_>,
        origin: &Origin<'_>,
        forwarded: bool,
        rejection: &Rejection,
    ) -> Result<(), Trouble> {
        let letter = DeadLetter::new(record, origin, forwarded, rejection);
        self.transactions.send(BaseRecord {
            topic: &self.outputs.dead_letters,
            partition: None,
            payload: letter.value,
            key: letter.key,
            timestamp: None,
            headers: Some(letter.headers),
            delivery_opaque: (),
        })?;
        self.tally.rejection(rejection.reason);
        tracing::debug!(
            topic = origin.topic,
            partition = origin.partition,
            offset = origin.offset,
            // The detail may quote the record: it stands with the dead letter alone.
            reason = rejection.reason.code(),
            "record rejected"
        );
        Ok(())
    }
}

const NOT_HERE: &str = "its partition is not this worker's";

/// What became of an event of this stage.
enum Taken {
    Here,
    /// Its home is another worker's.
    NotHere,
    TooLate(Rejection),
}

pub(super) fn signed(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// The partition that a record of the internal topic is of.
fn owned<'a, S: Stage>(
    partitions: &'a mut Partitions<S>,
    number: u32,
    record: &BorrowedMessage<'_>,
) -> Result<&'a mut Partition<S>, Trouble> {
    partitions.get_mut(number).ok_or_else(|| misplaced(record, NOT_HERE))
}

fn unreadable(record: &BorrowedMessage<'_>, cause: FormatError) -> WorkerError {
    let (topic, partition, offset) = (record.topic().to_owned(), record.partition(), record.offset());
    WorkerError::Format { topic, partition, offset, cause }
}

fn misplaced(record: &BorrowedMessage<'_>, what: &str) -> Trouble {
    Trouble::Stop(WorkerError::Misplaced {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        what: what.to_owned(),
    })
}
