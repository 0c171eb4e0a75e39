//! Formats that nobody has, for tests of what no format does yet.

use smallvec::smallvec;

use super::Texts;
use crate::events::Record;

/// As many events as one likes, with bars between them; `-` is none. The texts are owned, as those of a mapping will be.
pub fn several<'a>(payload: &str) -> Texts<'a> {
    payload.split(" | ").filter(|text| *text != "-").map(|text| text.to_owned().into()).collect()
}

/// All that there is to see of a record.
pub fn echo<'a>(record: &Record<'_>, payload: &str) -> Texts<'a> {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = (record.headers)();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}={} ", text(*value))).collect();
    let at = record.timestamp.map(|at| at.to_string()).unwrap_or_default();
    smallvec![format!("{} {} {at} {headers}{payload}", record.topic, text(record.key)).into()]
}
