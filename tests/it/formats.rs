//! What was written in each format so far is read for ever, and restores to the same figures. A folder of
//! `tests/data/formats` is a format: the events of a small shop, what was stored and sent of them, and the records that
//! were written; in a folder of it, the same of a shop that has given up history. Its files never change once a program
//! that writes the format was released.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Effects, Last, Stage};
use payback::events::{Decoder, Home};
use payback::format::{Format, READS, WRITES};
use payback::kafka::TopicId;
use payback::kafka::changelog::birth::{BIRTH_KEY, Birth};
use payback::kafka::changelog::epoch::{EPOCH_KEY, Epoch};
use payback::kafka::changelog::progress::{PROGRESS_KEY, Progress, SourceOffset, Told};
use payback::kafka::changelog::stored_settings::{SETTINGS_KEY, StoredSettings};
use payback::settings::{Retention, Settings, VerdictRules, Window};
use payback::status;
use payback::time::Millis;
use serde_json::Value;

use crate::batch::{self, Keeper};
use crate::records::{ByKey, difference};

/// 2026-11-21T10:00:05Z.
const AS_OF: Millis = Millis(1_795_255_205_000);
/// The two campaigns have their homes apart, so that a payload holds one difference and its bytes are known.
const PARTITIONS: u32 = 5;

/// What one folder holds.
#[derive(Clone, Copy, Debug)]
struct Shop {
    format: u8,
    /// Whether it keeps little for long.
    gives_up: bool,
}

impl Shop {
    /// Those of all formats.
    fn all() -> impl Iterator<Item = Shop> {
        READS.flat_map(|format| [false, true].map(|gives_up| Shop { format, gives_up }))
    }

    fn folder(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(self.format.to_string());
        if self.gives_up { folder.join("given-up") } else { folder }
    }

    /// What happens, in its order.
    fn history(self) -> Vec<Step> {
        let lines = lines(&self.folder().join("events.jsonl")).into_iter();
        lines
            .map(|line| line.strip_prefix("@ ").map(moment).map_or_else(|| Step::Event(line.clone()), Step::Time))
            .collect()
    }

    /// As of this format, or of the one that is written today.
    fn settings(self, format: u8) -> Arc<Settings> {
        let format = Format::new(format).expect("a format that is known");
        let mut settings = Settings { format, campaign_partitions: PARTITIONS, ..Settings::default() };
        if !self.gives_up {
            // As it was usual then.
            settings.retention.hours_days = Some(40);
            return Arc::new(settings);
        }
        let windows = GIVING_UP.windows.iter().map(|name| Window::parse(name).expect("a window")).collect();
        let batch::Retention { hours_days, days, spend_days, orders_days } = GIVING_UP.retention;
        let retention = Retention { hours_days: Some(hours_days), days, spend_days, orders_days: Some(orders_days) };
        let verdict = VerdictRules { window: 2, maturity_days: GIVING_UP.maturity_days, ..VerdictRules::default() };
        Arc::new(Settings { windows, retention, verdict, ..settings })
    }

    /// What the batch makes of the history, the slow way.
    fn batch(self) -> batch::Records {
        let mut config = batch::Config::default();
        if self.gives_up {
            config.windows = GIVING_UP.windows.map(str::to_owned).to_vec();
            config.maturity_days = GIVING_UP.maturity_days;
        }
        // Where no time passes, nothing is given up.
        let mut keeper = Keeper::new(&config, GIVING_UP.retention);
        for step in self.history() {
            match step {
                Step::Time(moment) => keeper.pass(moment.0),
                Step::Event(event) => assert_eq!(keeper.take(&event), Ok(()), "{event}"),
            }
        }
        keeper.batch().records(AS_OF.0)
    }
}

/// What a shop that gives up history has in the place of what is usual.
struct GivingUp {
    windows: [&'static str; 3],
    maturity_days: i32,
    retention: batch::Retention,
}

const GIVING_UP: GivingUp = GivingUp {
    windows: ["24h", "5d", "lifetime"],
    maturity_days: 3,
    retention: batch::Retention { hours_days: 1, days: 5, spend_days: 2, orders_days: 366 },
};

enum Step {
    /// An event comes.
    Event(String),
    /// It gets to be that late, and what is due by then is done.
    Time(Millis),
}

fn moment(text: &str) -> Millis {
    let moment: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Millis(moment.as_millisecond())
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(str::to_owned).collect()
}

/// What is on Kafka of a shop.
#[derive(Default)]
struct Written {
    /// Facts and payloads of differences: whose, key and value.
    stored: Vec<(String, Vec<u8>, Vec<u8>)>,
    /// The last record of each key.
    customers: BTreeMap<String, Vec<u8>>,
    campaigns: BTreeMap<String, Vec<u8>>,
}

impl Written {
    fn read(shop: Shop) -> Written {
        let stored = lines(&shop.folder().join("stored.txt")).into_iter().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let &[of, key, value] = words.as_slice() else { panic!("stored.txt: {line}") };
            (of.to_owned(), unhex(key), unhex(value))
        });
        let records = |file: &str| {
            let lines = lines(&shop.folder().join(file)).into_iter();
            lines.map(|line| {
                let (key, record) = line.split_once('\t').expect("a key and a record");
                (key.to_owned(), record.as_bytes().to_vec())
            })
        };
        Written {
            stored: stored.collect(),
            customers: records("ltv-updates.tsv").collect(),
            campaigns: records("roas-updates.tsv").collect(),
        }
    }

    fn of(&self, whose: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.stored.iter().filter(move |(of, ..)| of == whose).map(|(_, key, value)| (key.as_slice(), value.as_slice()))
    }

    /// By the name of the file that holds it.
    fn files(&self) -> [(&'static str, String); 3] {
        let stored: BTreeSet<String> =
            self.stored.iter().map(|(of, key, value)| format!("{of} {} {}\n", hex(key), hex(value))).collect();
        let records = |records: &BTreeMap<String, Vec<u8>>| -> String {
            records.iter().map(|(key, record)| format!("{key}\t{}\n", String::from_utf8_lossy(record))).collect()
        };
        [
            ("stored.txt", stored.into_iter().collect()),
            ("ltv-updates.tsv", records(&self.customers)),
            ("roas-updates.tsv", records(&self.campaigns)),
        ]
    }
}

/// Takes the last version of each fact and of each record, and all differences.
#[derive(Default)]
struct Outbox {
    facts: BTreeMap<Vec<u8>, Vec<u8>>,
    updates: BTreeMap<String, Vec<u8>>,
    differences: Vec<Vec<u8>>,
}

impl Effects for Outbox {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.facts.insert(key.to_vec(), value.to_vec()),
            None => self.facts.remove(key),
        };
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.updates.insert(key.to_owned(), value.to_vec()),
            None => self.updates.remove(key),
        };
    }

    fn differences(&mut self, _: u32, payload: &[u8]) {
        self.differences.push(payload.to_vec());
    }
}

/// As a format has it: the first says of no topic which one it is.
fn progress(format: u8) -> Progress {
    let id = |number| TopicId::new(number).filter(|_| format >= 2);
    Progress {
        as_of: AS_OF,
        rolled_to: Millis(AS_OF.0 - 5),
        internal_offset: Some(7),
        internal_id: id(u128::MAX),
        source_offsets: vec![SourceOffset { topic: "purchases".to_owned(), id: id(1 << 100), next: 1 << 40 }],
        // What format 1 has in its place.
        sequence: AS_OF.0.cast_unsigned(),
        trusted: AS_OF,
        told: Told { through: AS_OF, of: None },
    }
}

fn birth() -> Birth {
    Birth::parse("0123456789abcdef0123456789abcdef").expect("a birth")
}

fn epoch() -> Epoch {
    let lines = b"output topic = ltv-updates\nversion of the record = 1\n";
    Epoch::read(&[&[WRITES][..], lines].concat()).expect("an epoch")
}

fn stored_settings(settings: &Settings) -> StoredSettings {
    StoredSettings::of(settings, PARTITIONS, PARTITIONS)
}

/// What this program writes of a shop, in its format.
fn written_today(shop: Shop) -> Written {
    let settings = shop.settings(shop.format);
    let decoder = Decoder::new(&settings);
    let (mut customers, mut campaigns) = (Customers::new(Arc::clone(&settings)), Campaigns::new(Arc::clone(&settings)));
    let (mut of_customers, mut of_campaigns) = (Outbox::default(), Outbox::default());
    let (mut now, mut absorbed) = (AS_OF, 0);
    for step in shop.history() {
        match step {
            Step::Event(line) => {
                let event = decoder.decode(line.as_bytes(), now).unwrap_or_else(|why| panic!("{line}: {why:?}"));
                let taken = match event.home() {
                    Home::Customer(_) => customers.apply(&event, &mut of_customers),
                    Home::Campaign(_) => campaigns.apply(&event, &mut of_campaigns),
                };
                taken.unwrap_or_else(|rejection| panic!("{line}: {rejection:?}"));
            }
            Step::Time(moment) => {
                now = moment;
                while absorbed < of_customers.differences.len() {
                    campaigns.absorb(&of_customers.differences[absorbed]).expect("a payload of the customers stage");
                    absorbed += 1;
                }
                customers.flush(now, &mut of_customers);
                campaigns.flush(now, &mut of_campaigns);
                while !customers.roll(now, 1, &mut of_customers) {}
                while !campaigns.roll(now, 1, &mut of_campaigns) {}
            }
        }
        customers.flush(now, &mut of_customers);
        campaigns.flush(now, &mut of_campaigns);
    }
    for payload in &of_customers.differences[absorbed..] {
        campaigns.absorb(payload).expect("a payload of the customers stage");
    }
    campaigns.flush(now, &mut of_campaigns);
    assert_eq!(now, AS_OF, "a history ends then");

    let facts = |of: &'static str, outbox: &Outbox| -> Vec<(String, Vec<u8>, Vec<u8>)> {
        outbox.facts.iter().map(|(key, value)| (of.to_owned(), key.clone(), value.clone())).collect()
    };
    let mut stored = facts("customers", &of_customers);
    stored.extend(facts("campaigns", &of_campaigns));
    stored.extend(of_customers.differences.into_iter().map(|payload| ("differences".to_owned(), Vec::new(), payload)));
    let mut value = Vec::new();
    progress(shop.format).write(settings.format, &mut value);
    stored.push(("progress".to_owned(), PROGRESS_KEY.to_vec(), value.clone()));
    stored_settings(&settings).write(&mut value);
    stored.push(("settings".to_owned(), SETTINGS_KEY.to_vec(), value));
    if shop.format >= 2 {
        stored.push(("epoch".to_owned(), EPOCH_KEY.to_vec(), epoch().fact(settings.format)));
        stored.push(("birth".to_owned(), BIRTH_KEY.to_vec(), birth().fact(settings.format)));
    }
    Written { stored, customers: of_customers.updates, campaigns: of_campaigns.updates }
}

#[test]
fn a_format_is_written_as_it_ever_was() {
    let mut differing = Vec::new();
    for shop in Shop::all() {
        for (name, text) in written_today(shop).files() {
            let file = shop.folder().join(name);
            if fs::read_to_string(&file).is_ok_and(|golden| golden == text) {
                continue;
            }
            let of = if shop.gives_up { "given-up-" } else { "" };
            let today = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("format-{}-{of}{name}", shop.format));
            fs::write(&today, text).expect("the folder can be written");
            differing.push(format!("{} is now {}", file.display(), today.display()));
        }
    }
    let differing = differing.join("\n");
    assert!(differing.is_empty(), "a new format takes a new number and a folder of its own:\n{differing}");
}

/// What is written today can be read tomorrow only if these files hold all of it.
#[test]
fn each_kind_of_fact_that_is_written_stands_in_the_files_of_the_format() {
    let shops: Vec<Written> = Shop::all().filter(|shop| shop.format == WRITES).map(Written::read).collect();
    let kinds = |whose: &str| -> BTreeSet<u8> {
        shops.iter().flat_map(|shop| shop.of(whose)).filter_map(|(key, _)| key.first().copied()).collect()
    };
    assert_eq!(kinds("customers"), BTreeSet::from_iter(Customers::KINDS.iter().copied()), "of customers");
    assert_eq!(kinds("campaigns"), BTreeSet::from_iter(Campaigns::KINDS.iter().copied()), "of campaigns");
    assert_eq!(kinds("progress"), BTreeSet::from_iter(PROGRESS_KEY.iter().copied()));
    assert_eq!(kinds("settings"), BTreeSet::from_iter(SETTINGS_KEY.iter().copied()));
    assert_eq!(kinds("epoch"), BTreeSet::from_iter(EPOCH_KEY.iter().copied()));
    assert_eq!(kinds("birth"), BTreeSet::from_iter(BIRTH_KEY.iter().copied()));
    assert!(shops.iter().all(|shop| shop.of("differences").count() > 0));
}

#[test]
fn what_was_stored_in_each_format_restores_to_the_figures_of_then() {
    for shop in Shop::all() {
        let golden = Written::read(shop);
        let settings = shop.settings(WRITES);
        let customers: Customers = restored(&settings, golden.of("customers"));
        the_records_are(&golden.customers, &customers, |key| key.to_owned());
        let campaigns: Campaigns = restored(&settings, golden.of("campaigns"));
        the_records_are(&golden.campaigns, &campaigns, id_of);

        if !shop.gives_up {
            // Another way to the same: what was spent, and the differences that were sent.
            let is_of_spend = |key: &[u8]| key.first().is_some_and(|kind| b"ra".contains(kind));
            let of_spend = golden.of("campaigns").filter(|(key, _)| is_of_spend(key));
            let mut campaigns: Campaigns = restored(&settings, of_spend);
            for (_, payload) in golden.of("differences") {
                assert_eq!(campaigns.absorb(payload), Ok(()));
            }
            campaigns.flush(AS_OF, &mut Outbox::default());
            the_records_are(&golden.campaigns, &campaigns, id_of);
        }

        let (_, value) = golden.of("progress").next().expect("progress");
        assert_eq!(Progress::read(value), Ok(progress(shop.format)));
        let (_, value) = golden.of("settings").next().expect("settings");
        assert_eq!(stored_settings(&settings).check(value), Ok(None));
        for (_, value) in golden.of("epoch") {
            assert_eq!(Epoch::read(value), Ok(epoch()));
        }
        for (_, value) in golden.of("birth") {
            assert_eq!(Birth::read(value), Ok(birth()));
        }
    }
}

#[test]
fn the_records_of_each_format_are_read_back() {
    for shop in Shop::all() {
        let golden = Written::read(shop);
        let campaigns = status::Campaigns::default();
        for (key, record) in &golden.campaigns {
            assert!(campaigns.take(key, Some(record)), "{key}");
        }
        assert_eq!(campaigns.len(), golden.campaigns.len());
    }
}

#[test]
fn the_figures_of_each_format_are_those_of_the_batch() {
    for shop in Shop::all() {
        let golden = Written::read(shop);
        let mut records = shop.batch();
        let by_id = |records: &BTreeMap<String, Vec<u8>>, id: fn(&str) -> String| -> ByKey {
            records.iter().map(|(key, record)| (id(key), json(record))).collect()
        };
        let customers = by_id(&golden.customers, str::to_owned);
        let campaigns = by_id(&golden.campaigns, id_of);
        records.campaigns.values_mut().for_each(|record| drop_newer_fields(record, shop.format));
        assert_eq!(difference(&records.customers, &customers), None, "{shop:?}");
        assert_eq!(difference(&records.campaigns, &campaigns), None, "{shop:?}");
    }
}

/// Leaves a campaign's record the fields that it has in a format.
fn drop_newer_fields(record: &mut Value, format: u8) {
    const SINCE: [(&str, u8); 1] = [("read_through", 2)];
    let fields = record.as_object_mut().expect("an object");
    for (name, _) in SINCE.iter().filter(|(_, since)| *since > format) {
        fields.remove(*name);
    }
}

fn restored<'a, S: Stage>(settings: &Arc<Settings>, facts: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> S {
    let mut stage = S::new(Arc::clone(settings));
    for (key, value) in facts {
        assert_eq!(stage.restore(key, Some(value)), Ok(()), "{} {}", hex(key), hex(value));
    }
    stage.restored(Some(Last::at(AS_OF)));
    stage
}

/// Every field of then is there, with its value; there may be more by now.
fn the_records_are<S: Stage>(golden: &BTreeMap<String, Vec<u8>>, stage: &S, id: fn(&str) -> String) {
    assert_eq!(stage.ids().filter(|id| stage.record(id, AS_OF).is_some()).count(), golden.len());
    for (key, record) in golden {
        let now = stage.record(&id(key), AS_OF).unwrap_or_else(|| panic!("{key} is gone"));
        holds(key, &json(record), &json(&now));
    }
}

fn holds(path: &str, then: &Value, now: &Value) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (name, value) in then {
                holds(&format!("{path}.{name}"), value, now.get(name).unwrap_or(&Value::Null));
            }
        }
        _ => assert_eq!(then, now, "{path}"),
    }
}

fn id_of(key: &str) -> String {
    key.strip_prefix("campaign/").expect("a campaign").to_owned()
}

fn json(record: &[u8]) -> Value {
    serde_json::from_slice(record).expect("a record is JSON")
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let digits = |pair| digits(pair).expect("hexadecimal digits");
    if text == "-" { Vec::new() } else { text.as_bytes().chunks(2).map(digits).collect() }
}
