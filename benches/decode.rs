//! A record -> events, by the way that the service takes: what one record of the usual size costs. `cargo bench --bench decode`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use payback::events::{Decoder, Record, Source};
use payback::settings::Settings;
use payback::time::Millis;

/// 380 bytes: two items, one touchpoint.
const PURCHASE: &str = concat!(
    r#"{"type":"purchase","customer_id":"c-0048213","order_id":"o-000918273","occurred_at":"2026-11-21T09:14:55.120Z","#,
    r#""items":[{"sku":"SKU-10442","quantity":2,"unit_price":"1999.90","unit_cost":"812.5"},"#,
    r#"{"sku":"SKU-20871","quantity":1,"unit_price":"450","unit_cost":"180.25"}],"#,
    r#""operating_cost":"320","touchpoints":[{"at":"2026-11-20T21:03:11Z","campaign_id":"google:1107","channel":"search"}]}"#,
);

const REPORT: &str = concat!(
    r#"{"type":"ad_spend_report","campaign_id":"google:1107","date":"2026-11-20","breakdown":"ad-7","kind":"media","#,
    r#""reported_at":"2026-11-21T09:00:00Z","amount":"99120.5","channel":"search","impressions":90000,"clicks":1200,"#,
    r#""reported_conversions":12.5,"reported_revenue":"210000","campaign_name":"Brand","platform":"google"}"#,
);

const REFUSED: &str = r#"{"type":"refund","customer_id":"c-0048213","order_id":"o-000918273","refund_id":"r-1","occurred_at":"2026-11-21T09:14:55Z","amount":"-5"}"#;

/// How many events it is, if it is not refused.
fn read(source: &Source, decoder: &Decoder, record: &str) -> Option<usize> {
    let texts = source.texts(&Record::of_value("purchases", record.as_bytes())).ok()?;
    decoder.events(&texts, Millis::MAX).ok().map(|events| events.len())
}

fn decode(criterion: &mut Criterion) {
    let (source, decoder) = (Source::default(), Decoder::new(&Settings::default()));
    for record in [PURCHASE, REPORT] {
        assert_eq!(read(&source, &decoder, record), Some(1));
    }
    let mut group = criterion.benchmark_group("decode");
    for (name, record) in [("purchase", PURCHASE), ("ad_spend_report", REPORT), ("refused_refund", REFUSED)] {
        group.throughput(Throughput::Bytes(record.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| read(&source, &decoder, black_box(record)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
