//! A soak: two instances at work for long, with events that change what is there and add nothing. What they hold stays
//! what it is: memory, file handles, threads, and how far they are behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use payback::shop::Source;
use payback::time::Millis;
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::broker::Cluster;
use crate::check::final_figures;
use crate::load::{Delivery, now};
use crate::ordeal::processor;
use crate::process::wait_until;
use crate::processor::{Instance, LIMIT};
use crate::topics::Loader;

/// Events a second, in all.
const RATE: u64 = 50;
/// The world of the soak. Each round has every order changed, every third refunded more, and every report restated.
const ORDERS: usize = 1_500;
const CUSTOMERS: usize = 500;
const CAMPAIGNS: usize = 8;
/// Looks at the instances, over the whole time.
const LOOKS: u32 = 120;

/// Where the curves are kept, of the last run.
const CURVES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/soak.csv");

/// What an instance holds at a moment.
#[derive(Clone, Copy)]
struct Look {
    resident_kib: f64,
    handles: f64,
    threads: f64,
    lag: f64,
}

pub fn soak(lasting: Duration) {
    let _cluster = Cluster::start();
    let processor = processor("soak");
    let mut instances = [processor.start("a"), processor.start("b")];
    instances.iter_mut().for_each(Instance::wait_until_ready);

    let loader = Loader::new();
    let (begun, base) = (Instant::now(), now().plus(-Millis::DAY));
    let mut sent: Vec<Delivery> = Vec::new();
    let mut looks: Vec<Vec<Look>> = vec![Vec::new(); instances.len()];
    let mut curves = Curves::create(Path::new(CURVES)).expect("curves can be written");
    println!("curves: {CURVES}");
    while begun.elapsed() < lasting {
        while (sent.len() as u64) < begun.elapsed().as_millis() as u64 * RATE / 1_000 {
            let delivery = event(sent.len(), base);
            let topic = if delivery.source == Source::Purchases { &processor.purchases } else { &processor.spend };
            let key = delivery.key.clone().expect("each has a key");
            loader.send_record(BaseRecord::to(topic).key(key.as_bytes()).payload(&delivery.value[..]));
            sent.push(delivery);
        }
        if begun.elapsed() >= lasting / LOOKS * (looks[0].len() as u32 + 1) {
            for (instance, looks) in instances.iter_mut().zip(&mut looks) {
                instance.must_run();
                let (seconds, look) = (begun.elapsed().as_secs_f64(), look(instance));
                curves.add(seconds, &instance.name, &look).expect("curves can be written");
                println!(
                    "{:8.1} s  {}: {:.0} MiB resident, {:.0} file handles, {:.0} threads, {:.0} behind",
                    seconds,
                    instance.name,
                    look.resident_kib / 1024.0,
                    look.handles,
                    look.threads,
                    look.lag,
                );
                looks.push(look);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    loader.flush();
    wait_until("all is processed", LIMIT, || processor.is_done());
    for (instance, looks) in instances.iter_mut().zip(&looks) {
        must_be_flat(&instance.name, looks);
        instance.leave();
    }
    final_figures(&processor, &sent);
    println!("{} events in {:?}: all is flat, 0 differences", sent.len(), begun.elapsed());
}

/// The so-many-eth event: first all that there is, then changes of it, round after round.
fn event(number: usize, base: Millis) -> Delivery {
    let (round, place) = (number / (ORDERS + CAMPAIGNS), number % (ORDERS + CAMPAIGNS));
    let at = |offset: usize| base.plus(offset as i64 * 1_000).to_string();
    let campaign = |number: usize| format!("c-{}", number % CAMPAIGNS);
    if place >= ORDERS {
        let campaign = campaign(place);
        let day = base.to_string()[..10].to_owned();
        let report = json!({
            "type": "ad_spend_report", "campaign_id": campaign, "date": day, "reported_at": base.plus(Millis::DAY).plus(round as i64).to_string(),
            "amount": 500 + round % 100, "impressions": 10_000 + round, "clicks": 100 + round % 50,
        });
        return Delivery { source: Source::AdSpend, key: Some(campaign), value: report.to_string().into_bytes() };
    }
    let customer = format!("customer-{}", place % CUSTOMERS);
    let event = if round > 0 && place.is_multiple_of(3) {
        json!({
            "type": "refund", "customer_id": customer, "order_id": place, "refund_id": 1, "occurred_at": at(place + round),
            "amount": 1 + round % 20,
        })
    } else {
        json!({
            "type": "purchase", "customer_id": customer, "order_id": place, "occurred_at": at(place), "updated_at": at(place + round),
            "revenue": 100 + (place + round) % 900, "cost_of_goods": 30, "campaign_id": campaign(place), "channel": "search",
        })
    };
    Delivery { source: Source::Purchases, key: Some(customer), value: event.to_string().into_bytes() }
}

fn look(instance: &Instance) -> Look {
    let status = fs::read_to_string(format!("/proc/{}/status", instance.id())).expect("a process has a status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel says so");
        line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok()).expect("a number")
    };
    Look {
        resident_kib: field("VmRSS:"),
        threads: field("Threads:"),
        handles: fs::read_dir(format!("/proc/{}/fd", instance.id())).expect("a process has handles").count() as f64,
        lag: instance.metrics().total("payback_consumer_lag"),
    }
}

/// All looks as a table for a plot, a line each; those of a run that fails too.
struct Curves(File);

impl Curves {
    fn create(path: &Path) -> io::Result<Curves> {
        let mut file = File::create(path)?;
        writeln!(file, "seconds,instance,resident_kib,file_handles,threads,records_behind")?;
        Ok(Curves(file))
    }

    fn add(&mut self, seconds: f64, instance: &str, look: &Look) -> io::Result<()> {
        let Look { resident_kib, handles, threads, lag } = look;
        writeln!(self.0, "{seconds:.1},{instance},{resident_kib},{handles},{threads},{lag}")
    }
}

#[test]
fn curves_have_a_line_for_each_look_at_each_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("soak.csv");
    let mut curves = Curves::create(&path).expect("curves can be written");
    let look = Look { resident_kib: 30_617.0, handles: 120.0, threads: 56.0, lag: 3.0 };
    curves.add(15.04, "a", &look).expect("curves can be written");
    curves.add(15.07, "b", &Look { lag: 0.0, ..look }).expect("curves can be written");
    let text = fs::read_to_string(&path).expect("curves can be read");
    let lines = [
        "seconds,instance,resident_kib,file_handles,threads,records_behind",
        "15.0,a,30617,120,56,3",
        "15.1,b,30617,120,56,0",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

/// The median of the last quarter against that of the second: by then all that there is has come, and caches are full.
fn must_be_flat(name: &str, looks: &[Look]) {
    type Figure = fn(&Look) -> f64;
    let quarter = looks.len() / 4;
    let median = |looks: &[Look], figure: Figure| {
        let mut figures: Vec<f64> = looks.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    // By what factor each may grow, and by how many.
    let figures: [(&str, Figure, f64, f64); 4] = [
        ("KiB resident", |look| look.resident_kib, 1.05, 4_096.0),
        ("file handles", |look| look.handles, 1.0, 4.0),
        ("threads", |look| look.threads, 1.0, 2.0),
        ("records behind", |look| look.lag, 1.0, 100.0),
    ];
    for (what, figure, times, more) in figures {
        let before = median(&looks[quarter..2 * quarter], figure);
        let after = median(&looks[looks.len() - quarter..], figure);
        println!("{name}: {what}: {before:.0}, at the end {after:.0}");
        assert!(after <= before * times + more, "{name}: {what} grow: {before:.0}, at the end {after:.0}");
    }
}
