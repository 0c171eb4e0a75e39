use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::Effects;
use crate::engine::customers::Customers;
use crate::events::Decoder;
use crate::kafka::changelog::partition::{Partition, Proof};
use crate::kafka::changelog::progress::Progress;
use crate::settings::Settings;
use crate::time::Millis;

struct Nowhere;

impl Effects for Nowhere {
    fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn update(&mut self, _: &str, _: Option<&[u8]>) {}
    fn differences(&mut self, _: u32, _: &[u8]) {}
}

fn settings() -> Arc<Settings> {
    Arc::new(Settings::default())
}

fn stored_settings() -> StoredSettings {
    StoredSettings::of(&settings(), 1, 1)
}

/// With a few orders, and where it stands in its changelog.
fn partition() -> Partition<Customers> {
    let mut partition: Partition<Customers> = Partition::new(settings());
    let decoder = Decoder::new(&settings());
    for i in 0..5 {
        let purchase = format!(
            r#"{{"type":"purchase","customer_id":"c{}","order_id":"{i}","occurred_at":{i},"revenue":{i}}}"#,
            i % 2
        );
        let event = decoder.decode(purchase.as_bytes(), Millis::MAX).unwrap();
        assert!(partition.stage.apply(&event, &mut Nowhere).is_ok());
    }
    partition.stage.flush(Millis(9), &mut Nowhere);
    partition.progress =
        Progress { as_of: Millis(9), rolled_to: Millis(8), internal_offset: Some(7), ..Progress::default() };
    partition.progress.write(settings().format, &mut partition.progress_fact);
    stored_settings().write(&mut partition.settings_fact);
    partition.park(400);
    partition
}

fn header_of(partition: &Partition<Customers>) -> Header {
    let Place::Kept(proof) = &partition.place else { panic!("it is not parked") };
    Header::of("changelog", 0, proof, partition)
}

fn written(partition: &Partition<Customers>) -> Vec<u8> {
    let header = header_of(partition);
    let mut file = Vec::new();
    let later = Instant::now() + Duration::from_secs(60);
    let bytes = file::write(&mut file, &header, &partition.stage, later).unwrap();
    assert_eq!(bytes, file.len() as u64);
    file
}

fn read(file: &[u8]) -> Result<Partition<Customers>, Unfit> {
    let mut loading = Loading::begin(file, file.len() as u64, "changelog", 0, &stored_settings())?;
    let mut partition = Partition::new(settings());
    loop {
        // Time is always up: a step makes some way all the same.
        if loading.step(&mut partition, Instant::now())? {
            partition.restored(Millis(9), settings().format);
            return Ok(partition);
        }
    }
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let partition = partition();
    let again = read(&written(&partition)).unwrap();
    for customer in ["c0", "c1"] {
        assert_eq!(again.stage.record(customer, Millis(9)), partition.stage.record(customer, Millis(9)));
    }
    assert_eq!(again.progress, partition.progress);
    assert!(again.has_settings() && again.has_state());
    assert_eq!(again.place, Place::Kept(Proof { end: 400, progress: partition.progress_fact }), "it is to be proven");
}

#[test]
fn what_it_is_of_is_looked_at_first() {
    let file = written(&partition());
    assert!(matches!(Loading::begin(&file[..], 9, "changelog", 1, &stored_settings()), Err(Unfit::Foreign(_))));
    assert!(matches!(Loading::begin(&file[..], 9, "other", 0, &stored_settings()), Err(Unfit::Foreign(_))));
    let other = StoredSettings::of(&settings(), 2, 1);
    assert!(matches!(Loading::begin(&file[..], 9, "changelog", 0, &other), Err(Unfit::Settings)));
}

#[test]
fn no_more_room_is_made_than_there_can_be_need_of_whatever_the_header_and_the_size_say() {
    let partition = partition();
    let header = Header { customers: u64::MAX, orders: u64::MAX, ..header_of(&partition) };
    let mut file = Vec::new();
    file::write(&mut file, &header, &partition.stage, Instant::now() + Duration::from_secs(60)).unwrap();
    for size in [file.len() as u64, u64::MAX] {
        let mut loading = Loading::begin(&file[..], size, "changelog", 0, &stored_settings()).unwrap();
        let mut again: Partition<Customers> = Partition::new(settings());
        while !loading.step(&mut again, Instant::now()).unwrap() {}
        assert_eq!(again.stage.sizes().orders, 5);
    }
}

#[test]
fn what_was_given_up_under_other_settings_stays_given_up() {
    let mut partition = partition();
    let mut less = Settings::default();
    less.retention.days -= 1;
    let less = StoredSettings::of(&less, 1, 1);
    let mut fact = Vec::new();
    less.write(&mut fact);

    let file = written(&partition);
    let mut loading = Loading::begin(&file[..], 9, "changelog", 0, &less).unwrap();
    let mut again: Partition<Customers> = Partition::new(settings());
    while !loading.step(&mut again, Instant::now()).unwrap() {}
    assert!(!again.has_settings(), "the changelog is to be told that less is kept");

    partition.settings_fact.clone_from(&fact);
    let again = read(&written(&partition)).unwrap();
    assert!(again.has_settings());
    assert_eq!(again.settings_fact, fact, "less was kept once, though more is now");
}

#[test]
fn a_checkpoint_takes_its_place_whole() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path(), "app").unwrap();
    let mut partitions = Partitions::default();
    partitions.retain_and_add(&[0], &settings());
    *partitions.get_mut(0).unwrap() = partition();
    let in_a_minute = Instant::now() + Duration::from_secs(60);
    checkpoints.write("changelog", &partitions, in_a_minute);
    let path = checkpoints.path("changelog", 0);
    assert!(read(&fs::read(&path).unwrap()).is_ok());
    assert!(checkpoints.open("changelog", 0, &stored_settings()).is_some());
    assert!(checkpoints.open("changelog", 1, &stored_settings()).is_none());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn each_partition_that_is_parked_has_its_file_however_many_there_are() {
    let numbers: Vec<u32> = (0..80).step_by(2).collect();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path(), "app").unwrap();
    let mut partitions = Partitions::default();
    partitions.retain_and_add(&numbers, &settings());
    numbers.iter().for_each(|&number| *partitions.get_mut(number).unwrap() = partition());
    partitions.get_mut(4).unwrap().place = Place::Read(400);
    *partitions.get_mut(8).unwrap() = Partition::new(settings());
    partitions.get_mut(8).unwrap().park(400);
    checkpoints.write("changelog", &partitions, Instant::now() + Duration::from_secs(60));
    for number in 0..80 {
        let is_there = number % 2 == 0 && ![4, 8].contains(&number);
        assert_eq!(checkpoints.open("changelog", number, &stored_settings()).is_some(), is_there, "{number}");
    }
}

#[test]
fn what_was_written_before_stays_when_there_is_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path(), "app").unwrap();
    let mut partitions = Partitions::default();
    partitions.retain_and_add(&[0], &settings());
    *partitions.get_mut(0).unwrap() = partition();
    checkpoints.write("changelog", &partitions, Instant::now() + Duration::from_secs(60));
    let path = checkpoints.path("changelog", 0);
    let before = fs::read(&path).unwrap();
    partitions.get_mut(0).unwrap().park(500);
    checkpoints.write("changelog", &partitions, Instant::now());
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
}

proptest! {
    #[test]
    fn no_bit_may_flip_and_no_byte_be_missing(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut: bool) {
        let mut file = written(&partition());
        let at = at.index(file.len());
        if cut {
            file.truncate(at);
        } else {
            file[at] ^= 1_u8 << bit;
        }
        prop_assert!(read(&file).is_err());
    }

    #[test]
    fn no_bytes_panic(mut file in prop::collection::vec(any::<u8>(), 0..200), from in 0_usize..120) {
        let _ = read(&file);
        let good = written(&partition());
        file.splice(0..0, good[..from.min(good.len())].iter().copied());
        prop_assert!(read(&file).is_err() || file == good);
    }
}
