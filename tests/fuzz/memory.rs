//! What a campaign takes in memory that is always on: an order an hour, and a report a day of each of its ad groups.

use std::fmt::Write;
use std::sync::Arc;

use payback::engine::campaigns::Campaigns;
use payback::engine::ledger::{Difference, LedgerSums, OrderSums, Payload};
use payback::engine::{Effects, Stage};
use payback::events::Decoder;
use payback::money::Sum;
use payback::settings::Settings;
use payback::time::Millis;

use crate::bounds::allocated;
use crate::corpus::NOW;

/// 10,000 campaigns in 1.5 GB, with what an allocator leaves between buckets.
const MOST: i64 = 140_000;
const CAMPAIGNS: i64 = 8;
/// More than are kept one by one.
const DAYS: i64 = 830;

struct Nowhere;

impl Effects for Nowhere {
    fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}

    fn update(&mut self, _: &str, _: Option<&[u8]>) {}

    fn wants_updates(&self) -> bool {
        false
    }

    fn differences(&mut self, _: u32, _: &[u8]) {}
}

/// Sums as a shop has them: of 20 to 40 orders of some 120 units, with cents.
fn an_hour(number: i64) -> LedgerSums {
    let orders = 20 + number * 7 % 20;
    let sums = |percent: i64| {
        // In cents first.
        let revenue = Sum(i128::from(orders * percent * (123 + number % 7)) * 10_000);
        let gross_profit = Sum(revenue.0 / 10_000 * 2 / 5 * 10_000);
        let operating_profit = Sum(gross_profit.0 - 3_500_000 * i128::from(orders));
        OrderSums { revenue, covered_revenue: revenue, gross_profit, operating_profit }
    };
    LedgerSums {
        shares: orders,
        orders: orders * 1_000_000,
        attributed: sums(100),
        others: sums(40),
        new_customer_revenue: sums(60).revenue,
        new_customers: orders * 6 / 10,
        acquired: sums(90),
        acquisition_cost: Sum(0),
    }
}

/// A shop of so many days, and what its state counts itself.
fn always_on(ad_groups: i64) -> (Campaigns, u64) {
    let settings = Arc::new(Settings::default());
    let decoder = Decoder::new(&settings);
    let mut campaigns = Campaigns::new(settings);
    let mut report = String::new();
    for day in 0..DAYS {
        let start = NOW - NOW % Millis::DAY - (DAYS - day) * Millis::DAY;
        let end = start + Millis::DAY - 1;
        let mut payload = Payload::default();
        for campaign in 0..CAMPAIGNS {
            let id = format!("google:{campaign}");
            for hour in 0..24 {
                let sums = an_hour(day * 24 + hour + campaign);
                payload.push(&Difference { campaign_id: &id, hour: Millis(start + hour * Millis::HOUR), sums });
            }
            for ad_group in 0..ad_groups {
                report.clear();
                let date = Millis(start).to_string();
                let _ = write!(
                    report,
                    r#"{{"type":"ad_spend_report","campaign_id":"{id}","breakdown":"ad group {ad_group}","date":"{}","reported_at":{end},"#,
                    &date[..10]
                );
                let (spend, clicks) = (1_800 + day % 100, 900 + day % 77);
                let _ = write!(
                    report,
                    r#""amount":"{spend}.37","channel":"search","impressions":{},"clicks":{clicks},"reported_revenue":"{}.5","campaign_name":"Always on","platform":"google","objective":"sales"}}"#,
                    clicks * 73,
                    spend * 3
                );
                let event = decoder.decode(report.as_bytes(), Millis(NOW)).expect("a report");
                campaigns.apply(&event, &mut Nowhere).expect("nothing is too late");
            }
        }
        campaigns.absorb(payload.as_bytes()).expect("differences");
        campaigns.flush(Millis(end), &mut Nowhere);
        while !campaigns.roll(Millis(end), 100, &mut Nowhere) {}
    }
    let bytes = campaigns.sizes().bytes;
    (campaigns, bytes)
}

#[test]
fn ten_thousand_campaigns_that_are_always_on_take_at_most_a_gigabyte_and_a_half() {
    let ((campaigns, counted), memory) = allocated(|| always_on(1));
    let (held, counted) = (memory.bytes_current / CAMPAIGNS, counted as i64 / CAMPAIGNS);
    eprintln!("{held} bytes a campaign, {counted} as the state counts itself");
    assert!(held < MOST, "a campaign takes {held} bytes");
    assert!((held - counted).abs() < held / 4, "a campaign takes {held} bytes, and counts itself as {counted}");
    drop(campaigns);
}

/// Of a history that is read at once no hour goes by in which its days could be packed.
#[test]
fn a_backlog_of_many_campaigns_does_not_take_what_its_days_take_for_a_moment() {
    const CAMPAIGNS: i64 = 500;
    let backlog = || {
        let mut campaigns = Campaigns::new(Arc::new(Settings::default()));
        let mut most = 0;
        for day in 0..700 {
            let mut payload = Payload::default();
            for campaign in 0..CAMPAIGNS {
                let (id, hour) = (format!("google:{campaign}"), NOW - NOW % Millis::HOUR - (700 - day) * Millis::DAY);
                payload.push(&Difference { campaign_id: &id, hour: Millis(hour), sums: an_hour(day + campaign) });
            }
            campaigns.absorb(payload.as_bytes()).expect("differences");
            campaigns.flush(Millis(NOW), &mut Nowhere);
            most = most.max(campaigns.sizes().bytes);
        }
        (campaigns, most)
    };
    let ((campaigns, most), memory) = allocated(backlog);
    eprintln!("{} bytes at most, {most} as the state counts itself", memory.bytes_max);
    // 80 MB are open; 350,000 days as they come would take 140.
    assert!(memory.bytes_max < 120_000_000, "{} bytes", memory.bytes_max);
    drop(campaigns);
}
