//! Checkpoints: a file that is not as it was written is noticed, and one that only pretends to be does no more harm than
//! its facts.

use std::fs;
use std::time::{Duration, Instant};

use bolero::TypeGenerator;
use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Last, Stage};
use payback::kafka::changelog::partition::{Partition, Partitions};
use payback::kafka::changelog::progress::Progress;
use payback::kafka::restore::checkpoint::{Checkpoints, Loading, Unfit};
use payback::time::Millis;
use xxhash_rust::xxh3::xxh3_64;

use crate::bounds::bounded;
use crate::corpus::{NOW, StoredFact};
use crate::events::{Recorded, settings};
use crate::facts::stored_settings;
use crate::mutation::Mutated;

const CHANGELOG: &str = "changelog";
/// Bytes of the checksum at a file's end.
const SUM: usize = 8;

#[derive(Clone, Debug, TypeGenerator)]
struct Input {
    file: Mutated,
    /// Whether the checksum is made right again.
    sealed: bool,
}

/// A checkpoint of the corpus' facts.
fn checkpoint() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints::new(folder.path(), "app").expect("a folder");
    let mut partitions: Partitions<Customers> = Partitions::default();
    partitions.retain_and_add(&[0], &settings(0));
    let partition = partitions.get_mut(0).expect("it was added");
    for fact in StoredFact::of("customers") {
        partition.stage.restore(&fact.key, Some(&fact.value)).expect("a fact");
    }
    partition.progress = Progress { as_of: Millis(NOW), internal_offset: Some(7), ..Progress::default() };
    partition.progress.write(settings(0).format, &mut partition.progress_fact);
    stored_settings().write(&mut partition.settings_fact);
    partition.restored(Millis(NOW), settings(0).format);
    partition.park(400);
    checkpoints.write(CHANGELOG, &partitions, Instant::now() + Duration::from_secs(60));
    let file = fs::read_dir(folder.path().join("app")).expect("a folder").next().expect("a file").expect("a file");
    fs::read(file.path()).expect("it can be read")
}

/// A snapshot of the corpus' facts of a stage.
fn snapshot<S: Stage>() -> Vec<u8> {
    let mut stage = S::new(settings(0));
    for fact in StoredFact::of(S::NAME) {
        stage.restore(&fact.key, Some(&fact.value)).expect("a fact");
    }
    stage.restored(Some(Last::at(Millis(NOW))));
    let mut snapshot = Vec::new();
    let saved: Result<(), ()> = stage.save(|block| {
        snapshot.extend_from_slice(block);
        Ok(())
    });
    saved.expect("all is taken");
    snapshot
}

/// Reads a snapshot, and goes on from what it holds.
fn load<S: Stage>(block: &[u8], model: u8) -> bool {
    let mut stage = S::new(settings(model));
    if stage.load(block).is_err() {
        return false;
    }
    let now = Millis(NOW);
    stage.restored(Some(Last::at(now)));
    let mut effects = Recorded::default();
    while !stage.roll(now, 2, &mut effects) {}
    for id in stage.ids() {
        let _ = stage.record(id, now);
    }
    let _ = stage.sizes();
    true
}

fn read(file: &[u8]) -> Result<(), Unfit> {
    let mut loading = Loading::begin(file, file.len() as u64, CHANGELOG, 0, &stored_settings())?;
    let mut partition: Partition<Customers> = Partition::new(settings(0));
    while !loading.step(&mut partition, Instant::now())? {}
    partition.restored(Millis(NOW), settings(0).format);
    for id in partition.stage.ids() {
        let _ = partition.stage.record(id, partition.moment(Millis(NOW)));
    }
    Ok(())
}

#[test]
fn checkpoints_hold() {
    let good = checkpoint();
    assert!(read(&good).is_ok());
    let facts = StoredFact::of("customers").into_iter().map(|fact| fact.value);
    let seeds: Vec<Vec<u8>> = std::iter::once(good.clone()).chain(facts).collect();
    let most_words = [u32::MAX, 16 << 20, 0].map(|length| length.to_le_bytes().to_vec());
    bolero::check!().with_type::<Input>().with_iterations(4_000).for_each(|input| {
        let mut file = input.file.of(0, &seeds, &most_words);
        if input.sealed && file.len() > SUM {
            let end = file.len() - SUM;
            let sum = xxh3_64(&file[..end]).to_le_bytes();
            file[end..].copy_from_slice(&sum);
        }
        bounded(file.len(), 512, 3 << 20, || {
            let is_read = read(&file).is_ok();
            assert!(input.sealed || !is_read || file.starts_with(&good), "damage is not noticed");
        });
    });
}

/// A good snapshot, and pieces that may stand in one.
fn seeds<S: Stage>() -> Vec<Vec<u8>> {
    let good = snapshot::<S>();
    assert!(load::<S>(&good, 0));
    let facts = StoredFact::of(S::NAME).into_iter().map(|fact| fact.value);
    std::iter::once(good).chain(facts).collect()
}

/// Whatever stands in a file whose checksum is right.
#[derive(Clone, Debug, TypeGenerator)]
struct Block {
    bytes: Mutated,
    model: u8,
}

impl Block {
    fn hold<S: Stage>(&self, seeds: &[Vec<u8>]) {
        let block = self.bytes.of(0, seeds, &[]);
        bounded(block.len(), 512, 3 << 20, || {
            load::<S>(&block, self.model);
        });
    }
}

#[test]
fn snapshots_of_customers_hold() {
    let seeds = seeds::<Customers>();
    bolero::check!().with_type::<Block>().with_iterations(4_000).for_each(|block| block.hold::<Customers>(&seeds));
}

#[test]
fn snapshots_of_campaigns_hold() {
    let seeds = seeds::<Campaigns>();
    bolero::check!().with_type::<Block>().with_iterations(4_000).for_each(|block| block.hold::<Campaigns>(&seeds));
}
