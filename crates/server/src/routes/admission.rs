//! Who is let in and who is kept out: invites, tickets, bans.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use domain::Timestamp;
use orchestrator::{BanRequest, Issued};
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use crate::access::{Caller, Leader};
use crate::api::{BanBody, BannedPerson, InviteBody, IssuedInvite, IssuedTicket};
use crate::body::Members;
use crate::extract::{PersonPath, StreamPath};
use crate::idempotency::KeepFor;
use crate::problem::Problem;
use crate::routes::json;
use crate::routes::streams::UNRESERVED;
use crate::state::AppState;

/// How long a ban lasts when the caller does not say.
const USUAL_BAN: Duration = Duration::from_secs(24 * 3600);

/// Makes an invite: whoever has it may look and join in its role, until it ends or the stream does.
///
/// It is stored nowhere and can be used any number of times; ending the stream is what takes it back.
#[utoipa::path(post, path = "/streams/{id}/invites", tag = "access", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    request_body = InviteBody,
    responses(
        (status = 201, description = "An invite; it is shown this once", body = IssuedInvite<'static>),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn create_invite(
    State(state): State<AppState>,
    _: Leader,
    StreamPath(id): StreamPath,
    members: Members,
) -> Result<Response, Problem> {
    let body = InviteBody::take(members)?;
    let Issued { secret, expires_at } = state.orchestrator.invite(&id, body.role, body.life()).await?;
    // In the fragment: it is sent to no server, and stands in no log and no Referer.
    let stream = utf8_percent_encode(id.as_str(), UNRESERVED);
    let link = format!("/room.html?streamId={stream}#invite={secret}");
    secret_answer(&state, expires_at, &IssuedInvite { token: &secret, role: body.role, expires_at, link: &link })
}

/// Makes a ticket, with which an event stream can be opened without a header, within a minute.
///
/// For `EventSource`, which can't send `Authorization`: `/sse/{id}/updates?ticket=…`.
#[utoipa::path(post, path = "/streams/{id}/tickets", tag = "access",
    security((), ("key" = ["read"]), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    responses(
        (status = 201, description = "A ticket", body = IssuedTicket<'static>),
        crate::openapi::AboutStream))]
pub(crate) async fn create_ticket(
    State(state): State<AppState>,
    StreamPath(id): StreamPath,
    caller: Caller,
) -> Result<Response, Problem> {
    let Issued { secret, expires_at } = state.orchestrator.issue_ticket(&id, &caller.into_credential()).await?;
    secret_answer(&state, expires_at, &IssuedTicket { ticket: &secret, expires_at })
}

/// Bans somebody: refused at the door, taken out of the room, and out again should an older token let them in.
///
/// A ban belongs to the stream's id: it holds in later streams of this name too, until it ends. A second
/// ban of the same person replaces the first. 1,000 people at most.
#[utoipa::path(post, path = "/streams/{id}/bans", tag = "access", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    request_body = BanBody,
    responses(
        (status = 201, description = "Banned; LiveKit takes out who is there, later if it is away", body = BannedPerson<'static>),
        (status = 409, response = crate::openapi::Conflict),
        crate::openapi::WithBody, crate::openapi::AboutStream))]
pub(crate) async fn create_ban(
    State(state): State<AppState>,
    _: Leader,
    StreamPath(id): StreamPath,
    members: Members,
) -> Result<Response, Problem> {
    let now = state.orchestrator.now();
    let body = BanBody::take(members, now)?;
    let until = body.until.unwrap_or(now + USUAL_BAN);
    let request = BanRequest { identity: body.identity, until, reason: body.reason };
    let ban = state.orchestrator.ban(&id, &request).await?;
    json(StatusCode::CREATED, &BannedPerson::from((&request.identity, &ban)))
}

/// Lists who is banned from a stream now, by identity.
#[utoipa::path(get, path = "/streams/{id}/bans", tag = "access", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    responses(
        (status = 200, description = "All of them", body = [BannedPerson<'static>]),
        crate::openapi::AboutStream))]
pub(crate) async fn list_bans(
    State(state): State<AppState>,
    _: Leader,
    StreamPath(id): StreamPath,
) -> Result<Response, Problem> {
    let bans = state.orchestrator.list_bans(&id).await?;
    let entries: Vec<_> = bans.iter().map(|(identity, ban)| BannedPerson::from((identity, ban))).collect();
    json(StatusCode::OK, &entries)
}

/// Lifts a ban. Idempotent: whoever is not banned is not.
#[utoipa::path(delete, path = "/streams/{id}/bans/{identity}", tag = "access", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"),
        ("identity" = String, Path, description = "The banned userId, percent-encoded")),
    responses(
        (status = 204, description = "Not banned any more"),
        crate::openapi::AboutStream))]
pub(crate) async fn lift_ban(
    State(state): State<AppState>,
    _: Leader,
    PersonPath(id, identity): PersonPath,
) -> Result<StatusCode, Problem> {
    state.orchestrator.lift_ban(&id, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 201 with something that no cache may keep, and that is worth nothing after `end`.
fn secret_answer(state: &AppState, end: Timestamp, body: &impl Serialize) -> Result<Response, Problem> {
    let mut response = json(StatusCode::CREATED, body)?;
    response.extensions_mut().insert(KeepFor::until(end, state.orchestrator.now()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
