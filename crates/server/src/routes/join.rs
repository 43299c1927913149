//! Joining and leaving.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use orchestrator::JoinStream;

use crate::access::{Caller, Open};
use crate::api::{JoinStreamBody, JoinedStream, LeaveStreamBody};
use crate::body::Members;
use crate::client;
use crate::extract::StreamPath;
use crate::idempotency::KeepFor;
use crate::problem::Problem;
use crate::routes::json;
use crate::state::AppState;

const LEAVING_NEEDS: &str =
    "leaving needs the join token of this userId, the stream's host key, or a key with the scope admin";

/// Gives out a token for a stream's room.
///
/// Where keys are in use, the roles `host` and `speaker` need one with the scope `admin`.
#[utoipa::path(post, path = "/streams/{id}/join", tag = "streams", security((), ("key" = []), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    request_body = JoinStreamBody,
    responses(
        (status = 200, description = "A place in the stream", body = JoinedStream<'static>),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn join_stream(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let _open = Open::from_request_parts(&mut parts, &state).await?;
    let StreamPath(id) = <StreamPath as FromRequestParts<AppState>>::from_request_parts(&mut parts, &state).await?;
    let caller = Caller::from_request_parts(&mut parts, &state).await?;
    let url = client::media_url(&state.config, (&parts).into())?;
    let body = JoinStreamBody::take(Members::from_request(Request::from_parts(parts, body), &state).await?)?;

    let request = JoinStream {
        identity: body.user_id,
        role: body.role,
        name: body.name,
        metadata: body.metadata,
        on_duplicate: caller.on_duplicate(body.on_duplicate),
        credential: caller.clone().into_credential(),
    };
    let joined = state.orchestrator.join_stream(&id, request).await.map_err(|error| caller.join_problem(error))?;
    let answer = JoinedStream {
        token: &joined.token,
        url: &url,
        room: &joined.room,
        identity: &joined.identity,
        role: joined.role,
        expires_at: joined.expires_at,
    };
    let mut response = json(StatusCode::OK, &answer)?;
    // Given again, a token is of use only while it is valid.
    response.extensions_mut().insert(KeepFor::until(joined.expires_at, state.orchestrator.now()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Takes out all connections that an identity has at this moment.
///
/// Idempotent; done later when LiveKit is away. Where keys are in use, the
/// proof is the identity's own join token, or a key with the scope `admin`.
#[utoipa::path(post, path = "/streams/{id}/leave", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    request_body = LeaveStreamBody,
    responses(
        (status = 204, description = "Has left, or will"),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn leave_stream(
    State(state): State<AppState>,
    StreamPath(id): StreamPath,
    caller: Caller,
    members: Members,
) -> Result<StatusCode, Problem> {
    let body = LeaveStreamBody::take(members)?;
    caller.check_own(&state, &id, &body.user_id, LEAVING_NEEDS).await?;
    state.orchestrator.leave_stream(&id, &body.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
