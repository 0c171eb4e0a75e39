//! The seeds: files of `corpus/`, one seed a line, and what the property tests take for odd.

use std::sync::LazyLock;

use crate::poison::poison;

/// The present of all targets: 2026-11-21T10:00:05Z.
pub const NOW: i64 = 1_795_255_205_000;

/// Records: events of each type with all their fields, and some that can't be used.
pub static EVENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let poison = poison(NOW).into_iter().map(|(record, _)| record).filter(|record| record.len() < 16 * 1024);
    lines(include_bytes!("corpus/events.jsonl")).into_iter().chain(poison).collect()
});

/// What may stand in the place of a value.
pub static WORDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| lines(include_bytes!("corpus/words.txt")));

/// Ids as they may stand in a path of the HTTP API.
pub static PATHS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| lines(include_bytes!("corpus/paths.txt")));

/// Values of `Authorization`, right and wrong ones.
pub static AUTHORIZATIONS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| lines(include_bytes!("corpus/authorizations.txt")));

/// Query strings of the HTTP API.
pub static QUERIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| lines(include_bytes!("corpus/queries.txt")));

/// Facts and payloads of differences, as they were stored by each version so far.
pub static FACTS: LazyLock<Vec<StoredFact>> = LazyLock::new(|| {
    let text = include_str!("corpus/facts.txt");
    text.lines().filter(|line| !line.starts_with('#')).map(StoredFact::read).collect()
});

/// One line of `facts.txt`: whose it is, its key and its value in hexadecimal digits, `-` for none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredFact {
    /// `customers`, `campaigns`, `differences`, `progress`, `settings`, `epoch` or `birth`.
    pub of: String,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl StoredFact {
    fn read(line: &str) -> StoredFact {
        let words: Vec<&str> = line.split(' ').collect();
        let &[of, key, value] = words.as_slice() else { panic!("facts.txt: {line}") };
        StoredFact { of: of.to_owned(), key: unhex(key), value: unhex(value) }
    }

    pub fn line(&self) -> String {
        format!("{} {} {}", self.of, hex(&self.key), hex(&self.value))
    }

    pub fn of(stage: &str) -> Vec<StoredFact> {
        FACTS.iter().filter(|fact| fact.of == stage).cloned().collect()
    }
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    let digits = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    text.as_bytes().chunks(2).map(|pair| digits(pair).expect("hexadecimal digits")).collect()
}
