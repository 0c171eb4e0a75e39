//! Checkpoints spare a planned restart most of the changelog, and never decide anything: whatever stands in the folder,
//! the figures are those of the changelog.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use super::abroad::in_new_york;
use super::check::{figures_of_now, final_figures};
use super::feed::Feed;
use super::load::{Delivery, disturbed, now, shop};
use crate::processor::{Instance, Partitions, Processor};

const PARTITIONS: i32 = 2;
/// What is read of a changelog after a checkpoint: the end of the last transaction of each partition.
const TAIL: f64 = 40.0;

struct Restarts {
    processor: Processor,
    folder: TempDir,
    load: Vec<Delivery>,
    sent: usize,
}

impl Restarts {
    /// With a load that is sent in so many parts.
    fn new(name: &str) -> Restarts {
        let processor = Processor::new(name, Partitions::alike(PARTITIONS)).with_figures(in_new_york());
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        Restarts { processor, folder, load: disturbed(shop(1_500)), sent: 0 }
    }

    /// Starts an instance, lets it process a part of the load, and asks it to leave.
    fn run(&mut self, share: usize) -> Instance {
        let folder = self.folder.path().to_str().expect("a path in UTF-8");
        let mut instance = self.processor.start_with("a", &[("PAYBACK_CHECKPOINTS__FOLDER", folder)]);
        let part = &self.load[self.sent..][..share.min(self.load.len() - self.sent)];
        self.sent += part.len();
        Feed::start(&self.processor, part, u32::MAX).finish();
        self.processor.wait_until_done(&mut [&mut instance]);
        instance.wait_until_ready();
        figures_of_now(&self.processor, &mut [&mut instance], &self.load[..self.sent], now);
        instance.leave();
        instance
    }

    fn finish(mut self) {
        self.run(usize::MAX);
        final_figures(&self.processor, &self.load);
    }

    fn checkpoint(&self, partition: i32) -> PathBuf {
        let id = &self.processor.application_id;
        self.folder.path().join(id).join(format!("{id}-customers-changelog-{partition}"))
    }
}

/// Facts of the customers that an instance restored: from Kafka, and of checkpoints.
fn restored(instance: &Instance) -> (f64, f64) {
    let log = instance.log();
    let line = log.lines().find(|line| line.contains("state restored") && line.contains("customers/0"));
    let line = line.expect("the instance says that it restored the customers");
    let number = |name: &str| {
        let (_, rest) = line.split_once(name).expect("the line has the number");
        rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    (number(" facts="), number(" of_checkpoints="))
}

fn times_ignored(instance: &Instance) -> usize {
    instance.log().matches(" is ignored: ").count()
}

#[test]
fn a_planned_restart_goes_on_from_its_checkpoints() {
    let mut restarts = Restarts::new("checkpoints");
    let third = restarts.load.len() / 3;
    let first = restarts.run(third);
    assert_eq!(restored(&first), (0.0, 0.0));
    let second = restarts.run(third);
    let (facts, of_checkpoints) = restored(&second);
    assert!(facts <= TAIL && of_checkpoints > 200.0, "{facts} facts from Kafka, {of_checkpoints} of checkpoints");
    assert_eq!(times_ignored(&second), 0);
    restarts.finish();
}

#[test]
fn an_instance_that_had_nothing_to_do_leaves_a_checkpoint_too() {
    let mut restarts = Restarts::new("idle-checkpoints");
    let half = restarts.load.len() / 2;
    restarts.run(half);
    for partition in 0..PARTITIONS {
        fs::remove_file(restarts.checkpoint(partition)).unwrap();
    }
    let idle = restarts.run(0);
    assert_eq!(restored(&idle).1, 0.0);
    let next = restarts.run(0);
    let (facts, of_checkpoints) = restored(&next);
    assert!(facts <= TAIL && of_checkpoints > 200.0, "{facts} facts from Kafka, {of_checkpoints} of checkpoints");
    assert_eq!(times_ignored(&next), 0);
    restarts.finish();
}

#[test]
fn a_checkpoint_that_the_changelog_left_behind_is_brought_up_to_date() {
    let mut restarts = Restarts::new("old-checkpoints");
    let quarter = restarts.load.len() / 4;
    restarts.run(quarter);
    let old: Vec<_> = (0..PARTITIONS).map(|partition| fs::read(restarts.checkpoint(partition)).unwrap()).collect();
    restarts.run(quarter);
    for (partition, old) in (0..).zip(&old) {
        fs::write(restarts.checkpoint(partition), old).unwrap();
    }
    let third = restarts.run(quarter);
    let (facts, of_checkpoints) = restored(&third);
    assert!(facts > TAIL && of_checkpoints > 100.0, "{facts} facts from Kafka, {of_checkpoints} of checkpoints");
    restarts.finish();
}

#[test]
fn a_checkpoint_that_is_damaged_or_of_something_else_is_ignored() {
    /// What is done to a checkpoint, given that of the other partition.
    type Harm = fn(&mut Vec<u8>, &[u8]);
    let harms: [(&str, Harm); 6] = [
        ("nothing is left", |file, _| file.clear()),
        ("the end is missing", |file, _| file.truncate(file.len() - 1)),
        ("a bit has flipped in the middle", |file, _| {
            let middle = file.len() / 2;
            file[middle] ^= 4;
        }),
        ("it is of another partition", |file, other| other.clone_into(file)),
        ("it is of another version", |file, _| file[7] += 1),
        ("the changelog never said so", |file, _| change_progress(file)),
    ];
    let mut restarts = Restarts::new("unfit-checkpoints");
    let part = restarts.load.len() / (harms.len() + 2);
    restarts.run(part);
    for (what, harm) in harms {
        let [path, other] = [0, 1].map(|partition| restarts.checkpoint(partition));
        let mut file = fs::read(&path).unwrap();
        harm(&mut file, &fs::read(other).unwrap());
        fs::write(&path, file).unwrap();
        let instance = restarts.run(part);
        assert_eq!(times_ignored(&instance), 1, "{what}");
        assert!(restored(&instance).0 > TAIL, "{what}: it is restored from Kafka");
        assert!(is_whole(&path), "{what}: a new one takes its place");
    }
    restarts.finish();
}

/// Makes it say that the partition's last figures were of another moment, with a checksum that is right.
fn change_progress(file: &mut [u8]) {
    // Magic, the header's length, the changelog's name with its length, the partition, and the end in 7 bits a byte.
    let name = 8 + 4;
    let mut at = name + 1 + usize::from(file[name]) + 1;
    while file[at] & 0x80 != 0 {
        at += 1;
    }
    file[at + 1] ^= 1;
    let facts = file.len() - 8;
    let sum = xxh3_64(&file[..facts]).to_le_bytes();
    file[facts..].copy_from_slice(&sum);
}

fn is_whole(path: &Path) -> bool {
    let file = fs::read(path).unwrap();
    let (rest, sum) = file.split_last_chunk::<8>().unwrap();
    xxh3_64(rest).to_le_bytes() == *sum
}
