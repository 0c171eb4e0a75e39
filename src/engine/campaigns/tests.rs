//! The stage as a whole: events and differences in, records out.

mod compaction;
mod figures;
mod moments;
mod naming;
mod restore;
mod snapshots;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Campaigns;
use super::facts::Key;
use super::record::{CampaignRecord, WindowRecord};
use crate::domain::spend::SpendKind;
use crate::engine::ledger::{Difference, LedgerSums, Payload};
use crate::engine::{Effects, Last, Outcome, Stage};
use crate::events::{AdSpend, AdSpendReport, Event, Rejection};
use crate::money::{Micros, Sum};
use crate::settings::Settings;
use crate::time::{Date, Millis};

/// Everything that was put out: the changelog and the topic as compaction leaves them, and the updates since last asked.
#[derive(Default)]
struct Out {
    /// But for the horizons.
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    horizons: Option<Vec<u8>>,
    topic: BTreeMap<String, Vec<u8>>,
    updates: Vec<(String, Option<Vec<u8>>)>,
    facts_written: usize,
}

impl Effects for Out {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        if key == b"z" {
            self.horizons = value.map(<[u8]>::to_vec);
            return;
        }
        self.facts_written += 1;
        match value {
            Some(value) => self.facts.insert(key.to_vec(), value.to_vec()),
            None => self.facts.remove(key),
        };
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        self.updates.push((key.to_owned(), value.map(<[u8]>::to_vec)));
        match value {
            Some(value) => self.topic.insert(key.to_owned(), value.to_vec()),
            None => self.topic.remove(key),
        };
    }

    fn differences(&mut self, _: u32, _: &[u8]) {
        panic!("this stage sends none");
    }
}

/// A stage with what it put out.
struct Shop {
    stage: Campaigns,
    out: Out,
}

impl Shop {
    fn new(settings: Settings) -> Shop {
        Shop { stage: Campaigns::new(Arc::new(settings)), out: Out::default() }
    }

    fn apply(&mut self, event: Event<'_>) -> Outcome {
        self.try_to_apply(event).unwrap()
    }

    fn try_to_apply(&mut self, event: Event<'_>) -> Result<Outcome, Rejection> {
        let checked = self.stage.check(&event);
        let applied = self.stage.apply(&event, &mut self.out);
        assert_eq!(applied.as_ref().err(), checked.as_ref().err());
        applied
    }

    fn absorb(&mut self, campaign: &str, hour: Millis, sums: LedgerSums) {
        let mut payload = Payload::default();
        payload.push(&Difference { campaign_id: campaign, hour, sums });
        self.stage.absorb(payload.as_bytes()).unwrap();
    }

    fn flush(&mut self, as_of: Millis) {
        self.stage.flush(as_of, &mut self.out);
    }

    /// A stage that the facts, folded by compaction, were restored to, in this order.
    fn restored(&self, settings: &Settings, as_of: Option<Millis>, order: &[usize]) -> Shop {
        let mut restored = Shop::new(settings.clone());
        let facts: Vec<_> = self.out.facts.iter().collect();
        for &index in order {
            let Some((key, value)) = facts.get(index % facts.len().max(1)) else { continue };
            restored.stage.restore(key, Some(value)).unwrap();
        }
        for (key, value) in facts {
            restored.stage.restore(key, Some(value)).unwrap();
        }
        if let Some(horizons) = &self.out.horizons {
            restored.stage.restore(b"z", Some(horizons)).unwrap();
        }
        restored.stage.restored(as_of.map(Last::at));
        restored.out.facts = self.out.facts.clone();
        restored.out.horizons = self.out.horizons.clone();
        restored
    }

    /// The present record, as the API gives it.
    fn present(&self, campaign: &str, as_of: Millis) -> Option<CampaignRecord<'static>> {
        self.stage.record(campaign, as_of).map(|json| serde_json::from_slice(&json).unwrap())
    }

    /// Ends the roll that was begun, rolls all round, and returns the keys that were written.
    fn roll(&mut self, as_of: Millis) -> Vec<String> {
        self.out.updates.clear();
        for _ in 0..2 {
            while !self.stage.roll(as_of, 1, &mut self.out) {}
        }
        self.out.updates.drain(..).map(|(key, _)| key).collect()
    }

    /// Writes everything again.
    fn rewrite(&mut self, as_of: Millis) -> Vec<String> {
        self.out.updates.clear();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.stage.rewrite(from, 1, as_of, &mut self.out);
        }
        self.out.updates.drain(..).map(|(key, _)| key).collect()
    }

    fn record(&self, campaign: &str) -> CampaignRecord<'static> {
        serde_json::from_slice(&self.out.topic[&format!("campaign/{campaign}")]).unwrap()
    }

    fn window(&self, campaign: &str, window: &str) -> WindowRecord<'static> {
        self.record(campaign).windows.get(window).unwrap().clone()
    }
}

const UNIT: i64 = 1_000_000;

/// 2026-11-21T10:00:05Z.
const NOW: Millis = Millis(1_795_255_205_000);

fn today() -> Date {
    Date::parse("2026-11-21").unwrap()
}

fn hour(back: i64) -> Millis {
    Millis(NOW.0 - NOW.0.rem_euclid(Millis::HOUR) - back * Millis::HOUR)
}

fn units(units: i64) -> Sum {
    Sum(i128::from(units) * i128::from(UNIT))
}

fn spend(campaign: &'static str, id: &'static str, at: Millis, amount: i64) -> AdSpend<'static> {
    AdSpend {
        campaign_id: campaign.into(),
        spend_id: id.into(),
        occurred_at: at,
        amount: Micros(amount * UNIT),
        kind: SpendKind::Media,
        channel: None,
        digest: 1,
    }
}

fn report(campaign: &'static str, date: Date, reported_at: Millis, amount: i64) -> AdSpendReport<'static> {
    AdSpendReport {
        campaign_id: campaign.into(),
        date,
        breakdown: None,
        kind: SpendKind::Media,
        reported_at,
        amount: Micros(amount * UNIT),
        channel: None,
        impressions: None,
        clicks: None,
        reported_conversions: None,
        reported_revenue: None,
        campaign_name: None,
        platform: None,
        objective: None,
        digest: 1,
    }
}
