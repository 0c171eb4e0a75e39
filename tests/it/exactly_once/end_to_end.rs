//! All kinds of input, with instances that come and go as they should.

use payback::shop::Source;

use super::abroad::in_kathmandu;
use super::check::{figures_of_now, final_figures};
use super::feed::Feed;
use super::load::{Delivery, disturbed, now, shop};
use crate::cdnow;
use crate::processor::{Partitions, Processor};

/// Sends a load at once and waits until one instance has processed it.
fn process(processor: &Processor, load: &[Delivery]) {
    let mut instance = processor.start("a");
    Feed::start(processor, load, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut instance]);
    figures_of_now(processor, &mut [&mut instance], load, now);
    instance.leave();
}

#[test]
fn the_cdnow_purchases_end_in_the_figures_of_the_batch() {
    let processor = Processor::new("cdnow", Partitions::alike(4));
    let purchases = cdnow::purchases().into_iter().map(|purchase| {
        let event: serde_json::Value = serde_json::from_str(&purchase).expect("a purchase is JSON");
        let key = event["customer_id"].as_str().map(str::to_owned);
        Delivery { source: Source::Purchases, key, value: purchase.into_bytes() }
    });
    let load: Vec<Delivery> = purchases.collect();
    process(&processor, &load);
    final_figures(&processor, &load);
    assert_eq!(processor.counted("payback_forwarded_total"), 0.0, "customer ids are keys: all are read at home");
}

#[test]
fn duplicates_disorder_wrong_keys_and_poison_end_in_the_figures_of_the_batch() {
    let processor = Processor::new("disturbed", Partitions { purchases: 6, spend: 3, internal: 4 });
    let processor = processor.with_figures(in_kathmandu());
    let load = disturbed(shop(800));
    let (mut a, mut b) = (processor.start("a"), processor.start("b"));
    a.wait_until_ready();
    b.wait_until_ready();
    Feed::start(&processor, &load, u32::MAX).finish();
    processor.wait_until_done(&mut [&mut a, &mut b]);
    figures_of_now(&processor, &mut [&mut a, &mut b], &load, now);
    a.leave();
    b.leave();
    final_figures(&processor, &load);
    let forwarded = processor.counted("payback_forwarded_total");
    assert!(
        forwarded > load.len() as f64 / 4.0,
        "six partitions are not four, and yet only {forwarded} were forwarded"
    );
}
