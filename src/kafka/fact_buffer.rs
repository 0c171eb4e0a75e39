//! Facts of the open transaction, kept back to be handed to the producer together.
//!
//! Each event makes a small fact. Handed over one by one they would leave in hundreds of small requests a commit, each of
//! which costs broker and client as much as a large one.

use rdkafka::producer::BaseRecord;

/// Facts are handed over when they come to so many bytes: memory is bounded, and the broker works meanwhile.
const FULL: usize = 512 << 10;

/// Facts in the order in which they were made.
#[derive(Debug, Default)]
pub struct FactBuffer {
    facts: Vec<Fact>,
    /// Keys and values, one after the other.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Fact {
    partition: i32,
    key: usize,
    /// `None` deletes.
    value: Option<usize>,
}

impl FactBuffer {
    pub fn push(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.facts.push(Fact { partition, key: key.len(), value: value.map(<[u8]>::len) });
    }

    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// The facts as records of `changelog`.
    pub fn records<'a>(&'a self, changelog: &'a str) -> impl Iterator<Item = BaseRecord<'a, [u8], [u8]>> {
        let mut rest = &self.bytes[..];
        let mut next = move |length| {
            let (taken, left) = rest.split_at(length);
            rest = left;
            taken
        };
        self.facts.iter().map(move |fact| {
            let mut record = BaseRecord::to(changelog).partition(fact.partition).key(next(fact.key));
            record.payload = fact.value.map(&mut next);
            record
        })
    }

    /// Begins anew, keeping the room.
    pub fn clear(&mut self) {
        self.facts.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_out_as_they_went_in() {
        let mut buffer = FactBuffer::default();
        buffer.push(0, b"o1", Some(b"first"));
        buffer.push(3, b"o2", None);
        buffer.push(3, b"o3", Some(b""));
        buffer.push(0, b"o1", Some(b"second"));
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let records: Vec<String> = buffer
            .records("changelog")
            .map(|record| format!("{:?} {:?} {:?}", record.partition, text(record.key), text(record.payload)))
            .collect();
        assert_eq!(
            records,
            [
                r#"Some(0) Some("o1") Some("first")"#,
                r#"Some(3) Some("o2") None"#,
                r#"Some(3) Some("o3") Some("")"#,
                r#"Some(0) Some("o1") Some("second")"#,
            ]
        );
        assert!(!buffer.is_full());
        buffer.push(1, b"o4", Some(&[0; FULL]));
        assert!(buffer.is_full());
        buffer.clear();
        assert_eq!((buffer.records("changelog").count(), buffer.is_full()), (0, false));
    }
}
