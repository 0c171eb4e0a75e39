//! What was read: all of a record that its source may go by.

use crate::time::Millis;

/// A record as it came. A file's lines are records without a key, headers and a timestamp.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Where it was read; of a line, the file.
    pub topic: &'a str,
    /// As its producer chose it.
    pub key: Option<&'a [u8]>,
    /// `None` of a tombstone.
    pub value: Option<&'a [u8]>,
    /// When Kafka got it.
    pub timestamp: Option<Millis>,
    /// Hands out all headers, in their order. A function, so that who does not ask does not pay.
    pub headers: &'a dyn Fn() -> Vec<Header<'a>>,
}

/// The name of a header, and its value.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

impl<'a> Record<'a> {
    /// One that has nothing but a value.
    pub fn of_value(topic: &'a str, value: &'a [u8]) -> Record<'a> {
        Record { topic, key: None, value: Some(value), timestamp: None, headers: &Vec::new }
    }
}
