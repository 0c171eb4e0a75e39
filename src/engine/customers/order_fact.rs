//! The fact of an order: all that its event says which anything may ever be computed from. What is not kept can't be asked for
//! later.
//!
//! In memory an order is smaller: an [`OrderFact`] is what its figures depend on, the [`Details`] stand in the changelog
//! alone. So a fact is only ever written from its event ([`Customers::purchase`](super::Customers)), never from memory:
//! what is restored, and a snapshot, would write it without them.
//!
//! | format | holds |
//! | --- | --- |
//! | 1 | what the figures depend on; the sum of the quantities, in units, and the first item's sku |
//! | 2 | what the figures depend on; the details: each item, shop, offer, amounts before they were converted |

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::facts::MALFORMED;
use crate::domain::order::{CostOfGoods, Original};
use crate::engine::FormatError;
use crate::engine::fact::append;
use crate::events::{Item, Purchase, Touchpoint};
use crate::format::{self, Format};
use crate::money::{Micros, Rate, SCALE};
use crate::settings::Currency;
use crate::time::Millis;

/// What an order's figures depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderFact<'a> {
    pub occurred_at: Millis,
    pub updated_at: Millis,
    pub revenue: Micros,
    pub cost_of_goods: CostOfGoods,
    pub operating_cost: Micros,
    pub customer_since: Option<Millis>,
    pub digest: u64,
    /// Those that take part in the attribution.
    #[serde(borrow)]
    pub touches: SmallVec<[TouchFact<'a>; 2]>,
    /// Sum of the items' quantities, in millionths. In format 2 it follows from the details; so does the sku.
    #[serde(skip)]
    pub quantity: i64,
    /// Of the first item.
    #[serde(skip)]
    pub sku: Option<&'a str>,
}

/// A touchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TouchFact<'a> {
    pub at: Millis,
    pub campaign: Option<&'a str>,
    pub channel: Option<&'a str>,
}

/// What the changelog alone keeps of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details<'a> {
    #[serde(borrow)]
    items: SmallVec<[ItemFact<'a>; 2]>,
    shop: Option<&'a str>,
    offer: Option<&'a str>,
    original: Option<OriginalFact>,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ItemFact<'a> {
    sku: &'a str,
    category: Option<&'a str>,
    /// In millionths.
    quantity: i64,
    /// What of the order's revenue falls to it, before refunds.
    revenue: Micros,
    /// Of all its pieces, where it is stated and within the range of money.
    cost: Option<Micros>,
}

/// The amounts of the order before they were converted; none where they are in the reporting currency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct OriginalFact {
    currency: [u8; 3],
    /// Where there is one: what says nothing but zeros can do without.
    rate: Option<Rate>,
    revenue: Micros,
    cost_of_goods: CostOfGoods,
    operating_cost: Micros,
}

/// As format 1 has it.
#[derive(Serialize, Deserialize)]
struct First<'a> {
    occurred_at: Millis,
    updated_at: Millis,
    revenue: Micros,
    cost_of_goods: CostOfGoods,
    operating_cost: Micros,
    /// In units.
    items: i64,
    customer_since: Option<Millis>,
    digest: u64,
    sku: Option<&'a str>,
    #[serde(borrow)]
    touches: SmallVec<[TouchFact<'a>; 2]>,
}

impl<'a> OrderFact<'a> {
    /// What figures depend on, with the touchpoints that take part.
    pub fn of(purchase: &'a Purchase<'_>, touches: impl Iterator<Item = &'a Touchpoint<'a>>) -> OrderFact<'a> {
        let touches = touches.map(|touch| TouchFact {
            at: touch.at,
            campaign: touch.campaign_id.as_deref(),
            channel: touch.channel.as_deref(),
        });
        OrderFact {
            occurred_at: purchase.occurred_at,
            updated_at: purchase.updated_at,
            revenue: purchase.revenue,
            cost_of_goods: purchase.cost_of_goods,
            operating_cost: purchase.operating_cost,
            customer_since: purchase.customer_since,
            digest: purchase.digest,
            touches: touches.collect(),
            // At most 10^12 units.
            quantity: purchase.quantity() * SCALE,
            sku: purchase.items.first().map(|item| &*item.sku),
        }
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// A newer format, or bytes that are no order.
    pub fn read(value: &'a [u8]) -> Result<OrderFact<'a>, FormatError> {
        let (format, content) = format::split(value, MALFORMED)?;
        if format.number() == 1 {
            return First::of(format::whole(content, MALFORMED)?);
        }
        let (mut fact, details): (OrderFact<'a>, Details<'a>) = format::whole(content, MALFORMED)?;
        let mut quantities = details.items.iter().map(|item| item.quantity);
        fact.quantity = quantities.try_fold(0, i64::checked_add).ok_or(MALFORMED)?;
        fact.sku = details.items.first().map(|item| item.sku);
        Ok(fact)
    }

    /// Appends the content of its fact. Format 1 has no room for details.
    pub fn write(&self, details: &Details<'_>, format: Format, value: &mut Vec<u8>) {
        if format.number() == 1 { append(value, &First::from(self)) } else { append(value, &(self, details)) }
    }
}

impl<'a> First<'a> {
    fn of(self) -> Result<OrderFact<'a>, FormatError> {
        Ok(OrderFact {
            occurred_at: self.occurred_at,
            updated_at: self.updated_at,
            revenue: self.revenue,
            cost_of_goods: self.cost_of_goods,
            operating_cost: self.operating_cost,
            customer_since: self.customer_since,
            digest: self.digest,
            touches: self.touches,
            quantity: self.items.checked_mul(SCALE).ok_or(MALFORMED)?,
            sku: self.sku,
        })
    }
}

impl<'a> From<&OrderFact<'a>> for First<'a> {
    fn from(fact: &OrderFact<'a>) -> First<'a> {
        First {
            occurred_at: fact.occurred_at,
            updated_at: fact.updated_at,
            revenue: fact.revenue,
            cost_of_goods: fact.cost_of_goods,
            operating_cost: fact.operating_cost,
            items: fact.quantity / SCALE,
            customer_since: fact.customer_since,
            digest: fact.digest,
            sku: fact.sku,
            touches: fact.touches.clone(),
        }
    }
}

impl<'a> Details<'a> {
    pub fn of(purchase: &'a Purchase<'_>) -> Details<'a> {
        let revenues = purchase.revenue_of_items();
        let items = purchase.items.iter().zip(revenues).map(|(item, revenue)| ItemFact {
            sku: &item.sku,
            category: item.category.as_deref(),
            quantity: item.quantity * SCALE,
            revenue,
            cost: item_cost(item),
        });
        Details {
            items: items.collect(),
            shop: purchase.shop.as_deref(),
            offer: purchase.offer.as_deref(),
            original: purchase.original.as_deref().map(OriginalFact::from),
        }
    }
}

fn item_cost(item: &Item<'_>) -> Option<Micros> {
    let cost = i64::try_from(item.cost()?).ok().map(Micros)?;
    (cost <= Micros::MAX).then_some(cost)
}

impl From<&Original> for OriginalFact {
    fn from(original: &Original) -> OriginalFact {
        let Original { currency: Currency(currency), rate, revenue, cost_of_goods, operating_cost } = *original;
        OriginalFact { currency, rate: Some(rate), revenue, cost_of_goods, operating_cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fact::write_value;
    use crate::events::{Decoder, Event};
    use crate::settings::Settings;

    const NOW: Millis = Millis(1_795_255_200_000);

    /// Takes a purchase with these fields beside those that it must have.
    fn of_purchase(fields: &str, check: impl FnOnce(Purchase<'_>)) {
        let text = format!(
            r#"{{"type":"purchase","customer_id":"c","order_id":"o","occurred_at":"2026-11-20T10:00:00Z",{fields}}}"#
        );
        match Decoder::new(&Settings::default()).decode(text.as_bytes(), NOW) {
            Ok(Event::Purchase(purchase)) => check(purchase),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn written(purchase: &Purchase<'_>, format: u8) -> Vec<u8> {
        let format = Format::new(format).unwrap();
        let mut value = Vec::new();
        let fact = OrderFact::of(purchase, purchase.touchpoints.iter());
        write_value(format, &mut value, |value| fact.write(&Details::of(purchase), format, value));
        value
    }

    const TWO_ITEMS: &str = r#""shop":"de","offer":"SPRING","discount":30,"customer_since":"2020-01-01T00:00:00Z","campaign_id":"g","channel":"search",
        "items":[{"sku":"A","category":"shoes","quantity":2,"unit_price":40,"unit_cost":"7.25"},{"sku":"B","quantity":1,"unit_price":40}]"#;

    #[test]
    fn both_formats_hold_what_figures_depend_on() {
        for (fields, quantity, sku, touches) in [(TWO_ITEMS, 3_000_000, Some("A"), 1), (r#""revenue":5"#, 0, None, 0)] {
            of_purchase(fields, |purchase| {
                let values: Vec<Vec<u8>> = format::READS.map(|format| written(&purchase, format)).collect();
                let fact = OrderFact::of(&purchase, purchase.touchpoints.iter());
                assert_eq!((fact.quantity, fact.sku, fact.touches.len()), (quantity, sku, touches));
                assert!(values.iter().all(|value| OrderFact::read(value).as_ref() == Ok(&fact)), "{values:?}");
            });
        }
    }

    #[test]
    fn format_2_holds_what_else_an_order_says() {
        let original = Original {
            currency: Currency(*b"EUR"),
            rate: Rate(1_080_000_000_000),
            revenue: Micros(83_333_333),
            cost_of_goods: CostOfGoods::Unknown,
            operating_cost: Micros(7),
        };
        of_purchase(TWO_ITEMS, |mut purchase| {
            purchase.original = Some(Box::new(original));
            let value = written(&purchase, 2);
            let (_, details): (OrderFact<'_>, Details<'_>) = format::read(&value, MALFORMED).unwrap();
            assert_eq!((details.shop, details.offer), (Some("de"), Some("SPRING")));
            let found = details.original.unwrap();
            assert_eq!(found, OriginalFact::from(&original));
            assert_eq!((found.currency, found.rate), (*b"EUR", Some(original.rate)));
            let items = details.items.iter();
            let items: Vec<_> =
                items.map(|item| (item.sku, item.category, item.quantity, item.revenue.0, item.cost)).collect();
            // The discount of 30 is shared by 80 and 40.
            let shoes = ("A", Some("shoes"), 2_000_000, 60_000_000, Some(Micros(14_500_000)));
            assert_eq!(items, [shoes, ("B", None, 1_000_000, 30_000_000, None)]);
        });
    }

    #[test]
    fn a_cost_that_is_out_of_range_is_left_out() {
        let item = r#""revenue":1,"cost_of_goods":1,"items":[{"sku":"A","quantity":1000,"unit_price":1,"unit_cost":9000000000000}]"#;
        of_purchase(item, |purchase| assert_eq!(Details::of(&purchase).items[0].cost, None));
    }

    #[test]
    fn quantities_that_do_not_add_up_are_refused() {
        of_purchase(TWO_ITEMS, |purchase| {
            let fact = OrderFact::of(&purchase, purchase.touchpoints.iter());
            let mut details = Details::of(&purchase);
            details.items.iter_mut().for_each(|item| item.quantity = i64::MAX);
            let mut value = Vec::new();
            write_value(Format::default(), &mut value, |value| fact.write(&details, Format::default(), value));
            assert_eq!(OrderFact::read(&value), Err(MALFORMED));
        });
    }
}
