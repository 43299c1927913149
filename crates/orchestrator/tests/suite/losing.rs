//! A store over which somebody else is always a little faster when told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Ban, Head, Identity, Participant, ParticipantSid, RoomSid, StreamId, Timestamp};
use parking_lot::Mutex;
use store::{
    Commit, Committed, Concern, Cursor, Fence, ListQuery, Loaded, Memo, MemoSwap, MetaKey, NoticeEvent, Page,
    Partition, PeoplePage, Store, StoreError, Totals, Watch,
};
use tokio::sync::mpsc;

/// Loses races for rooms of another sid than this.
pub(crate) struct LosingStore {
    inner: Arc<dyn Store>,
    former: Mutex<Option<RoomSid>>,
    lost: AtomicUsize,
}

impl LosingStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, former: Mutex::default(), lost: AtomicUsize::new(0) }
    }

    /// From now on whoever gives an active stream a room of another sid has lost the race.
    pub(crate) fn lose_races_for_other_rooms_than(&self, former: Option<RoomSid>) {
        *self.former.lock() = former;
    }

    pub(crate) fn lose_no_more(&self) {
        *self.former.lock() = None;
    }

    pub(crate) fn lost_races(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    fn loses(&self, commit: &Commit<'_>) -> bool {
        let former = self.former.lock();
        let head = commit.decision.head.as_ref().filter(|head| head.phase.is_active());
        former.is_some() && head.is_some_and(|head| head.room.sid != *former)
    }
}

#[async_trait]
impl Store for LosingStore {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError> {
        self.inner.bans(id).await
    }

    async fn load(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError> {
        self.inner.load(id, concern).await
    }

    async fn load_many(&self, ids: &[StreamId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.inner.load_many(ids).await
    }

    async fn load_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError> {
        self.inner.load_full(id).await
    }

    async fn load_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError> {
        self.inner.load_state(id).await
    }

    async fn people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> Result<PeoplePage, StoreError> {
        self.inner.people(id, limit, cursor).await
    }

    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError> {
        self.inner.gone(id, sids).await
    }

    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        if self.loses(&commit) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(Committed::Conflict);
        }
        self.inner.commit(id, commit).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        self.inner.list(query).await
    }

    async fn history(&self, query: &store::HistoryQuery) -> Result<Page<domain::Session>, StoreError> {
        self.inner.history(query).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.inner.totals().await
    }

    async fn due(&self, partition: Partition, until: Timestamp, limit: usize) -> Result<Vec<StreamId>, StoreError> {
        self.inner.due(partition, until, limit).await
    }

    async fn forget(&self, id: &StreamId) -> Result<(), StoreError> {
        self.inner.forget(id).await
    }

    async fn lease(&self, partition: Partition, holder: &str, ttl: Duration) -> Result<Option<Fence>, StoreError> {
        self.inner.lease(partition, holder, ttl).await
    }

    async fn release(&self, partition: Partition, holder: &str) -> Result<(), StoreError> {
        self.inner.release(partition, holder).await
    }

    async fn meta(&self, key: MetaKey) -> Result<Option<String>, StoreError> {
        self.inner.meta(key).await
    }

    async fn swap_meta(&self, key: MetaKey, expected: Option<&str>, value: &str) -> Result<String, StoreError> {
        self.inner.swap_meta(key, expected, value).await
    }

    async fn memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.memo(key).await
    }

    async fn swap_memo(&self, key: &str, expected: Option<&[u8]>, memo: Option<&Memo>) -> Result<MemoSwap, StoreError> {
        self.inner.swap_memo(key, expected, memo).await
    }

    async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        self.inner.watch(what, on).await
    }

    fn notices(&self) -> mpsc::Receiver<NoticeEvent> {
        self.inner.notices()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
