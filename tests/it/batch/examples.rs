//! The batch calculation against figures worked out by hand.

use serde_json::{Value, json};

use super::{Batch, Config, Model, Profit, Records};

const AS_OF: &str = "2026-11-21T10:00:05Z";

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn records(events: &[Value], config: &Config) -> Records {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let batch = Batch::read(&texts, config);
    assert_eq!(batch.rejected, []);
    batch.records(at(AS_OF))
}

fn order(id: u32, day: &str, revenue: i64, more: Value) -> Value {
    let mut event = json!({"type": "purchase", "customer_id": "c", "order_id": id, "revenue": revenue});
    event["occurred_at"] = format!("{day}T12:00:00Z").into();
    event.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    event
}

fn spend(id: &str, amount: i64) -> Value {
    json!({"type": "ad_spend", "campaign_id": id, "spend_id": 1, "occurred_at": "2026-11-20T12:00:00Z", "amount": amount})
}

/// Checks that `record` has the fields of `expected`, nested ones too.
fn assert_has(record: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        match (&record[name], value) {
            (nested @ Value::Object(_), Value::Object(_)) if name != "undefined" => assert_has(nested, value.clone()),
            (found, _) => assert_eq!(found, value, "{name}"),
        }
    }
}

#[test]
fn ltv_is_average_order_value_times_purchases_a_year_times_lifespan() {
    for (each, number, ltv) in [(200_000, 5, "1000000"), (5_000, 20, "100000")] {
        let orders: Vec<Value> = (1..=number).map(|id| order(id, "2026-03-01", each, json!({}))).collect();
        let customer = &records(&orders, &Config::default()).customers["c"];
        assert_has(customer, json!({"purchases_per_year": number, "ltv": {"formula": ltv, "historic": ltv}}));
    }
}

#[test]
fn a_customer_has_all_figures() {
    let events = [
        order(1, "2025-10-31", 100, json!({"cost_of_goods": 40, "operating_cost": 5, "channel": "email"})),
        order(
            2,
            "2026-01-01",
            60,
            json!({"items": [{"sku": "A", "quantity": 3, "unit_price": 1, "unit_cost": "10.1"}]}),
        ),
        order(3, "2026-02-01", 999, json!({})),
        json!({"type": "cancellation", "customer_id": "c", "order_id": 3, "occurred_at": "2026-02-02T00:00:00Z"}),
        json!({"type": "refund", "customer_id": "c", "order_id": 2, "refund_id": 1, "occurred_at": AS_OF, "amount": 70, "cost_recovered": 10}),
        json!({"type": "customer_cost", "customer_id": "c", "cost_id": 1, "occurred_at": AS_OF, "amount": 7, "kind": "acquisition"}),
        json!({"type": "customer_cost", "customer_id": "c", "cost_id": 2, "occurred_at": AS_OF, "amount": "0.5", "kind": "retention"}),
    ];
    assert_eq!(
        records(&events, &Config { zone: "Asia/Tokyo".to_owned(), ..Config::default() }).customers["c"],
        json!({
            "customer_id": "c", "currency": "USD", "as_of": AS_OF,
            "orders": 2, "items": 3, "first_order_at": "2025-10-31T12:00:00Z", "last_order_at": "2026-01-01T12:00:00Z",
            "revenue": "100", "gross_profit": "39.7", "operating_profit": "34.7", "cost_coverage": 1.0,
            "acquisition_cost": "7", "retention_cost": "0.5",
            "average_order_value": "50", "purchases_per_year": 1, "observed_days": 365, "lifespan_years": 1.0,
            "ltv": {"historic": "100", "formula": "50", "gross_profit": "39.7", "net": "27.2", "predicted": null},
            "acquired_by": {"campaign_id": null, "channel": "email", "sku": null, "cohort": "2025-10"},
            "known_before": false, "contributing": true,
            "undefined": {"ltv.predicted": "not_yet"},
        })
    );
}

#[test]
fn a_customer_without_orders_has_no_averages() {
    let events = [json!({"type": "cancellation", "customer_id": "c", "order_id": 3, "occurred_at": AS_OF})];
    let expected = json!({
        "orders": 0, "revenue": "0", "gross_profit": "0", "cost_coverage": 1.0, "acquired_by": null, "contributing": false,
        "undefined": {
            "average_order_value": "no_orders", "ltv.formula": "no_orders", "observed_days": "no_orders",
            "first_order_at": "no_orders", "last_order_at": "no_orders", "acquired_by": "no_orders",
            "ltv.predicted": "not_yet",
        },
    });
    assert_has(&records(&events, &Config::default()).customers["c"], expected);
}

#[test]
fn unknown_costs_give_no_invented_profit() {
    let events = [
        order(1, "2026-03-01", 95, json!({"cost_of_goods": 50})),
        order(2, "2026-03-02", 5, json!({"operating_cost": 1})),
    ];
    let enough = &records(&events, &Config::default()).customers["c"];
    assert_has(enough, json!({"cost_coverage": 0.95, "gross_profit": "50", "operating_profit": "49"}));

    let strict = Config { min_coverage: 950_001, ..Config::default() };
    let expected = json!({
        "revenue": "100", "gross_profit": null, "ltv": {"net": null}, "contributing": null,
        "undefined": {
            "gross_profit": "unknown_cost", "operating_profit": "unknown_cost", "ltv.gross_profit": "unknown_cost",
            "ltv.net": "unknown_cost", "contributing": "unknown_cost", "ltv.predicted": "not_yet",
        },
    });
    assert_has(&records(&events, &strict).customers["c"], expected);

    let margin = Config { default_margin: Some(400_000), ..Config::default() };
    let expected = json!({"cost_coverage": 1.0, "gross_profit": "47", "operating_profit": "46"});
    assert_has(&records(&events, &margin).customers["c"], expected);
}

#[test]
fn a_campaign_has_its_returns() {
    // ROAS 10M / 5M = 200 %; ROI with 10M gross profit and 3M invested = 233.3 %.
    let events = [
        order(1, "2026-11-19", 10_000_000, json!({"cost_of_goods": 0, "campaign_id": "g:1"})),
        spend("g:1", 5_000_000),
    ];
    let record = &records(&events, &Config::default()).campaigns["g:1"];
    assert_has(record, json!({"verdict": {"value": "profitable", "progress": 2.0, "at_stake": "5000000"}}));
    assert_has(&record["windows"]["lifetime"], json!({"roas": 2.0, "ltv_roas": 2.0, "roi": 1.0, "cac": "5000000"}));
    assert_has(&record["windows"]["7d"], json!({"from": "2026-11-15T00:00:00Z", "to": "2026-11-22T00:00:00Z"}));
    assert_has(&record["windows"]["24h"], json!({"from": "2026-11-20T11:00:00Z", "to": "2026-11-21T11:00:00Z"}));
    assert_has(
        &record["windows"]["24h"],
        json!({"spend": "5000000", "revenue": "0", "verdict": "spend_late", "undefined": {
            "cac": "no_new_customers", "cac_loaded": "no_new_customers", "cost_per_order": "no_orders",
            "cost_per_click": "no_clicks", "ctr": "no_impressions", "cpm": "no_impressions",
            "platform_roas": "not_reported",
        }}),
    );
    let events = [events[0].clone(), spend("g:1", 3_000_000)];
    let record = &records(&events, &Config::default()).campaigns["g:1"];
    assert_has(&record["windows"]["lifetime"], json!({"roi": 7.0 / 3.0}));
}

#[test]
fn the_example_of_the_contract_holds() {
    let report = json!({
        "type": "ad_spend_report", "campaign_id": "google:1", "date": "2026-11-01", "reported_at": "2026-11-02T00:00:00Z",
        "amount": 5_000_000, "impressions": 900_000, "clicks": 12_000, "channel": "search",
    });
    let record = &records(&[report], &Config::default()).campaigns["google:1"];
    let figures =
        json!({"cost_per_click": "416.666667", "ctr": 0.013333333333333334, "cpm": "5555.555556", "spend": "5000000"});
    assert_has(&record["windows"]["lifetime"], figures);
    assert_has(
        record,
        json!({"channel": "search", "spend_through": "2026-11-02T00:00:00Z", "verdict": {"value": "deficit"}}),
    );
}

#[test]
fn a_report_is_booked_evenly_over_the_hours_that_it_covers() {
    // New York's 2026-11-01 has 25 hours: 05:00Z to 06:00Z of the next day.
    let config = Config {
        zone: "America/New_York".to_owned(),
        windows: vec!["1h".to_owned(), "lifetime".to_owned()],
        ..Config::default()
    };
    let cell = |reported_at: &str| {
        json!({"type": "ad_spend_report", "campaign_id": "x", "date": "2026-11-01", "amount": "0.000060", "clicks": 3, "reported_at": reported_at}).to_string()
    };
    let table = [
        // Reported, as of, spend and clicks of that hour, covered through.
        ("2026-12-01T00:00:00Z", "2026-11-01T04:30:00Z", "0.000003", 1, "2026-11-02T05:00:00Z"),
        ("2026-12-01T00:00:00Z", "2026-11-01T13:30:00Z", "0.000003", 0, "2026-11-02T05:00:00Z"),
        ("2026-12-01T00:00:00Z", "2026-11-01T14:30:00Z", "0.000002", 0, "2026-11-02T05:00:00Z"),
        ("2026-12-01T00:00:00Z", "2026-11-02T05:00:00Z", "0", 0, "2026-11-02T05:00:00Z"),
        ("2026-11-01T05:00:01Z", "2026-11-01T05:59:59.999Z", "0.00003", 1, "2026-11-01T06:00:00Z"),
        ("2026-10-31T20:30:00Z", "2026-11-01T04:00:00Z", "0.00006", 3, "2026-10-31T21:00:00Z"),
    ];
    for (reported_at, as_of, spend, clicks, through) in table {
        let record = &Batch::read(&[cell(reported_at)], &config).records(at(as_of)).campaigns["x"];
        assert_has(record, json!({"spend_through": through, "windows": {"1h": {"spend": spend, "clicks": clicks}}}));
    }
}

#[test]
fn an_order_is_shared_by_the_model() {
    let touchpoints = json!({"touchpoints": [
        {"at": "2026-01-01T00:00:00Z", "campaign_id": "too early"},
        {"at": "2026-03-01T12:00:00Z", "campaign_id": "a"},
        {"at": "2026-02-22T12:00:00Z", "campaign_id": "b"},
        {"at": "2026-02-20T12:00:00Z", "channel": "direct"},
        {"at": "2026-03-01T12:00:00.001Z", "campaign_id": "too late"},
    ], "campaign_id": "c", "cost_of_goods": 0});
    let events = [order(1, "2026-03-01", 10, touchpoints)];
    let table = [
        (Model::Last, ["-", "-", "10"], "c"),
        (Model::First, ["-", "10", "-"], "b"),
        (Model::Linear, ["3.333333", "3.333334", "3.333333"], "c"),
        (Model::Position, ["2", "4", "4"], "c"),
        (Model::TimeDecay, ["4", "2", "4"], "c"),
    ];
    for (model, revenues, acquirer) in table {
        let records = records(&events, &Config { model, ..Config::default() });
        let revenue = |id: &&str| match records.campaigns.get(*id) {
            Some(record) => record["windows"]["lifetime"]["revenue"].as_str().unwrap().to_owned(),
            None => "-".to_owned(),
        };
        assert_eq!(["a", "b", "c"].iter().map(revenue).collect::<Vec<_>>(), revenues, "{model:?}");
        assert_eq!(records.customers["c"]["acquired_by"]["campaign_id"], acquirer, "{model:?}");
        assert_eq!(records.campaigns[acquirer]["windows"]["lifetime"]["new_customers"], 1, "{model:?}");
    }
}

#[test]
fn what_cannot_be_used_has_its_reason() {
    let purchase = |field: &str, value: Value| {
        let mut event = order(1, "2026-01-01", 10, json!({}));
        event[field] = value;
        event.to_string()
    };
    let table = [
        ("".to_owned(), "empty"),
        (" ".repeat(1024 * 1024) + "{}", "too_large"),
        ("{".to_owned(), "invalid_json"),
        (r#"{"type":"refund","type":"refund"}"#.to_owned(), "invalid_json"),
        ("[]".to_owned(), "not_an_object"),
        (purchase("type", json!("order")), "unknown_type"),
        (purchase("order_id", json!(null)), "missing_field"),
        (purchase("items", json!([{"sku": "A", "quantity": 0, "unit_price": 1}])), "invalid_field"),
        (purchase("customer_id", json!("")), "invalid_id"),
        (purchase("revenue", json!(-5)), "invalid_money"),
        (purchase("occurred_at", json!("yesterday")), "invalid_time"),
        (purchase("currency", json!("usd")), "invalid_currency"),
        (purchase("currency", json!("JPY")), "no_exchange_rate"),
        (purchase("updated_at", json!(AS_OF)), "in_the_future"),
    ];
    let config = Config { clock: Some(at(AS_OF) - 300_001), ..Config::default() };
    for (text, reason) in table {
        assert_eq!(Batch::read(&[&text], &config).rejected, [(0, reason)], "{}", &text[..text.len().min(200)]);
    }
    let negative =
        json!({"items": [{"sku": "A", "quantity": 2, "unit_price": "1.5"}], "discount": "3.000001", "revenue": null});
    let negative = order(1, "2026-01-01", 10, negative).to_string();
    assert_eq!(Batch::read(&[negative], &config).rejected, [(0, "negative_revenue")]);
}

#[test]
fn a_report_is_of_no_day_that_is_to_come() {
    let report = |reported_at: &str| json!({"type": "ad_spend_report", "campaign_id": "g", "date": "2026-11-21", "reported_at": reported_at, "amount": 24});
    let config = Config { zone: "Asia/Tokyo".to_owned(), ..Config::default() };
    let early = report("2026-11-20T00:59:59.999Z").to_string();
    assert_eq!(Batch::read(&[early], &config).rejected, [(0, "in_the_future")]);
    let table = [
        ("2026-11-20T01:00:00Z", "2026-11-20T01:00:00Z"),
        ("2026-11-20T14:59:00Z", "2026-11-20T15:00:00Z"),
        ("2026-11-20T15:00:01Z", "2026-11-20T16:00:00Z"),
        ("2026-11-22T00:00:00Z", "2026-11-21T15:00:00Z"),
    ];
    for (reported_at, through) in table {
        let records = records(&[report(reported_at)], &config);
        assert_eq!(records.campaigns["g"]["spend_through"], through, "{reported_at}");
    }
}

#[test]
fn the_later_version_wins_whole() {
    let events = [
        order(1, "2026-03-01", 10, json!({"updated_at": "2026-03-05T00:00:00Z", "campaign_id": "a"})),
        order(1, "2026-03-02", 20, json!({"updated_at": "2026-03-04T00:00:00Z", "campaign_id": "b"})),
        order(1, "2026-03-03", 30, json!({"campaign_id": "b"})),
    ];
    let records = records(&events, &Config::default());
    assert_has(&records.customers["c"], json!({"revenue": "10", "first_order_at": "2026-03-01T12:00:00Z"}));
    assert_eq!(records.campaigns.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn the_verdict_is_the_first_that_holds() {
    let first = |day, revenue, cost| {
        vec![order(1, day, revenue, json!({"campaign_id": "g", "cost_of_goods": cost})), spend("g", 100)]
    };
    let and_later = |mut events: Vec<Value>, revenue| {
        events.push(order(2, "2026-11-20", revenue, json!({"cost_of_goods": 0})));
        events
    };
    let table = [
        (first("2026-11-01", 100, 0), Profit::Operating, "profitable"),
        (and_later(first("2026-11-01", 60, 0), 40), Profit::Operating, "invest_for_ltv"),
        (and_later(first("2026-11-01", 60, 0), 39), Profit::Operating, "too_early"),
        (first("2026-08-24", 99, 0), Profit::Operating, "too_early"),
        (first("2026-08-23", 99, 0), Profit::Operating, "deficit"),
        (first("2026-08-23", 100, 1), Profit::Operating, "loses_on_margin"),
        (first("2026-08-23", 100, 1), Profit::Gross, "loses_on_margin"),
        (first("2026-08-23", 100, 1), Profit::Revenue, "profitable"),
        (
            vec![order(1, "2026-08-23", 100, json!({"campaign_id": "g"})), spend("g", 100)],
            Profit::Gross,
            "unknown_cost",
        ),
        (vec![order(1, "2026-08-23", 100, json!({"campaign_id": "g"}))], Profit::Gross, "no_spend"),
        (vec![spend("g", 99)], Profit::Gross, "too_little_data"),
    ];
    for (events, profit, verdict) in table {
        let config = Config { profit, min_spend: 100_000_000, ..Config::default() };
        assert_eq!(records(&events, &config).campaigns["g"]["verdict"]["value"], verdict, "{events:?}");
    }
}

#[test]
fn a_replay_is_as_of_the_latest_event_that_was_accepted() {
    let events = [
        order(1, "2026-03-01", 10, json!({"updated_at": "2026-03-05T00:00:00Z"})),
        order(1, "2026-03-02", 10, json!({"updated_at": "2026-03-04T00:00:00Z"})),
        order(2, "2026-03-03", -1, json!({})),
    ];
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    assert_eq!(Batch::read(&texts, &Config::default()).latest(), Some(at("2026-03-02T12:00:00Z")));
}
