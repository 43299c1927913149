//! A subscriber of one stream: a cursor, nothing more.

use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::{Epoch, StreamView, Visibility};

use crate::encode::Shape;
use crate::error::HubError;
use crate::registry::{Lease, Shared};
use crate::slots::{SlotKey, random_group};
use crate::sockets::FeedKey;

/// A place in a stream's history: `<epoch>-<version>`, the `id` of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Versions compare within it.
    pub epoch: Epoch,
    /// The version seen last.
    pub version: u64,
}

/// The text is no `<epoch>-<version>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is <epoch>-<version>")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, version) = text.rsplit_once('-').ok_or(InvalidPosition)?;
        let version = version.parse().map_err(|_| InvalidPosition)?;
        Ok(Self { epoch: Epoch::from(epoch), version })
    }
}

impl Position {
    /// Of the same epoch and not reached by `view` yet.
    pub(crate) fn is_ahead_of(&self, view: &StreamView) -> bool {
        self.epoch == view.epoch && self.version > view.version
    }

    fn is_of(&self, view: &StreamView) -> bool {
        self.epoch == view.epoch && self.version == view.version
    }
}

/// A subscriber of one stream. Dropping it ends the subscription.
///
/// It may also be the feed of many handed-over sockets; then it is no subscriber itself.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    lease: Lease,
    slot: SlotKey,
    shape: Shape,
    /// Number of the state it was sent last.
    seen: u64,
    /// The stream's number of closings when it began.
    closings: u64,
    /// The group it leaves with when the hub drains; `None`: a feed, whose sockets leave by themselves.
    group: Option<u16>,
    /// Who might look when it began.
    visibility: Visibility,
}

/// Subscribes to what `lease` holds, if there is such a stream. Nothing is
/// sent for a state the subscriber has already, as `last` says.
pub(crate) fn open(
    shared: &Arc<Shared>,
    lease: Lease,
    shape: Shape,
    last: Option<&Position>,
) -> Result<Option<Subscription>, HubError> {
    let group = random_group();
    let mut inner = lease.topic().inner.lock();
    let Some(state) = &inner.state else { return Ok(None) };
    let has_it = last.is_some_and(|last| last.is_of(&state.view));
    let visibility = state.view.visibility;
    let (seen, closings) = (if has_it { inner.seq } else { 0 }, inner.closings);
    if inner.subscribers() >= shared.settings.max_subscribers {
        return Err(HubError::Full { most: shared.settings.max_subscribers, visibility });
    }
    let slot = inner.audience(shape).slots.insert(group);
    drop(inner);
    Ok(Some(Subscription {
        shared: Arc::clone(shared),
        lease,
        slot,
        shape,
        seen,
        closings,
        group: Some(group),
        visibility,
    }))
}

/// Whether the topic has not reached `last` yet, which another instance has sent.
pub(crate) fn is_behind(lease: &Lease, last: &Position) -> bool {
    let inner = lease.topic().inner.lock();
    inner.state.as_ref().is_some_and(|state| last.is_ahead_of(&state.view))
}

impl Subscription {
    /// Who may look at the stream. It ends before that becomes private: privacy is settled for a generation,
    /// and a private one begins without the watchers of the one before.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// The newest state, once there is one that was not sent yet; `None` when
    /// the stream is gone or the hub drains. Versions within an epoch never fall.
    pub fn poll_frame(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_numbered(cx).map(|frame| frame.map(|(_, bytes)| bytes))
    }

    /// Like [`Self::poll_frame`], with the number of the state.
    pub(crate) fn poll_numbered(&mut self, cx: &Context<'_>) -> Poll<Option<(u64, Bytes)>> {
        let mut inner = self.lease.topic().inner.lock();
        if inner.closings != self.closings || self.group.is_some_and(|group| self.shared.has_left(group)) {
            return Poll::Ready(None);
        }
        match inner.frame_after(self.seen, self.shape, self.shared.encoder.as_ref()) {
            Some((seq, bytes)) => {
                self.seen = seq;
                Poll::Ready(Some((seq, bytes)))
            }
            None => {
                inner.audience(self.shape).slots.register(self.slot, cx);
                Poll::Pending
            }
        }
    }

    /// Waits for the next state; see [`Self::poll_frame`].
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Subscriptions with the same key are sent the same.
    pub(crate) fn key(&self) -> FeedKey {
        FeedKey::Stream { topic: Arc::as_ptr(self.lease.topic()).addr(), shape: self.shape, closings: self.closings }
    }

    /// Number of the state it was sent last.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// From now on it serves sockets, and begins with the newest state.
    pub(crate) fn become_feed(&mut self) {
        self.seen = 0;
        if self.group.take().is_some() {
            self.lease.topic().inner.lock().audience(self.shape).feeds += 1;
        }
    }

    /// A socket of this feed came (`true`) or went.
    pub(crate) fn count_socket(&self, came: bool) {
        let mut inner = self.lease.topic().inner.lock();
        let sockets = &mut inner.audience(self.shape).sockets;
        *sockets = if came { *sockets + 1 } else { sockets.saturating_sub(1) };
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.lease.topic().inner.lock();
        let audience = inner.audience(self.shape);
        audience.slots.remove(self.slot);
        audience.feeds -= usize::from(self.group.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read() {
        let position: Position = "a1b2c3d4-17".parse().unwrap();
        assert_eq!(position, Position { epoch: Epoch::from("a1b2c3d4"), version: 17 });
        for bad in ["", "-", "x", "x-", "x-y", "x--1x", "x-99999999999999999999999"] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidPosition), "{bad:?}");
        }
    }
}
