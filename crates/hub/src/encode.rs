//! How states become bytes: decided by whoever serves them.

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{Identity, StreamId, StreamView};

/// Which part of a stream's state a subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Everything, the list of people included.
    Full,
    /// Counts without the list.
    Summary,
}

impl Shape {
    /// How many shapes there are.
    pub(crate) const COUNT: usize = 2;

    /// Its place in an array of [`Shape::COUNT`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Full => 0,
            Self::Summary => 1,
        }
    }
}

/// Turns states into the bytes that go to subscribers.
///
/// Called under the lock of one topic, once per state and shape: it must not block.
pub trait Encoder: Send + Sync + 'static {
    /// One state of a stream.
    fn state(&self, shape: Shape, view: &StreamView, people: &BTreeSet<Identity>) -> Bytes;

    /// The lobby as it is now: its first streams, and how many there are in all.
    fn lobby_snapshot(&self, streams: &[&StreamView], total: usize) -> Bytes;

    /// A stream in the lobby is new or different.
    fn lobby_upsert(&self, view: &StreamView) -> Bytes;

    /// A stream is no longer in the lobby.
    fn lobby_remove(&self, id: &StreamId) -> Bytes;
}
