//! What became of a transaction that did not come to its end, by what is to be done next.

use std::borrow::Cow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::client::errors::is_hopeless;

/// Why a transaction did not come to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It can be aborted, and another begun.
    #[error("{what}: {cause}")]
    Abortable { what: Cow<'static, str>, cause: KafkaError },
    /// This member is no longer of the group's generation; otherwise as above.
    #[error("{what}: {cause}: this worker's partitions are no longer its own")]
    Evicted { what: Cow<'static, str>, cause: KafkaError },
    /// Its outcome is not known, or the producer is of no further use: a new one ends it.
    #[error("{what}: {cause}")]
    Broken { what: Cow<'static, str>, cause: KafkaError },
    /// Doing it again would fail again.
    #[error("{what}: {cause}")]
    Hopeless { what: Cow<'static, str>, cause: KafkaError },
    /// The broker has ended it, or another producer took over the transactional id; a new producer is needed.
    #[error("{what}: {cause}: the transaction timed out, or another producer has this transactional id")]
    Fenced { what: Cow<'static, str>, cause: KafkaError },
}

impl Failure {
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        let (Failure::Abortable { cause, .. }
        | Failure::Evicted { cause, .. }
        | Failure::Broken { cause, .. }
        | Failure::Hopeless { cause, .. }
        | Failure::Fenced { cause, .. }) = self;
        cause.rdkafka_error_code()
    }

    /// Of an error of librdkafka's, and what was done then.
    pub fn of(what: impl Into<Cow<'static, str>>, cause: KafkaError) -> Failure {
        let what = what.into();
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
