//! LiveKit's webhooks.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use orchestrator::WebhookFailure;

use crate::body;
use crate::problem::Problem;
use crate::state::AppState;

/// Takes an event of LiveKit's, signed by it; answered once it is stored.
/// Events and rooms that nobody knows are fine.
#[utoipa::path(post, path = "/webhook", tag = "livekit", security(("livekit" = [])),
    request_body(content = String, content_type = "application/webhook+json", description = "LiveKit's WebhookEvent as JSON"),
    responses(
        (status = 200, description = "Taken"),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 413, response = crate::openapi::TooLarge),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn receive_webhook(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let bytes = body::read(&headers, body, state.config.webhook_limit, state.config.read_timeout).await?;
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match state.orchestrator.receive_webhook(authorization, &bytes).await {
        Ok(verdict) => {
            state.meters.webhook(verdict.event, verdict.verdict);
            Ok(StatusCode::OK)
        }
        Err(failure) => {
            let verdict = match &failure {
                WebhookFailure::NotLiveKit(error) => error.verdict(),
                WebhookFailure::NotApplied(_) => "failed",
            };
            state.meters.webhook("unknown", verdict);
            Err(failure.into())
        }
    }
}
