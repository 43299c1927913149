//! The outermost step of a response: an event stream's socket is handed over.
//!
//! It comes after every layer has run, so that a handed-over stream has passed
//! what any other response passes. What can't be handed over (HTTP/2, HTTP/1.0,
//! HEAD, a connection that still has to write) is served by its body.

use std::convert::Infallible;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, DATE, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use hub::HandOver;
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use socket2::{SockRef, TcpKeepalive};

use crate::sse::{Opening, Overseer, Ticket, first_words};
use crate::state::AppState;

use super::seat::Seat;

/// Unsent bytes the kernel keeps of a handed-over connection: whoever is slow must not find old states there.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 4 * 1024;
/// A connection on which nothing happens is probed after this long; with heartbeats that is rare.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// About one connection only (RFC 9110, 7.6.1), or about a body that is not sent.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
];

/// What it takes to hand over the socket of a connection, should the response be an event stream.
pub(super) struct Desk {
    seat: Arc<Seat>,
    state: AppState,
    /// A request came before on this connection, and the end of its response may not be written yet.
    used: bool,
}

impl Desk {
    /// `None`: whatever the response is, its connection is not one to be handed over.
    pub(super) fn for_request(seat: &Arc<Seat>, state: &AppState, request: &Request<Incoming>) -> Option<Self> {
        // Every request counts, whatever it is.
        let used = seat.begin_request();
        let plain =
            request.version() == Version::HTTP_11 && request.method() == Method::GET && request.body().is_end_stream();
        plain.then(|| Self { seat: Arc::clone(seat), state: state.clone(), used })
    }

    /// Hands the socket over and answers hyper something to end with; or gives the response back.
    fn hand_over(&self, ticket: &Ticket, response: Response) -> Response {
        let encoded = response.headers().contains_key(CONTENT_ENCODING);
        if encoded || !self.state.hub.takes_sockets() {
            return response;
        }
        let Some(socket) = self.seat.take() else { return response };
        let (Ok(socket), Some(opening)) = (socket.into_std(), ticket.take()) else {
            tracing::warn!("a connection could not be handed over and is closed");
            return farewell();
        };
        set_options(&socket, self.state.config.write_timeout);
        let Opening { source, permit } = opening;
        let head = head(response.status(), response.headers(), SystemTime::now());
        let hand_over = HandOver { socket, head, first_words: first_words().into(), permit: Box::new(permit) };
        self.state.hub.hand_over(hand_over, source);
        farewell()
    }
}

/// For hyper, which then closes what it takes for the connection.
fn farewell() -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn set_options(socket: &TcpStream, timeout: Duration) {
    let socket = SockRef::from(socket);
    let set = socket
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))
        .and_then(|()| bound_kernel(&socket, timeout));
    if let Err(error) = set {
        tracing::trace!(%error, "a socket option can't be set");
    }
}

/// Bounds what the kernel keeps of the connection, and how long it waits for a dead peer.
#[cfg(target_os = "linux")]
fn bound_kernel(socket: &SockRef<'_>, timeout: Duration) -> std::io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_user_timeout(Some(timeout))
}

#[cfg(not(target_os = "linux"))]
fn bound_kernel(_: &SockRef<'_>, _: Duration) -> std::io::Result<()> {
    Ok(())
}

/// The head of the response as hyper would write it; the connection ends with the stream.
fn head(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Bytes {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    head.reserve(512);
    let mut head = head.into_bytes();
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    for (name, value) in headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name)) {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    line(b"connection", b"close");
    line(b"transfer-encoding", b"chunked");
    if !headers.contains_key(DATE) {
        line(b"date", httpdate::fmt_http_date(now).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

pin_project! {
    /// The answer to a request.
    pub(super) struct Answer {
        #[pin]
        inner: RouteFuture<Infallible>,
        desk: Option<Desk>,
        overseer: Option<Overseer>,
        // Ready, but the connection has to write what came before it.
        waiting: Option<Response>,
    }
}

impl Answer {
    pub(super) fn new(inner: RouteFuture<Infallible>, desk: Option<Desk>, overseer: Option<Overseer>) -> Self {
        Self { inner, desk, overseer, waiting: None }
    }
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let waited = this.waiting.take();
        let may_wait = waited.is_none();
        let mut response = match waited {
            Some(response) => response,
            None => match ready!(this.inner.poll(cx)) {
                Ok(response) => response,
            },
        };
        let (Some(desk), true) = (&*this.desk, response.extensions().get::<Ticket>().is_some()) else {
            if let (Some(overseer), Some(ticket)) = (this.overseer, response.extensions_mut().remove::<Ticket>()) {
                ticket.oversee(overseer);
            }
            return Poll::Ready(Ok(response));
        };
        if desk.used && may_wait {
            // Hyper may hold the end of the response before this one. Each time it polls
            // a connection it ends with a flush, so one pause lets it out.
            *this.waiting = Some(response);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(match response.extensions_mut().remove::<Ticket>() {
            Some(ticket) => desk.hand_over(&ticket, response),
            None => response,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_whole_and_our_own() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("content-length", "12"),
            ("x-accel-buffering", "no"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = head(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH);
        let text = std::str::from_utf8(&head).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
        );
    }
}
