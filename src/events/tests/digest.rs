//! The digest: of the content, all of it, and of nothing else.

use super::*;
use crate::money::Micros;

fn digest(record: &str) -> u64 {
    match decode(record.as_bytes()).expect(record) {
        Event::Purchase(event) => event.digest,
        Event::Refund(event) => event.digest,
        Event::Cancellation(_) => 0,
        Event::CustomerCost(event) => event.digest,
        Event::AdSpend(event) => event.digest,
        Event::AdSpendReport(event) => event.digest,
    }
}

#[test]
fn it_stays_what_it_is_in_stored_facts() {
    // Fields that came later are rendered where they are there alone.
    let digests = complete_events().map(|event| digest(&with(&event, "shop", None)));
    let expected = [
        14_790_971_269_333_420_548,
        10_303_409_788_282_078_768,
        0,
        401_314_779_883_159_273,
        9_264_885_371_263_476_469,
        5_543_107_765_466_908_231,
    ];
    assert_eq!(digests, expected);
    assert_eq!(digest(&complete_events()[0].to_string()), 9_526_971_368_062_324_227);
}

#[test]
fn every_field_is_in_it() {
    let others = |value: &Value| -> Vec<String> {
        let text = value.as_str().unwrap_or_default();
        match value {
            Value::Number(_) => vec!["6".to_owned(), "7".to_owned()],
            // A time, a date, a number, a kind or any text: another of the same.
            _ if text.contains('T') => vec!["1795251500006".to_owned(), "1795251500007".to_owned()],
            _ if text.starts_with("2026-") => vec!["\"2020-01-01\"".to_owned(), "\"2020-01-02\"".to_owned()],
            _ if text.starts_with(|first: char| first.is_ascii_digit()) => vec!["6".to_owned(), "7".to_owned()],
            _ if ["fee", "creative"].contains(&text) => vec!["\"other\"".to_owned()],
            _ if text == "retention" => vec!["\"acquisition\"".to_owned()],
            _ => vec!["\"other\"".to_owned(), "\"another\"".to_owned()],
        }
    };
    for event in complete_events() {
        if event["type"] == "cancellation" {
            continue;
        }
        let mut paths: Vec<String> = Vec::new();
        for (name, value) in event.as_object().unwrap() {
            match value {
                Value::Array(list) => paths.extend(list.iter().enumerate().flat_map(|(i, element)| {
                    element.as_object().unwrap().keys().map(move |field| format!("{name}/{i}/{field}"))
                })),
                _ if name == "type" || name == "currency" => {}
                _ => paths.push(name.clone()),
            }
        }
        for path in paths {
            let mut digests = vec![digest(&event.to_string())];
            for other in others(event.pointer(&format!("/{path}")).unwrap()) {
                digests.push(digest(&with(&event, &path, Some(&other))));
            }
            if verdict(&with(&event, &path, None)) == "ok" {
                digests.push(digest(&with(&event, &path, None)));
            }
            let count = digests.len();
            digests.sort_unstable();
            digests.dedup();
            assert!(digests.len() == count && count > 1, "{path} of {}", event["type"]);
        }
    }
}

#[test]
fn the_order_of_the_items_is_in_it_and_no_text_runs_into_the_next() {
    let item = |sku: &str, category: &str| json!({ "sku": sku, "quantity": 1, "unit_price": 1, "category": category });
    let lists = [
        json!([item("A", "B")]),
        json!([item("B", "A")]),
        json!([item("AB", "")]),
        json!([item("A", "B"), item("B", "A")]),
        json!([item("B", "A"), item("A", "B")]),
        json!([item("A", "B"), item("A", "B")]),
    ];
    let purchase = &complete_events()[0];
    let mut digests = lists.each_ref().map(|list| digest(&with(purchase, "items", Some(&list.to_string()))));
    digests.sort_unstable();
    assert!(digests.is_sorted_by(|one, next| one < next), "{digests:?}");
}

#[test]
fn a_long_list_is_in_it_to_the_last_item_and_from_the_first() {
    let items = |changed: usize| {
        let quantity = |i: usize| if i == changed { 2 } else { 1 };
        let item = |i: usize| json!({ "sku": format!("sku-{i}"), "quantity": quantity(i), "unit_price": 1 });
        (0..MAX_ITEMS).map(item).collect::<Value>().to_string()
    };
    let purchase = &complete_events()[0];
    let changed = [0, 1, 20, 500, 998, 999, MAX_ITEMS];
    let mut digests = changed.map(|changed| digest(&with(purchase, "items", Some(&items(changed)))));
    digests.sort_unstable();
    assert!(digests.is_sorted_by(|one, next| one < next), "{digests:?}");
}

#[test]
fn the_form_of_the_json_is_not_in_it() {
    let [purchase, refund, ..] = complete_events();
    for event in complete_events() {
        assert_eq!(digest(&serde_json::to_string_pretty(&event).unwrap()), digest(&event.to_string()));
        // serde_json writes fields by name; here the last comes first.
        let fields: Vec<String> =
            event.as_object().unwrap().iter().rev().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        assert_eq!(digest(&format!("{{{}}}", fields.join(","))), digest(&event.to_string()));
        assert_eq!(digest(&with(&event, "note", Some("[1, 2]"))), digest(&event.to_string()));
    }
    let same = [
        (&refund, "amount", "10.500"),
        (&refund, "amount", "\"105e-1\""),
        (&refund, "cost_recovered", "\"4.0000004\""),
        (&refund, "occurred_at", "\"2026-11-21T18:00:00.0009+09:00\""),
        (&refund, "occurred_at", "1795251600000"),
        (&refund, "customer_id", "\"\\u0063-1\""),
        (&refund, "currency", "null"),
        (&purchase, "items/0/note", "5"),
    ];
    for (event, path, value) in same {
        assert_eq!(digest(&with(event, path, Some(value))), digest(&event.to_string()), "{path}: {value}");
    }
    assert_eq!(digest(&with(&refund, "cost_recovered", None)), digest(&with(&refund, "cost_recovered", Some("0"))));
}

#[test]
fn settings_are_not_in_it() {
    let record = with(&complete_events()[0], "cost_of_goods", None).replace("unit_cost", "note");
    let settings = Settings { default_margin: Some(Micros(300_000)), ..Settings::default() };
    let estimated = Decoder::new(&settings).decode(record.as_bytes(), NOW);
    let Ok(Event::Purchase(estimated)) = estimated else { panic!() };
    assert!(matches!(estimated.cost_of_goods, CostOfGoods::Estimated(_)));
    assert_eq!(estimated.digest, digest(&record));
}
