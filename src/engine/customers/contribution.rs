//! What customers contribute to campaigns, gathered as differences between two flushes.
//!
//! An order contributes its shares, at its own hour, to the campaigns of its touchpoints; a customer contributes itself
//! and all its figures, at the hour of its acquisition order, to the campaign that acquired it. Which shares count as of
//! *other* campaigns' customers, and which order is the acquisition order, goes by `Customer::contributed` until the
//! flush, where a change of it is booked over once however often it changed in between.

use std::collections::HashMap;

use super::KEPT;
use super::acquisition::{Acquired, Acquisition};
use super::state::{Counted, Placed, Touch};
use crate::domain::attribution::{PerTouch, split, weights};
use crate::domain::order::OrderSums;
use crate::engine::Effects;
use crate::engine::ledger::{Difference, LedgerSums, Payload};
use crate::engine::table::{NONE, Names};
use crate::home::home;
use crate::money::{SCALE, Sum};
use crate::settings::Settings;
use crate::time::Millis;

/// A payload that has grown to this many bytes is sent before the next campaign's differences.
const PAYLOAD_BYTES: usize = 512 * 1024;
/// One of this many is sent at once: a record has an end.
const MOST_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// The differences since the last flush, by campaign and hour.
#[derive(Debug, Default)]
pub struct Ledger(hashbrown::HashMap<(u32, Millis), LedgerSums>);

/// One touchpoint's share of an order.
struct Share {
    touch: Touch,
    orders: i64,
    sums: OrderSums,
}

/// The weights of an order's touchpoints.
pub fn touch_weights(settings: &Settings, placed: &Placed) -> PerTouch<u64> {
    weights(&settings.attribution, placed.occurred_at, placed.touches.iter().map(|touch| touch.at))
}

/// The shares of an order that are of a campaign.
fn shares(settings: &Settings, counted: Counted<'_>) -> PerTouch<Share> {
    let (placed, figures) = (counted.placed, counted.figures());
    if let [touch] = *placed.touches {
        let whole = Share { touch, orders: SCALE, sums: figures };
        return PerTouch::from_iter((touch.campaign != NONE).then_some(whole));
    }
    let weights = touch_weights(settings, placed);
    let of = |total: Sum| split(total.0, &weights);
    let (orders, revenue) = (split(SCALE.into(), &weights), of(figures.revenue));
    let (gross_profit, operating_profit) = (of(figures.gross_profit), of(figures.operating_profit));
    let covered = figures.covered_revenue == figures.revenue;
    (0..weights.len())
        .filter(|&i| weights[i] > 0 && placed.touches[i].campaign != NONE)
        .map(|i| Share {
            touch: placed.touches[i],
            orders: orders[i] as i64,
            sums: OrderSums {
                revenue: Sum(revenue[i]),
                covered_revenue: if covered { Sum(revenue[i]) } else { Sum::ZERO },
                gross_profit: Sum(gross_profit[i]),
                operating_profit: Sum(operating_profit[i]),
            },
        })
        .collect()
}

impl Ledger {
    fn at(&mut self, campaign: u32, hour: Millis) -> &mut LedgerSums {
        self.0.entry((campaign, hour)).or_default()
    }

    fn book(&mut self, campaign: u32, hour: Millis, sums: LedgerSums, sign: Sign) {
        match sign {
            Sign::Plus => *self.at(campaign, hour) += sums,
            Sign::Minus => *self.at(campaign, hour) -= sums,
        }
    }

    /// Books the shares of an order that counts, or takes them back.
    pub fn order(&mut self, settings: &Settings, contributed: Acquisition, counted: Counted<'_>, sign: Sign) {
        let hour = settings.zone.hour_start(counted.placed.occurred_at);
        for share in shares(settings, counted) {
            let sums = LedgerSums {
                shares: 1,
                orders: share.orders,
                attributed: share.sums,
                others: if share.touch.campaign == contributed.campaign { OrderSums::default() } else { share.sums },
                new_customer_revenue: if counted.slot == contributed.order { share.sums.revenue } else { Sum::ZERO },
                ..LedgerSums::default()
            };
            self.book(share.touch.campaign, hour, sums, sign);
        }
    }

    /// Books over what one order's shares count as, from one acquisition of its customer to another.
    pub fn rebook(&mut self, settings: &Settings, (from, to): (Acquisition, Acquisition), counted: Counted<'_>) {
        let touched = |touch: &Touch| touch.campaign != NONE && [from.campaign, to.campaign].contains(&touch.campaign);
        let placed = counted.placed;
        let was_first = counted.slot == from.order;
        let is_first = counted.slot == to.order;
        if was_first == is_first && !placed.touches.iter().any(touched) {
            return;
        }
        let hour = settings.zone.hour_start(placed.occurred_at);
        for share in shares(settings, counted) {
            let own = |acquisition: Acquisition| share.touch.campaign == acquisition.campaign;
            let ledger = self.at(share.touch.campaign, hour);
            match (own(from), own(to)) {
                (true, false) => ledger.others += share.sums,
                (false, true) => ledger.others -= share.sums,
                _ => {}
            }
            match (was_first, is_first) {
                (true, false) => ledger.new_customer_revenue -= share.sums.revenue,
                (false, true) => ledger.new_customer_revenue += share.sums.revenue,
                _ => {}
            }
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.allocation_size()
    }

    /// Books an acquired customer, or takes it back.
    pub fn acquired(&mut self, acquired: Acquired, sign: Sign) {
        let sums = LedgerSums {
            new_customers: 1,
            acquired: acquired.sums,
            acquisition_cost: acquired.acquisition_cost,
            ..LedgerSums::default()
        };
        self.book(acquired.campaign, acquired.hour, sums, sign);
    }

    /// Hands over all differences and begins anew.
    ///
    /// Those of one campaign stay together, while they fit in one record: what an order takes from one of its hours and adds
    /// to another is then taken in at once, and no figure is ever without it.
    pub fn drain(&mut self, settings: &Settings, campaigns: &Names, effects: &mut impl Effects) {
        let mut buckets: Vec<(u32, Millis)> = self.0.keys().copied().collect();
        buckets.sort_unstable();
        let mut payloads: HashMap<u32, Payload> = HashMap::new();
        for of_campaign in buckets.chunk_by(|(campaign, _), (next, _)| campaign == next) {
            let Some(campaign_id) = of_campaign.first().and_then(|(campaign, _)| campaigns.text(*campaign)) else {
                continue;
            };
            let partition = home(campaign_id, settings.campaign_partitions);
            let payload = payloads.entry(partition).or_insert_with(|| Payload::new(settings.format));
            let mut send_from = |bytes: usize, payload: &mut Payload| {
                if payload.as_bytes().len() >= bytes {
                    effects.differences(partition, payload.as_bytes());
                    *payload = Payload::new(settings.format);
                }
            };
            send_from(PAYLOAD_BYTES, payload);
            for bucket in of_campaign {
                let sums = self.0.get(bucket).copied().unwrap_or_default();
                if sums != LedgerSums::default() {
                    payload.push(&Difference { campaign_id, hour: bucket.1, sums });
                    send_from(MOST_PAYLOAD_BYTES, payload);
                }
            }
        }
        self.0.clear();
        self.0.shrink_to(KEPT.max(2 * buckets.len()));
        for (partition, payload) in payloads.iter().filter(|(_, payload)| !payload.is_empty()) {
            effects.differences(*partition, payload.as_bytes());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::engine::ledger::read_payload;

    #[derive(Default)]
    struct Payloads(Vec<Vec<u8>>);

    impl Effects for Payloads {
        fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}

        fn update(&mut self, _: &str, _: Option<&[u8]>) {}

        fn differences(&mut self, _: u32, payload: &[u8]) {
            self.0.push(payload.to_vec());
        }
    }

    /// What is handed over of so many campaigns with so many hours each.
    fn drained(campaigns: u32, hours: i64) -> Vec<Vec<u8>> {
        let settings = Settings { campaign_partitions: 1, ..Settings::default() };
        let (mut ledger, mut names, mut payloads) = (Ledger::default(), Names::default(), Payloads::default());
        for campaign in 0..campaigns {
            let number = names.number(&format!("{campaign:0>250}"));
            for hour in 0..hours {
                let sums = LedgerSums { shares: 1 - hour % 2 * 2, ..LedgerSums::default() };
                ledger.book(number, Millis(hour * Millis::HOUR), sums, Sign::Plus);
            }
        }
        ledger.drain(&settings, &names, &mut payloads);
        assert!(ledger.0.is_empty());
        payloads.0
    }

    #[test]
    fn the_differences_of_a_campaign_are_in_one_payload() {
        let payloads = drained(60, 100);
        assert!(payloads.len() > 2, "{}", payloads.len());
        let mut seen = HashSet::new();
        let mut count = 0;
        for payload in &payloads {
            assert!(payload.len() < PAYLOAD_BYTES + 100 * 300);
            let differences = read_payload(payload).unwrap();
            count += differences.len();
            let of_payload: HashSet<String> = differences.iter().map(|it| it.campaign_id.to_owned()).collect();
            assert!(of_payload.into_iter().all(|campaign| seen.insert(campaign)), "a campaign is in two payloads");
        }
        assert_eq!((seen.len(), count), (60, 6_000));
    }

    #[test]
    fn a_payload_has_an_end_whatever_one_campaign_has() {
        let payloads = drained(1, 20_000);
        assert!(payloads.iter().all(|payload| payload.len() < MOST_PAYLOAD_BYTES + 300));
        assert_eq!(payloads.iter().map(|payload| read_payload(payload).unwrap().len()).sum::<usize>(), 20_000);
    }
}
