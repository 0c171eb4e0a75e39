//! Codecs: the bytes of a value -> JSON text.

use crate::events::{MAX_RECORD, Reason, Rejection};

/// JSON as it is: UTF-8. Whether it is JSON shows when it is read.
///
/// # Errors
/// There is nothing, too much, or no text.
pub fn json(value: &[u8]) -> Result<&str, Rejection> {
    if value.is_empty() {
        return Err(Rejection::new(Reason::Empty, "expected a value"));
    }
    if value.len() > MAX_RECORD {
        let detail = format!("expected at most {MAX_RECORD} bytes, found {}", value.len());
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    if let Some(found) = foreign(value) {
        return Err(Rejection::new(Reason::InvalidJson, found));
    }
    std::str::from_utf8(value)
        .map_err(|error| Rejection::new(Reason::InvalidJson, format!("expected UTF-8 at byte {}", error.valid_up_to())))
}

/// What a value that begins as no JSON text does looks like, and what to do about it.
fn foreign(value: &[u8]) -> Option<String> {
    match *value {
        [0xef, 0xbb, 0xbf, ..] => {
            Some("begins with a byte order mark, which JSON does without: have it left out".to_owned())
        }
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => {
            Some("begins with the byte order mark of UTF-16: expected UTF-8 without one".to_owned())
        }
        [0, a, b, c, d, ..] => {
            let schema = u32::from_be_bytes([a, b, c, d]);
            Some(format!(
                "looks like Confluent's schema registry format (a zero byte, and the number of a schema: {schema}): expected JSON \
                 text alone, as its producer writes it with a JSON serializer that knows of no schema registry"
            ))
        }
        _ => None,
    }
}
