//! `ad_spend_report`: a platform's current total of one cell.

use std::borrow::Cow;

use super::digest::Digest;
use super::draft::Stated;
use super::fields::{Fields, count, currency, date, id, money, text, time};
use super::kind::EventKind;
use super::rejection::Rejection;
use super::spend;
use crate::domain::spend::SpendKind;
use crate::money::Micros;
use crate::time::{Date, Millis};

/// A platform's current total of one cell: campaign, date, breakdown, kind.
#[derive(Clone, Debug, PartialEq)]
pub struct AdSpendReport<'a> {
    /// What it was spent on.
    pub campaign_id: Cow<'a, str>,
    /// In the reporting time zone.
    pub date: Date,
    /// The part of the campaign that the cell is of: an ad group, an ad, a country. None is a cell of its own.
    pub breakdown: Option<Cow<'a, str>>,
    /// What for.
    pub kind: SpendKind,
    /// Of two reports of a cell the later wins.
    pub reported_at: Millis,
    /// Total of the cell so far, booked evenly over the hours that it covers.
    pub amount: Micros,
    /// The campaign's, as of this report.
    pub channel: Option<Cow<'a, str>>,
    /// Booked as the amount is, whatever the kind; so are the next three.
    pub impressions: Option<i64>,
    /// As reported.
    pub clicks: Option<i64>,
    /// What the platform claims for itself.
    pub reported_conversions: Option<Micros>,
    /// What the platform claims for itself.
    pub reported_revenue: Option<Micros>,
    /// The campaign's, as of this report; so are the next two.
    pub campaign_name: Option<Cow<'a, str>>,
    /// Where it runs.
    pub platform: Option<Cow<'a, str>>,
    /// What the platform is told to reach.
    pub objective: Option<Cow<'a, str>>,
    /// Of the whole content: decides between two different reports that are alike in time and amount.
    pub digest: u64,
}

impl<'a> AdSpendReport<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>) -> Result<Stated<AdSpendReport<'a>>, Rejection> {
        let mut report = AdSpendReport {
            campaign_id: fields.required("campaign_id", id)?,
            date: fields.required("date", date)?,
            breakdown: fields.optional("breakdown", text)?,
            kind: spend::kind(fields)?,
            reported_at: fields.required("reported_at", time)?,
            amount: fields.required("amount", money)?,
            channel: fields.optional("channel", text)?,
            impressions: fields.optional("impressions", count)?,
            clicks: fields.optional("clicks", count)?,
            reported_conversions: fields.optional("reported_conversions", money)?,
            reported_revenue: fields.optional("reported_revenue", money)?,
            campaign_name: fields.optional("campaign_name", text)?,
            platform: fields.optional("platform", text)?,
            objective: fields.optional("objective", text)?,
            digest: 0,
        };
        let currency = fields.optional("currency", currency)?;
        report.digest = Digest::of(EventKind::AdSpendReport)
            .text(&report.campaign_id)
            .integer(i64::from(report.date.0))
            .optional_text(report.breakdown.as_deref())
            .integer(spend::number(report.kind))
            .time(report.reported_at)
            .money(report.amount)
            .optional_text(report.channel.as_deref())
            .optional_integer(report.impressions)
            .optional_integer(report.clicks)
            .optional_money(report.reported_conversions)
            .optional_money(report.reported_revenue)
            .optional_text(report.campaign_name.as_deref())
            .optional_text(report.platform.as_deref())
            .optional_text(report.objective.as_deref())
            .finish();
        Ok(Stated { currency, event: report })
    }
}
