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
use crate::domain::order::{self, CostOfGoods, Original, PerItem, Unusable};
use crate::money::Micros;
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
        order::revenue_of_items(self.revenue, self.items.iter().map(Item::amount))
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

        let revenue = order::revenue(stated_revenue, items.iter().map(Item::amount), discount)
            .map_err(|why| unusable(fields, why, "sum of quantity x unit_price, less the discount"))?;
        let costs = items.iter().map(Item::cost);
        let cost_of_goods = order::cost_of_goods(stated_cost, costs, revenue, decoder.default_margin)
            .map_err(|why| unusable(fields, why, "sum of quantity x unit_cost"))?;
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

/// Of a figure that comes of the items.
#[cold]
fn unusable(fields: &Fields<'_, '_>, why: Unusable, figure: &'static str) -> Rejection {
    match why {
        // An empty list is the same as none.
        Unusable::Unstated => fields.reject(Reason::MissingField, "items", "required where there is no `revenue`"),
        Unusable::Negative => {
            fields.reject(Reason::NegativeRevenue, "discount", "expected at most the sum of the items")
        }
        Unusable::TooLarge => fields.reject(
            Reason::InvalidMoney,
            "items",
            format_args!("expected a {figure}, of at most 9,000,000,000,000"),
        ),
    }
}
