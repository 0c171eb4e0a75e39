//! The HTTP API: figures, health and metrics of one instance. It only reads.
//!
//! Answers are JSON (`/metrics` is Prometheus' text); so are all errors: `{"error": {"reason", "detail"}}`.

mod access;
mod answer;
mod api;
mod campaigns;
mod customers;
mod error;
mod health;
pub mod query;
mod record;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use self::answer::json;
use self::api::Api;
use self::error::ApiError;
pub use self::server::{Limits, serve};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::status::Status;

/// All endpoints.
pub fn router(config: &Config, status: Arc<Status>, metrics: Arc<Metrics>) -> Router {
    let api = Api::new(config, status, metrics);
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/campaigns", get(campaigns::list))
        // An id may hold slashes, as they are or as %2F.
        .route("/v1/campaigns/{*id}", get(campaigns::one))
        .route("/v1/customers/{*id}", get(customers::one))
        .fallback(|| async { ApiError::not_found("no_such_path", "GET / lists the paths that there are") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        // Around all of the above, also what does not exist.
        .layer(middleware::from_fn_with_state(api.clone(), access::guard))
        .with_state(api)
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    paths: [(&'static str, &'static str); 6],
}

async fn index() -> Response {
    json(&Index {
        name: "payback",
        version: env!("CARGO_PKG_VERSION"),
        paths: [
            ("/v1/campaigns", "all campaigns; ?window= &sort= &verdict= &channel= &platform= &q= &limit= &offset="),
            ("/v1/campaigns/{id}", "one campaign's record"),
            ("/v1/customers/{id}", "one customer's record, of the instance that owns it"),
            ("/metrics", "for Prometheus"),
            ("/healthz", "fails when a worker hangs"),
            ("/readyz", "says what is missing until figures are complete"),
        ],
    })
}

#[cfg(test)]
mod tests;
