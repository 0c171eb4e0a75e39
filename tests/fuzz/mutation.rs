//! Seeds made worse: a few steps, each a choice of place and kind, so that an engine that follows coverage can steer them.

use bolero::TypeGenerator;

/// No input is longer.
const MOST_BYTES: usize = 64 * 1024;

/// A seed and what is done to it.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Mutated {
    seed: u16,
    #[generator(bolero::produce::<Vec<Step>>().with().len(0_usize..7))]
    steps: Vec<Step>,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Set {
        at: u16,
        byte: u8,
    },
    Flip {
        at: u16,
        bit: u8,
    },
    Insert {
        at: u16,
        bytes: [u8; 3],
    },
    Remove {
        at: u16,
        length: u8,
    },
    Cut {
        at: u16,
    },
    /// Doubles a piece several times.
    Repeat {
        at: u16,
        length: u8,
        doublings: u8,
    },
    /// Puts a word in the place of a value: what stands between two delimiters.
    Word {
        at: u16,
        word: u16,
    },
    InsertWord {
        at: u16,
        word: u16,
    },
    /// A piece of another seed.
    Splice {
        at: u16,
        seed: u16,
        from: u16,
        length: u16,
    },
    /// A length or number of two bytes.
    Number {
        at: u16,
        number: u16,
    },
}

impl Mutated {
    /// The bytes, from these seeds and words.
    pub fn bytes(&self, seeds: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        self.of(self.seed, seeds, words)
    }

    /// The same, always of this seed.
    pub fn of(&self, seed: u16, seeds: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = pick(seeds, seed).to_vec();
        for step in &self.steps {
            step.apply(&mut bytes, seeds, words);
            bytes.truncate(MOST_BYTES);
        }
        bytes
    }
}

impl Step {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[Vec<u8>]) {
        let length = bytes.len();
        let place = |at: u16| usize::from(at) % (length + 1);
        match *self {
            Step::Set { at, byte } => bytes.iter_mut().skip(place(at)).take(1).for_each(|old| *old = byte),
            Step::Flip { at, bit } => bytes.iter_mut().skip(place(at)).take(1).for_each(|old| *old ^= 1 << (bit % 8)),
            Step::Insert { at, bytes: new } => put(bytes, place(at), 0, &new),
            Step::Remove { at, length } => put(bytes, place(at), length.into(), &[]),
            Step::Cut { at } => bytes.truncate(place(at)),
            Step::Repeat { at, length, doublings } => {
                let from = place(at);
                let mut piece = bytes[from..(from + usize::from(length)).min(bytes.len())].to_vec();
                for _ in 0..doublings % 12 {
                    piece.extend_from_within(..);
                }
                piece.truncate(MOST_BYTES);
                put(bytes, from, 0, &piece);
            }
            Step::Word { at, word } => {
                let is_delimiter = |byte: &u8| b":,[]{}=&?/".contains(byte);
                let from = place(at) + bytes[place(at)..].iter().position(is_delimiter).map_or(0, |found| found + 1);
                let to = bytes[from..].iter().position(is_delimiter).unwrap_or(bytes.len() - from);
                put(bytes, from, to, pick(words, word));
            }
            Step::InsertWord { at, word } => put(bytes, place(at), 0, pick(words, word)),
            Step::Splice { at, seed, from, length } => {
                let other = pick(seeds, seed);
                let other = &other[usize::from(from) % (other.len() + 1)..];
                put(bytes, place(at), 0, &other[..other.len().min(length.into())]);
            }
            Step::Number { at, number } => put(bytes, place(at), 2, &number.to_be_bytes()),
        }
    }
}

/// Puts `new` in the place of so many bytes.
fn put(bytes: &mut Vec<u8>, at: usize, length: usize, new: &[u8]) {
    let end = (at + length).min(bytes.len());
    bytes.splice(at..end, new.iter().copied());
}

fn pick(from: &[Vec<u8>], which: u16) -> &[u8] {
    match from.len() {
        0 => &[],
        length => &from[usize::from(which) % length],
    }
}

/// With bytes that no client may send in a request's line as %XX.
pub fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'!'..=b'~' => escaped.push(byte),
            _ => escaped.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    escaped
}
