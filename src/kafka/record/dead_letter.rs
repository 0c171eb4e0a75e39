//! Records that can't be used: their raw key, value and headers, with what is wrong and where they came from.

use std::fmt::Write as _;

use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use xxhash_rust::xxh3::xxh3_128;

use super::origin::{self, Origin};
use super::read::size_of_headers;
use crate::events::Rejection;
use crate::kafka::client::MAX_MESSAGE_BYTES;

pub const REASON: &str = "payback.reason";
pub const DETAIL: &str = "payback.detail";
/// Of a key or value that was cut: its length and digest (XXH3, 128 bits, hexadecimal) before.
pub const CUT_VALUE: &str = "payback.cut.value";
pub const CUT_KEY: &str = "payback.cut.key";
/// Why the record's own headers are missing.
pub const CUT_HEADERS: &str = "payback.cut.headers";

/// What a dead letter may take, with some room for what a record is wrapped in.
const MAX_BYTES: usize = MAX_MESSAGE_BYTES - (64 << 10);
const MAX_KEY_BYTES: usize = 256 << 10;
const MAX_HEADERS_BYTES: usize = 512 << 10;

/// A dead letter, ready to be produced.
pub struct DeadLetter<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: OwnedHeaders,
}

impl<'a> DeadLetter<'a> {
    /// Of a record that was read where it came from (then `forwarded` is false) or brought its origin along.
    pub fn new(
        record: &'a BorrowedMessage<'_>,
        origin: &Origin<'_>,
        forwarded: bool,
        rejection: &Rejection,
    ) -> DeadLetter<'a> {
        let mut headers = match size_of_headers(record) {
            // A forwarded record's headers name the origin already.
            Some(size) if size <= MAX_HEADERS_BYTES && forwarded => origin::headers_of(record),
            Some(size) if size <= MAX_HEADERS_BYTES => origin.add_to(origin::headers_of(record)),
            size => {
                let why = match size {
                    Some(size) => format!("{size} bytes"),
                    None => "a name that is not valid UTF-8".to_owned(),
                };
                let own = OwnedHeaders::new_with_capacity(8).insert(Header { key: CUT_HEADERS, value: Some(&why) });
                origin.add_to(own)
            }
        };
        let key = record.key().map(|key| cut(key, MAX_KEY_BYTES, CUT_KEY, &mut headers));
        let room = MAX_BYTES - MAX_HEADERS_BYTES - key.map_or(0, <[u8]>::len);
        let value = record.payload().map(|value| cut(value, room, CUT_VALUE, &mut headers));
        let headers = headers
            .insert(Header { key: REASON, value: Some(rejection.reason.code()) })
            .insert(Header { key: DETAIL, value: Some(&rejection.detail) });
        DeadLetter { key, value, headers }
    }
}

fn cut<'a>(bytes: &'a [u8], most: usize, name: &str, headers: &mut OwnedHeaders) -> &'a [u8] {
    let Some(kept) = bytes.get(..most).filter(|kept| kept.len() < bytes.len()) else { return bytes };
    let mut what = String::new();
    let _ = write!(what, "{} bytes, xxh3-128 {:032x}", bytes.len(), xxh3_128(bytes));
    let own = std::mem::replace(headers, OwnedHeaders::new_with_capacity(0));
    *headers = own.insert(Header { key: name, value: Some(&what) });
    kept
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn what_is_cut_says_how_long_it_was_and_what_it_was() {
        let mut headers = OwnedHeaders::new();
        assert_eq!(cut(b"whole", 5, CUT_VALUE, &mut headers), b"whole");
        assert_eq!(headers.count(), 0);
        assert_eq!(cut(b"too long", 3, CUT_VALUE, &mut headers), b"too");
        let header = headers.get(0);
        let digest = format!("8 bytes, xxh3-128 {:032x}", xxh3_128(b"too long"));
        assert_eq!((header.key, header.value), (CUT_VALUE, Some(digest.as_bytes())));
    }
}
