//! The whole state as bytes, for a cache of the changelog: the facts that it is the fold of, each once. A changelog has many
//! versions of each, and so much more to be read.
//!
//! A report is told as far as it is kept, without what no figure is made of yet: these are not facts to be stored again.

use super::book::Book;
use super::campaign::Campaign;
use super::facts::{self, AmountFact, Key, ReportFact};
use super::horizons::Horizons;
use super::spend::{Cell, SpendBook, Spent};
use super::totals::Totals;
use crate::engine::blocks::Blocks;
use crate::engine::fact::FactWriter;
use crate::engine::ledger::LedgerSums;
use crate::engine::table::{Identity, Names};
use crate::engine::{Effects, FormatError};
use crate::settings::Settings;
use crate::time::{Date, Zone};

const MALFORMED: FormatError = FormatError::Malformed { what: "snapshot of campaigns" };

/// Takes facts as records of key and value.
struct Told<E, F> {
    blocks: Blocks<F>,
    outcome: Result<(), E>,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Effects for Told<E, F> {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.outcome.is_ok() {
            self.outcome = self.blocks.put(&(key, value.unwrap_or_default()));
        }
    }

    fn update(&mut self, _: &str, _: Option<&[u8]>) {}

    fn differences(&mut self, _: u32, _: &[u8]) {}
}

/// Hands out what stands in the snapshot of a state that is so.
///
/// # Errors
/// The first of `take`'s.
pub fn write<E>(
    book: &Book,
    horizons: &Horizons,
    settings: &Settings,
    take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut told = Told { blocks: Blocks::new(take), outcome: Ok(()) };
    let mut writer = FactWriter::new(settings.format);
    if *horizons != Horizons::default() {
        writer.put(&Key::Horizons, horizons, &mut told);
    }
    for (_, campaign) in book.campaigns.iter() {
        tell_ledger(campaign, &settings.zone, &mut writer, &mut told);
        tell_spend(campaign, &book.spend, &mut writer, &mut told);
        if told.outcome.is_err() {
            return told.outcome;
        }
    }
    told.outcome.and_then(|()| told.blocks.finish())
}

fn tell_ledger(campaign: &Campaign, zone: &Zone, writer: &mut FactWriter, told: &mut impl Effects) {
    let id = campaign.id();
    for (hour, totals) in campaign.hours.range(..).filter(|(_, totals)| totals.has_ledger()) {
        writer.put_with(&Key::Hour { campaign: id, hour }, |value| totals.ledger.write(value), told);
    }
    // Of a day that came to nothing there may still be facts that cancel each other out.
    let of_hours = campaign.hours.keys(..).iter().map(|&hour| zone.date(hour));
    let mut days: Vec<Date> = campaign.days.keys(..).iter().copied().chain(of_hours).collect();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let sums = campaign.ledger_of_day(day, zone);
        if sums != LedgerSums::default() {
            writer.put_with(&Key::Day { campaign: id, day }, |value| sums.write(value), told);
        }
    }
    let before = &campaign.before;
    if *before != Totals::default() {
        let key = Key::Before { campaign: id };
        writer.put_with(&key, |value| facts::write_before(&before.ledger, &before.spend, value), told);
    }
}

fn tell_spend(campaign: &Campaign, spend: &SpendBook, writer: &mut FactWriter, told: &mut impl Effects) {
    let id = campaign.id();
    for series in campaign.series.iter().map(|&series| &spend.series[series]) {
        for cell in series.cells() {
            let (kind, breakdown) = (series.kind(), series.breakdown());
            let key = Key::Report { campaign: id, date: cell.date, kind, breakdown };
            writer.put(&key, &report_fact(cell, spend), told);
        }
    }
    for amount in campaign.all_amounts().map(|amount| &spend.amounts[amount]) {
        if let Some(spent) = &amount.current {
            let fact = amount_fact(spent, &spend.names);
            writer.put(&Key::Amount { campaign: id, spend: amount.id() }, &fact, told);
        }
    }
    if let Some(compacted) = &campaign.compacted {
        for (&day, spent) in &compacted.days {
            writer.put(&Key::DaySpend { campaign: id, day }, &spent.fact(), told);
        }
        if compacted.events > 0 {
            writer.put(&Key::Compacted { campaign: id }, &compacted.fact(&spend.names), told);
        }
    }
}

fn report_fact<'a>(cell: &Cell, spend: &'a SpendBook) -> ReportFact<'a> {
    let text = |label: u32| spend.names.text(label);
    let labels = cell.labels(&spend.labels);
    ReportFact {
        reported_at: cell.reported_at,
        amount: cell.amount,
        digest: cell.digest,
        channel: text(labels.channel),
        impressions: Some(cell.impressions),
        clicks: Some(cell.clicks),
        reported_conversions: None,
        reported_revenue: cell.reported_revenue(),
        campaign_name: text(labels.name),
        platform: text(labels.platform),
        objective: text(labels.objective),
    }
}

fn amount_fact<'a>(spent: &Spent, names: &'a Names) -> AmountFact<'a> {
    AmountFact {
        occurred_at: spent.occurred_at,
        amount: spent.amount,
        digest: spent.digest,
        kind: spent.kind,
        channel: names.text(spent.channel),
    }
}

/// Hands out the facts of a block, and says how many it had.
///
/// # Errors
/// It is no block of a snapshot, or `take`'s.
pub fn read(
    mut block: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), FormatError>,
) -> Result<u64, FormatError> {
    let mut facts = 0;
    while !block.is_empty() {
        let ((key, value), rest): ((&[u8], &[u8]), _) = postcard::take_from_bytes(block).map_err(|_| MALFORMED)?;
        take(key, value)?;
        block = rest;
        facts += 1;
    }
    Ok(facts)
}
