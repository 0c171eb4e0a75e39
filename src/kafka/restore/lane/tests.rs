//! On librdkafka's own broker: it has no transactions, but offsets, which are what matters here.

use std::collections::BTreeMap;
use std::ops::Range;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
use crate::config::Config;
use crate::engine::Effects;
use crate::engine::customers::Customers;
use crate::events::Decoder;
use crate::kafka::changelog::partition::Partitions;
use crate::kafka::changelog::stored_settings::SETTINGS_KEY;
use crate::settings::Settings;
use crate::time::Millis;

const CHANGELOG: &str = "changelog";
/// All clocks stand still.
const NOW: Millis = Millis(1_800_000_000_000);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A changelog of one partition, and what restores go by.
struct Changelog {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    clients: Clients,
    producer: BaseProducer,
    watcher: Watcher,
    settings: Arc<Settings>,
    stored_settings: StoredSettings,
}

impl Changelog {
    fn new() -> Changelog {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(CHANGELOG, 1, 1).unwrap();
        let mut config = Config::default();
        config.kafka.brokers = vec![cluster.bootstrap_servers()];
        let clients = Clients::new(&config);
        let settings = Arc::new(Settings::default());
        Changelog {
            producer: clients.admin().create().unwrap(),
            watcher: Watcher::new(&clients, "group", Arc::default()).unwrap(),
            stored_settings: StoredSettings::of(&settings, 1, 1),
            _cluster: cluster,
            clients,
            settings,
        }
    }

    fn append(&self, facts: &Facts) {
        for (key, value) in &facts.0 {
            let mut record = BaseRecord::<[u8], [u8]>::to(CHANGELOG).partition(0).key(key);
            record.payload = value.as_deref();
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }

    fn end(&self) -> i64 {
        let mut list = TopicPartitionList::new();
        list.add_partition(CHANGELOG, 0);
        let until = soon();
        loop {
            match self.watcher.high_watermarks(&list) {
                Ok(ends) => return offset_in(&ends, CHANGELOG, 0).unwrap(),
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        }
    }

    fn lane(&self) -> Lane {
        Lane::new(&self.clients, CHANGELOG, [0].into_iter()).unwrap()
    }

    fn around<'a>(&'a self, checkpoints: Option<&'a Checkpoints>) -> Surroundings<'a> {
        Surroundings {
            stored_settings: &self.stored_settings,
            settings: &self.settings,
            checkpoints,
            watcher: &self.watcher,
            inputs: TopicPartitionList::new(),
            own: "",
            now: NOW,
        }
    }

    fn partition(&self) -> Partition<Customers> {
        Partition::new(Arc::clone(&self.settings))
    }

    /// Restores a partition to its end, and says how many records were read of the changelog and of a checkpoint.
    fn restore(&self, partition: &mut Partition<Customers>, checkpoints: Option<&Checkpoints>) -> (u64, u64) {
        let mut lane = self.lane();
        let (mut share, until) = (vec![(0, &mut *partition)], soon());
        while !lane.step(&mut share, &self.around(checkpoints), Instant::now() + Duration::from_millis(100)).unwrap() {
            assert!(Instant::now() < until, "it comes to no end");
        }
        partition.restored(NOW, self.settings.format);
        (lane.facts, lane.loaded)
    }
}

/// Facts as they go to the changelog.
#[derive(Default)]
struct Facts(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Effects for Facts {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.0.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    }

    fn update(&mut self, _: &str, _: Option<&[u8]>) {}

    fn differences(&mut self, _: u32, _: &[u8]) {}
}

/// Takes a new order of each of these numbers, and commits all that follows.
fn take(changelog: &Changelog, partition: &mut Partition<Customers>, orders: Range<u32>) {
    let (mut facts, decoder) = (Facts::default(), Decoder::new(&changelog.settings));
    for order in orders {
        // Long enough for two of a checkpoint's blocks.
        let purchase = format!(
            r#"{{"type":"purchase","customer_id":"c{}","order_id":"{order:0200}","occurred_at":{order},"revenue":{order}}}"#,
            order % 7
        );
        let event = decoder.decode(purchase.as_bytes(), NOW).unwrap();
        assert!(partition.stage.apply(&event, &mut facts).is_ok());
    }
    let as_of = partition.progress.next_moment(NOW, changelog.settings.format);
    partition.progress.sequence += 1;
    partition.stage.flush(as_of, &mut facts);
    partition.progress.as_of = as_of;
    partition.progress.internal_offset = Some(0);
    partition.progress.write(changelog.settings.format, &mut partition.progress_fact);
    facts.fact(PROGRESS_KEY, Some(&partition.progress_fact));
    if !partition.has_settings() {
        changelog.stored_settings.write(&mut partition.settings_fact);
        facts.fact(SETTINGS_KEY, Some(&partition.settings_fact));
    }
    changelog.append(&facts);
}

fn figures(partition: &Partition<Customers>) -> BTreeMap<&str, String> {
    let record = |id| String::from_utf8(partition.stage.record(id, NOW.plus(1_000)).unwrap()).unwrap();
    partition.stage.ids().map(|id| (id, record(id))).collect()
}

/// A checkpoint of a partition that takes these orders and leaves.
fn checkpoint(folder: &tempfile::TempDir, changelog: &Changelog, orders: Range<u32>) -> Checkpoints {
    let checkpoints = Checkpoints::new(folder.path(), "app").unwrap();
    let mut partitions: Partitions<Customers> = Partitions::default();
    partitions.retain_and_add(&[0], &changelog.settings);
    let partition = partitions.get_mut(0).unwrap();
    take(changelog, partition, orders);
    partition.park(changelog.end());
    checkpoints.write(CHANGELOG, &partitions, soon());
    checkpoints
}

#[test]
fn a_parked_state_has_what_another_has_committed_meanwhile() {
    for meanwhile in [0, 1, 40] {
        let changelog = Changelog::new();
        let mut owner = changelog.partition();
        take(&changelog, &mut owner, 0..50);

        // The owner stands still when it is about to park, until the group has given the partition to another.
        let mut successor = changelog.partition();
        changelog.restore(&mut successor, None);
        for order in 50..50 + meanwhile {
            take(&changelog, &mut successor, order..order + 1);
        }
        owner.park(changelog.end());

        let (facts, _) = changelog.restore(&mut owner, None);
        assert_eq!(figures(&owner), figures(&successor), "{meanwhile} orders meanwhile");
        assert_eq!(owner.progress, successor.progress);
        let (is_proven, few) = (meanwhile < 40, u64::try_from(PROOF_WITHIN).unwrap());
        assert_eq!(facts <= few, is_proven, "{meanwhile} orders meanwhile: {facts} facts read");
    }
}

#[test]
fn a_state_that_is_parked_before_anything_was_committed_begins_anew() {
    let changelog = Changelog::new();
    let mut partition = changelog.partition();
    partition.park(changelog.end());
    assert_eq!(partition.place, Place::Unknown);
    assert_eq!(changelog.restore(&mut partition, None), (0, 0));
    assert!(!partition.has_state());
}

/// A member that joins takes partitions away for a moment, whatever is done with them.
#[test]
fn a_checkpoint_is_to_be_proven_however_often_its_restore_is_cut_short() {
    let (folder, another) = (tempfile::tempdir().unwrap(), Changelog::new());
    let checkpoints = checkpoint(&folder, &another, 0..20);
    let changelog = Changelog::new();
    let mut owner = changelog.partition();
    take(&changelog, &mut owner, 100..150);

    let mut partition = changelog.partition();
    for _ in 0..2 {
        assert!(changelog.lane().load(&mut vec![(0, &mut partition)], &changelog.around(Some(&checkpoints)), soon()));
        assert!(matches!(partition.place, Place::Kept(_)));
    }
    changelog.restore(&mut partition, Some(&checkpoints));
    assert_eq!(figures(&partition), figures(&owner));
}

#[test]
fn a_checkpoint_that_was_read_in_part_is_read_from_its_beginning() {
    let (folder, changelog) = (tempfile::tempdir().unwrap(), Changelog::new());
    let checkpoints = checkpoint(&folder, &changelog, 0..2_500);
    let mut partition = changelog.partition();
    let in_part = changelog.lane().load(
        &mut vec![(0, &mut partition)],
        &changelog.around(Some(&checkpoints)),
        // A step makes some way all the same.
        Instant::now(),
    );
    assert!(!in_part && partition.stage.sizes().orders > 0);

    let (facts, loaded) = changelog.restore(&mut partition, Some(&checkpoints));
    assert!(facts < 100 && loaded > 2_500, "{facts} facts from Kafka, {loaded} of the checkpoint");
    assert_eq!(partition.stage.sizes().orders, 2_500);
}

#[test]
fn what_was_read_of_a_changelog_is_not_read_again() {
    let changelog = Changelog::new();
    let mut owner = changelog.partition();
    take(&changelog, &mut owner, 0..50);
    let mut partition = changelog.partition();
    changelog.restore(&mut partition, None);
    let read = changelog.end();
    assert_eq!(partition.place, Place::Read(read));
    take(&changelog, &mut owner, 50..60);
    let (facts, _) = changelog.restore(&mut partition, None);
    assert_eq!(facts, u64::try_from(changelog.end() - read).unwrap());
    assert_eq!(figures(&partition), figures(&owner));
}
