//! What a campaign's buckets and windows hold: sums from customers ([`LedgerSums`]) and sums from spend events.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::engine::ledger::LedgerSums;
use crate::money::{Sum, adds_field_by_field};

/// Sums over booked spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpendSums {
    /// Amounts of kind `media`.
    pub media: Sum,
    /// Amounts of all kinds.
    pub all: Sum,
    pub impressions: i128,
    pub clicks: i128,
    pub reported_revenue: Sum,
    /// Hours covered by current reports that state `reported_revenue`, be it 0: one a report and hour.
    pub reporting: i64,
}

adds_field_by_field!(SpendSums { media, all, impressions, clicks, reported_revenue, reporting });

/// Everything that figures are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    pub ledger: LedgerSums,
    pub spend: SpendSums,
}

/// The totals of an hour or a day, of which often only one half is there.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    pub ledger: Option<Box<LedgerSums>>,
    pub spend: Option<Box<SpendSums>>,
}

impl Bucket {
    pub fn is_empty(&self) -> bool {
        self.ledger.is_none() && self.spend.is_none()
    }

    pub fn add_to(&self, totals: &mut Totals) {
        if let Some(ledger) = &self.ledger {
            totals.ledger += **ledger;
        }
        if let Some(spend) = &self.spend {
            totals.spend += **spend;
        }
    }

    pub fn new_customers(&self) -> i64 {
        self.ledger.as_ref().map_or(0, |ledger| ledger.new_customers)
    }

    pub fn halves(&self) -> (LedgerSums, SpendSums) {
        (self.ledger.as_deref().copied().unwrap_or_default(), self.spend.as_deref().copied().unwrap_or_default())
    }

    pub fn add(&mut self, other: &Bucket) {
        let (ledger, spend) = other.halves();
        ledger.add_to(self);
        spend.add_to(self);
    }
}

/// One half of [`Totals`], as it is booked.
pub trait Part: Copy + Default + PartialEq + AddAssign {
    fn half(totals: &mut Totals) -> &mut Self;
    fn half_of(bucket: &mut Bucket) -> &mut Option<Box<Self>>;
    fn new_customers(&self) -> i64;

    /// Adds to a bucket; a half that comes to nothing is dropped.
    fn add_to(self, bucket: &mut Bucket) {
        let half = Self::half_of(bucket);
        let sums = half.get_or_insert_default();
        **sums += self;
        if **sums == Self::default() {
            *half = None;
        }
    }
}

impl Part for LedgerSums {
    fn half(totals: &mut Totals) -> &mut LedgerSums {
        &mut totals.ledger
    }

    fn half_of(bucket: &mut Bucket) -> &mut Option<Box<LedgerSums>> {
        &mut bucket.ledger
    }

    fn new_customers(&self) -> i64 {
        self.new_customers
    }
}

impl Part for SpendSums {
    fn half(totals: &mut Totals) -> &mut SpendSums {
        &mut totals.spend
    }

    fn half_of(bucket: &mut Bucket) -> &mut Option<Box<SpendSums>> {
        &mut bucket.spend
    }

    fn new_customers(&self) -> i64 {
        0
    }
}
