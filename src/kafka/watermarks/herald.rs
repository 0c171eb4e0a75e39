//! When a worker says how far it is: seldom while all is well, at once when it matters: pure.

use crate::time::Millis;

/// At the least so often, in milliseconds: what is said takes two steps to reach a campaign, and must be there well before
/// it counts as silence.
const SELDOM: i64 = 10_000;
/// So often while something has waited for half of what may wait.
const OFTEN: i64 = 1_000;
/// No more often than this, whatever happens.
const AT_MOST: i64 = 100;

/// What a worker said last, and when.
#[derive(Clone, Debug)]
pub struct Herald {
    /// How long a record may wait, in milliseconds.
    most: i64,
    said: Option<(Millis, Vec<Option<Millis>>)>,
}

impl Herald {
    /// Of records that may wait for `most` milliseconds.
    pub fn new(most: i64) -> Herald {
        Herald { most, said: None }
    }

    /// Nothing was said yet of what the worker has now.
    pub fn reset(&mut self) {
        self.said = None;
    }

    /// Whether it may be time at all, so that it is worth a look at watermarks.
    pub fn may_be_due(&self, now: Millis) -> bool {
        self.since(now).is_none_or(|since| since >= AT_MOST)
    }

    /// Whether it is time to say these watermarks, of the same inputs in the same order as before.
    pub fn is_due(&self, now: Millis, throughs: &[Option<Millis>]) -> bool {
        let (Some((_, said)), Some(since)) = (&self.said, self.since(now)) else { return true };
        if since >= self.seldom() || said.len() != throughs.len() {
            return true;
        }
        let age = |through: Option<Millis>| through.map_or(i64::MAX, |through| now.0.saturating_sub(through.0));
        let pairs = || said.iter().copied().zip(throughs.iter().copied());
        let turned = pairs().any(|(said, through)| {
            (age(said) > self.most) != (age(through) > self.most) || said.is_none() != through.is_none()
        });
        // As what was said is believed until more is, that counts as well.
        let presses = || pairs().any(|(said, through)| age(said).max(age(through)) > self.most / 2);
        (turned && since >= AT_MOST) || (since >= OFTEN.min(self.seldom()) && presses())
    }

    /// These were said.
    pub fn said(&mut self, now: Millis, throughs: Vec<Option<Millis>>) {
        self.said = Some((now, throughs));
    }

    /// How long ago something was said; `None` too when a clock was put back.
    fn since(&self, now: Millis) -> Option<i64> {
        let (at, _) = self.said.as_ref()?;
        Some(now.0 - at.0).filter(|since| *since >= 0)
    }

    fn seldom(&self) -> i64 {
        SELDOM.min(self.most / 6).max(AT_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: i64 = 60_000;

    fn at(millis: i64) -> Millis {
        Millis(1_000_000 + millis)
    }

    #[test]
    fn it_speaks_seldom_while_all_is_well_and_at_once_when_it_matters() {
        let table = [
            // what, said at 0, known then, milliseconds until it speaks
            ("nothing changes", at(0), at(0), 10_000),
            ("something waits for a while", at(0), at(-20_000), 10_000),
            ("something has waited for half of what may wait", at(0), at(-31_000), 1_000),
            ("that is over", at(-31_000), at(0), 1_000),
            ("it is late now", at(-59_000), at(-61_000), 100),
            ("it is late no more", at(-70_000), at(0), 100),
            ("it is still late", at(-70_000), at(-80_000), 1_000),
        ];
        for (what, said, known, after) in table {
            let mut herald = Herald::new(MOST);
            assert!(herald.is_due(at(0), &[Some(said)]), "it said nothing yet");
            herald.said(at(0), vec![Some(said), Some(at(0))]);
            let is_due = |millis: i64| {
                // What is known ages no faster than the clock.
                let known = [Some(known.plus(millis)), Some(at(millis))];
                herald.may_be_due(at(millis)) && herald.is_due(at(millis), &known)
            };
            assert!(!is_due(after - 1), "{what}: too soon");
            assert!(is_due(after), "{what}: too late");
        }
    }

    #[test]
    fn what_becomes_known_is_said_at_once() {
        let mut herald = Herald::new(MOST);
        herald.said(at(0), vec![None]);
        assert!(!herald.is_due(at(500), &[None]) && herald.is_due(at(1_000), &[None]), "who is told has to wait");
        assert!(herald.is_due(at(100), &[Some(at(-500_000))]));
        assert!(herald.is_due(at(1), &[Some(at(0)), Some(at(0))]), "other inputs");
        herald.reset();
        assert!(herald.is_due(at(1), &[None]));
    }

    #[test]
    fn a_clock_that_was_put_back_silences_nobody() {
        let mut herald = Herald::new(MOST);
        herald.said(at(9_000_000), vec![Some(at(0))]);
        assert!(herald.may_be_due(at(0)) && herald.is_due(at(0), &[Some(at(0))]));
    }

    #[test]
    fn where_little_may_wait_it_speaks_more_often() {
        let mut herald = Herald::new(1_000);
        herald.said(at(0), vec![Some(at(0))]);
        assert!(!herald.is_due(at(160), &[Some(at(160))]) && herald.is_due(at(166), &[Some(at(166))]));
    }
}
