//! What an answer of the broker says, made to say something else.

use super::wire::{Api, Reader};

/// Where an error stands in an answer, without the length before it: that of the whole request, or of its first partition.
pub fn place_of_error(api: Api, version: i16, answer: &[u8]) -> usize {
    let flexible = version >= api.number().1;
    match api {
        // Behind all partitions; from version 8 on, in a list of groups.
        Api::OffsetFetch => answer.len() - 2 - usize::from(flexible) - usize::from(version >= 8),
        Api::ListOffsets => {
            assert!(flexible, "as Kafka and librdkafka agree on");
            let mut reader = Reader { bytes: answer, flexible };
            reader.skip(4);
            reader.tags();
            reader.skip(4);
            assert!(reader.length() > 0);
            reader.text();
            assert!(reader.length() > 0);
            reader.skip(4);
            answer.len() - reader.bytes.len()
        }
        // Behind the correlation id, and the time to wait.
        _ => 4 + usize::from(flexible) + 4,
    }
}

/// Makes the answer say `error` of a part, with all else as it is: of the first partition that it has records or an offset
/// of; of each topic, and nothing else of it, where it tells of topics. `false`: it has no such part.
pub fn deny_part(api: Api, version: i16, answer: &mut Vec<u8>, error: i16) -> bool {
    let place = match api {
        Api::Fetch => place_of_records(version, answer),
        Api::OffsetFetch => place_of_offset(version, answer),
        Api::Metadata => return deny_topics(version, answer, error),
        other => panic!("{other:?} is denied as a whole"),
    };
    if let Some(place) = place {
        answer[place..place + 2].copy_from_slice(&error.to_be_bytes());
    }
    place.is_some()
}

/// Where the error stands of the first partition with records.
fn place_of_records(version: i16, answer: &[u8]) -> Option<usize> {
    assert!(version >= Api::Fetch.number().1, "as Kafka and librdkafka agree on");
    let mut reader = Reader { bytes: answer, flexible: true };
    reader.skip(4);
    reader.tags();
    // Time to wait, error, session.
    reader.skip(4 + 2 + 4);
    for _ in 0..reader.length() {
        if version > 12 {
            reader.skip(16);
        } else {
            reader.text();
        }
        for _ in 0..reader.length() {
            reader.skip(4);
            let place = answer.len() - reader.bytes.len();
            // The error, and three offsets.
            reader.skip(2 + 3 * 8);
            for _ in 0..reader.length() {
                // An aborted transaction.
                reader.skip(8 + 8);
                reader.tags();
            }
            reader.skip(4);
            let records = reader.length();
            if records > 0 {
                return Some(place);
            }
            reader.tags();
        }
        reader.tags();
    }
    None
}

/// Where the error stands of the first partition that was asked for.
fn place_of_offset(version: i16, answer: &[u8]) -> Option<usize> {
    assert!(version >= 8, "as Kafka and librdkafka agree on");
    let mut reader = Reader { bytes: answer, flexible: true };
    reader.skip(4);
    reader.tags();
    reader.skip(4);
    // One group.
    reader.length();
    reader.text();
    if reader.length() == 0 {
        return None;
    }
    reader.text();
    if reader.length() == 0 {
        return None;
    }
    // Number, offset, epoch.
    reader.skip(4 + 8 + 4);
    reader.text();
    Some(answer.len() - reader.bytes.len())
}

fn deny_topics(version: i16, answer: &mut Vec<u8>, error: i16) -> bool {
    assert!(version >= 10, "as Kafka and librdkafka agree on");
    let mut reader = Reader { bytes: answer.as_slice(), flexible: true };
    reader.skip(4);
    reader.tags();
    reader.skip(4);
    for _ in 0..reader.length() {
        reader.skip(4);
        reader.text();
        reader.skip(4);
        reader.text();
        reader.tags();
    }
    reader.text();
    reader.skip(4);
    let topics = reader.length();
    let mut denied = answer[..answer.len() - reader.bytes.len()].to_vec();
    for _ in 0..topics {
        reader.skip(2);
        denied.extend(error.to_be_bytes());
        let start = reader.bytes;
        reader.text();
        // Its id, and whether it is Kafka's own.
        reader.skip(16 + 1);
        denied.extend(&start[..start.len() - reader.bytes.len()]);
        for _ in 0..reader.length() {
            // Error, number, leader, epoch; and three lists of brokers.
            reader.skip(2 + 3 * 4);
            for _ in 0..3 {
                let brokers = reader.length();
                reader.skip(4 * brokers);
            }
            reader.tags();
        }
        // None of them.
        denied.push(1);
        let start = reader.bytes;
        reader.skip(4);
        reader.tags();
        denied.extend(&start[..start.len() - reader.bytes.len()]);
    }
    denied.extend(reader.bytes);
    *answer = denied;
    topics > 0
}

/// Puts `port` in the place of `of_broker`, wherever that stands behind the broker's host.
pub fn redirect(answer: &mut [u8], host: &str, of_broker: u16, port: u16) {
    let pattern = [host.as_bytes(), &i32::from(of_broker).to_be_bytes()].concat();
    for start in 0..answer.len().saturating_sub(pattern.len() - 1) {
        if answer[start..].starts_with(&pattern) {
            answer[start + host.len()..][..4].copy_from_slice(&i32::from(port).to_be_bytes());
        }
    }
}
