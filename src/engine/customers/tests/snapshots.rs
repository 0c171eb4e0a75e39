//! A state that is read from a snapshot is the one that a restore makes of the changelog, in all that is kept and all that
//! follows from it.

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::engine::table::{NONE, Names};

const DAYS_KEPT: u32 = 400;

/// All of a state but the numbers that it gives to things.
fn told(stage: &Customers) -> Vec<String> {
    let name = |names: &Names, number: u32| names.text(number).map(str::to_owned);
    let order_id = |number: u32| {
        if number < stage.orders.places() { stage.orders[number].id.to_string() } else { format!("none: {number}") }
    };
    let mut told = vec![format!("{:?} {:?} {:?}", stage.totals, stage.horizon, stage.as_of)];
    for (_, customer) in stage.customers.iter() {
        let mut timeline: Vec<_> =
            customer.timeline.iter().map(|(at, order)| (at, stage.orders[order].id.clone())).collect();
        timeline.sort();
        told.push(format!(
            "{} {timeline:?} {:?} {} {} {} {:?}, first {:?} at {:?}, by {:?} with {:?}, {} {:?}",
            customer.id,
            customer.sums,
            customer.items,
            customer.acquisition_cost,
            customer.retention_cost,
            customer.since,
            order_id(customer.first_order()),
            customer.timeline.first().map(|first| first.0),
            name(&stage.campaigns, customer.contributed.campaign),
            order_id(customer.contributed.order),
            customer.touched,
            customer.contributing,
        ));
        if let Some(compacted) = &customer.compacted {
            told.push(format!(
                "{} {:?} {:?}",
                customer.id,
                stage.compacted_fact(customer, compacted),
                compacted.fingerprints
            ));
        }
    }
    for (slot, order) in stage.orders.iter().filter(|(_, order)| order.customer != NONE) {
        let customer = &stage.customers[order.customer];
        assert_eq!(stage.orders.find(order.customer, &order.id), Some(slot));
        let mut refunds: Vec<String> = stage
            .refunds
            .iter(order.refunds)
            .map(|refund| {
                format!("{} {:?} of {:?}", refund.id, refund.fact, stage.refunds.find(order.refunds, &refund.id))
            })
            .collect();
        refunds.sort();
        let placed = order.placed.as_ref().map(|placed| {
            let touches = placed
                .touches
                .iter()
                .map(|touch| (touch.at, name(&stage.campaigns, touch.campaign), name(&stage.channels, touch.channel)));
            let touches: Vec<_> = touches.collect();
            let sku = name(&stage.skus, placed.sku);
            let money = (placed.revenue, placed.cost_of_goods, placed.operating_cost, placed.items);
            let moments = (placed.occurred_at, placed.updated_at, placed.customer_since);
            (moments, money, placed.digest, sku, touches)
        });
        let (refunded, cancelled_at) = (stage.refunds.refunded(order.refunds), order.cancelled_at());
        told.push(format!("{}/{} {placed:?} {refunds:?} {refunded:?} {cancelled_at:?}", customer.id, order.id));
    }
    for (_, cost) in stage.costs.iter().filter(|(_, cost)| cost.customer != NONE) {
        let what = (&cost.id, cost.occurred_at, cost.amount, cost.kind, cost.digest);
        told.push(format!("{} {what:?}", stage.customers[cost.customer].id));
    }
    let as_of = stage.as_of.unwrap_or(Millis::MIN);
    let next = stage.customers.iter().filter_map(|(_, customer)| customer.next_moment(as_of)).min();
    assert!(next.is_none_or(|next| stage.next_moment().is_some_and(|moment| moment <= next)));
    told.sort();
    told
}

fn blocks(stage: &Customers) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    let saved: Result<(), ()> = stage.save(|block| {
        blocks.push(block.to_vec());
        Ok(())
    });
    assert_eq!(saved, Ok(()));
    blocks
}

/// The state as its snapshot is read.
pub fn loaded(stage: &Customers) -> Customers {
    loaded_to(stage, stage.as_of.map_or(Last::at(NOW), Last::at))
}

pub fn loaded_to(stage: &Customers, last: Last) -> Customers {
    let mut again = Customers::new(stage.settings.clone());
    for block in blocks(stage) {
        assert!(again.load(&block).unwrap() > 0);
    }
    again.restored(Some(last));
    again
}

/// What happens next, of few customers and few orders, so that things meet.
type Step = (u8, u8, u8, i64, i64, u8);

fn step(shop: &mut Shop, now: &mut Millis, (kind, customer, id, days_ago, amount, more): Step) {
    let at = now.0 - days_ago * DAY;
    let event = match kind {
        0..4 => {
            json!({"type": "purchase", "customer_id": customer, "order_id": id, "occurred_at": at, "revenue": amount,
                "updated_at": at + i64::from(more), "operating_cost": more % 7,
                "cost_of_goods": (more & 1 > 0).then_some(amount / 2), "campaign_id": (more & 2 > 0).then_some(more % 5),
                "channel": (more & 4 > 0).then_some("mail"),
                "customer_since": (more & 8 > 0).then_some(at - i64::from(more % 3) * DAY),
                "touchpoints": (more & 16 > 0).then(|| json!([{"at": at - DAY, "campaign_id": "x"}])) })
        }
        4 => {
            json!({"type": "refund", "customer_id": customer, "order_id": id, "refund_id": more % 4, "occurred_at": at,
                "amount": amount + 1, "cost_recovered": more % 3})
        }
        5 => json!({"type": "cancellation", "customer_id": customer, "order_id": id, "occurred_at": at}),
        6 => {
            json!({"type": "customer_cost", "customer_id": customer, "cost_id": id, "occurred_at": at, "amount": amount,
                "kind": if more & 1 > 0 { "acquisition" } else { "retention" }})
        }
        _ => {
            *now = now.plus(3 * DAY);
            while !shop.stage.roll(*now, 10, &mut shop.out) {}
            return;
        }
    };
    // Ids that are numbers are read as text; some events come too late.
    let text = event.to_string();
    let event = shop.decoder.decode(text.as_bytes(), Millis::MAX).unwrap();
    let _ = shop.stage.apply(&event, &mut shop.out);
}

proptest! {
    #[test]
    fn a_loaded_state_is_the_one_that_the_changelog_gives(
        steps in prop::collection::vec((0_u8..9, 0_u8..3, 0_u8..6, -4_i64..420, 0_i64..40, any::<u8>()), 0..120),
        compacts: bool,
        model in prop::sample::select(vec![Model::Last, Model::Linear, Model::Position, Model::TimeDecay]),
    ) {
        let mut shop = Shop::new(|settings| {
            settings.retention.orders_days = compacts.then_some(DAYS_KEPT);
            settings.attribution.model = model;
        });
        let mut now = NOW;
        for next in steps {
            step(&mut shop, &mut now, next);
        }
        shop.stage.flush(now, &mut shop.out);
        let expected = told(&restored(&shop));
        let first = loaded(&shop.stage);
        prop_assert_eq!(&told(&first), &expected);
        prop_assert_eq!(&told(&loaded(&first)), &expected);
        prop_assert_eq!(first.sizes().customers, shop.stage.sizes().customers);
    }

    #[test]
    fn no_bytes_panic(block in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let mut stage = Customers::new(Shop::new(|_| {}).stage.settings.clone());
        let _ = stage.load(&block);
        let mut good = blocks(&every_kind().stage).concat();
        let at = at.index(good.len());
        good.splice(at..(at + block.len() / 20).min(good.len()), block.iter().take(10).copied());
        let mut stage = Customers::new(Shop::new(|_| {}).stage.settings.clone());
        if stage.load(&good).is_ok() {
            stage.restored(Some(Last::at(NOW)));
            let ids: Vec<String> = stage.ids().map(str::to_owned).collect();
            ids.iter().for_each(|id| assert!(stage.record(id, NOW).is_some()));
        }
    }
}

/// A shop with things of each kind.
fn every_kind() -> Shop {
    let mut shop = Shop::new(short_memory);
    shop.take(with(order("a", 399, 100), json!({"campaign_id": "x", "channel": "mail"})));
    shop.take(json!({"type": "customer_cost", "customer_id": "c", "cost_id": "k", "occurred_at": at(-399), "amount": 1, "kind": "retention"}));
    pass(&mut shop, 0, 12);
    shop.take(with(
        order("b", 9, 100),
        json!({"items": [{"sku": "s", "quantity": 2, "unit_price": 5, "unit_cost": 1}]}),
    ));
    for (order, refund) in [("b", "r"), ("b", "q"), ("later", "r")] {
        shop.take(json!({"type": "refund", "customer_id": "c", "order_id": order, "refund_id": refund, "occurred_at": NOW.0, "amount": 3}));
    }
    shop.take(json!({"type": "cancellation", "customer_id": "d", "order_id": "o", "occurred_at": NOW.0}));
    shop.take(json!({"type": "customer_cost", "customer_id": "d", "cost_id": "k", "occurred_at": NOW.0, "amount": 1, "kind": "acquisition"}));
    shop.stage.flush(Millis(at(12)), &mut shop.out);
    shop
}

#[test]
fn things_of_each_kind_are_in_a_snapshot() {
    let shop = every_kind();
    assert_eq!(kinds(&shop), "cfkorrrxz");
    assert_eq!(told(&loaded(&shop.stage)), told(&restored(&shop)));
    assert_eq!(loaded(&shop.stage).horizon, shop.stage.horizon);
}

#[test]
fn what_is_written_otherwise_is_of_another_version() {
    let bytes = blocks(&every_kind().stage).concat();
    let why = "the version of checkpoints must change with it: `MAGIC` in kafka/restore/checkpoint/file.rs";
    assert_eq!(xxh3_64(&bytes), 0xef37_82bf_8431_f1a4, "{why}");
}

#[test]
fn an_order_with_many_refunds_is_read_as_it_was_written() {
    let mut shop = Shop::new(|_| {});
    shop.take(order("o", 3, 1_000));
    shop.take(order("p", 2, 1_000));
    for i in 0..20_000 {
        shop.take(json!({"type": "refund", "customer_id": "c", "order_id": if i % 10 > 0 { "o" } else { "later" },
            "refund_id": i, "occurred_at": NOW.0 - i, "amount": 0.01, "cost_recovered": 0.001}));
    }
    shop.flush();
    assert_eq!(told(&loaded(&shop.stage)), told(&restored(&shop)));
    let bytes = blocks(&shop.stage).concat().len();
    assert!(bytes < 40 * 20_000, "{bytes}");
}

#[test]
fn a_customer_with_many_orders_that_do_not_count_is_read_without_looking_at_all_of_them_each_time() {
    const ORDERS: i64 = 20_000;
    let mut shop = Shop::new(|_| {});
    for i in 0..ORDERS {
        let since = json!({"customer_since": at(-400 - i)});
        shop.take(with(order(&format!("{i}"), 1, 100), since));
        if i % 2 > 0 {
            shop.take(json!({"type": "cancellation", "customer_id": "c", "order_id": i, "occurred_at": NOW.0}));
        }
        shop.take(json!({"type": "customer_cost", "customer_id": "c", "cost_id": i, "occurred_at": NOW.0, "amount": 1, "kind": "retention"}));
    }
    shop.flush();
    assert_eq!(told(&loaded(&shop.stage)), told(&restored(&shop)));
}

#[test]
fn a_snapshot_may_have_any_number_of_blocks() {
    let mut shop = Shop::new(|_| {});
    for i in 0..12_000 {
        let id = format!("an order with a long name, so that a block is soon full: {i}");
        shop.take(with(order(&id, i % 300, 1), json!({"customer_id": i % 3})));
    }
    shop.flush();
    let blocks = blocks(&shop.stage);
    assert!(blocks.len() > 2 && blocks.iter().all(|block| block.len() <= 256 << 10), "{}", blocks.len());
    assert_eq!(told(&loaded(&shop.stage)), told(&restored(&shop)));
}

#[test]
fn nothing_is_there_twice_and_nothing_is_of_what_is_not_there() {
    let shop = every_kind();
    let good = blocks(&shop.stage).concat();
    let mut stage = Customers::new(shop.stage.settings.clone());
    assert!(stage.load(&good).is_ok());
    assert!(stage.load(&good).is_err(), "the texts have their numbers already");
    let customer: &[u8] = &[4, 1, b'c', 0];
    let other: &[u8] = &[4, 1, b'd', 0];
    let order: &[u8] = &[7, 1, b'o', 0, 0];
    let refund: &[u8] = &[8, 1, b'r', 2, 2, 0, 0];
    let load = |records: &[&[u8]]| Customers::new(shop.stage.settings.clone()).load(&records.concat());
    assert_eq!(load(&[customer, order, refund, other, order]), Ok(5));
    assert!(load(&[order]).is_err(), "it is of nobody");
    assert!(load(&[customer, order, order]).is_err());
    assert!(load(&[customer, customer]).is_err());
    assert!(load(&[&[5, 0]]).is_err(), "there is no customer 0");
    assert!(load(&[customer, refund]).is_err(), "of which order?");
    assert!(load(&[customer, order, other, refund]).is_err(), "that order was another's");
}
