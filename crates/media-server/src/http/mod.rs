//! The HTTP side: routes, CORS, and the link to the media thread.
//!
//! Handlers parse, ask the media thread, answer. They run on the caller's runtime.

mod join;
mod rtc;
mod socket;
mod twirp;
mod twirp_error;
mod twirp_json;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, header};
use axum::routing::{any, get};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::access::{Claims, Keyring, TokenError};
use crate::config::{Limits, Timeouts};
use crate::engine::Command;
use crate::room::{Now, Rooms};

/// What every handler has.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// The one instance behind all clones.
pub(crate) struct Shared {
    /// The way to the media thread.
    pub commands: mpsc::Sender<Command>,
    /// Verifies tokens.
    pub keys: Keyring,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// New signalling is refused.
    pub draining: AtomicBool,
    /// Open signalling connections.
    pub sockets: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The media thread is gone.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the media server is stopped")]
pub(crate) struct Stopped;

impl App {
    /// State for the routes.
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Asks the rooms something on the media thread.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Rooms, Now) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let ask = Box::new(move |rooms: &mut Rooms, now| {
            // Whoever asked may have gone away meanwhile.
            let _ = reply.send(question(rooms, now));
        });
        self.commands.send(Command::Ask(ask)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.keys.verify(token, i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Signalling and RoomService. Paths are also served with a doubled first slash, which is what
/// people get who write a base URL with a slash at its end.
pub(crate) fn router(app: App) -> Router {
    let mut routes = Router::new();
    for slash in ["", "/"] {
        let path = |path: &str| format!("{slash}{path}");
        routes = routes
            .route(&path("/rtc"), get(rtc::connect_dual))
            .route(&path("/rtc/validate"), get(rtc::validate_dual))
            .route(&path("/rtc/v1"), get(rtc::connect_single))
            .route(&path("/rtc/v1/validate"), get(rtc::validate_single))
            .route(&path("/twirp/{service}/{method}"), any(twirp::call));
    }
    let body_limit = DefaultBodyLimit::max(app.limits.twirp_body_bytes);
    routes.layer(body_limit).layer(cors()).with_state(app)
}

/// The same and the root that clients probe: everything a LiveKit server answers.
pub(crate) fn standalone_router(app: App) -> Router {
    let alive = || async { "OK" };
    router(app).merge(Router::new().route("/", get(alive)).layer(cors()))
}

/// Any page may use the server: tokens decide, not origins.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([Method::OPTIONS, Method::HEAD, Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .expose_headers(Any)
        .max_age(Duration::from_secs(86_400))
}

/// The token of an `Authorization` header. `None`: no such header.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, &'static str>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
    Some(token.ok_or("invalid authorization header. Must start with Bearer "))
}
