//! The fields of JSON objects, as `serde_json` reads them: their names, and the text of each value.
//!
//! Values stay text because their meaning may wait for another field (`type` may come last), and because the exact text of
//! a number counts. It promises that each name stands once, known or not, to read nesting of any depth without recursion,
//! and to allocate nothing for a name or a text without escapes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// The fields of an object, in their order.
pub(super) type Members<'a> = SmallVec<[(Text<'a>, &'a RawValue); 24]>;

/// A text, borrowed unless it was escaped. A bare `Cow` would always be read as an owned one.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A value, not yet interpreted.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    /// The text of the number.
    Number(&'a str),
    /// The text of the string, with its quotes and escapes.
    String(&'a str),
    /// The text of the array.
    Array(&'a str),
    Other,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("the field `{0}` appears twice")]
    Twice(String),
}

/// Why not all elements of an array were taken.
#[derive(Debug)]
pub(super) enum Stopped<E> {
    Malformed(Malformed),
    NoObject,
    /// By the caller.
    Refused(E),
}

/// Reads a whole record into `members`. `Ok(false)` when it is JSON but no object.
pub(super) fn read_object<'a>(text: &'a str, members: &mut Members<'a>) -> Result<bool, Malformed> {
    // The white space of JSON, which is less than that of Unicode.
    if !text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Ok(false);
    }
    let mut json = Deserializer::from_str(text);
    json.deserialize_map(IntoMembers(members))?;
    json.end()?;
    twice(members).map_or(Ok(true), Err)
}

/// Reads each object of a [`Value::Array`] into the members of `fields`, and hands them to `take` before the next.
pub(super) fn read_objects<'a, F: AsMut<Members<'a>>, E>(
    array: &'a str,
    fields: &mut F,
    take: impl FnMut(&mut F) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let mut each = Each { fields, take, taken: 0, stopped: None };
    let read = Deserializer::from_str(array).deserialize_seq(&mut each);
    let Err(error) = read else { return Ok(()) };
    Err(each.stopped.unwrap_or_else(|| {
        // Of an element that is no object the parser may say other things.
        let elements: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
        match elements.get(each.taken) {
            Some(element) if !element.get().starts_with('{') => Stopped::NoObject,
            _ => Stopped::Malformed(error.into()),
        }
    }))
}

impl<'a> Value<'a> {
    pub fn of(raw: &'a RawValue) -> Value<'a> {
        let text = raw.get();
        match text.as_bytes() {
            [b'n', ..] => Value::Null,
            [b'"', ..] => Value::String(text),
            [b'[', ..] => Value::Array(text),
            [b'-' | b'0'..=b'9', ..] => Value::Number(text),
            _ => Value::Other,
        }
    }

    /// What a string says. `None` of another value, and of a string with half of a surrogate pair, which is JSON but no text.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let Value::String(quoted) = self else { return None };
        let inner = &quoted[1..quoted.len() - 1];
        if !inner.as_bytes().contains(&b'\\') {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str(quoted).ok().map(|Text(text)| text)
    }
}

struct IntoMembers<'m, 'a>(&'m mut Members<'a>);

impl<'a> DeserializeSeed<'a> for IntoMembers<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for IntoMembers<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.clear();
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(())
    }
}

struct Each<'f, F, T, E> {
    fields: &'f mut F,
    take: T,
    taken: usize,
    /// What ended it, beside an error of the parser.
    stopped: Option<Stopped<E>>,
}

impl<'a, F, T, E> Visitor<'a> for &mut Each<'_, F, T, E>
where
    F: AsMut<Members<'a>>,
    T: FnMut(&mut F) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(()) = elements.next_element_seed(IntoMembers(self.fields.as_mut()))? {
            let taken = match twice(self.fields.as_mut()) {
                None => (self.take)(self.fields).map_err(Stopped::Refused),
                Some(twice) => Err(Stopped::Malformed(twice)),
            };
            if let Err(stopped) = taken {
                self.stopped = Some(stopped);
                return Err(A::Error::custom("stopped"));
            }
            self.taken += 1;
        }
        Ok(())
    }
}

/// A name that stands twice, as an error.
fn twice(members: &Members<'_>) -> Option<Malformed> {
    let name = name_that_stands_twice(members)?;
    Some(Malformed::Twice(name[..name.floor_char_boundary(64)].to_owned()))
}

fn name_that_stands_twice<'m>(members: &'m Members<'_>) -> Option<&'m str> {
    // Comparing each with each is the fastest for a usual event; sorting keeps a record of 100,000 names from taking minutes.
    if members.len() <= 32 {
        let earlier = |i: usize, name| members[..i].iter().any(|(other, _)| other == name);
        return members.iter().enumerate().find(|(i, (name, _))| earlier(*i, name)).map(|(_, (name, _))| &*name.0);
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &*name.0).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests;
