//! What can go wrong in a store, and whether trying again helps.

use std::error::Error;

/// Kinds of failure a caller can act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The backend can't be reached or did not answer in time. Nothing is known about the write.
    Unavailable,
    /// The backend answered that it can't take writes now (disk full, out of memory, read-only).
    Full,
    /// What is stored can't be read.
    Corrupt,
    /// The backend is set up in a way that can't work (wrong password, wrong version).
    Misconfigured,
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("store: {operation}: {kind:?}")]
pub struct StoreError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What was attempted.
    pub operation: &'static str,
    /// What the backend said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of `kind` in `operation`, caused by `source`.
    pub fn new(kind: ErrorKind, operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, operation, source: Some(source.into()) }
    }

    /// What every call gives after [`close`](crate::Store::close).
    pub(crate) fn closed(operation: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, operation, "the store is closed")
    }

    /// What a call gives that was not answered in time.
    pub(crate) fn late(operation: &'static str) -> Self {
        Self::new(ErrorKind::Unavailable, operation, "no answer in time")
    }

    /// The same failure, for another caller that it hit too.
    pub(crate) fn again(&self) -> Self {
        let source = self.source.as_ref().map(|source| source.to_string().into());
        Self { kind: self.kind, operation: self.operation, source }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Full)
    }
}
