//! Lines -> texts of the contract -> events by shard, and rejections with where they stood; by all cores.

use rayon::prelude::*;

use super::chunks::{Chunk, Lines, count_lines};
use super::line::{Line, Rejected};
use super::pipeline::Batch;
use crate::events::{Decoder, MAX_RECORD, Reason, Record, Rejection, Source, Texts};
use crate::time::Millis;

/// A part of a chunk: its lines, each with the texts that it holds.
pub struct Part<'a> {
    lines: Vec<(Line<'a>, Result<Texts<'a>, Rejection>)>,
}

/// What became of a part of a chunk.
#[derive(Debug)]
pub struct Decoded<'a> {
    pub batch: Batch<'a>,
    pub rejected: Vec<Rejected<'a>>,
}

/// Reads a chunk of a file in several parts, in the order of its lines.
pub fn read<'a>(chunk: &'a Chunk, source: &Source, file: &'a str) -> Vec<Part<'a>> {
    match &chunk.lines {
        Lines::Whole(text) => {
            let parts = split(text, rayon::current_num_threads() * 2);
            let counts: Vec<u64> = parts.par_iter().map(|part| count_lines(part)).collect();
            let first_lines = counts.iter().scan(chunk.first_line, |next, count| {
                let first = *next;
                *next += count;
                Some(first)
            });
            let parts: Vec<(&[u8], u64)> = parts.into_iter().zip(first_lines).collect();
            parts.into_par_iter().map(|(part, first)| read_part(part, first, source, file)).collect()
        }
        Lines::TooLong { head, length } => {
            let detail = format!("expected at most {MAX_RECORD} bytes, found {length}");
            let line = Line { number: chunk.first_line, raw: head, length: *length };
            vec![Part { lines: vec![(line, Err(Rejection { reason: Reason::TooLarge, detail }))] }]
        }
    }
}

fn read_part<'a>(part: &'a [u8], first_line: u64, source: &Source, file: &'a str) -> Part<'a> {
    let text = part.strip_suffix(b"\n").unwrap_or(part);
    let lines = (first_line..).zip(text.split(|byte| *byte == b'\n')).map(|(number, text)| {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = Line { number, raw: &text[..text.len().min(MAX_RECORD)], length: text.len() as u64 };
        (line, source.texts(&Record::of_value(file, text)))
    });
    Part { lines: lines.collect() }
}

/// Makes events of what was read: all of a line's, or none. `now` is the clock of the guard against the future.
pub fn decode<'a>(parts: &'a [Part<'_>], decoder: &Decoder, now: Millis, shards: usize) -> Vec<Decoded<'a>> {
    parts.par_iter().map(|part| decode_part(part, decoder, now, shards)).collect()
}

fn decode_part<'a>(part: &'a Part<'_>, decoder: &Decoder, now: Millis, shards: usize) -> Decoded<'a> {
    let mut decoded = Decoded { batch: Batch::new(shards), rejected: Vec::new() };
    for (line, texts) in &part.lines {
        match texts.as_ref().map_err(Rejection::clone).and_then(|texts| decoder.events(texts, now)) {
            Ok(events) => events.into_iter().for_each(|event| decoded.batch.push(event, *line)),
            Err(rejection) => decoded.rejected.push(Rejected { line: *line, rejection }),
        }
    }
    decoded
}

/// Cuts a text at line ends into at most so many parts of about the same size.
fn split(text: &[u8], parts: usize) -> Vec<&[u8]> {
    let size = text.len().div_ceil(parts.max(1)).max(1);
    let mut cut = Vec::with_capacity(parts);
    let mut rest = text;
    while !rest.is_empty() {
        let from = size.min(rest.len()) - 1;
        let end = rest[from..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| from + end + 1);
        let (part, left) = rest.split_at(end);
        cut.push(part);
        rest = left;
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Format;
    use crate::settings::Settings;

    /// The number of events, and of each rejected line its number, reason and text.
    fn decoded(text: &[u8], source: Source) -> (usize, Vec<(u64, Reason, Vec<u8>)>) {
        let lines = Lines::Whole(text.to_vec());
        let chunk = Chunk { file: 0, first_line: 10, lines, bytes: text.len() as u64 };
        let parts = read(&chunk, &source, "orders.jsonl");
        let parts = decode(&parts, &Decoder::new(&Settings::default()), Millis::MAX, 2);
        let events = parts.iter().map(|part| part.batch.len()).sum();
        let rejected = parts.into_iter().flat_map(|part| part.rejected);
        (events, rejected.map(|it| (it.line.number, it.rejection.reason, it.line.raw.to_vec())).collect())
    }

    #[test]
    fn every_line_is_an_event_or_a_dead_letter_under_its_number() {
        let cost = br#"{"type":"customer_cost","customer_id":"c","cost_id":"k","occurred_at":0,"amount":1,"kind":"retention"}"#;
        let text = [&cost[..], b"\r\n\n{}\nnonsense\n", cost, b"\n\r\n", &cost[..]].concat();
        let (events, rejected) = decoded(&text, Source::default());
        assert_eq!(events, 3);
        let expected = [
            (11, Reason::Empty, b"".to_vec()),
            (12, Reason::MissingField, b"{}".to_vec()),
            (13, Reason::InvalidJson, b"nonsense".to_vec()),
            (15, Reason::Empty, b"".to_vec()),
        ];
        assert_eq!(rejected, expected);
    }

    #[test]
    fn a_line_is_none_one_or_many_events_and_rejected_whole() {
        let cost =
            r#"{"type":"customer_cost","customer_id":"c","cost_id":"k","occurred_at":0,"amount":1,"kind":"retention"}"#;
        let spend = r#"{"type":"ad_spend","campaign_id":"g","spend_id":1,"occurred_at":0,"amount":1}"#;
        let bad = format!("{cost} | {{}} | {spend}");
        let text = format!("{cost} | {spend}\n-\n{bad}\n{spend}\n");
        let (events, rejected) = decoded(text.as_bytes(), Source { format: Format::Several });
        assert_eq!(events, 3);
        assert_eq!(rejected, [(12, Reason::MissingField, bad.into_bytes())]);
    }

    #[test]
    fn parts_are_whole_lines_in_their_order() {
        let text: Vec<u8> = (0..1_000).flat_map(|line| format!("{line}\n").into_bytes()).collect();
        for parts in [1, 2, 3, 7, 5_000] {
            let cut = split(&text, parts);
            assert!(cut.len() <= parts && cut.iter().all(|part| part.ends_with(b"\n")));
            assert_eq!(cut.concat(), text);
        }
        assert_eq!(split(b"a\nb", 1), [b"a\nb"]);
        assert!(split(b"", 4).is_empty());
    }
}
