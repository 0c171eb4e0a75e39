//! The first contact with Kafka, and what is made of a connection that fails.
//!
//! A connection that one of the two sides *refuses* (a wrong password, a certificate that is not trusted) is told apart from
//! a broker that is away. At the start a refusal ends the process: its own settings are read once, so trying again with the
//! same would only fill the broker's log, or lock the account. An instance that has worked had the right ones: it waits, for
//! a broker may come back with a wrong certificate and be mended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::status::lock::lock;

/// What librdkafka says of a connection, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// One side refuses the other for good. In plain words.
    Refused(String),
    /// Nobody is there, or nobody answers.
    Away(String),
    /// Nothing that a reader must know.
    Passing,
}

impl Complaint {
    /// Of an error that a client raised, with librdkafka's own words for it.
    pub fn of(error: &KafkaError, reason: &str) -> Complaint {
        use RDKafkaErrorCode as Code;
        let reason = plain(reason);
        match error.rdkafka_error_code() {
            Some(Code::Authentication) => {
                Complaint::Refused(format!("{reason}: check sasl.* in kafka.properties, and the user on the brokers"))
            }
            // A connection that was cut in the middle of a handshake is not among these.
            Some(Code::SSL) => Complaint::Refused(format!("{reason}: check ssl.* in kafka.properties")),
            // By TLS 1.3 a client learns after its handshake that its certificate was refused.
            Some(Code::BrokerTransportFailure) if reason.contains(" alert ") => {
                Complaint::Refused(format!("{reason}: check ssl.* in kafka.properties"))
            }
            Some(Code::AllBrokersDown | Code::Resolve | Code::BrokerTransportFailure) => Complaint::Away(reason),
            _ => Complaint::Passing,
        }
    }
}

/// Without what changes from one try to the next, the name of librdkafka's thread, and the numbers of OpenSSL's errors.
fn plain(reason: &str) -> String {
    let what = reason.rsplit_once(" (after ").map_or(reason, |(what, _)| what);
    let named = what.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: "));
    let mut plain = named.map_or(what, |(_, what)| what).to_owned();
    while let Some(start) = plain.find("error:") {
        // `error:0A000086:SSL routines::certificate verify failed`
        let Some((_, words)) = plain[start..].split_once("::") else { break };
        plain = format!("{}{words}", &plain[..start]);
    }
    plain.replace("/bootstrap:", ":")
}

/// A broker that wants TLS or a password just hangs up on who comes without.
fn with_advice(reason: String) -> String {
    let may_be_wrong = reason.contains("Disconnected") && !reason.contains("security.protocol");
    if may_be_wrong { format!("{reason}: check security.protocol in kafka.properties") } else { reason }
}

/// Why no broker was spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum NoContact {
    #[error("Kafka refuses the connection: {0}")]
    Refused(String),
    /// Trying again may help.
    #[error("Kafka does not answer: {0}")]
    Away(String),
    #[error("the settings for Kafka can't be used: {0}")]
    Settings(String),
    #[error("told to stop before Kafka has answered")]
    Stopped,
}

/// Between two looks at what the client complains about, and at whether to stop.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks for the metadata of `topic`, or of all topics that this user may see. A broker that refuses is not the last word
/// before `limit` is over: another may not. Once `stop` is set nothing is waited for any more.
///
/// # Errors
/// No broker has answered within `limit`, and why not as far as that is known.
pub fn metadata(
    config: &ClientConfig,
    topic: Option<&str>,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Metadata, NoContact> {
    let settings = |error: KafkaError| NoContact::Settings(error.to_string());
    let client: BaseConsumer<Listener> = config.create_with_context(Listener::default()).map_err(settings)?;
    let began = Instant::now();
    loop {
        if stop.load(Ordering::Relaxed) {
            // To let go of a client that looks a host's name up takes as long as that. Nobody has to wait for it.
            let _ = thread::Builder::new().name("contact".to_owned()).spawn(move || drop(client));
            return Err(NoContact::Stopped);
        }
        let asked = client.fetch_metadata(topic, LOOK_EVERY);
        // Nothing is assigned, so there are no records: only what librdkafka has to say.
        while client.poll(Duration::ZERO).is_some() {}
        let error = match asked {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        if began.elapsed() > limit {
            let heard = std::mem::take(&mut *client.context().heard());
            return Err(match heard.refused {
                Some(reason) => NoContact::Refused(reason),
                None => NoContact::Away(heard.away.map_or_else(|| error.to_string(), with_advice)),
            });
        }
    }
}

/// Remembers what it hears.
#[derive(Default)]
struct Listener {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    refused: Option<String>,
    /// Of those who are away, what says most: what may be wrong with a connection is added to the fact that it was cut.
    away: Option<String>,
}

/// One failure is told in some lines, and not always in the same order.
fn keep_what_says_most(heard: &mut Option<String>, reason: String) {
    if heard.as_ref().is_none_or(|heard| heard.len() < reason.len()) {
        *heard = Some(reason);
    }
}

impl Listener {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    fn hear(&self, error: &KafkaError, reason: &str) {
        let mut heard = self.heard();
        match Complaint::of(error, reason) {
            Complaint::Refused(reason) => keep_what_says_most(&mut heard.refused, reason),
            Complaint::Away(reason) => keep_what_says_most(&mut heard.away, reason),
            Complaint::Passing => {}
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
        if facility == "FAIL" {
            // The error that says so as well may come after the time is over.
            if message.contains("certificate verify failed") {
                self.hear(&KafkaError::Global(RDKafkaErrorCode::SSL), message);
            } else {
                // What may be wrong with a connection that is cut stands here alone.
                keep_what_says_most(&mut self.heard().away, plain(message));
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client error");
        self.hear(&error, reason);
    }
}

impl ConsumerContext for Listener {}

/// librdkafka's own log lines.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // Connections that fail are reported once, by those that take a client's errors; the others are details of the
        // same. So are transactions, and producers that can't be introduced, by those whose they are.
        _ if matches!(
            facility,
            "FAIL" | "ERROR" | "REQTMOUT" | "SSL" | "METADATA" | "GETPID" | "ADDPARTS" | "TXNERR"
        ) =>
        {
            tracing::debug!(facility, "{message}")
        }
        // Properties that are for the other kind of client: both get all of `kafka.properties`.
        _ if facility == "CONFWARN" => tracing::debug!(facility, "{message}"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, "{message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_plain_and_stays_the_same_from_try_to_try() {
        let password = "sasl_ssl://127.0.0.1:9094/bootstrap: SASL authentication error: Authentication failed during \
                        authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 330ms in \
                        state AUTH_REQ, 4 identical error(s) suppressed)";
        let error = KafkaError::Global(RDKafkaErrorCode::Authentication);
        let Complaint::Refused(reason) = Complaint::of(&error, password) else { panic!("it is refused") };
        assert_eq!(
            reason,
            "sasl_ssl://127.0.0.1:9094: SASL authentication error: Authentication failed during authentication due to \
             invalid credentials with SASL mechanism SCRAM-SHA-512: check sasl.* in kafka.properties, and the user on \
             the brokers"
        );
        let certificate = "ssl://kafka:9094/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
                           failed: broker certificate could not be verified (after 5ms in state SSL_HANDSHAKE)";
        let Complaint::Refused(reason) = Complaint::of(&KafkaError::Global(RDKafkaErrorCode::SSL), certificate) else {
            panic!("it is refused")
        };
        assert!(
            reason.starts_with("ssl://kafka:9094/1: SSL handshake failed: certificate verify failed: "),
            "{reason}"
        );
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_a_refusal_where_the_log_alone_says_so() {
        let listener = Listener::default();
        let failed = "[thrd:ssl://localhost:9093/bootstrap]: ssl://localhost:9093/bootstrap: SSL handshake failed: \
                      error:0A000086:SSL routines::certificate verify failed (after 5ms in state SSL_HANDSHAKE)";
        listener.log(RDKafkaLogLevel::Error, "FAIL", failed);
        let refused = listener.heard().refused.clone();
        let expected =
            "ssl://localhost:9093: SSL handshake failed: certificate verify failed: check ssl.* in kafka.properties";
        assert_eq!(refused.as_deref(), Some(expected));
    }

    #[test]
    fn a_broker_that_is_away_is_not_taken_for_one_that_refuses() {
        let away = "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in \
                    state CONNECT)";
        let error = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        assert!(
            matches!(Complaint::of(&error, away), Complaint::Away(reason) if reason.ends_with("Connection refused"))
        );
        let cut = "[thrd:127.0.0.1:9094/bootstrap]: 127.0.0.1:9094/bootstrap: Disconnected while requesting ApiVersion: might \
                   be caused by incorrect security.protocol configuration (connecting to a SSL listener?) (after 1ms in \
                   state APIVERSION_QUERY)";
        assert_eq!(
            plain(cut),
            "127.0.0.1:9094: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol \
             configuration (connecting to a SSL listener?)"
        );
        let error = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
        assert_eq!(Complaint::of(&error, "a request timed out"), Complaint::Passing);
    }
}
