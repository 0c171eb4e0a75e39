//! The format that an output record is in, which stands in its header.

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use crate::format::{self, FormatError};

/// Header of an output record: the number of its format.
const FORMAT: &str = "payback.format";

/// The headers of an output record in the format of this number.
pub fn format_headers(number: &str) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: FORMAT, value: Some(number) })
}

/// Checks that an output record is of a format that this program knows; one without a header is of the first.
///
/// # Errors
/// It is not.
pub fn check_format(record: &BorrowedMessage<'_>) -> Result<(), FormatError> {
    let malformed = FormatError::Malformed { what: "header payback.format" };
    let Some(headers) = record.headers() else { return Ok(()) };
    // Other programs than this one have no business here; what they add is not looked at.
    let Some(header) = headers.try_get(0).filter(|header| header.key == FORMAT) else { return Ok(()) };
    let text = header.value.and_then(|value| std::str::from_utf8(value).ok());
    let number = text.and_then(|text| text.parse::<u8>().ok()).ok_or_else(|| malformed.clone())?;
    format::split(&[number], malformed).map(drop)
}
