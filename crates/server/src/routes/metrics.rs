//! `/metrics`: what the process counts, and the two classic gauges.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use orchestrator::Health;
use store::Totals;

use crate::access::ReadKey;
use crate::state::AppState;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", security((), ("key" = ["read"])),
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
        (status = 401, response = crate::openapi::Unauthorized)))]
pub(crate) async fn get_metrics(State(state): State<AppState>, _: ReadKey) -> Response {
    let totals = state.orchestrator.totals().await;
    state.meters.in_flight.set(state.in_flight.load(Ordering::Relaxed) as f64);
    state.meters.process.collect();
    let mut text = state.recorder.render();
    write_parts(&mut text, &state.orchestrator.health());
    match totals {
        Ok(totals) => write_totals(&mut text, totals),
        // A number from before would be a lie: these are left out while the store is away.
        Err(error) => tracing::warn!(%error, "the totals can't be read for /metrics"),
    }
    ([(CONTENT_TYPE, PROMETHEUS)], text).into_response()
}

fn write_parts(text: &mut String, health: &Health) {
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "# HELP livestream_part_up Whether a part that this instance needs answered when last asked\n\
         # TYPE livestream_part_up gauge\n\
         livestream_part_up{{part=\"store\"}} {}\n\
         livestream_part_up{{part=\"livekit\"}} {}\n",
        u8::from(health.store.is_ok()),
        u8::from(health.livekit.is_ok()),
    );
}

fn write_totals(text: &mut String, totals: Totals) {
    let gauges = [
        ("active_streams", "Streams that can be joined", totals.streams),
        ("live_streams", "Streams in which somebody publishes", totals.live),
        ("total_participants", "People in all active streams", totals.people),
    ];
    for (name, help, value) in gauges {
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
}
