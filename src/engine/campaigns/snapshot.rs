//! The whole state as bytes, for a cache of the changelog: the facts that it is the fold of, each once. A changelog has many
//! versions of each, and so much more to be read.
//!
//! A report is told as far as it is kept, without what no figure is made of yet: these are not facts to be stored again.

use super::Campaigns;
use super::facts::{self, AmountFact, Key, ReportFact};
use super::settling::Horizons;
use super::spend::{Cell, Spent};
use crate::engine::blocks::Blocks;
use crate::engine::fact::FactWriter;
use crate::engine::ledger::LedgerSums;
use crate::engine::table::Identity;
use crate::engine::{Effects, FormatError, Stage};
use crate::time::Date;

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

impl Campaigns {
    pub(super) fn write_snapshot<E>(&self, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut told = Told { blocks: Blocks::new(take), outcome: Ok(()) };
        let mut writer = FactWriter::new(self.settings.format);
        if self.horizons != Horizons::default() {
            writer.put(&Key::Horizons, &self.horizons, &mut told);
        }
        for (number, _) in self.campaigns.iter() {
            self.tell_ledger(number, &mut writer, &mut told);
            self.tell_spend(number, &mut writer, &mut told);
            if told.outcome.is_err() {
                return told.outcome;
            }
        }
        told.outcome.and_then(|()| told.blocks.finish())
    }

    fn tell_ledger(&self, number: u32, writer: &mut FactWriter, told: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        let id = campaign.id();
        for (&hour, bucket) in &campaign.hours {
            if let Some(sums) = &bucket.ledger {
                writer.put_with(&Key::Hour { campaign: id, hour }, |value| sums.write(value), told);
            }
        }
        // Of a day that came to nothing there may still be facts that cancel each other out.
        let zone = &self.settings.zone;
        let of_hours = campaign.hours.keys().map(|&hour| zone.date(hour));
        let mut days: Vec<Date> = campaign.days.keys().copied().chain(of_hours).collect();
        days.sort_unstable();
        days.dedup();
        for day in days {
            let sums = campaign.ledger_of_day(day, zone);
            if sums != LedgerSums::default() {
                writer.put_with(&Key::Day { campaign: id, day }, |value| sums.write(value), told);
            }
        }
        if !campaign.before.is_empty() {
            let (ledger, spend) = campaign.before.halves();
            let key = Key::Before { campaign: id };
            writer.put_with(&key, |value| facts::write_before(&ledger, &spend, value), told);
        }
    }

    fn tell_spend(&self, number: u32, writer: &mut FactWriter, told: &mut impl Effects) {
        let campaign = &self.campaigns[number];
        let id = campaign.id();
        for series in campaign.series.iter().map(|&series| &self.spend.series[series]) {
            for cell in series.cells() {
                let (kind, breakdown) = (series.kind(), series.breakdown());
                let key = Key::Report { campaign: id, date: cell.date, kind, breakdown };
                writer.put(&key, &self.report_fact(cell), told);
            }
        }
        for amount in campaign.all_amounts().map(|amount| &self.spend.amounts[amount]) {
            if let Some(spent) = &amount.current {
                writer.put(&Key::Amount { campaign: id, spend: amount.id() }, &self.amount_fact(spent), told);
            }
        }
        if let Some(carried) = &campaign.carried {
            for (&day, settled) in &carried.days {
                writer.put(&Key::Settled { campaign: id, day }, &settled.fact(), told);
            }
            if carried.events > 0 {
                writer.put(&Key::Carried { campaign: id }, &carried.fact(&self.spend.names), told);
            }
        }
    }

    fn report_fact(&self, cell: &Cell) -> ReportFact<'_> {
        let text = |label: u32| self.spend.names.text(label);
        ReportFact {
            reported_at: cell.reported_at,
            amount: cell.amount,
            digest: cell.digest,
            channel: text(cell.labels.channel),
            impressions: Some(cell.impressions),
            clicks: Some(cell.clicks),
            reported_conversions: None,
            reported_revenue: cell.reported_revenue,
            campaign_name: text(cell.labels.name),
            platform: text(cell.labels.platform),
            objective: text(cell.labels.objective),
        }
    }

    fn amount_fact(&self, spent: &Spent) -> AmountFact<'_> {
        AmountFact {
            occurred_at: spent.occurred_at,
            amount: spent.amount,
            digest: spent.digest,
            kind: spent.kind,
            channel: self.spend.names.text(spent.channel),
        }
    }

    /// Takes the next block, and says how many facts it had.
    pub(super) fn read_snapshot(&mut self, mut block: &[u8]) -> Result<u64, FormatError> {
        let mut facts = 0;
        while !block.is_empty() {
            let ((key, value), rest): ((&[u8], &[u8]), _) = postcard::take_from_bytes(block).map_err(|_| MALFORMED)?;
            self.restore(key, Some(value))?;
            block = rest;
            facts += 1;
        }
        Ok(facts)
    }
}
