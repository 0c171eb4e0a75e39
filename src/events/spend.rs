//! `ad_spend`: an amount spent at a moment; and the kinds of spend.

use std::borrow::Cow;

use super::digest::Digest;
use super::draft::Stated;
use super::fields::{Fields, currency, id, money, one_of, text, time};
use super::kind::EventKind;
use super::rejection::{Reason, Rejection};
use crate::domain::spend::SpendKind;
use crate::money::Micros;
use crate::time::Millis;

/// An amount spent on a campaign at a moment. Identified by campaign and spend id.
#[derive(Clone, Debug, PartialEq)]
pub struct AdSpend<'a> {
    /// What it was spent on.
    pub campaign_id: Cow<'a, str>,
    /// Which amount of that campaign.
    pub spend_id: Cow<'a, str>,
    /// When it is booked; of two events for one amount the later wins.
    pub occurred_at: Millis,
    /// 0 or more.
    pub amount: Micros,
    /// What for.
    pub kind: SpendKind,
    /// The campaign's, as of this event.
    pub channel: Option<Cow<'a, str>>,
    /// Of the whole content: decides between two different events that are alike in time and amount.
    pub digest: u64,
}

impl<'a> AdSpend<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>) -> Result<Stated<AdSpend<'a>>, Rejection> {
        let campaign_id = fields.required("campaign_id", id)?;
        let spend_id = fields.required("spend_id", id)?;
        let occurred_at = fields.required("occurred_at", time)?;
        let currency = fields.optional("currency", currency)?;
        let amount = fields.required("amount", money)?;
        let kind = kind(fields)?;
        let channel = fields.optional("channel", text)?;
        let digest = Digest::of(EventKind::AdSpend)
            .text(&campaign_id)
            .text(&spend_id)
            .time(occurred_at)
            .money(amount)
            .integer(number(kind))
            .optional_text(channel.as_deref())
            .finish();
        let event = AdSpend { campaign_id, spend_id, occurred_at, amount, kind, channel, digest };
        Ok(Stated { currency, event })
    }
}

/// The `kind` of an amount or report.
pub(super) fn kind(fields: &Fields<'_, '_>) -> Result<SpendKind, Rejection> {
    let kind = fields.optional("kind", one_of(&SpendKind::ALL, name, Reason::InvalidField))?;
    Ok(kind.unwrap_or_default())
}

fn name(kind: SpendKind) -> &'static str {
    match kind {
        SpendKind::Media => "media",
        SpendKind::Fee => "fee",
        SpendKind::Creative => "creative",
        SpendKind::Other => "other",
    }
}

/// The number of a kind in a digest.
pub(super) fn number(kind: SpendKind) -> i64 {
    match kind {
        SpendKind::Media => 1,
        SpendKind::Fee => 2,
        SpendKind::Creative => 3,
        SpendKind::Other => 4,
    }
}
