//! A strict reader of JSON (RFC 8259) that looks at each byte once and allocates nothing for a usual record.
//!
//! What a general deserializer doesn't give, and the events need: the exact text of a number, values whose meaning waits
//! for another field (`type` may come last), and an error for *any* field that stands twice, known or not. It promises to
//! accept exactly what `serde_json` accepts as JSON (a test holds it to that), at any depth and without recursion; and
//! beyond that, that the names of the fields of a read object are Unicode text, each a different one.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The fields of an object, in their order. Names are Unicode text, each a different one.
pub(super) type Members<'a> = SmallVec<[(Text<'a>, Value<'a>); 24]>;

/// A value, checked to be JSON, not yet interpreted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Boolean,
    /// The text of the number.
    Number(&'a str),
    String(Text<'a>),
    Object,
    /// The text of the array.
    Array(&'a str),
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Text<'a> {
    Plain(&'a str),
    /// With escapes in it.
    Escaped(&'a str),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("expected {expected} at byte {at}")]
    Expected { expected: &'static str, at: usize },
    #[error("the field `{0}` stands there twice")]
    Twice(String),
    #[error("a field's name holds half of a surrogate pair")]
    Name,
}

/// Reads a whole record. `Ok(false)` when it is JSON but no object.
pub(super) fn read_record<'a>(text: &'a str, members: &mut Members<'a>) -> Result<bool, Malformed> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_space();
    let is_object = cursor.peek() == Some(b'{');
    if is_object {
        cursor.object(members)?;
    } else {
        cursor.value()?;
    }
    cursor.skip_space();
    match cursor.peek() {
        None => Ok(is_object),
        Some(_) => Err(cursor.expected("the end of the record")),
    }
}

/// Walks an array, whose elements are expected to be objects.
pub(super) struct Elements<'a> {
    cursor: Cursor<'a>,
}

/// What an array holds next.
pub(super) enum Element {
    /// An object; its fields were read.
    Object,
    Other,
    End,
}

impl<'a> Elements<'a> {
    /// `array` is the text of a [`Value::Array`].
    pub fn of(array: &'a str) -> Elements<'a> {
        Elements { cursor: Cursor { text: array, at: 0 } }
    }

    /// Reads the next element; the fields of an object replace those in `members`.
    pub fn next(&mut self, members: &mut Members<'a>) -> Result<Element, Malformed> {
        self.cursor.at += 1; // the bracket or a comma
        self.cursor.skip_space();
        let element = match self.cursor.peek() {
            None | Some(b']') => return Ok(Element::End),
            Some(b'{') => {
                self.cursor.object(members)?;
                Element::Object
            }
            Some(_) => {
                self.cursor.value()?;
                Element::Other
            }
        };
        self.cursor.skip_space();
        // The closing bracket is looked at again by the next call.
        if self.cursor.peek() == Some(b']') {
            self.cursor.at -= 1;
        }
        Ok(element)
    }
}

impl<'a> Text<'a> {
    /// The text itself, borrowed unless it holds escapes; `None` when it holds half of a surrogate pair.
    pub fn decode(self) -> Option<Cow<'a, str>> {
        match self {
            Text::Plain(text) => Some(Cow::Borrowed(text)),
            Text::Escaped(raw) => unescape(raw).map(Cow::Owned),
        }
    }

    pub fn is(self, text: &str) -> bool {
        match self {
            Text::Plain(plain) => plain == text,
            Text::Escaped(raw) => unescape(raw).is_some_and(|decoded| decoded == text),
        }
    }
}

#[cold]
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let kind = escape.chars().next()?;
        rest = &escape[kind.len_utf8()..];
        text.push(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high;
                (high, rest) = split_unit(rest)?;
                if (0xd800..0xdc00).contains(&high) {
                    let low;
                    (low, rest) = split_unit(rest.strip_prefix("\\u")?)?;
                    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)?
                } else {
                    char::from_u32(high)?
                }
            }
            itself => itself,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// Splits the four hexadecimal digits of a UTF-16 unit off.
fn split_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// What was skipped. The cursor's steps return no more than this, since its text is between where it was and where it is:
/// a result of two words or more goes by memory, which took a quarter of the whole decoding.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Null,
    Boolean,
    Number,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
}

#[derive(Clone, Copy, PartialEq)]
enum Container {
    Object,
    Array,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expected(&self, expected: &'static str) -> Malformed {
        Malformed::Expected { expected, at: self.at }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads the object that begins here.
    fn object(&mut self, members: &mut Members<'a>) -> Result<(), Malformed> {
        members.clear();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.name()?;
            if name.decode().is_none() {
                return Err(Malformed::Name);
            }
            let value = self.value()?;
            members.push((name, value));
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.expected("a comma or the end of the object")),
            }
            self.skip_space();
        }
        self.at += 1;
        match twice(members) {
            None => Ok(()),
            Some(name) => Err(Malformed::Twice(name[..name.floor_char_boundary(64)].to_owned())),
        }
    }

    /// Reads a field's name, its colon and the space around.
    #[inline(always)]
    fn name(&mut self) -> Result<Text<'a>, Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a field's name"));
        }
        let start = self.at;
        let kind = self.skip_string()?;
        let raw = &self.text[start + 1..self.at - 1];
        let name = if kind == Kind::Plain { Text::Plain(raw) } else { Text::Escaped(raw) };
        self.skip_space();
        self.take(b':', "a colon")?;
        self.skip_space();
        Ok(name)
    }

    #[inline(always)]
    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'[') => self.skip_nested().map(|()| Kind::Array),
            Some(b'{') => self.skip_nested().map(|()| Kind::Object),
            _ => self.skip_scalar(),
        }?;
        let raw = &self.text[start..self.at];
        Ok(match kind {
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Boolean,
            Kind::Number => Value::Number(raw),
            Kind::Plain => Value::String(Text::Plain(&raw[1..raw.len() - 1])),
            Kind::Escaped => Value::String(Text::Escaped(&raw[1..raw.len() - 1])),
            Kind::Array => Value::Array(raw),
            Kind::Object => Value::Object,
        })
    }

    fn skip_scalar(&mut self) -> Result<Kind, Malformed> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            Some(b't') => self.skip_word("true", Kind::Boolean),
            Some(b'f') => self.skip_word("false", Kind::Boolean),
            Some(b'n') => self.skip_word("null", Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn skip_word(&mut self, word: &str, kind: Kind) -> Result<Kind, Malformed> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    /// Skips the array or object that begins here. What it holds is checked to be JSON.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let mut open: SmallVec<[Container; 32]> = SmallVec::new();
        loop {
            // A value begins here.
            let container = match self.peek() {
                Some(b'{') => Some((Container::Object, b'}')),
                Some(b'[') => Some((Container::Array, b']')),
                _ => None,
            };
            if let Some((container, end)) = container {
                self.at += 1;
                self.skip_space();
                if self.peek() == Some(end) {
                    self.at += 1;
                } else {
                    open.push(container);
                    if container == Container::Object {
                        self.name()?;
                    }
                    continue;
                }
            } else {
                self.skip_scalar()?;
            }
            // A value ended here, and with it perhaps those that hold it.
            loop {
                let Some(container) = open.last().copied() else { return Ok(()) };
                self.skip_space();
                match (self.peek(), container) {
                    (Some(b','), _) => {
                        self.at += 1;
                        self.skip_space();
                        if container == Container::Object {
                            self.name()?;
                        }
                        break;
                    }
                    (Some(b'}'), Container::Object) | (Some(b']'), Container::Array) => {
                        self.at += 1;
                        open.pop();
                    }
                    (_, Container::Object) => return Err(self.expected("a comma or the end of the object")),
                    (_, Container::Array) => return Err(self.expected("a comma or the end of the array")),
                }
            }
        }
    }

    fn skip_string(&mut self) -> Result<Kind, Malformed> {
        self.at += 1;
        self.at += plain_length(&self.text.as_bytes()[self.at..]);
        let mut kind = Kind::Plain;
        while self.peek() == Some(b'\\') {
            kind = Kind::Escaped;
            self.at += 1;
            self.skip_escape()?;
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
        }
        self.take(b'"', "the rest of a string")?;
        Ok(kind)
    }

    fn skip_escape(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.expected("four hexadecimal digits"));
                }
                self.at += 5;
            }
            _ => return Err(self.expected("an escape of JSON")),
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<Kind, Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.skip_digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(Kind::Number)
    }

    fn skip_digits(&mut self) -> Result<(), Malformed> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len()) {
            0 => Err(self.expected("a digit")),
            digits => {
                self.at += digits;
                Ok(())
            }
        }
    }
}

/// How many bytes there are before the first that ends plain text in a string: a quote, a backslash or a control character.
fn plain_length(bytes: &[u8]) -> usize {
    // Eight bytes at a time, by "determine if a word has a byte less than n" of Anderson's Bit Twiddling Hacks: the lowest
    // marked byte is the first of these.
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let marked = (quote | backslash | below(word, 0x20)) & HIGHEST;
        if marked != 0 {
            return i * 8 + marked.trailing_zeros() as usize / 8;
        }
    }
    let rest = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(tail.len());
    words.len() * 8 + rest
}

/// A name that stands twice.
fn twice<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    // Comparing each with each is the fastest for a usual event; sorting keeps a record of 100,000 names from taking minutes.
    if members.len() <= 32 && members.iter().all(|(name, _)| matches!(name, Text::Plain(_))) {
        let mut names = members.iter().enumerate();
        let found = names.find(|(i, (name, _))| members[..*i].iter().any(|(earlier, _)| earlier == name))?;
        return found.1.0.decode();
    }
    let mut names: Vec<Cow<'a, str>> = members.iter().filter_map(|(name, _)| name.decode()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
}

#[cfg(test)]
mod tests;
