//! The real purchases of the CDNOW sample (see `tests/data/README.md`), as events.

const SAMPLE: &str = include_str!("../data/cdnow_sample.txt");

/// A purchase event for each row: the order's id is its row number from 1, it happened at noon UTC of its date, and its
/// CDs are one item's quantity, paid for with the row's dollars.
pub fn purchases() -> Vec<String> {
    SAMPLE.lines().zip(1..).map(|(row, number)| purchase(row, number)).collect()
}

fn purchase(row: &str, order_id: u32) -> String {
    let [_, customer_id, date, cds, dollars] = row.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("not a row of the sample: {row}");
    };
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    format!(
        r#"{{"type":"purchase","customer_id":"{customer_id}","order_id":{order_id},"occurred_at":"{year}-{month}-{day}T12:00:00Z","revenue":"{dollars}","items":[{{"sku":"cd","quantity":{cds},"unit_price":0}}]}}"#
    )
}

#[test]
fn every_row_is_a_purchase() {
    let purchases = purchases();
    assert_eq!(purchases.len(), 6_919);
    assert_eq!(
        purchases[0],
        r#"{"type":"purchase","customer_id":"0001","order_id":1,"occurred_at":"1997-01-01T12:00:00Z","revenue":"29.33","items":[{"sku":"cd","quantity":2,"unit_price":0}]}"#
    );
}
