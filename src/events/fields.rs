//! The fields of one object, read by name and meaning.
//!
//! `null` is the same as absent. A value that doesn't fit is a [`Rejection`] whose detail begins with the field's path.

use std::borrow::Cow;
use std::fmt;

use super::json::{Document, Member, Stopped, Value};
use super::rejection::{Reason, Rejection};
use crate::money::Micros;
use crate::settings::Currency;
use crate::time::{Date, Millis};

/// Bytes of an id or of another text.
pub(super) const MAX_TEXT: usize = 256;

/// The fields of an event or of an object in one of its lists.
pub(super) struct Fields<'r, 'a> {
    /// What they are of.
    document: &'r Document<'a>,
    members: &'r [Member<'a>],
    place: Place,
}

enum Place {
    Event,
    List { name: &'static str, index: usize },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Event => Ok(()),
            Place::List { name, index } => write!(f, "{name}[{index}]."),
        }
    }
}

/// What is wrong with a value, wherever it stands.
pub(super) struct Wrong {
    reason: Reason,
    expected: Cow<'static, str>,
}

impl Wrong {
    const fn new(reason: Reason, expected: &'static str) -> Wrong {
        Wrong { reason, expected: Cow::Borrowed(expected) }
    }
}

impl<'r, 'a> Fields<'r, 'a> {
    /// Reads those of an event, and puts into `document` what they refer to.
    ///
    /// # Errors
    /// It is no JSON object, or has a field twice.
    pub fn read(text: &'a str, document: &'r mut Document<'a>) -> Result<Fields<'r, 'a>, Rejection> {
        match document.read(text) {
            Ok(true) => Ok(Fields { document, members: document.members(), place: Place::Event }),
            Ok(false) => Err(Rejection::new(Reason::NotAnObject, "expected a JSON object")),
            Err(malformed) => Err(Rejection::new(Reason::InvalidJson, malformed.to_string())),
        }
    }

    fn value(&self, name: &str) -> Value<'a> {
        self.members.iter().find(|(other, _)| other.0 == name).map_or(Value::Null, |(_, raw)| Value::of(*raw))
    }

    /// A field that may be left out.
    ///
    /// # Errors
    /// `read` finds its value wrong.
    pub fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Rejection> {
        match self.value(name) {
            Value::Null => Ok(None),
            value => match read(value) {
                Ok(read) => Ok(Some(read)),
                Err(wrong) => Err(self.reject(wrong.reason, name, format_args!("expected {}", wrong.expected))),
            },
        }
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// It is not, or `read` finds its value wrong.
    pub fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, Wrong>,
    ) -> Result<T, Rejection> {
        match self.optional(name, read)? {
            Some(read) => Ok(read),
            None => Err(self.reject(Reason::MissingField, name, "required")),
        }
    }

    /// Reads each object of a list that may be left out. `None` when it is, else how many there are.
    ///
    /// # Errors
    /// It is no list, has more than `most` elements or one that is no object, or `read` refuses one.
    pub fn list(
        &self,
        name: &'static str,
        most: usize,
        mut read: impl FnMut(&Fields<'_, 'a>) -> Result<(), Rejection>,
    ) -> Result<Option<usize>, Rejection> {
        let mut count = 0;
        let take = |members: &[Member<'a>]| {
            if count == most {
                return Err(self.reject(Reason::InvalidField, name, format_args!("expected at most {most} elements")));
            }
            read(&Fields { document: self.document, members, place: Place::List { name, index: count } })?;
            count += 1;
            Ok(())
        };
        let stopped = match self.value(name) {
            Value::Null => return Ok(None),
            Value::Array(array) => self.document.each_object(array, take),
            _ => return Err(self.reject(Reason::InvalidField, name, "expected an array of objects")),
        };
        let path = format_args!("{name}[{count}]");
        match stopped {
            Ok(()) => Ok(Some(count)),
            Err(Stopped::Refused(rejection)) => Err(rejection),
            Err(Stopped::NoObject) => Err(self.reject(Reason::InvalidField, path, "expected an object")),
            Err(Stopped::Malformed(malformed)) => Err(self.reject(Reason::InvalidJson, path, malformed)),
        }
    }

    /// The rejection for a field of this object.
    #[cold]
    pub fn reject(&self, reason: Reason, name: impl fmt::Display, detail: impl fmt::Display) -> Rejection {
        Rejection::new(reason, format!("{}{name}: {detail}", self.place))
    }
}

/// A non-empty string, or the decimal text of an integer.
pub(super) fn id(value: Value<'_>) -> Result<Cow<'_, str>, Wrong> {
    let id = match value {
        Value::Number("-0") => Some(Cow::Borrowed("0")),
        Value::Number(number) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            Some(Cow::Borrowed(number))
        }
        other => other.text(),
    };
    id.filter(|id| (1..=MAX_TEXT).contains(&id.len()))
        .ok_or(Wrong::new(Reason::InvalidId, "a non-empty string of at most 256 bytes, or an integer"))
}

/// A string of at most 256 bytes; it may be empty.
pub(super) fn text(value: Value<'_>) -> Result<Cow<'_, str>, Wrong> {
    value
        .text()
        .filter(|text| text.len() <= MAX_TEXT)
        .ok_or(Wrong::new(Reason::InvalidField, "a string of at most 256 bytes"))
}

/// The name of one of `all`; for another text there is a reason of its own.
pub(super) fn one_of<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    otherwise: Reason,
) -> impl Fn(Value<'_>) -> Result<T, Wrong> {
    move |value| {
        let wrong = |reason| Wrong { reason, expected: listed(all.iter().map(|one| name(*one))).into() };
        let text = value.text().ok_or_else(|| wrong(Reason::InvalidField))?;
        all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| wrong(otherwise))
    }
}

/// `a`, `b` or `c`.
fn listed(names: impl ExactSizeIterator<Item = &'static str>) -> String {
    let last = names.len().saturating_sub(1);
    let mut list = String::new();
    for (index, name) in names.enumerate() {
        list.push_str(if index == 0 {
            "`"
        } else if index == last {
            " or `"
        } else {
            ", `"
        });
        list.push_str(name);
        list.push('`');
    }
    list
}

/// A number, or a string that holds one, from 0 to [`Micros::MAX`].
pub(super) fn money(value: Value<'_>) -> Result<Micros, Wrong> {
    let money = match value {
        Value::Number(number) => Micros::parse(number),
        other => other.text().and_then(|text| Micros::parse(&text)),
    };
    money.ok_or(Wrong::new(Reason::InvalidMoney, "a number from 0 to 9,000,000,000,000"))
}

/// [`money`] over 0.
pub(super) fn money_over_zero(value: Value<'_>) -> Result<Micros, Wrong> {
    match money(value)? {
        Micros::ZERO => Err(Wrong::new(Reason::InvalidMoney, "an amount over 0")),
        amount => Ok(amount),
    }
}

/// RFC 3339, or milliseconds since the epoch.
pub(super) fn time(value: Value<'_>) -> Result<Millis, Wrong> {
    let time = match value {
        Value::Number(number) => number.parse().ok().and_then(Millis::from_epoch),
        other => other.text().and_then(|text| Millis::parse(&text)),
    };
    time.ok_or(Wrong::new(
        Reason::InvalidTime,
        "RFC 3339 with an offset, or integer milliseconds since 1970, of a year from 0000 to 9999",
    ))
}

/// `YYYY-MM-DD`.
pub(super) fn date(value: Value<'_>) -> Result<Date, Wrong> {
    value.text().and_then(|text| Date::parse(&text)).ok_or(Wrong::new(Reason::InvalidTime, "a date as YYYY-MM-DD"))
}

/// An ISO 4217 code.
pub(super) fn currency(value: Value<'_>) -> Result<Currency, Wrong> {
    value
        .text()
        .and_then(|text| Currency::parse(&text))
        .ok_or(Wrong::new(Reason::InvalidCurrency, "an ISO 4217 code, three capital letters"))
}

/// An integer from 1 to 1,000,000,000.
pub(super) fn quantity(value: Value<'_>) -> Result<i64, Wrong> {
    integer(value)
        .filter(|quantity| (1..=1_000_000_000).contains(quantity))
        .ok_or(Wrong::new(Reason::InvalidField, "an integer from 1 to 1,000,000,000"))
}

/// An integer of at least 0.
pub(super) fn count(value: Value<'_>) -> Result<i64, Wrong> {
    integer(value)
        .filter(|count| *count >= 0)
        .ok_or(Wrong::new(Reason::InvalidField, "an integer from 0 to 9,223,372,036,854,775,807"))
}

fn integer(value: Value<'_>) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    number.parse().ok()
}
