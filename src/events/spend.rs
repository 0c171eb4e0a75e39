//! `ad_spend`: an amount spent at a moment; and the kinds of spend.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::decoder::Decoder;
use super::digest::Digest;
use super::fields::{Fields, id, money, one_of, text, time};
use super::rejection::{Reason, Rejection};
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

/// What an amount was spent on. All kinds are `invested`; only the first is `spend`, by which ROAS and CAC go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpendKind {
    /// The ads themselves, as platforms bill them.
    #[default]
    Media,
    /// Fees and commissions of agencies and platforms.
    Fee,
    /// Making the ads.
    Creative,
    /// Anything else.
    Other,
}

impl SpendKind {
    const NAMES: [(&str, SpendKind); 4] = [
        ("media", SpendKind::Media),
        ("fee", SpendKind::Fee),
        ("creative", SpendKind::Creative),
        ("other", SpendKind::Other),
    ];

    pub(super) fn read(fields: &Fields<'_, '_>) -> Result<SpendKind, Rejection> {
        let kind = one_of(&Self::NAMES, Reason::InvalidField, "`media`, `fee`, `creative` or `other`");
        Ok(fields.optional("kind", kind)?.unwrap_or_default())
    }

    /// In a digest.
    pub(super) fn number(self) -> i64 {
        match self {
            SpendKind::Media => 1,
            SpendKind::Fee => 2,
            SpendKind::Creative => 3,
            SpendKind::Other => 4,
        }
    }
}

impl<'a> AdSpend<'a> {
    pub(super) fn read(fields: &Fields<'_, 'a>, decoder: &Decoder) -> Result<AdSpend<'a>, Rejection> {
        let campaign_id = fields.required("campaign_id", id)?;
        let spend_id = fields.required("spend_id", id)?;
        let occurred_at = fields.required("occurred_at", time)?;
        decoder.check_currency(fields)?;
        let amount = fields.required("amount", money)?;
        let kind = SpendKind::read(fields)?;
        let channel = fields.optional("channel", text)?;
        let digest = Digest::of(4)
            .text(&campaign_id)
            .text(&spend_id)
            .time(occurred_at)
            .money(amount)
            .integer(kind.number())
            .optional_text(channel.as_deref())
            .finish();
        Ok(AdSpend { campaign_id, spend_id, occurred_at, amount, kind, channel, digest })
    }
}
