//! What is refused before a handler sees it: calls under a foreign name, changes
//! asked for by foreign pages, and callers above their quota.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::access;
use crate::client;
use crate::idempotency;
use crate::limits::{Standing, Who};
use crate::origin;
use crate::problem::Problem;
use crate::state::AppState;

/// Puts the guard around a route.
#[derive(Clone)]
pub(crate) struct GuardLayer(pub(crate) AppState);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, state: self.0.clone() }
    }
}

/// A route with the guard before it.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    inner: S,
    state: AppState,
}

impl<S> Service<Request> for Guard<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = GuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Err(problem) = origin::check(&self.state.config, &request) {
            return GuardFuture::Refused { response: Some(problem.into_response()) };
        }
        let standing = match self.state.limits.as_ref().and_then(|limits| limits.take(&self.state, &request)) {
            Some(Err((problem, standing))) => return refuse(problem, standing),
            Some(Ok(standing)) => Some(standing),
            None => None,
        };
        let guesses = access::brings_host_key(request.headers());
        let who = Who::of(client::address(&self.state.config, (&request).into()));
        let answer = if idempotency::is_asked_for(&request) {
            // The clone has not been asked whether it is ready; a route always is.
            Answer::Once { once: Box::pin(idempotency::once(self.state.clone(), self.inner.clone(), request)) }
        } else {
            Answer::Plain { inner: self.inner.call(request) }
        };
        GuardFuture::Passed { answer, state: self.state.clone(), who, guesses, standing }
    }
}

fn refuse<F>(problem: Problem, standing: Standing) -> GuardFuture<F> {
    let mut response = problem.into_response();
    standing.write(response.headers_mut());
    GuardFuture::Refused { response: Some(response) }
}

pin_project! {
    /// The answer of a guarded route.
    #[project = Projected]
    pub(crate) enum GuardFuture<F> {
        Refused { response: Option<Response> },
        Passed { #[pin] answer: Answer<F>, state: AppState, who: Who, guesses: bool, standing: Option<Standing> },
    }
}

pin_project! {
    /// A route's answer, or one that is given once.
    #[project = ProjectedAnswer]
    pub(crate) enum Answer<F> {
        Plain { #[pin] inner: F },
        // Rare, so it may cost a box.
        Once { once: Pin<Box<dyn Future<Output = Response> + Send>> },
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ProjectedAnswer::Plain { inner } => inner.poll(cx),
            ProjectedAnswer::Once { once } => once.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for GuardFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Refused { response } => Poll::Ready(Ok(response.take().unwrap_or_default())),
            Projected::Passed { answer, state, who, guesses, standing } => {
                let Ok(mut response) = ready!(answer.poll(cx));
                let mut standing = standing.take();
                // Whoever only fails is told so, and the failures cost no more than this.
                let failed = response.status() == StatusCode::UNAUTHORIZED
                    || *guesses && [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&response.status());
                if failed
                    && let Some(limits) = &state.limits
                    && let Err((problem, failed)) = limits.fail(*who)
                {
                    response = problem.into_response();
                    standing = Some(failed);
                }
                if let Some(standing) = standing {
                    standing.write(response.headers_mut());
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}
