//! The route list: every address there is, and the layers around it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{AllowedOrigins, ServerConfig};
use crate::deadline::DeadlineLayer;
use crate::edge::{self, EdgeLayer};
use crate::guard::GuardLayer;
use crate::idempotency;
use crate::limits;
use crate::openapi::{self, ApiDoc};
use crate::origin;
use crate::problem::Problem;
use crate::routes::{
    admission, fallback, health, join, keys, live, metrics, moderate, pages, people, streams, webhook,
};
use crate::state::AppState;

/// Signalling of the embedded media server: new connections are refused while draining.
const SIGNALLING: [&str; 2] = ["/rtc", "/whip"];

/// The API, documented.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(streams::list_streams, streams::create_stream))
        .routes(routes!(streams::get_stream, moderate::patch_stream, streams::delete_stream))
        .routes(routes!(streams::get_stream_state))
        .routes(routes!(people::list_participants))
        .routes(routes!(moderate::patch_participant, moderate::remove_participant))
        .routes(routes!(moderate::mute_participant))
        .routes(routes!(moderate::raise_hand, moderate::lower_hand))
        .routes(routes!(join::join_stream))
        .routes(routes!(join::leave_stream))
        .routes(routes!(admission::create_invite))
        .routes(routes!(admission::create_ticket))
        .routes(routes!(admission::list_bans, admission::create_ban))
        .routes(routes!(admission::lift_ban))
        .routes(routes!(live::watch_lobby))
        .routes(routes!(live::watch_stream))
        .routes(routes!(webhook::receive_webhook))
        .routes(routes!(health::get_health))
        .routes(routes!(health::get_readiness))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(keys::list_keys))
}

/// The pages; their files are found by the fallback.
fn page_routes() -> Router<AppState> {
    Router::new()
        .route("/", get(pages::get_lobby_page))
        .route("/index.html", get(pages::get_lobby_page))
        .route("/room.html", get(pages::get_room_page))
        .route("/embed/{id}", get(pages::get_embed_page))
        .route("/docs", get(pages::get_docs_page))
}

/// The OpenAPI document as it is served.
pub fn openapi_document() -> String {
    let (_, document) = api().split_for_parts();
    let document = openapi::complete(document);
    // The document is made of strings and numbers: it can always be written.
    document.to_pretty_json().unwrap_or_default()
}

/// Everything that is served on `PORT`. `extra` brings the embedded media
/// server's routes; they keep their own CORS and are no part of our metrics.
pub fn app(state: AppState, extra: Option<Router>) -> Router {
    let document = Bytes::from(openapi_document());
    let (api, _) = api().split_for_parts();
    let own = api
        .merge(page_routes())
        .route("/openapi.json", get(move || async move { openapi::answer(document) }))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(EdgeLayer(state.clone()))
                .layer(DeadlineLayer(state.config.answer_within))
                .layer(option_layer(cors(&state.config)))
                .layer(GuardLayer(state.clone())),
        )
        .with_state(state.clone());
    match extra {
        Some(extra) => own.merge(extra.layer(middleware::from_fn_with_state(state, guard_signalling))),
        None => own,
    }
}

/// The webhook alone, for an embedded media server that can't come in by HTTPS: it does not know our certificate.
pub fn webhook_app(state: AppState) -> Router {
    Router::new()
        .route("/webhook", post(webhook::receive_webhook))
        .fallback(fallback::not_found)
        .layer(EdgeLayer(state.clone()))
        .with_state(state)
}

fn cors(config: &ServerConfig) -> Option<CorsLayer> {
    let origins = match config.allowed_origins()? {
        AllowedOrigins::Any => AllowOrigin::any(),
        AllowedOrigins::List(origins) => AllowOrigin::list(origins),
    };
    let request_id = HeaderName::from_static("x-request-id");
    let last_event_id = HeaderName::from_static("last-event-id");
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            idempotency::IDEMPOTENCY_KEY,
            last_event_id,
            request_id.clone(),
        ])
        .expose_headers([
            ETAG,
            LINK,
            LOCATION,
            RETRY_AFTER,
            request_id,
            limits::POLICY,
            limits::LIMIT,
            idempotency::REPLAYED,
        ]);
    Some(layer)
}

async fn guard_signalling(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if let Err(problem) = origin::check_name(&state.config, &request) {
        return problem.into_whole_response();
    }
    let signalling = SIGNALLING.iter().any(|start| request.uri().path().starts_with(start));
    if signalling && state.is_draining() {
        return Problem::draining().into_whole_response();
    }
    let is_last = edge::ends_connection(request.headers());
    let mut response = next.run(request).await;
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
