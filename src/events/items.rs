//! The items of an order: read, checked and summed; not kept.

use std::borrow::Cow;

use super::digest::Digest;
use super::fields::{Fields, id, money, quantity, text};
use super::rejection::Rejection;

/// Items an order may list.
pub const MAX_ITEMS: usize = 1_000;

/// What the items of an order come to.
pub(super) struct Items<'a> {
    pub count: usize,
    /// Sum of the quantities: at most 10^12.
    pub quantity: i64,
    pub first_sku: Option<Cow<'a, str>>,
    /// Sum of quantity x unit price, in micro-units: at most 10^3 x 10^9 x 9 x 10^18, which an `i128` holds.
    pub price: i128,
    /// Sum of quantity x unit cost, in micro-units, where each item has a unit cost.
    pub cost: Option<i128>,
}

impl<'a> Items<'a> {
    /// `None` when the event lists none at all. The digest takes in all that the items say.
    pub fn read(fields: &Fields<'_, 'a>, digest: &mut Digest) -> Result<Option<Items<'a>>, Rejection> {
        let mut items = Items { count: 0, quantity: 0, first_sku: None, price: 0, cost: Some(0) };
        let count = fields.list("items", MAX_ITEMS, |item| {
            let sku = item.required("sku", id)?;
            let quantity = item.required("quantity", quantity)?;
            let unit_price = item.required("unit_price", money)?;
            let unit_cost = item.optional("unit_cost", money)?;
            let category = item.optional("category", text)?;
            digest.present(true).text(&sku).integer(quantity).money(unit_price).optional_money(unit_cost);
            digest.optional_text(category.as_deref());
            items.quantity += quantity;
            items.price += i128::from(quantity) * i128::from(unit_price.0);
            items.cost = items
                .cost
                .zip(unit_cost)
                .map(|(cost, unit_cost)| cost + i128::from(quantity) * i128::from(unit_cost.0));
            items.first_sku.get_or_insert(sku);
            Ok(())
        })?;
        digest.present(false);
        Ok(count.map(|count| Items { count, ..items }))
    }
}
