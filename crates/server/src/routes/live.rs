//! Live updates over server-sent events.

use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use hub::{HubError, Position, Shape, Source};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::{self, Onlooker, Open};
use crate::client;
use crate::extract::{self, QueryOf, StreamPath};
use crate::limits::Who;
use crate::problem::Problem;
use crate::sse::{Opening, Permit, Ticket};
use crate::state::AppState;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const USUAL_SNAPSHOT: usize = 500;
const MAX_SNAPSHOT: usize = 5_000;
const SHAPES: [(&str, Shape); 2] = [("full", Shape::Full), ("summary", Shape::Summary)];

/// A reader for whom there is room.
pub(crate) struct Admitted(Permit);

impl FromRequestParts<AppState> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let who = match access::known_key(state, &parts.headers) {
            Some(_) => None,
            None => client::distinct_address(&state.config, (&*parts).into()).map(Who::of),
        };
        state.caps.admit(who, &state.meters.refusals).map(Self)
    }
}

/// How a stream is watched.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchStreamQuery {
    /// `full` (usual), or `summary`: without `participants`.
    #[param(nullable = false)]
    view: Option<String>,
    /// The `id` of the event seen last, for readers that can't send the header `Last-Event-ID`, which goes before it.
    #[param(nullable = false)]
    last_event_id: Option<String>,
    /// What `POST /streams/{id}/tickets` gave, for readers that can't send the header `Authorization`.
    #[param(nullable = false)]
    ticket: Option<String>,
}

/// Watches a stream: its state now, and again whenever it changes.
///
/// The data of each event is what `GET /streams/{id}/state` answers. Who is
/// slow gets the newest state, not every one. Ends when the stream's record
/// goes, some minutes after its end.
#[utoipa::path(get, path = "/sse/{id}/updates", tag = "live", security((), ("key" = ["read"]), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"), WatchStreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the event seen last: nothing is sent while it is the newest")),
    responses(
        (status = 200, description = "`: connected`, then events without a name", body = String, content_type = "text/event-stream"),
        (status = 400, response = crate::openapi::Invalid),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 404, response = crate::openapi::NotFound),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn watch_stream(
    State(state): State<AppState>,
    _: Open,
    StreamPath(id): StreamPath,
    Admitted(permit): Admitted,
    onlooker: Onlooker,
    headers: HeaderMap,
    QueryOf(query): QueryOf<WatchStreamQuery>,
) -> Result<Response, Problem> {
    let shape = extract::word("view", query.view.as_deref(), &SHAPES)?.unwrap_or(Shape::Full);
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    // An id we can't read is none of ours: the reader gets the newest state.
    let last = header.or(query.last_event_id.as_deref()).and_then(|text| text.parse::<Position>().ok());
    let onlooker = onlooker.or_ticket(&state, query.ticket.as_deref());
    let subscription = state.hub.subscribe(&id, shape, last.as_ref()).await;
    if let Err(HubError::Full { visibility, .. }) = &subscription {
        // Whoever may not see the stream must not learn that it has many readers.
        onlooker.check_sight(&state, &id, *visibility).await?;
        state.meters.refusals.stream.increment(1);
    }
    let subscription = subscription?.ok_or_else(|| onlooker.not_found())?;
    onlooker.check_sight(&state, &id, subscription.visibility()).await?;
    Ok(event_stream(state, subscription.into(), permit))
}

/// How the lobby is watched.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchLobbyQuery {
    /// Most streams in a snapshot: 1 to 5,000, usually 500.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 5000)]
    limit: Option<String>,
}

/// Watches all streams: `snapshot`, then `upsert` and `remove`.
///
/// `snapshot` is a LobbySnapshot, `upsert` a StreamSummary, `remove` a
/// RemovedStream. Drop an `upsert` with a lower version of the same epoch. A
/// new `snapshot` replaces everything before it.
#[utoipa::path(get, path = "/sse/streams", tag = "live", params(WatchLobbyQuery),
    responses(
        (status = 200, description = "Named events", body = String, content_type = "text/event-stream"),
        (status = 400, response = crate::openapi::Invalid),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn watch_lobby(
    State(state): State<AppState>,
    _: Open,
    Admitted(permit): Admitted,
    QueryOf(query): QueryOf<WatchLobbyQuery>,
) -> Result<Response, Problem> {
    let limit = extract::limit(query.limit.as_deref(), USUAL_SNAPSHOT, MAX_SNAPSHOT)?;
    let subscription = state.hub.subscribe_lobby(limit).await?;
    Ok(event_stream(state, subscription.into(), permit))
}

fn event_stream(state: AppState, source: Source, permit: Permit) -> Response {
    let ticket = Ticket::new(Opening { source, permit });
    let mut response = Response::new(ticket.body(state));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(ticket);
    response
}
