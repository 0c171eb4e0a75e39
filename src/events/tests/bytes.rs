//! Any bytes at all are answered.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces: Vec<Vec<u8>> =
        ["\"", "\\", "{", "}", "[", "]", ",", ":", "null", "-", "e9", "0", "\\ud800", "\\u0000", "\n", "é", "\"a\":1,"]
            .iter()
            .map(|piece| piece.as_bytes().to_vec())
            .collect();
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<usize>(), prop::sample::select(pieces)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (any::<usize>(), 1_usize..20).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<usize>(), 1_usize..60).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let range = |at: usize, length: usize| (at % bytes.len())..(at % bytes.len() + length).min(bytes.len());
    match mutation {
        Mutation::Set(at, byte) => {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        Mutation::Insert(at, piece) => {
            let at = at % bytes.len();
            bytes.splice(at..at, piece.iter().copied());
        }
        Mutation::Remove(at, length) => {
            bytes.drain(range(*at, *length));
        }
        Mutation::Repeat(at, length) => {
            let range = range(*at, *length);
            let repeated = bytes[range.clone()].to_vec();
            bytes.splice(range.start..range.start, repeated);
        }
    }
}

/// What holds of every answer.
fn check(record: &[u8]) -> Result<(), TestCaseError> {
    match decode(record) {
        Ok(event) => {
            prop_assert!(event.moment() <= NOW.plus(MAX_AHEAD));
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(record).is_ok());
            let (Home::Customer(id) | Home::Campaign(id)) = event.home();
            prop_assert!((1..=256).contains(&id.len()));
        }
        Err(rejection) => prop_assert!((1..400).contains(&rejection.detail.len()), "{rejection}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(record in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&record)?;
    }

    #[test]
    fn any_text_is_answered(record in ".{0,200}") {
        check(record.as_bytes())?;
    }

    #[test]
    fn a_damaged_event_is_answered(
        event in 0_usize..6,
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut record = complete_events()[event].to_string().into_bytes();
        mutations.iter().for_each(|mutation| mutate(&mut record, mutation));
        check(&record)?;
    }

    #[test]
    fn an_event_cut_short_is_rejected(event in 0_usize..6, at: usize) {
        let record = complete_events()[event].to_string();
        let cut = &record.as_bytes()[..at % record.len()];
        let reason = decode(cut).unwrap_err().reason;
        prop_assert!(matches!(reason, Reason::InvalidJson | Reason::Empty));
    }
}
