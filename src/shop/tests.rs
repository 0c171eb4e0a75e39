use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::*;

fn plan() -> Plan {
    // 2026-11-22T00:00:00Z
    Plan { customers: 800, ..Plan::new(Millis(1_795_305_600_000)) }
}

fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.value).unwrap()
}

#[test]
fn the_same_plan_gives_the_same_events() {
    let mut one = Shop::new(plan());
    let mut other = Shop::new(plan());
    assert!(one.by_ref().eq(other.by_ref()));
    let now = Millis(1_795_305_601_000);
    assert!((0..1_000).all(|_| one.next_live(now) == other.next_live(now)));
    assert!(Shop::new(Plan { seed: 2, ..plan() }).ne(Shop::new(plan())));
}

#[test]
fn the_history_has_everything_that_happens_in_a_shop() {
    let messages: Vec<Message> = Shop::new(plan()).collect();
    let mut kinds: HashMap<String, u32> = HashMap::new();
    let mut values = BTreeSet::new();
    let mut duplicates = 0;
    let (mut late, mut latest) = (0, String::new());
    for message in &messages {
        let event = json(message);
        let kind = event["type"].as_str().unwrap();
        *kinds.entry(kind.to_owned()).or_default() += 1;
        duplicates += u32::from(!values.insert(&message.value));
        let key = event.get(if message.source == Source::Purchases { "customer_id" } else { "campaign_id" });
        assert_eq!(key.unwrap().as_str().unwrap(), message.key);
        if kind == "purchase" && event.get("updated_at").is_none() {
            let at = event["occurred_at"].as_str().unwrap();
            late += u32::from(at < latest.as_str());
            latest = latest.max(at.to_owned());
        }
        assert!(!message.value.contains(&b'\n'));
    }
    for (kind, least) in [
        ("purchase", 1_200),
        ("refund", 30),
        ("cancellation", 10),
        ("customer_cost", 50),
        ("ad_spend", 60),
        ("ad_spend_report", 5_000),
    ] {
        assert!(kinds[kind] >= least, "{kind}: {}", kinds[kind]);
    }
    assert!(duplicates > 3 && late > 20, "{duplicates} duplicates, {late} late");
}

#[test]
fn the_history_ends_at_its_end_and_the_present_is_the_callers() {
    let plan = plan();
    let mut shop = Shop::new(plan.clone());
    let until = plan.until.to_string();
    for message in shop.by_ref() {
        let event = json(&message);
        let at = event.get("occurred_at").or(event.get("reported_at")).unwrap().as_str().unwrap().to_owned();
        assert!(at < until, "{at}");
    }
    let now = plan.until.plus(90 * Millis::MINUTE);
    let kinds: BTreeSet<String> = (0..3_000)
        .map(|_| {
            let event = json(&shop.next_live(now));
            let at = event.get("updated_at").or(event.get("reported_at")).or(event.get("occurred_at"));
            assert!(at.unwrap().as_str().unwrap() <= now.to_string().as_str());
            event["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn a_plan_says_how_many_customers_and_campaigns() {
    for campaigns in [1, 5, 12, 40] {
        let messages = Shop::new(Plan { campaigns, ..plan() });
        let (mut customers, mut found) = (BTreeSet::new(), BTreeSet::new());
        for message in messages {
            match message.source {
                Source::Purchases => customers.insert(message.key),
                Source::AdSpend => found.insert(message.key),
            };
        }
        assert!((720..=880).contains(&customers.len()), "{}", customers.len());
        assert!(found.len() <= campaigns as usize && found.len() * 10 >= campaigns as usize * 8, "{}", found.len());
    }
}
