//! `purchase`: an order.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::decoder::Decoder;
use super::digest::Digest;
use super::fields::{Fields, id, money, text, time};
use super::items::{self, Item};
use super::kind::EventKind;
use super::rejection::{Reason, Rejection};
use super::touchpoints::{self, Touchpoint};
use crate::domain::order::{CostOfGoods, Original, PerItem, revenue_of_items};
use crate::money::{Micros, SCALE, divide_half_even};
use crate::time::Millis;

/// An order.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase<'a> {
    /// Who bought.
    pub customer_id: Cow<'a, str>,
    /// Which order of that customer.
    pub order_id: Cow<'a, str>,
    /// Of which shop.
    pub shop: Option<Cow<'a, str>>,
    /// When the customer bought; the order is booked there.
    pub occurred_at: Millis,
    /// Of two events for one order the later wins.
    pub updated_at: Millis,
    /// As stated, else sum of quantity x unit price, less the discount. 0 to [`Micros::MAX`].
    pub revenue: Micros,
    /// As stated, summed or estimated, or not known.
    pub cost_of_goods: CostOfGoods,
    /// What the order costs beside its goods.
    pub operating_cost: Micros,
    /// The amounts before they were converted; none where they are in the reporting currency, as all are so far.
    pub original: Option<Box<Original>>,
    /// As listed. The first is the acquiring product, if this is the first order.
    pub items: SmallVec<[Item<'a>; 2]>,
    /// Coupon, price offer or test arm.
    pub offer: Option<Cow<'a, str>>,
    /// The customer's first purchase anywhere, where the shop knows of one before this stream.
    pub customer_since: Option<Millis>,
    /// In order of `at`, the shorthand's last; those after `occurred_at` are left out already.
    pub touchpoints: SmallVec<[Touchpoint<'a>; 2]>,
    /// Of the whole content: decides between two different events that are alike in time and revenue.
    pub digest: u64,
}

impl<'a> Purchase<'a> {
    /// Sum of the items' quantities: at most 10^12.
    pub fn quantity(&self) -> i64 {
        self.items.iter().map(|item| item.quantity).sum()
    }

    /// What of the revenue falls to each item.
    pub fn revenue_of_items(&self) -> PerItem<Micros> {
        revenue_of_items(self.revenue, self.items.iter().map(Item::amount))
    }

    pub(super) fn read(fields: &Fields<'_, 'a>, decoder: &Decoder) -> Result<Purchase<'a>, Rejection> {
        let customer_id = fields.required("customer_id", id)?;
        let order_id = fields.required("order_id", id)?;
        let shop = fields.optional("shop", text)?;
        let occurred_at = fields.required("occurred_at", time)?;
        let updated_at = fields.optional("updated_at", time)?.unwrap_or(occurred_at);
        decoder.check_currency(fields)?;
        let stated_revenue = fields.optional("revenue", money)?;
        let discount = fields.optional("discount", money)?.unwrap_or(Micros::ZERO);
        let stated_cost = fields.optional("cost_of_goods", money)?;
        let operating_cost = fields.optional("operating_cost", money)?.unwrap_or(Micros::ZERO);
        let offer = fields.optional("offer", text)?;
        let customer_since = fields.optional("customer_since", time)?;
        let touchpoints = touchpoints::read(fields, occurred_at)?;

        let mut digest = Digest::of(EventKind::Purchase);
        digest.text(&customer_id).text(&order_id).time(occurred_at).time(updated_at);
        digest.optional_money(stated_revenue).money(discount).optional_money(stated_cost).money(operating_cost);
        digest.optional_text(offer.as_deref()).optional_integer(customer_since.map(|since| since.0));
        for touchpoint in &touchpoints {
            digest.present(true).time(touchpoint.at);
            digest.optional_text(touchpoint.campaign_id.as_deref()).optional_text(touchpoint.channel.as_deref());
        }
        digest.present(false);
        let items = items::read(fields)?;
        items::digest(&items, &mut digest);
        if let Some(shop) = &shop {
            digest.present(true).text(shop);
        }

        let revenue = match stated_revenue {
            Some(stated) => stated,
            None if !items.is_empty() => {
                let revenue = items.iter().map(Item::amount).sum::<i128>() - i128::from(discount.0);
                if revenue < 0 {
                    return Err(fields.reject(
                        Reason::NegativeRevenue,
                        "discount",
                        "expected at most the sum of the items",
                    ));
                }
                within_limit(revenue)
                    .ok_or_else(|| over_limit(fields, "sum of quantity x unit_price, less the discount"))?
            }
            // An empty list is the same as none.
            None => {
                return Err(fields.reject(Reason::MissingField, "items", "required where there is no `revenue`"));
            }
        };
        let summed_cost = if items.is_empty() { None } else { items.iter().map(Item::cost).sum::<Option<i128>>() };
        let cost_of_goods = match (stated_cost, summed_cost) {
            (Some(stated), _) => CostOfGoods::Known(stated),
            (None, Some(sum)) => {
                CostOfGoods::Known(within_limit(sum).ok_or_else(|| over_limit(fields, "sum of quantity x unit_cost"))?)
            }
            (None, None) => match decoder.default_margin {
                Some(margin) => CostOfGoods::Estimated(estimate(revenue, margin)),
                None => CostOfGoods::Unknown,
            },
        };
        Ok(Purchase {
            customer_id,
            order_id,
            shop,
            occurred_at,
            updated_at,
            revenue,
            cost_of_goods,
            operating_cost,
            original: None,
            items,
            offer,
            customer_since,
            touchpoints,
            digest: digest.finish(),
        })
    }
}

fn within_limit(sum: i128) -> Option<Micros> {
    i64::try_from(sum).ok().map(Micros).filter(|sum| *sum <= Micros::MAX)
}

fn over_limit(fields: &Fields<'_, '_>, sum: &'static str) -> Rejection {
    fields.reject(Reason::InvalidMoney, "items", format_args!("expected a {sum}, of at most 9,000,000,000,000"))
}

/// revenue x (1 - margin), rounded half to even.
fn estimate(revenue: Micros, margin: Micros) -> Micros {
    let cost = i128::from(revenue.0) * i128::from(SCALE - margin.0);
    // The margin is 0 to 1, so the cost is at most the revenue.
    within_limit(divide_half_even(cost, i128::from(SCALE))).unwrap_or(revenue)
}
