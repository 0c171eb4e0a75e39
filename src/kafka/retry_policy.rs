//! What brokers answer against reading, which is asked for again and again until it is granted. A line a minute tells of it:
//! a partition that can't be read for long stands still, and nothing else says why.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::kafka::client::errors::is_hopeless;
use crate::kafka::error::WorkerError;

const SAY_EVERY: Duration = Duration::from_secs(60);

/// Of one thing that is done all the time.
#[derive(Debug)]
pub struct RetryPolicy {
    what: String,
    /// When an error was said last.
    said: Option<Instant>,
}

impl RetryPolicy {
    /// Of what is named so (`reading shop-customers-changelog`).
    pub fn of(what: impl Into<String>) -> RetryPolicy {
        RetryPolicy { what: what.into(), said: None }
    }

    /// Goes on from an error, where asking again may help. A broker's word is logged now and then.
    ///
    /// # Errors
    /// What there is no going on from.
    pub fn go_on_from(&mut self, error: KafkaError) -> Result<(), WorkerError> {
        if is_hopeless(&error) {
            return Err(WorkerError::Kafka { what: self.what.clone(), cause: error });
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(WorkerError::Fatal { cause: error });
        }
        if self.is_to_be_said(&error) {
            tracing::warn!(%error, "{} does not work: trying again until it does", self.what);
        } else {
            tracing::debug!(%error, "{} does not work", self.what);
        }
        Ok(())
    }

    /// Whether this is a broker's word, and none was said lately.
    fn is_to_be_said(&mut self, error: &KafkaError) -> bool {
        let is_due = is_of_broker(error) && self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if is_due {
            self.said = Some(Instant::now());
        }
        is_due
    }
}

/// That no broker answers is said elsewhere. That a topic or a partition is gone is a broker's word in librdkafka's own.
fn is_of_broker(error: &KafkaError) -> bool {
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopic | Code::UnknownPartition) => true,
        Some(code) => code as i32 >= Code::Unknown as i32,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_says_is_said_once_and_again_while_it_lasts() {
        let [corrupt, unknown, gone, local] =
            [Code::InvalidMessage, Code::Unknown, Code::UnknownPartition, Code::OperationTimedOut]
                .map(KafkaError::MessageConsumption);
        let mut retry_policy = RetryPolicy::of("reading");
        let said = [&local, &corrupt, &corrupt, &unknown, &gone].map(|error| retry_policy.is_to_be_said(error));
        assert_eq!(said, [false, true, false, false, false]);
        retry_policy.said = Instant::now().checked_sub(SAY_EVERY);
        assert_eq!([&local, &gone, &unknown].map(|error| retry_policy.is_to_be_said(error)), [false, true, false]);
    }

    #[test]
    fn what_no_other_try_can_mend_ends_it() {
        let mut retry_policy = RetryPolicy::of("reading purchases");
        let mut end = |error| retry_policy.go_on_from(error).map_err(|end| end.to_string());
        assert_eq!(end(KafkaError::MessageConsumption(Code::NotLeaderForPartition)), Ok(()));
        let may_not = end(KafkaError::MessageConsumption(Code::TopicAuthorizationFailed)).unwrap_err();
        assert!(may_not.starts_with("reading purchases: "), "{may_not}");
        let given_up = end(KafkaError::MessageConsumptionFatal(Code::FencedInstanceId)).unwrap_err();
        assert!(given_up.starts_with("librdkafka has given up: "), "{given_up}");
    }
}
