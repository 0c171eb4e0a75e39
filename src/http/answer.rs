//! Answers as they leave: JSON, of this moment.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer can't be written");
            let body = br#"{"error":{"reason":"internal","detail":"see the log"}}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, json_bytes(body.to_vec())).into_response()
        }
    }
}

/// Figures change from second to second: no cache keeps them.
pub fn json_bytes(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], bytes).into_response()
}
