//! Texts of the contract -> events: read as drafts, and given their meaning.

use smallvec::SmallVec;

use super::draft::Draft;
use super::meaning::Meaning;
use super::source::codec;
use super::{Event, Rejection, Texts};
use crate::settings::Settings;
use crate::time::Millis;

/// The largest record, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// How far ahead of the clock an event's moments may be.
pub const MAX_AHEAD: i64 = 5 * Millis::MINUTE;

/// The events that a record becomes.
pub type Events<'a> = SmallVec<[Event<'a>; 1]>;

/// Reads events under the settings that bear on their meaning.
///
/// `now` is what the guard against the future goes by: the clock, or `--as-of` in a replay that has one.
/// [`Millis::MAX`] for an event that was let in before.
#[derive(Clone, Debug)]
pub struct Decoder {
    meaning: Meaning,
}

impl Decoder {
    /// For events in the reporting currency and time zone, with the margin by which costs are estimated.
    pub fn new(settings: &Settings) -> Decoder {
        Decoder { meaning: Meaning::new(settings) }
    }

    /// Reads the events that a record became: all of them, or none. Their texts borrow from `texts` where they stand there
    /// unescaped.
    ///
    /// # Errors
    /// The first reason found why one of them, and so the record, can't be used.
    pub fn events<'a>(&self, texts: &'a Texts<'_>, now: Millis) -> Result<Events<'a>, Rejection> {
        let mut events = Events::new();
        for (index, text) in texts.iter().enumerate() {
            // Pushed by hand: an event is large, and each adapter on its way would move it once more.
            match self.event(text, now) {
                Ok(event) => events.push(event),
                Err(rejection) => return Err(rejection.of_one_event(index, texts.len())),
            }
        }
        Ok(events)
    }

    /// Reads the bytes of one event of the contract: a record of `payback`'s own format, or what was forwarded.
    ///
    /// # Errors
    /// The first reason found why it can't be used.
    pub fn decode<'a>(&self, bytes: &'a [u8], now: Millis) -> Result<Event<'a>, Rejection> {
        self.event(codec::json(bytes)?, now)
    }

    fn event<'a>(&self, text: &'a str, now: Millis) -> Result<Event<'a>, Rejection> {
        self.meaning.event(Draft::read(text)?, now)
    }
}
