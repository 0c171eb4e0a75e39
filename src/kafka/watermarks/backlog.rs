//! What waits of one input partition, and since when: pure, of what its worker knows of it.
//!
//! A record waits from when the worker first knew of it: ends of the partition are looked at about once a second, and the
//! first that lies behind the record counts. Records that were there before the partition was assigned have waited for
//! longer; how long, only who knew the partition before can say ([`Heard`](super::Heard)).

use std::collections::VecDeque;

use crate::time::Millis;

/// So many ends are kept; more are thinned out.
const MOST_ENDS: usize = 240;

/// One input partition since its assignment.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Where it ended when it was assigned.
    first_end: i64,
    /// Ends behind that one, each with when it was known first. Both rise.
    ends: VecDeque<End>,
    /// The moment of the last look at the end.
    looked: Millis,
    /// Kafka timestamp of the last record taken.
    last: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    at: Millis,
    offset: i64,
}

/// How far a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Nothing that was known before this moment waits. `None`: records wait that were there before the assignment.
    pub through: Option<Millis>,
    /// About the Kafka timestamp of the oldest record that waits, where one does: that of the last one taken.
    pub oldest: Option<Millis>,
    /// Records that wait, with what is between them (markers of transactions).
    pub waiting: u64,
}

impl Backlog {
    /// Of a partition that was assigned at `now` and ended at `end` then, as its reader sees it: without transactions
    /// that are still open.
    pub fn new(now: Millis, end: i64) -> Backlog {
        Backlog { first_end: end, ends: VecDeque::new(), looked: now, last: None }
    }

    /// Notes that a record was taken.
    pub fn taken(&mut self, timestamp: Option<Millis>) {
        self.last = timestamp.or(self.last);
    }

    /// Notes where the partition ended at `now`; `next` is the next record to be taken. An end before one that is known is
    /// older than that, and says nothing.
    pub fn look(&mut self, now: Millis, end: i64, next: i64) {
        if end < self.end() {
            return;
        }
        // A clock that was put back: nothing was known later than now.
        for known in &mut self.ends {
            known.at = known.at.min(now);
        }
        self.looked = now;
        if end > self.end() {
            self.ends.push_back(End { at: now, offset: end });
        }
        while self.ends.front().is_some_and(|known| known.offset <= next && known.offset < end) {
            if let Some(read) = self.ends.pop_front() {
                self.first_end = read.offset;
            }
        }
        if self.ends.len() > MOST_ENDS {
            self.thin_out();
        }
    }

    /// How far it is read when `next` is the next record to be taken.
    pub fn reading(&self, next: i64) -> Reading {
        let waiting = u64::try_from(self.end() - next).unwrap_or(0);
        let through = if next < self.first_end {
            None
        } else {
            let unread = self.ends.iter().find(|end| end.offset > next);
            Some(unread.map_or(self.looked, |end| end.at))
        };
        Reading { through, oldest: self.last.filter(|_| waiting > 0), waiting }
    }

    /// When the record at `offset`, which is taken at `now`, was known first. One that was there before the assignment was
    /// at its Kafka timestamp.
    pub fn known_since(&self, offset: i64, timestamp: Option<Millis>, now: Millis) -> Millis {
        let known = if offset < self.first_end {
            timestamp
        } else {
            self.ends.iter().find(|end| end.offset > offset).map(|end| end.at)
        };
        known.unwrap_or(now).min(now)
    }

    fn end(&self) -> i64 {
        self.ends.back().map_or(self.first_end, |end| end.offset)
    }

    /// Halves the ends: of two, what the later one adds counts as known since the earlier one.
    fn thin_out(&mut self) {
        let mut pair = None;
        let ends = std::mem::take(&mut self.ends);
        for end in ends {
            pair = match pair.take() {
                None => Some(end),
                Some(End { at, .. }) => {
                    self.ends.push_back(End { at, offset: end.offset });
                    None
                }
            };
        }
        self.ends.extend(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Assigned at second 100, when it ended at offset 50; looked at each second from then on, with these ends.
    fn backlog(ends: &[i64]) -> Backlog {
        let mut backlog = Backlog::new(Millis(100_000), 50);
        for (second, end) in (101..).zip(ends) {
            backlog.look(Millis(second * 1_000), *end, 0);
        }
        backlog
    }

    #[test]
    fn a_record_waits_from_when_its_worker_first_knew_of_it() {
        // Nothing new at 101 and 102, five records at 103, none at 104, five at 105.
        let ends = [50, 50, 55, 55, 60];
        let table = [
            // next record, read through second, records that wait
            (0, None, 60),
            (49, None, 11),
            (50, Some(103), 10),
            (54, Some(103), 6),
            (55, Some(105), 5),
            (59, Some(105), 1),
            // All is read: as of the last look.
            (60, Some(105), 0),
            (70, Some(105), 0),
        ];
        for (next, through, waiting) in table {
            let reading = backlog(&ends).reading(next);
            assert_eq!((reading.through, reading.waiting), (through.map(|at| Millis(at * 1_000)), waiting), "{next}");
        }
        assert_eq!(
            backlog(&[50, 50]).reading(50).through,
            Some(Millis(102_000)),
            "a look that finds nothing new counts"
        );
        assert_eq!(backlog(&[]).reading(50).through, Some(Millis(100_000)));
    }

    #[test]
    fn the_oldest_that_waits_is_about_as_old_as_the_last_that_was_taken() {
        let mut backlog = backlog(&[60]);
        assert_eq!(backlog.reading(10).oldest, None, "none was taken yet");
        backlog.taken(Some(Millis(7)));
        backlog.taken(None);
        assert_eq!(backlog.reading(12).oldest, Some(Millis(7)));
        assert_eq!(backlog.reading(60).oldest, None, "nothing waits");
    }

    #[test]
    fn what_is_read_is_forgotten() {
        let mut backlog = backlog(&[60, 70, 80]);
        backlog.look(Millis(104_000), 80, 70);
        assert_eq!(backlog.ends, [End { at: Millis(103_000), offset: 80 }]);
        assert_eq!(backlog.reading(70).through, Some(Millis(103_000)));
        backlog.look(Millis(105_000), 80, 80);
        assert_eq!(backlog.reading(80).through, Some(Millis(105_000)));
        backlog.look(Millis(106_000), 79, 80);
        assert_eq!(backlog.reading(80).through, Some(Millis(105_000)), "an end of before is none of now");
    }

    #[test]
    fn many_ends_are_thinned_out_and_nothing_waits_for_less_than_it_does() {
        let ends: Vec<i64> = (51..=5_000).collect();
        let backlog = backlog(&ends);
        assert!(backlog.ends.len() <= MOST_ENDS);
        for next in [50, 51, 777, 2_500, 4_999] {
            let through = backlog.reading(next).through.map_or(0, |through| through.0);
            // The record at 50 was known at second 101.
            assert!(through <= (next + 51) * 1_000, "{next}: {through}");
        }
        let known: Vec<End> = backlog.ends.iter().copied().collect();
        assert!(known.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].offset < pair[1].offset));
        assert_eq!((known[0].at, backlog.end()), (Millis(101_000), 5_000));
    }

    #[test]
    fn a_clock_that_was_ahead_is_not_believed_for_as_long() {
        let mut backlog = backlog(&[50, 55]);
        backlog.look(Millis(9_000_000), 60, 50);
        backlog.look(Millis(104_000), 60, 50);
        assert_eq!(backlog.reading(57).through, Some(Millis(104_000)));
        assert_eq!(backlog.reading(60).through, Some(Millis(104_000)));
    }

    #[test]
    fn a_record_was_known_at_the_first_look_that_saw_it_or_now() {
        let backlog = backlog(&[55, 60]);
        let now = Millis(102_500);
        assert_eq!(backlog.known_since(20, Some(Millis(7)), now), Millis(7), "there before");
        assert_eq!(backlog.known_since(20, Some(Millis(999_999)), now), now);
        assert_eq!(backlog.known_since(20, None, now), now);
        assert_eq!(backlog.known_since(50, Some(Millis(7)), now), Millis(101_000));
        assert_eq!(backlog.known_since(55, Some(Millis(7)), now), Millis(102_000));
        assert_eq!(backlog.known_since(60, Some(Millis(7)), now), now, "not looked at yet");
    }
}
