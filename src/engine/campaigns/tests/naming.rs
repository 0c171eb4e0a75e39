//! What a campaign is called, and how far its spend is known.

use super::*;

#[test]
fn the_latest_event_that_names_one_names_the_campaign() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(AdSpend { channel: Some("search".into()), ..spend("c", "1", hour(5), 1) }));
    shop.apply(Event::AdSpend(spend("c", "2", hour(1), 1)));
    shop.apply(Event::AdSpendReport(AdSpendReport {
        campaign_name: Some("Brand".into()),
        platform: Some("google".into()),
        objective: Some("sales".into()),
        ..report("c", today(), hour(6), 1)
    }));
    shop.flush(NOW);
    let record = shop.record("c");
    let texts = [record.channel, record.name, record.platform, record.objective];
    assert_eq!(texts.map(Option::unwrap), ["search", "Brand", "google", "sales"]);

    shop.apply(Event::AdSpend(AdSpend { channel: Some("a".into()), ..spend("c", "3", hour(4), 1) }));
    shop.apply(Event::AdSpend(AdSpend { channel: Some("B".into()), ..spend("c", "4", hour(4), 1) }));
    shop.flush(NOW);
    assert_eq!(shop.record("c").channel.unwrap(), "a", "of equal times the greater by bytes");
}

#[test]
fn an_event_that_was_replaced_names_nothing() {
    let mut shop = Shop::new(Settings::default());
    let named = |name: Option<&'static str>, at| AdSpendReport {
        campaign_name: name.map(Into::into),
        ..report("c", today(), at, 1)
    };
    shop.apply(Event::AdSpendReport(AdSpendReport { breakdown: Some("DE".into()), ..named(Some("old"), hour(9)) }));
    shop.apply(Event::AdSpendReport(named(Some("new"), hour(5))));
    shop.flush(NOW);
    assert_eq!(shop.record("c").name.unwrap(), "new");
    shop.apply(Event::AdSpendReport(named(None, hour(3))));
    assert_eq!(shop.present("c", NOW).unwrap().name.unwrap(), "old", "even before the flush");
    shop.flush(NOW);
    assert_eq!(shop.record("c").name.unwrap(), "old");
}

#[test]
fn spend_is_known_through_the_last_hour_of_a_report_and_the_moment_of_an_amount() {
    let mut shop = Shop::new(Settings::default());
    let mut through = |event| {
        shop.apply(event);
        shop.flush(NOW);
        shop.record("c").spend_through.map(|text| text.into_owned())
    };
    let fee = AdSpend { kind: SpendKind::Fee, ..spend("c", "fee", hour(0), 1) };
    assert_eq!(through(Event::AdSpend(fee)), None, "only media counts");
    let yesterday = report("c", today().plus(-1), hour(0), 0);
    assert_eq!(through(Event::AdSpendReport(yesterday)).unwrap(), "2026-11-21T00:00:00Z", "even of 0");
    let early = Millis(hour(3).0 + 1);
    assert_eq!(through(Event::AdSpendReport(report("c", today(), early, 1))).unwrap(), "2026-11-21T08:00:00Z");
    let amount = spend("c", "1", NOW, 1);
    assert_eq!(through(Event::AdSpend(amount.clone())).unwrap(), "2026-11-21T10:00:05Z");
    let no_media = AdSpend { kind: SpendKind::Other, occurred_at: NOW.plus(1), ..amount };
    assert_eq!(through(Event::AdSpend(no_media)).unwrap(), "2026-11-21T08:00:00Z", "it was replaced");
}

#[test]
fn what_nothing_says_any_more_is_forgotten() {
    let mut shop = Shop::new(Settings::default());
    let names: Vec<&'static str> = (0..2_000).map(|number| &*format!("Spring, week {number}").leak()).collect();
    let mut most = 0;
    for (number, name) in (0..).zip(&names) {
        let at = hour(5).plus(number);
        let cell = report("c", today(), at, 1);
        shop.apply(Event::AdSpendReport(AdSpendReport { campaign_name: Some((*name).into()), ..cell }));
        shop.apply(Event::AdSpend(AdSpend { channel: Some((*name).into()), ..spend("d", "1", at, 1) }));
        shop.flush(NOW);
        assert_eq!((&*shop.record("c").name.unwrap(), &*shop.record("d").channel.unwrap()), (*name, *name));
        if number == 9 {
            most = shop.stage.sizes().bytes;
        }
    }
    let bytes = shop.stage.sizes().bytes;
    assert!(bytes < most + 2_000, "{bytes} with the last name, {most} with the tenth");
    let restored = shop.restored(&Settings::default(), Some(NOW), &[]);
    assert_eq!(restored.present("c", NOW), shop.present("c", NOW));
}
