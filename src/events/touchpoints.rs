//! The ads that a customer saw before an order.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::fields::{Fields, id, text, time};
use super::rejection::Rejection;
use crate::time::Millis;

/// Touchpoints an order may list, beside the shorthand's.
pub const MAX_TOUCHPOINTS: usize = 100;

/// An ad seen before an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Touchpoint<'a> {
    /// When it was seen.
    pub at: Millis,
    /// Its campaign; without one it takes its share for its channel alone.
    pub campaign_id: Option<Cow<'a, str>>,
    /// Its channel.
    pub channel: Option<Cow<'a, str>>,
}

/// Those of an order, in order of `at` (equal: as listed), without those after the order; last the one that the order's
/// own `campaign_id` and `channel` stand for.
pub(super) fn read<'a>(
    fields: &Fields<'_, 'a>,
    occurred_at: Millis,
) -> Result<SmallVec<[Touchpoint<'a>; 2]>, Rejection> {
    let mut touchpoints = SmallVec::new();
    fields.list("touchpoints", MAX_TOUCHPOINTS, |listed| {
        let at = listed.required("at", time)?;
        let touchpoint = Touchpoint {
            at,
            campaign_id: listed.optional("campaign_id", id)?,
            channel: listed.optional("channel", text)?,
        };
        if at <= occurred_at {
            touchpoints.push(touchpoint);
        }
        Ok(())
    })?;
    touchpoints.sort_by_key(|touchpoint: &Touchpoint<'_>| touchpoint.at);
    let campaign_id = fields.optional("campaign_id", id)?;
    let channel = fields.optional("channel", text)?;
    if campaign_id.is_some() || channel.is_some() {
        touchpoints.push(Touchpoint { at: occurred_at, campaign_id, channel });
    }
    Ok(touchpoints)
}
