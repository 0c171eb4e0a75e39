//! A client that gets nowhere although a broker answers is made anew; if that one gets nowhere either, the process ends: there is
//! nothing more to be tried from inside.

use std::time::{Duration, Instant};

/// So long a client may get nowhere that took the place of another.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

/// Of one client, and the one that takes its place.
#[derive(Debug, Default)]
pub struct Standstill {
    /// Since when a broker answers, and the client gets nowhere.
    since: Option<Instant>,
    was_replaced: bool,
}

/// What is to be done with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Wait,
    MakeAnew,
    GiveUp,
}

impl Standstill {
    /// The client gets somewhere.
    pub fn is_over(&mut self) {
        *self = Standstill::default();
    }

    /// The client gets nowhere at this moment, and a broker answers or doesn't. As long as none does, it is not the client's
    /// fault. It may go on so for `limit` until it is replaced, and the next one for [`GIVEN_UP_AFTER`].
    pub fn look(&mut self, now: Instant, is_answered: bool, limit: Duration) -> Measure {
        if !is_answered {
            self.since = None;
            return Measure::Wait;
        }
        let limit = if self.was_replaced { limit.max(GIVEN_UP_AFTER) } else { limit };
        if now.duration_since(*self.since.get_or_insert(now)) < limit {
            return Measure::Wait;
        }
        self.since = None;
        if std::mem::replace(&mut self.was_replaced, true) { Measure::GiveUp } else { Measure::MakeAnew }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_replaced_once_and_only_while_a_broker_answers() {
        let (mut standstill, begun) = (Standstill::default(), Instant::now());
        let mut look = |seconds, is_answered| {
            standstill.look(begun + Duration::from_secs(seconds), is_answered, Duration::from_secs(20))
        };
        assert_eq!([look(0, true), look(19, true), look(20, false), look(200, false)], [Measure::Wait; 4]);
        assert_eq!(
            [look(300, true), look(319, true)],
            [Measure::Wait; 2],
            "it counts from when a broker is there again"
        );
        assert_eq!(look(320, true), Measure::MakeAnew);
        assert_eq!([look(321, true), look(380, true)], [Measure::Wait; 2]);
        assert_eq!(look(381, true), Measure::GiveUp);
        standstill.is_over();
        assert_eq!(standstill.look(begun, true, Duration::ZERO), Measure::MakeAnew, "what is over counts no more");
    }
}
