//! What Redis's errors mean to a caller.

use redis::{RedisError, ServerErrorKind};

use crate::{ErrorKind, StoreError};

/// A call went wrong.
pub(super) fn failed(operation: &'static str, error: RedisError) -> StoreError {
    StoreError::new(kind(&error), operation, error)
}

/// Something stored does not decode.
pub(super) fn undecodable(operation: &'static str, what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, operation, format!("{what}: {error}"))
}

fn kind(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Kind;
    match error.kind() {
        Kind::AuthenticationFailed | Kind::InvalidClientConfig | Kind::RESP3NotSupported => ErrorKind::Misconfigured,
        Kind::UnexpectedReturnType => ErrorKind::Corrupt,
        Kind::Server(ServerErrorKind::ReadOnly) => ErrorKind::Full,
        Kind::Server(ServerErrorKind::NoPerm | ServerErrorKind::CrossSlot) => ErrorKind::Misconfigured,
        Kind::Server(ServerErrorKind::ResponseError) => of_text(&error.to_string()),
        _ => of_code(error.code().unwrap_or_default()),
    }
}

fn of_code(code: &str) -> ErrorKind {
    match code {
        "OOM" | "MISCONF" | "NOREPLICAS" => ErrorKind::Full,
        "NOAUTH" | "WRONGPASS" => ErrorKind::Misconfigured,
        "WRONGTYPE" => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    }
}

/// Plain `ERR`: what failed inside a script is named in its text only.
fn of_text(text: &str) -> ErrorKind {
    const HINTS: [(&str, ErrorKind); 10] = [
        ("OOM ", ErrorKind::Full),
        ("maxmemory", ErrorKind::Full),
        ("MISCONF", ErrorKind::Full),
        ("READONLY", ErrorKind::Full),
        ("WRONGTYPE", ErrorKind::Corrupt),
        ("unknown command", ErrorKind::Misconfigured),
        ("DB index", ErrorKind::Misconfigured),
        ("SELECT is not allowed", ErrorKind::Misconfigured),
        ("invalid password", ErrorKind::Misconfigured),
        ("AUTH", ErrorKind::Misconfigured),
    ];
    HINTS.iter().find(|(hint, _)| text.contains(hint)).map_or(ErrorKind::Unavailable, |(_, kind)| *kind)
}
