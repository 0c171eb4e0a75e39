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
    std::str::from_utf8(value)
        .map_err(|error| Rejection::new(Reason::InvalidJson, format!("expected UTF-8 at byte {}", error.valid_up_to())))
}
