//! Paging.

use domain::{Phase, Timestamp};

/// Where a page ended: opaque to callers, stable while streams come and go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub String);

/// A cursor that this store did not give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`cursor` must be one that a previous page returned")]
pub struct InvalidCursor;

/// Which streams, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Streams in any of these phases; `Reserved` is never listed.
    pub phases: Vec<Phase>,
    /// Most items; 1 to 1,000.
    pub limit: usize,
    /// After this one.
    pub cursor: Option<Cursor>,
}

/// One page, newest first (`startedAt`, then id).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of the people in a stream, by identity and connection.
pub type PeoplePage = Page<domain::Participant>;

impl Cursor {
    /// The place of a stream in the order of lists.
    pub fn at(started_at: Timestamp, id: &str) -> Self {
        Self(format!("{:016x}.{id}", started_at.as_millis()))
    }
}
