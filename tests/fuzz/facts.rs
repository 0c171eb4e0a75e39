//! What is read back from Kafka: facts of both stages, payloads of differences, and the workers' own facts.
//!
//! Only this program writes them, so what it can't read it refuses, and stops; but it neither panics nor runs wild on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bolero::TypeGenerator;
use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{FormatError, Last, Stage};
use payback::events::{Decoder, Home};
use payback::format::{Format, READS};
use payback::kafka::TopicId;
use payback::kafka::changelog::birth::Birth;
use payback::kafka::changelog::epoch::Epoch;
use payback::kafka::changelog::progress::{PROGRESS_KEY, Progress, SourceOffset, Told};
use payback::kafka::changelog::stored_settings::{SETTINGS_KEY, StoredSettings};
use payback::settings::Settings;
use payback::time::Millis;

use crate::bounds::bounded;
use crate::corpus::{EVENTS, FACTS, NOW, StoredFact};
use crate::events::{Recorded, settings};
use crate::mutation::Mutated;

/// Keys and values are taken apart from one another, so that one may meet another's.
#[derive(Clone, Debug, TypeGenerator)]
struct Input {
    #[generator(bolero::produce::<Vec<Change>>().with().len(1_usize..12))]
    changes: Vec<Change>,
    as_of: u8,
    model: u8,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Change {
    /// As it was stored.
    Stored {
        fact: u16,
    },
    /// With the value of another.
    Crossed {
        key: u16,
        value: u16,
    },
    Mutated {
        key: Mutated,
        value: Mutated,
    },
    ValueMutated {
        key: u16,
        value: Mutated,
    },
    Deleted {
        key: u16,
    },
}

struct Seeds {
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    payloads: Vec<Vec<u8>>,
}

impl Seeds {
    fn of(stage: &str) -> Seeds {
        let (keys, values) = StoredFact::of(stage).into_iter().map(|fact| (fact.key, fact.value)).unzip();
        let payloads = StoredFact::of("differences").into_iter().map(|fact| fact.value).collect();
        Seeds { keys, values, payloads }
    }

    fn facts(&self, changes: &[Change]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let key = |which: u16| self.keys[usize::from(which) % self.keys.len()].clone();
        let value = |which: u16| Some(self.values[usize::from(which) % self.values.len()].clone());
        let fact = |change: &Change| match change {
            Change::Stored { fact } => (key(*fact), value(*fact)),
            Change::Crossed { key: of_key, value: of_value } => (key(*of_key), value(*of_value)),
            Change::Mutated { key, value } => {
                (key.bytes(&self.keys, &[]), Some(value.bytes(&self.values, &self.payloads)))
            }
            Change::ValueMutated { key: of_key, value } => {
                (key(*of_key), Some(value.bytes(&self.values, &self.payloads)))
            }
            Change::Deleted { key: of_key } => (key(*of_key), None),
        };
        changes.iter().map(fact).collect()
    }
}

/// Moments that a clock which is decades off may give.
const MOMENTS: [Millis; 6] =
    [Millis(NOW), Millis(NOW + Millis::HOUR), Millis(0), Millis::MAX, Millis::MIN, Millis(4_102_444_800_000)];

#[test]
fn facts_of_customers_hold() {
    let seeds = Seeds::of("customers");
    bolero::check!().with_type::<Input>().with_iterations(4_000).for_each(|input| {
        hold::<Customers>(&seeds.facts(&input.changes), &[], input);
    });
}

#[test]
fn facts_of_campaigns_and_differences_hold() {
    #[derive(Clone, Debug, TypeGenerator)]
    struct WithPayloads {
        facts: Input,
        #[generator(bolero::produce::<Vec<Mutated>>().with().len(0_usize..3))]
        payloads: Vec<Mutated>,
    }
    let seeds = Seeds::of("campaigns");
    bolero::check!().with_type::<WithPayloads>().with_iterations(4_000).for_each(|input| {
        let payloads: Vec<Vec<u8>> =
            input.payloads.iter().map(|payload| payload.bytes(&seeds.payloads, &seeds.values)).collect();
        hold::<Campaigns>(&seeds.facts(&input.facts.changes), &payloads, &input.facts);
    });
}

type Fact = (Vec<u8>, Option<Vec<u8>>);

fn hold<S: Stage>(facts: &[Fact], payloads: &[Vec<u8>], input: &Input) {
    let settings = settings(input.model);
    let as_of = MOMENTS[usize::from(input.as_of) % MOMENTS.len()];
    let in_facts = |(key, value): &Fact| key.len() + value.as_ref().map_or(0, Vec::len);
    let bytes = facts.iter().map(in_facts).chain(payloads.iter().map(Vec::len)).sum();
    // A touchpoint of a fact may be of five bytes, a difference of six; postcard may make room for a mebibyte ahead.
    bounded(bytes, 512, 3 << 20, || {
        let _ = fold::<S>(facts, payloads, &settings, as_of);
    });
}

/// As a worker does: it stops at the first fact that can't be read.
fn fold<S: Stage>(
    facts: &[Fact],
    payloads: &[Vec<u8>],
    settings: &Arc<Settings>,
    as_of: Millis,
) -> Result<(), FormatError> {
    let mut stage = S::new(Arc::clone(settings));
    let mut effects = Recorded::default();
    facts.iter().try_for_each(|(key, value)| stage.restore(key, value.as_deref()))?;
    stage.restored((as_of != Millis(0)).then_some(Last { as_of, rolled_to: Millis(NOW) }));
    payloads.iter().try_for_each(|payload| stage.absorb(payload))?;
    stage.flush(as_of, &mut effects);
    while !stage.roll(as_of.plus(Millis::DAY), 2, &mut effects) {}
    for id in stage.ids() {
        let _ = stage.record(id, as_of);
    }
    let _ = stage.sizes();
    Ok(())
}

#[test]
fn facts_of_workers_hold() {
    let of = |stage: &str| StoredFact::of(stage).into_iter().map(|fact| fact.value).collect();
    let [progress, of_settings, epochs]: [Vec<Vec<u8>>; 3] = ["progress", "settings", "epoch"].map(of);
    let stored_settings = stored_settings();
    bolero::check!().with_type::<Mutated>().with_iterations(4_000).for_each(|mutated| {
        let values = [
            mutated.bytes(&progress, &of_settings),
            mutated.bytes(&of_settings, &epochs),
            mutated.bytes(&epochs, &progress),
        ];
        let [of_progress, of_settings, of_epoch] = &values;
        bounded(values.iter().map(Vec::len).max().unwrap_or(0), 512, 3 << 20, || {
            if let Ok(read) = Progress::read(of_progress) {
                let mut written = Vec::new();
                read.write(Format::default(), &mut written);
                assert_eq!(Progress::read(&written), Ok(read));
            }
            let _ = stored_settings.check(of_settings).map_err(|error| error.to_string());
            if let Ok(read) = Birth::read(of_epoch) {
                assert_eq!(Birth::read(&read.fact(Format::default())), Ok(read));
                assert_eq!(Birth::parse(&read.to_string()), Some(read));
            }
            if let Ok(read) = Epoch::read(of_epoch) {
                assert_eq!(Epoch::read(&read.fact(Format::default())).as_ref(), Ok(&read));
                assert_eq!(read.common(&read), read);
                assert_eq!(read.differs_from(&read), None);
            }
        });
    });
}

/// What the stages and workers store today of the corpus' events. Of differences there are some in any order, so only the
/// first payload is compared, which is of one event.
fn stored_today(format: Format) -> Vec<StoredFact> {
    let settings = Arc::new(Settings { format, ..(*settings(0)).clone() });
    let decoder = Decoder::new(&settings);
    let (mut customers, mut campaigns) = (Customers::new(Arc::clone(&settings)), Campaigns::new(Arc::clone(&settings)));
    let (mut of_customers, mut of_campaigns) = (Recorded::default(), Recorded::default());
    for record in EVENTS.iter() {
        let Ok(event) = decoder.decode(record, Millis(NOW)) else { continue };
        match event.home() {
            Home::Customer(_) => customers.apply(&event, &mut of_customers),
            Home::Campaign(_) => campaigns.apply(&event, &mut of_campaigns),
        }
        .expect("nothing is too late");
        customers.flush(Millis(NOW), &mut of_customers);
    }
    for payload in &of_customers.differences {
        campaigns.absorb(payload).expect("a payload of the customers stage");
    }
    campaigns.flush(Millis(NOW), &mut of_campaigns);
    let first_differences = of_customers.differences.first().cloned();
    let all_customers = given_up(&mut customers, of_customers);
    let all_campaigns = given_up(&mut campaigns, of_campaigns);

    let stored =
        |of: &str, key: &[u8], value: &[u8]| StoredFact { of: of.to_owned(), key: key.to_vec(), value: value.to_vec() };
    let mut all: Vec<StoredFact> = all_customers.iter().map(|(key, value)| stored("customers", key, value)).collect();
    all.extend(all_campaigns.iter().map(|(key, value)| stored("campaigns", key, value)));
    all.extend(first_differences.map(|payload| stored("differences", b"", &payload)));
    // Format 1 says of no topic which one it is.
    let id = |number| TopicId::new(number).filter(|_| format.number() >= 2);
    let source_offsets = vec![SourceOffset { topic: "purchases".to_owned(), id: id(1 << 100), next: 1 << 40 }];
    let progress = Progress {
        as_of: Millis(NOW),
        rolled_to: Millis(NOW - 5),
        internal_offset: Some(7),
        internal_id: id(u128::MAX),
        source_offsets,
        sequence: 1 << 33,
        trusted: Millis(NOW - 7),
        told: Told { through: Millis(NOW - 9), of: Some(1 << 60) },
    };
    let mut value = Vec::new();
    progress.write(format, &mut value);
    all.push(stored("progress", PROGRESS_KEY, &value));
    stored_settings_of(format).write(&mut value);
    all.push(stored("settings", SETTINGS_KEY, &value));
    all
}

/// The facts of a stage now, in two months and in three years, when it has given up what is old by then.
fn given_up<S: Stage>(stage: &mut S, mut now: Recorded) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let of = |recorded: &Recorded| recorded.facts.clone();
    let mut all = BTreeSet::from_iter(of(&now));
    for days in (6..1_100).step_by(6) {
        let then = Millis(NOW + days * Millis::DAY);
        while !stage.roll(then, 100, &mut now) {}
        if days == 60 {
            all.extend(of(&now));
        }
    }
    all.extend(of(&now));
    all
}

pub fn stored_settings() -> StoredSettings {
    stored_settings_of(Format::default())
}

fn stored_settings_of(format: Format) -> StoredSettings {
    let mut settings = Settings { format, ..Settings::default() };
    // As it was usual in format 1.
    settings.retention.hours_days = Some(40);
    StoredSettings::of(&settings, 4, 4)
}

#[test]
fn facts_are_stored_as_before() {
    let formats = READS.filter_map(Format::new);
    let new: Vec<String> =
        formats.flat_map(stored_today).filter(|fact| !FACTS.contains(fact)).map(|fact| fact.line()).collect();
    assert!(
        new.is_empty(),
        "a new format needs a new version; its facts are added to corpus/facts.txt:\n{}",
        new.join("\n")
    );
}

#[test]
fn facts_as_they_were_stored_by_each_version_are_read() {
    fn all_are_read<S: Stage>(stage: &str, settings: &Arc<Settings>) -> S {
        let mut restored = S::new(Arc::clone(settings));
        for fact in StoredFact::of(stage) {
            let read = restored.restore(&fact.key, Some(&fact.value));
            assert_eq!(read, Ok(()), "{}", fact.line());
        }
        restored.restored(Some(Last::at(Millis(NOW))));
        restored
    }
    let settings = settings(0);
    let customers: Customers = all_are_read("customers", &settings);
    let mut campaigns: Campaigns = all_are_read("campaigns", &settings);
    for payload in StoredFact::of("differences") {
        assert_eq!(campaigns.absorb(&payload.value), Ok(()));
    }
    assert_eq!((customers.ids().count(), campaigns.ids().count()), (4, 3));
    assert!(StoredFact::of("progress").iter().all(|fact| Progress::read(&fact.value).is_ok()));
    assert!(StoredFact::of("epoch").iter().all(|fact| Epoch::read(&fact.value).is_ok()));
    assert!(StoredFact::of("birth").iter().all(|fact| Birth::read(&fact.value).is_ok()));
    assert!(StoredFact::of("settings").iter().all(|fact| stored_settings().check(&fact.value).is_ok()));
}
