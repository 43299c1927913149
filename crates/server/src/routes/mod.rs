//! The handlers: parse, call one use-case, render.

pub(crate) mod admission;
pub(crate) mod fallback;
pub(crate) mod health;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod moderate;
pub(crate) mod pages;
pub(crate) mod people;
pub(crate) mod streams;
pub(crate) mod webhook;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::problem::Problem;

/// An answer with a JSON body.
fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer can't be encoded");
        Problem::internal()
    })?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    Ok(response)
}

/// An answer that names its version, or 304 when the caller has that one.
fn tagged(headers: &HeaderMap, tag: &str, body: &impl Serialize) -> Result<Response, Problem> {
    let tag = HeaderValue::try_from(format!("\"{tag}\"")).map_err(|_| Problem::internal())?;
    let mut response = if has_tag(headers, &tag) { not_modified() } else { json(StatusCode::OK, body)? };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn not_modified() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// `If-None-Match` names this tag, weakly compared (RFC 9110, 13.1.2).
fn has_tag(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes())
}
