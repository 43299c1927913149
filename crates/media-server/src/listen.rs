//! Serving on a listener of the media server's own, so that sockets on which nothing comes cost little and keep
//! nobody out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Bytes of a request's head: a join request travels in the URL.
const HEAD: usize = 128 << 10;

/// Pause after a connection could not be accepted, most likely for want of descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Connections that have not had an answer yet, oldest first.
#[derive(Debug)]
struct HalfOpen {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

/// A place among them, given up when dropped.
struct Place {
    all: Arc<HalfOpen>,
    id: u64,
}

impl HalfOpen {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, waiting: Mutex::default() })
    }

    /// Takes a place, if need be that of the oldest: a client that means to say something does so at once. The token
    /// ends the new connection when its turn has come.
    fn enter(self: &Arc<Self>) -> (Place, CancellationToken) {
        let token = CancellationToken::new();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.next += 1;
        let id = waiting.next;
        waiting.by_age.insert(id, token.clone());
        if waiting.by_age.len() > self.limit
            && let Some((_, oldest)) = waiting.by_age.pop_first()
        {
            oldest.cancel();
            metrics::counter!("media_signal_refused_total", "limit" => "half_open").increment(1);
        }
        (Place { all: Arc::clone(self), id }, token)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.waiting.lock().unwrap_or_else(PoisonError::into_inner).by_age.remove(&self.id);
    }
}

/// Serves `router` over HTTP/1.1 until it is dropped, and its connections with it. A connection that sends no whole head for `head` is closed; of those
/// whose first request is not answered yet the oldest is closed when there are more than `half_open`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    half_open: usize,
    head: Duration,
) -> io::Result<Infallible> {
    listener.local_addr()?;
    let places = HalfOpen::new(half_open);
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (place, over) = places.enter();
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = over.cancelled() => {}
                        () = talk(stream, router, place, head) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the media server can't be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Serves one connection. Upgraded ones go on by themselves.
async fn talk(stream: TcpStream, router: Router, place: Place, head: Duration) {
    // A signalling message should not wait for the next one.
    let _ = stream.set_nodelay(true);
    let place = Mutex::new(Some(place));
    let service = service_fn(|request: Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        let place = &place;
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::trace!(%error, "a connection to the media server ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let all = HalfOpen::new(2);
        let entered: Vec<_> = (0..3).map(|_| all.enter()).collect();
        let over: Vec<bool> = entered.iter().map(|(_, token)| token.is_cancelled()).collect();
        assert_eq!(over, [true, false, false]);
        drop(entered);
        let (_place, token) = all.enter();
        let (_other, _) = all.enter();
        assert!(!token.is_cancelled(), "places that were given up are free");
    }
}
