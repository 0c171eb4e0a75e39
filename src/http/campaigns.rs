//! `/v1/campaigns` and `/v1/campaigns/{id}`: of all instances, from what was read back of `roas-updates`.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task;

use super::answer::json;
use super::api::Api;
use super::error::ApiError;
use super::query::{self, Limit, Listing, Offset, SortKey};
use super::record;
use crate::status::{Campaign, CampaignFigures};

/// An id has at most so many bytes (`docs/events.md`).
const MAX_ID_BYTES: usize = 256;

#[derive(Serialize)]
struct Page {
    window: String,
    sort: String,
    /// Campaigns that the filters let through.
    total: usize,
    limit: usize,
    offset: usize,
    /// The `offset` of the next page; null on the last.
    next_offset: Option<usize>,
    /// False while records are still being read back, after a start or anew: more campaigns may come. False too while orders or
    /// spend wait to be read.
    complete: bool,
    /// Their records, with the asked window alone.
    campaigns: Vec<Box<RawValue>>,
}

pub async fn list(State(api): State<Api>, query: Result<Query<Listing>, QueryRejection>) -> Result<Response, ApiError> {
    let invalid = |detail| ApiError::bad_request("invalid_parameter", detail);
    let Query(listing) = query.map_err(|rejection| invalid(query::problem(&rejection)))?;
    let window = listing.window(&api.windows, &api.window).map_err(invalid)?;
    // Thousands of records may have to be read for it.
    let page = task::spawn_blocking(move || page(&api, &listing, window)).await;
    let page = page.map_err(|error| ApiError::internal(&error))?;
    Ok(json(&page.map_err(|error| ApiError::internal(&error))?))
}

fn page(api: &Api, listing: &Listing, window: String) -> Result<Page, serde_json::Error> {
    let was_complete = is_complete(api);
    let all = api.status.campaigns.all();
    // Before and after: they may be forgotten in between.
    let complete = was_complete && is_complete(api);
    let mut found: Vec<Row<'_>> = all
        .iter()
        .filter_map(|(id, campaign)| {
            let figures = campaign.figures()?;
            listing.lets_through(id, figures).then(|| Row {
                id,
                campaign,
                key: Key::of(&listing.sort.key, &window, id, figures),
            })
        })
        .collect();
    found.sort_by(|a, b| a.key.compare(&b.key, listing.sort.descending).then_with(|| a.id.cmp(b.id)));
    let total = found.len();
    let (Limit(limit), Offset(offset)) = (listing.limit, listing.offset);
    let shown = found.into_iter().skip(offset).take(limit);
    let campaigns = shown.map(|row| record::with_window(row.campaign.json(), &window)).collect::<Result<_, _>>()?;
    let next = offset.saturating_add(limit);
    Ok(Page {
        sort: listing.sort.to_string(),
        window,
        total,
        limit,
        offset,
        next_offset: (next < total).then_some(next),
        complete,
        campaigns,
    })
}

/// Whether what was read back is all that there is, and the latest of each, and nothing waits to be read.
fn is_complete(api: &Api) -> bool {
    api.status.campaigns_are_complete() && !api.status.is_catching_up()
}

struct Row<'a> {
    id: &'a str,
    campaign: &'a Arc<Campaign>,
    key: Key<'a>,
}

/// What a row is sorted by.
enum Key<'a> {
    Text(Option<&'a str>),
    Number(Option<f64>),
}

impl<'a> Key<'a> {
    fn of(sort: &SortKey, window: &str, id: &'a str, figures: &'a CampaignFigures) -> Key<'a> {
        match sort {
            SortKey::Id => Key::Text(Some(id)),
            SortKey::Name => Key::Text(figures.name.as_deref()),
            SortKey::Progress => Key::Number(figures.verdict.progress),
            SortKey::AtStake => Key::Number(figures.verdict.at_stake),
            SortKey::Figure(figure) => Key::Number(figures.window(window).and_then(|window| window.get(figure))),
        }
    }

    /// What is undefined comes last, whichever way the rest is sorted.
    fn compare(&self, other: &Key<'_>, descending: bool) -> Ordering {
        match (self, other) {
            (Key::Text(a), Key::Text(b)) => last_if_none(a, b, descending, Ord::cmp),
            (Key::Number(a), Key::Number(b)) => last_if_none(a, b, descending, f64::total_cmp),
            _ => Ordering::Equal,
        }
    }
}

fn last_if_none<T>(a: &Option<T>, b: &Option<T>, descending: bool, compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => compare(b, a),
        (Some(a), Some(b)) => compare(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

pub async fn one(State(api): State<Api>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let id = id_in(path)?;
    let was_complete = is_complete(&api);
    match api.status.campaigns.get(&id) {
        Some(campaign) => {
            let complete = was_complete && is_complete(&api);
            let answer =
                record::with_complete(campaign.json(), complete).map_err(|error| ApiError::internal(&error))?;
            Ok(json(&answer))
        }
        None if !api.status.campaigns_are_complete() => {
            Err(ApiError::unavailable("restoring", "the campaigns' records are still being read"))
        }
        None => Err(ApiError::not_found("not_found", format!("there is no campaign {id:?}"))),
    }
}

/// The id in a path, percent-decoded.
pub fn id_in(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(id) = path.map_err(|_| ApiError::bad_request("invalid_id", "the id is not valid UTF-8"))?;
    if id.len() > MAX_ID_BYTES {
        return Err(ApiError::bad_request("invalid_id", format!("an id has at most {MAX_ID_BYTES} bytes")));
    }
    Ok(id)
}
