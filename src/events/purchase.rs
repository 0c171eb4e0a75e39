//! `purchase`: an order.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::digest::Digest;
use super::fields::{Fields, currency, id, money, text, time};
use super::items::{self, Item};
use super::kind::EventKind;
use super::rejection::{Reason, Rejection};
use super::touchpoints::{self, Touchpoint};
use crate::domain::order::{self, CostOfGoods, Original, PerItem, Unusable};
use crate::money::Micros;
use crate::settings::Currency;
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
}

/// An order as it was stated: what its figures are made of, in its own currency.
pub(super) struct Draft<'a> {
    pub currency: Option<Currency>,
    customer_id: Cow<'a, str>,
    order_id: Cow<'a, str>,
    shop: Option<Cow<'a, str>>,
    occurred_at: Millis,
    updated_at: Millis,
    revenue: Option<Micros>,
    discount: Micros,
    cost_of_goods: Option<Micros>,
    operating_cost: Micros,
    items: SmallVec<[Item<'a>; 2]>,
    offer: Option<Cow<'a, str>>,
    customer_since: Option<Millis>,
    touchpoints: SmallVec<[Touchpoint<'a>; 2]>,
    digest: u64,
}

impl<'a> Draft<'a> {
    pub fn read(fields: &Fields<'_, 'a>) -> Result<Draft<'a>, Rejection> {
        let occurred_at = fields.required("occurred_at", time)?;
        let mut draft = Draft {
            currency: fields.optional("currency", currency)?,
            customer_id: fields.required("customer_id", id)?,
            order_id: fields.required("order_id", id)?,
            shop: fields.optional("shop", text)?,
            occurred_at,
            updated_at: fields.optional("updated_at", time)?.unwrap_or(occurred_at),
            revenue: fields.optional("revenue", money)?,
            discount: fields.optional("discount", money)?.unwrap_or(Micros::ZERO),
            cost_of_goods: fields.optional("cost_of_goods", money)?,
            operating_cost: fields.optional("operating_cost", money)?.unwrap_or(Micros::ZERO),
            offer: fields.optional("offer", text)?,
            customer_since: fields.optional("customer_since", time)?,
            touchpoints: touchpoints::read(fields, occurred_at)?,
            items: items::read(fields)?,
            digest: 0,
        };
        draft.digest = draft.digest();
        Ok(draft)
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::of(EventKind::Purchase);
        digest.text(&self.customer_id).text(&self.order_id).time(self.occurred_at).time(self.updated_at);
        digest.optional_money(self.revenue).money(self.discount);
        digest.optional_money(self.cost_of_goods).money(self.operating_cost);
        digest.optional_text(self.offer.as_deref()).optional_integer(self.customer_since.map(|since| since.0));
        for touchpoint in &self.touchpoints {
            digest.present(true).time(touchpoint.at);
            digest.optional_text(touchpoint.campaign_id.as_deref()).optional_text(touchpoint.channel.as_deref());
        }
        digest.present(false);
        items::digest(&self.items, &mut digest);
        if let Some(shop) = &self.shop {
            digest.present(true).text(shop);
        }
        digest.finish()
    }

    /// The order with its figures; `default_margin` is that by which unknown costs are estimated.
    pub fn purchase(self, default_margin: Option<Micros>) -> Result<Purchase<'a>, Rejection> {
        let revenue = order::revenue(self.revenue, self.items.iter().map(Item::amount), self.discount)
            .map_err(|why| unusable(why, "sum of quantity x unit_price, less the discount"))?;
        let costs = self.items.iter().map(Item::cost);
        let cost_of_goods = order::cost_of_goods(self.cost_of_goods, costs, revenue, default_margin)
            .map_err(|why| unusable(why, "sum of quantity x unit_cost"))?;
        Ok(Purchase {
            customer_id: self.customer_id,
            order_id: self.order_id,
            shop: self.shop,
            occurred_at: self.occurred_at,
            updated_at: self.updated_at,
            revenue,
            cost_of_goods,
            operating_cost: self.operating_cost,
            original: None,
            items: self.items,
            offer: self.offer,
            customer_since: self.customer_since,
            touchpoints: self.touchpoints,
            digest: self.digest,
        })
    }
}

/// Of a figure that comes of the items.
#[cold]
fn unusable(why: Unusable, figure: &'static str) -> Rejection {
    match why {
        // An empty list is the same as none.
        Unusable::Unstated => {
            Rejection::of_field(Reason::MissingField, "items", "required where there is no `revenue`")
        }
        Unusable::Negative => {
            Rejection::of_field(Reason::NegativeRevenue, "discount", "expected at most the sum of the items")
        }
        Unusable::TooLarge => {
            let detail = format_args!("expected a {figure}, of at most 9,000,000,000,000");
            Rejection::of_field(Reason::InvalidMoney, "items", detail)
        }
    }
}
