//! Records as a whole: what they become, and what makes one unusable before its fields are looked at.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::*;
use crate::money::Micros;
use crate::time::{Date, Zone};

const NINE: Millis = Millis(NOW.0 - Millis::HOUR);

#[test]
fn each_type_becomes_its_event() {
    let records = complete_events().map(|event| event.to_string());
    let events: Vec<Event<'_>> = records.iter().map(|record| decode(record.as_bytes()).unwrap()).collect();
    let [
        Event::Purchase(purchase),
        Event::Refund(refund),
        Event::Cancellation(cancellation),
        Event::CustomerCost(cost),
        Event::AdSpend(spend),
        Event::AdSpendReport(report),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };

    assert_eq!((&*purchase.customer_id, &*purchase.order_id), ("c-1", "o-1"));
    assert_eq!((purchase.occurred_at, purchase.updated_at), (NINE, NINE.plus(30 * Millis::MINUTE)));
    assert_eq!((purchase.revenue, purchase.operating_cost), (Micros(55_000_000), Micros(3_500_000)));
    assert_eq!(purchase.cost_of_goods, CostOfGoods::Known(Micros(20_000_000)));
    assert_eq!((purchase.shop.as_deref(), purchase.offer.as_deref()), (Some("eu"), Some("SUMMER")));
    assert_eq!((purchase.quantity(), &*purchase.items[0].sku, &*purchase.items[1].sku), (3, "A", "B"));
    assert_eq!((purchase.items[1].category.as_deref(), &purchase.original), (Some("socks"), &None));
    assert_eq!(purchase.customer_since, Some(Millis(1_577_836_800_000)));
    assert_eq!(purchase.touchpoints.len(), 3);

    assert_eq!((&*refund.customer_id, &*refund.order_id, &*refund.refund_id), ("c-1", "o-1", "r-1"));
    assert_eq!((refund.amount, refund.cost_recovered), (Micros(10_500_000), Micros(4_000_000)));
    assert_eq!((&*cancellation.customer_id, &*cancellation.order_id), ("c-1", "o-1"));

    assert_eq!((&*cost.customer_id, &*cost.cost_id, cost.amount), ("c-1", "k-1", Micros(500_000)));
    assert_eq!((cost.kind, cost.channel.as_deref()), (CustomerCostKind::Retention, Some("email")));

    assert_eq!((&*spend.campaign_id, &*spend.spend_id, spend.amount), ("google:1", "s-1", Micros(1_000_000_000)));
    assert_eq!((spend.kind, spend.channel.as_deref()), (SpendKind::Fee, Some("search")));

    assert_eq!((&*report.campaign_id, report.date), ("google:1", Date::parse("2026-11-20").unwrap()));
    assert_eq!((report.breakdown.as_deref(), report.kind), (Some("ad-7"), SpendKind::Creative));
    assert_eq!((report.amount, report.channel.as_deref()), (Micros(99_990_000), Some("search")));
    assert_eq!((report.impressions, report.clicks), (Some(90_000), Some(1_200)));
    assert_eq!(report.reported_conversions, Some(Micros(12_500_000)));
    assert_eq!(report.reported_revenue, Some(Micros(1_000_000_000)));
    let names = [&report.campaign_name, &report.platform, &report.objective].map(Option::as_deref);
    assert_eq!(names, [Some("Brand"), Some("google"), Some("sales")]);

    for (event, kind) in events.iter().zip(complete_events()) {
        assert_eq!(event.kind().name(), kind["type"]);
        assert_eq!(event.moment(), NINE);
    }
}

#[test]
fn each_kind_has_its_name_and_a_number_of_its_own() {
    assert_eq!(
        EventKind::ALL.map(EventKind::name),
        complete_events().map(|event| event["type"].as_str().unwrap().to_owned())
    );
    let numbers: BTreeSet<u8> = EventKind::ALL.iter().map(|kind| *kind as u8).collect();
    assert_eq!(numbers.len(), EventKind::ALL.len());
    let expected = "`purchase`, `refund`, `cancellation`, `customer_cost`, `ad_spend` or `ad_spend_report`";
    assert_eq!(rejection(r#"{"type":"sale"}"#).to_string(), format!("unknown_type: type: expected {expected}"));
    let cost = with(&complete_events()[3], "kind", Some("\"bribe\""));
    assert_eq!(rejection(&cost).to_string(), "invalid_field: kind: expected `acquisition` or `retention`");
}

#[test]
fn what_is_left_out_has_its_default() {
    let record = r#"{"type":"ad_spend_report","campaign_id":1,"date":"1970-01-01","reported_at":0,"amount":0}"#;
    let Ok(Event::AdSpendReport(report)) = decode(record.as_bytes()) else { panic!() };
    assert_eq!((report.kind, report.breakdown, report.impressions), (SpendKind::Media, None, None));
    let record = r#"{"type":"refund","customer_id":1,"order_id":2,"refund_id":-0,"occurred_at":0,"amount":1}"#;
    let Ok(Event::Refund(refund)) = decode(record.as_bytes()) else { panic!() };
    assert_eq!(refund.cost_recovered, Micros::ZERO);
    assert_eq!((&*refund.customer_id, &*refund.order_id, &*refund.refund_id), ("1", "2", "0"));
}

#[test]
fn texts_are_borrowed_unless_they_are_escaped() {
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    let all_borrowed = |texts: &[&Option<Cow<'_, str>>]| texts.iter().all(|text| text.as_ref().is_some_and(borrowed));
    for record in complete_events() {
        let record = record.to_string();
        let plain = match decode(record.as_bytes()).unwrap() {
            Event::Purchase(event) => {
                let of_touchpoints = event.touchpoints.iter().all(|t| all_borrowed(&[&t.campaign_id, &t.channel]));
                borrowed(&event.customer_id)
                    && borrowed(&event.order_id)
                    && all_borrowed(&[&event.shop, &event.offer])
                    && event.items.iter().all(|item| borrowed(&item.sku) && all_borrowed(&[&item.category]))
                    && of_touchpoints
            }
            Event::Refund(event) => [&event.customer_id, &event.order_id, &event.refund_id].into_iter().all(borrowed),
            Event::Cancellation(event) => borrowed(&event.customer_id) && borrowed(&event.order_id),
            Event::CustomerCost(event) => {
                borrowed(&event.customer_id) && borrowed(&event.cost_id) && all_borrowed(&[&event.channel])
            }
            Event::AdSpend(event) => {
                borrowed(&event.campaign_id) && borrowed(&event.spend_id) && all_borrowed(&[&event.channel])
            }
            Event::AdSpendReport(event) => {
                let texts = [&event.breakdown, &event.channel, &event.campaign_name, &event.platform, &event.objective];
                borrowed(&event.campaign_id) && all_borrowed(&texts)
            }
        };
        assert!(plain, "{record}");
    }
    let record = r#"{"type":"cancellation","customer_id":"\u0063-\ud83d\ude00\n","order_id":12,"occurred_at":0}"#;
    let Ok(Event::Cancellation(event)) = decode(record.as_bytes()) else { panic!() };
    assert_eq!(event.customer_id, "c-😀\n");
    assert!(matches!(event.customer_id, Cow::Owned(_)) && borrowed(&event.order_id));
}

#[test]
fn an_event_is_at_home_by_its_content() {
    let homes = complete_events().map(|event| match decode(event.to_string().as_bytes()).unwrap().home() {
        Home::Customer(id) => format!("customer {id}"),
        Home::Campaign(id) => format!("campaign {id}"),
    });
    let (customer, campaign) = ("customer c-1", "campaign google:1");
    assert_eq!(homes, [customer, customer, customer, customer, campaign, campaign]);
}

#[test]
fn what_is_no_json_object_is_told_apart() {
    let table: [(&[u8], &str); 14] = [
        (b"", "empty"),
        (b" ", "invalid_json"),
        (b"{", "invalid_json"),
        (b"{}", "missing_field"),
        (b"[]", "not_an_object"),
        (b"[", "invalid_json"),
        (b"null", "not_an_object"),
        (b"5", "not_an_object"),
        (b"\"{}\"", "not_an_object"),
        (b"{} {}", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"{\"type\":\"\xff\"}", "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b"{\"type\":\"a\0b\"}", "invalid_json"),
    ];
    for (record, expected) in table {
        let reason = decode(record).unwrap_err().reason.code();
        assert_eq!(reason, expected, "{}", String::from_utf8_lossy(record));
    }
}

#[test]
fn what_begins_as_no_json_text_does_is_told_for_what_it_is() {
    let event = complete_events()[2].to_string();
    let after = |start: &[u8]| [start, event.as_bytes()].concat();
    let table: [(Vec<u8>, &str); 7] = [
        (after(b"\xef\xbb\xbf"), "begins with a byte order mark"),
        (after(b"\xff\xfe"), "begins with the byte order mark of UTF-16"),
        (after(b"\xfe\xff"), "begins with the byte order mark of UTF-16"),
        (
            after(b"\0\0\0\x01\x02"),
            "looks like Confluent's schema registry format (a zero byte, and the number of a schema: 258)",
        ),
        // What follows may be no text either.
        (b"\0\0\0\0\x07\x02\xff\x80".to_vec(), "looks like Confluent's schema registry format"),
        (b"\0\0\0".to_vec(), "expected value at line 1 column 1"),
        (b"\x01{}".to_vec(), "expected value at line 1 column 1"),
    ];
    for (record, expected) in table {
        let rejection = decode(&record).unwrap_err();
        assert_eq!(rejection.reason, Reason::InvalidJson);
        assert!(rejection.detail.starts_with(expected), "{expected}: {rejection}");
    }
}

#[test]
fn a_record_of_one_mebibyte_is_read_and_one_byte_more_is_not() {
    let padded = |length: usize| {
        let event = complete_events()[2].to_string();
        format!("{event}{}", " ".repeat(length - event.len()))
    };
    assert_eq!(verdict(&padded(MAX_RECORD)), "ok");
    assert_eq!(verdict(&padded(MAX_RECORD + 1)), "too_large");
    assert_eq!(verdict(&" ".repeat(MAX_RECORD + 1)), "too_large");
}

#[test]
fn unknown_fields_are_ignored_whatever_they_hold() {
    let events = complete_events();
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for value in ["1", "null", "[{\"a\":1,\"a\":2}]", "\"\\ud800\"", "1e999999999", &deep] {
        for path in ["note", "items/0/note", "touchpoints/0/note"] {
            assert_eq!(verdict(&with(&events[0], path, Some(value))), "ok", "{path}");
        }
    }
}

#[test]
fn a_field_that_stands_twice_is_invalid_json_known_or_not_and_wherever_it_stands() {
    let event = &complete_events()[0];
    let table = [
        ("note", "1, \"note\": 1"),
        ("note", "1, \"customer_id\": \"c-1\""),
        ("note", "1, \"customer\\u005fid\": null"),
        ("note", "1, \"n\\u006fte\": 1"),
        ("items/0/note", "1, \"sku\": \"A\""),
        ("items/1/note", "1, \"note\": 2"),
        ("touchpoints/1/note", "1, \"at\": 0"),
    ];
    for (path, twice) in table {
        assert_eq!(verdict(&with(event, path, Some(twice))), "invalid_json", "{path}: {twice}");
    }
    let twice = with(event, "items/1/note", Some("1, \"sku\": \"A\""));
    assert_eq!(rejection(&twice).detail, "items[1]: the field `sku` appears twice");
}

#[test]
fn more_than_five_minutes_ahead_of_the_clock_is_in_the_future() {
    let events = complete_events();
    let guarded = [
        (0, "occurred_at"),
        (0, "updated_at"),
        (1, "occurred_at"),
        (2, "occurred_at"),
        (3, "occurred_at"),
        (4, "occurred_at"),
        (5, "reported_at"),
    ];
    for (event, field) in guarded {
        let at = |millis: i64| with(&events[event], field, Some(&(NOW.0 + millis).to_string()));
        assert_eq!(verdict(&at(MAX_AHEAD)), "ok", "{field}");
        assert_eq!(verdict(&at(MAX_AHEAD + 1)), "in_the_future", "{field}");
        let ahead = rejection(&at(MAX_AHEAD + 1));
        assert_eq!(ahead.detail, format!("{field}: expected at most 5 minutes after 2026-11-21T10:00:00Z"));
        // A replay without a clock takes all.
        assert!(Decoder::new(&Settings::default()).decode(at(Millis::DAY).as_bytes(), Millis::MAX).is_ok());
    }
    // What is wrong at any time is said first.
    let mut event = events[1].clone();
    event["occurred_at"] = (NOW.0 + Millis::DAY).into();
    assert_eq!(verdict(&with(&event, "amount", Some("-1"))), "invalid_money");
    // Other moments may be ahead.
    assert_eq!(verdict(&with(&events[0], "customer_since", Some("\"2030-01-01T00:00:00Z\""))), "ok");
}

/// The first to have a date are 14 hours ahead of UTC: there is none that a report could be of.
#[test]
fn a_report_of_a_day_that_has_begun_nowhere_is_in_the_future() {
    let report = with(&complete_events()[5], "date", Some("\"2026-11-21\""));
    let midnight = |zone: &Zone| zone.start_of(Date::parse("2026-11-21").unwrap());
    for zone in ["UTC", "Asia/Tokyo", "America/New_York"].map(|name| Zone::named(name).unwrap()) {
        let decoder = Decoder::new(&Settings { zone: zone.clone(), ..Settings::default() });
        let reported = |back: i64| {
            let at = midnight(&zone).plus(-back).0.to_string();
            report.replace("\"2026-11-21T09:00:00Z\"", &at)
        };
        // It goes by the report alone, whenever it is read.
        for now in [NOW, NOW.plus(1_000 * Millis::DAY), Millis::MAX] {
            assert!(decoder.decode(reported(14 * Millis::HOUR).as_bytes(), now).is_ok());
            let early = reported(14 * Millis::HOUR + 1);
            let rejection = decoder.decode(early.as_bytes(), now).unwrap_err();
            assert_eq!(
                (rejection.reason.code(), &*rejection.detail),
                ("in_the_future", "date: expected a day that begins at most 14 hours after `reported_at`")
            );
        }
    }
}

#[test]
fn a_currency_that_is_not_the_reporting_currency_has_no_rate() {
    let record = with(&complete_events()[4], "currency", Some("\"JPY\""));
    assert_eq!(rejection(&record).to_string(), "no_exchange_rate: currency: no rate is known from JPY to USD");
    let settings = Settings { currency: crate::settings::Currency(*b"JPY"), ..Settings::default() };
    assert!(Decoder::new(&settings).decode(record.as_bytes(), NOW).is_ok());
}

#[test]
fn every_reason_that_bytes_alone_can_give_is_given() {
    let [purchase, refund, ..] = complete_events();
    let discounted = with(&purchase, "revenue", None).replace("\"discount\":4", "\"discount\":41");
    let records = [
        String::new(),
        " ".repeat(MAX_RECORD + 1),
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"type":"?"}"#.to_owned(),
        "{}".to_owned(),
        with(&purchase, "offer", Some("1")),
        with(&refund, "refund_id", Some("\"\"")),
        with(&refund, "amount", Some("-1")),
        with(&refund, "occurred_at", Some("\"yesterday\"")),
        with(&refund, "currency", Some("\"usd\"")),
        with(&refund, "currency", Some("\"EUR\"")),
        discounted,
        with(&refund, "occurred_at", Some("\"2030-01-01T00:00:00Z\"")),
    ];
    let mut found: BTreeSet<Reason> = records.iter().map(|record| rejection(record).reason).collect();
    found.insert(Reason::TooLate);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), Reason::ALL);
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}
