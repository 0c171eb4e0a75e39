//! A strict reader of JSON (RFC 8259) that looks at each byte once and allocates nothing for a usual record.
//!
//! What a general deserializer doesn't give, and the events need: the exact text of a number, values whose meaning waits
//! for another field (`type` may come last), and an error for *any* field that stands twice, known or not. It promises to
//! accept exactly what `serde_json` accepts as JSON (a test holds it to that), at any depth and without recursion; and
//! beyond that, that the names of the fields of a read object are Unicode text, each a different one.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The fields of an object, in their order. Names are unique.
pub(super) type Members<'a> = SmallVec<[(Cow<'a, str>, Value<'a>); 24]>;

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

/// The text of a string, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
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
        if self.escaped { unescape(self.raw).map(Cow::Owned) } else { Some(Cow::Borrowed(self.raw)) }
    }
}

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
            let name = self.name()?.decode().ok_or(Malformed::Name)?;
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
    fn name(&mut self) -> Result<Text<'a>, Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a field's name"));
        }
        let name = self.string()?;
        self.skip_space();
        self.take(b':', "a colon")?;
        self.skip_space();
        Ok(name)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        match self.peek() {
            Some(b'[') => {
                self.skip_nested()?;
                Ok(Value::Array(&self.text[start..self.at]))
            }
            Some(b'{') => {
                self.skip_nested()?;
                Ok(Value::Object)
            }
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<Value<'a>, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", Value::Boolean),
            Some(b'f') => self.word("false", Value::Boolean),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Malformed> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(value)
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
                self.scalar()?;
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

    /// Reads the string that begins here.
    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    self.skip_escape()?;
                }
                None | Some(0..0x20) => return Err(self.expected("the rest of a string")),
                Some(_) => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, escaped })
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

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.expected("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}

/// A name that stands twice.
fn twice<'m>(members: &'m Members<'_>) -> Option<&'m str> {
    // Comparing each with each is the fastest for a usual event; sorting keeps a record of 100,000 names from taking minutes.
    if members.len() <= 32 {
        let mut earlier = members.iter().enumerate();
        return earlier
            .find_map(|(i, (name, _))| members[..i].iter().any(|(other, _)| other == name).then_some(&**name));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests;
