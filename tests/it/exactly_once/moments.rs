//! The latest record of every key is right now, not only when it was written: what time alone changes is written again when its
//! moment comes, also when nobody is at work then.

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use payback::shop::Source;
use payback::time::Millis;
use serde_json::{Value, json};

use super::abroad::{in_kathmandu, on_lord_howe_island};
use super::check::{as_of, figures_of_now, final_figures};
use super::clock::Clock;
use super::feed::Feed;
use super::load::{Delivery, shop};
use crate::batch::Config;
use crate::processor::{Instance, Partitions, Processor};
use crate::topics::latest;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// Enough for an event to be taken and written on a slow machine before its moment comes; less than events may be ahead.
const SOON: i64 = 240 * SECOND;

/// Whoever is said to be catching up has all records written again in the end, and with them those that its moments forgot.
/// So nobody is, unless the clock is put forward by more than a day.
const PATIENT: (&str, &str) = ("PAYBACK_VERDICT__MAX_LAG_SECONDS", "86400");

/// A processor with an instance at work, whose clock can be put forward.
struct World {
    processor: Processor,
    clock: Clock,
    instance: Option<Instance>,
    load: Vec<Delivery>,
}

impl World {
    fn new(name: &str, figures: Config) -> World {
        let processor = Processor::new(name, Partitions::alike(2)).with_figures(figures);
        let mut world = World { processor, clock: Clock::new(), instance: None, load: Vec::new() };
        world.start();
        world
    }

    fn start(&mut self) {
        let mut instance = self.processor.start_with("a", &[self.clock.variable(), PATIENT]);
        instance.wait_until_ready();
        self.instance = Some(instance);
    }

    /// Starts an instance that dies when it comes to a point.
    fn start_to_die_at(&mut self, point: &str) {
        let variables = [self.clock.variable(), PATIENT, ("PAYBACK_TEST_CRASH_AT", point)];
        self.instance = Some(self.processor.start_with("a", &variables));
    }

    /// Waits until it has died at its point.
    fn dies(&mut self) {
        assert_eq!(self.instance().wait_for_end().signal(), Some(6));
        self.instance = None;
    }

    fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("it was started")
    }

    fn stop(&mut self) {
        self.instance().leave();
        self.instance = None;
    }

    fn kill(&mut self) {
        self.instance().kill();
        self.instance = None;
    }

    /// Sends these and waits until they are in the records.
    fn take(&mut self, load: Vec<Delivery>) {
        Feed::start(&self.processor, &load, u32::MAX).finish();
        self.load.extend(load);
        let instance = self.instance.as_mut().expect("it was started");
        self.processor.wait_until_done(&mut [instance]);
    }

    /// Waits for this moment.
    fn comes_to(&mut self, moment: Millis) {
        while self.clock.now() < moment {
            self.instance().must_run();
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every latest record is as of now.
    #[track_caller]
    fn must_be_fresh(&mut self) {
        let instance = self.instance.as_mut().expect("it was started");
        figures_of_now(&self.processor, &mut [instance], &self.load, || self.clock.now());
    }

    /// Ends, and checks what is left, each record as of its own moment.
    #[track_caller]
    fn end(mut self) {
        self.stop();
        final_figures(&self.processor, &self.load);
    }
}

fn order(customer: &str, number: usize, at: Millis) -> Delivery {
    let event = json!({"type": "purchase", "customer_id": customer, "order_id": number, "occurred_at": at.0, "revenue": 100,
        "cost_of_goods": 40, "campaign_id": format!("of-{}", number % 4)});
    delivery(Source::Purchases, customer, &event)
}

fn amount(campaign: &str, number: usize, at: Millis) -> Delivery {
    let event =
        json!({"type": "ad_spend", "campaign_id": campaign, "spend_id": number, "occurred_at": at.0, "amount": 50});
    delivery(Source::AdSpend, campaign, &event)
}

fn delivery(source: Source, key: &str, event: &Value) -> Delivery {
    Delivery { source, key: Some(key.to_owned()), value: event.to_string().into_bytes() }
}

#[test]
fn an_order_ahead_of_the_clock_counts_when_the_clock_gets_there() {
    let mut world = World::new("ahead", Config::default());
    let now = world.clock.now();
    let ahead = [300, SECOND, 3 * SECOND, 8 * SECOND];
    let orders = ahead.into_iter().enumerate();
    world.take(orders.map(|(number, ahead)| order(&format!("c-{number}"), number, now.plus(ahead))).collect());
    for ahead in ahead {
        world.comes_to(now.plus(ahead));
        world.must_be_fresh();
    }

    let now = world.clock.now();
    let ahead = [SOON, SOON + 1, SOON + 20 * SECOND].into_iter().enumerate();
    world.take(ahead.map(|(number, ahead)| order("late", number, now.plus(ahead))).collect());
    world.must_be_fresh();
    // To shortly before the first, so that it comes as moments do; nothing else happens.
    let first = now.plus(SOON);
    world.clock.forward(first.plus(-2 * SECOND).0 - world.clock.now().0);
    world.comes_to(first);
    world.must_be_fresh();
    let late = as_of(&latest(&world.processor.ltv_updates)["late"]) - first.0;
    assert!((0..30 * SECOND).contains(&late), "written {late} ms after the moment");
    world.clock.forward(20 * SECOND);
    world.must_be_fresh();
    world.end();
}

#[test]
fn what_the_clock_reaches_while_nobody_works_is_written_after_the_next_start() {
    let mut world = World::new("ahead-of-a-start", Config::default());
    for (round, end) in [World::stop, World::kill].into_iter().enumerate() {
        let now = world.clock.now();
        world.take(vec![
            order(&format!("ahead-{round}"), round, now.plus(SOON)),
            order(&format!("leaves-{round}"), round, now.plus(SOON - YEAR)),
        ]);
        world.must_be_fresh();
        end(&mut world);
        world.clock.forward(SOON + SECOND);
        world.start();
        world.must_be_fresh();
    }
    world.end();
}

#[test]
fn an_order_leaves_the_last_365_days_to_the_second() {
    let mut world = World::new("leaves", Config::default());
    let year_ago = world.clock.now().plus(-YEAR);
    let left = [SECOND, 3 * SECOND, 8 * SECOND];
    let orders = left.into_iter().enumerate();
    world.take(orders.map(|(number, left)| order(&format!("c-{number}"), number, year_ago.plus(left))).collect());
    for left in left {
        world.comes_to(year_ago.plus(YEAR + left));
        world.must_be_fresh();
    }

    let year_ago = world.clock.now().plus(-YEAR);
    let left = [SOON, SOON + 1, SOON + 20 * SECOND, YEAR / 2].into_iter().enumerate();
    world.take(left.map(|(number, left)| order("early", number, year_ago.plus(left))).collect());
    world.must_be_fresh();
    world.clock.forward(SOON);
    world.must_be_fresh();
    world.clock.forward(20 * SECOND);
    world.must_be_fresh();
    world.end();
}

/// Far more than are written at a time, of customers and in their campaigns.
#[test]
fn moments_that_fall_together_are_all_written_whoever_dies_in_between() {
    let mut world = World::new("together", Config::default());
    let moment = world.clock.now().plus(SOON);
    let orders = (0..6_000).map(|number| order(&format!("c-{number}"), number, moment.plus(-YEAR)));
    world.take(orders.collect());
    world.must_be_fresh();
    world.stop();
    world.start_to_die_at("during-roll:2");
    world.clock.forward(SOON);
    world.dies();
    world.start_to_die_at("during-roll:1");
    world.dies();
    world.start();
    world.must_be_fresh();
    world.end();
}

#[test]
fn windows_go_with_the_hours_of_their_zone() {
    let mut world = World::new("hours", in_kathmandu());
    let now = world.clock.now();
    let mut load = vec![amount("long-ago", 0, now.plus(-YEAR - DAY))];
    for number in 0..30 {
        let at = now.plus(-(number as i64) * HOUR);
        load.push(amount("hourly", number, at));
        load.push(order("hourly", number, at));
    }
    // In the window from the next hour on.
    load.push(order("ahead", 30, now.plus(SOON)));
    world.take(load);
    world.must_be_fresh();
    for hours in [1, 1, 23, 6 * 24] {
        world.clock.forward(hours * HOUR);
        world.must_be_fresh();
    }
    world.end();
}

#[test]
fn spend_becomes_late_within_the_hour() {
    let mut world = World::new("late", Config::default());
    // The 24 hours of the moment at which it becomes late, of which it may be a quarter behind.
    let late = world.clock.now().plus(SOON);
    let from = late.0 / HOUR * HOUR - 23 * HOUR;
    let behind = (late.0 - from) / 4;
    let amounts = [0, SECOND, 5 * SECOND].into_iter().enumerate();
    let amounts = amounts.map(|(number, after)| amount(&format!("g-{number}"), number, late.plus(after - behind)));
    world.take(amounts.collect());
    world.must_be_fresh();
    world.clock.forward(SOON + 1);
    world.must_be_fresh();
    world.clock.forward(10 * SECOND);
    world.must_be_fresh();
    world.end();
}

#[test]
fn a_shop_stays_right_while_its_clock_jumps() {
    let mut world = World::new("jumps", on_lord_howe_island());
    world.take(shop(150));
    world.must_be_fresh();
    for hours in [1, 26, 6 * 24, 31 * 24, 300 * 24] {
        world.clock.forward(hours * HOUR);
        world.must_be_fresh();
    }
    world.end();
}
