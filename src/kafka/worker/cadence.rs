//! When the open transaction is to be committed.

use std::time::{Duration, Instant};

/// A worker that is behind, for which there is always another record, commits after this many intervals: a transaction
/// costs worker and broker much the same whatever is in it, and a backlog is not through sooner in small parts.
const INTERVALS_BEHIND: u32 = 5;
/// The longest that is made of them, well within the time of a transaction.
const LONGEST_BEHIND: Duration = Duration::from_secs(2);
/// A commit that takes longer has to do with a broker that is slow, to which no more is to be given at a time: five times
/// what it takes in so long is well within the time of a transaction, too.
const SLOW: Duration = Duration::from_secs(1);

/// The beat of a worker's commits.
#[derive(Clone, Debug)]
pub struct Cadence {
    interval: Duration,
    last: Option<Instant>,
    /// Whether there was nothing more to take at some moment since the last commit.
    caught_up: bool,
    /// Whether the last transaction was committed, and soon.
    is_swift: bool,
}

impl Cadence {
    /// With this interval between two commits of a worker that is not behind.
    pub fn new(interval: Duration) -> Cadence {
        Cadence { interval, last: None, caught_up: false, is_swift: false }
    }

    /// There is nothing more to take.
    pub fn catch_up(&mut self) {
        self.caught_up = true;
    }

    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// A transaction is committed, which took so long.
    pub fn committed(&mut self, now: Instant, took: Duration) {
        self.last = Some(now);
        self.caught_up = false;
        self.is_swift = took < SLOW;
    }

    /// A transaction was not committed. It may have been too large for its broker.
    pub fn failed(&mut self) {
        self.is_swift = false;
    }

    /// Whether the last transaction was committed, and soon.
    pub fn is_swift(&self) -> bool {
        self.is_swift
    }

    /// How long a worker with nothing to do may wait.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// What is left until the next commit may be.
    pub fn left(&self, now: Instant) -> Duration {
        let interval = if self.caught_up || !self.is_swift {
            self.interval
        } else {
            (self.interval * INTERVALS_BEHIND).min(LONGEST_BEHIND).max(self.interval)
        };
        self.last.map_or(Duration::ZERO, |last| interval.saturating_sub(now.saturating_duration_since(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const SOON: Duration = Duration::from_millis(20);

    fn committed(interval: Duration, took: Duration) -> (Cadence, Instant) {
        let (mut cadence, now) = (Cadence::new(interval), Instant::now());
        assert_eq!(cadence.left(now), Duration::ZERO, "nothing was committed yet");
        cadence.committed(now, took);
        (cadence, now)
    }

    #[test]
    fn a_worker_that_is_behind_takes_more_for_a_transaction_until_it_has_caught_up() {
        let (mut cadence, now) = committed(INTERVAL, SOON);
        assert_eq!(cadence.left(now), 5 * INTERVAL);
        assert_eq!(cadence.left(now + 2 * INTERVAL), 3 * INTERVAL);
        cadence.catch_up();
        assert_eq!(cadence.left(now), INTERVAL);
        assert_eq!(cadence.left(now + 2 * INTERVAL), Duration::ZERO);
    }

    #[test]
    fn a_slow_broker_is_not_given_more_at_a_time() {
        let (mut cadence, now) = committed(INTERVAL, SLOW);
        assert_eq!(cadence.left(now), INTERVAL);
        cadence.committed(now, SOON);
        assert_eq!(cadence.left(now), 5 * INTERVAL, "it is swift again");
        cadence.failed();
        assert_eq!(cadence.left(now), INTERVAL, "what failed was perhaps too much");
    }

    #[test]
    fn a_transaction_is_not_made_longer_than_its_broker_allows() {
        let most = Duration::from_secs(5);
        for (interval, behind) in [(most / 10, LONGEST_BEHIND), (LONGEST_BEHIND, LONGEST_BEHIND), (most, most)] {
            let (cadence, now) = committed(interval, SOON);
            assert_eq!(cadence.left(now), behind);
        }
    }
}
