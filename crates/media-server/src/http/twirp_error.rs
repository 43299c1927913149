//! Twirp's error answers: a code, its HTTP status, a message.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// The codes this server uses, by their Twirp names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// No token, or one without the grant. 401, as LiveKit answers it.
    Unauthenticated,
    /// The room, participant or track is not there.
    NotFound,
    /// A field has a value that is not allowed.
    InvalidArgument,
    /// The request makes no sense in the present state.
    FailedPrecondition,
    /// A limit of this server is reached.
    ResourceExhausted,
    /// The server is stopping; retrying helps.
    Unavailable,
    /// The method is known but not offered.
    Unimplemented,
    /// The body cannot be decoded.
    Malformed,
    /// No such method, or not its HTTP method or content type.
    BadRoute,
}

impl Code {
    /// Twirp's name and HTTP status.
    fn wire(self) -> (&'static str, StatusCode) {
        match self {
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
            Self::FailedPrecondition => ("failed_precondition", StatusCode::PRECONDITION_FAILED),
            Self::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST),
            Self::BadRoute => ("bad_route", StatusCode::NOT_FOUND),
        }
    }
}

/// A refused or failed RoomService call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub(crate) struct TwirpError {
    /// What kind of refusal; decides the HTTP status and whether retrying helps (`Unavailable`
    /// only).
    pub code: Code,
    /// Text for people.
    pub msg: String,
    /// More about it, by name; used by Twirp for bad routes.
    pub meta: Vec<(&'static str, String)>,
}

impl TwirpError {
    /// An error without meta.
    pub(crate) fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), meta: Vec::new() }
    }

    /// The refusal of a token that lacks the grant.
    pub(crate) fn denied() -> Self {
        Self::new(Code::Unauthenticated, "permissions denied")
    }

    /// A call nobody offers, `route` being method and path.
    pub(crate) fn bad_route(msg: String, route: String) -> Self {
        Self { code: Code::BadRoute, msg, meta: vec![("twirp_invalid_route", route)] }
    }
}

impl IntoResponse for TwirpError {
    fn into_response(self) -> Response {
        let (code, status) = self.code.wire();
        let mut body = json!({"code": code, "msg": self.msg});
        if !self.meta.is_empty() {
            let meta: Map<String, Value> = self.meta.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
            body["meta"] = Value::Object(meta);
        }
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        if self.code == Code::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
