//! Assigned partitions that have records and do not move, and why: nothing else says so while all the others go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;

use super::inputs::Inputs;
use crate::kafka::client::ask::offset_in;
use crate::kafka::client::statistics::Ends;
use crate::status::{Blocked, Obstacle};

/// So long a partition may stand at one record. A transaction of a producer that lives is over sooner.
const MOVES_WITHIN: Duration = Duration::from_secs(30);
/// An end that was known no later says nothing of now.
const FRESH: Duration = Duration::from_secs(5);

/// Where the partitions of a worker stand, and since when.
#[derive(Default)]
pub struct Standing {
    places: HashMap<(String, i32), Place>,
}

struct Place {
    next: i64,
    since: Instant,
    obstacle: Obstacle,
    /// Whether the log says that it stands.
    was_said: bool,
}

impl Standing {
    /// Partitions are assigned anew, or none is.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// Looks where each partition stands at `now`, of which the consumer tells its positions, and returns those that do not move,
    /// the longest first. Says it once in the log, and once when it is over.
    pub fn look(&mut self, inputs: &Inputs, consumed: &TopicPartitionList, ends: &Ends, now: Instant) -> Vec<Blocked> {
        for (topic, partition, end) in ends.iter().filter(|(_, _, end)| now.duration_since(end.known) < FRESH) {
            let (Some(index), Ok(number)) = (inputs.index_of(topic), usize::try_from(partition)) else { continue };
            let Some(read_to) = inputs.read_to(index, number) else { continue };
            // Over markers the consumer goes by itself.
            let next = offset_in(consumed, topic, partition).map_or(read_to, |consumed| consumed.max(read_to));
            self.stands(topic, partition, next, (end.stable, end.high), now);
        }
        self.blocked(now)
    }

    /// Takes note that a partition is read up to `next`, and ends here for a reader of what is committed, and for any other.
    fn stands(&mut self, topic: &str, partition: i32, next: i64, (stable, high): (i64, i64), now: Instant) {
        let key = (topic.to_owned(), partition);
        let moved = self.places.get(&key).is_none_or(|place| place.next != next);
        if moved || next >= high {
            if self.places.remove(&key).is_some_and(|place| place.was_said) {
                tracing::info!(topic, partition, offset = next, "the partition goes on");
            }
            if next >= high {
                return;
            }
        }
        let obstacle = if stable <= next { Obstacle::OpenTransaction } else { Obstacle::NotHandedOut };
        let place = self.places.entry(key).or_insert(Place { next, since: now, obstacle, was_said: false });
        place.obstacle = obstacle;
        if now.duration_since(place.since) >= MOVES_WITHIN && !std::mem::replace(&mut place.was_said, true) {
            let seconds = MOVES_WITHIN.as_secs();
            tracing::warn!(
                topic,
                partition,
                offset = next,
                records = high - next,
                seconds,
                "the partition does not move: {obstacle}"
            );
        }
    }

    fn blocked(&self, now: Instant) -> Vec<Blocked> {
        let of = |((topic, partition), place): (&(String, i32), &Place)| Blocked {
            topic: topic.clone(),
            partition: *partition,
            offset: place.next,
            age: now.duration_since(place.since),
            obstacle: place.obstacle,
        };
        let mut blocked: Vec<Blocked> = self.places.iter().filter(|(_, place)| place.was_said).map(of).collect();
        blocked.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| (&a.topic, a.partition).cmp(&(&b.topic, b.partition))));
        blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at seconds after the beginning: where the partition is read to, its stable end and its end. What is blocked then.
    fn looks(looks: &[(u64, i64, i64, i64)]) -> Vec<Option<(u64, Obstacle)>> {
        let (mut standing, begun) = (Standing::default(), Instant::now());
        let mut look = |&(second, next, stable, high): &(u64, i64, i64, i64)| {
            let now = begun + Duration::from_secs(second);
            standing.stands("purchases", 3, next, (stable, high), now);
            standing.blocked(now).first().map(|blocked| (blocked.age.as_secs(), blocked.obstacle))
        };
        looks.iter().map(&mut look).collect()
    }

    #[test]
    fn a_partition_behind_an_open_transaction_is_blocked_after_30_s() {
        let open = Some((30, Obstacle::OpenTransaction));
        assert_eq!(looks(&[(0, 50, 50, 60), (29, 50, 50, 70), (30, 50, 50, 70)]), [None, None, open]);
        assert_eq!(looks(&[(0, 50, 50, 60), (30, 50, 50, 60), (31, 60, 60, 60)]), [None, open, None], "it ended");
        assert_eq!(looks(&[(0, 50, 50, 60), (20, 51, 51, 60), (40, 51, 51, 60)]), [None; 3], "it moved");
    }

    #[test]
    fn a_partition_that_is_not_handed_out_is_blocked_too() {
        let kept_back = Some((31, Obstacle::NotHandedOut));
        assert_eq!(looks(&[(0, 50, 60, 60), (31, 50, 60, 60)]), [None, kept_back]);
        assert_eq!(looks(&[(0, 60, 60, 60), (99, 60, 60, 60)]), [None; 2], "nothing waits there");
    }
}
