//! A processor that goes through a schedule of faults under load, and what is left of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use payback::shop::Source;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rdkafka::producer::BaseRecord;

use crate::broker::Cluster;
use crate::check::{figures_of_now, final_figures, updates_of_each};
use crate::feed::Feed;
use crate::load::{Delivery, Steady, disturbed_by, mixed, now, shop_of};
use crate::past::Past;
use crate::poison::poison;
use crate::probe::Probes;
use crate::process::Patience;
use crate::processor::{Instance, Partitions, Processor};
use crate::schedule::{AT_FIRST, Fault, MOST, Schedule, Step, name};
use crate::topics::{Loader, create_with};
use crate::witness::{Adding, Witness};

pub const PARTITIONS: i32 = 4;
/// What instances say is read when something failed.
const LOG: (&str, &str) = ("RUST_LOG", "info,payback=debug");
/// Instances that keep checkpoints; the others restore from Kafka alone.
const WITH_CHECKPOINTS: usize = 2;
/// Among so many faults are some of all that there is to survive.
const MANY: usize = 40;
/// A member is given up after so long without a sign of life.
pub const SESSION: Duration = Duration::from_secs(4);
/// What a fault takes on the average, with the wait for the next.
const A_FAULT: Duration = Duration::from_secs(16);
/// A fault that is not recovered from after so long is not recovered from.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);
/// It gives its threads 5 s, which they take while a broker does not answer.
const LEFT_WITHIN: Duration = Duration::from_secs(10);
/// How long after it goes on a frozen instance may end, since others have taken its place.
const MAY_END_WITHIN: Duration = Duration::from_secs(60);
/// Records of each key that are compared with the batch one by one; all are held against sums as they are read.
pub const COMPARED: usize = 300;

pub struct Ordeal {
    seed: u64,
    begun: Instant,
    // In this order they end.
    instances: [Option<Instance>; MOST],
    /// Those that are frozen or were lately.
    dazed: [Option<Instant>; MOST],
    frozen: [bool; MOST],
    due: Vec<(Instant, Action)>,
    witness: Witness,
    probes: Probes,
    steady: Steady,
    load: Vec<Delivery>,
    /// What was sent beside the load.
    besides: Vec<Delivery>,
    loader: Loader,
    /// Faults that are not recovered from: their number, kind, and since when that is waited for.
    outstanding: Vec<(usize, &'static str, Instant)>,
    recoveries: BTreeMap<&'static str, Vec<Duration>>,
    /// What is given up before the first fault, where anything is.
    past: Option<Past>,
    processor: Processor,
    cluster: Cluster,
}

/// How a fault ends.
#[derive(Clone, Copy)]
enum Action {
    Start(usize),
    Thaw(usize),
    BringBack(usize),
    Unpause(usize),
}

impl Ordeal {
    /// Brokers, instances, and a load that lasts for so many faults; with a past that is given up, or without.
    pub fn begin(seed: u64, faults: usize, gives_up: bool) -> Ordeal {
        let begun = Instant::now();
        let cluster = Cluster::start();
        let processor = processor("torture");
        let per_partition = (80 * faults).clamp(300, 2_500);
        let steady = Steady::new(PARTITIONS as u32, per_partition);
        let customers = u32::try_from(300 * faults).unwrap_or(u32::MAX).clamp(800, 12_000);
        let shop = disturbed_by(shop_of(customers, seed), seed);
        let load = mixed(shop, sent_again(steady.deliveries(), seed));
        let probes = Probes::new(PARTITIONS as u32);
        let past = gives_up.then(|| Past::of(&load));
        let mut instances: [Option<Instance>; MOST] = Default::default();
        for (place, instance) in instances.iter_mut().enumerate().take(AT_FIRST) {
            instance.insert(start(&processor, place, past.as_ref())).wait_until_ready();
        }
        if let Some(past) = &past {
            past.is_given_up(&processor, &mut instances.iter_mut().flatten().collect::<Vec<_>>());
        }
        let witness = Witness::start(&processor, Adding::new(&steady, &probes, faults + 1));
        println!("{} events, of which {} only add", load.len(), steady.deliveries().len());
        Ordeal {
            seed,
            begun,
            instances,
            dazed: [None; MOST],
            frozen: [false; MOST],
            due: Vec::new(),
            witness,
            probes,
            steady,
            load,
            besides: past.as_ref().map(|past| past.load.clone()).unwrap_or_default(),
            loader: Loader::new(),
            outstanding: Vec::new(),
            recoveries: BTreeMap::new(),
            past,
            processor,
            cluster,
        }
    }

    /// Goes through all of it, or as far as it comes in the time given, and checks what is left.
    pub fn go_through(mut self, schedule: &Schedule, limit: Option<Duration>) {
        let rate = self.load.len() as f64 / (schedule.0.len() as f64 * A_FAULT.as_secs_f64());
        let feed = Feed::start(&self.processor, &self.load, rate.clamp(20.0, 400.0) as u32);
        let steps = &schedule.0;
        let mut done = 0;
        for (number, step) in steps.iter().enumerate() {
            if limit.is_some_and(|limit| self.begun.elapsed() > limit) {
                self.tell("time is up");
                break;
            }
            self.suffer(number, step);
            if !steps.get(number + 1).is_some_and(|next| next.overlaps) {
                self.recover();
            }
            done += 1;
        }
        self.recover();
        feed.must_go_on();
        feed.finish();
        self.loader.flush();
        self.tell("all is sent");
        self.pass_until("all is processed", |ordeal| ordeal.processor.is_done());
        self.tell("all is processed");
        let all = [&self.load[..], &self.besides[..]].concat();
        let ahead = self.past.as_ref().map_or(0, Past::ahead);
        figures_of_now(&self.processor, &mut [], &all, || now().plus(ahead));
        self.tell("the latest record of every customer and campaign is the batch's of now");
        for instance in self.instances.iter_mut().flatten() {
            instance.leave_within(LEFT_WITHIN);
        }
        self.check(done);
    }

    fn check(&mut self, faults: usize) {
        let all = [&self.load[..], &self.besides[..]].concat();
        final_figures(&self.processor, &all);
        self.tell("every customer and campaign is as the batch says");
        updates_of_each(&self.processor, &self.steady, COMPARED);
        let told = self.witness.finish(&self.processor);
        self.tell(&told);
        let counted = |metric| self.processor.counted(metric);
        let [aborted, restored] = ["payback_transactions_aborted_total", "payback_restored_facts_total"].map(counted);
        let (forwarded, of_checkpoints) = (counted("payback_forwarded_total"), self.of_checkpoints());
        self.tell(&format!(
            "{aborted} transactions aborted, {forwarded} records forwarded, {restored} facts restored, and {of_checkpoints} of \
             checkpoints"
        ));
        println!("{}", table(&self.recoveries));
        println!("seed {}: {faults} faults, {} events, 0 differences", self.seed, all.len());
        assert!(restored > 0.0, "nothing was restored");
        if faults >= MANY {
            assert!(aborted > 0.0, "no transaction was aborted");
            assert!(forwarded > 0.0, "no record was forwarded");
            assert!(of_checkpoints > 0, "no checkpoint was read");
        }
    }

    /// Facts that restores did not have to read, as instances say in their logs.
    fn of_checkpoints(&self) -> u64 {
        let logs = fs::read_dir(self.processor.folder.path()).into_iter().flatten().flatten();
        let texts = logs.filter_map(|log| fs::read_to_string(log.path()).ok());
        let in_text = |text: String| {
            let after = text.split(" of_checkpoints=").skip(1);
            after.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum::<u64>()
        };
        texts.map(in_text).sum()
    }

    /// One fault strikes.
    fn suffer(&mut self, number: usize, step: &Step) {
        let until = Instant::now() + step.after;
        self.pass_until("it is time", |_| Instant::now() >= until);
        if matches!(step.fault, Fault::KillBroker { .. } | Fault::PauseBroker { .. }) {
            // With two of three brokers behind nothing could go on, and nothing would be tested.
            self.pass_until("all brokers have all", |ordeal| ordeal.cluster.is_whole());
        }
        self.tell(&format!("{}. {}", number + 1, step.fault));
        self.strike(step.fault);
        for order in self.probes.orders(number) {
            self.send(order);
        }
        self.outstanding.push((number, step.fault.kind(), Instant::now()));
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill { instance, back_after } => {
                self.running(instance).kill();
                self.instances[instance] = None;
                self.put_off(back_after, Action::Start(instance));
            }
            Fault::Freeze { instance, lasting } => {
                self.running(instance).freeze();
                self.frozen[instance] = true;
                self.put_off(lasting, Action::Thaw(instance));
            }
            Fault::Restart { instance } => {
                self.leave(instance);
                self.start(instance);
            }
            Fault::Join { instance } => self.start(instance),
            Fault::Leave { instance } => self.leave(instance),
            Fault::KillBroker { broker, back_after } => {
                self.cluster.kill(broker);
                self.put_off(back_after, Action::BringBack(broker));
            }
            Fault::PauseBroker { broker, lasting } => {
                self.cluster.pause(broker, true);
                self.put_off(lasting, Action::Unpause(broker));
            }
            Fault::Poison { records } => self.poison(records),
        }
    }

    fn end(&mut self, action: Action) {
        match action {
            Action::Start(instance) => self.start(instance),
            Action::Thaw(instance) => {
                self.running(instance).thaw();
                self.frozen[instance] = false;
                self.dazed[instance] = Some(Instant::now());
            }
            Action::BringBack(broker) => self.cluster.bring_back(broker),
            Action::Unpause(broker) => self.cluster.pause(broker, false),
        }
    }

    fn put_off(&mut self, after: Duration, action: Action) {
        self.due.push((Instant::now() + after, action));
    }

    fn running(&mut self, instance: usize) -> &mut Instance {
        self.instances[instance].as_mut().expect("the schedule knows who runs")
    }

    fn start(&mut self, instance: usize) {
        self.instances[instance] = Some(start(&self.processor, instance, self.past.as_ref()));
        self.dazed[instance] = None;
    }

    fn leave(&mut self, instance: usize) {
        // One that was frozen lately may have ended just now.
        self.look_after_instances();
        self.running(instance).leave_within(LEFT_WITHIN);
        self.instances[instance] = None;
    }

    fn poison(&mut self, records: usize) {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ self.besides.len() as u64);
        // Neither what depends on the moment of reading, nor what no broker would take.
        let kinds: Vec<Vec<u8>> = poison(now().0)
            .into_iter()
            .filter(|(_, reason)| !["in_the_future", "too_large"].contains(reason))
            .map(|(record, _)| record)
            .collect();
        for _ in 0..records {
            let source = if dice.random_bool(0.5) { Source::Purchases } else { Source::AdSpend };
            let key = dice.random_bool(0.8).then(|| format!("c-{}", dice.random_range(0..50)));
            let value = kinds.choose(&mut dice).expect("there are some").clone();
            self.send(Delivery { source, key, value });
        }
    }

    /// Sends something beside the load.
    fn send(&mut self, delivery: Delivery) {
        let topic = match delivery.source {
            Source::Purchases => &self.processor.purchases,
            Source::AdSpend => &self.processor.spend,
        };
        let record = BaseRecord::to(topic).payload(&delivery.value[..]);
        self.loader.send_record(match &delivery.key {
            Some(key) => record.key(key.as_bytes()),
            None => record,
        });
        self.besides.push(delivery);
    }

    /// Waits until all faults have ended and all figures go on.
    fn recover(&mut self) {
        self.pass_until("all faults have ended", |ordeal| ordeal.due.is_empty());
        self.pass_until("the figures go on", |ordeal| ordeal.outstanding.is_empty());
    }

    /// Lets time pass, with all that has to be looked after meanwhile.
    #[track_caller]
    fn pass_until(&mut self, what: &str, mut condition: impl FnMut(&Ordeal) -> bool) {
        let patience = Patience::of(RECOVERED_WITHIN);
        loop {
            self.look_after_instances();
            self.look_after_faults();
            self.look_after_recoveries();
            self.witness.must_be_content();
            if condition(self) {
                return;
            }
            assert!(!patience.is_over(), "not within {RECOVERED_WITHIN:?}: {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// None ends by itself, except that one may whose place was taken while it was frozen. That one is started again.
    fn look_after_instances(&mut self) {
        for place in 0..MOST {
            let Some(instance) = &mut self.instances[place] else { continue };
            if !instance.has_ended() {
                continue;
            }
            let log = instance.log();
            let last = log.lines().last().unwrap_or_default().to_owned();
            let excused = self.dazed[place].is_some_and(|since| since.elapsed() < MAY_END_WITHIN);
            assert!(excused && !log.contains("panicked"), "instance {} ended by itself: {last}", name(place));
            self.tell(&format!("   {} ended after it was frozen: {last}", name(place)));
            self.start(place);
        }
    }

    fn look_after_faults(&mut self) {
        let now = Instant::now();
        while let Some(place) = self.due.iter().position(|(at, _)| *at <= now) {
            let (_, action) = self.due.swap_remove(place);
            let nobody_works = !self.somebody_works();
            self.end(action);
            if nobody_works && self.somebody_works() {
                self.outstanding.iter_mut().for_each(|(_, _, since)| *since = Instant::now());
            }
        }
    }

    fn somebody_works(&self) -> bool {
        self.instances.iter().zip(self.frozen).any(|(instance, frozen)| instance.is_some() && !frozen)
    }

    fn look_after_recoveries(&mut self) {
        while let Some(&(number, kind, since)) = self.outstanding.first() {
            if !self.witness.has_seen(self.probes.keys(), number + 1) {
                return;
            }
            self.outstanding.remove(0);
            self.recoveries.entry(kind).or_default().push(since.elapsed());
            self.tell(&format!("   recovered from {} after {:.1} s", number + 1, since.elapsed().as_secs_f64()));
        }
    }

    fn tell(&self, what: &str) {
        println!("{:8.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

impl Drop for Ordeal {
    fn drop(&mut self) {
        if thread::panicking() {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-of-seed-{}", self.seed));
            let _ = fs::create_dir_all(&folder);
            self.cluster.keep_logs(&folder);
            for log in fs::read_dir(self.processor.folder.path()).into_iter().flatten().flatten() {
                let _ = fs::copy(log.path(), folder.join(log.file_name()));
            }
            eprintln!("seed {}: the logs are in {}", self.seed, folder.display());
        }
    }
}

/// Starts the instance of this place. Its checkpoints outlive it.
fn start(processor: &Processor, place: usize, past: Option<&Past>) -> Instance {
    let folder = processor.folder.path().join(format!("checkpoints-{}", name(place)));
    let mut variables = vec![LOG];
    if place < WITH_CHECKPOINTS {
        variables.push(("PAYBACK_CHECKPOINTS__FOLDER", folder.to_str().expect("a path in UTF-8")));
    }
    variables.extend(past.into_iter().flat_map(Past::variables));
    processor.start_with(name(place), &variables)
}

/// With its topics; the changelogs are compacted while they are in use, as they would be after months.
pub fn processor(name: &str) -> Processor {
    let processor = Processor::new(name, Partitions::alike(PARTITIONS)).with_session(SESSION);
    for stage in ["customers", "campaigns"] {
        let settings = [
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "4194304"),
            ("segment.ms", "10000"),
            ("segment.bytes", "1048576"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("delete.retention.ms", "1000"),
        ];
        create_with(&format!("{}-{stage}-changelog", processor.application_id), PARTITIONS, &settings);
    }
    processor
}

/// Some of these come again, up to some hundreds later.
fn sent_again(load: Vec<Delivery>, seed: u64) -> Vec<Delivery> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut all: Vec<(usize, Delivery)> = Vec::new();
    for (place, delivery) in load.into_iter().enumerate() {
        if dice.random_bool(0.1) {
            all.push((place + dice.random_range(1..400), delivery.clone()));
        }
        all.push((place, delivery));
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, delivery)| delivery).collect()
}

/// Recoveries by kind of fault.
fn table(recoveries: &BTreeMap<&'static str, Vec<Duration>>) -> String {
    let row = |kind: &str, times: &[Duration]| {
        let mut times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        times.sort_by(f64::total_cmp);
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        format!("| {kind} | {} | {median:.1} s | {worst:.1} s |", times.len())
    };
    let head = ["| fault | times | median | worst |".to_owned(), "| --- | ---: | ---: | ---: |".to_owned()];
    let all: Vec<Duration> = recoveries.values().flatten().copied().collect();
    let rows = recoveries.iter().map(|(kind, times)| row(kind, times));
    let lines: Vec<String> = head.into_iter().chain(rows).chain((!all.is_empty()).then(|| row("all", &all))).collect();
    lines.join("\n")
}
