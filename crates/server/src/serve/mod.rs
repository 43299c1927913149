//! The listening side: connections, and how it all ends.

mod handover;
mod io;
mod seat;
mod tls;

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{HOST, LOCATION};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, StatusCode, Version};
use axum::response::Response;
use hub::SocketSettings;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::client::{PeerAddr, Secure};
use crate::sse::Overseer;
use crate::state::AppState;

use self::handover::{Answer, Desk};
use self::io::GuardedStream;
use self::seat::Seat;

pub use self::tls::{Tls, TlsError};

/// Most bytes of a request's head: LiveKit's join request travels in the URL.
const MAX_HEAD: usize = 128 * 1024;
/// Unsent bytes the kernel keeps of a connection before it counts as not writable:
/// a stalled reader must not pile up old states there.
const UNSENT: u32 = 16 * 1024;
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A client that does not finish its handshake within this is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS connection (RFC 8446, 5.1); of an HTTP request it is a letter.
const TLS_HANDSHAKE: u8 = 22;

/// Serves `router` on `listener` until `shutdown`, then ends in order, within
/// `shutdown_timeout` in all: `/readyz` and whatever is new are 503; event
/// streams end, spread over half of the time; requests finish; `before_close`
/// runs (giving leases back, say); the listener closes last.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    state: AppState,
    shutdown: CancellationToken,
    before_close: impl Future<Output = ()>,
) {
    let mut server = Server::new(router, &state);
    open_sockets(&state);
    let upkeep = upkeep(&state);
    tokio::pin!(upkeep);
    {
        let accepting = server.accept_until(&listener, pending());
        tokio::select! {
            () = accepting => {}
            () = &mut upkeep => {}
            () = shutdown.cancelled() => {}
        }
    }
    let limit = state.config.shutdown_timeout;
    let deadline = Instant::now() + limit;
    server.accept_until(&listener, wind_down(&state, limit, deadline, before_close)).await;
    drop(listener);
    server.finish(deadline).await;
}

/// Without its thread every event stream is served by a task: dearer, but served.
fn open_sockets(state: &AppState) {
    let config = &state.config;
    let settings = SocketSettings {
        heartbeat: config.sse_heartbeat,
        write_timeout: config.write_timeout,
        max_age: config.sse_max_age,
    };
    if let Err(error) = state.hub.open_sockets(settings) {
        tracing::warn!(%error, "the thread of event streams can't be started; each gets a task of its own");
    }
}

/// Everything of shutdown during which the listener is still open.
async fn wind_down(state: &AppState, limit: Duration, deadline: Instant, before_close: impl Future<Output = ()>) {
    state.start_draining();
    tracing::info!("shutting down: event streams end first, then requests finish");
    state.hub.drain(limit / 2).await;
    // Half of what is left for requests, so that leases can still be given back.
    let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    while state.in_flight.load(Ordering::Relaxed) > 0 && Instant::now() < patience {
        sleep(LOOK_AGAIN).await;
    }
    if timeout_at(deadline, before_close).await.is_err() {
        tracing::warn!("shutdown took longer than SHUTDOWN_TIMEOUT; leases are left to expire");
    }
}

/// What has to be looked after while serving; it never ends.
async fn upkeep(state: &AppState) {
    match &state.config.tls {
        Some(tls) => tokio::join!(keep_metrics(state), tls.keep_current()).0,
        None => keep_metrics(state).await,
    }
}

/// Histograms keep every sample until somebody looks; this looks.
async fn keep_metrics(state: &AppState) {
    let mut ticks = interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        state.recorder.run_upkeep();
    }
}

struct Server {
    router: Router,
    connections: Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    /// Ends the connections that did not end by themselves.
    cut: CancellationToken,
    state: AppState,
}

impl Server {
    fn new(router: Router, state: &AppState) -> Self {
        let mut connections = Builder::new(TokioExecutor::new());
        connections
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(state.config.read_timeout)
            .max_buf_size(MAX_HEAD);
        connections.http2().timer(TokioTimer::new());
        if state.config.tls.is_none() {
            connections.http2().enable_connect_protocol();
        }
        Self {
            router,
            connections,
            graceful: GracefulShutdown::new(),
            cut: CancellationToken::new(),
            state: state.clone(),
        }
    }

    /// Accepts connections until `end`.
    async fn accept_until(&mut self, listener: &TcpListener, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                () = &mut end => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.start(stream, peer),
                Err(error) => {
                    // Out of file descriptors, most likely: the present connections go on.
                    tracing::warn!(%error, "a connection can't be accepted");
                    sleep(AFTER_ACCEPT_ERROR).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr) {
        set_options(&stream);
        let task = Task {
            connections: self.connections.clone(),
            watcher: self.graceful.watcher(),
            router: self.router.clone(),
            state: self.state.clone(),
            stream,
            peer: PeerAddr(peer.ip().to_canonical()),
        };
        let cut = self.cut.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = cut.run_until_cancelled(task.run()).await {
                tracing::trace!(error, "a connection ended early");
            }
        });
    }

    /// Lets the connections finish what they are at.
    async fn finish(self, deadline: Instant) {
        tokio::select! {
            () = self.graceful.shutdown() => tracing::debug!("all connections have ended"),
            () = sleep_until(deadline) => tracing::warn!("connections were still open at shutdown and are cut"),
        }
        self.cut.cancel();
    }
}

/// One connection, from its acceptance to its end.
struct Task {
    connections: Builder<TokioExecutor>,
    watcher: Watcher,
    router: Router,
    state: AppState,
    stream: TcpStream,
    peer: PeerAddr,
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

impl Task {
    async fn run(self) -> Result<(), ConnectionError> {
        let Self { connections, watcher, router, state, stream, peer } = self;
        let limit = state.config.write_timeout;
        let Some(tls) = state.config.tls.clone() else {
            let seat = Arc::new(Seat::new(stream));
            let io = GuardedStream::new(Arc::clone(&seat), limit);
            return Connection::new(router, state, Some(seat), peer).serve(&connections, watcher, io).await;
        };
        let deadline = Instant::now() + HANDSHAKE;
        let mut first = [0];
        let peeked = timeout_at(deadline, stream.peek(&mut first)).await??;
        let io = GuardedStream::new(Arc::new(Seat::new(stream)), limit);
        if peeked == 1 && first[0] != TLS_HANDSHAKE {
            return talk(&connections, watcher, io, Elsewhere).await;
        }
        let io = timeout_at(deadline, tls.accept(io)).await??;
        Connection::new(router, state, None, peer).serve(&connections, watcher, io).await
    }
}

/// Answers requests until the other side, or shutdown, ends it.
async fn talk<I, S>(
    connections: &Builder<TokioExecutor>,
    watcher: Watcher,
    stream: I,
    service: S,
) -> Result<(), ConnectionError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let connection = connections.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await
}

/// Whoever speaks HTTP where HTTPS is spoken is told so: people type addresses without a scheme.
struct Elsewhere;

impl hyper::service::Service<Request<Incoming>> for Elsewhere {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let mut response = Response::new(Body::empty());
        match HeaderValue::try_from(format!("https://{host}{path}")) {
            Ok(location) if !host.is_empty() => {
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
            }
            _ => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        ready(Ok(response))
    }
}

fn set_options(stream: &TcpStream) {
    // Without these all still works, a little slower or with more memory.
    let socket = socket2::SockRef::from(stream);
    let set = socket.set_tcp_nodelay(true).and_then(|()| limit_unsent(&socket));
    if let Err(error) = set {
        tracing::trace!(%error, "a socket option can't be set");
    }
}

#[cfg(target_os = "linux")]
fn limit_unsent(socket: &socket2::SockRef<'_>) -> std::io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &socket2::SockRef<'_>) -> std::io::Result<()> {
    Ok(())
}

/// The router as one connection sees it.
struct Connection {
    router: Router,
    state: AppState,
    /// The socket, which may be handed over; `None` over TLS: nobody else knows the session's keys.
    seat: Option<Arc<Seat>>,
    peer: PeerAddr,
    /// Of its event streams over HTTP/2.
    overseer: Overseer,
}

impl Connection {
    fn new(router: Router, state: AppState, seat: Option<Arc<Seat>>, peer: PeerAddr) -> Self {
        Self { router, state, seat, peer, overseer: Overseer::default() }
    }

    /// Answers until the other side, or shutdown, ends it, or one of its event streams is not read.
    async fn serve<I>(
        self,
        connections: &Builder<TokioExecutor>,
        watcher: Watcher,
        stream: I,
    ) -> Result<(), ConnectionError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let overseer = self.overseer.clone();
        let limit = self.state.config.sse_heartbeat + self.state.config.write_timeout;
        tokio::select! {
            ended = talk(connections, watcher, stream, self) => ended,
            () = overseer.stalled(limit) => Err("an event stream was not read".into()),
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Connection {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let desk = self.seat.as_ref().and_then(|seat| Desk::for_request(seat, &self.state, &request));
        let overseer = (request.version() == Version::HTTP_2).then(|| self.overseer.clone());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        if self.seat.is_none() {
            request.extensions_mut().insert(Secure);
        }
        // A router is always ready, and a clone of it a counter.
        Answer::new(self.router.clone().call(request), desk, overseer)
    }
}
