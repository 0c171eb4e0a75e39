//! Watermarks on their way: one record for each partition that is told, with all that its worker has to say.

use serde::{Deserialize, Serialize};

use crate::format::{self, Format, FormatError};

/// How far one input is read, as its worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement<'a> {
    /// The topic of a source; of a customers' partition the stage's internal topic.
    #[serde(borrow)]
    pub topic: &'a str,
    /// Its partition.
    pub partition: u32,
    /// Nothing waits that was there for longer than this, in milliseconds, when it was said. `None`: nobody knows.
    pub age: Option<u64>,
    /// Kafka timestamp of the oldest record that waits, milliseconds since the epoch; where one waits and it is known.
    pub oldest: Option<i64>,
}

/// Writes a record's value.
pub fn write(format: Format, statements: &[Statement<'_>]) -> Vec<u8> {
    let mut value = vec![format.number()];
    if let Ok(encoded) = postcard::to_allocvec(statements) {
        value.extend_from_slice(&encoded);
    }
    value
}

/// Reads a record's value.
///
/// # Errors
/// A newer format, or bytes that are no watermarks.
pub fn read(value: &[u8]) -> Result<Vec<Statement<'_>>, FormatError> {
    format::read(value, FormatError::Malformed { what: "watermarks" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_read_as_they_were_written() {
        let statements = [
            Statement { topic: "purchases", partition: 3, age: Some(0), oldest: None },
            Statement { topic: "shop-customer-events", partition: 63, age: Some(1 << 41), oldest: Some(-1) },
            Statement { topic: "", partition: 0, age: None, oldest: Some(1_800_000_000_000) },
        ];
        let value = write(Format::default(), &statements);
        assert_eq!(read(&value).as_deref(), Ok(&statements[..]));
        assert_eq!(read(&write(Format::default(), &[])).as_deref(), Ok(&[][..]));
        let malformed = Err(FormatError::Malformed { what: "watermarks" });
        assert_eq!(read(&value[..value.len() - 1]), malformed);
        assert_eq!(read(&[]), malformed);
        let newer = *format::READS.end() + 1;
        assert_eq!(read(&[newer, 0]), Err(FormatError::Version { found: newer, known: newer - 1 }));
    }
}
