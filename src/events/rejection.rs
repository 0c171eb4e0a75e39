//! Why an event can't be used: a code to count by, and a sentence that says what to repair.

use std::fmt;

/// Why an event can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub reason: Reason,
    /// Names the field and says what was expected.
    pub detail: String,
}

impl Rejection {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { reason, detail: detail.into() }
    }

    /// Of an event one of whose fields is what is wrong.
    #[cold]
    pub(super) fn of_field(reason: Reason, field: &str, detail: impl fmt::Display) -> Rejection {
        Rejection::new(reason, format!("{field}: {detail}"))
    }

    /// Of an event whose `field` is what can't be changed any more, with why.
    pub fn too_late(field: &str, why: impl fmt::Display) -> Rejection {
        Rejection::of_field(Reason::TooLate, field, why)
    }

    /// Of a record that became several events, of which this one (counted from 0) can't be used.
    #[must_use]
    pub fn of_one_event(mut self, index: usize, events: usize) -> Rejection {
        if events > 1 {
            self.detail = format!("event {} of {events}: {}", index + 1, self.detail);
        }
        self
    }
}

/// `invalid_money: items[3].unit_price: expected ...`
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

impl std::error::Error for Rejection {}

/// The codes under which rejections are written and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// There is no value.
    Empty,
    /// Over 1 MiB, or its key and headers are too large for it to be forwarded.
    TooLarge,
    /// No JSON, or a field twice.
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    /// No `type` that is known.
    UnknownType,
    /// A field that is required is not there.
    MissingField,
    /// A value of the wrong JSON type or out of range, or too many of something.
    InvalidField,
    /// An id that is empty, too long, or neither text nor an integer.
    InvalidId,
    /// No decimal number, or none from 0 to 9,000,000,000,000.
    InvalidMoney,
    /// Neither RFC 3339 with an offset nor integer milliseconds; so are dates.
    InvalidTime,
    /// Not three capital letters.
    InvalidCurrency,
    /// A currency that can't be converted.
    NoExchangeRate,
    /// The discount is greater than the items.
    NegativeRevenue,
    /// More than 5 minutes ahead of the clock.
    InTheFuture,
    /// It would change what is not kept individually any more.
    TooLate,
}

impl Reason {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Reason; 15] = [
        Reason::Empty,
        Reason::TooLarge,
        Reason::InvalidJson,
        Reason::NotAnObject,
        Reason::UnknownType,
        Reason::MissingField,
        Reason::InvalidField,
        Reason::InvalidId,
        Reason::InvalidMoney,
        Reason::InvalidTime,
        Reason::InvalidCurrency,
        Reason::NoExchangeRate,
        Reason::NegativeRevenue,
        Reason::InTheFuture,
        Reason::TooLate,
    ];

    /// The reason of a code.
    pub fn of_code(code: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// As it is written in dead letters and labels.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::InvalidJson => "invalid_json",
            Reason::NotAnObject => "not_an_object",
            Reason::UnknownType => "unknown_type",
            Reason::MissingField => "missing_field",
            Reason::InvalidField => "invalid_field",
            Reason::InvalidId => "invalid_id",
            Reason::InvalidMoney => "invalid_money",
            Reason::InvalidTime => "invalid_time",
            Reason::InvalidCurrency => "invalid_currency",
            Reason::NoExchangeRate => "no_exchange_rate",
            Reason::NegativeRevenue => "negative_revenue",
            Reason::InTheFuture => "in_the_future",
            Reason::TooLate => "too_late",
        }
    }
}
