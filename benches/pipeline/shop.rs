//! A made-up shop: purchases of 350 to 400 bytes, each with two items and a touchpoint, and the platforms' spend reports.

use payback::time::Millis;

pub const CAMPAIGNS: u64 = 200;

/// The id of a customer: the key of its purchases.
pub fn customer(number: u64) -> String {
    format!("customer-{number:06}")
}

pub fn campaign(number: u64) -> String {
    let platform = ["google", "meta", "line", "yahoo"][(number % 4) as usize];
    format!("{platform}:{:06}", 100_000 + number)
}

/// The campaign of an id.
pub fn campaign_number(id: &str) -> Option<u64> {
    id.split_once(':')?.1.parse::<u64>().ok()?.checked_sub(100_000)
}

/// The purchase with this number. Everything but customer, campaign and time follows from the number.
pub fn purchase(number: u64, customer: &str, campaign: u64, at: Millis) -> String {
    let [a, b] = [scramble(number), scramble(number ^ 0x9e37_79b9)];
    let [price_a, price_b] = [500 + a % 9_500, 500 + b % 4_500];
    format!(
        concat!(
            r#"{{"type":"purchase","customer_id":"{}","order_id":"order-{:07}","occurred_at":"{}","items":["#,
            r#"{{"sku":"sku-{:04}","quantity":{},"unit_price":"{}.50","unit_cost":"{}.25"}},"#,
            r#"{{"sku":"sku-{:04}","quantity":1,"unit_price":"{}","unit_cost":"{}"}}],"#,
            r#""operating_cost":"{}","touchpoints":[{{"at":"{}","campaign_id":"{}","channel":"{}"}}]}}"#
        ),
        customer,
        number,
        at,
        a % 5_000,
        1 + a % 3,
        price_a,
        price_a * 55 / 100,
        b % 5_000,
        price_b,
        price_b * 6 / 10,
        300 + b % 500,
        Millis((at.0 / 1_000 - 60 - (a % 86_400) as i64) * 1_000),
        self::campaign(campaign),
        ["search", "social", "display", "video"][(campaign % 4) as usize],
    )
}

/// The platform's total of one day of a campaign.
pub fn spend_report(campaign: u64, day: Millis, reported_at: Millis) -> String {
    let date = &day.to_string()[..10];
    let a = scramble(campaign ^ day.0 as u64);
    format!(
        concat!(
            r#"{{"type":"ad_spend_report","campaign_id":"{}","date":"{}","reported_at":"{}","amount":"{}.75","#,
            r#""impressions":{},"clicks":{},"reported_revenue":"{}","campaign_name":"Campaign {}"}}"#
        ),
        self::campaign(campaign),
        date,
        reported_at,
        20_000 + a % 80_000,
        10_000 + a % 90_000,
        100 + a % 2_000,
        50_000 + a % 300_000,
        campaign,
    )
}

/// The same number for the same number, alike in no other way (SplitMix64's finish).
pub fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
