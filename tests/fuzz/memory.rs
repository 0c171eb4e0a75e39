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

/// 10,000 campaigns in 1.5 GB.
const MOST: i64 = 150_000;
const CAMPAIGNS: i64 = 8;
/// Hours are kept for three days, and days for longer than that.
const DAYS: i64 = 150;

struct Nowhere;

impl Effects for Nowhere {
    fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}

    fn update(&mut self, _: &str, _: Option<&[u8]>) {}

    fn differences(&mut self, _: u32, _: &[u8]) {}
}

/// Sums as a shop has them: of 20 to 40 orders of some 100 units, with cents.
fn an_hour(number: i64) -> LedgerSums {
    let orders = 20 + number * 7 % 20;
    let sums = |percent: i64| {
        let revenue = Sum(i128::from(orders * percent * (1_234_567 + number * 10_000)));
        let gross_profit = Sum(revenue.0 * 2 / 5);
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
