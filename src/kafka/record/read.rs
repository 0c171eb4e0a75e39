//! A record as it was read: what its source sees of it, and whether an event of it can be sent on.

use std::panic::{self, AssertUnwindSafe};

use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::events::{Header, Reason, Record, Rejection};
use crate::kafka::client::MAX_MESSAGE_BYTES;
use crate::time::Millis;

/// A record as its source sees it.
pub fn as_read<'a>(record: &'a BorrowedMessage<'_>, headers: &'a dyn Fn() -> Vec<Header<'a>>) -> Record<'a> {
    Record {
        topic: record.topic(),
        key: record.key(),
        value: record.payload(),
        timestamp: record.timestamp().to_millis().map(Millis),
        headers,
    }
}

/// The names and values of a record's headers; none where a name can't be read.
pub fn named_headers<'a>(record: &'a BorrowedMessage<'_>) -> Vec<Header<'a>> {
    let Some(headers) = record.headers() else { return Vec::new() };
    if size_of_headers(record).is_none() {
        return Vec::new();
    }
    headers.iter().map(|header| (header.key, header.value)).collect()
}

/// Checks that an event of a record can be forwarded with its key and headers, those that are added, and what wraps it all.
///
/// # Errors
/// It is too large for that.
pub fn check_room(record: &BorrowedMessage<'_>, text: &str) -> Result<(), Rejection> {
    let size = size_of_headers(record).map(|headers| headers + record.key().map_or(0, <[u8]>::len) + text.len());
    if size.is_some_and(|size| size <= MAX_MESSAGE_BYTES - (64 << 10)) {
        return Ok(());
    }
    let detail = "key and headers leave no room to forward it to its home, or a header's name is not valid UTF-8";
    Err(Rejection { reason: Reason::TooLarge, detail: detail.to_owned() })
}

/// The bytes that a record's headers take, 0 without any; `None` when a name can't be read.
pub fn size_of_headers(record: &BorrowedMessage<'_>) -> Option<usize> {
    let Some(headers) = record.headers() else { return Some(0) };
    // The client panics at names that are not UTF-8; Kafka does not check them.
    panic::catch_unwind(AssertUnwindSafe(|| {
        headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + 16).sum()
    }))
    .ok()
}
