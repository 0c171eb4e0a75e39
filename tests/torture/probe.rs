//! Orders that tell how far the figures have come: a customer in each partition of one stage, whose campaign is in a
//! partition of the other.

use std::collections::BTreeSet;

use payback::home::home;
use payback::shop::Source;
use serde_json::json;

use crate::load::{Delivery, now};

/// Customers with their campaigns.
pub struct Probes(Vec<(String, String)>);

impl Probes {
    /// As many as it takes to have one in each partition of both stages.
    pub fn new(partitions: u32) -> Probes {
        let homes = |prefix: &str| -> Vec<String> {
            let mut missing: BTreeSet<u32> = (0..partitions).collect();
            (0..)
                .map(|n| format!("{prefix}-{n}"))
                .filter(|id| missing.remove(&home(id, partitions)))
                .take(partitions as usize)
                .collect()
        };
        Probes(homes("probe").into_iter().zip(homes("probed")).collect())
    }

    /// The so-many-eth order of each.
    pub fn orders(&self, number: usize) -> Vec<Delivery> {
        let order = |(customer, campaign): &(String, String)| {
            let order = json!({
                "type": "purchase", "customer_id": customer, "order_id": number, "occurred_at": now().to_string(),
                "revenue": revenue(number), "cost_of_goods": 10, "campaign_id": campaign,
            });
            Delivery { source: Source::Purchases, key: Some(customer.clone()), value: order.to_string().into_bytes() }
        };
        self.0.iter().map(order).collect()
    }

    /// The keys of the records of the customers and of the campaigns.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(customer, campaign)| [customer.clone(), format!("campaign/{campaign}")])
    }
}

/// Of any order that is recognised by its number.
pub fn revenue(number: usize) -> u64 {
    100 + number as u64
}
