//! `/v1/customers/{id}`: asked of the worker that owns the customer, which answers between two commits.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use tokio::time;

use super::answer::json_bytes;
use super::api::Api;
use super::campaigns::id_in;
use super::error::ApiError;
use crate::engine::StageKind;
use crate::home;
use crate::status::{Answer, Progress};

const STAGE: StageKind = StageKind::Customers;

/// How long an answer is waited for: a commit that Kafka holds up may take seconds.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn one(State(api): State<Api>, path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let id = id_in(path)?;
    let Some(partitions) = api.status.partitions(STAGE) else {
        return Err(ApiError::unavailable("starting", "the partitions of the customers are not known yet"));
    };
    let partition = home::home(&id, partitions);
    let worker = match api.status.owner(STAGE, partition) {
        Some((worker, Progress::Current)) => worker,
        Some((_, Progress::Restoring { done, total })) => {
            let detail = format!("partition {partition} is being restored: {done} of {total} facts");
            return Err(ApiError::unavailable("restoring", detail));
        }
        None => return Err(not_owned(&api, partition)),
    };
    let answer = worker.ask(id.clone(), partition);
    let answer = answer.map_err(|_| ApiError::unavailable("busy", "too many customers are asked for"))?;
    match time::timeout(PATIENCE, answer).await {
        Ok(Ok(Answer::Record(record))) => Ok(json_bytes(record)),
        Ok(Ok(Answer::Unknown)) => Err(ApiError::not_found("not_found", format!("there is no customer {id:?}"))),
        Ok(Ok(Answer::NotHere) | Err(_)) => {
            Err(ApiError::unavailable("rebalancing", format!("partition {partition} just moved")))
        }
        Err(_) => {
            let detail = format!("no answer within {} s", PATIENCE.as_secs());
            Err(ApiError::unavailable("timeout", detail))
        }
    }
}

/// While a worker has yet to get its share of the partitions, this one may come to it.
fn not_owned(api: &Api, partition: u32) -> ApiError {
    if api.status.is_rebalancing(STAGE) {
        let detail = format!("the partitions are being shared out: it is not known yet who gets partition {partition}");
        return ApiError::unavailable("rebalancing", detail);
    }
    ApiError::misdirected(partition)
}
