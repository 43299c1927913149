//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hub::Hub;
use metrics_exporter_prometheus::PrometheusHandle;
use orchestrator::Orchestrator;

use crate::complaints::Complaints;
use crate::config::ServerConfig;
use crate::limits::Limits;
use crate::meters::Meters;
use crate::pages::Pages;
use crate::sse::Caps;

/// What every handler can reach. A clone is the same state.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// The inside of an [`AppState`].
pub struct Inner {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) hub: Hub,
    pub(crate) config: ServerConfig,
    /// The counters of rate limits; `None`: there are none.
    pub(crate) limits: Option<Limits>,
    pub(crate) pages: Pages,
    pub(crate) meters: Meters,
    /// What the log has said of refused requests.
    pub(crate) complaints: Complaints,
    pub(crate) caps: Arc<Caps>,
    /// Renders `/metrics`.
    pub(crate) recorder: PrometheusHandle,
    /// Shutdown has begun: nothing new is taken on.
    draining: AtomicBool,
    /// Requests whose response head is not out yet.
    pub(crate) in_flight: AtomicUsize,
    /// The warning about a proxy in front of an open server has been given.
    warned_of_proxy: AtomicBool,
}

impl AppState {
    /// Puts the parts together. `recorder` is what [`install_metrics`](crate::install_metrics) returned.
    pub fn new(
        orchestrator: Orchestrator,
        hub: Hub,
        config: ServerConfig,
        pages: Pages,
        recorder: PrometheusHandle,
    ) -> Self {
        let caps = Arc::new(Caps::new(config.sse_max_connections, config.sse_max_per_address));
        Self(Arc::new(Inner {
            orchestrator,
            hub,
            limits: config.limits.as_ref().map(Limits::new),
            config,
            pages,
            meters: Meters::new(),
            complaints: Complaints::default(),
            caps,
            recorder,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            warned_of_proxy: AtomicBool::new(false),
        }))
    }

    /// Whether shutdown has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on nothing new is taken on: create, join and new event streams
    /// are 503, and so is `/readyz`.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// `true` the first time it is asked.
    pub(crate) fn may_warn_of_proxy(&self) -> bool {
        !self.warned_of_proxy.load(Ordering::Relaxed) && !self.warned_of_proxy.swap(true, Ordering::Relaxed)
    }
}

impl Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
