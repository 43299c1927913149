//! The one place where errors become HTTP: problem documents (RFC 9457) with
//! the classic `error` text beside.
//!
//! A handler returns a [`Problem`]; [`crate::edge`] renders it, because only
//! the edge knows the request's id.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hub::HubError;
use orchestrator::{CredentialError, UseCaseError, WebhookFailure};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::limits::Quota;

/// Seconds after which a failed part may be back.
const SOON: u32 = 1;
const LATER: u32 = 2;
/// Seconds after which some of very many may have gone.
const MUCH_LATER: u32 = 10;

/// An answer that is an error. Cheap to make, rendered at the edge.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Arc<Details>);

#[derive(Debug, Clone)]
struct Details {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    /// Seconds.
    retry_after: Option<u32>,
    /// What lies behind it, for the log only.
    cause: Option<String>,
}

impl Details {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, title, detail: detail.into(), retry_after: None, cause: None }
    }
}

/// An error answer (`application/problem+json`, RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// Names the kind of problem: `urn:livestream:problem:` and `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:livestream:problem:not_found")]
    kind: &'a str,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened this time, and what was expected.
    detail: &'a str,
    /// The kind for programs; it never changes.
    code: &'a str,
    /// The `X-Request-Id` of the answer, to be found in the log.
    request_id: &'a str,
    /// The classic error text; the same as `detail`.
    error: &'a str,
}

impl Problem {
    /// 400: what was sent is not what was expected; `detail` says which.
    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Details::new(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", detail).into()
    }

    /// 401: no key, or none that is known.
    pub(crate) fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Details::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized", detail).into()
    }

    /// 403: known, but not allowed.
    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Details::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail).into()
    }

    /// 404: no such stream.
    pub(crate) fn stream_not_found() -> Self {
        Details::new(StatusCode::NOT_FOUND, "stream_not_found", "Stream not found", "there is no such stream").into()
    }

    /// 404: nobody of that identity is connected.
    pub(crate) fn not_in_stream() -> Self {
        let detail = UseCaseError::NotInRoom.to_string();
        Details::new(StatusCode::NOT_FOUND, "not_in_stream", "Not in the stream", detail).into()
    }

    /// 404: no such address.
    pub(crate) fn no_such_address() -> Self {
        Details::new(StatusCode::NOT_FOUND, "not_found", "Not found", "there is nothing at this address").into()
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this address does not take this method; see Allow";
        Details::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail).into()
    }

    /// 408: the body did not arrive.
    pub(crate) fn too_slow() -> Self {
        let detail = "the request body did not arrive in time";
        Details::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout", detail).into()
    }

    /// 413.
    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("the request body must be at most {limit} bytes");
        Details::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", detail).into()
    }

    /// 403: called under a name that is not answered.
    pub(crate) fn foreign_name(detail: &'static str) -> Self {
        Details::new(StatusCode::FORBIDDEN, "foreign_host", "Foreign host", detail).into()
    }

    /// 403: a page of another origin asks for a change.
    pub(crate) fn foreign_page(detail: &'static str) -> Self {
        Details::new(StatusCode::FORBIDDEN, "foreign_origin", "Foreign origin", detail).into()
    }

    /// 409: a request with the same key is being carried out.
    pub(crate) fn key_in_use() -> Self {
        let detail = "a request with this Idempotency-Key is being carried out; ask again in a moment";
        let mut details = Details::new(StatusCode::CONFLICT, "idempotency_key_in_use", "Key in use", detail);
        details.retry_after = Some(SOON);
        details.into()
    }

    /// 422: the key was used for another request.
    pub(crate) fn key_reused() -> Self {
        let detail = "this Idempotency-Key was used for another request; make a new one for each";
        Details::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Key reused", detail).into()
    }

    /// 429: too many `what` from one address or key.
    pub(crate) fn rate_limited(what: &str, by: &str, quota: Quota, seconds: u32) -> Self {
        let detail = format!(
            "too many {what} from this {by}: {} in {} s are allowed; try again in {seconds} s",
            quota.count,
            quota.window.as_secs_f64()
        );
        let mut details = Details::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", detail);
        details.retry_after = Some(seconds);
        details.into()
    }

    /// 503: as many event streams are open as this process may have.
    pub(crate) fn too_many_readers(most: usize) -> Self {
        let detail = format!("{most} event streams are open here, which is the most; try again later");
        let mut details = Details::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_readers", "Too many readers", detail);
        details.retry_after = Some(MUCH_LATER);
        details.into()
    }

    /// 429: as many event streams are open as one address may have.
    pub(crate) fn too_many_of_address(most: u32) -> Self {
        let detail = format!("{most} event streams of this address are open here, which is the most; end one first");
        let mut details = Details::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_readers_of_address",
            "Too many readers of one address",
            detail,
        );
        details.retry_after = Some(MUCH_LATER);
        details.into()
    }

    /// 503: shutdown has begun.
    pub(crate) fn draining() -> Self {
        let mut details = Details::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "Shutting down",
            "this instance is shutting down; try again",
        );
        details.retry_after = Some(SOON);
        details.into()
    }

    /// 503: store and LiveKit took too long together.
    pub(crate) fn late() -> Self {
        let mut details = Details::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_answer_in_time",
            "No answer in time",
            "store and LiveKit are too slow; what was asked for may still be done: look, or ask again",
        );
        details.retry_after = Some(LATER);
        details.into()
    }

    /// 500 after a panic, whose text is in the log only.
    pub(crate) fn internal() -> Self {
        let detail = "something went wrong here; the request id leads to it in the log";
        Details::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail).into()
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The kind for programs and logs.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The kind in words.
    #[cfg(test)]
    pub(crate) fn title(&self) -> &'static str {
        self.0.title
    }

    /// What happened this time.
    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What lies behind it, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The answer's body.
    pub(crate) fn render(&self, request_id: &str) -> Body {
        let kind = format!("urn:livestream:problem:{}", self.0.code);
        let document = ProblemDocument {
            kind: &kind,
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: self.0.code,
            request_id,
            error: &self.0.detail,
        };
        // Writing strings and a number as JSON can't fail.
        serde_json::to_vec(&document).map_or_else(|_| Body::empty(), Body::from)
    }

    /// The whole answer, for what does not pass the edge.
    pub(crate) fn into_whole_response(self) -> Response {
        let body = self.render("");
        let mut response = self.into_response();
        *response.body_mut() = body;
        response
    }

    fn unavailable(code: &'static str, title: &'static str, detail: &'static str, cause: &dyn Error) -> Self {
        let mut details = Details::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail);
        details.retry_after = Some(LATER);
        details.cause = Some(chain(cause));
        details.into()
    }
}

impl From<Details> for Problem {
    fn from(details: Details) -> Self {
        Self(Arc::new(details))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<UseCaseError> for Problem {
    fn from(error: UseCaseError) -> Self {
        let conflict = |code, title| Details::new(StatusCode::CONFLICT, code, title, error.to_string()).into();
        let refused = |code, title| Details::new(StatusCode::FORBIDDEN, code, title, error.to_string()).into();
        match &error {
            UseCaseError::NotFound => Self::stream_not_found(),
            UseCaseError::Finished => conflict("stream_finished", "Stream finished"),
            UseCaseError::Full => refused("stream_full", "Stream full"),
            UseCaseError::Forbidden(why) => Self::forbidden(*why),
            UseCaseError::RoleNotAllowed => Self::forbidden(error.to_string()),
            UseCaseError::Banned => refused("banned", "Banned"),
            UseCaseError::Held => conflict("identity_held", "Identity held"),
            UseCaseError::TooManyBans => conflict("too_many_bans", "Too many bans"),
            UseCaseError::TooManyGrants => conflict("too_many_roles", "Too many roles"),
            UseCaseError::PrivacyIsFixed => conflict("privacy_is_fixed", "Privacy is fixed"),
            UseCaseError::DuplicateIdentity => conflict("duplicate_identity", "Identity in use"),
            UseCaseError::NotInRoom => Self::not_in_stream(),
            UseCaseError::ChangedMeanwhile => Details::new(
                StatusCode::PRECONDITION_FAILED,
                "changed_meanwhile",
                "Changed meanwhile",
                error.to_string(),
            )
            .into(),
            UseCaseError::RoomTaken => conflict("room_taken", "Room taken"),
            UseCaseError::Busy(why) => {
                let mut details = Details::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", *why);
                details.retry_after = Some(SOON);
                details.into()
            }
            UseCaseError::Store(error) => store_problem(error),
            UseCaseError::LiveKit(error) => Self::unavailable(
                "livekit_unavailable",
                "LiveKit unavailable",
                "LiveKit is unavailable; try again",
                error,
            ),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        store_problem(&error)
    }
}

fn store_problem(error: &StoreError) -> Problem {
    Problem::unavailable("store_unavailable", "Store unavailable", "the store is unavailable; try again", error)
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Store(error) => store_problem(&error),
            HubError::Draining => Self::draining(),
            HubError::Full { most, .. } => {
                let detail = format!("{most} readers watch this stream here, which is the most; try again later");
                let code = "too_many_readers_of_stream";
                let mut details =
                    Details::new(StatusCode::SERVICE_UNAVAILABLE, code, "Too many readers of this stream", detail);
                details.retry_after = Some(MUCH_LATER);
                details.into()
            }
        }
    }
}

impl From<WebhookFailure> for Problem {
    fn from(failure: WebhookFailure) -> Self {
        match failure {
            WebhookFailure::NotLiveKit(error) if !error.is_unauthorized() => {
                let mut details = Details::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    "Invalid request",
                    "the webhook's body must be LiveKit's WebhookEvent as JSON",
                );
                details.cause = Some(chain(&error));
                details.into()
            }
            WebhookFailure::NotLiveKit(error) => {
                let mut details = Details::new(
                    StatusCode::UNAUTHORIZED,
                    "bad_signature",
                    "Not signed by LiveKit",
                    "the webhook must carry LiveKit's signature of exactly this body",
                );
                details.cause = Some(chain(&error));
                details.into()
            }
            WebhookFailure::NotApplied(error) => error.into(),
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        Self::unauthorized(error.to_string())
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
