//! The fields of JSON objects, as `serde_json` reads them: their names, and the text of each value.
//!
//! Values stay text because their meaning may wait for another field (`type` may come last), and because the exact text of
//! a number counts. It promises that each name stands once, known or not, to read nesting of any depth without recursion,
//! and to allocate nothing for a name or a text without escapes.

use std::borrow::Cow;
use std::ops::Range;
use std::{fmt, mem};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// A field of an object.
pub(super) type Member<'a> = (Text<'a>, Raw<'a>);

/// The fields of an object, in their order.
type Members<'a> = SmallVec<[Member<'a>; 24]>;

/// Lists of objects that events have. They are most of a record: to read such a list again when its meaning is known would
/// be to read most of it twice.
const LISTS: [&str; 2] = ["items", "touchpoints"];
/// Fields of their objects, at most; a document with more has its lists left as they are.
const MOST_INNER: usize = 1 << 14;

/// A document, whose fields are found.
#[derive(Default)]
pub(super) struct Document<'a> {
    members: Members<'a>,
    lists: Lists<'a>,
}

/// What is in the lists of a document that were taken apart.
#[derive(Default)]
struct Lists<'a> {
    /// The fields of their objects, one object after another.
    members: Members<'a>,
    /// Where those of each object are.
    objects: SmallVec<[Range<usize>; 4]>,
}

/// A value, as the parser leaves it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Text(&'a RawValue),
    /// A list that was taken apart: the numbers of its objects.
    Objects {
        first: u32,
        end: u32,
    },
}

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
    /// For [`Document::each_object`].
    Array(Raw<'a>),
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

impl<'a> Document<'a> {
    /// Reads a whole document. `Ok(false)` when it is JSON but no object.
    ///
    /// # Errors
    /// It is no JSON, or a field stands twice in it. Of the objects in its lists [`Document::each_object`] tells the latter.
    pub fn read(&mut self, text: &'a str) -> Result<bool, Malformed> {
        // The white space of JSON, which is less than that of Unicode.
        if !text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text)?;
            return Ok(false);
        }
        // What is no list of objects may stand under the name of one, and may be ignored there: then all lists stay text.
        if self.read_fields(text, true).is_err() {
            *self = Document::default();
            self.read_fields(text, false)?;
        }
        twice(&self.members).map_or(Ok(true), Err)
    }

    fn read_fields(&mut self, text: &'a str, takes_lists: bool) -> serde_json::Result<()> {
        let mut json = Deserializer::from_str(text);
        let lists = takes_lists.then_some(&mut self.lists);
        json.deserialize_map(IntoMembers { members: &mut self.members, lists })?;
        json.end()
    }

    /// Its fields.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Hands the fields of each object of a [`Value::Array`] to `take`, before the next is looked at.
    pub fn each_object<E>(
        &self,
        array: Raw<'a>,
        mut take: impl FnMut(&[Member<'a>]) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        match array {
            Raw::Text(text) => read_objects(text.get(), take),
            Raw::Objects { first, end } => {
                let mut objects = self.lists.objects[first as usize..end as usize].iter();
                objects.try_for_each(|object| take_object(&self.lists.members[object.clone()], &mut take))
            }
        }
    }
}

fn take_object<'a, E>(
    members: &[Member<'a>],
    take: &mut impl FnMut(&[Member<'a>]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    match twice(members) {
        None => take(members).map_err(Stopped::Refused),
        Some(twice) => Err(Stopped::Malformed(twice)),
    }
}

fn read_objects<'a, E>(array: &'a str, take: impl FnMut(&[Member<'a>]) -> Result<(), E>) -> Result<(), Stopped<E>> {
    let mut each = Each { members: Members::new(), take, taken: 0, stopped: None };
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
    pub fn of(raw: Raw<'a>) -> Value<'a> {
        let Raw::Text(text) = raw else { return Value::Array(raw) };
        let text = text.get();
        match text.as_bytes() {
            [b'n', ..] => Value::Null,
            [b'"', ..] => Value::String(text),
            [b'[', ..] => Value::Array(raw),
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

/// Takes a list of objects apart, if there is one.
struct IntoLists<'l, 'a>(&'l mut Lists<'a>);

impl<'a> DeserializeSeed<'a> for IntoLists<'_, 'a> {
    type Value = Raw<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<Raw<'a>, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for IntoLists<'_, 'a> {
    type Value = Raw<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_none<E>(self) -> Result<Raw<'a>, E> {
        Ok(Raw::Text(RawValue::NULL))
    }

    fn visit_some<D: serde::Deserializer<'a>>(self, json: D) -> Result<Raw<'a>, D::Error> {
        json.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Raw<'a>, A::Error> {
        let Lists { members, objects } = self.0;
        let (first, mut start) = (objects.len() as u32, members.len());
        while elements.next_element_seed(IntoMembers { members, lists: None })?.is_some() {
            objects.push(mem::replace(&mut start, members.len())..members.len());
            if members.len() > MOST_INNER || objects.len() > MOST_INNER {
                return Err(A::Error::custom("too many to be kept"));
            }
        }
        Ok(Raw::Objects { first, end: objects.len() as u32 })
    }
}

/// Appends the fields of an object, whose lists are taken apart where there is a place for that.
struct IntoMembers<'m, 'a> {
    members: &'m mut Members<'a>,
    lists: Option<&'m mut Lists<'a>>,
}

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

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'a>>()? {
            let raw = match &mut self.lists {
                Some(lists) if LISTS.contains(&&*name.0) => map.next_value_seed(IntoLists(lists))?,
                _ => Raw::Text(map.next_value()?),
            };
            self.members.push((name, raw));
        }
        Ok(())
    }
}

struct Each<'a, T, E> {
    members: Members<'a>,
    take: T,
    taken: usize,
    /// What ended it, beside an error of the parser.
    stopped: Option<Stopped<E>>,
}

impl<'a, T, E> Visitor<'a> for &mut Each<'a, T, E>
where
    T: FnMut(&[Member<'a>]) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(()) = elements.next_element_seed(IntoMembers { members: &mut self.members, lists: None })? {
            let taken = take_object(&self.members, &mut self.take);
            self.members.clear();
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
fn twice(members: &[Member<'_>]) -> Option<Malformed> {
    let name = name_that_stands_twice(members)?;
    Some(Malformed::Twice(name[..name.floor_char_boundary(64)].to_owned()))
}

fn name_that_stands_twice<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
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
