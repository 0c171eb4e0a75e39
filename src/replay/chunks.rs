//! Reads files of lines in chunks that end at line ends. Of a line that is too long only its head is kept, so that
//! memory has a limit whatever the file holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::events::MAX_RECORD;

/// Some lines of one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which of the files.
    pub file: usize,
    /// Number of the first line, from 1.
    pub first_line: u64,
    pub lines: Lines,
    /// Bytes of the file that it stands for.
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Lines {
    /// Whole lines; the last may end without a line end, at the end of a file.
    Whole(Vec<u8>),
    /// One line that is longer than a chunk: its head, and its length in bytes without the line end.
    TooLong { head: Vec<u8>, length: u64 },
}

/// A file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read {}", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// What is kept of a line that is too long.
const HEAD: usize = MAX_RECORD;

/// Reads one file, chunk by chunk.
pub struct Chunks {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    file: usize,
    /// Aim of a chunk's size.
    size: usize,
    /// The beginning of a line whose end is not read yet.
    carried: Vec<u8>,
    next_line: u64,
    ended: bool,
}

impl Chunks {
    /// Opens a file; `-` is standard input. `file` is its number in the chunks. A chunk has about `size` bytes, at least
    /// those of the longest line that can be an event.
    ///
    /// # Errors
    /// It can't be opened, or is a folder.
    pub fn open(path: &Path, file: usize, size: usize) -> Result<Chunks, ReadError> {
        if path == Path::new("-") {
            return Ok(Chunks::of(Box::new(io::stdin()), path, file, size));
        }
        let opened = File::open(path).and_then(|opened| match opened.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(opened),
        });
        match opened {
            Ok(opened) => Ok(Chunks::of(Box::new(opened), path, file, size)),
            Err(source) => Err(ReadError { path: path.to_owned(), source }),
        }
    }

    fn of(input: Box<dyn Read + Send>, path: &Path, file: usize, size: usize) -> Chunks {
        let size = size.max(MAX_RECORD + 2);
        Chunks { path: path.to_owned(), input, file, size, carried: Vec::new(), next_line: 1, ended: false }
    }

    fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut text = Vec::with_capacity(self.size);
        text.append(&mut self.carried);
        self.fill(&mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        if !self.ended {
            match text.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => self.carried.extend_from_slice(&text[end + 1..]),
                None => return self.skip_line(text).map(Some),
            }
            text.truncate(text.len() - self.carried.len());
        }
        let first_line = self.next_line;
        self.next_line += count_lines(&text);
        let bytes = text.len() as u64;
        Ok(Some(Chunk { file: self.file, first_line, lines: Lines::Whole(text), bytes }))
    }

    /// Reads until the text has a chunk's size, or the file ends.
    fn fill(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        while text.len() < self.size && !self.ended {
            let missing = (self.size - text.len()) as u64;
            match self.input.by_ref().take(missing).read_to_end(text)? {
                0 => self.ended = true,
                _ => continue,
            }
        }
        Ok(())
    }

    /// Goes past a line of which `head` was read, and no end yet.
    fn skip_line(&mut self, mut head: Vec<u8>) -> io::Result<Chunk> {
        let mut length = head.len() as u64;
        head.truncate(HEAD);
        let mut text = vec![0; 1 << 16];
        let mut line_end = 0;
        loop {
            let read = match self.input.read(&mut text) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => &text[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match read.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    length += end as u64;
                    line_end = 1;
                    self.carried.extend_from_slice(&read[end + 1..]);
                    break;
                }
                None => length += read.len() as u64,
            }
        }
        let first_line = self.next_line;
        self.next_line += 1;
        let bytes = length + line_end;
        Ok(Chunk { file: self.file, first_line, lines: Lines::TooLong { head, length }, bytes })
    }
}

/// Lines, with one at the end that has no line end.
pub fn count_lines(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

impl Iterator for Chunks {
    type Item = Result<Chunk, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.next_chunk();
        chunk.map_err(|source| ReadError { path: self.path.clone(), source }).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &[u8]) -> Vec<Chunk> {
        let input = Box::new(io::Cursor::new(text.to_vec()));
        Chunks::of(input, Path::new("test"), 3, 0).collect::<Result<_, _>>().unwrap()
    }

    fn whole(first_line: u64, text: &[u8]) -> Chunk {
        Chunk { file: 3, first_line, lines: Lines::Whole(text.to_vec()), bytes: text.len() as u64 }
    }

    #[test]
    fn short_files_are_one_chunk_with_or_without_a_last_line_end() {
        assert_eq!(chunks(b""), []);
        assert_eq!(chunks(b"\n"), [whole(1, b"\n")]);
        assert_eq!(chunks(b"{}\n{}"), [whole(1, b"{}\n{}")]);
    }

    #[test]
    fn long_files_are_cut_at_line_ends_and_lines_keep_their_numbers() {
        let line = [b"x".repeat(699), b"\n".to_vec()].concat();
        let text = line.repeat(5_000);
        let chunks = chunks(&text);
        assert!(chunks.len() > 2);
        let mut together = Vec::new();
        for chunk in chunks {
            assert_eq!(chunk.first_line, 1 + together.len() as u64 / 700);
            let Lines::Whole(text) = chunk.lines else { panic!("no line is long") };
            assert_eq!(text.len() % 700, 0);
            together.extend(text);
        }
        assert!(together == text);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_head_and_the_length_are_left() {
        let long = b"y".repeat(5 * MAX_RECORD);
        for end in [&b"\n{}\n"[..], b""] {
            let text = [b"{}\n", &long[..], end].concat();
            let chunks = chunks(&text);
            assert_eq!(chunks[0], whole(1, b"{}\n"));
            let Lines::TooLong { head, length } = &chunks[1].lines else { panic!("the line is long") };
            assert_eq!((head.len(), *length, chunks[1].first_line), (HEAD, long.len() as u64, 2));
            assert_eq!(chunks[2..], if end.is_empty() { vec![] } else { vec![whole(3, b"{}\n")] });
            assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<u64>(), text.len() as u64);
        }
    }
}
