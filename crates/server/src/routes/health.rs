//! Whether the process lives, and whether requests should be sent to it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use orchestrator::{Health, PartHealth};

use crate::api::{HealthReport, PartReport, Readiness, ReadinessReport};
use crate::problem::Problem;
use crate::routes::json;
use crate::state::AppState;

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "Alive", body = HealthReport)))]
pub(crate) async fn get_health() -> Result<Response, Problem> {
    json(StatusCode::OK, &HealthReport { status: "ok" })
}

/// Requests should be sent here. LiveKit away is degraded, not unready: most requests do not need it.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "Ready, perhaps degraded", body = ReadinessReport),
        (status = 503, description = "The store does not answer, or shutdown has begun", body = ReadinessReport)))]
pub(crate) async fn get_readiness(State(state): State<AppState>) -> Result<Response, Problem> {
    let report = report(state.orchestrator.health(), state.is_draining());
    let serving = matches!(report.status, Readiness::Ready | Readiness::Degraded);
    json(if serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
}

fn report(health: Health, draining: bool) -> ReadinessReport {
    let status = match (draining, health.store.is_ok(), health.livekit.is_ok()) {
        (true, _, _) => Readiness::Draining,
        (_, false, _) => Readiness::Unavailable,
        (_, _, false) => Readiness::Degraded,
        _ => Readiness::Ready,
    };
    ReadinessReport {
        status,
        degraded: !health.livekit.is_ok(),
        store: part(health.store),
        livekit: part(health.livekit),
    }
}

fn part(health: PartHealth) -> PartReport {
    PartReport { ok: health.is_ok(), trouble: health.trouble }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn livekit_away_is_degraded_and_the_store_away_is_unavailable() {
        let away = || PartHealth { trouble: Some("no answer".into()) };
        let ok = PartHealth::default;
        let check = |store, livekit, draining, expected| {
            assert_eq!(report(Health { store, livekit }, draining).status, expected);
        };
        check(ok(), ok(), false, Readiness::Ready);
        check(ok(), away(), false, Readiness::Degraded);
        check(away(), away(), false, Readiness::Unavailable);
        check(ok(), ok(), true, Readiness::Draining);
    }
}
