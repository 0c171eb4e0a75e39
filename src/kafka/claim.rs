//! What stands beside a committed offset: who wrote it, and of which topic it is; beside that of an internal topic's partition
//! also with which state it goes, and whether all of the partition's records are on the output topic. Whoever may look at the
//! group sees it of all partitions, without their state.
//!
//! An offset is a number, and numbers agree by chance: a topic that is deleted and created again has the same ones. So it is
//! believed only of the topic and with the state that are named here. One without such a note is as good as its number: of
//! format 1, or set by hand.

use crate::kafka::changelog::birth::Birth;
use crate::kafka::client::topic_ids::TopicId;

/// The note beside an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The transactional id of the last writer, to be fenced by the next one; empty where there is none.
    pub writer: &'a str,
    /// The topic that the offset is of.
    pub topic: Option<TopicId>,
    /// The state that goes with the offset.
    pub state: Option<Birth>,
    /// The output topic on which the partition has a record of each of its keys, as [`Destination`] names it. Format 1 does
    /// not say.
    ///
    /// [`Destination`]: super::topics::destinations::Destination
    pub whole_on: Option<&'a str>,
    /// Whether somebody has decided to go on here, whatever the state says (`payback recover`).
    pub is_decided: bool,
}

const TOPIC: &str = "topic";
const STATE: &str = "state";
const WHOLE_ON: &str = "on";
const DECIDED: &str = "decided";

impl<'a> Claim<'a> {
    /// Of a writer, with nothing else to say.
    pub fn of(writer: &'a str) -> Claim<'a> {
        Claim { writer, ..Claim::default() }
    }

    /// Reads a note. What it does not know it passes over.
    pub fn read(note: &'a str) -> Claim<'a> {
        // Neither a transactional id nor the name of a topic has a space or an equals sign in it.
        let mut parts = note.split(' ');
        let mut claim = Claim::of(parts.next().unwrap_or_default());
        for part in parts {
            match part.split_once('=') {
                Some((TOPIC, id)) => claim.topic = TopicId::parse(id),
                Some((STATE, birth)) => claim.state = Birth::parse(birth),
                Some((WHOLE_ON, destination)) => claim.whole_on = Some(destination),
                None if part == DECIDED => claim.is_decided = true,
                _ => {}
            }
        }
        claim
    }

    /// As it is written.
    pub fn write(&self) -> String {
        let mut note = self.writer.to_owned();
        if let Some(topic) = self.topic {
            note += &format!(" {TOPIC}={topic}");
        }
        if let Some(state) = self.state {
            note += &format!(" {STATE}={state}");
        }
        if let Some(destination) = self.whole_on {
            note += &format!(" {WHOLE_ON}={destination}");
        }
        if self.is_decided {
            note += &format!(" {DECIDED}");
        }
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let writer = "payback-campaigns-a-0";
        let claims = [
            Claim::default(),
            Claim::of(writer),
            Claim { whole_on: Some("roas-updates"), ..Claim::of(writer) },
            Claim { is_decided: true, topic: TopicId::new(7), ..Claim::default() },
            Claim {
                writer,
                topic: TopicId::new(1),
                state: Some(Birth::draw()),
                whole_on: Some("x"),
                is_decided: false,
            },
        ];
        for claim in claims {
            assert_eq!(Claim::read(&claim.write()), claim);
        }
        assert_eq!(Claim::read("a b=c topic=? d"), Claim::of("a"));
    }
}
