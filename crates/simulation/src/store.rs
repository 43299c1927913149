//! One instance's way to the store: slow, failing before or after the effect,
//! deaf for a while, and silent for ever once the instance has crashed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::store::{
    Belief, Beliefs, Checked, Commit, Committed, Concern, Cursor, ErrorKind, Fence, ListQuery, Loaded, Memo, MemoSwap,
    MetaKey, NoticeEvent, Page, Partition, PeoplePage, Store, StoreError, Totals, Watch,
};
use async_trait::async_trait;
use domain::{Ban, Head, Identity, Notice, NoticeBody, Participant, ParticipantSid, StreamId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::pulse::Pulse;
use crate::sim::{Service, Sim};

/// The store as one instance sees it.
pub(crate) struct FaultyStore {
    sim: Arc<Sim>,
    instance: usize,
    pulse: Pulse,
    watched: Mutex<Watched>,
    /// What the instance goes by between two looks, as with the Redis store.
    beliefs: Beliefs,
    notices: mpsc::UnboundedSender<NoticeEvent>,
    receiver: Mutex<Option<mpsc::Receiver<NoticeEvent>>>,
}

#[derive(Default)]
struct Watched {
    streams: BTreeSet<StreamId>,
    lobby: bool,
    /// Notices are lost until then; a gap is told afterwards.
    deaf: Option<Instant>,
}

impl FaultyStore {
    /// The way of `instance`.
    pub(crate) fn new(sim: &Arc<Sim>, instance: usize, pulse: Pulse) -> Arc<Self> {
        let (notices, queue) = mpsc::unbounded_channel();
        let (out, receiver) = mpsc::channel(4096);
        tokio::spawn(forward(sim.clone(), queue, out, pulse.clone()));
        Arc::new(Self {
            sim: sim.clone(),
            instance,
            pulse,
            watched: Mutex::default(),
            beliefs: Beliefs::default(),
            notices,
            receiver: Mutex::new(Some(receiver)),
        })
    }

    /// Notices are lost for this long.
    pub(crate) fn go_deaf(self: &Arc<Self>, time: Duration) {
        self.watched.lock().deaf = Some(Instant::now() + time);
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            let over = {
                let mut watched = this.watched.lock();
                let over = watched.deaf.is_some_and(|until| until <= Instant::now());
                if over {
                    watched.deaf = None;
                }
                over
            };
            if over {
                // The receiver may have gone with its instance.
                let _ = this.notices.send(NoticeEvent::Gap);
            }
        });
    }

    /// Tells this instance of a commit, if it watches.
    pub(crate) fn tell(&self, notice: &Notice) {
        let watched = self.watched.lock();
        if watched.deaf.is_some() {
            return;
        }
        if watched.lobby {
            let _ = self.notices.send(NoticeEvent::Lobby(without_lists(notice)));
        }
        if watched.streams.contains(&notice.id) {
            let _ = self.notices.send(NoticeEvent::Stream(notice.clone()));
        }
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // What jobs ask all the time takes no time, unless it is slow: that keeps plays short.
        let usual = if matches!(operation, "due" | "lease" | "ping") { 0 } else { 2 };
        let fate = self.sim.fate(Service::Store, usual);
        self.pulse.wait(fate.before).await;
        let failed = || StoreError::new(ErrorKind::Unavailable, operation, "simulated");
        if fate.fails_before {
            return Err(failed());
        }
        let result = effect.await;
        self.pulse.wait(fate.after).await;
        if fate.fails_after { Err(failed()) } else { result }
    }

    /// As the Redis store does it.
    fn remember(&self, id: &StreamId, commit: Commit<'_>, checked: &Result<Checked, StoreError>) {
        match checked {
            Ok(Checked::Right(Committed::Done)) => self.beliefs.committed(id, commit.decision),
            Ok(Checked::Wrong(loaded)) => self.beliefs.learn(id, loaded),
            Ok(Checked::Right(Committed::Conflict)) | Err(_) => self.beliefs.forget(id),
            Ok(Checked::Right(Committed::DuplicateEvent | Committed::Fenced)) => {}
        }
    }

    async fn commit_really(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        let before = self.sim.stored(id);
        // The store in memory answers without waiting, so nothing comes between the two looks.
        let committed = self.sim.store.commit(id, commit).await?;
        if committed == Committed::Done {
            let after = self.sim.stored(id);
            self.sim.committed(self.instance, id, (before, after), commit);
            if let Some(notice) = &commit.decision.notice {
                let instances = self.sim.instances.lock().clone();
                instances.iter().for_each(|instance| instance.store.tell(notice));
            }
        } else {
            self.sim.log.write(format!("i{} {id} {committed:?}", self.instance));
        }
        Ok(committed)
    }
}

/// Brings the notices to the hub, in order, sometimes late.
async fn forward(
    sim: Arc<Sim>,
    mut queue: mpsc::UnboundedReceiver<NoticeEvent>,
    out: mpsc::Sender<NoticeEvent>,
    pulse: Pulse,
) {
    while let Some(notice) = queue.recv().await {
        if sim.chance(sim.profile().notice_slow) {
            tokio::time::sleep(sim.millis(1000)).await;
        }
        if pulse.has_stopped() || out.try_send(notice).is_err() {
            return;
        }
    }
}

fn without_lists(notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    if let NoticeBody::Changed { joined, left, .. } = &mut notice.body {
        joined.clear();
        left.clear();
    }
    notice
}

#[async_trait]
impl Store for FaultyStore {
    fn now(&self) -> Timestamp {
        self.sim.store.now()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call("ping", self.sim.store.ping()).await
    }

    async fn load(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError> {
        let loaded = self.call("load", self.sim.store.load(id, concern)).await?;
        if concern.event.is_some() {
            self.beliefs.learn(id, &loaded);
        }
        Ok(loaded)
    }

    fn recall(&self, id: &StreamId, concern: Concern<'_>) -> Option<Loaded> {
        self.beliefs.recall(id, concern)
    }

    async fn load_many(&self, ids: &[StreamId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.call("load_many", self.sim.store.load_many(ids)).await
    }

    async fn load_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError> {
        self.call("load_full", self.sim.store.load_full(id)).await
    }

    async fn load_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError> {
        self.call("load_state", self.sim.store.load_state(id)).await
    }

    async fn people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> Result<PeoplePage, StoreError> {
        self.call("people", self.sim.store.people(id, limit, cursor)).await
    }

    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError> {
        self.call("gone", self.sim.store.gone(id, sids)).await
    }

    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError> {
        self.call("bans", self.sim.store.bans(id)).await
    }

    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        let checked = self.call("commit", self.commit_really(id, commit)).await.map(Checked::Right);
        self.remember(id, commit, &checked);
        checked.map(|checked| match checked {
            Checked::Right(committed) => committed,
            Checked::Wrong(_) => Committed::Conflict,
        })
    }

    async fn commit_if(&self, id: &StreamId, commit: Commit<'_>, belief: Belief<'_>) -> Result<Checked, StoreError> {
        let effect = async {
            // The store in memory answers without waiting: nothing comes between looking and committing.
            let fresh = self.sim.store.load(id, belief.concern).await?;
            if fresh != *belief.loaded {
                self.sim.log.write(format!("i{} {id} believed what is not so", self.instance));
                return Ok(Checked::Wrong(Box::new(fresh)));
            }
            self.commit_really(id, commit).await.map(Checked::Right)
        };
        let checked = self.call("commit", effect).await;
        self.remember(id, commit, &checked);
        checked
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        self.call("list", self.sim.store.list(query)).await
    }

    async fn history(&self, query: &store::HistoryQuery) -> Result<Page<domain::Session>, StoreError> {
        self.call("history", self.sim.store.history(query)).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.call("totals", self.sim.store.totals()).await
    }

    async fn due(&self, partition: Partition, until: Timestamp, limit: usize) -> Result<Vec<StreamId>, StoreError> {
        self.call("due", self.sim.store.due(partition, until, limit)).await
    }

    async fn forget(&self, id: &StreamId) -> Result<(), StoreError> {
        self.call("forget", self.sim.store.forget(id)).await
    }

    async fn lease(&self, partition: Partition, holder: &str, ttl: Duration) -> Result<Option<Fence>, StoreError> {
        let effect = async {
            let fence = self.sim.store.lease(partition, holder, ttl).await?;
            let mut invariants = self.sim.invariants.lock();
            fence.into_iter().for_each(|fence| invariants.fence_given(fence));
            Ok(fence)
        };
        self.call("lease", effect).await
    }

    async fn release(&self, partition: Partition, holder: &str) -> Result<(), StoreError> {
        self.call("release", self.sim.store.release(partition, holder)).await
    }

    async fn meta(&self, key: MetaKey) -> Result<Option<String>, StoreError> {
        self.call("meta", self.sim.store.meta(key)).await
    }

    async fn swap_meta(&self, key: MetaKey, expected: Option<&str>, value: &str) -> Result<String, StoreError> {
        self.call("swap_meta", self.sim.store.swap_meta(key, expected, value)).await
    }

    async fn memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.call("memo", self.sim.store.memo(key)).await
    }

    async fn swap_memo(&self, key: &str, expected: Option<&[u8]>, memo: Option<&Memo>) -> Result<MemoSwap, StoreError> {
        self.call("swap_memo", self.sim.store.swap_memo(key, expected, memo)).await
    }

    async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        let effect = async {
            let mut watched = self.watched.lock();
            match (what, on) {
                (Watch::Lobby, on) => watched.lobby = on,
                (Watch::Stream(id), true) => drop(watched.streams.insert(id.clone())),
                (Watch::Stream(id), false) => drop(watched.streams.remove(id)),
            }
            Ok(())
        };
        self.call("watch", effect).await
    }

    fn notices(&self) -> mpsc::Receiver<NoticeEvent> {
        self.receiver.lock().take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    async fn close(&self) {}
}
