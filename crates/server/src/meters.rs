//! What is counted at the edge. No label holds a stream id.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use parking_lot::RwLock;

use crate::sse::Refusals;

/// The label of requests that match no route.
const UNMATCHED: &str = "unmatched";
/// Seconds; from a token out of memory to a create that waits for LiveKit.
const BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Seconds; from a removal by webhook to what a sweep of a large deployment finds.
const LONG_BUCKETS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 300.0];
/// What may take as long as the sweep lets it.
const LONG: [&str; 2] = ["livestream_ban_ejection_seconds", "livestream_convergence_seconds"];
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS", "other"];

/// Installs the process's metrics recorder and returns what renders it.
/// A second call returns the first one's: there is one recorder per process.
pub fn install_metrics() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(install_recorder).clone()
}

fn install_recorder() -> PrometheusHandle {
    let long = LONG.map(|name| (Matcher::Full(name.to_owned()), LONG_BUCKETS));
    let buckets = long.into_iter().chain([(Matcher::Suffix("_seconds".to_owned()), BUCKETS)]);
    // Only an empty list of buckets is refused; these are not empty.
    let builder = buckets
        .into_iter()
        .try_fold(PrometheusBuilder::new(), |builder, (matcher, buckets)| {
            builder.set_buckets_for_metric(matcher, &buckets)
        })
        .unwrap_or_default();
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed; /metrics stays empty");
    }
    describe();
    handle
}

fn describe() {
    Collector::default().describe();
    describe_counter!("livestream_http_requests_total", "Requests by route, method and status");
    describe_histogram!("livestream_http_request_duration_seconds", "Time to the response head, by route and method");
    describe_gauge!("livestream_http_requests_in_flight", "Requests without a response head yet");
    describe_gauge!("livestream_sse_connections", "Open event streams by topic and path: handed_over or body");
    describe_counter!("livestream_sse_events_total", "Events sent by topic and path");
    describe_counter!("livestream_sse_closed_total", "Ended event streams by topic, path and reason");
    describe_counter!("livestream_sse_refused_total", "Event streams refused by a cap: process, address or stream");
    describe_counter!(
        "livestream_sse_writes_total",
        "Writes to handed-over sockets of which the kernel took a part or nothing"
    );
    describe_counter!("livestream_sse_skipped_states_total", "States that slow readers were not sent for newer ones");
    describe_counter!("livestream_sse_heartbeats_total", "Comments sent to idle handed-over sockets");
    describe_histogram!("livestream_sse_turn_duration_seconds", "Turns of the thread of handed-over sockets");
    describe_counter!("livestream_sse_panics_total", "Panics of that thread, each of which ended all its connections");
    describe_counter!("livestream_webhooks_total", "Webhooks by event and verdict");
    describe_gauge!("livestream_webhooks_waiting", "Webhooks that are being applied or wait for those before them");
    describe_counter!("livestream_webhooks_refused_total", "Webhooks refused because too many waited, by limit");
    describe_histogram!(
        "livestream_ban_ejection_seconds",
        "From the ban, or from when LiveKit let a banned person in if that was later, to their removal"
    );
    describe_histogram!(
        "livestream_convergence_seconds",
        "From when LiveKit says it happened to when a sweep found it, by kind"
    );
}

/// Handles that are registered once and then only added to.
pub(crate) struct Meters {
    routes: RwLock<HashMap<Box<str>, Arc<RouteMeters>>>,
    webhooks: RwLock<Vec<((&'static str, &'static str), Counter)>>,
    pub(crate) in_flight: Gauge,
    /// What the system says of this process: CPU, memory, open files.
    pub(crate) process: Collector,
    pub(crate) streams: SseMeters,
    pub(crate) lobby: SseMeters,
    pub(crate) refusals: Refusals,
}

/// One route's handles.
pub(crate) struct RouteMeters {
    route: Box<str>,
    requests: RwLock<Vec<((usize, StatusCode), Counter)>>,
    durations: [OnceLock<Histogram>; METHODS.len()],
}

/// One kind of event stream.
#[derive(Clone)]
pub(crate) struct SseMeters {
    pub(crate) connections: Gauge,
    pub(crate) events: Counter,
    pub(crate) closed_by_us: Counter,
    pub(crate) closed_by_reader: Counter,
    pub(crate) aged: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            routes: RwLock::default(),
            webhooks: RwLock::default(),
            in_flight: gauge!("livestream_http_requests_in_flight"),
            process: Collector::default(),
            streams: SseMeters::new("stream"),
            lobby: SseMeters::new("lobby"),
            refusals: Refusals::new(),
        }
    }

    /// The handles of a route; `None` is a request that matched none.
    pub(crate) fn route(&self, route: Option<&str>) -> Arc<RouteMeters> {
        let route = route.unwrap_or(UNMATCHED);
        if let Some(meters) = self.routes.read().get(route) {
            return Arc::clone(meters);
        }
        let mut routes = self.routes.write();
        Arc::clone(routes.entry(route.into()).or_insert_with(|| Arc::new(RouteMeters::of(route))))
    }

    /// Counts a webhook.
    pub(crate) fn webhook(&self, event: &'static str, verdict: &'static str) {
        let key = (event, verdict);
        if let Some((_, counter)) = self.webhooks.read().iter().find(|(known, _)| *known == key) {
            return counter.increment(1);
        }
        let counter = counter!("livestream_webhooks_total", "event" => event, "verdict" => verdict);
        counter.increment(1);
        self.webhooks.write().push((key, counter));
    }
}

impl RouteMeters {
    fn of(route: &str) -> Self {
        Self { route: route.into(), requests: RwLock::default(), durations: Default::default() }
    }

    /// Counts an answered request.
    pub(crate) fn record(&self, method: &Method, status: StatusCode, duration: Duration) {
        let method = method_index(method);
        self.count(method, status);
        let histogram = self.durations[method].get_or_init(|| {
            histogram!("livestream_http_request_duration_seconds",
                "route" => self.route.to_string(), "method" => METHODS[method])
        });
        histogram.record(duration.as_secs_f64());
    }

    fn count(&self, method: usize, status: StatusCode) {
        let key = (method, status);
        if let Some((_, counter)) = self.requests.read().iter().find(|(known, _)| *known == key) {
            return counter.increment(1);
        }
        let counter = counter!("livestream_http_requests_total",
            "route" => self.route.to_string(), "method" => METHODS[method], "status" => status.as_str().to_owned());
        counter.increment(1);
        self.requests.write().push((key, counter));
    }
}

fn method_index(method: &Method) -> usize {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1)
}

impl SseMeters {
    fn new(topic: &'static str) -> Self {
        let closed = |reason: &'static str| counter!("livestream_sse_closed_total", "topic" => topic, "path" => "body", "reason" => reason);
        Self {
            connections: gauge!("livestream_sse_connections", "topic" => topic, "path" => "body"),
            events: counter!("livestream_sse_events_total", "topic" => topic, "path" => "body"),
            closed_by_us: closed("over"),
            closed_by_reader: closed("reader"),
            aged: closed("age"),
        }
    }
}
