//! Inputs that are known to bring programs down, and what they must come to.

use std::sync::Arc;

use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Last, Outcome, Stage};
use payback::events::{Decoder, Event, MAX_RECORD, Reason, Rejection};
use payback::settings::Settings;
use payback::time::Millis;
use serde_json::Value;

use crate::bounds::{allocated, bounded};
use crate::corpus::NOW;
use crate::events::{Recorded, settings};

fn read(record: &str) -> Result<(), Rejection> {
    let decoder = Decoder::new(&Settings::default());
    bounded(record.len(), 32, 4 * 1024, || drop(decoder.decode(record.as_bytes(), Millis(NOW))));
    decoder.decode(record.as_bytes(), Millis(NOW)).map(drop)
}

#[track_caller]
fn refused(record: &str, reason: Reason) {
    let found = read(record).map_err(|rejection| rejection.reason);
    assert_eq!(found, Err(reason), "{}", record.chars().take(200).collect::<String>());
}

#[track_caller]
fn accepted(record: &str) {
    assert_eq!(read(record), Ok(()), "{}", record.chars().take(200).collect::<String>());
}

/// A purchase with one more field, or with a field in the place of its own.
fn purchase(field: &str) -> String {
    format!(r#"{{"type":"purchase","customer_id":"c","order_id":"o","occurred_at":1,{field}}}"#)
}

#[test]
fn nesting_of_any_depth_is_read_without_a_stack() {
    const DEPTH: usize = 250_000;
    let arrays = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let objects = r#"{"a":"#.repeat(DEPTH / 2) + "1" + &"}".repeat(DEPTH / 2);
    refused(&"[".repeat(MAX_RECORD), Reason::InvalidJson);
    refused(&r#"{"a":"#.repeat(MAX_RECORD / 5), Reason::InvalidJson);
    refused(&arrays, Reason::NotAnObject);
    refused(&objects, Reason::MissingField);
    for nested in [&arrays, &objects] {
        accepted(&purchase(&format!(r#""revenue":1,"unknown":{nested}"#)));
        accepted(&purchase(&format!(r#""items":[{{"sku":"A","quantity":1,"unit_price":1,"unknown":{nested}}}]"#)));
        refused(&purchase(&format!(r#""revenue":{nested}"#)), Reason::InvalidMoney);
        refused(&purchase(&format!(r#""revenue":1,"channel":{nested}"#)), Reason::InvalidField);
        refused(&purchase(&format!(r#""revenue":1,"items":{nested}"#)), Reason::InvalidField);
    }
    refused(&purchase(&format!(r#""revenue":1,"touchpoints":[{arrays}]"#)), Reason::InvalidField);
    refused(&purchase(&format!(r#""revenue":1,"touchpoints":[{objects}]"#)), Reason::MissingField);
}

#[test]
fn a_record_of_ten_megabytes_is_not_even_looked_at() {
    let text = purchase(&format!(r#""revenue":1,"pad":"{}""#, "x".repeat(10 << 20)));
    let decoder = Decoder::new(&Settings::default());
    let (rejection, memory) = allocated(|| decoder.decode(text.as_bytes(), Millis(NOW)).map(drop));
    assert_eq!(rejection.map_err(|rejection| rejection.reason), Err(Reason::TooLarge));
    assert!(memory.bytes_total < 1_024, "{memory:?}");
}

#[test]
fn numbers_of_any_size_are_no_money_and_cost_nothing() {
    for number in ["1e999999999", "1e99999999999999999999999", "123456789012345678901234567890e-1"] {
        for field in ["revenue", "discount", "cost_of_goods", "operating_cost"] {
            let with_items = format!(r#""{field}":{number},"items":[{{"sku":"A","quantity":1,"unit_price":5}}]"#);
            refused(&purchase(&with_items), Reason::InvalidMoney);
            refused(&purchase(&with_items.replace(number, &format!("\"{number}\""))), Reason::InvalidMoney);
        }
        let item = |quantity: &str, price: &str| {
            purchase(&format!(r#""items":[{{"sku":"A","quantity":{quantity},"unit_price":{price}}}]"#))
        };
        refused(&item("1", number), Reason::InvalidMoney);
        refused(&item(number, "1"), Reason::InvalidField);
        refused(&purchase(r#""revenue":1"#).replace(":1,", &format!(":{number},")), Reason::InvalidTime);
    }
    accepted(&purchase(r#""revenue":1e-999999999"#));
    accepted(&purchase(r#""revenue":0e999999999"#));
    accepted(&purchase(&format!(r#""revenue":0.{}1"#, "0".repeat(1_000_000))));
    refused(&purchase(&format!(r#""revenue":{}"#, "9".repeat(1_000_000))), Reason::InvalidMoney);
}

#[test]
fn half_of_a_surrogate_pair_is_no_text_wherever_it_stands() {
    for half in [r"\ud800", r"\udfff", r"\udc00\ud800", r"a\ud83dz"] {
        refused(&purchase(r#""revenue":1"#).replace("\"c\"", &format!("\"{half}\"")), Reason::InvalidId);
        refused(&purchase(&format!(r#""revenue":1,"channel":"{half}""#)), Reason::InvalidField);
        refused(&purchase(&format!(r#""revenue":"{half}""#)), Reason::InvalidMoney);
        refused(&purchase(&format!(r#""revenue":1,"{half}":1"#)), Reason::InvalidJson);
        accepted(&purchase(&format!(r#""revenue":1,"unknown":"{half}""#)));
    }
    accepted(&purchase(r#""revenue":1,"channel":"\ud83d\ude00""#));
}

#[test]
fn a_field_may_not_stand_twice_whatever_it_is_called() {
    refused(&purchase(r#""revenue":1,"revenue":1"#), Reason::InvalidJson);
    refused(&purchase(r#""revenue":1,"\u0072evenue":1"#), Reason::InvalidJson);
    refused(&purchase(r#""revenue":1,"unknown":1,"unknown":1"#), Reason::InvalidJson);
    refused(&purchase(r#""revenue":1,"":1,"":1"#), Reason::InvalidJson);
    refused(&purchase(r#""items":[{"sku":"A","sku":"A","quantity":1,"unit_price":1}]"#), Reason::InvalidJson);
    let names: Vec<String> = (0..60_000).map(|number| format!(r#""n{number}":1"#)).collect();
    accepted(&purchase(&format!(r#""revenue":1,{}"#, names.join(","))));
    refused(&purchase(&format!(r#""revenue":1,{},"n7":1"#, names.join(","))), Reason::InvalidJson);
}

#[test]
fn lists_of_a_million_elements_are_refused() {
    let item = r#"{"sku":1,"quantity":1,"unit_price":1}"#;
    for (name, element) in [("touchpoints", r#"{"at":1}"#), ("items", item), ("touchpoints", "0")] {
        let list = |length: usize| {
            let elements = vec![element; length];
            purchase(&format!(r#""revenue":1,"{name}":[{}]"#, elements.join(",")))
        };
        refused(&list(1_000_000), Reason::TooLarge);
        refused(&list((MAX_RECORD - 200) / (element.len() + 1)), Reason::InvalidField);
    }
}

#[test]
fn ids_with_control_characters_are_kept_as_they_are() {
    let settings = settings(0);
    let decoder = Decoder::new(&settings);
    let all: String = (0..0x20).chain([0x7f, 0x85, 0x9b, 0x2028, 0x202e, 0xfeff]).filter_map(char::from_u32).collect();
    let id = Value::from(all.as_str()).to_string();
    let record = format!(
        r#"{{"type":"purchase","customer_id":{id},"order_id":{id},"occurred_at":1,"revenue":1,"campaign_id":{id},"channel":{id}}}"#
    );
    let event = decoder.decode(record.as_bytes(), Millis(NOW)).expect("an event");
    let (mut customers, mut campaigns) = (Customers::new(Arc::clone(&settings)), Campaigns::new(Arc::clone(&settings)));
    let mut effects = Recorded::default();
    assert_eq!(customers.apply(&event, &mut effects), Ok(Outcome::Applied));
    customers.flush(Millis(NOW), &mut effects);
    let [payload] = effects.differences.as_slice() else { panic!("one payload") };
    campaigns.absorb(payload).expect("a payload");
    campaigns.flush(Millis(NOW), &mut Recorded::default());

    let mut restored = Customers::new(Arc::clone(&settings));
    effects.facts.iter().for_each(|(key, value)| restored.restore(key, Some(value)).expect("a fact"));
    restored.restored(Some(Last::at(Millis(NOW))));
    let record: Value =
        serde_json::from_slice(&restored.record(&all, Millis(NOW)).expect("it is there")).expect("JSON");
    assert_eq!([&record["customer_id"], &record["acquired_by"]["campaign_id"]], [all.as_str(); 2]);
    let record: Value =
        serde_json::from_slice(&campaigns.record(&all, Millis(NOW)).expect("it is there")).expect("JSON");
    assert_eq!(record["id"], all.as_str());
}

#[test]
fn a_clock_that_is_decades_off_lets_in_what_was_before_it_and_rolls_in_one_go() {
    let settings = settings(0);
    let decoder = Decoder::new(&settings);
    let at = |year: i64| Millis((year - 1970) * 31_556_952_000);
    let records: Vec<String> = (0..10)
        .flat_map(|number| {
            let moment = at(1930 + 20 * number);
            let order = format!(
                r#"{{"type":"purchase","customer_id":"c","order_id":{number},"occurred_at":"{moment}","revenue":10,"campaign_id":"g"}}"#
            );
            let spend = format!(
                r#"{{"type":"ad_spend","campaign_id":"g","spend_id":{number},"occurred_at":"{moment}","amount":1}}"#
            );
            [order, spend]
        })
        .collect();
    for clock in [Millis::MIN, at(1900), at(1980), at(2026), at(2060), at(2300), Millis::MAX] {
        let (mut customers, mut campaigns) =
            (Customers::new(Arc::clone(&settings)), Campaigns::new(Arc::clone(&settings)));
        let mut effects = Recorded::default();
        let mut let_in = 0_u64;
        for record in &records {
            match decoder.decode(record.as_bytes(), clock) {
                Ok(event @ Event::Purchase(_)) => {
                    customers.apply(&event, &mut effects).expect("nothing is too late");
                    let_in += 1;
                }
                Ok(event) => drop(campaigns.apply(&event, &mut effects).expect("nothing is too late")),
                Err(rejection) => assert_eq!(rejection.reason, Reason::InTheFuture),
            }
        }
        // A clock that jumps, forward and back: what is written never goes back.
        for as_of in [clock, Millis::MAX, clock, Millis::MIN] {
            customers.flush(as_of, &mut effects);
            effects.differences.drain(..).for_each(|payload| campaigns.absorb(&payload).expect("a payload"));
            campaigns.flush(as_of, &mut effects);
            assert!(customers.roll(as_of, 1_000, &mut effects));
            assert!(campaigns.roll(as_of, 1_000, &mut effects));
        }
        let expected = (0..10).filter(|number| at(1930 + 20 * number) <= clock.plus(5 * Millis::MINUTE)).count() as u64;
        assert_eq!(let_in, expected, "{clock}");
        let orders = customers.record("c", clock).map(|record| {
            serde_json::from_slice::<Value>(&record).expect("JSON")["orders"].as_u64().expect("a number")
        });
        assert_eq!(orders.unwrap_or(0), expected, "{clock}");
    }
}
