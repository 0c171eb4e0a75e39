//! A state that is read from a snapshot is the one that a restore makes of the changelog.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::compaction::{SHORT, settings, shop};
use super::restore::{start, steps_of, without_collisions};
use super::*;
use crate::settings::Retention;

/// What stands in a stage's snapshot.
fn told(stage: &Campaigns) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut told = BTreeMap::new();
    let saved: Result<(), ()> = stage.save(|mut block| {
        while !block.is_empty() {
            let ((key, value), rest): ((&[u8], &[u8]), _) = postcard::take_from_bytes(block).unwrap();
            assert!(told.insert(key.to_vec(), value.to_vec()).is_none(), "each is told once");
            block = rest;
        }
        Ok(())
    });
    assert_eq!(saved, Ok(()));
    told
}

fn loaded(shop: &Shop, settings: &Settings, as_of: Millis) -> Shop {
    let mut again = Shop::new(settings.clone());
    let mut facts = 0;
    let loaded = shop.stage.save(|block| again.stage.load(block).map(|read| facts += read));
    loaded.unwrap();
    assert_eq!(facts, told(&shop.stage).len() as u64);
    again.stage.restored(Some(Last::at(as_of)));
    again.out.facts = shop.out.facts.clone();
    again.out.horizons = shop.out.horizons.clone();
    again
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_loaded_state_is_the_one_that_the_changelog_gives(
        steps in steps_of(6_000).prop_map(without_collisions),
        keeps_all: bool,
        later in 0_i64..8_000,
    ) {
        let settings = settings(if keeps_all { SHORT.of_everything() } else { SHORT });
        let mut shop = shop(&settings, start());
        let mut now = start().plus(-Millis::DAY);
        steps.iter().for_each(|step| shop.take(step, &mut now));
        shop.flush(now);

        // Each fact of the changelog, but for what is nothing, and what no figure is made of.
        let told_now = told(&shop.stage);
        for (key, value) in &shop.out.facts {
            match Key::read(key).unwrap() {
                Key::Report { .. } => prop_assert!(told_now.contains_key(key)),
                Key::Before { .. } if !told_now.contains_key(key) => {
                    prop_assert_eq!(super::super::facts::read_before(value).unwrap(), Default::default());
                }
                _ => prop_assert_eq!(told_now.get(key), Some(value)),
            }
        }
        let is_known = |key: &Vec<u8>| shop.out.facts.contains_key(key) || key == b"z";
        prop_assert!(told_now.keys().all(is_known));
        prop_assert_eq!(told_now.get(&b"z"[..]), shop.out.horizons.as_ref());

        let mut restored = shop.restored(&settings, Some(now), &[]);
        let mut loaded = loaded(&shop, &settings, now);
        prop_assert_eq!(told(&loaded.stage), told(&restored.stage));
        prop_assert_eq!(told(&loaded.stage), told_now);
        let sizes = restored.stage.sizes();
        prop_assert_eq!(loaded.stage.sizes().campaigns, sizes.campaigns);
        prop_assert_eq!(loaded.records(now), shop.records(now));
        let then = now.plus(later * Millis::MINUTE);
        // In the order in which each came to know its campaigns.
        let (written, again) = (restored.roll(then), loaded.roll(then));
        let keys = |written: Vec<String>| written.into_iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(keys(again), keys(written));
        prop_assert_eq!(loaded.records(then), restored.records(then));
        prop_assert_eq!(loaded.out.facts, restored.out.facts);
    }
}

/// Hours may be kept individually for longer than before: then a day that has become a fact of its own has hours again.
#[test]
fn a_day_that_came_to_nothing_by_its_hours_is_nothing_still() {
    let day_of_hours = |days| settings(Retention { hours_days: Some(days), ..SHORT.of_everything() });
    let (shorter, longer) = (day_of_hours(3), day_of_hours(40));
    let five_days_ago = hour(5 * 24);
    let bought = LedgerSums { shares: 1, ..LedgerSums::default() };
    let mut shop = shop(&shorter, NOW);
    shop.absorb("c", five_days_ago, bought);
    shop.flush(NOW);
    assert!(shop.out.facts.keys().all(|key| matches!(Key::read(key), Ok(Key::Day { .. }))));

    let mut shop = shop.restored(&longer, Some(NOW), &[]);
    shop.absorb("c", five_days_ago, -bought);
    shop.absorb("d", five_days_ago, bought);
    shop.flush(NOW);
    assert_eq!(shop.out.facts.len(), 3, "the day of one campaign, and an hour of both");
    let mut again = loaded(&shop, &longer, NOW);
    let mut told = told(&again.stage);
    assert_eq!(told.remove(&b"z"[..]), shop.out.horizons);
    assert_eq!(told, shop.out.facts);
    for back in [4, 30] {
        let then = NOW.plus(back * Millis::DAY);
        again.roll(then);
        shop.roll(then);
        assert_eq!(again.present("c", then), None);
        assert_eq!(again.present("d", then), shop.present("d", then));
        assert_eq!(again.out.facts, shop.out.facts);
    }
}
