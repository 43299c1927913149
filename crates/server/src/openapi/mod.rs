//! The frame of the OpenAPI document; its paths come from the route list.

mod complete;
pub(crate) mod problems;
mod schemas;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToResponse};

use crate::api::{LobbySnapshot, RemovedStream};
use crate::problem::ProblemDocument;

use self::schemas::{LiveKitParticipant, LiveKitRoom, LiveKitTrack, LiveKitWebhook};

/// Everything in the document that is no path.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Livestream Orchestrator",
        description = "Streams on LiveKit: who may do what, the state of every stream, and every change live over SSE.\n\n\
            Bodies are JSON; times are ISO 8601 in UTC with milliseconds. Every answer has an `X-Request-Id`, and a \
            caller's own is taken over. Problems are `application/problem+json` (RFC 9457): `code` is for programs, \
            `detail` for people. A 503 says in `Retry-After` when to try again. Clients ignore members they do not know.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "streams", description = "Create, list, join, leave, end"),
        (name = "access", description = "Invites, tickets, bans; the API keys there are"),
        (name = "live", description = "Server-sent events"),
        (name = "livekit", description = "What LiveKit calls"),
        (name = "operations", description = "Health and metrics")
    ),
    components(
        schemas(LobbySnapshot<'static>, RemovedStream<'static>, ProblemDocument<'static>, LiveKitWebhook, LiveKitRoom,
            LiveKitParticipant, LiveKitTrack),
        responses(Invalid, Unauthorized, Forbidden, NotFound, Conflict, ChangedMeanwhile, TooLarge, TooMany, KeyReused,
            Unavailable, Other)
    ),
    modifiers(&Credentials)
)]
pub(crate) struct ApiDoc;

/// The kinds of bearer.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build(),
            )
        };
        let components = document.components.get_or_insert_default();
        components
            .add_security_scheme("key", bearer("An API key with the scope `admin` or `read`, where keys are in use."));
        components
            .add_security_scheme("hostKey", bearer("The key that creating this stream gave, where keys are in use."));
        components.add_security_scheme("invite", bearer("An invite to this stream."));
        components.add_security_scheme("joinToken", bearer("The caller's own join token, as proof of identity."));
        components.add_security_scheme("livekit", bearer("LiveKit's signature: a bare JWT in `Authorization`."));
    }
}

macro_rules! problem_response {
    ($(#[doc = $doc:literal])* $name:ident, $description:literal) => {
        $(#[doc = $doc])*
        #[derive(ToResponse)]
        #[response(description = $description, content_type = "application/problem+json")]
        #[expect(dead_code, reason = "only its schema is used")]
        pub(crate) struct $name(ProblemDocument<'static>);
    };
}

problem_response! {
    /// 400
    Invalid, "What was sent is not what was expected; `detail` says which"
}
problem_response! {
    /// 401
    Unauthorized, "No credentials, or none that are known; with `WWW-Authenticate`"
}
problem_response! {
    /// 403
    Forbidden, "Not allowed to this caller (`forbidden`), banned (`banned`), or the stream is full (`stream_full`)"
}
problem_response! {
    /// 404
    NotFound, "There is no such stream, or a private one that the caller may not see, or nobody of that userId in it"
}
problem_response! {
    /// 409
    Conflict, "`stream_finished`; `room_taken`: its room is somebody else's; `duplicate_identity`: the identity is in it already; `identity_held`: the identity is a host's or speaker's; `too_many_bans`, `too_many_roles`; `privacy_is_fixed`; `idempotency_key_in_use`"
}
problem_response! {
    /// 412
    ChangedMeanwhile, "`If-Match` names another settings tag than the current one"
}
problem_response! {
    /// 413
    TooLarge, "The body is too large"
}
problem_response! {
    /// 429
    TooMany, "Too many of these from this address or key; with `Retry-After`, `RateLimit` and `RateLimit-Policy`"
}
problem_response! {
    /// 422
    KeyReused, "The Idempotency-Key was used for another request"
}
problem_response! {
    /// 503
    Unavailable, "Store or LiveKit away, or shutting down; with `Retry-After`"
}

problem_response! {
    /// Whatever else
    Other, "Problems that every address shares"
}

/// What a request about one stream may be refused with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum AboutStream {
    #[response(status = 401)]
    Unauthorized(#[ref_response] Unauthorized),
    #[response(status = 403)]
    Forbidden(#[ref_response] Forbidden),
    #[response(status = 404)]
    NotFound(#[ref_response] NotFound),
    #[response(status = 503)]
    Unavailable(#[ref_response] Unavailable),
}

/// What a request with a body may be refused with beside.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum WithBody {
    #[response(status = 400)]
    Invalid(#[ref_response] Invalid),
    #[response(status = 413)]
    TooLarge(#[ref_response] TooLarge),
}

/// The whole document: the paths of the route list, and what makes them a reference.
pub(crate) fn complete(paths: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    complete::complete(paths)
}

/// Answers with the document, which was written once.
pub(crate) fn answer(document: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], document).into_response()
}
