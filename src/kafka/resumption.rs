//! Where the reading of an input's partition goes on, by what is known of it: the offset that the group has committed with the
//! [`Claim`] beside it, what the state says, and which topic it is. Pure: so the worker that resumes and `payback recover`, which
//! shows the way when it can't, see it alike.
//!
//! | topic | offset is committed | the state says | |
//! | --- | --- | --- | --- |
//! | internal | of this topic, with this state | the same | it goes on there |
//! | internal | by decision (`payback recover`) | anything | it goes on there |
//! | internal | none | nothing | it begins |
//! | internal | else | | refused: what is counted and what is read would not be of one piece |
//! | source | of this topic | | it goes on there |
//! | source | of another | | it is a new topic: from its beginning |
//! | source | none | of another topic | the same; Kafka deletes a topic's offsets with the topic |
//! | source | none | of this topic | refused: the offsets have expired or were deleted |
//! | source | none | nothing | a new source: from its beginning |
//!
//! Events of a source are known by their ids, so that what is read twice counts once. What comes by the internal topics is not:
//! differences are added up.

use crate::kafka::changelog::birth::Birth;
use crate::kafka::claim::Claim;
use crate::kafka::client::topic_ids::TopicId;

/// The next record, and of which topic.
pub type Stored = (i64, Option<TopicId>);

/// What is known of an input's partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Which topic it is now.
    pub topic: Option<TopicId>,
    /// The offset of the group.
    pub committed: Option<i64>,
    /// What stands beside it.
    pub claim: Claim<'a>,
    /// What the state says.
    pub stored: Option<Stored>,
    /// The identity of the state.
    pub birth: Option<Birth>,
    /// What there is to be read: the first offset, and that after the last one.
    pub low: i64,
    pub high: i64,
}

/// Where reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where it stopped.
    At(i64),
    /// At the first record of what was never read.
    Beginning(i64),
    /// At the first record of a topic that has taken the place of the one that was read up to there, where that is known.
    Another { beginning: i64, read: i64 },
}

impl Start {
    /// The next record.
    pub fn next(self) -> i64 {
        match self {
            Start::At(next) | Start::Beginning(next) | Start::Another { beginning: next, .. } => next,
        }
    }
}

/// Why it can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is a state up to here, and no offset.
    NotCommitted { stored: i64 },
    /// There are both, and they are not the same.
    Differs { stored: i64, committed: i64 },
    /// There is an offset, and no state.
    NoState { committed: i64 },
    /// The offset goes with another state.
    AnotherState,
    /// The internal topic is another one than that which was read up to here.
    Recreated { read: i64 },
    /// Records were deleted before they were read.
    Lost { from: i64, to: i64 },
    /// It ends before what was read.
    Truncated { read: i64, end: i64 },
}

impl Obstacle {
    /// Whether somebody can decide to go on nevertheless: what was computed is there.
    pub fn is_passable(&self) -> bool {
        !matches!(self, Obstacle::NoState { .. } | Obstacle::AnotherState)
    }
}

impl Evidence<'_> {
    /// Where reading goes on, of an internal topic or of a source.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn start(&self, is_internal: bool) -> Result<Start, Obstacle> {
        if is_internal { self.of_internal() } else { self.of_source() }
    }

    fn of_internal(&self) -> Result<Start, Obstacle> {
        if self.claim.state.is_some() && self.stored.is_some() && self.claim.state != self.birth {
            return Err(Obstacle::AnotherState);
        }
        let (Some(committed), Some((stored, id))) = (self.committed, self.stored) else {
            return match (self.committed, self.stored) {
                (None, None) => self.within(Start::Beginning(self.low)),
                (Some(committed), _) => Err(Obstacle::NoState { committed }),
                (None, Some((read, id))) if self.is_another(id) => Err(Obstacle::Recreated { read }),
                (None, Some((stored, _))) => Err(Obstacle::NotCommitted { stored }),
            };
        };
        if self.is_another(self.claim.topic) || (self.is_another(id) && !self.claim.is_decided) {
            return Err(Obstacle::Recreated { read: stored });
        }
        if committed == stored || self.claim.is_decided {
            self.within(Start::At(committed))
        } else {
            Err(Obstacle::Differs { stored, committed })
        }
    }

    fn of_source(&self) -> Result<Start, Obstacle> {
        match (self.committed, self.stored) {
            (Some(read), _) if self.is_another(self.claim.topic) => Ok(Start::Another { beginning: self.low, read }),
            (Some(committed), _) => self.within(Start::At(committed)),
            (None, Some((read, id))) if self.is_another(id) => Ok(Start::Another { beginning: self.low, read }),
            (None, Some((stored, _))) => Err(Obstacle::NotCommitted { stored }),
            (None, None) => self.within(Start::Beginning(self.low)),
        }
    }

    /// Whether this is of another topic than the one that is there now.
    fn is_another(&self, id: Option<TopicId>) -> bool {
        matches!((id, self.topic), (Some(id), Some(now)) if id != now)
    }

    fn within(&self, start: Start) -> Result<Start, Obstacle> {
        let next = start.next();
        if next < self.low {
            Err(Obstacle::Lost { from: next, to: self.low })
        } else if next > self.high {
            Err(Obstacle::Truncated { read: next, end: self.high })
        } else {
            Ok(start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Option<TopicId> {
        TopicId::new(number)
    }

    /// A partition of topic 1 that has the records 5 to 99, of which those before 40 were read.
    fn evidence() -> Evidence<'static> {
        let birth = Some(Birth::draw());
        let claim = Claim { topic: id(1), state: birth, ..Claim::of("a") };
        Evidence { topic: id(1), committed: Some(40), claim, stored: Some((40, id(1))), birth, low: 5, high: 100 }
    }

    /// What Kafka does with a topic that is deleted: its offsets go with it.
    fn recreated() -> Evidence<'static> {
        Evidence { topic: id(2), committed: None, claim: Claim::default(), low: 0, ..evidence() }
    }

    #[test]
    fn both_go_on_where_all_agrees() {
        assert_eq!(evidence().of_internal(), Ok(Start::At(40)));
        assert_eq!(evidence().of_source(), Ok(Start::At(40)));
        let new = Evidence { committed: None, claim: Claim::default(), stored: None, birth: None, ..evidence() };
        assert_eq!((new.of_internal(), new.of_source()), (Ok(Start::Beginning(5)), Ok(Start::Beginning(5))));
    }

    #[test]
    fn what_knows_no_ids_goes_by_numbers_alone() {
        let old = Evidence { claim: Claim::of("a"), stored: Some((40, None)), birth: None, ..evidence() };
        assert_eq!((old.of_internal(), old.of_source()), (Ok(Start::At(40)), Ok(Start::At(40))));
        let by_hand = Evidence { claim: Claim::default(), ..evidence() };
        assert_eq!((by_hand.of_internal(), by_hand.of_source()), (Ok(Start::At(40)), Ok(Start::At(40))));
        let without = Evidence { topic: None, ..evidence() };
        assert_eq!((without.of_internal(), without.of_source()), (Ok(Start::At(40)), Ok(Start::At(40))));
    }

    #[test]
    fn expired_is_told_from_recreated() {
        let expired = Evidence { committed: None, claim: Claim::default(), ..evidence() };
        assert_eq!(expired.of_internal(), Err(Obstacle::NotCommitted { stored: 40 }));
        assert_eq!(expired.of_source(), Err(Obstacle::NotCommitted { stored: 40 }));
        assert_eq!(recreated().of_internal(), Err(Obstacle::Recreated { read: 40 }));
        assert_eq!(recreated().of_source(), Ok(Start::Another { beginning: 0, read: 40 }));
        // Somebody went on for a moment before the process knew.
        let before = evidence();
        let written = Evidence { committed: Some(41), claim: before.claim, birth: before.birth, ..recreated() };
        assert_eq!(written.of_internal(), Err(Obstacle::Recreated { read: 40 }));
        assert_eq!(written.of_source(), Ok(Start::Another { beginning: 0, read: 41 }));
    }

    #[test]
    fn an_offset_is_believed_with_its_own_state_alone() {
        let made_again = Evidence { birth: None, ..evidence() };
        assert_eq!(made_again.of_internal(), Err(Obstacle::AnotherState));
        let another = Evidence { birth: Some(Birth::draw()), ..evidence() };
        assert_eq!(another.of_internal(), Err(Obstacle::AnotherState));
        let gone = Evidence { stored: None, birth: None, ..evidence() };
        assert_eq!(gone.of_internal(), Err(Obstacle::NoState { committed: 40 }));
        let moved = Evidence { committed: Some(41), ..evidence() };
        assert_eq!(moved.of_internal(), Err(Obstacle::Differs { stored: 40, committed: 41 }));
        assert_eq!(moved.of_source(), Ok(Start::At(41)), "whoever reads a source again counts nothing twice");
    }

    #[test]
    fn what_is_decided_holds_for_the_topic_that_it_was_decided_for() {
        let decided = |topic| Claim { is_decided: true, topic, ..Claim::default() };
        let moved = Evidence { committed: Some(7), claim: decided(id(1)), ..evidence() };
        assert_eq!(moved.of_internal(), Ok(Start::At(7)));
        let after = Evidence { committed: Some(0), claim: decided(id(2)), ..recreated() };
        assert_eq!(after.of_internal(), Ok(Start::At(0)));
        let before = Evidence { claim: decided(id(1)), ..after };
        assert_eq!(before.of_internal(), Err(Obstacle::Recreated { read: 40 }));
        let of_another_state = Claim { state: Some(Birth::draw()), ..decided(id(1)) };
        assert_eq!(Evidence { claim: of_another_state, ..moved }.of_internal(), Err(Obstacle::AnotherState));
    }

    #[test]
    fn what_is_not_there_is_not_passed_over() {
        let late = Evidence { low: 41, ..evidence() };
        assert_eq!(late.of_source(), Err(Obstacle::Lost { from: 40, to: 41 }));
        let short = Evidence { high: 39, ..evidence() };
        assert_eq!(short.of_internal(), Err(Obstacle::Truncated { read: 40, end: 39 }));
    }
}
