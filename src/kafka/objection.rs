//! What brokers answer against a request that is made again and again until it is granted. A line a minute tells of it: a
//! partition that can't be read for long stands still, and nothing else says why.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

const SAY_EVERY: Duration = Duration::from_secs(60);

/// When that was said last.
#[derive(Debug, Default)]
pub struct Objection(Option<Instant>);

impl Objection {
    /// Whether this is a broker's word, and none was said lately. That no broker answers is said elsewhere.
    pub fn is_to_be_said(&mut self, error: &KafkaError) -> bool {
        let is_of_broker =
            error.rdkafka_error_code().is_some_and(|code| code as i32 >= RDKafkaErrorCode::Unknown as i32);
        let is_due = is_of_broker && self.0.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_says_is_said_once_and_again_while_it_lasts() {
        let [corrupt, unknown, local] =
            [RDKafkaErrorCode::InvalidMessage, RDKafkaErrorCode::Unknown, RDKafkaErrorCode::OperationTimedOut]
                .map(KafkaError::MessageConsumption);
        let mut objection = Objection::default();
        let said = [&local, &corrupt, &corrupt, &unknown].map(|error| objection.is_to_be_said(error));
        assert_eq!(said, [false, true, false, false]);
        objection.0 = Instant::now().checked_sub(SAY_EVERY);
        assert_eq!([&local, &unknown, &unknown].map(|error| objection.is_to_be_said(error)), [false, true, false]);
    }
}
