//! Errors as they are answered: `{"error": {"reason": "not_found", "detail": "..."}}`.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::json;

#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    error: Explanation,
}

#[derive(Debug, Serialize)]
struct Explanation {
    /// For programs.
    reason: &'static str,
    /// For people.
    detail: String,
    /// Where a customer lives who is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
}

impl ApiError {
    fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> ApiError {
        let error = Explanation { reason, detail: detail.into(), partition: None };
        ApiError { status, body: Body { error } }
    }

    pub fn bad_request(reason: &'static str, detail: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, reason, detail)
    }

    pub fn unauthorized() -> ApiError {
        let detail = "show the token that http.token configures, as `Authorization: Bearer ...`";
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub fn not_found(reason: &'static str, detail: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, reason, detail)
    }

    pub fn method_not_allowed() -> ApiError {
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "there is only GET")
    }

    /// Another instance has the partition.
    pub fn misdirected(partition: u32) -> ApiError {
        let detail = format!("partition {partition} of the customers stage is with another instance: ask there");
        let mut error = ApiError::new(StatusCode::MISDIRECTED_REQUEST, "not_here", detail);
        error.body.error.partition = Some(partition);
        error
    }

    /// Worth another try soon.
    pub fn unavailable(reason: &'static str, detail: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail)
    }

    /// Logged here, as the asker is told nothing of it.
    pub fn internal(error: &dyn fmt::Display) -> ApiError {
        tracing::error!(%error, "a request failed");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "see the log")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json(&self.body);
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
