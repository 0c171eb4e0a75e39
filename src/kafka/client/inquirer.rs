//! A client that is asked now and then. It is made anew when it gets no answers: one that slept while the address of its only
//! broker changed may look for that at the old one for ever.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::link::Link;
use crate::status::lock::lock;

/// So long it goes without an answer. A broker that is there gives one within a second.
const ANEW_AFTER: Duration = Duration::from_secs(10);

/// For so long it is heard at most what librdkafka has to say.
const HEARS_FOR: Duration = Duration::from_secs(1);

/// Asks, and is made anew when nobody answers.
pub struct Inquirer {
    config: ClientConfig,
    asked: Mutex<Asked>,
}

struct Asked {
    client: Arc<BaseConsumer<Link>>,
    /// Since when nothing was answered.
    unanswered: Option<Instant>,
}

impl Inquirer {
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: ClientConfig) -> KafkaResult<Inquirer> {
        let client = client(&config)?;
        Ok(Inquirer { config, asked: Mutex::new(Asked { client, unanswered: None }) })
    }

    /// Asks something, within a limit that the question has itself.
    ///
    /// # Errors
    /// Those of the question.
    pub fn ask<T>(&self, question: impl FnOnce(&BaseConsumer<Link>) -> KafkaResult<T>) -> KafkaResult<T> {
        let client = Arc::clone(&lock(&self.asked).client);
        // Nothing is assigned, so there are no records: only what librdkafka has to say. That may be much: while no broker is there,
        // an admin request has it try to connect thousands of times a second.
        let began = Instant::now();
        while client.poll(Duration::from_millis(1)).is_some() && began.elapsed() < HEARS_FOR {}
        let answer = question(&client);
        self.learn(answer.as_ref().err(), Instant::now());
        answer
    }

    /// Takes note of whether there was an answer at this moment, if only an error.
    fn learn(&self, error: Option<&KafkaError>, now: Instant) {
        let mut asked = lock(&self.asked);
        if error.and_then(KafkaError::rdkafka_error_code).is_none_or(is_of_broker) {
            asked.unanswered = None;
        } else if now.duration_since(*asked.unanswered.get_or_insert(now)) >= ANEW_AFTER {
            asked.unanswered = None;
            match client(&self.config) {
                Ok(client) => let_go(std::mem::replace(&mut asked.client, client)),
                Err(error) => tracing::debug!(%error, "a client that gets no answers can't be made anew"),
            }
        }
    }
}

fn client(config: &ClientConfig) -> KafkaResult<Arc<BaseConsumer<Link>>> {
    config.create_with_context(Link::idle()).map(Arc::new)
}

/// On a thread of its own: it may take as long as it takes to look up the name of a host.
fn let_go(client: Arc<BaseConsumer<Link>>) {
    // A thread that can't be started drops it as well.
    let _ = thread::Builder::new().name("inquirer".to_owned()).spawn(move || drop(client));
}

fn is_of_broker(code: Code) -> bool {
    code as i32 >= Code::Unknown as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_an_answer_for_10_s_is_made_anew() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("group.id", "g");
        let inquirer = Inquirer::new(config).unwrap();
        let first = Arc::clone(&lock(&inquirer.asked).client);
        let is_first = || Arc::ptr_eq(&lock(&inquirer.asked).client, &first);
        let [silence, word] = [Code::OperationTimedOut, Code::CoordinatorLoadInProgress].map(KafkaError::MetadataFetch);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        inquirer.learn(Some(&silence), at(0));
        inquirer.learn(Some(&silence), at(9));
        assert!(is_first());
        inquirer.learn(Some(&word), at(10));
        inquirer.learn(Some(&silence), at(11));
        inquirer.learn(None, at(19));
        inquirer.learn(Some(&silence), at(20));
        inquirer.learn(Some(&silence), at(29));
        assert!(is_first(), "a broker answered meanwhile");
        inquirer.learn(Some(&silence), at(30));
        assert!(!is_first());
    }
}
