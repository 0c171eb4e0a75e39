//! Both stages in one process: shards of customers and of campaigns, worked on by all cores. Pure: no files, no clock.
//!
//! A shard is what a partition is on Kafka, and the engines are the same. An event goes to the shard of its home; the
//! events of a shard are applied in the order in which they came, so that nothing depends on threads.

use std::sync::Arc;

use rayon::prelude::*;

use super::line::{Line, Rejected};
use crate::engine::campaigns::Campaigns;
use crate::engine::customers::Customers;
use crate::engine::{Effects, FormatError, Outcome, Stage};
use crate::events::{Event, Home, Rejection};
use crate::home::home;
use crate::settings::Settings;
use crate::time::Millis;

/// The state of all shards.
#[derive(Debug)]
pub struct Pipeline {
    customers: Vec<Customers>,
    campaigns: Vec<Campaigns>,
}

/// Events with their lines, by the shards that they are at home in.
#[derive(Debug)]
pub struct Batch<'a> {
    customers: Vec<Vec<(Event<'a>, Line<'a>)>>,
    campaigns: Vec<Vec<(Event<'a>, Line<'a>)>>,
}

impl<'a> Batch<'a> {
    /// For a pipeline of so many shards.
    pub fn new(shards: usize) -> Batch<'a> {
        let empty = || (0..shards).map(|_| Vec::new()).collect();
        Batch { customers: empty(), campaigns: empty() }
    }

    /// Puts an event into the shard of its home.
    pub fn push(&mut self, event: Event<'a>, line: Line<'a>) {
        let shards = self.customers.len() as u32;
        let shard = match event.home() {
            Home::Customer(id) => &mut self.customers[home(id, shards) as usize],
            Home::Campaign(id) => &mut self.campaigns[home(id, shards) as usize],
        };
        shard.push((event, line));
    }

    /// Events in all shards.
    pub fn len(&self) -> usize {
        self.customers.iter().chain(&self.campaigns).map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many events became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Events that changed something.
    pub applied: u64,
    /// Events that were known already.
    pub duplicate: u64,
    /// Events of which a newer version was known.
    pub superseded: u64,
}

impl Outcomes {
    /// All of them.
    pub fn sum(self) -> u64 {
        self.applied + self.duplicate + self.superseded
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Superseded => self.superseded += 1,
        }
    }

    /// Of both together.
    pub fn plus(self, other: Outcomes) -> Outcomes {
        Outcomes {
            applied: self.applied + other.applied,
            duplicate: self.duplicate + other.duplicate,
            superseded: self.superseded + other.superseded,
        }
    }
}

/// What became of some events.
#[derive(Debug, Default)]
pub struct Applied<'a> {
    /// Of those that were accepted.
    pub outcomes: Outcomes,
    /// The latest [`Event::moment`] of those that were accepted.
    pub latest: Option<Millis>,
    /// Those that were not, in no order.
    pub refused: Vec<Rejected<'a>>,
}

impl<'a> Applied<'a> {
    fn note(&mut self, event: &Event<'a>, line: Line<'a>, outcome: Result<Outcome, Rejection>) {
        match outcome {
            Ok(outcome) => {
                self.outcomes.count(outcome);
                self.latest = self.latest.max(Some(event.moment()));
            }
            Err(rejection) => self.refused.push(Rejected { line, rejection }),
        }
    }

    fn plus(mut self, other: Applied<'a>) -> Applied<'a> {
        self.outcomes = self.outcomes.plus(other.outcomes);
        self.latest = self.latest.max(other.latest);
        self.refused.extend(other.refused);
        self
    }
}

impl Pipeline {
    /// With so many shards (at least one) of each stage. More shards than cores keep all cores busy to the end.
    pub fn new(settings: &Settings, shards: usize) -> Pipeline {
        // A replay ends in one state, of files in any order: it has no use for giving anything up on the way.
        let retention = settings.retention.of_everything();
        let settings = Arc::new(Settings { campaign_partitions: shards as u32, retention, ..settings.clone() });
        Pipeline {
            customers: (0..shards).map(|_| Customers::new(Arc::clone(&settings))).collect(),
            campaigns: (0..shards).map(|_| Campaigns::new(Arc::clone(&settings))).collect(),
        }
    }

    /// Applies the events of these batches, which were made for as many shards as there are here.
    pub fn apply<'a>(&mut self, batches: &[Batch<'a>]) -> Applied<'a> {
        let Self { customers, campaigns } = self;
        let (of_customers, of_campaigns) = rayon::join(
            || apply_to(customers, batches, |batch| &batch.customers),
            || apply_to(campaigns, batches, |batch| &batch.campaigns),
        );
        of_customers.plus(of_campaigns)
    }

    /// Brings what customers contribute to their campaigns. `as_of` never goes back.
    ///
    /// # Errors
    /// None: what one stage writes the other reads.
    pub fn flush(&mut self, as_of: Millis) -> Result<(), FormatError> {
        let flushed = self.customers.par_iter_mut().map(|shard| {
            let mut out = Differences::default();
            shard.flush(as_of, &mut out);
            out.0
        });
        let flushed: Vec<Vec<(u32, Vec<u8>)>> = flushed.collect();
        self.campaigns.par_iter_mut().enumerate().try_for_each(|(index, shard)| {
            let payloads = flushed.iter().flatten().filter(|(partition, _)| *partition as usize == index);
            payloads.map(|(_, payload)| payload).try_for_each(|payload| shard.absorb(payload))?;
            shard.flush(as_of, &mut Differences::default());
            Ok(())
        })
    }

    /// Gives each customer's record to `take`, sorted by id.
    ///
    /// # Errors
    /// Those of `take`, which end it.
    pub fn customer_records<E>(&self, as_of: Millis, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        records(&self.customers, as_of, take)
    }

    /// Gives each campaign's record to `take`, sorted by id.
    ///
    /// # Errors
    /// Those of `take`, which end it.
    pub fn campaign_records<E>(&self, as_of: Millis, take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        records(&self.campaigns, as_of, take)
    }
}

fn apply_to<'b, 'a: 'b, S: Stage>(
    shards: &mut [S],
    batches: &'b [Batch<'a>],
    events: impl Fn(&'b Batch<'a>) -> &'b [Vec<(Event<'a>, Line<'a>)>] + Sync,
) -> Applied<'a> {
    let apply = |(index, shard): (usize, &mut S)| {
        let mut applied = Applied::default();
        for (event, line) in batches.iter().flat_map(|batch| &events(batch)[index]) {
            applied.note(event, *line, shard.apply(event, &mut Differences::default()));
        }
        applied
    };
    shards.par_iter_mut().enumerate().map(apply).reduce(Applied::default, Applied::plus)
}

/// Records that are written at once, by all cores: some megabytes.
const AT_ONCE: usize = 16_384;

fn records<S: Stage + Sync, E>(
    shards: &[S],
    as_of: Millis,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut ids: Vec<(&str, &S)> = shards.iter().flat_map(|shard| shard.ids().map(move |id| (id, shard))).collect();
    ids.par_sort_unstable_by_key(|(id, _)| *id);
    let mut count = 0;
    for some in ids.chunks(AT_ONCE) {
        let written: Vec<_> = some.par_iter().filter_map(|(id, shard)| shard.record(id, as_of)).collect();
        count += written.len() as u64;
        written.iter().try_for_each(|record| take(record))?;
    }
    Ok(count)
}

/// A batch needs no changelog and no updates in between.
#[derive(Default)]
struct Differences(Vec<(u32, Vec<u8>)>);

impl Effects for Differences {
    fn fact(&mut self, _key: &[u8], _value: Option<&[u8]>) {}

    fn update(&mut self, _key: &str, _value: Option<&[u8]>) {}

    fn wants_updates(&self) -> bool {
        false
    }

    fn differences(&mut self, partition: u32, payload: &[u8]) {
        self.0.push((partition, payload.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Decoder, Reason};

    const DAY: i64 = Millis::DAY;

    #[test]
    fn what_an_engine_refuses_is_told_with_its_line_and_counts_for_nothing() {
        // As no replay is set: history is compacted.
        let mut pipeline = Pipeline::new(&Settings::default(), 1);
        let mut settings = Settings { campaign_partitions: 1, ..Settings::default() };
        settings.retention.orders_days = Some(400);
        pipeline.customers = vec![Customers::new(Arc::new(settings.clone()))];
        pipeline.campaigns = vec![Campaigns::new(Arc::new(settings.clone()))];
        let now = Millis(20_000 * DAY);
        for day in [-7, -6, -1, 0] {
            pipeline.flush(now.plus(day * DAY)).unwrap();
        }

        let decoder = Decoder::new(&settings);
        let at = |days_ago: i64| now.0 - days_ago * DAY;
        let lines = [
            format!(r#"{{"type":"purchase","customer_id":"c","order_id":1,"occurred_at":{},"revenue":1}}"#, at(500)),
            format!(r#"{{"type":"ad_spend","campaign_id":"g","spend_id":1,"occurred_at":{},"amount":1}}"#, at(500)),
            format!(r#"{{"type":"purchase","customer_id":"c","order_id":2,"occurred_at":{},"revenue":1}}"#, at(10)),
        ];
        let mut batch = Batch::new(1);
        for (number, text) in (1..).zip(&lines) {
            let line = Line { number, raw: text.as_bytes(), length: text.len() as u64 };
            batch.push(decoder.decode(text.as_bytes(), now).unwrap(), line);
        }
        let mut applied = pipeline.apply(&[batch]);
        applied.refused.sort_by_key(|refused| refused.line.number);
        let refused: Vec<_> =
            applied.refused.iter().map(|refused| (refused.line.raw, refused.rejection.reason)).collect();
        assert_eq!(refused, [0, 1].map(|index: usize| (lines[index].as_bytes(), Reason::TooLate)));
        assert_eq!(applied.outcomes, Outcomes { applied: 1, ..Outcomes::default() });
        assert_eq!(applied.latest, Some(Millis(at(10))));
    }
}
