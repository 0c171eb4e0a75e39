//! How documentation is written: one sentence a line, and no line over 160 columns. So a change of a sentence is a change of a
//! line, and what is wrong with it can be said by its number.

use std::fs;
use std::path::{Path, PathBuf};

const MOST_COLUMNS: usize = 160;

/// A line of a Markdown file, with its number from 1.
struct Line {
    number: usize,
    text: String,
    is_code: bool,
}

impl Line {
    /// A row of a table is one line by Markdown's rules, however much its cells hold, so it may be as wide as it must.
    fn is_row(&self) -> bool {
        !self.is_code && self.text.trim_start().starts_with('|')
    }

    fn is_prose(&self) -> bool {
        !self.is_code && !self.is_row() && !self.text.starts_with('#')
    }
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    files.extend([root.join("README.md"), root.join("CHANGELOG.md")]);
    files.sort();
    files
}

fn lines(text: &str) -> Vec<Line> {
    let mut is_code = false;
    let line = |(number, text): (usize, &str)| {
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        Line { number, text: text.to_owned(), is_code: is_code || is_fence }
    };
    (1..).zip(text.lines()).map(line).collect()
}

/// The beginning of a second sentence, if there is one: after a full stop outside of code and brackets, what does not begin
/// with a small letter, but for the name of the program.
fn second_sentence(line: &str) -> Option<&str> {
    // `1. ` of a list is no sentence.
    let numbered =
        line.trim_start().split_once(". ").filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let text = numbered.map_or(line, |(_, text)| text);
    let (mut is_code, mut depth, mut has_ended) = (false, 0_usize, false);
    for (at, character) in text.char_indices() {
        if has_ended && character == ' ' && depth == 0 && !is_code {
            let next = text[at..].trim_start();
            let begins = next.starts_with(|next: char| !next.is_lowercase()) || next.starts_with("payback ");
            if begins && !next.starts_with('=') && !next.is_empty() {
                return Some(next);
            }
        }
        match character {
            '`' => is_code = !is_code,
            '(' | '[' if !is_code => depth += 1,
            ')' | ']' if !is_code => depth = depth.saturating_sub(1),
            _ => {}
        }
        has_ended = match character {
            '.' | '!' | '?' => !is_code,
            ')' | '"' | '*' | '_' => has_ended,
            _ => false,
        };
    }
    None
}

#[test]
fn no_line_is_over_160_columns() {
    for file in files() {
        for line in lines(&fs::read_to_string(&file).expect("readable")).iter().filter(|line| !line.is_row()) {
            let columns = line.text.chars().count();
            assert!(columns <= MOST_COLUMNS, "{}:{}: {columns} columns", file.display(), line.number);
        }
    }
}

#[test]
fn each_sentence_has_a_line_of_its_own() {
    for file in files() {
        for line in lines(&fs::read_to_string(&file).expect("readable")).iter().filter(|line| line.is_prose()) {
            if let Some(second) = second_sentence(&line.text) {
                panic!("{}:{}: a line of its own for: {second}", file.display(), line.number);
            }
        }
    }
}

#[test]
fn a_second_sentence_is_told_from_what_looks_like_one() {
    for one in [
        "It costs 1.5 CPU-seconds, e.g. for a broker.",
        "1. **First** comes first.",
        "What it is (a thing. Or two.) is said.",
        "`a. B` is code.",
        "It ends with `payback.toml` Or so.",
        "Why not?",
    ] {
        assert_eq!(second_sentence(one), None);
    }
    for (two, second) in [
        ("It ends. Then it begins.", "Then it begins."),
        ("- It exits with 1. `run` goes on.", "`run` goes on."),
        ("(It ends.) So.", "So."),
        ("**It ends.** So.", "So."),
        ("It ends. payback begins.", "payback begins."),
        ("1. It ends! 5 begin.", "5 begin."),
    ] {
        assert_eq!(second_sentence(two), Some(second));
    }
}
