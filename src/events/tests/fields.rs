//! Each field of each event against each rule of its meaning.

use super::*;

#[derive(Clone, Copy)]
enum Meaning {
    Id,
    Text,
    Money,
    MoneyOverZero,
    Time,
    Date,
    Currency,
    CostKind,
    SpendKind,
    Count,
    Quantity,
    List,
}

use Meaning as M;

/// Index into [`complete_events`], path, meaning, whether the event is nothing without it.
const FIELDS: [(usize, &str, Meaning, bool); 63] = [
    (0, "customer_id", M::Id, true),
    (0, "order_id", M::Id, true),
    (0, "occurred_at", M::Time, true),
    (0, "updated_at", M::Time, false),
    (0, "currency", M::Currency, false),
    (0, "revenue", M::Money, false),
    (0, "discount", M::Money, false),
    (0, "cost_of_goods", M::Money, false),
    (0, "operating_cost", M::Money, false),
    (0, "offer", M::Text, false),
    (0, "shop", M::Text, false),
    (0, "customer_since", M::Time, false),
    (0, "campaign_id", M::Id, false),
    (0, "channel", M::Text, false),
    (0, "items", M::List, false),
    (0, "items/1/sku", M::Id, true),
    (0, "items/1/quantity", M::Quantity, true),
    (0, "items/1/unit_price", M::Money, true),
    (0, "items/1/unit_cost", M::Money, false),
    (0, "items/1/category", M::Text, false),
    (0, "touchpoints", M::List, false),
    (0, "touchpoints/1/at", M::Time, true),
    (0, "touchpoints/1/campaign_id", M::Id, false),
    (0, "touchpoints/1/channel", M::Text, false),
    (1, "customer_id", M::Id, true),
    (1, "order_id", M::Id, true),
    (1, "refund_id", M::Id, true),
    (1, "occurred_at", M::Time, true),
    (1, "amount", M::MoneyOverZero, true),
    (1, "currency", M::Currency, false),
    (1, "cost_recovered", M::Money, false),
    (2, "customer_id", M::Id, true),
    (2, "order_id", M::Id, true),
    (2, "occurred_at", M::Time, true),
    (3, "customer_id", M::Id, true),
    (3, "cost_id", M::Id, true),
    (3, "occurred_at", M::Time, true),
    (3, "amount", M::Money, true),
    (3, "currency", M::Currency, false),
    (3, "kind", M::CostKind, true),
    (3, "channel", M::Text, false),
    (4, "campaign_id", M::Id, true),
    (4, "spend_id", M::Id, true),
    (4, "occurred_at", M::Time, true),
    (4, "amount", M::Money, true),
    (4, "currency", M::Currency, false),
    (4, "channel", M::Text, false),
    (4, "kind", M::SpendKind, false),
    (5, "campaign_id", M::Id, true),
    (5, "date", M::Date, true),
    (5, "breakdown", M::Text, false),
    (5, "kind", M::SpendKind, false),
    (5, "reported_at", M::Time, true),
    (5, "amount", M::Money, true),
    (5, "currency", M::Currency, false),
    (5, "channel", M::Text, false),
    (5, "impressions", M::Count, false),
    (5, "clicks", M::Count, false),
    (5, "reported_conversions", M::Money, false),
    (5, "reported_revenue", M::Money, false),
    (5, "campaign_name", M::Text, false),
    (5, "platform", M::Text, false),
    (5, "objective", M::Text, false),
];

/// What becomes of an event with a value in a field of a meaning.
fn rules(meaning: Meaning) -> Vec<(String, &'static str)> {
    let text = |length| quoted(&"x".repeat(length));
    let rows: Vec<(String, &'static str)> = match meaning {
        M::Id => vec![
            (text(1), "ok"),
            (text(256), "ok"),
            (quoted(&"é".repeat(128)), "ok"),
            (quoted(&"é".repeat(129)), "invalid_id"),
            (text(257), "invalid_id"),
            (text(0), "invalid_id"),
            (r#""\u0061\n😀""#.to_owned(), "ok"),
            (r#""\ud83d""#.to_owned(), "invalid_id"),
            ("17".to_owned(), "ok"),
            ("-17".to_owned(), "ok"),
            ("0".to_owned(), "ok"),
            ("9".repeat(256), "ok"),
            ("9".repeat(257), "invalid_id"),
            ("1.0".to_owned(), "invalid_id"),
            ("1e3".to_owned(), "invalid_id"),
            ("true".to_owned(), "invalid_id"),
            ("[]".to_owned(), "invalid_id"),
            ("{}".to_owned(), "invalid_id"),
        ],
        M::Text => vec![
            (text(0), "ok"),
            (text(256), "ok"),
            (text(257), "invalid_field"),
            (quoted(&"é".repeat(129)), "invalid_field"),
            (r#""\udc00""#.to_owned(), "invalid_field"),
            ("1".to_owned(), "invalid_field"),
            ("false".to_owned(), "invalid_field"),
            ("[\"x\"]".to_owned(), "invalid_field"),
            ("{}".to_owned(), "invalid_field"),
        ],
        M::Money | M::MoneyOverZero => {
            let zero = if matches!(meaning, M::Money) { "ok" } else { "invalid_money" };
            let mut rows: Vec<(String, &'static str)> = [
                ("0", zero),
                ("0.0000005", zero),
                ("-0", zero),
                ("0e999999999", zero),
                ("0.000001", "ok"),
                ("5", "ok"),
                ("5.25", "ok"),
                ("5e0", "ok"),
                ("\"5.25\"", "ok"),
                ("\"\\u0035\"", "ok"),
                ("9000000000000", "ok"),
                ("9000000000000.01", "invalid_money"),
                ("1e999999999", "invalid_money"),
                ("-5", "invalid_money"),
                ("-0.0000001", "invalid_money"),
                ("\"-5\"", "invalid_money"),
                ("\"+5\"", "invalid_money"),
                ("\" 5\"", "invalid_money"),
                ("\"5 \"", "invalid_money"),
                ("\"1,000\"", "invalid_money"),
                ("\"05\"", "invalid_money"),
                ("\"5.\"", "invalid_money"),
                ("\"\"", "invalid_money"),
                ("\"NaN\"", "invalid_money"),
                ("\"\\ud800\"", "invalid_money"),
                ("true", "invalid_money"),
                ("[5]", "invalid_money"),
                ("{}", "invalid_money"),
            ]
            .map(|(value, verdict)| (value.to_owned(), verdict))
            .to_vec();
            rows.push((format!("5.{}", "0".repeat(5_000)), "ok"));
            rows.push(("5".repeat(5_000), "invalid_money"));
            rows
        }
        M::Time => own(&[
            ("\"2026-11-21T09:00:00Z\"", "ok"),
            ("\"2026-11-21t18:00:00.123456789+09:00\"", "ok"),
            ("\"2026-11-21T09:00:00\\u005a\"", "ok"),
            ("0", "ok"),
            ("1795251600000", "ok"),
            ("-62167219200000", "ok"),
            ("-62167219200001", "invalid_time"),
            ("253402300800000", "invalid_time"),
            ("99999999999999999999", "invalid_time"),
            ("1795251600000.0", "invalid_time"),
            ("1.7e12", "invalid_time"),
            ("\"1795251600000\"", "invalid_time"),
            ("\"2026-11-21T09:00:00\"", "invalid_time"),
            ("\"2026-11-21\"", "invalid_time"),
            ("\"2026-02-30T09:00:00Z\"", "invalid_time"),
            ("\"\"", "invalid_time"),
            ("\"\\ud800\"", "invalid_time"),
            ("true", "invalid_time"),
            ("[]", "invalid_time"),
            ("{}", "invalid_time"),
        ]),
        M::Date => own(&[
            ("\"2026-11-21\"", "ok"),
            ("\"0000-01-01\"", "ok"),
            ("\"9999-12-31\"", "in_the_future"),
            ("\"2026-11-31\"", "invalid_time"),
            ("\"2026-11-21T00:00:00Z\"", "invalid_time"),
            ("\"\"", "invalid_time"),
            ("20261121", "invalid_time"),
            ("true", "invalid_time"),
            ("{}", "invalid_time"),
        ]),
        M::Currency => own(&[
            ("\"USD\"", "ok"),
            ("\"\\u0055SD\"", "ok"),
            ("\"EUR\"", "no_exchange_rate"),
            ("\"usd\"", "invalid_currency"),
            ("\"US\"", "invalid_currency"),
            ("\"USDT\"", "invalid_currency"),
            ("\"ÄB\"", "invalid_currency"),
            ("\"\"", "invalid_currency"),
            ("840", "invalid_currency"),
            ("false", "invalid_currency"),
            ("[]", "invalid_currency"),
        ]),
        M::CostKind => own(&[
            ("\"acquisition\"", "ok"),
            ("\"retention\"", "ok"),
            ("\"media\"", "invalid_field"),
            ("\"\"", "invalid_field"),
            ("1", "invalid_field"),
        ]),
        M::SpendKind => own(&[
            ("\"media\"", "ok"),
            ("\"fee\"", "ok"),
            ("\"creative\"", "ok"),
            ("\"other\"", "ok"),
            ("\"Media\"", "invalid_field"),
            ("\"retention\"", "invalid_field"),
            ("\"\"", "invalid_field"),
            ("1", "invalid_field"),
        ]),
        M::Count => own(&[
            ("0", "ok"),
            ("9223372036854775807", "ok"),
            ("9223372036854775808", "invalid_field"),
            ("-1", "invalid_field"),
            ("1.5", "invalid_field"),
            ("1e3", "invalid_field"),
            ("\"5\"", "invalid_field"),
            ("true", "invalid_field"),
        ]),
        M::Quantity => own(&[
            ("1", "ok"),
            ("1000000000", "ok"),
            ("1000000001", "invalid_field"),
            ("0", "invalid_field"),
            ("-1", "invalid_field"),
            ("1.5", "invalid_field"),
            ("\"1\"", "invalid_field"),
            ("99999999999999999999", "invalid_field"),
            ("[1]", "invalid_field"),
        ]),
        M::List => own(&[
            ("[]", "ok"),
            ("{}", "invalid_field"),
            ("1", "invalid_field"),
            ("\"[]\"", "invalid_field"),
            ("true", "invalid_field"),
            ("[1]", "invalid_field"),
            ("[null]", "invalid_field"),
            ("[[]]", "invalid_field"),
            ("[{}]", "missing_field"),
        ]),
    };
    rows
}

fn own(rows: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    rows.iter().map(|(value, verdict)| ((*value).to_owned(), *verdict)).collect()
}

/// `items/1/sku` as a rejection names it: `items[1].sku`.
fn named(path: &str) -> String {
    match path.split('/').collect::<Vec<_>>()[..] {
        [list, index, name] => format!("{list}[{index}].{name}"),
        _ => path.to_owned(),
    }
}

/// The report is of a day that had begun whenever it was made.
fn events_of_any_time() -> [Value; 6] {
    let mut events = complete_events();
    events[5]["date"] = "0000-01-01".into();
    events
}

#[test]
fn each_field_takes_what_its_meaning_takes() {
    let events = events_of_any_time();
    for (event, path, meaning, _) in FIELDS {
        for (value, expected) in rules(meaning) {
            let record = with(&events[event], path, Some(&value));
            assert_eq!(verdict(&record), expected, "{record}");
        }
    }
}

#[test]
fn a_required_field_may_be_neither_absent_nor_null_and_others_may() {
    let events = complete_events();
    for (event, path, _, required) in FIELDS {
        for absent in [None, Some("null")] {
            let record = with(&events[event], path, absent);
            assert_eq!(verdict(&record), if required { "missing_field" } else { "ok" }, "{record}");
        }
    }
}

#[test]
fn a_rejection_names_the_field_and_says_what_was_expected() {
    let events = events_of_any_time();
    for (event, path, meaning, required) in FIELDS {
        if required {
            assert_eq!(rejection(&with(&events[event], path, None)).detail, format!("{}: required", named(path)));
        }
        for (value, _) in
            rules(meaning).into_iter().filter(|(value, verdict)| *verdict != "ok" && !value.starts_with("["))
        {
            let rejection = rejection(&with(&events[event], path, Some(&value)));
            assert!(rejection.detail.starts_with(&format!("{}: ", named(path))), "{rejection}");
            assert!(rejection.detail.len() < 160, "{rejection}");
        }
    }
    let record = with(&events[0], "items/1/unit_price", Some("-1"));
    assert_eq!(
        rejection(&record).to_string(),
        "invalid_money: items[1].unit_price: expected a number from 0 to 9,000,000,000,000"
    );
    let record = with(&events[0], "items", Some("[{}, 5]"));
    assert_eq!(rejection(&record).detail, "items[0].sku: required");
    let record = with(&events[0], "touchpoints", Some("[5]"));
    assert_eq!(rejection(&record).detail, "touchpoints[0]: expected an object");
}

#[test]
fn fields_of_other_events_are_unknown_fields() {
    let events = complete_events();
    for (event, path, _, _) in FIELDS {
        let others = events.iter().enumerate().filter(|(i, other)| *i != event && other.get(path).is_none());
        for (_, other) in others.filter(|_| !path.contains('/')) {
            for value in ["-5", "\"\"", "[1, {\"a\": 2}]", "{\"sku\": 0}", "true", "\"\\ud800\""] {
                let record = with(other, path, Some(value));
                assert_eq!(verdict(&record), "ok", "{record}");
            }
        }
    }
}

#[test]
fn the_type_is_one_of_six_texts() {
    let event = &complete_events()[2];
    let table = [
        (Some("\"cancellation\""), "ok"),
        (Some("\"\\u0063ancellation\""), "ok"),
        (Some("\"Cancellation\""), "unknown_type"),
        (Some("\"order\""), "unknown_type"),
        (Some("\"\""), "unknown_type"),
        (Some("5"), "invalid_field"),
        (Some("[\"cancellation\"]"), "invalid_field"),
        (Some("null"), "missing_field"),
        (None, "missing_field"),
    ];
    for (value, expected) in table {
        assert_eq!(verdict(&with(event, "type", value)), expected, "{value:?}");
    }
    let long = with(event, "type", Some(&quoted(&"x".repeat(100_000))));
    assert!(rejection(&long).detail.starts_with("type: expected `purchase`, "));
    assert!(rejection(&long).detail.len() < 200);
}
