//! Meaning: a draft becomes an event, by the settings and the clock.

use super::draft::{Draft, Stated};
use super::rejection::{Reason, Rejection};
use super::{AdSpendReport, Event, MAX_AHEAD};
use crate::money::Micros;
use crate::settings::{Currency, Settings};
use crate::time::{Millis, Zone};

/// How long after a report its day may begin: somewhere it has begun by then.
const MAX_DAY_AHEAD: i64 = 14 * Millis::HOUR;

/// The settings that bear on what an event means.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    currency: Currency,
    zone: Zone,
    default_margin: Option<Micros>,
}

impl Meaning {
    pub fn new(settings: &Settings) -> Meaning {
        Meaning { currency: settings.currency, zone: settings.zone.clone(), default_margin: settings.default_margin }
    }

    /// That it is ahead of the clock is looked for last, so that each other reason is the same whenever the record is read.
    pub fn event<'a>(&self, draft: Draft<'a>, now: Millis) -> Result<Event<'a>, Rejection> {
        let event = match draft {
            Draft::Purchase(draft) => {
                self.check_currency(draft.currency)?;
                Event::Purchase(draft.purchase(self.default_margin)?)
            }
            Draft::Refund(stated) => Event::Refund(self.converted(stated)?),
            Draft::Cancellation(cancellation) => Event::Cancellation(cancellation),
            Draft::CustomerCost(stated) => Event::CustomerCost(self.converted(stated)?),
            Draft::AdSpend(stated) => Event::AdSpend(self.converted(stated)?),
            Draft::AdSpendReport(stated) => {
                let report = self.converted(stated)?;
                self.check_day(&report)?;
                Event::AdSpendReport(report)
            }
        };
        check_clock(&event, now)?;
        Ok(event)
    }

    /// The event with its amounts in the reporting currency.
    fn converted<T>(&self, stated: Stated<T>) -> Result<T, Rejection> {
        self.check_currency(stated.currency)?;
        Ok(stated.event)
    }

    /// A report of a day that had begun nowhere is a mistake, whenever it is read.
    fn check_day(&self, report: &AdSpendReport<'_>) -> Result<(), Rejection> {
        if self.zone.start_of(report.date) <= report.reported_at.plus(MAX_DAY_AHEAD) {
            return Ok(());
        }
        const EXPECTED: &str = "expected a day that begins at most 14 hours after `reported_at`";
        Err(Rejection::of_field(Reason::InTheFuture, "date", EXPECTED))
    }

    fn check_currency(&self, currency: Option<Currency>) -> Result<(), Rejection> {
        match currency {
            Some(other) if other != self.currency => {
                let detail = format_args!("no rate is known from {} to {}", other.as_str(), self.currency.as_str());
                Err(Rejection::of_field(Reason::NoExchangeRate, "currency", detail))
            }
            _ => Ok(()),
        }
    }
}

fn check_clock(event: &Event<'_>, now: Millis) -> Result<(), Rejection> {
    let latest = now.plus(MAX_AHEAD);
    let ahead = match event {
        Event::Purchase(purchase) if purchase.occurred_at > latest => "occurred_at",
        Event::Purchase(purchase) if purchase.updated_at > latest => "updated_at",
        Event::AdSpendReport(report) if report.reported_at > latest => "reported_at",
        other if other.moment() > latest => "occurred_at",
        _ => return Ok(()),
    };
    let detail = format_args!("expected at most 5 minutes after {now}");
    Err(Rejection::of_field(Reason::InTheFuture, ahead, detail))
}
