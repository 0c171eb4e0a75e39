//! The figures of a campaign's record.

use serde_json::Value;

use super::*;
use crate::domain::verdict::Verdict;
use crate::engine::campaigns::record::Why;
use crate::engine::decimal::Money;
use crate::engine::ledger::OrderSums;
use crate::settings::Profit;

fn orders(revenue: i64, covered: i64, gross_profit: i64, operating_profit: i64) -> OrderSums {
    OrderSums {
        revenue: units(revenue),
        covered_revenue: units(covered),
        gross_profit: units(gross_profit),
        operating_profit: units(operating_profit),
    }
}

/// The campaign of the example in the contract: ROAS 80 %, and it pays back by LTV.
fn example() -> Shop {
    let mut shop = Shop::new(Settings::default());
    let spent = AdSpendReport {
        channel: Some("search".into()),
        impressions: Some(900_000),
        clicks: Some(12_000),
        ..report("google:1", today().plus(-200), NOW, 5_000_000)
    };
    assert_eq!(shop.apply(Event::AdSpendReport(spent)), Outcome::Applied);
    shop.absorb(
        "google:1",
        hour(24 * 200),
        LedgerSums {
            shares: 120,
            orders: 120_000_000,
            attributed: orders(4_000_000, 4_000_000, 2_000_000, 1_750_000),
            others: orders(700_000, 700_000, 400_000, 350_000),
            new_customer_revenue: units(1_500_000),
            new_customers: 40,
            acquired: orders(10_500_000, 10_500_000, 5_600_000, 4_900_000),
            acquisition_cost: units(0),
        },
    );
    shop.flush(NOW);
    shop
}

#[test]
fn a_whole_record_is_written_as_the_contract_shows_it() {
    let shop = example();
    insta::assert_snapshot!(String::from_utf8(shop.out.topic["campaign/google:1"].clone()).unwrap());
}

#[test]
fn the_contract_shows_what_is_written() {
    let shop = example();
    let mut written: Value = serde_json::from_slice(&shop.out.topic["campaign/google:1"]).unwrap();
    written["windows"].as_object_mut().unwrap().retain(|window, _| window == "lifetime");
    written["currency"] = "JPY".into();
    let contract = include_str!("../../../../docs/events.md");
    let mut examples = contract.split("```json").skip(1).filter_map(|part| part.split("```").next());
    let shown = examples.find(|example| example.contains("\"scope\"")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), written);
}

#[test]
fn ratios_are_sums_over_sums() {
    let mut shop = Shop::new(Settings::default());
    shop.apply(Event::AdSpend(spend("c", "media", hour(1), 5_000_000)));
    shop.absorb("c", hour(1), LedgerSums { attributed: orders(10_000_000, 10_000_000, 0, 0), ..LedgerSums::default() });
    shop.apply(Event::AdSpend(spend("roi", "media", hour(1), 1_000_000)));
    for (id, kind) in [("fee", SpendKind::Fee), ("creative", SpendKind::Creative)] {
        shop.apply(Event::AdSpend(AdSpend { kind, ..spend("roi", id, hour(1), 500_000) }));
    }
    shop.absorb(
        "roi",
        hour(1),
        LedgerSums {
            shares: 2,
            orders: 1_333_333,
            attributed: orders(20_000_000, 20_000_000, 10_000_000, 9_000_000),
            new_customers: 3,
            acquired: orders(4_000_000, 4_000_000, 0, 0),
            acquisition_cost: units(1_000_000),
            ..LedgerSums::default()
        },
    );
    shop.flush(NOW);
    assert_eq!(shop.window("c", "24h").roas, Some(2.0), "10M / 5M is 200 %");
    let window = shop.window("roi", "24h");
    assert_eq!((window.spend.0, window.invested.0), (units(1_000_000), units(3_000_000)));
    assert_eq!(window.roi, Some(7.0 / 3.0), "(10M - 3M) / 3M is 233.3 %");
    assert_eq!((window.gross_profit_roas, window.operating_profit_roas), (Some(10.0), Some(9.0)));
    assert_eq!((window.ltv_roas, window.ltv_gross_profit_roas), (Some(4.0), Some(0.0)));
    assert_eq!(window.cac.unwrap().0.to_string(), "333333.333333");
    assert_eq!(window.cac_loaded.unwrap().0.to_string(), "1000000");
    assert_eq!(window.cost_per_order.unwrap().0.to_string(), "750000.1875");
    let json = String::from_utf8(shop.out.topic["campaign/roi"].clone()).unwrap();
    assert!(json.contains(r#""orders":1.333333,"new_customers":3,"#), "{json}");
}

#[test]
fn what_the_platform_reports_counts_from_cells_of_every_kind() {
    let mut shop = Shop::new(Settings::default());
    let cell = |kind, reported: Option<i64>| AdSpendReport {
        kind,
        impressions: Some(1_000),
        clicks: Some(3),
        reported_revenue: reported.map(|reported| Micros(reported * UNIT)),
        ..report("c", today().plus(-1), NOW, 20)
    };
    shop.apply(Event::AdSpendReport(cell(SpendKind::Media, None)));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "7d").platform_roas, None);
    assert_eq!(shop.window("c", "7d").undefined.why("platform_roas"), Some(Why::NotReported));
    shop.apply(Event::AdSpendReport(cell(SpendKind::Fee, Some(0))));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "7d").platform_roas, Some(0.0), "0 was reported");
    let restated = AdSpendReport { reported_at: NOW.plus(1), ..cell(SpendKind::Fee, Some(50)) };
    shop.apply(Event::AdSpendReport(restated));
    shop.flush(NOW);
    let window = shop.window("c", "7d");
    assert_eq!((window.platform_roas, window.impressions, window.clicks), (Some(2.5), 2_000, 6));
    assert_eq!((window.cost_per_click.unwrap().0.to_string(), window.ctr), ("3.333333".to_owned(), Some(0.003)));
    assert_eq!(window.cpm.unwrap().0, units(10));
    let restated = AdSpendReport { reported_at: NOW.plus(2), ..cell(SpendKind::Fee, None) };
    shop.apply(Event::AdSpendReport(restated));
    shop.flush(NOW);
    assert_eq!(shop.window("c", "7d").undefined.why("platform_roas"), Some(Why::NotReported), "it was taken back");
}

#[test]
fn a_figure_without_a_denominator_is_null_with_its_reason() {
    let mut shop = Shop::new(Settings::default());
    // Revenue without any cost: no spend, and no profit either.
    let attributed = orders(100, 0, 100, 100);
    let sums = LedgerSums { shares: 1, attributed, acquired: attributed, others: attributed, ..LedgerSums::default() };
    shop.absorb("c", hour(1), sums);
    shop.flush(NOW);
    let window = shop.window("c", "24h");
    let expected = [
        ("gross_profit", Why::UnknownCost),
        ("operating_profit", Why::UnknownCost),
        ("acquired_gross_profit_ltv", Why::UnknownCost),
        ("acquired_operating_profit_ltv", Why::UnknownCost),
        ("value", Why::UnknownCost),
        ("roas", Why::NoSpend),
        ("gross_profit_roas", Why::NoSpend),
        ("operating_profit_roas", Why::NoSpend),
        ("roi", Why::NoSpend),
        ("ltv_roas", Why::NoSpend),
        ("ltv_gross_profit_roas", Why::NoSpend),
        ("new_customer_roas", Why::NoSpend),
        ("cac", Why::NoNewCustomers),
        ("cac_loaded", Why::NoNewCustomers),
        ("cost_per_order", Why::NoOrders),
        ("cost_per_click", Why::NoClicks),
        ("ctr", Why::NoImpressions),
        ("cpm", Why::NoImpressions),
        ("platform_roas", Why::NoSpend),
    ];
    assert_eq!(window.undefined.0, expected.map(|(figure, why)| (figure.into(), why)));
    assert_eq!((window.cost_coverage, window.acquired_cost_coverage), (0.0, 0.0));
    let top = shop.record("c").verdict;
    assert_eq!(top.undefined.0, [("progress".into(), Why::NoSpend), ("at_stake".into(), Why::UnknownCost)]);

    shop.apply(Event::AdSpend(spend("c", "1", hour(1), 10)));
    shop.flush(NOW);
    let window = shop.window("c", "24h");
    assert_eq!((window.roas, window.ltv_roas, window.new_customer_roas), (Some(10.0), Some(10.0), Some(0.0)));
    for figure in ["gross_profit_roas", "operating_profit_roas", "roi", "ltv_gross_profit_roas", "value"] {
        assert_eq!(window.undefined.why(figure), Some(Why::UnknownCost), "{figure}");
    }
    assert_eq!(window.verdict, Verdict::UnknownCost);
    assert_eq!(shop.record("c").verdict.undefined.why("progress"), Some(Why::UnknownCost));
}

#[test]
fn coverage_is_compared_exactly() {
    let table = [
        (orders(1_000_000, 950_000, 5, 4), true),
        (OrderSums { covered_revenue: Sum(units(950_000).0 - 1), ..orders(1_000_000, 0, 5, 4) }, false),
        (orders(0, 0, -3, -4), true),
    ];
    for (attributed, covered) in table {
        let mut shop = Shop::new(Settings::default());
        shop.absorb("c", hour(1), LedgerSums { shares: 1, attributed, ..LedgerSums::default() });
        shop.flush(NOW);
        let window = shop.window("c", "24h");
        assert_eq!(window.gross_profit.is_some(), covered, "{attributed:?}");
        assert_eq!(window.operating_profit.is_some(), covered, "{attributed:?}");
        assert_eq!(window.acquired_gross_profit_ltv, Some(Money(Sum(0))), "no orders are covered");
    }
}

#[test]
fn value_goes_by_the_coverage_of_all_that_it_sums() {
    let (known, unknown) = (orders(100, 100, 60, 50), orders(100, 0, 60, 50));
    let (much, little) = (orders(1_900, 1_900, 600, 500), orders(100, 0, 60, 50));
    let value = |profit, acquired, others| {
        let mut settings = Settings::default();
        settings.verdict.profit = profit;
        let mut shop = Shop::new(settings);
        shop.absorb("c", hour(1), LedgerSums { shares: 1, acquired, others, ..LedgerSums::default() });
        shop.flush(NOW);
        shop.window("c", "24h").value.map(|value| value.0)
    };
    let table = [
        (Profit::OperatingProfit, known, known, Some(units(100))),
        (Profit::GrossProfit, known, known, Some(units(120))),
        (Profit::OperatingProfit, unknown, known, None),
        (Profit::GrossProfit, known, unknown, None),
        (Profit::Revenue, unknown, unknown, Some(units(200))),
        // 1,900 of 2,000 have costs, and that is enough.
        (Profit::OperatingProfit, much, little, Some(units(550))),
        (Profit::GrossProfit, little, much, Some(units(660))),
        (Profit::GrossProfit, OrderSums { covered_revenue: Sum(units(1_900).0 - 1), ..much }, little, None),
        // Neither part may go by its own.
        (Profit::GrossProfit, orders(1_000, 950, 5, 5), orders(1_000, 949, 5, 5), None),
    ];
    for (profit, acquired, others, expected) in table {
        assert_eq!(value(profit, acquired, others), expected, "{profit:?}, {acquired:?}, {others:?}");
    }
}

#[test]
fn by_revenue_a_verdict_never_wants_for_costs() {
    let mut settings = Settings::default();
    settings.verdict.profit = Profit::Revenue;
    settings.verdict.window = 0;
    let mut shop = Shop::new(settings);
    shop.apply(Event::AdSpend(spend("c", "1", hour(1), 100)));
    let attributed = orders(100, 0, 0, 0);
    shop.absorb("c", hour(1), LedgerSums { shares: 1, attributed, others: attributed, ..LedgerSums::default() });
    shop.flush(NOW);
    let top = shop.record("c").verdict;
    assert_eq!((top.value, &*top.window, top.progress), (Verdict::Profitable, "24h", Some(1.0)));
    assert!(top.undefined.is_empty());
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let shop = example();
    let json = &shop.out.topic["campaign/google:1"];
    assert_eq!(&serde_json::to_vec(&shop.record("google:1")).unwrap(), json);
    assert_eq!(shop.stage.record("google:1", NOW).as_ref(), Some(json));
    assert_eq!(shop.stage.record("google:2", NOW), None);
}
