//! Bytes of one record -> one [`Event`] or one [`Rejection`].

use super::fields::{Fields, currency, one_of};
use super::json::Record;
use super::rejection::{Reason, Rejection};
use super::{AdSpend, AdSpendReport, Cancellation, CustomerCost, Event, EventKind, Purchase, Refund};
use crate::money::Micros;
use crate::settings::{Currency, Settings};
use crate::time::{Millis, Zone};

/// The largest record, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// How far ahead of the clock an event's moments may be.
pub const MAX_AHEAD: i64 = 5 * Millis::MINUTE;

/// How long after a report its day may begin: somewhere it has begun by then.
const MAX_DAY_AHEAD: i64 = 14 * Millis::HOUR;

/// Reads events under the settings that bear on their meaning.
#[derive(Clone, Debug)]
pub struct Decoder {
    currency: Currency,
    zone: Zone,
    pub(super) default_margin: Option<Micros>,
}

impl Decoder {
    /// For events in the reporting currency and time zone, with the margin by which costs are estimated.
    pub fn new(settings: &Settings) -> Decoder {
        Decoder { currency: settings.currency, zone: settings.zone.clone(), default_margin: settings.default_margin }
    }

    /// Reads one record. Texts of the event borrow from `bytes` where they stand there unescaped.
    ///
    /// `now` is what the guard against the future goes by: the clock, or `--as-of` in a replay that has one.
    /// [`Millis::MAX`] for an event that was let in before.
    ///
    /// # Errors
    /// The first reason found why the record can't be used. That it is in the future is looked for last, so that each
    /// other reason is the same whenever the record is read.
    pub fn decode<'a>(&self, bytes: &'a [u8], now: Millis) -> Result<Event<'a>, Rejection> {
        if bytes.is_empty() {
            return Err(Rejection::new(Reason::Empty, "expected a value"));
        }
        if bytes.len() > MAX_RECORD {
            let detail = format!("expected at most {MAX_RECORD} bytes, found {}", bytes.len());
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Rejection::new(Reason::InvalidJson, format!("expected UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let mut record = Record::default();
        let fields = Fields::read(text, &mut record)?;
        let event = match kind(&fields)? {
            EventKind::Purchase => Event::Purchase(Purchase::read(&fields, self)?),
            EventKind::Refund => Event::Refund(Refund::read(&fields, self)?),
            EventKind::Cancellation => Event::Cancellation(Cancellation::read(&fields)?),
            EventKind::CustomerCost => Event::CustomerCost(CustomerCost::read(&fields, self)?),
            EventKind::AdSpend => Event::AdSpend(AdSpend::read(&fields, self)?),
            EventKind::AdSpendReport => Event::AdSpendReport(AdSpendReport::read(&fields, self)?),
        };
        check_clock(&fields, &event, now)?;
        self.check_day(&fields, &event)?;
        Ok(event)
    }

    /// A report of a day that had begun nowhere is a mistake, whenever it is read.
    fn check_day(&self, fields: &Fields<'_, '_>, event: &Event<'_>) -> Result<(), Rejection> {
        let Event::AdSpendReport(report) = event else { return Ok(()) };
        if self.zone.start_of(report.date) <= report.reported_at.plus(MAX_DAY_AHEAD) {
            return Ok(());
        }
        const EXPECTED: &str = "expected a day that begins at most 14 hours after `reported_at`";
        Err(fields.reject(Reason::InTheFuture, "date", EXPECTED))
    }

    /// Checks the event's `currency`, which need not be there.
    pub(super) fn check_currency(&self, fields: &Fields<'_, '_>) -> Result<(), Rejection> {
        match fields.optional("currency", currency)? {
            Some(other) if other != self.currency => {
                let detail = format!("no rate is known from {} to {}", other.as_str(), self.currency.as_str());
                Err(fields.reject(Reason::NoExchangeRate, "currency", detail))
            }
            _ => Ok(()),
        }
    }
}

fn kind(fields: &Fields<'_, '_>) -> Result<EventKind, Rejection> {
    fields.required("type", one_of(&EventKind::ALL, EventKind::name, Reason::UnknownType))
}

fn check_clock(fields: &Fields<'_, '_>, event: &Event<'_>, now: Millis) -> Result<(), Rejection> {
    let latest = now.plus(MAX_AHEAD);
    let ahead = match event {
        Event::Purchase(purchase) if purchase.occurred_at > latest => "occurred_at",
        Event::Purchase(purchase) if purchase.updated_at > latest => "updated_at",
        Event::AdSpendReport(report) if report.reported_at > latest => "reported_at",
        other if other.moment() > latest => "occurred_at",
        _ => return Ok(()),
    };
    Err(fields.reject(Reason::InTheFuture, ahead, format_args!("expected at most 5 minutes after {now}")))
}
