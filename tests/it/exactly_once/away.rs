//! Kafka itself dies and comes back.

use super::check::{every_update, figures_of_now, final_figures};
use super::feed::Feed;
use super::load::{Steady, disturbed, mixed, now, shop};
use crate::broker;
use crate::own_process;
use crate::process::wait_until;
use crate::processor::{LIMIT, Partitions, Processor};

#[test]
fn nothing_is_lost_while_kafka_is_away() {
    own_process::run(&["exactly_once::away::kafka_dies_and_comes_back", "--exact"], 3 * LIMIT);
}

#[test]
#[ignore = "kills the Kafka of its process: run by nothing_is_lost_while_kafka_is_away"]
fn kafka_dies_and_comes_back() {
    let processor = Processor::new("away", Partitions::alike(2));
    let steady = Steady::new(2, 600);
    let load = mixed(disturbed(shop(400)), steady.deliveries());
    let feed = Feed::start(&processor, &load, 60);

    let mut instance = processor.start("a");
    wait_until("it works", LIMIT, || instance.metrics().total("payback_events_total") > 200.0);
    broker::interrupt(|| {
        wait_until("it says that Kafka is away", LIMIT, || instance.get("/readyz").is_none());
    });
    feed.must_go_on();
    feed.finish();
    processor.wait_until_done(&mut [&mut instance]);
    figures_of_now(&processor, &mut [&mut instance], &load, now);
    instance.leave();

    final_figures(&processor, &load);
    every_update(&processor, &steady);
}
