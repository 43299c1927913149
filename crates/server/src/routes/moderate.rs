//! What a host does while the stream is on: settings, roles, muting, removing, hands.

use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::access::{Caller, Leader};
use crate::api::{MuteBody, PatchParticipantBody, PatchStreamBody, StreamDetails};
use crate::body::Members;
use crate::extract::{PersonPath, StreamPath};
use crate::problem::Problem;
use crate::routes::json;
use crate::routes::streams::details_tag;
use crate::state::AppState;

const HAND_NEEDS: &str =
    "a hand needs the join token of its userId, the stream's host key, or a key with the scope admin";

/// Changes title, default role and metadata.
///
/// With `If-Match`, the `ETag` or the `settingsTag` of an earlier answer, only if nobody has changed them since.
/// People who come and go meanwhile do not matter.
#[utoipa::path(patch, path = "/streams/{id}", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` or `settingsTag` that the change is made to, in double quotes")),
    request_body = PatchStreamBody,
    responses(
        (status = 200, description = "The stream as it is now", body = StreamDetails<'static>),
        (status = 409, response = crate::openapi::Conflict),
        (status = 412, response = crate::openapi::ChangedMeanwhile),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn patch_stream(
    State(state): State<AppState>,
    _: Leader,
    StreamPath(id): StreamPath,
    headers: HeaderMap,
    members: Members,
) -> Result<Response, Problem> {
    let expected = settings_tag(&headers)?;
    let patch = PatchStreamBody::take(members)?.into_patch();
    let head = state.orchestrator.change_settings(&id, &patch, expected.as_deref()).await?;
    let mut response = json(StatusCode::OK, &StreamDetails::from(&head))?;
    let tag = format!("\"{}\"", details_tag(&head));
    response.headers_mut().insert(ETAG, HeaderValue::try_from(tag).map_err(|_| Problem::internal())?);
    Ok(response)
}

/// The settings tag that `If-Match` names; `*` and no header ask for nothing (RFC 9110, 13.1.1).
fn settings_tag(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let expected = || Problem::invalid("If-Match must be an ETag or settingsTag in double quotes, or *");
    let text = value.to_str().map_err(|_| expected())?.trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(expected)?;
    Ok(Some(without_version(tag)))
}

/// `epoch-version-sN`, a stream's whole ETag, as `epoch-sN`: what is changed here does not depend on who is there.
fn without_version(tag: &str) -> String {
    match tag.split('-').collect::<Vec<_>>()[..] {
        [epoch, _, settings] => format!("{epoch}-{settings}"),
        _ => tag.to_owned(),
    }
}

/// Gives a participant another role: at once, and for the tokens issued later.
#[utoipa::path(patch, path = "/streams/{id}/participants/{identity}", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The participant's userId, percent-encoded")),
    request_body = PatchParticipantBody,
    responses(
        (status = 204, description = "LiveKit has done it"),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn patch_participant(
    State(state): State<AppState>,
    _: Leader,
    PersonPath(id, identity): PersonPath,
    members: Members,
) -> Result<StatusCode, Problem> {
    let body = PatchParticipantBody::take(members)?;
    state.orchestrator.change_role(&id, &identity, body.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a participant out. The list changes when LiveKit says so; a new join is not refused.
#[utoipa::path(delete, path = "/streams/{id}/participants/{identity}", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The participant's userId, percent-encoded")),
    responses(
        (status = 204, description = "LiveKit has done it"),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::AboutStream))]
pub(crate) async fn remove_participant(
    State(state): State<AppState>,
    _: Leader,
    PersonPath(id, identity): PersonPath,
) -> Result<StatusCode, Problem> {
    state.orchestrator.remove_from_stream(&id, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mutes what a participant publishes from one source; nothing there to mute is fine.
#[utoipa::path(post, path = "/streams/{id}/participants/{identity}/mute", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The participant's userId, percent-encoded")),
    request_body = MuteBody,
    responses(
        (status = 204, description = "LiveKit has done it"),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn mute_participant(
    State(state): State<AppState>,
    _: Leader,
    PersonPath(id, identity): PersonPath,
    members: Members,
) -> Result<StatusCode, Problem> {
    let body = MuteBody::take(members)?;
    state.orchestrator.mute(&id, &identity, body.source).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Raises the participant's hand: it asks to speak. A host who comes later sees it.
#[utoipa::path(put, path = "/streams/{id}/participants/{identity}/hand", tag = "streams",
    security((), ("key" = ["admin"]), ("hostKey" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The participant's userId, percent-encoded")),
    responses(
        (status = 204, description = "It is up"),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::AboutStream))]
pub(crate) async fn raise_hand(
    State(state): State<AppState>,
    PersonPath(id, identity): PersonPath,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    caller.check_own(&state, &id, &identity, HAND_NEEDS).await?;
    state.orchestrator.raise_hand(&id, &identity, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lowers the participant's hand.
#[utoipa::path(delete, path = "/streams/{id}/participants/{identity}/hand", tag = "streams",
    security((), ("key" = ["admin"]), ("hostKey" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The participant's userId, percent-encoded")),
    responses(
        (status = 204, description = "It is down"),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::AboutStream))]
pub(crate) async fn lower_hand(
    State(state): State<AppState>,
    PersonPath(id, identity): PersonPath,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    caller.check_own(&state, &id, &identity, HAND_NEEDS).await?;
    state.orchestrator.raise_hand(&id, &identity, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
