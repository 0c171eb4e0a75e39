//! What is left of a campaign's amounts and reports once they are not kept one by one. Data only.

use std::collections::BTreeMap;

use super::facts::{CompactedFact, DaySpendFact};
use super::naming::Naming;
use super::totals::SpendSums;
use crate::engine::table::Names;
use crate::money::Sum;
use crate::time::Date;

/// What compacted spend events of a campaign still say.
#[derive(Clone, Debug, Default)]
pub struct Compacted {
    /// How many they are.
    pub events: u64,
    pub naming: Naming,
    /// Compacted amounts by day, while that is kept.
    pub days: BTreeMap<Date, DaySpend>,
}

/// Sums of the compacted amounts of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaySpend {
    pub media: Sum,
    pub all: Sum,
}

impl Compacted {
    pub fn fact<'a>(&self, names: &'a Names) -> CompactedFact<'a> {
        let labels = self.naming.best().map(|best| best.and_then(|(at, label)| Some((at, names.text(label)?))));
        CompactedFact { events: self.events, labels, through: self.naming.through() }
    }

    /// Estimate of its memory.
    pub fn bytes(&self) -> usize {
        // A date and two sums; nodes of the tree are two thirds full on the average.
        size_of::<Compacted>() + self.days.len() * size_of::<(Date, DaySpend)>() * 3 / 2
    }
}

impl DaySpend {
    pub fn new(fact: DaySpendFact) -> DaySpend {
        DaySpend { media: fact.media, all: fact.all }
    }

    pub fn fact(self) -> DaySpendFact {
        DaySpendFact { media: self.media, all: self.all }
    }

    pub fn sums(self) -> SpendSums {
        SpendSums { media: self.media, all: self.all, ..SpendSums::default() }
    }

    pub fn add(&mut self, sums: &SpendSums) {
        self.media += sums.media;
        self.all += sums.all;
    }
}

/// Amounts of days before the horizon whose turn to be compacted has not come. Nothing but compaction changes them, so a long
/// backlog is sorted once, and not again at each step.
#[derive(Clone, Debug, Default)]
pub struct DueAmounts {
    /// With their days, the latest first.
    amounts: Vec<(Date, u32)>,
}

impl DueAmounts {
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.amounts.iter().map(|(_, number)| *number)
    }

    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    pub fn oldest(&self) -> Option<Date> {
        self.amounts.last().map(|(day, _)| *day)
    }

    /// Adds more of them.
    pub fn gather(&mut self, amounts: impl Iterator<Item = (Date, u32)>) {
        self.amounts.extend(amounts);
        self.amounts.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Takes those of one day.
    pub fn take_day(&mut self, day: Date) -> Vec<(Date, u32)> {
        let first = self.amounts.partition_point(|(other, _)| *other > day);
        let end = self.amounts.partition_point(|(other, _)| *other >= day);
        self.amounts.drain(first..end).collect()
    }

    /// Takes about `limit` (at least 1), whole days from the oldest.
    pub fn take_oldest(&mut self, limit: usize) -> Vec<(Date, u32)> {
        let Some(&(day, _)) = self.amounts.len().checked_sub(limit.max(1)).and_then(|last| self.amounts.get(last))
        else {
            return std::mem::take(&mut self.amounts);
        };
        let first = self.amounts.partition_point(|(other, _)| *other > day);
        self.amounts.split_off(first)
    }

    pub fn bytes(&self) -> usize {
        self.amounts.capacity() * size_of::<(Date, u32)>()
    }
}
