//! Whether Kafka can be reached, for the log and for `/readyz`: said once each time that it changes, and not at all of what
//! comes and goes.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::status::lock::lock;

/// So soon after Kafka was back, trouble may be an echo: some clients connect later than others, and some have connections
/// from before a password was changed. It is logged once it lasts.
const ECHOES: Duration = Duration::from_secs(60);
const LASTS: Duration = Duration::from_secs(5);
/// For so long a connection that was seen is there. Clients tell of theirs each second.
const CONNECTED_FOR: Duration = Duration::from_secs(2);

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reach {
    #[default]
    Reached,
    Away,
    /// A broker is there and does not take this client, or this client does not trust it.
    Refused,
}

/// What all clients of this process know of it together.
#[derive(Debug, Default)]
pub struct Reachability {
    reach: AtomicU8,
    /// Whether there is trouble that was not logged.
    unsaid: AtomicBool,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    reason: String,
    since: Option<Instant>,
    back: Option<Instant>,
    /// When a connection was seen last.
    connected: Option<Instant>,
    /// Whether the log says that something is wrong at present.
    open: bool,
}

impl Reachability {
    pub fn reach(&self) -> Reach {
        match self.reach.load(Ordering::Relaxed) {
            0 => Reach::Reached,
            1 => Reach::Away,
            _ => Reach::Refused,
        }
    }

    pub fn is_away(&self) -> bool {
        self.reach() != Reach::Reached
    }

    /// What is wrong, in a line; none while nothing is.
    pub fn trouble(&self) -> Option<String> {
        match self.reach() {
            Reach::Reached => None,
            Reach::Away => Some(format!("kafka: can't be reached: {}", self.said().reason)),
            Reach::Refused => Some(format!("kafka: the connection is refused: {}", self.said().reason)),
        }
    }

    /// No broker answers one of the clients. Nothing is said of it while another is connected.
    pub fn gone(&self, reason: &str) {
        // That a broker refuses says more.
        if !self.is_away() && !self.is_connected() {
            self.raise(Reach::Away, reason);
        }
    }

    /// One of the clients was connected at this moment, which may be some time ago: it is heard of when that client is polled.
    pub fn connected(&self, at: Instant) {
        let is_back = {
            let mut said = self.said();
            said.connected = said.connected.max(Some(at));
            self.reach() == Reach::Away && said.since.is_some_and(|since| since < at)
        };
        if is_back {
            self.back();
        }
    }

    /// Whether one of the clients is connected to a broker, as far as they tell.
    pub fn is_connected(&self) -> bool {
        self.said().connected.is_some_and(|at| at.elapsed() < CONNECTED_FOR)
    }

    /// A broker refuses this client, or the other way round.
    pub fn refused(&self, reason: &str) {
        if self.reach() != Reach::Refused {
            self.raise(Reach::Refused, reason);
        }
    }

    fn raise(&self, reach: Reach, reason: &str) {
        let mut said = self.said();
        self.set(reach);
        reason.clone_into(&mut said.reason);
        said.since = Some(Instant::now());
        if said.back.is_some_and(|back| back.elapsed() < ECHOES) {
            self.unsaid.store(true, Ordering::Relaxed);
        } else {
            self.say(&mut said);
        }
    }

    /// Logs trouble that has lasted. To be called now and then.
    pub fn look(&self) {
        if !self.unsaid.load(Ordering::Relaxed) {
            return;
        }
        let mut said = self.said();
        if self.is_away() && said.since.is_some_and(|since| since.elapsed() >= LASTS) {
            self.say(&mut said);
        }
    }

    fn say(&self, said: &mut Said) {
        self.unsaid.store(false, Ordering::Relaxed);
        said.open = true;
        let reason = &said.reason;
        match self.reach() {
            Reach::Refused => tracing::error!(reason, "Kafka refuses the connection: trying again until it does not"),
            _ => tracing::warn!(reason, "Kafka can't be reached: trying again until it is back"),
        }
    }

    /// To be called after something succeeded that takes a broker.
    pub fn back(&self) {
        if !self.is_away() {
            return;
        }
        let mut said = self.said();
        self.set(Reach::Reached);
        self.unsaid.store(false, Ordering::Relaxed);
        said.back = Some(Instant::now());
        if std::mem::take(&mut said.open) {
            tracing::info!("Kafka is back");
        }
    }

    fn set(&self, reach: Reach) {
        self.reach.store(reach as u8, Ordering::Relaxed);
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        lock(&self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_more_than_that_nobody_answers() {
        let kafka = Reachability::default();
        assert_eq!(kafka.trouble(), None);
        kafka.gone("all brokers are down");
        assert_eq!(kafka.trouble().as_deref(), Some("kafka: can't be reached: all brokers are down"));
        kafka.refused("wrong password");
        kafka.gone("all brokers are down");
        assert_eq!(kafka.trouble().as_deref(), Some("kafka: the connection is refused: wrong password"));
        kafka.back();
        assert_eq!((kafka.trouble(), kafka.reach()), (None, Reach::Reached));
    }

    #[test]
    fn nobody_says_that_kafka_is_away_while_a_connection_is_up() {
        let kafka = Reachability::default();
        let now = Instant::now();
        kafka.connected(now);
        kafka.gone("2/2 brokers are down");
        assert_eq!(kafka.trouble(), None, "another client is connected");
        kafka.said().connected = now.checked_sub(CONNECTED_FOR);
        kafka.gone("2/2 brokers are down");
        assert_eq!(kafka.reach(), Reach::Away);
        kafka.connected(now);
        assert_eq!(kafka.reach(), Reach::Away, "that was before it went away");
        kafka.connected(Instant::now());
        assert_eq!((kafka.reach(), kafka.trouble()), (Reach::Reached, None));
        kafka.refused("wrong password");
        kafka.connected(Instant::now());
        assert_eq!(kafka.reach(), Reach::Refused, "a connection may be from before the password was changed");
    }

    #[test]
    fn what_comes_and_goes_is_logged_once_and_again_when_it_lasts() {
        let kafka = Reachability::default();
        kafka.refused("wrong password");
        assert!(kafka.said().open, "the first time it is logged at once");
        for _ in 0..100 {
            kafka.back();
            kafka.refused("wrong password");
            kafka.look();
            assert!(!kafka.said().open, "an echo is not");
        }
        assert!(kafka.trouble().is_some(), "readiness knows it all the same");
        kafka.said().since = Instant::now().checked_sub(LASTS);
        kafka.look();
        assert!(kafka.said().open);
    }
}
