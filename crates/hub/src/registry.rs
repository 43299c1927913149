//! Which topics there are, how they come and go, and how they are read.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::StreamId;
use parking_lot::Mutex;
use store::{Store, StoreError, Watch};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::encode::Encoder;
use crate::held::Held;
use crate::lobby::Lobby;
use crate::slots::wake;
use crate::sockets::Sockets;
use crate::topic::{Then, Topic, Trust};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// How the hub behaves.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// A topic is kept for this long after its last subscriber went.
    pub linger: Duration,
    /// Topics read from the store at the same moment after a gap, at most.
    pub concurrent_reads: usize,
    /// Changes of one stream within this time reach the lobby as one.
    pub lobby_interval: Duration,
    /// Subscribers of one stream, at most.
    pub max_subscribers: usize,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(30),
            concurrent_reads: 16,
            lobby_interval: Duration::from_secs(1),
            max_subscribers: usize::MAX,
        }
    }
}

/// What all parts of one hub share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) settings: HubSettings,
    pub(crate) topics: Mutex<HashMap<StreamId, Arc<Topic>>>,
    /// Topics without subscribers, the longest idle first.
    idle: Mutex<VecDeque<(Instant, Arc<Topic>)>>,
    pub(crate) lobby: Lobby,
    /// Topics with large audiences that are told later.
    pub(crate) held: Held,
    /// Serves handed-over sockets, once that was asked for.
    pub(crate) sockets: OnceLock<Sockets>,
    /// Bounds the readings after a gap.
    pub(crate) reads: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
    /// No new subscriptions.
    pub(crate) draining: AtomicBool,
    /// Subscribers of groups below this have to leave.
    pub(crate) leave_below: AtomicU16,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("topics", &self.topics.lock().len()).finish_non_exhaustive()
    }
}

/// Keeps a topic in the registry.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    topic: Arc<Topic>,
}

impl Lease {
    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut inner = self.topic.inner.lock();
        inner.leases -= 1;
        if inner.leases > 0 {
            return;
        }
        inner.idle_since = Instant::now();
        let queue = !std::mem::replace(&mut inner.queued, true);
        let since = inner.idle_since;
        drop(inner);
        if queue {
            self.shared.idle.lock().push_back((since, Arc::clone(&self.topic)));
        }
    }
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn Store>, encoder: Arc<dyn Encoder>, settings: HubSettings) -> Self {
        Self {
            reads: Semaphore::new(settings.concurrent_reads.max(1)),
            lobby: Lobby::new(settings.lobby_interval),
            held: Held::default(),
            sockets: OnceLock::new(),
            store,
            encoder,
            settings,
            topics: Mutex::default(),
            idle: Mutex::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            draining: AtomicBool::new(false),
            leave_below: AtomicU16::new(0),
        }
    }

    /// Whether subscribers of `group` have to leave.
    pub(crate) fn has_left(&self, group: u16) -> bool {
        group < self.leave_below.load(Ordering::Relaxed)
    }

    /// The topic of `id`, made if there is none.
    pub(crate) fn lease(self: &Arc<Self>, id: &StreamId) -> Lease {
        let mut topics = self.topics.lock();
        let topic = match topics.get(id) {
            Some(topic) => Arc::clone(topic),
            None => {
                let topic = Arc::new(Topic::new(id.clone()));
                topics.insert(id.clone(), Arc::clone(&topic));
                topic
            }
        };
        topic.inner.lock().leases += 1;
        Lease { shared: Arc::clone(self), topic }
    }

    /// Does what a change of a topic asks for. Its lock must be free.
    pub(crate) fn carry_out(self: &Arc<Self>, topic: &Arc<Topic>, then: Then) {
        wake(then.wake);
        if let Some(due) = then.hold {
            self.held.add(due, topic);
        }
        if then.refresh {
            self.refresh(topic);
        }
    }

    /// Makes sure that the topic is current. One reading at a time serves all who wait for it.
    pub(crate) async fn ensure_current(&self, topic: &Arc<Topic>) -> Result<(), StoreError> {
        let _gate = topic.gate.lock().await;
        loop {
            let trust = {
                let mut inner = topic.inner.lock();
                if inner.trust != Trust::Current {
                    inner.begin_reading();
                }
                inner.trust
            };
            // Watched before the first reading, so that nothing falls between the two.
            match trust {
                Trust::Current => return Ok(()),
                Trust::Stale => {}
                Trust::Unwatched => self.store.watch(Watch::Stream(&topic.id), true).await?,
            }
            let reading = self.store.load_state(&topic.id).await.inspect_err(|_| topic.inner.lock().abort_reading())?;
            let then = topic.inner.lock().install(reading);
            wake(then.wake);
            if let Some(due) = then.hold {
                self.held.add(due, topic);
            }
            if !then.refresh {
                return Ok(());
            }
        }
    }

    /// Starts to read the topic again, until it is current or nobody watches.
    pub(crate) fn refresh(self: &Arc<Self>, topic: &Arc<Topic>) {
        if std::mem::replace(&mut topic.inner.lock().refreshing, true) {
            return;
        }
        let (shared, topic) = (Arc::clone(self), Arc::clone(topic));
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            cancel.run_until_cancelled(shared.refresh_until_current(&topic)).await;
        });
    }

    async fn refresh_until_current(&self, topic: &Arc<Topic>) {
        let mut pause = FIRST_RETRY;
        loop {
            if let Err(error) = self.reread(topic).await {
                tracing::debug!(%error, "a watched stream can't be read, trying again");
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(LONGEST_RETRY);
            }
            let mut inner = topic.inner.lock();
            if !inner.needs_refresh() {
                inner.refreshing = false;
                return;
            }
        }
    }

    async fn reread(&self, topic: &Arc<Topic>) -> Result<(), StoreError> {
        // The semaphore is never closed, so there is always a permit to come.
        let _permit = self.reads.acquire().await;
        self.ensure_current(topic).await
    }

    /// Lets go of the topics that have been idle for long.
    pub(crate) async fn retire_idle(&self) {
        while let Some(topic) = self.next_idle() {
            self.retire(&topic).await;
        }
    }

    fn next_idle(&self) -> Option<Arc<Topic>> {
        let mut idle = self.idle.lock();
        loop {
            let (since, _) = idle.front()?;
            if since.elapsed() < self.settings.linger {
                return None;
            }
            let (_, topic) = idle.pop_front()?;
            let mut inner = topic.inner.lock();
            inner.queued = false;
            if inner.leases > 0 {
                continue;
            }
            if inner.idle_since.elapsed() < self.settings.linger {
                // Somebody came and went meanwhile: its time starts anew.
                inner.queued = true;
                let since = inner.idle_since;
                drop(inner);
                idle.push_back((since, topic));
                continue;
            }
            drop(inner);
            return Some(topic);
        }
    }

    /// Stops watching a topic that nobody uses and takes it out. Whoever comes
    /// meanwhile waits at the gate and finds it unwatched.
    pub(crate) async fn retire(&self, topic: &Arc<Topic>) {
        let _gate = topic.gate.lock().await;
        // One that was taken out before, and waited in the queue of idle ones all the same,
        // must not unwatch the stream under the topic that has taken its place.
        if !self.topics.lock().get(&topic.id).is_some_and(|known| Arc::ptr_eq(known, topic)) {
            return;
        }
        {
            let mut inner = topic.inner.lock();
            if inner.leases > 0 {
                return;
            }
            inner.retire();
        }
        if let Err(error) = self.store.watch(Watch::Stream(&topic.id), false).await {
            tracing::debug!(%error, "a stream can't be unwatched; its notices are ignored");
        }
        let mut topics = self.topics.lock();
        let unused = topic.inner.lock().leases == 0;
        if unused {
            topics.remove(&topic.id);
        }
    }
}
