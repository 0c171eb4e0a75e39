//! What the HTTP API is asked: each query is understood or refused with a sentence.

use axum::extract::Query;
use axum::http::Uri;
use bolero::TypeGenerator;
use payback::http::query::{Listing, problem};
use payback::status::Status;
use serde_json::json;

use crate::bounds::bounded;
use crate::corpus::{QUERIES, WORDS};
use crate::mutation::{Mutated, escaped};

#[derive(Clone, Debug, TypeGenerator)]
struct Input {
    query: Mutated,
    /// Whether bytes that no client may send are sent as %XX.
    escaped: bool,
}

#[test]
fn queries_hold() {
    let windows: Vec<String> = ["24h", "7d", "lifetime"].map(str::to_owned).into();
    let status = Status::default();
    let campaign = json!({
        "scope": "campaign", "id": "g:1/é", "name": "Frühling \u{4e00}", "platform": "google", "channel": "search",
        "verdict": { "value": "profitable", "window": "lifetime", "progress": 1.5, "at_stake": "-1" },
        "windows": { "lifetime": { "spend": "12.5", "roas": 2.0, "verdict": "profitable" } },
    });
    assert!(status.campaigns.take("campaign/g:1/é", Some(campaign.to_string().as_bytes())));
    let campaign = status.campaigns.get("g:1/é").expect("it was taken");
    let figures = campaign.figures().expect("a record");
    bolero::check!().with_type::<Input>().with_iterations(8_000).for_each(|input| {
        let bytes = input.query.bytes(&QUERIES, &WORDS);
        let query = if input.escaped { escaped(&bytes) } else { bytes };
        bounded(query.len(), 128, 16 * 1024, || {
            let Ok(uri) = Uri::try_from([b"/v1/campaigns?", query.as_slice()].concat()) else { return };
            let refused = match Query::<Listing>::try_from_uri(&uri) {
                Ok(Query(listing)) => {
                    assert!((1..=1_000).contains(&listing.limit.0));
                    let _ = (listing.lets_through("g:1/é", figures), listing.sort.to_string());
                    listing.window(&windows, "lifetime").map(|window| assert!(windows.contains(&window))).err()
                }
                Err(rejection) => Some(problem(&rejection)),
            };
            assert!(refused.as_ref().is_none_or(|detail| detail.contains(": ")), "{refused:?}");
        });
    });
}
