//! What an event costs in the engine, and what it leaves in memory.
//!
//! `cargo bench --bench engine` prints, by Criterion, the time of 1,000 purchases decoded, applied and flushed for
//! 10,000 to 5,000,000 customers and for one customer with 100,000 orders, of one record of a customer and of a campaign
//! encoded, of 300,000 facts restored, and of 1,250,000 orders written to a snapshot and read from it; before that the
//! bytes of memory an order, a customer, a touchpoint and a refund. Times are the thread's own CPU time: what else the machine
//! does doesn't count.

use std::env;
use std::fmt::Write;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Effects, Last, Stage};
use payback::events::Decoder;
use payback::settings::Settings;
use payback::time::Millis;
use rustix::time::{ClockId, clock_gettime};

/// 2026-11-21T10:00:00Z.
const NOW: Millis = Millis(1_795_255_200_000);
const EVENTS: u64 = 1_000;
/// What an id of up to 23 bytes takes.
const ID_BYTES: u64 = 24;
/// The argument of a process that fills a shop and says what it takes.
const FILL: &str = "fill";

/// Takes all effects and keeps their bytes' number; keeps facts and differences where they are asked for.
#[derive(Default)]
struct Sink {
    bytes: usize,
    facts: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    differences: Option<Vec<Vec<u8>>>,
}

impl Effects for Sink {
    fn fact(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.unwrap_or_default();
        self.bytes += key.len() + value.len();
        if let Some(facts) = &mut self.facts {
            facts.push((key.to_vec(), value.to_vec()));
        }
    }

    fn update(&mut self, key: &str, value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
    }

    fn differences(&mut self, _: u32, payload: &[u8]) {
        self.bytes += payload.len();
        if let Some(differences) = &mut self.differences {
            differences.push(payload.to_vec());
        }
    }
}

/// Who the `i`th purchase is of.
fn customer(i: u64, customers: u64) -> String {
    format!("customer-{:08}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % customers)
}

/// Writes the `i`th purchase of a shop with so many customers: two items, one touchpoint, about 380 bytes.
fn purchase(text: &mut String, i: u64, customers: u64) {
    let customer = customer(i, customers);
    let at = NOW.0 - 300 * Millis::DAY + (i as i64 * 977) % (300 * Millis::DAY);
    text.clear();
    let _ = write!(
        text,
        r#"{{"type":"purchase","customer_id":"{customer}","order_id":"order-{i:010}","occurred_at":{at},"currency":"USD","items":[{{"sku":"sku-{}","quantity":2,"unit_price":"19.99","unit_cost":"7.25","category":"shoes"}},{{"sku":"sku-{}","quantity":1,"unit_price":"105.50","unit_cost":"61.10","category":"coats"}}],"operating_cost":"6.40","campaign_id":"campaign-{}","channel":"search"}}"#,
        i % 997,
        i % 1009,
        i % 200
    );
}

/// Adds so many touchpoints to a purchase.
fn touch(text: &mut String, touchpoints: usize) {
    if touchpoints > 0 {
        text.pop();
        let touchpoint = r#"{"at":"2025-01-01T00:00:00Z","campaign_id":"campaign-1","channel":"mail"}"#;
        let _ = write!(text, r#","touchpoints":[{}]}}"#, vec![touchpoint; touchpoints].join(","));
    }
}

/// Writes one of the refunds of the `i`th purchase.
fn refund(text: &mut String, i: u64, number: u64, customers: u64) {
    let customer = customer(i, customers);
    text.clear();
    let _ = write!(
        text,
        r#"{{"type":"refund","customer_id":"{customer}","order_id":"order-{i:010}","refund_id":"refund-{number:010}","occurred_at":{},"amount":"0.99"}}"#,
        NOW.0
    );
}

/// What this thread has spent so far.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// What so many records take to be encoded.
fn timed(rounds: u64, record: impl Fn() -> Option<Vec<u8>>) -> Duration {
    let start = cpu_time();
    for _ in 0..rounds {
        black_box(record()).expect("there is such a customer or campaign");
    }
    cpu_time() - start
}

struct Shop {
    stage: Customers,
    decoder: Decoder,
    sink: Sink,
    next: u64,
    customers: u64,
    touchpoints: usize,
    /// Refunds of each purchase.
    refunds: u64,
}

impl Shop {
    fn new(customers: u64) -> Shop {
        let mut settings = Settings::default();
        // All of the touchpoints take part.
        settings.attribution.lookback = 4_000 * Millis::DAY;
        Shop {
            decoder: Decoder::new(&settings),
            stage: Customers::new(Arc::new(settings)),
            sink: Sink::default(),
            next: 0,
            customers,
            touchpoints: 1,
            refunds: 0,
        }
    }

    /// Takes so many purchases; what is timed is decoding and applying, and flushing.
    fn take(&mut self, events: u64) -> (Duration, Duration) {
        let texts: Vec<String> = (self.next..self.next + events)
            .map(|i| {
                let mut text = String::new();
                purchase(&mut text, i, self.customers);
                touch(&mut text, self.touchpoints - 1);
                text
            })
            .collect();
        self.next += events;
        let start = cpu_time();
        texts.iter().for_each(|text| self.take_one(text));
        let applied = cpu_time() - start;
        let start = cpu_time();
        self.stage.flush(NOW, &mut self.sink);
        (applied, cpu_time() - start)
    }

    /// Takes purchases up to so many, and their refunds: in one buffer, so that memory is taken by what is kept alone.
    fn fill(&mut self, orders: u64) {
        let mut text = String::new();
        while self.next < orders {
            purchase(&mut text, self.next, self.customers);
            touch(&mut text, self.touchpoints - 1);
            self.take_one(&text);
            for number in 0..self.refunds {
                refund(&mut text, self.next, number, self.customers);
                self.take_one(&text);
            }
            self.next += 1;
            if self.next.is_multiple_of(EVENTS) {
                self.stage.flush(NOW, &mut self.sink);
            }
        }
    }

    fn take_one(&mut self, text: &str) {
        let event = self.decoder.decode(text.as_bytes(), NOW).expect("the benchmark's events are valid");
        black_box(self.stage.apply(&event, &mut self.sink).is_ok());
    }

    fn filled(customers: u64, orders: u64) -> Shop {
        let mut shop = Shop::new(customers);
        shop.fill(orders);
        shop
    }
}

fn events(criterion: &mut Criterion) {
    for (name, part) in [("decode_and_apply", 0), ("flush", 1)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(EVENTS)).sample_size(20).measurement_time(Duration::from_secs(3));
        let shops = [(10_000, 20_000), (1_000_000, 1_000_000), (5_000_000, 5_000_000), (1, 100_000)];
        for (customers, orders) in shops {
            let mut shop = None;
            group.bench_function(
                BenchmarkId::from_parameter(format!("{customers}_customers_{orders}_orders")),
                |bencher| {
                    let shop = shop.get_or_insert_with(|| Shop::filled(customers, orders));
                    bencher.iter_custom(|rounds| {
                        (0..rounds).map(|_| <[Duration; 2]>::from(shop.take(EVENTS))[part]).sum::<Duration>()
                    });
                },
            );
        }
        group.finish();
    }
}

/// The record of a customer, and that of a campaign with its six windows: from sums to JSON.
fn encode(criterion: &mut Criterion) {
    let mut shop = Shop::new(10_000);
    shop.sink.differences = Some(Vec::new());
    shop.take(50_000);
    let mut campaigns = Campaigns::new(Arc::new(Settings::default()));
    for payload in shop.sink.differences.iter().flatten() {
        campaigns.absorb(payload).expect("differences are read as they were written");
    }
    for spend in [
        r#"{"type":"ad_spend","campaign_id":"campaign-1","spend_id":"a","occurred_at":"2026-11-21T08:30:00Z","amount":"812.50"}"#,
        r#"{"type":"ad_spend_report","campaign_id":"campaign-1","date":"2026-11-20","reported_at":"2026-11-21T04:00:00Z","amount":"20417.33","impressions":812345,"clicks":10421,"reported_revenue":"51200.10","campaign_name":"Autumn","platform":"google","objective":"sales","channel":"search"}"#,
    ] {
        let event = shop.decoder.decode(spend.as_bytes(), NOW).expect("the benchmark's spend is valid");
        assert!(campaigns.apply(&event, &mut shop.sink).is_ok());
    }
    campaigns.flush(NOW, &mut shop.sink);

    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let customer = customer(0, 10_000);
    group.bench_function("customer", |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, || shop.stage.record(&customer, NOW)));
    });
    group.bench_function("campaign_6_windows", |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, || campaigns.record("campaign-1", NOW)));
    });
    group.finish();
}

fn restore(criterion: &mut Criterion) {
    let mut shop = Shop::new(100_000);
    shop.sink.facts = Some(Vec::new());
    shop.take(300_000);
    let facts = shop.sink.facts.take().unwrap_or_default();
    let mut group = criterion.benchmark_group("restore");
    group.throughput(Throughput::Elements(facts.len() as u64)).sample_size(10);
    group.bench_function(BenchmarkId::from_parameter("300000_orders"), |bencher| {
        bencher.iter_custom(|rounds| {
            let restore = || {
                let start = cpu_time();
                let mut stage = Customers::new(Arc::new(Settings::default()));
                for (key, value) in &facts {
                    stage.restore(key, Some(value)).expect("a fact is read as it was written");
                }
                stage.restored(Some(Last::at(NOW)));
                let restored = cpu_time() - start;
                drop(black_box(stage));
                restored
            };
            (0..rounds).map(|_| restore()).sum::<Duration>()
        });
    });
    group.finish();
}

/// A snapshot of a state that grew as orders came, and of one that was read from a snapshot.
fn snapshots(criterion: &mut Criterion) {
    let grown = Shop::filled(250_000, 1_250_000).stage;
    let saved = |stage: &Customers| {
        let mut blocks = Vec::new();
        let saved: Result<(), ()> = stage.save(|block| {
            blocks.push(block.to_vec());
            Ok(())
        });
        assert!(saved.is_ok());
        blocks
    };
    let blocks = saved(&grown);
    let load = || {
        let start = cpu_time();
        let mut stage = Customers::new(Arc::new(Settings::default()));
        stage.expect(grown.sizes());
        for block in &blocks {
            stage.load(block).expect("a snapshot is read as it was written");
        }
        stage.restored(Some(Last::at(NOW)));
        (stage, cpu_time() - start)
    };
    let loaded = load().0;
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(1_250_000)).sample_size(10);
    for (name, stage) in [("save_grown", &grown), ("save_loaded", &loaded)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let save = || {
                    let start = cpu_time();
                    assert!(stage.save(|block| if black_box(block).is_empty() { Err(()) } else { Ok(()) }).is_ok());
                    cpu_time() - start
                };
                (0..rounds).map(|_| save()).sum::<Duration>()
            });
        });
    }
    group.bench_function("load", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| load().1).sum::<Duration>())
    });
    group.finish();
}

/// Resident bytes of this process, where the system tells.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

/// What a shop with so many orders, touchpoints and refunds of each holds, as it counts itself and as the process grows by
/// it: a process of its own, since what one shop leaves free would be another's.
fn held(orders: u64, touchpoints: usize, refunds: u64) -> Option<[u64; 2]> {
    let shop = [orders, touchpoints as u64, refunds].map(|count| count.to_string());
    let output = Command::new(env::current_exe().ok()?).arg(FILL).args(shop).output().ok()?;
    let (counted, resident) = str::from_utf8(&output.stdout).ok()?.trim().split_once(' ')?;
    Some([counted.parse().ok()?, resident.parse().ok()?])
}

/// What [`held`] starts.
fn fill(shop: &[&str]) {
    let [orders, touchpoints, refunds] = shop else { return };
    let count = |text: &str| text.parse::<u64>().expect("a number");
    let before = resident();
    let mut shop = Shop { touchpoints: count(touchpoints) as usize, refunds: count(refunds), ..Shop::new(100_000) };
    shop.fill(count(orders));
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{} {}", shop.stage.sizes().bytes, after.saturating_sub(before));
    }
}

/// Fills shops that differ in one thing and divides the difference.
fn memory() {
    let all = || {
        let (few, many) = (held(200_000, 1, 0)?, held(1_200_000, 1, 0)?);
        let (touched, refunded) = (held(1_200_000, 9, 0)?, held(1_200_000, 1, 1)?);
        // As few refunds of an order as have an index, and so many that they nearly fill theirs.
        let (of_9, rare, of_890) = (held(200_000, 1, 9)?, held(2_000, 1, 0)?, held(2_000, 1, 890)?);
        Some([few, many, touched, refunded, of_9, rare, of_890])
    };
    let Some(all) = all() else { return };
    for (index, kind) in ["as the state counts itself", "resident"].into_iter().enumerate() {
        let [few, many, touched, refunded, of_9, rare, of_890] = all.map(|held| held[index]);
        let each = |more: u64, less: u64, count: u64| more.saturating_sub(less) / count;
        let order = each(many, few, 1_000_000);
        println!(
            "bytes {kind}, beside what ids take: {} an order, {} a customer, {} a further touchpoint, {} a refund, \
             {} of 9 refunds of one order each, {} of 890",
            order.saturating_sub(ID_BYTES),
            each(few, 200_000 * order, 100_000).saturating_sub(ID_BYTES),
            each(touched, many, 1_200_000 * 8),
            each(refunded, many, 1_200_000).saturating_sub(ID_BYTES),
            each(of_9, few, 200_000 * 9).saturating_sub(ID_BYTES),
            each(of_890, rare, 2_000 * 890).saturating_sub(ID_BYTES),
        );
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [FILL, shop @ ..] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return fill(shop);
    }
    memory();
    let mut criterion = Criterion::default().configure_from_args();
    events(&mut criterion);
    encode(&mut criterion);
    restore(&mut criterion);
    snapshots(&mut criterion);
    criterion.final_summary();
}
