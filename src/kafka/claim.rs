//! What stands beside the committed offset of an internal topic's partition: who wrote the partition last, and whether all
//! of its records are on the output topic. Whoever may look at the group sees it of all partitions, without their state.

/// The note beside an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The transactional id of the last writer, to be fenced by the next one; empty where there is none.
    pub writer: &'a str,
    /// The output topic on which the partition has a record of each of its keys, as [`Destination`] names it. Format 1 does
    /// not say.
    ///
    /// [`Destination`]: super::topics::destinations::Destination
    pub whole_on: Option<&'a str>,
}

impl<'a> Claim<'a> {
    /// Reads a note.
    pub fn read(note: &'a str) -> Claim<'a> {
        // Neither a transactional id nor the name of a topic has a space in it.
        match note.split_once(' ') {
            Some((writer, topic)) => Claim { writer, whole_on: Some(topic) },
            None => Claim { writer: note, whole_on: None },
        }
    }

    /// As it is written.
    pub fn write(&self) -> String {
        match self.whole_on {
            Some(topic) => format!("{} {topic}", self.writer),
            None => self.writer.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        for whole_on in [None, Some("roas-updates")] {
            let claim = Claim { writer: "payback-campaigns-a-0", whole_on };
            assert_eq!(Claim::read(&claim.write()), claim);
        }
        assert_eq!(Claim::read(""), Claim { writer: "", whole_on: None });
    }
}
