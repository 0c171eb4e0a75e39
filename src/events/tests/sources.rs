//! Records of sources: none, one or many events, taken whole.

use std::borrow::Cow;

use super::*;

const SEVERAL: Source = Source { format: Format::Several };

fn texts<'a>(source: Source, value: Option<&'a [u8]>) -> Result<Texts<'a>, Rejection> {
    source.texts(&Record { value, ..Record::of_value("orders", b"") })
}

/// The types of the events that a record becomes, or why it becomes none.
fn taken(source: Source, value: &str) -> Result<Vec<&'static str>, String> {
    let texts = texts(source, Some(value.as_bytes())).map_err(|rejection| rejection.to_string())?;
    let events = Decoder::new(&Settings::default()).events(&texts, NOW);
    let events = events.map_err(|rejection| rejection.to_string())?;
    Ok(events.iter().map(|event| event.kind().name()).collect())
}

#[test]
fn a_record_of_the_contract_is_one_event_and_its_own_bytes() {
    for event in complete_events() {
        let value = event.to_string();
        let texts = texts(Source::default(), Some(value.as_bytes())).unwrap();
        let [Cow::Borrowed(text)] = texts[..] else { panic!("{texts:?}") };
        assert!(std::ptr::eq(text.as_bytes(), value.as_bytes()), "it is forwarded as it came");
        let events = Decoder::new(&Settings::default()).events(&texts, NOW).unwrap();
        assert_eq!(events[..], [decode(value.as_bytes()).unwrap()]);
    }
}

#[test]
fn an_array_of_the_contract_is_not_several_events() {
    let array = Value::from(complete_events().to_vec()).to_string();
    assert_eq!(taken(Source::default(), &array).unwrap_err(), "not_an_object: expected a JSON object");
}

#[test]
fn what_can_not_be_read_is_rejected_before_anybody_asks_what_it_means() {
    let too_large = vec![b' '; MAX_RECORD + 1];
    let table: [(Option<&[u8]>, Reason); 4] = [
        (None, Reason::Empty),
        (Some(b""), Reason::Empty),
        (Some(&too_large), Reason::TooLarge),
        (Some(b"\xff"), Reason::InvalidJson),
    ];
    for (value, reason) in table {
        for source in [Source::default(), SEVERAL] {
            assert_eq!(texts(source, value).unwrap_err().reason, reason);
        }
    }
}

#[test]
fn a_record_of_many_events_is_taken_whole() {
    let events = complete_events().map(|event| event.to_string());
    let kinds = EventKind::ALL.map(EventKind::name);
    assert_eq!(taken(SEVERAL, &events.join(" | ")).unwrap(), kinds);
    assert_eq!(taken(SEVERAL, &events[1]).unwrap(), ["refund"]);
    assert_eq!(taken(SEVERAL, "-").unwrap(), [""; 0]);
}

#[test]
fn if_one_event_of_a_record_can_not_be_used_the_record_can_not() {
    let [purchase, refund, ..] = complete_events();
    let wrong = with(&refund, "amount", Some("-1"));
    let of = |events: &[&str]| taken(SEVERAL, &events.join(" | ")).unwrap_err();
    let purchase = purchase.to_string();
    let detail = "amount: expected a number from 0 to 9,000,000,000,000";
    assert_eq!(of(&[&purchase, &wrong, &purchase]), format!("invalid_money: event 2 of 3: {detail}"));
    assert_eq!(of(&[&wrong]), format!("invalid_money: {detail}"), "it is the record");
    let ahead = with(&refund, "occurred_at", Some("\"2030-01-01T00:00:00Z\""));
    assert!(of(&[&purchase, &ahead]).starts_with("in_the_future: event 2 of 2: occurred_at: "));
}

#[test]
fn a_source_sees_all_of_a_record_and_headers_cost_who_asks_for_them() {
    let asked = std::cell::Cell::new(0);
    let headers = || {
        asked.set(asked.get() + 1);
        vec![("X-Shopify-Topic", Some(b"orders/paid".as_slice())), ("trace", None)]
    };
    let event = complete_events()[0].to_string();
    let record = Record {
        topic: "shop.orders",
        key: Some(b"k"),
        value: Some(event.as_bytes()),
        timestamp: Some(NOW),
        headers: &headers,
    };
    Source::default().texts(&record).unwrap();
    assert_eq!(asked.get(), 0);
    let seen = Source { format: Format::Echo }.texts(&record).unwrap();
    let expected = format!("shop.orders k {NOW} X-Shopify-Topic=orders/paid trace= {event}");
    assert_eq!((&*seen[0], seen.len(), asked.get()), (&*expected, 1, 1));
}
