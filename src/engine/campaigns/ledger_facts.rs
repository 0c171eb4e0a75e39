//! What customers give a campaign, as facts: differences in, buckets out.
//!
//! A bucket is a fact of its hour while its day is recent, else of its day. A day's fact holds what the facts of its hours do
//! not; when the day is no longer recent, these are rolled up into it in one transaction.

use super::book::Book;
use super::calendar::Calendar;
use super::facts::{self, Key};
use crate::engine::ledger::{LedgerSums, read_payload};
use crate::engine::table::Identity;
use crate::engine::{Effects, FormatError, fact::FactWriter};
use crate::time::{Date, Millis};

/// A bucket that changed and is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unwritten {
    Hour(Millis),
    Day(Date),
    /// What is of the lifetime alone.
    Before,
}

/// The buckets that changed since the last flush.
#[derive(Debug, Default)]
pub struct LedgerFacts {
    unwritten: Vec<(u32, Unwritten)>,
}

impl LedgerFacts {
    /// Takes the differences of a payload; those of days before `kept_from` are of the lifetime alone.
    ///
    /// # Errors
    /// A payload that can't be read; nothing was changed.
    pub fn absorb(
        &mut self,
        payload: &[u8],
        book: &mut Book,
        kept_from: Date,
        calendar: Option<&Calendar>,
    ) -> Result<(), FormatError> {
        for difference in read_payload(payload)? {
            if difference.sums == LedgerSums::default() {
                continue;
            }
            let number = book.number(difference.campaign_id);
            let day = book.date(difference.hour);
            let campaign = &mut book.campaigns[number];
            let bucket = if day < kept_from {
                campaign.book_before(difference.sums, calendar);
                Unwritten::Before
            } else {
                let by_hour = calendar.is_none_or(|calendar| calendar.is_recent(day));
                campaign.book(day, std::iter::once((difference.hour, difference.sums)), by_hour, calendar);
                if by_hour { Unwritten::Hour(difference.hour) } else { Unwritten::Day(day) }
            };
            self.unwritten.push((number, bucket));
            book.touch(number);
        }
        Ok(())
    }

    /// Writes the buckets that changed.
    pub fn write(&mut self, book: &mut Book, calendar: &Calendar, facts: &mut FactWriter, effects: &mut impl Effects) {
        self.unwritten.sort_unstable();
        self.unwritten.dedup();
        let mut written = None;
        for (number, bucket) in self.unwritten.drain(..) {
            let day = match bucket {
                Unwritten::Hour(hour) => book.date(hour),
                Unwritten::Day(day) => day,
                Unwritten::Before => {
                    write_before(book, number, facts, effects);
                    continue;
                }
            };
            if let Unwritten::Hour(hour) = bucket {
                if calendar.is_recent(day) {
                    write_hour(book, number, hour, facts, effects);
                    continue;
                }
                // The day aged since. The hour may have come to nothing in memory and still be a fact.
                facts.delete(&Key::Hour { campaign: book.campaigns[number].id(), hour }, effects);
            }
            if written.replace((number, day)) != Some((number, day)) {
                drop_hours(book, number, day, facts, effects);
                write_day(book, number, day, facts, effects);
            }
        }
    }
}

/// Rolls up the hours of the days of a campaign that are no longer recent. Returns of how many days.
pub fn roll_up(
    book: &mut Book,
    number: u32,
    calendar: &Calendar,
    facts: &mut FactWriter,
    effects: &mut impl Effects,
) -> usize {
    let mut days = 0;
    while let Some(hour) = book.campaigns[number].hours.first().filter(|hour| *hour < calendar.recent_from) {
        let day = book.date(hour);
        // Whatever else its day holds, this hour is done with.
        let had_fact = drop_hour(book, number, hour, facts, effects);
        if drop_hours(book, number, day, facts, effects) || had_fact {
            write_day(book, number, day, facts, effects);
        }
        days += 1;
    }
    days
}

/// Drops the hours of a day that are kept individually, and deletes their facts. Returns whether there were any facts.
pub fn drop_hours(book: &mut Book, number: u32, day: Date, facts: &mut FactWriter, effects: &mut impl Effects) -> bool {
    let hours = book.hours_of(number, day);
    let mut had_facts = false;
    for hour in hours {
        had_facts |= drop_hour(book, number, hour, facts, effects);
    }
    had_facts
}

fn drop_hour(book: &mut Book, number: u32, hour: Millis, facts: &mut FactWriter, effects: &mut impl Effects) -> bool {
    let campaign = &mut book.campaigns[number];
    let had_fact = campaign.hours.remove(hour).is_some_and(|totals| totals.has_ledger());
    if had_fact {
        facts.delete(&Key::Hour { campaign: campaign.id(), hour }, effects);
    }
    had_fact
}

fn write_hour(book: &Book, number: u32, hour: Millis, facts: &mut FactWriter, effects: &mut impl Effects) {
    let campaign = &book.campaigns[number];
    write(&Key::Hour { campaign: campaign.id(), hour }, campaign.hours.ledger(hour), facts, effects);
}

/// Writes a day's whole bucket as its fact: no hour of it has one of its own. A day that was compacted since has none either.
fn write_day(book: &Book, number: u32, day: Date, facts: &mut FactWriter, effects: &mut impl Effects) {
    let campaign = &book.campaigns[number];
    write(&Key::Day { campaign: campaign.id(), day }, campaign.days.ledger(day), facts, effects);
}

/// Writes a bucket's fact, or deletes it where there are no sums.
fn write(key: &Key<'_>, sums: Option<LedgerSums>, facts: &mut FactWriter, effects: &mut impl Effects) {
    match sums {
        Some(sums) => facts.put_with(key, |value| sums.write(value), effects),
        None => facts.delete(key, effects),
    }
}

/// Writes what is of the lifetime alone.
pub fn write_before(book: &Book, number: u32, facts: &mut FactWriter, effects: &mut impl Effects) {
    let campaign = &book.campaigns[number];
    let before = &campaign.before;
    let key = Key::Before { campaign: campaign.id() };
    facts.put_with(&key, |value| facts::write_before(&before.ledger, &before.spend, value), effects);
}
