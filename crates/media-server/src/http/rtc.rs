//! Opening a signalling connection, and the twin routes that only say whether it would open.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{mpsc, oneshot};

use super::join::{JoinRequestError, from_query, from_wrapped};
use super::socket::{Connection, serve};
use super::{App, Stopped, bearer};
use crate::access::{Claims, TokenError};
use crate::engine::Command;
use crate::room::JoinError;
use crate::signal::{Dialect, JoinParams};

type Params = Query<HashMap<String, String>>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Why a connection was not opened. Clients show the text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The header is not a bearer token.
    #[error("{0}")]
    Header(&'static str),
    /// The token is missing or not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The client's parameters are not understood.
    #[error(transparent)]
    Request(#[from] JoinRequestError),
    /// The room does not let it in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The server is about to stop; retrying helps.
    #[error("the server is restarting, try again")]
    Draining,
    /// The media thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Refusal {
    /// The limit that was broken, if it was one, as metrics name it.
    fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Join(JoinError::ServerFull) => Some("full"),
            Self::Join(JoinError::TooManyJoining) => Some("joining"),
            Self::Join(JoinError::TooFast) => Some("joins"),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Header(_) | Self::Token(_) | Self::Join(JoinError::Denied) => StatusCode::UNAUTHORIZED,
            Self::Join(JoinError::RoomNotFound) => StatusCode::NOT_FOUND,
            Self::Join(JoinError::RoomFull) => StatusCode::FORBIDDEN,
            Self::Join(JoinError::ServerFull | JoinError::TooManyJoining | JoinError::TooFast)
            | Self::Draining
            | Self::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Request(_) | Self::Join(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, self.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// `GET /rtc`.
pub(crate) async fn connect_dual(
    State(app): State<App>,
    Query(query): Params,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    connect(app, Dialect::Dual, &query, &headers, upgrade).await
}

/// `GET /rtc/v1`.
pub(crate) async fn connect_single(
    State(app): State<App>,
    Query(query): Params,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    connect(app, Dialect::Single, &query, &headers, upgrade).await
}

/// `GET /rtc/validate`.
pub(crate) async fn validate_dual(State(app): State<App>, Query(query): Params, headers: HeaderMap) -> Response {
    validate(app, Dialect::Dual, &query, &headers).await
}

/// `GET /rtc/v1/validate`.
pub(crate) async fn validate_single(State(app): State<App>, Query(query): Params, headers: HeaderMap) -> Response {
    validate(app, Dialect::Single, &query, &headers).await
}

async fn validate(app: App, dialect: Dialect, query: &HashMap<String, String>, headers: &HeaderMap) -> Response {
    match check(&app, dialect, query, headers).await {
        Ok(_) => "success".into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Everything that can be said about a connection before it is opened.
async fn check(
    app: &App,
    dialect: Dialect,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Result<(Claims, JoinParams), Refusal> {
    if app.draining.load(Ordering::Acquire) {
        return Err(Refusal::Draining);
    }
    let claims = app.verify(token(query, headers)?)?;
    if !claims.video.room_join {
        return Err(JoinError::Denied.into());
    }
    // The Go SDK brings a join request to the old path and means the new one by it.
    let wrapped = dialect == Dialect::Single || query.get("join_request").is_some_and(|v| !v.is_empty());
    let params = if wrapped { from_wrapped(query, app.limits.join_request_bytes)? } else { from_query(query)? };
    let (asked, said) = (claims.clone(), params.clone());
    app.ask(move |rooms, _| rooms.check_join(&asked, &said)).await??;
    Ok((claims, params))
}

/// The header wins over the query.
fn token<'a>(query: &'a HashMap<String, String>, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    match bearer(headers) {
        Some(token) => token.map_err(Refusal::Header),
        None => query.get("access_token").map(String::as_str).ok_or(Refusal::Token(TokenError::Missing)),
    }
}

async fn connect(
    app: App,
    dialect: Dialect,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    upgrade: Upgrade,
) -> Response {
    // A plain GET finds nothing here, as on LiveKit.
    let Ok(upgrade) = upgrade else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let joined = async {
        let (claims, params) = check(&app, dialect, query, headers).await?;
        join(&app, claims, params).await
    };
    match joined.await {
        Ok(connection) => {
            tracing::debug!(?dialect, "signalling opened");
            let limit = app.limits.signal_message_bytes;
            let upgrade = upgrade.max_message_size(limit).max_frame_size(limit);
            upgrade.on_upgrade(move |socket| serve(socket, connection))
        }
        Err(refusal) => {
            tracing::debug!(?dialect, %refusal, "signalling refused");
            if let Some(limit) = refusal.limit() {
                metrics::counter!("media_signal_refused_total", "limit" => limit).increment(1);
            }
            refusal.into_response()
        }
    }
}

/// Joins before the upgrade is answered, so that a client whose socket opens is in.
async fn join(app: &App, claims: Claims, params: JoinParams) -> Result<Connection, Refusal> {
    let (socket, messages) = mpsc::channel(app.limits.signal_queue);
    let (reply, answer) = oneshot::channel();
    let command = Command::Join { claims: Box::new(claims), params: Box::new(params), socket, reply };
    app.commands.send(command).await.map_err(|_| Stopped)?;
    let conn = answer.await.map_err(|_| Stopped)??;
    Ok(Connection::new(app.clone(), conn, messages))
}
