//! The hub as others use it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::StreamId;
use store::Store;
use tokio::time::sleep;

use crate::dispatch;
use crate::encode::{Encoder, Shape};
use crate::error::HubError;
use crate::lobby::{self, LobbySubscription};
use crate::registry::{HubSettings, Shared};
use crate::slots::{LEAVING_GROUPS, wake};
use crate::sockets::{HandOver, SocketSettings, Sockets, Source};
use crate::topic::{self, Position, Subscription};

/// Live fan-out of what one store publishes. A clone is the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What the hub holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubStats {
    /// Topics in the registry, those included that linger.
    pub topics: usize,
    /// Subscribers of streams.
    pub subscribers: usize,
    /// Subscribers of the lobby.
    pub lobby_subscribers: usize,
}

impl Hub {
    /// Starts a hub on `store`, whose notices it takes: one hub per store.
    /// Must be called within a tokio runtime; [`Self::close`] ends its tasks.
    pub fn new(store: Arc<dyn Store>, encoder: Arc<dyn Encoder>, settings: HubSettings) -> Self {
        let shared = Arc::new(Shared::new(store, encoder, settings));
        dispatch::start(&shared);
        Self { shared }
    }

    /// Subscribes to a stream; `None` when there is none of that id. What
    /// comes first is its newest state, unless `last` is that already.
    pub async fn subscribe(
        &self,
        id: &StreamId,
        shape: Shape,
        last: Option<&Position>,
    ) -> Result<Option<Subscription>, HubError> {
        self.refuse_while_draining()?;
        let lease = self.shared.lease(id);
        self.shared.ensure_current(lease.topic()).await?;
        if last.is_some_and(|last| topic::is_behind(&lease, last)) {
            // Another instance has told more than we know: never go back behind it.
            let then = lease.topic().inner.lock().distrust();
            self.shared.carry_out(lease.topic(), then);
            self.shared.ensure_current(lease.topic()).await?;
        }
        let topic = Arc::clone(lease.topic());
        let subscription = topic::open(&self.shared, lease, shape, last)?;
        if subscription.is_none() {
            // Unknown ids do not linger: asking for many of them must cost nothing.
            self.shared.retire(&topic).await;
        }
        Ok(subscription)
    }

    /// Subscribes to the lobby: first a snapshot of at most `limit` streams, then changes.
    pub async fn subscribe_lobby(&self, limit: usize) -> Result<LobbySubscription, HubError> {
        self.refuse_while_draining()?;
        let lease = self.shared.lobby_lease();
        self.shared.ensure_lobby().await?;
        Ok(lobby::open(&self.shared, lease, limit))
    }

    /// Starts the thread that serves handed-over sockets. A second call changes nothing.
    pub fn open_sockets(&self, settings: SocketSettings) -> io::Result<()> {
        if self.shared.sockets.get().is_none() {
            // Whoever was quicker is served by; the thread of whoever was not ends at once.
            let _ = self.shared.sockets.set(Sockets::start(settings)?);
        }
        Ok(())
    }

    /// Whether a socket could be handed over now. If not, its connection has to be served otherwise.
    pub fn takes_sockets(&self) -> bool {
        self.shared.sockets.get().is_some_and(Sockets::are_open)
    }

    /// Hands over a socket whose reader gets what `source` is subscribed to.
    pub fn hand_over(&self, hand_over: HandOver, source: impl Into<Source>) {
        match self.shared.sockets.get() {
            Some(sockets) => sockets.hand_over(hand_over, source.into()),
            None => tracing::error!("a socket was handed over to nobody and is closed"),
        }
    }

    /// Refuses new subscribers and ends the present ones, spread over `spread`; done as soon as nobody is left.
    pub async fn drain(&self, spread: Duration) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for group in 1..=LEAVING_GROUPS {
            self.shared.leave_below.store(group, Ordering::Relaxed);
            self.wake_leaving(group);
            if let Some(sockets) = self.shared.sockets.get() {
                sockets.leave(group);
            }
            if self.is_deserted() {
                // Whoever was let in a moment ago and has not begun yet ends at once.
                self.shared.leave_below.store(LEAVING_GROUPS, Ordering::Relaxed);
                if let Some(sockets) = self.shared.sockets.get() {
                    sockets.leave(LEAVING_GROUPS);
                }
                return;
            }
            sleep(spread / u32::from(LEAVING_GROUPS)).await;
        }
    }

    /// What it holds now.
    pub fn stats(&self) -> HubStats {
        let topics = self.shared.topics.lock();
        HubStats {
            topics: topics.len(),
            subscribers: topics.values().map(|topic| topic.inner.lock().subscribers()).sum(),
            lobby_subscribers: self.shared.lobby.subscribers(),
        }
    }

    /// Ends its tasks and waits for them. Subscribers are told nothing more; handed-over sockets end.
    pub async fn close(&self) {
        if let Some(sockets) = self.shared.sockets.get() {
            sockets.close().await;
        }
        self.shared.cancel.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn is_deserted(&self) -> bool {
        let stats = self.stats();
        stats.subscribers == 0 && stats.lobby_subscribers == 0
    }

    fn refuse_while_draining(&self) -> Result<(), HubError> {
        if self.shared.draining.load(Ordering::Relaxed) { Err(HubError::Draining) } else { Ok(()) }
    }

    fn wake_leaving(&self, group: u16) {
        let topics: Vec<_> = self.shared.topics.lock().values().cloned().collect();
        for topic in topics {
            let wakers = topic.inner.lock().take_leaving(group);
            wake(wakers);
        }
        self.shared.lobby.wake_leaving(group);
    }
}
