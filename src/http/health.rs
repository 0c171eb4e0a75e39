//! `/healthz`: restart me when this fails. `/readyz`: do not ask me for figures until this is good. `/metrics`.
//!
//! The first two answer strangers too, with the status and yes or no alone.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::task;

use super::access::Caller;
use super::answer::json;
use super::api::Api;
use super::error::ApiError;
use crate::status::{NotReady, Partition, Phase, Progress, STALLED_AFTER, Worker};

#[derive(Serialize)]
struct Healthy {
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Vec<WorkerHealth>>,
}

#[derive(Serialize)]
struct WorkerHealth {
    worker: String,
    seconds_since_round: f64,
}

/// Fails when a worker has not gone round for 30 s.
pub async fn healthz(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    if caller == Caller::Stranger {
        let healthy = api.status.stalled().is_empty();
        return Ok(with_status(json(&Healthy { healthy, workers: None }), healthy));
    }
    if let Some((worker, since)) = api.status.stalled().into_iter().max_by_key(|(_, since)| *since) {
        let limit = STALLED_AFTER.as_secs();
        let detail = format!("worker {worker} has not gone round for {} s; the limit is {limit} s", since.as_secs());
        return Err(ApiError::unavailable("worker_stalled", detail));
    }
    let workers = api.status.workers().into_iter().map(|worker| WorkerHealth {
        worker: worker.to_string(),
        seconds_since_round: worker.since_last_round().as_secs_f64(),
    });
    Ok(json(&Healthy { healthy: true, workers: Some(workers.collect()) }))
}

/// 503 unless all is well.
fn with_status(mut response: Response, well: bool) -> Response {
    if !well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Not for strangers.
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Vec<WorkerState>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WhyNot>,
}

#[derive(Serialize)]
struct WorkerState {
    worker: String,
    /// `starting`, `waiting` or `running`.
    phase: &'static str,
    partitions: Vec<PartitionState>,
}

/// A partition that a worker owns.
#[derive(Serialize)]
struct PartitionState {
    partition: u32,
    /// `restoring` or `current`.
    state: &'static str,
    /// Facts that were read, and that are to be read in all, while it is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl WorkerState {
    fn of(worker: &Worker) -> WorkerState {
        let partition = |(partition, owned): (u32, Partition)| match owned.progress {
            Progress::Restoring { done, total } => {
                PartitionState { partition, state: "restoring", done: Some(done), total: Some(total) }
            }
            Progress::Current => PartitionState { partition, state: "current", done: None, total: None },
        };
        let phase = match worker.phase() {
            Phase::Starting => "starting",
            Phase::Waiting(_) => "waiting",
            Phase::Running => "running",
        };
        let partitions = worker.partitions().into_iter().map(partition).collect();
        WorkerState { worker: worker.to_string(), phase, partitions }
    }
}

#[derive(Serialize)]
struct WhyNot {
    reason: &'static str,
    detail: String,
    /// Everything that is missing.
    missing: Vec<NotReady>,
}

/// Fails, and says why, until all that this instance owns is restored.
pub async fn readyz(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Response {
    let missing = api.status.not_ready();
    if caller == Caller::Stranger {
        let ready = missing.is_empty();
        return with_status(json(&Ready { ready, workers: None, error: None }), ready);
    }
    let workers = Some(api.status.workers().iter().map(|worker| WorkerState::of(worker)).collect());
    let Some(first) = missing.first() else { return json(&Ready { ready: true, workers, error: None }) };
    let error = WhyNot { reason: first.reason, detail: format!("{}: {}", first.part, first.detail), missing };
    with_status(json(&Ready { ready: false, workers, error: Some(error) }), false)
}

/// Prometheus' text format.
pub async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    // Thousands of campaigns' records may have to be read for it.
    let rendered = task::spawn_blocking(move || api.metrics.render()).await;
    let text = rendered.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
