//! The items of an order.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::digest::Digest;
use super::fields::{Fields, id, money, quantity, text};
use super::rejection::Rejection;
use crate::domain::order::amount_of;
use crate::money::Micros;

/// Items an order may list.
pub const MAX_ITEMS: usize = 1_000;

/// An item of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// What was bought.
    pub sku: Cow<'a, str>,
    /// What kind of thing that is.
    pub category: Option<Cow<'a, str>>,
    /// 1 to 10^9.
    pub quantity: i64,
    /// Before the order's discount.
    pub unit_price: Micros,
    /// Of which none is taken for 0.
    pub unit_cost: Option<Micros>,
}

impl Item<'_> {
    /// Quantity x unit price.
    pub fn amount(&self) -> i128 {
        amount_of(self.quantity, self.unit_price)
    }

    /// Quantity x unit cost.
    pub fn cost(&self) -> Option<i128> {
        self.unit_cost.map(|unit_cost| amount_of(self.quantity, unit_cost))
    }
}

/// Those of an order, in their order; none where there is no list.
pub(super) fn read<'a>(fields: &Fields<'_, 'a>) -> Result<SmallVec<[Item<'a>; 2]>, Rejection> {
    let mut items = SmallVec::new();
    fields.list("items", MAX_ITEMS, |item| {
        items.push(Item {
            sku: item.required("sku", id)?,
            quantity: item.required("quantity", quantity)?,
            unit_price: item.required("unit_price", money)?,
            unit_cost: item.optional("unit_cost", money)?,
            category: item.optional("category", text)?,
        });
        Ok(())
    })?;
    Ok(items)
}

/// Takes in all that they say.
pub(super) fn digest(items: &[Item<'_>], digest: &mut Digest) {
    for item in items {
        digest.present(true).text(&item.sku).integer(item.quantity).money(item.unit_price);
        digest.optional_money(item.unit_cost).optional_text(item.category.as_deref());
    }
    digest.present(false);
}
