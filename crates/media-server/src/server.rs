//! The running server: starting, serving, draining, stopping.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::access::Keyring;
use crate::config::Config;
use crate::engine::{COMMANDS, Command, MediaLoop};
use crate::http::{self, App, Shared};
use crate::ids::Ids;
use crate::listen;
use crate::room::{Rooms, Settings};
use crate::udp::{self, BindError, Bound, Sockets};
use crate::webhook::Webhooks;

/// Why the server did not start. None is worth retrying before somebody changed something.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No API key was given.
    #[error("the media server needs at least one API key")]
    NoKey,
    /// Not called from within a tokio runtime.
    #[error("the media server has to be started within a tokio runtime")]
    NoRuntime,
    /// The media port could not be bound; the text names it.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The client for webhooks could not be made.
    #[error("cannot make the webhook client")]
    Webhooks(#[source] reqwest::Error),
    /// The media thread could not be started.
    #[error("cannot start the media thread")]
    Thread(#[source] io::Error),
}

/// A media server with its thread and sockets. Dropping it ends them without goodbye.
pub struct MediaServer {
    app: App,
    webhooks: Webhooks,
    candidates: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl MediaServer {
    /// Binds the media port and starts the media thread. Has to be called within a tokio runtime,
    /// on which webhooks are then delivered.
    pub fn start(config: Config) -> Result<Self, StartError> {
        if config.keys.is_empty() {
            return Err(StartError::NoKey);
        }
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let bound = udp::bind(config.udp_bind, &config.advertised)?;
        let candidates = udp::candidates(&bound, &config.advertised);
        let keys = Keyring::new(config.keys.clone());
        let webhooks = Webhooks::new(config.webhook_urls.clone(), keys.clone(), &config.timeouts, runtime)
            .map_err(StartError::Webhooks)?;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        let rooms = Rooms::new(settings(&config, keys.clone()), Ids::from_system());
        let parts = Parts { rooms, bound, candidates: candidates.clone(), webhooks: webhooks.clone() };
        let thread = spawn(parts, queue, stop.clone())?;
        let app = App::new(Shared {
            commands,
            keys,
            limits: config.limits,
            timeouts: config.timeouts,
            draining: AtomicBool::new(false),
            sockets: TaskTracker::new(),
            stop: stop.clone(),
        });
        let _stop_on_drop = stop.clone().drop_guard();
        Ok(Self { app, webhooks, candidates, thread: Some(thread), stop, _stop_on_drop })
    }

    /// Signalling and RoomService, to be served at the root of any listener.
    pub fn router(&self) -> Router {
        http::router(self.app.clone())
    }

    /// The same with the root path that LiveKit's clients probe, for a listener of its own.
    pub fn standalone_router(&self) -> Router {
        http::standalone_router(self.app.clone())
    }

    /// Serves [`standalone_router`](Self::standalone_router) on a listener until it is dropped, within
    /// [`Limits::half_open`](crate::Limits::half_open) and [`Timeouts::head`](crate::Timeouts::head). After the server
    /// stopped, requests are still answered: 503.
    ///
    /// # Errors
    ///
    /// The listener cannot be used.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = io::Result<Infallible>> + Send + use<> {
        let (half_open, head) = (self.app.limits.half_open, self.app.timeouts.head);
        listen::serve(listener, self.standalone_router(), half_open, head)
    }

    /// The UDP addresses told to clients.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Refuses new signalling from now on (503, retry after a second). Sessions go on.
    pub fn begin_drain(&self) {
        self.app.draining.store(true, Ordering::Release);
    }

    /// Whether the media thread ended, which it does only when stopped or by a fault.
    pub fn is_stopped(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells all clients to reconnect and ends within about `deadline`.
    ///
    /// To clients and webhook receivers it looks like a network cut: nobody is reported as left,
    /// no room as finished. Events that were queued before are still delivered if that is quick.
    pub async fn shutdown(mut self, deadline: Duration) {
        let end = Instant::now() + deadline;
        let left = || end.saturating_duration_since(Instant::now());
        self.begin_drain();
        let (said, goodbye) = oneshot::channel();
        if self.app.commands.send(Command::Shutdown(said)).await.is_ok() {
            let _ = tokio::time::timeout(left(), goodbye).await;
        }
        self.app.sockets.close();
        let _ = tokio::time::timeout(left(), self.app.sockets.wait()).await;
        self.webhooks.stop(left()).await;
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            if !matches!(joined.await, Ok(Ok(()))) {
                tracing::error!("the media thread ended by a fault");
            }
        }
    }
}

fn settings(config: &Config, keys: Keyring) -> Settings {
    Settings {
        keys,
        limits: config.limits.clone(),
        timeouts: config.timeouts.clone(),
        auto_create: config.auto_create_rooms,
        node_id: Ids::from_system().random("ND_"),
    }
}

/// What is carried over to the media thread.
struct Parts {
    rooms: Rooms,
    bound: Vec<Bound>,
    candidates: Vec<SocketAddr>,
    webhooks: Webhooks,
}

fn spawn(parts: Parts, queue: mpsc::Receiver<Command>, stop: CancellationToken) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let run = move || {
        runtime.block_on(async move {
            let engine = sfu::Engine::new(sfu::Config::new(parts.candidates), Instant::now());
            match Sockets::new(parts.bound) {
                Ok(sockets) => MediaLoop::new(parts.rooms, engine, sockets, parts.webhooks).run(queue, stop).await,
                Err(error) => tracing::error!(%error, "cannot use the media sockets"),
            }
        });
    };
    std::thread::Builder::new().name("media".to_owned()).spawn(run).map_err(StartError::Thread)
}
