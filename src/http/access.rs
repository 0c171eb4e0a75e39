//! Who is answered: with a token configured, requests that show it as `Authorization: Bearer ...`.
//!
//! `/healthz` and `/readyz` answer others too, with yes or no and nothing more: what restarts and routes seldom can keep
//! a secret, and learns none.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::api::Api;
use super::error::ApiError;
use crate::config::Secret;

/// What a request has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The token, or there is none to show.
    Trusted,
    Stranger,
}

/// Lets a request through, or refuses it with 401.
pub async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let caller = match &api.token {
        Some(token) if !shows(request.headers(), token) => Caller::Stranger,
        _ => Caller::Trusted,
    };
    if caller == Caller::Stranger && !matches!(request.uri().path(), "/healthz" | "/readyz") {
        return ApiError::unauthorized().into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// How long the comparison takes does not tell how much of a guess was right; the length of the token is no secret.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) else { return false };
    let Some((scheme, shown)) = value.split_at_checked(b"Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(token.expose().as_bytes()))
}
