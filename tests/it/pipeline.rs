//! Both stages driven in process, each in several partitions, with all that they put out.

use std::collections::BTreeMap;
use std::sync::Arc;

use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Effects, Last, Outcome, Stage};
use payback::events::{Decoder, Home, Reason};
use payback::format::Format;
use payback::home::home;
use payback::money::Micros;
use payback::settings::{Attribution, Currency, Model, Profit, Retention, Settings, VerdictRules, Window};
use payback::time::{Millis, Zone};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::Value;

use crate::batch::{self, Config};
use crate::records::ByKey;

/// One partition of a stage, with its changelog (compacted).
struct Partition<S> {
    stage: S,
    effects: Recorded,
}

#[derive(Default)]
struct Recorded {
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    updates: Vec<(String, Option<Value>)>,
    differences: Vec<(u32, Vec<u8>)>,
}

impl Effects for Recorded {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        assert!(key[0].is_ascii_lowercase());
        match value {
            Some(value) => self.facts.insert(key.to_vec(), value.to_vec()),
            None => self.facts.remove(key),
        };
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        let record = value.map(|value| serde_json::from_slice(value).expect("a record is JSON"));
        self.updates.push((key.to_owned(), record));
    }

    fn differences(&mut self, partition: u32, payload: &[u8]) {
        self.differences.push((partition, payload.to_vec()));
    }
}

pub struct Pipeline {
    settings: Arc<Settings>,
    decoder: Decoder,
    now: Millis,
    as_of: Option<Millis>,
    /// When the last roll was.
    rolled_to: Option<Millis>,
    customers: Vec<Partition<Customers>>,
    campaigns: Vec<Partition<Campaigns>>,
}

/// The updates of one flush or roll, the last of each key; none is a tombstone.
#[derive(Default)]
pub struct Updates {
    pub customers: BTreeMap<String, Option<Value>>,
    pub campaigns: BTreeMap<String, Option<Value>>,
}

impl Pipeline {
    /// With so many partitions of the two stages.
    pub fn new(config: &Config, customers: u32, campaigns: u32) -> Pipeline {
        Pipeline::giving_up(config, Retention::default().of_everything(), customers, campaigns)
    }

    /// The same, that gives up what is old.
    pub fn giving_up(config: &Config, retention: Retention, customers: u32, campaigns: u32) -> Pipeline {
        let settings = Arc::new(Settings { retention, ..settings(config, campaigns) });
        Pipeline {
            decoder: Decoder::new(&settings),
            now: config.clock.map_or(Millis::MAX, Millis),
            as_of: None,
            rolled_to: None,
            customers: (0..customers).map(|_| Partition::new(&settings)).collect(),
            campaigns: (0..campaigns).map(|_| Partition::new(&settings)).collect(),
            settings,
        }
    }

    /// Reads a record and applies it at its home.
    pub fn take(&mut self, record: &[u8]) -> Result<Outcome, Reason> {
        let event = self.decoder.decode(record, self.now).map_err(|rejection| rejection.reason)?;
        Ok(match event.home() {
            Home::Customer(id) => {
                let partition = home(id, self.customers.len() as u32);
                let Partition { stage, effects } = &mut self.customers[partition as usize];
                stage.apply(&event, effects).map_err(|rejection| rejection.reason)?
            }
            Home::Campaign(id) => {
                let partition = home(id, self.campaigns.len() as u32);
                let Partition { stage, effects } = &mut self.campaigns[partition as usize];
                stage.apply(&event, effects).map_err(|rejection| rejection.reason)?
            }
        })
    }

    /// Flushes the customers, gives what they send to the campaigns in any order, and flushes these.
    pub fn flush(&mut self, as_of: i64, rng: &mut StdRng) -> Updates {
        let as_of = Millis(as_of);
        self.as_of = Some(as_of);
        for Partition { stage, effects } in &mut self.customers {
            stage.flush(as_of, effects);
        }
        let mut sent: Vec<(u32, Vec<u8>)> =
            self.customers.iter_mut().flat_map(|partition| partition.effects.differences.drain(..)).collect();
        sent.shuffle(rng);
        for (partition, payload) in sent {
            self.campaigns[partition as usize].stage.absorb(&payload).expect("a payload of the customers stage");
        }
        for Partition { stage, effects } in &mut self.campaigns {
            stage.flush(as_of, effects);
        }
        self.updates()
    }

    /// Lets time pass as a worker does, which rolls what is due, a few keys at a time, and no more.
    pub fn pass(&mut self, as_of: i64) -> Updates {
        fn complete<S: Stage>(partitions: &mut [Partition<S>], as_of: Millis) {
            for Partition { stage, effects } in partitions {
                while stage.next_moment().is_some_and(|moment| moment <= as_of) && !stage.roll(as_of, 3, effects) {}
            }
        }
        let as_of = Millis(as_of);
        self.as_of = Some(as_of);
        complete(&mut self.customers, as_of);
        complete(&mut self.campaigns, as_of);
        self.rolled_to = Some(as_of);
        self.updates()
    }

    /// Goes on from the facts alone, taken in any order, or from a snapshot. What was applied must have been flushed.
    pub fn restart(&mut self, rng: &mut StdRng) {
        let rolled_to = self.rolled_to.unwrap_or(Millis::MIN);
        let last = self.as_of.map(|as_of| Last { as_of, rolled_to });
        self.customers.iter_mut().for_each(|partition| partition.restart(&self.settings, last, rng));
        self.campaigns.iter_mut().for_each(|partition| partition.restart(&self.settings, last, rng));
    }

    /// The customers' facts whose keys begin with this letter.
    pub fn facts_of_customers(&self, kind: u8) -> usize {
        let facts = self.customers.iter().flat_map(|partition| partition.effects.facts.keys());
        facts.filter(|key| key[0] == kind).count()
    }

    /// The records that the stages answer with.
    pub fn answers(&self, as_of: i64) -> batch::Records {
        fn of<S: Stage>(partitions: &[Partition<S>], as_of: i64) -> ByKey {
            let answer = |stage: &S, id: &str| {
                let record = stage.record(id, Millis(as_of))?;
                Some((id.to_owned(), serde_json::from_slice(&record).expect("a record is JSON")))
            };
            let stages = partitions.iter().map(|partition| &partition.stage);
            stages.flat_map(|stage| stage.ids().filter_map(move |id| answer(stage, id))).collect()
        }
        batch::Records { customers: of(&self.customers, as_of), campaigns: of(&self.campaigns, as_of) }
    }

    fn updates(&mut self) -> Updates {
        let mut updates = Updates::default();
        for partition in &mut self.customers {
            assert_eq!(partition.effects.differences, [], "only a flush sends");
            updates.customers.extend(partition.effects.updates.drain(..));
        }
        for partition in &mut self.campaigns {
            for (key, record) in partition.effects.updates.drain(..) {
                let id = key.strip_prefix("campaign/").expect("the key of a campaign");
                updates.campaigns.insert(id.to_owned(), record);
            }
        }
        updates
    }
}

impl<S: Stage> Partition<S> {
    fn new(settings: &Arc<Settings>) -> Self {
        Partition { stage: S::new(Arc::clone(settings)), effects: Recorded::default() }
    }

    fn restart(&mut self, settings: &Arc<Settings>, last: Option<Last>, rng: &mut StdRng) {
        let mut again = S::new(Arc::clone(settings));
        if rng.random() {
            let saved = self.stage.save(|block| again.load(block).map(|_| ()));
            saved.expect("a snapshot is read as it was written");
        } else {
            let mut facts: Vec<_> = self.effects.facts.iter().collect();
            facts.shuffle(rng);
            for (key, value) in facts {
                again.restore(key, Some(value)).expect("a fact of this stage");
            }
        }
        again.restored(last);
        self.stage = again;
    }
}

/// Puts updates over the records that are there.
pub fn put(records: &mut ByKey, updates: BTreeMap<String, Option<Value>>) {
    for (key, record) in updates {
        match record {
            Some(record) => records.insert(key, record),
            None => records.remove(&key),
        };
    }
}

/// The batch's configuration as the engines take it.
fn settings(config: &Config, campaign_partitions: u32) -> Settings {
    let windows: Vec<Window> = config.windows.iter().map(|name| Window::parse(name).expect("a window")).collect();
    Settings {
        currency: Currency::parse(&config.currency).expect("a currency"),
        zone: Zone::named(&config.zone).expect("a time zone"),
        lifespan_years: Micros(config.lifespan_years),
        default_margin: config.default_margin.map(Micros),
        min_coverage: Micros(config.min_coverage),
        complete_from: config.complete_from.map(Millis),
        attribution: Attribution {
            model: match config.model {
                batch::Model::Last => Model::Last,
                batch::Model::First => Model::First,
                batch::Model::Linear => Model::Linear,
                batch::Model::Position => Model::Position,
                batch::Model::TimeDecay => Model::TimeDecay,
            },
            lookback: config.lookback,
            half_life: config.half_life,
            ignore_channels: config.ignore_channels.clone(),
        },
        verdict: VerdictRules {
            profit: match config.profit {
                batch::Profit::Operating => Profit::OperatingProfit,
                batch::Profit::Gross => Profit::GrossProfit,
                batch::Profit::Revenue => Profit::Revenue,
            },
            window: config.windows.iter().position(|name| *name == config.verdict_window).expect("one of the windows"),
            min_spend: Micros(config.min_spend),
            maturity_days: config.maturity_days,
            max_spend_gap: Micros(config.max_spend_gap),
            max_lag: VerdictRules::default().max_lag,
        },
        windows,
        retention: Retention::default().of_everything(),
        campaign_partitions,
        format: Format::default(),
    }
}
