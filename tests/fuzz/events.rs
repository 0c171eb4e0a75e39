//! Records: each is an event or a rejection, and events are taken by their stage.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bolero::TypeGenerator;
use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Effects, Last, Stage};
use payback::events::{Decoder, Event, Home, Record, Rejection, Source, Texts};
use payback::settings::{Attribution, Model, Retention, Settings};
use payback::time::{Millis, Zone};
use serde::de::IgnoredAny;

use crate::bounds::bounded;
use crate::corpus::{EVENTS, NOW, WORDS};
use crate::mutation::Mutated;

#[derive(Clone, Debug, TypeGenerator)]
struct Input {
    #[generator(bolero::produce::<Vec<Mutated>>().with().len(1_usize..4))]
    records: Vec<Mutated>,
    model: u8,
}

/// What a stage put out.
#[derive(Default)]
pub struct Recorded {
    pub facts: BTreeMap<Vec<u8>, Vec<u8>>,
    pub differences: Vec<Vec<u8>>,
}

impl Effects for Recorded {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.facts.insert(key.to_vec(), value.to_vec()),
            None => self.facts.remove(key),
        };
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        let is_json = value.is_none_or(|value| serde_json::from_slice::<IgnoredAny>(value).is_ok());
        assert!(is_json, "the record of {key} is no JSON");
    }

    fn differences(&mut self, _: u32, payload: &[u8]) {
        self.differences.push(payload.to_vec());
    }
}

/// By each model, in a zone whose days begin oddly.
pub static SETTINGS: LazyLock<Vec<Arc<Settings>>> = LazyLock::new(|| {
    let models = [Model::Last, Model::First, Model::Linear, Model::Position, Model::TimeDecay];
    let zone = Zone::named("America/Santiago").expect("a zone");
    let settings = |model| Settings {
        zone: zone.clone(),
        attribution: Attribution { model, ..Attribution::default() },
        retention: Retention { hours_days: Some(40), orders_days: Some(400), ..Retention::default() },
        campaign_partitions: 1,
        ..Settings::default()
    };
    models.into_iter().map(settings).map(Arc::new).collect()
});

pub fn settings(which: u8) -> Arc<Settings> {
    Arc::clone(&SETTINGS[usize::from(which) % SETTINGS.len()])
}

#[test]
fn events_hold() {
    bolero::check!().with_type::<Input>().with_iterations(4_000).for_each(|input| {
        let records: Vec<Vec<u8>> = input.records.iter().map(|record| record.bytes(&EVENTS, &WORDS)).collect();
        let settings = settings(input.model);
        let decoder = Decoder::new(&settings);
        for record in &records {
            bounded(record.len(), 32, 4 * 1024, || {
                let _ = texts(record).and_then(|texts| decoder.events(&texts, Millis(NOW)).map(drop));
            });
        }
        let texts: Vec<Texts<'_>> = records.iter().filter_map(|record| texts(record).ok()).collect();
        let events: Vec<Event<'_>> =
            texts.iter().filter_map(|texts| decoder.events(texts, Millis(NOW)).ok()).flatten().collect();
        if !events.is_empty() {
            let bytes: usize = records.iter().map(Vec::len).sum();
            bounded(bytes, 64, 256 * 1024, || take(&settings, &events));
            bounded(bytes, 64, 256 * 1024, || take_late(&settings, &events));
        }
    });
}

/// What a record of `payback`'s own format holds: itself, whatever stands beside it.
fn texts(value: &[u8]) -> Result<Texts<'_>, Rejection> {
    let record = Record { key: Some(value), timestamp: Some(Millis(NOW)), ..Record::of_value("orders", value) };
    let texts = Source::default().texts(&record)?;
    assert!(texts.len() == 1 && texts[0].as_bytes() == value);
    Ok(texts)
}

/// Takes events, and checks that the state is that of its facts.
fn take(settings: &Arc<Settings>, events: &[Event<'_>]) {
    let mut customers = Customers::new(Arc::clone(settings));
    let mut campaigns = Campaigns::new(Arc::clone(settings));
    let (mut of_customers, mut of_campaigns) = (Recorded::default(), Recorded::default());
    for event in events {
        let taken = match event.home() {
            Home::Customer(_) => customers.apply(event, &mut of_customers),
            Home::Campaign(_) => campaigns.apply(event, &mut of_campaigns),
        };
        taken.expect("nothing is given up before the first flush");
    }
    let as_of = Millis(NOW);
    customers.flush(as_of, &mut of_customers);
    for payload in &of_customers.differences {
        campaigns.absorb(payload).expect("a payload of the customers stage");
    }
    campaigns.flush(as_of, &mut of_campaigns);
    // So few events name fewer customers and campaigns than one call looks at.
    assert!(customers.roll(as_of, 10_000, &mut of_customers));
    assert!(campaigns.roll(as_of, 10_000, &mut of_campaigns));
    is_the_fold_of(&customers, &of_customers, settings, as_of);
    is_the_fold_of(&campaigns, &of_campaigns, settings, as_of);
}

/// Takes events again when history has been given up: those that a stage lets through are taken, whatever was taken before.
fn take_late(settings: &Arc<Settings>, events: &[Event<'_>]) {
    let mut customers = Customers::new(Arc::clone(settings));
    let mut campaigns = Campaigns::new(Arc::clone(settings));
    let mut out = Recorded::default();
    let (early, late) = events.split_at(events.len() / 2);
    for event in early {
        let taken = match event.home() {
            Home::Customer(_) => customers.apply(event, &mut out),
            Home::Campaign(_) => campaigns.apply(event, &mut out),
        };
        taken.expect("nothing is given up before the first flush");
    }
    // After the week of grace the horizon of orders is the day of most events.
    for days in [0, 393, 400] {
        customers.flush(Millis(NOW + days * Millis::DAY), &mut out);
        campaigns.flush(Millis(NOW + days * Millis::DAY), &mut out);
    }
    let check = |event: &&Event<'_>| match event.home() {
        Home::Customer(_) => customers.check(event).is_ok(),
        Home::Campaign(_) => campaigns.check(event).is_ok(),
    };
    let let_through: Vec<&Event<'_>> = late.iter().chain(early).filter(check).collect();
    for event in let_through {
        let taken = match event.home() {
            Home::Customer(_) => customers.apply(event, &mut out),
            Home::Campaign(_) => campaigns.apply(event, &mut out),
        };
        taken.expect("it was let through");
    }
}

fn is_the_fold_of<S: Stage>(stage: &S, recorded: &Recorded, settings: &Arc<Settings>, as_of: Millis) {
    let mut restored = S::new(Arc::clone(settings));
    for (key, value) in &recorded.facts {
        restored.restore(key, Some(value)).expect("a fact of this stage");
    }
    restored.restored(Some(Last::at(as_of)));
    for id in stage.ids() {
        let [before, after] = [stage, &restored].map(|stage| stage.record(id, as_of));
        assert!(before == after, "{id}: {:?} and restored {:?}", text(&before), text(&after));
    }
}

fn text(record: &Option<Vec<u8>>) -> Option<String> {
    record.as_ref().map(|record| String::from_utf8_lossy(record).into_owned())
}
