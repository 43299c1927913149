//! What can go wrong with LiveKit, and whether trying again helps.

use std::error::Error;

/// Kinds of failure a caller can act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// LiveKit can't be reached, did not answer in time or is overloaded. It may have acted all the same.
    Unavailable,
    /// LiveKit does not accept our key and secret.
    Unauthorized,
    /// LiveKit refused the request for what it says.
    Refused,
}

/// A failed call to LiveKit.
#[derive(Debug, thiserror::Error)]
#[error("LiveKit: {operation}: {kind:?}")]
pub struct RoomsError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Which call.
    pub operation: &'static str,
    /// What LiveKit or the connection said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl RoomsError {
    /// An error of `kind` in `operation`, caused by `source`.
    pub fn new(kind: ErrorKind, operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, operation, source: Some(source.into()) }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}
