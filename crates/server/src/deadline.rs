//! Nobody waits longer for an answer than was promised: past its time a request is answered 503.
//!
//! Each call to the store or LiveKit has a time limit of its own, but one request may need
//! several. The time runs once the request's body is here; what was begun on the caller's
//! behalf and must not be left half-done goes on in tasks of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use crate::problem::Problem;

/// LiveKit sends a webhook that is refused again: under load it had better wait its turn.
const PATIENT: [&str; 1] = ["/webhook"];

/// Puts the deadline around a route.
#[derive(Clone)]
pub(crate) struct DeadlineLayer(pub(crate) Duration);

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, limit: self.0 }
    }
}

/// A route with a deadline.
#[derive(Clone)]
pub(crate) struct Deadline<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Request> for Deadline<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>();
        let limit = (!route.is_some_and(|route| PATIENT.contains(&route.as_str()))).then_some(self.limit);
        let (request, upload) = watched(request);
        DeadlineFuture { inner: self.inner.call(request), limit, upload, alarm: None }
    }
}

pin_project! {
    /// An answer that comes in time.
    pub(crate) struct DeadlineFuture<F> {
        #[pin]
        inner: F,
        // `None`: it may take as long as it takes.
        limit: Option<Duration>,
        upload: Option<oneshot::Receiver<Infallible>>,
        // Set when the answer is not there at once: most need no timer.
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for DeadlineFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer);
        }
        let Some(limit) = *this.limit else { return Poll::Pending };
        if let Some(upload) = this.upload.as_mut() {
            // It is never sent anything: it ends when the body has been read or thrown away.
            let _ = ready!(Pin::new(upload).poll(cx));
            *this.upload = None;
        }
        ready!(this.alarm.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Ok(Problem::late().into_response()))
    }
}

/// The request, and a channel that ends when its body is not needed any more; `None` where there is no body.
fn watched(request: Request) -> (Request, Option<oneshot::Receiver<Infallible>>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let (over, upload) = oneshot::channel();
    (request.map(|inner| Body::new(Upload { inner, _over: over })), Some(upload))
}

/// A body whose end is seen.
struct Upload {
    inner: Body,
    _over: oneshot::Sender<Infallible>,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use futures_util::stream;
    use tower::ServiceExt;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    /// Reads the body, then works for `work`.
    async fn answer(path: &'static str, work: Duration, upload: Duration) -> u16 {
        let work = move |body: Bytes| async move {
            sleep(work).await;
            body
        };
        let app = Router::new().route(path, post(work)).layer(DeadlineLayer(LIMIT));
        let slow = stream::once(async move {
            sleep(upload).await;
            Ok::<_, Infallible>(Bytes::from_static(b"x"))
        });
        let request = Request::post(path).body(Body::from_stream(slow)).unwrap();
        app.oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_runs_from_the_end_of_the_body() {
        let (short, long) = (Duration::from_millis(1900), Duration::from_secs(10));
        assert_eq!(answer("/x", short, Duration::ZERO).await, 200);
        assert_eq!(answer("/x", short, long).await, 200, "a slow upload is not our slowness");
        assert_eq!(answer("/x", long, Duration::ZERO).await, 503);
        assert_eq!(answer("/x", long, long).await, 503);
        assert_eq!(answer("/webhook", long, Duration::ZERO).await, 200);
    }
}
