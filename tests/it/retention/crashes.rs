//! A process that dies while it gives things up: after a part of that was committed, before the next part is, and while
//! nobody knows whether that was. The figures are those of the batch, and so is what the changelog's last facts restore to.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use payback::engine::campaigns::Campaigns;
use payback::engine::customers::Customers;
use payback::engine::{Last, Stage};
use payback::kafka::changelog::progress::{PROGRESS_KEY, Progress};
use payback::settings::{Retention, Settings, VerdictRules, Window};

use super::*;
use crate::batch::{self, Keeper};
use crate::exactly_once::Feed;
use crate::records::{ByKey, difference};

/// Where to die. The first commits of a process that has a roll to do are parts of that. At the first and the last no
/// transaction is left open, so that it can be seen at once how far all has come.
const CRASHES: [&str; 4] = ["during-roll:1", "after-send-offsets:2", "after-commit-sent:2", "during-roll:1"];

/// A roll is done in parts.
const SLICES: (&str, &str) = ("PAYBACK_TEST_KEYS", "50");

const WINDOWS: [&str; 3] = ["24h", "5d", "lifetime"];

/// What [`SHORT`] says, for the batch.
fn keeper() -> Keeper {
    let windows = WINDOWS.map(str::to_owned).to_vec();
    let config = batch::Config { windows, maturity_days: 3, ..batch::Config::default() };
    Keeper::new(&config, batch::Retention { hours_days: 1, days: 5, spend_days: 2, orders_days: 366 })
}

/// What [`SHORT`] says, for the engines.
fn settings() -> Settings {
    Settings {
        windows: WINDOWS.iter().map(|name| Window::parse(name).expect("a window")).collect(),
        verdict: VerdictRules { window: 2, maturity_days: 3, ..VerdictRules::default() },
        retention: Retention { hours_days: Some(1), days: 5, spend_days: 2, orders_days: Some(366) },
        ..Settings::default()
    }
}

/// Which facts are given up, and which take their place.
struct Kinds {
    singly: char,
    carried: char,
}

/// Takes `history`, dies again and again while it is given up, and takes `later`, of which some is too late.
fn dies_in_the_midst<S: Stage>(kinds: &Kinds, history: &[Value], later: &[Value]) {
    let processor = Processor::new(&format!("giving-up-{}", S::NAME), Partitions::alike(1));
    let clock = Clock::new();
    let mut keeper = keeper();
    let mut variables = SHORT.to_vec();
    variables.push(clock.variable());
    let take = |keeper: &mut Keeper, events: &[Value]| -> Vec<String> {
        Feed::start(&processor, &deliveries(events), u32::MAX).finish();
        events.iter().filter_map(|event| keeper.take(&event.to_string()).err()).map(str::to_owned).collect()
    };

    let mut first = processor.start_with("a", &variables);
    assert_eq!(take(&mut keeper, history), [""; 0]);
    processor.wait_until_done(&mut [&mut first]);
    keeper.pass(as_of(&processor, S::NAME));
    pass(6, &clock, &processor, &mut first, &mut 0);
    keeper.pass(as_of(&processor, S::NAME));
    first.leave();

    clock.forward(2 * DAY);
    let of_stage = || facts(&processor, S::NAME);
    let mut left = of_stage()[&kinds.singly];
    for (number, point) in (1..).zip(CRASHES) {
        let crash = format!("{point}@{}", S::NAME);
        let mut dying = variables.clone();
        dying.extend([("PAYBACK_TEST_CRASH_AT", crash.as_str()), SLICES]);
        let mut instance = processor.start_with("a", &dying);
        assert_eq!(instance.wait_for_end().signal(), Some(6), "it aborts at {crash}:\n{}", instance.log());
        if number == 1 || number == CRASHES.len() {
            let facts = of_stage();
            let still = facts.get(&kinds.singly).copied().unwrap_or(0);
            assert!(0 < still && still < left, "of {left} are left at {crash}: {facts:?}");
            assert!(facts.contains_key(&kinds.carried), "at {crash}: {facts:?}");
            left = still;
        }
    }
    let mut last = processor.start_with("a", &variables);
    wait_until("all is given up", LIMIT, || {
        last.must_run();
        !of_stage().contains_key(&kinds.singly)
    });
    keeper.pass(as_of(&processor, S::NAME));
    let too_late = take(&mut keeper, later);
    processor.wait_until_done(&mut [&mut last]);
    last.leave();

    assert!(too_late.contains(&"too_late".to_owned()) && too_late.len() < later.len(), "{too_late:?}");
    assert_eq!(reasons(&processor), too_late);
    let customers = latest(&processor.ltv_updates);
    let campaigns: ByKey = latest(&processor.roas_updates)
        .into_iter()
        .map(|(key, record)| (key.strip_prefix("campaign/").expect("a campaign").to_owned(), record))
        .collect();
    let batch = keeper.batch();
    let expected = |found: &ByKey, of: fn(batch::Records) -> ByKey| -> ByKey {
        let ids = of(batch.records(as_of(&processor, S::NAME))).into_keys();
        // Of those that nothing has happened to since, the record is older than the others.
        ids.filter_map(|id| of(batch.records(moment(found.get(&id)?))).remove_entry(&id)).collect()
    };
    assert!(!campaigns.is_empty());
    assert_eq!(difference(&expected(&customers, |records| records.customers), &customers), None);
    assert_eq!(difference(&expected(&campaigns, |records| records.campaigns), &campaigns), None);
    restores_to::<Customers>(&processor, &customers);
    restores_to::<Campaigns>(&processor, &campaigns);
}

fn deliveries(events: &[Value]) -> Vec<Delivery> {
    let delivery = |event: &Value| {
        let is_of_customer = !event["customer_id"].is_null();
        let (source, id) =
            if is_of_customer { (Source::Purchases, "customer_id") } else { (Source::AdSpend, "campaign_id") };
        let key = event[id].as_str().map(str::to_owned);
        Delivery { source, key, value: event.to_string().into_bytes() }
    };
    events.iter().map(delivery).collect()
}

/// When a record was written.
fn moment(record: &Value) -> i64 {
    let text = record["as_of"].as_str().expect("a record says when it was written");
    text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond()
}

/// The last version of each fact, as a changelog has them that was compacted, restores to these records.
fn restores_to<S: Stage>(processor: &Processor, records: &ByKey) {
    let mut facts: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    for record in read(&format!("{}-{}-changelog", processor.application_id, S::NAME)) {
        facts.insert(record.key.expect("a fact has a key"), record.value);
    }
    let progress = facts[PROGRESS_KEY].as_deref().map(Progress::read).expect("progress is never deleted");
    let mut stage = S::new(Arc::new(settings()));
    for (key, value) in facts.iter().filter(|(key, value)| value.is_some() && key[0].is_ascii_lowercase()) {
        assert_eq!(stage.restore(key, value.as_deref()), Ok(()));
    }
    let Progress { as_of, rolled_to, .. } = progress.expect("progress can be read");
    stage.restored(Some(Last { as_of, rolled_to }));
    let again = |(id, record): (&String, &Value)| {
        let record = stage.record(id, Millis(moment(record)))?;
        Some((id.clone(), serde_json::from_slice(&record).expect("a record is JSON")))
    };
    let restored: ByKey = records.iter().filter_map(again).collect();
    assert_eq!(difference(&timeless(records), &timeless(&restored)), None, "of {}", S::NAME);
    assert_eq!(stage.ids().filter(|id| !records.contains_key(*id)).collect::<Vec<_>>(), [""; 0]);
}

/// Without the moment, and the ends of windows that move with it: campaigns never go back to an earlier one.
fn timeless(records: &ByKey) -> ByKey {
    let mut records = records.clone();
    for record in records.values_mut() {
        let fields = record.as_object_mut().expect("a record is an object");
        fields.remove("as_of");
        for window in fields.get_mut("windows").and_then(Value::as_object_mut).into_iter().flatten() {
            let figures = window.1.as_object_mut().expect("a window is an object");
            figures.remove("from");
            figures.remove("to");
        }
    }
    records
}

#[test]
fn a_crash_while_orders_are_given_up_changes_no_figure() {
    let began = now();
    let at = |days: i64, hours: i64| began.plus(days * DAY + hours * 3_600_000).0;
    let order = |customer: usize, id: String, at: i64| {
        let mut order = json!({"type": "purchase", "customer_id": format!("c-{customer}"), "order_id": id,
            "occurred_at": at, "revenue": 100 + customer, "campaign_id": format!("g-{}", customer % 3)});
        if customer % 4 != 1 {
            order["cost_of_goods"] = json!("40.000001");
        }
        if customer % 9 == 2 {
            order["customer_since"] = json!(at - 1_000 * DAY);
        }
        order
    };
    let of_order = |kind: &str, customer: usize, id: usize, at: i64| {
        json!({"type": kind, "customer_id": format!("c-{customer}"), "order_id": format!("o-{id}"), "occurred_at": at,
            "refund_id": "r-1", "amount": 30 * customer + 1})
    };
    let cost = |customer: usize, id: &str, at: i64| {
        let kind = if customer.is_multiple_of(2) { "acquisition" } else { "retention" };
        json!({"type": "customer_cost", "customer_id": format!("c-{customer}"), "cost_id": id, "occurred_at": at,
            "amount": 5, "kind": kind})
    };
    let mut history = Vec::new();
    // One part of a roll looks at all of them, and gives up the orders of five.
    for customer in 0..45 {
        history.extend((0..10).map(|number| order(customer, format!("o-{number}"), at(-362, number))));
        match customer % 5 {
            0 => history.push(of_order("refund", customer, 3, at(-361, 0))),
            1 => history.push(of_order("cancellation", customer, 0, at(-361, 0))),
            2 => history.push(cost(customer, "k-1", at(-361, 0))),
            _ => {}
        }
    }
    let mut later = vec![
        of_order("refund", 3, 4, at(-361, 1)),
        of_order("cancellation", 4, 4, at(7, 0)),
        order(5, "o-2".to_owned(), at(7, 0)),
        order(6, "o-99".to_owned(), at(-361, 0)),
        cost(7, "k-1", at(7, 0)),
    ];
    later.extend((0..45).step_by(3).map(|customer| cost(customer, "k-2", at(7, 1))));
    dies_in_the_midst::<Customers>(&Kinds { singly: 'o', carried: 'f' }, &history, &later);
}

#[test]
fn a_crash_while_spend_is_given_up_changes_no_figure() {
    let began = now();
    let at = |days: i64, minutes: i64| began.plus(days * DAY + minutes * 60_000).0;
    let amount = |campaign: usize, id: String, at: i64| {
        json!({"type": "ad_spend", "campaign_id": format!("g-{campaign}"), "spend_id": id, "occurred_at": at,
            "amount": "12.500001", "kind": if at % 2 == 0 { "media" } else { "fee" }, "channel": format!("of-{at}")})
    };
    let report = |campaign: usize, days: i64, amount: i64| {
        let date = began.plus(days * DAY).to_string()[..10].to_owned();
        json!({"type": "ad_spend_report", "campaign_id": format!("g-{campaign}"), "date": date, "breakdown": "de",
            "reported_at": at(days, 0), "amount": amount, "clicks": 7, "reported_revenue": 3, "platform": "google",
            "campaign_name": format!("as of {days}")})
    };
    let mut history = Vec::new();
    // One part of a roll gives up half of one.
    for campaign in 0..3 {
        for day in 1..7 {
            let amounts = (0..20).map(|number| amount(campaign, format!("s-{day}-{number}"), at(-day, number + day)));
            history.extend(amounts);
            history.push(report(campaign, -day, 24 + day));
        }
        // Each has an order as well, whose day is given up with the others.
        history.push(json!({"type": "purchase", "customer_id": "c-1", "order_id": format!("o-{campaign}"),
            "occurred_at": at(-2, 0), "revenue": 1_000, "cost_of_goods": 1, "campaign_id": format!("g-{campaign}")}));
    }
    let later = [
        amount(0, "s-1-0".to_owned(), at(-1, 0)),
        amount(1, "s-99".to_owned(), at(-1, 0)),
        report(2, -1, 50),
        amount(0, "s-1-0".to_owned(), at(7, 0)),
        report(2, 7, 50),
    ];
    dies_in_the_midst::<Campaigns>(&Kinds { singly: 'a', carried: 'c' }, &history, &later);
}
