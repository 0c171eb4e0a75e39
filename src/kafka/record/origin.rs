//! Records that are dealt with elsewhere than where they were read: what travels with them, and how it is read again.

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, OwnedHeaders};

/// Header of a record that holds differences of the customers stage.
pub const DIFFERENCES: &str = "payback.differences";

/// Header of a record that asks for all records of its partition anew.
const REQUEST: &str = "payback.republish";

/// Header of a record that says how far inputs are read.
const WATERMARKS: &str = "payback.watermarks";

const TOPIC: &str = "payback.topic";
const PARTITION: &str = "payback.partition";
const OFFSET: &str = "payback.offset";
const TIMESTAMP: &str = "payback.timestamp";

/// Where a record was read from a source topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
}

impl<'a> Origin<'a> {
    /// How many headers it takes.
    pub const HEADERS: usize = 4;

    /// That of a record just read from a source topic.
    pub fn of(record: &'a BorrowedMessage<'_>) -> Origin<'a> {
        Origin {
            topic: record.topic(),
            partition: record.partition(),
            offset: record.offset(),
            timestamp: record.timestamp().to_millis(),
        }
    }

    /// That which a forwarded record brought along; `None` when it has none.
    pub fn of_forwarded(record: &'a BorrowedMessage<'_>) -> Option<Origin<'a>> {
        let headers = record.headers()?;
        // Ours come last. The names of the others are never looked at: they may be anything.
        Origin::before(headers, headers.count())
    }

    /// That which stands in the headers before this one.
    pub fn before(headers: &'a BorrowedHeaders, end: usize) -> Option<Origin<'a>> {
        let first = end.checked_sub(Origin::HEADERS)?;
        let topic = text(headers, first, TOPIC)?;
        let partition = text(headers, first + 1, PARTITION)?.parse().ok()?;
        let offset = text(headers, first + 2, OFFSET)?.parse().ok()?;
        let timestamp = text(headers, first + 3, TIMESTAMP)?;
        let timestamp = if timestamp.is_empty() { None } else { Some(timestamp.parse().ok()?) };
        Some(Origin { topic, partition, offset, timestamp })
    }

    /// Adds this to headers, to be read by [`Origin::of_forwarded`].
    pub fn add_to(&self, headers: OwnedHeaders) -> OwnedHeaders {
        let timestamp = self.timestamp.map(|at| at.to_string()).unwrap_or_default();
        let headers = headers.insert(Header { key: TOPIC, value: Some(self.topic) });
        let headers = headers.insert(Header { key: PARTITION, value: Some(&self.partition.to_string()) });
        let headers = headers.insert(Header { key: OFFSET, value: Some(&self.offset.to_string()) });
        headers.insert(Header { key: TIMESTAMP, value: Some(&timestamp) })
    }
}

/// What a record of an internal topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// Differences of the customers stage.
    Differences {
        /// Timestamp of the oldest record that they come from, milliseconds since the epoch; format 1 does not say.
        since: Option<i64>,
    },
    /// How far inputs are read. Format 1 has no such records.
    Watermarks,
    /// Somebody asks for all records of the partition anew. Format 1 has no such records.
    Request,
    /// An event that was read elsewhere.
    Forwarded,
}

impl Internal {
    /// By its headers: what is forwarded has more of them.
    pub fn of(record: &BorrowedMessage<'_>) -> Internal {
        let Some(headers) = record.headers() else { return Internal::Forwarded };
        let first = |name| text(headers, 0, name).is_some();
        match headers.count() {
            1 if first(DIFFERENCES) => Internal::Differences { since: None },
            1 if first(WATERMARKS) => Internal::Watermarks,
            1 if first(REQUEST) => Internal::Request,
            2 if first(DIFFERENCES) => match text(headers, 1, TIMESTAMP) {
                Some(since) => Internal::Differences { since: since.parse().ok() },
                None => Internal::Forwarded,
            },
            _ => Internal::Forwarded,
        }
    }
}

/// The headers of a record of differences, which come from records of this timestamp and later ones.
pub fn differences_headers(since: Option<i64>) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(2).insert(Header { key: DIFFERENCES, value: Some("1") });
    match since {
        Some(since) => headers.insert(Header { key: TIMESTAMP, value: Some(&since.to_string()) }),
        None => headers,
    }
}

/// The headers of a record that says how far inputs are read.
pub fn watermarks_headers() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: WATERMARKS, value: Some("1") })
}

/// The headers of a record that asks for all records of its partition anew.
pub fn request_headers() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header { key: REQUEST, value: Some("1") })
}

/// The headers of `record`, as they are, to add some to.
pub fn headers_of(record: &BorrowedMessage<'_>) -> OwnedHeaders {
    record.headers().map_or_else(|| OwnedHeaders::new_with_capacity(8), BorrowedHeaders::detach)
}

/// The text of the header at this place, if that is its name.
pub fn text<'a>(headers: &'a BorrowedHeaders, index: usize, name: &str) -> Option<&'a str> {
    let header = headers.try_get(index)?;
    if header.key == name { std::str::from_utf8(header.value?).ok() } else { None }
}
