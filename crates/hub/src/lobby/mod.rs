//! The lobby: one topic over all streams.

mod state;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::{Notice, Phase, StreamView};
use parking_lot::Mutex;
use store::{ListQuery, StoreError, Watch};
use tokio::time::{Instant, sleep};

use crate::registry::Shared;
use crate::slots::{SlotKey, Slots, random_group, wake};
use crate::sockets::FeedKey;
use crate::topic::Trust;

use self::state::{LobbyState, Next};

const PAGE: usize = 1_000;
const RETRY: Duration = Duration::from_secs(1);

/// The lobby's topic.
#[derive(Debug)]
pub(crate) struct Lobby {
    /// Changes of one stream within this time go out as one.
    interval: Duration,
    /// Held by whoever reads the store for it.
    gate: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    trust: Trust,
    state: LobbyState,
    /// Something was missed while a reading was under way.
    missed: bool,
    slots: Slots,
    /// Subscriptions among the slots that each serve all handed-over sockets of a limit.
    feeds: usize,
    /// Subscribers whose sockets were handed over.
    sockets: usize,
    leases: usize,
    idle_since: Instant,
    refreshing: bool,
}

impl Lobby {
    pub(crate) fn new(interval: Duration) -> Self {
        let inner = Inner {
            trust: Trust::Unwatched,
            state: LobbyState::default(),
            missed: false,
            slots: Slots::default(),
            feeds: 0,
            sockets: 0,
            leases: 0,
            idle_since: Instant::now(),
            refreshing: false,
        };
        Self { interval, gate: tokio::sync::Mutex::new(()), inner: Mutex::new(inner) }
    }

    /// The store published something about some stream.
    pub(crate) fn receive(&self, notice: Notice) {
        let mut inner = self.inner.lock();
        if inner.trust == Trust::Unwatched {
            return;
        }
        let news = inner.state.receive(notice, self.interval, Instant::now());
        self.tell(inner, news);
    }

    /// When something that was held back may go out.
    pub(crate) fn next_held(&self) -> Option<Instant> {
        self.inner.lock().state.next_held()
    }

    /// Lets go out what was held back long enough.
    pub(crate) fn release_held(&self) {
        let mut inner = self.inner.lock();
        let news = inner.state.release_held(Instant::now());
        self.tell(inner, news);
    }

    /// Wakes the subscribers that have to leave.
    pub(crate) fn wake_leaving(&self, group: u16) {
        let wakers = self.inner.lock().slots.take_leaving(group);
        wake(wakers);
    }

    /// How many subscribers there are.
    pub(crate) fn subscribers(&self) -> usize {
        let inner = self.inner.lock();
        inner.slots.len() - inner.feeds + inner.sockets
    }

    fn tell(&self, mut inner: parking_lot::MutexGuard<'_, Inner>, news: bool) {
        if news {
            let wakers = inner.slots.take_waiting();
            drop(inner);
            wake(wakers);
        }
    }
}

/// Keeps the lobby watched.
#[derive(Debug)]
pub(crate) struct LobbyLease(Arc<Shared>);

impl Drop for LobbyLease {
    fn drop(&mut self) {
        let mut inner = self.0.lobby.inner.lock();
        inner.leases -= 1;
        inner.idle_since = Instant::now();
    }
}

impl Shared {
    pub(crate) fn lobby_lease(self: &Arc<Self>) -> LobbyLease {
        self.lobby.inner.lock().leases += 1;
        LobbyLease(Arc::clone(self))
    }

    /// Makes sure that the lobby is current. One reading at a time serves all who wait for it.
    pub(crate) async fn ensure_lobby(&self) -> Result<(), StoreError> {
        let lobby = &self.lobby;
        let _gate = lobby.gate.lock().await;
        loop {
            let trust = lobby.inner.lock().trust;
            match trust {
                Trust::Current => return Ok(()),
                Trust::Stale => {}
                Trust::Unwatched => {
                    self.store.watch(Watch::Lobby, true).await?;
                    lobby.inner.lock().trust = Trust::Stale;
                }
            }
            {
                let mut inner = lobby.inner.lock();
                inner.missed = false;
                inner.state.begin_reading();
            }
            self.read_lobby().await?;
            let mut inner = lobby.inner.lock();
            let news = inner.state.finish_reading();
            if !inner.missed {
                inner.trust = Trust::Current;
            }
            lobby.tell(inner, news);
        }
    }

    async fn read_lobby(&self) -> Result<(), StoreError> {
        let mut query = ListQuery { phases: Phase::LISTED.to_vec(), limit: PAGE, cursor: None, hidden: false };
        loop {
            let page = self.store.list(&query).await?;
            let mut inner = self.lobby.inner.lock();
            let mut news = false;
            for head in &page.items {
                news |= inner.state.read(StreamView::from(head), self.lobby.interval, Instant::now());
            }
            self.lobby.tell(inner, news);
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Something may have been missed: what is known is shown until it has been read again.
    pub(crate) fn distrust_lobby(self: &Arc<Self>) {
        {
            let mut inner = self.lobby.inner.lock();
            inner.missed = true;
            if inner.trust != Trust::Current {
                return;
            }
            inner.trust = Trust::Stale;
            if inner.leases == 0 || std::mem::replace(&mut inner.refreshing, true) {
                return;
            }
        }
        let (shared, cancel) = (Arc::clone(self), self.cancel.clone());
        self.tasks.spawn(async move {
            cancel.run_until_cancelled(shared.refresh_lobby()).await;
        });
    }

    async fn refresh_lobby(&self) {
        loop {
            if let Err(error) = self.ensure_lobby().await {
                tracing::debug!(%error, "the lobby can't be read, trying again");
                sleep(RETRY.mul_f64(rand::random_range(0.5..1.0))).await;
            }
            let mut inner = self.lobby.inner.lock();
            if inner.trust == Trust::Current || inner.leases == 0 {
                inner.refreshing = false;
                return;
            }
        }
    }

    /// Stops watching the lobby when nobody has been there for long.
    pub(crate) async fn retire_lobby(&self) {
        let linger = self.settings.linger;
        let unused = |inner: &Inner| inner.leases == 0 && inner.trust != Trust::Unwatched;
        if !unused(&self.lobby.inner.lock()) {
            return;
        }
        let _gate = self.lobby.gate.lock().await;
        {
            let mut inner = self.lobby.inner.lock();
            if !unused(&inner) || inner.idle_since.elapsed() < linger {
                return;
            }
            inner.trust = Trust::Unwatched;
            inner.state = LobbyState::default();
        }
        if let Err(error) = self.store.watch(Watch::Lobby, false).await {
            tracing::debug!(%error, "the lobby can't be unwatched; its notices are ignored");
        }
    }
}

/// A subscriber of the lobby. Dropping it ends the subscription.
///
/// It may also be the feed of many handed-over sockets; then it is no subscriber itself.
#[derive(Debug)]
pub struct LobbySubscription {
    lease: LobbyLease,
    slot: SlotKey,
    /// Streams in a snapshot, at most.
    limit: usize,
    /// Number of the last change it was sent; `None` before the first snapshot.
    cursor: Option<u64>,
    /// The group it leaves with when the hub drains; `None`: a feed, whose sockets leave by themselves.
    group: Option<u16>,
}

/// Subscribes to the lobby, which is current.
pub(crate) fn open(shared: &Arc<Shared>, lease: LobbyLease, limit: usize) -> LobbySubscription {
    let group = random_group();
    let slot = shared.lobby.inner.lock().slots.insert(group);
    LobbySubscription { lease, slot, limit, cursor: None, group: Some(group) }
}

impl LobbySubscription {
    /// The next snapshot or change; `None` when the hub drains.
    pub fn poll_frame(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let shared = &self.lease.0;
        if self.group.is_some_and(|group| shared.has_left(group)) {
            return Poll::Ready(None);
        }
        let mut inner = shared.lobby.inner.lock();
        match inner.state.next(self.cursor, self.limit, shared.encoder.as_ref()) {
            Next::Send(seq, bytes) => {
                self.cursor = Some(seq);
                Poll::Ready(Some(bytes))
            }
            Next::Wait => {
                inner.slots.register(self.slot, cx);
                Poll::Pending
            }
        }
    }

    /// Waits for the next snapshot or change; see [`Self::poll_frame`].
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Subscriptions with the same key are sent the same.
    pub(crate) fn key(&self) -> FeedKey {
        FeedKey::Lobby { limit: self.limit }
    }

    /// Number of the last change it was sent.
    pub(crate) fn seen(&self) -> Option<u64> {
        self.cursor
    }

    /// From now on it serves sockets.
    pub(crate) fn become_feed(&mut self) {
        self.cursor = None;
        if self.group.take().is_some() {
            self.lease.0.lobby.inner.lock().feeds += 1;
        }
    }

    /// A socket of this feed came (`true`) or went.
    pub(crate) fn count_socket(&self, came: bool) {
        let sockets = &mut self.lease.0.lobby.inner.lock().sockets;
        *sockets = if came { *sockets + 1 } else { sockets.saturating_sub(1) };
    }

    /// Number of the newest change, once there is one after that of the last call.
    pub(crate) fn poll_news(&mut self, cx: &Context<'_>) -> Poll<u64> {
        let mut inner = self.lease.0.lobby.inner.lock();
        let newest = inner.state.newest();
        if self.cursor == Some(newest) {
            inner.slots.register(self.slot, cx);
            return Poll::Pending;
        }
        self.cursor = Some(newest);
        Poll::Ready(newest)
    }

    /// Everything that a reader who has seen `cursor` is behind, as one, and the number it has seen then.
    pub(crate) fn batch(&self, cursor: Option<u64>) -> Option<(u64, Bytes)> {
        let shared = &self.lease.0;
        let mut inner = shared.lobby.inner.lock();
        inner.state.batch(cursor, self.limit, shared.encoder.as_ref())
    }
}

impl Drop for LobbySubscription {
    fn drop(&mut self) {
        let mut inner = self.lease.0.lobby.inner.lock();
        inner.slots.remove(self.slot);
        inner.feeds -= usize::from(self.group.is_none());
    }
}
