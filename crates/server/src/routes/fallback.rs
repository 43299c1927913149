//! Addresses and methods that nobody serves.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::routes::pages;
use crate::state::AppState;

/// A file of the pages, or 404.
pub(crate) async fn not_found(State(state): State<AppState>, request: Request) -> Response {
    pages::file(&state, &request).unwrap_or_else(|| Problem::no_such_address().into_response())
}

/// `OPTIONS` of a known address is answered with `Allow`; other methods are 405 with it.
pub(crate) async fn method_not_allowed(method: Method) -> Response {
    if method != Method::OPTIONS {
        return Problem::method_not_allowed().into_response();
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
