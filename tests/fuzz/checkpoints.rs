//! Checkpoints: a file that is not as it was written is noticed, and one that only pretends to be does no more harm than
//! its facts.

use std::fs;
use std::time::{Duration, Instant};

use bolero::TypeGenerator;
use payback::engine::Stage;
use payback::engine::customers::Customers;
use payback::kafka::checkpoint::{Checkpoints, Loading, Unfit};
use payback::kafka::partition::{Partition, Partitions};
use payback::kafka::progress::Progress;
use payback::time::Millis;
use xxhash_rust::xxh3::xxh3_64;

use crate::bounds::bounded;
use crate::corpus::{NOW, StoredFact};
use crate::events::settings;
use crate::facts::meaning;
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
    meaning().write(&mut partition.settings_fact);
    partition.changelog_position = Some(400);
    partition.restored();
    checkpoints.write(CHANGELOG, &partitions, Instant::now() + Duration::from_secs(60));
    let file = fs::read_dir(folder.path().join("app")).expect("a folder").next().expect("a file").expect("a file");
    fs::read(file.path()).expect("it can be read")
}

fn read(file: &[u8]) -> Result<(), Unfit> {
    let mut loading = Loading::begin(file, file.len() as u64, CHANGELOG, 0, &meaning())?;
    let mut partition: Partition<Customers> = Partition::new(settings(0));
    while loading.step(&mut partition, Instant::now())?.is_none() {}
    partition.restored();
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
