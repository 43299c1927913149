//! The outermost layer: request ids, metrics, spans, panics, and the bodies of problems.
//!
//! One hand-written service around every route, because it runs on every
//! request: no boxed future, no lookup that was not prepared.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONNECTION, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;

use crate::meters::RouteMeters;
use crate::problem::Problem;
use crate::state::AppState;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 128;

/// Puts the edge around a route.
#[derive(Clone)]
pub(crate) struct EdgeLayer(pub(crate) AppState);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, state: self.0.clone() }
    }
}

/// A route with the edge around it.
#[derive(Clone)]
pub(crate) struct Edge<S> {
    inner: S,
    state: AppState,
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = EdgeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.warn_of_proxy(request.headers());
        let passage = Passage::begin(&self.state, &request);
        let inner = passage.span.in_scope(|| self.inner.call(request));
        EdgeFuture { inner, passage: Some(passage) }
    }
}

impl<S> Edge<S> {
    /// A proxy in front suggests strangers behind it, and nobody is asked for a key.
    fn warn_of_proxy(&self, headers: &HeaderMap) {
        if !self.state.config.auth.is_on() && headers.contains_key("x-forwarded-for") && self.state.may_warn_of_proxy()
        {
            tracing::warn!("requests come through a proxy while AUTH=off: everybody who reaches it may do everything");
        }
    }
}

/// One request on its way through.
struct Passage {
    state: AppState,
    meters: Arc<RouteMeters>,
    method: Method,
    request_id: HeaderValue,
    route: Option<MatchedPath>,
    /// The connection ends with the answer; see [`ends_connection`].
    is_last: bool,
    begun: Instant,
    span: Span,
}

impl Passage {
    fn begin(state: &AppState, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let request_id = given_id(request.headers()).unwrap_or_else(fresh_id);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        // Neither path nor query: they may hold names and tokens.
        let span = tracing::debug_span!("request",
            id = request_id.to_str().unwrap_or_default(), method = %request.method(),
            route = route.as_ref().map_or("", MatchedPath::as_str));
        Self {
            meters: state.meters.route(route.as_ref().map(MatchedPath::as_str)),
            state: state.clone(),
            method: request.method().clone(),
            request_id,
            route,
            is_last: ends_connection(request.headers()),
            begun: Instant::now(),
            span,
        }
    }

    /// Finishes the answer.
    fn end(&self, mut response: Response) -> Response {
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.log(&problem);
            if self.method != Method::HEAD {
                *response.body_mut() = problem.render(self.request_id.to_str().unwrap_or_default());
            }
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.clone());
        if self.is_last {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let duration = self.begun.elapsed();
        self.meters.record(&self.method, response.status(), duration);
        tracing::debug!(parent: &self.span, status = response.status().as_u16(), ?duration, "answered");
        response
    }

    fn log(&self, problem: &Problem) {
        if !problem.status().is_server_error() {
            return;
        }
        // An outage refuses every request there is. A panic is always news.
        let is_outage = problem.status() == StatusCode::SERVICE_UNAVAILABLE;
        let unsaid = if is_outage { self.state.complaints.say(problem.code(), Instant::now()) } else { Some(0) };
        let Some(unsaid) = unsaid else {
            tracing::debug!(parent: &self.span, code = problem.code(), cause = problem.cause(), "not served either");
            return;
        };
        tracing::warn!(
            request_id = self.request_id.to_str().unwrap_or_default(),
            method = %self.method,
            route = self.route.as_ref().map_or("", MatchedPath::as_str),
            status = problem.status().as_u16(),
            code = problem.code(),
            cause = problem.cause().unwrap_or_default(),
            more_before = unsaid,
            "a request could not be served"
        );
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The answer of a route, on its way out through the edge.
    pub(crate) struct EdgeFuture<F> {
        #[pin]
        inner: F,
        passage: Option<Passage>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for EdgeFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let span = this.passage.as_ref().map_or_else(Span::none, |passage| passage.span.clone());
        let entered = span.enter();
        let inner = this.inner;
        // A panic in one handler is one failed request; the state it may leave behind is behind locks that do not poison.
        let response = match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(polled) => ready!(polled),
            Err(panic) => Ok(answer_panic(panic.as_ref())),
        };
        drop(entered);
        Poll::Ready(match this.passage.take() {
            Some(passage) => response.map(|response| passage.end(response)),
            None => response,
        })
    }
}

fn answer_panic(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("(no text)"), "a handler panicked");
    Problem::internal().into_response()
}

/// A chunked request is the last of its connection. It may have had a `Content-Length` too (hyper drops
/// that silently), and whoever stands before us may believe it: what follows must not be taken for a
/// request then (RFC 9112, 6.1).
pub(crate) fn ends_connection(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
}

/// The caller's own id, if it can be trusted in a log.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(X_REQUEST_ID)?;
    let sane = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = value.as_bytes();
    (!bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID && bytes.iter().all(sane)).then(|| value.clone())
}

/// Random per process, counted within it.
fn fresh_id() -> HeaderValue {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(rand::random);
    let mut text = String::with_capacity(24);
    // Writing to a String can't fail.
    let _ = write!(text, "{process:08x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_one_failed_request() {
        let inner = async {
            assert!(std::hint::black_box(false), "boom");
            Ok(Response::default())
        };
        let response = EdgeFuture { inner, passage: None }.await.unwrap();
        assert_eq!(response.status(), 500);
        assert!(response.extensions().get::<Problem>().is_some());
    }

    #[test]
    fn made_ids_differ() {
        assert_ne!(fresh_id(), fresh_id());
    }
}
