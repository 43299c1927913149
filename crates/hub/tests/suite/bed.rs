//! A hub over an embedded store whose notices and reads can be made to fail,
//! and a hand that changes streams through it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::*;
use hub::{Encoder, Hub, HubSettings, Shape, Subscription};
use store::*;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A store that fails when told to.
pub(crate) struct Flaky {
    pub(crate) inner: EmbeddedStore,
    /// Notices are swallowed.
    pub(crate) deaf: AtomicBool,
    /// Reads fail.
    pub(crate) away: AtomicBool,
    /// Reads take this many milliseconds.
    pub(crate) slow: AtomicI64,
    pub(crate) reads: AtomicUsize,
    /// Watches minus unwatches.
    pub(crate) watched: AtomicI64,
    out: mpsc::Sender<NoticeEvent>,
    hub_end: parking_lot::Mutex<Option<mpsc::Receiver<NoticeEvent>>>,
}

impl Flaky {
    pub(crate) fn start() -> Arc<Self> {
        let (out, hub_end) = mpsc::channel(1024);
        let inner = EmbeddedStore::in_memory();
        let mut notices = inner.notices();
        let store = Arc::new(Self {
            inner,
            deaf: AtomicBool::default(),
            away: AtomicBool::default(),
            slow: AtomicI64::default(),
            reads: AtomicUsize::default(),
            watched: AtomicI64::default(),
            out,
            hub_end: parking_lot::Mutex::new(Some(hub_end)),
        });
        let (weak, out) = (Arc::downgrade(&store), store.out.clone());
        tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                let Some(store) = weak.upgrade() else { return };
                if !store.deaf.load(Ordering::SeqCst) {
                    out.send(notice).await.unwrap();
                }
            }
        });
        store
    }

    /// Tells the hub that something may have been missed.
    pub(crate) async fn gap(&self) {
        self.out.send(NoticeEvent::Gap).await.unwrap();
    }

    pub(crate) fn set(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::SeqCst);
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let slow = u64::try_from(self.slow.load(Ordering::SeqCst)).unwrap();
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::new(ErrorKind::Unavailable, "read", "away"));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Flaky {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
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
        // The snapshot is taken first: what is committed while it is slow is not in it.
        let state = self.inner.load_state(id).await;
        self.read().await?;
        state
    }
    async fn people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> Result<PeoplePage, StoreError> {
        self.inner.people(id, limit, cursor).await
    }
    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError> {
        self.inner.gone(id, sids).await
    }
    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, domain::Ban)>, StoreError> {
        self.inner.bans(id).await
    }
    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        self.inner.commit(id, commit).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        let page = self.inner.list(query).await;
        self.read().await?;
        page
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
        self.watched.fetch_add(if on { 1 } else { -1 }, Ordering::SeqCst);
        self.inner.watch(what, on).await
    }
    fn notices(&self) -> mpsc::Receiver<NoticeEvent> {
        self.hub_end.lock().take().unwrap()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Encodes states as text that tests can read back, and counts how often it is asked.
#[derive(Default)]
pub(crate) struct TextEncoder {
    pub(crate) states: AtomicUsize,
    pub(crate) upserts: AtomicUsize,
    /// So many bytes more in each state.
    pub(crate) padding: AtomicUsize,
    /// Encoding panics.
    pub(crate) panics: AtomicBool,
}

impl Encoder for TextEncoder {
    fn state(&self, shape: Shape, view: &StreamView, people: &BTreeSet<Identity>) -> Bytes {
        assert!(!self.panics.load(Ordering::SeqCst), "told to panic");
        self.states.fetch_add(1, Ordering::SeqCst);
        let names: Vec<_> = people.iter().map(Identity::as_str).collect();
        let names = if shape == Shape::Full { names.join(",") } else { String::new() };
        let padding = "x".repeat(self.padding.load(Ordering::SeqCst));
        format!("{} {} {} [{names}{padding}]", view.version, view.phase.as_str(), view.people).into()
    }
    fn lobby_snapshot(&self, streams: &[&StreamView], total: usize) -> Bytes {
        let ids: Vec<_> = streams.iter().map(|view| format!("{}:{}", view.id, view.people)).collect();
        format!("snapshot {} of {total}", ids.join(",")).into()
    }
    fn lobby_upsert(&self, view: &StreamView) -> Bytes {
        self.upserts.fetch_add(1, Ordering::SeqCst);
        format!("upsert {}:{} {}", view.id, view.people, view.phase.as_str()).into()
    }
    fn lobby_remove(&self, id: &StreamId) -> Bytes {
        format!("remove {id}").into()
    }
}

/// A hub, its store, and a hand on the streams.
pub(crate) struct Bed {
    pub(crate) store: Arc<Flaky>,
    pub(crate) encoder: Arc<TextEncoder>,
    pub(crate) hub: Hub,
    rules: Rules,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(HubSettings { linger: Duration::from_millis(50), ..HubSettings::default() })
    }

    pub(crate) fn with(settings: HubSettings) -> Self {
        let store = Flaky::start();
        let encoder = Arc::new(TextEncoder::default());
        let hub = Hub::new(store.clone(), encoder.clone(), settings);
        Self { store, encoder, hub, rules: Rules::default() }
    }

    pub(crate) async fn watch(&self, id: &str) -> Subscription {
        self.hub.subscribe(&stream(id), Shape::Full, None).await.unwrap().unwrap()
    }

    /// Opens a stream: version 1.
    pub(crate) async fn open(&self, id: &str) {
        let id = stream(id);
        let loaded = self.store.inner.load(&id, Concern::default()).await.unwrap();
        let request = CreateRequest {
            id: id.clone(),
            settings: Settings::default(),
            host_key: None,
            fresh_epoch: Epoch::from("epoch001"),
        };
        let Creation::Reserve(decision) =
            create(loaded.head.as_ref(), loaded.tombstone.as_ref(), request, &self.rules, self.now())
        else {
            panic!("{id} is there already")
        };
        self.commit(&id, &decision).await;
        let head = decision.head.unwrap();
        let room = RoomSnapshot {
            name: head.room.name.clone(),
            sid: RoomSid::from(format!("RM_{}", head.generation)),
            metadata: String::new(),
            num_participants: 0,
            num_publishers: 0,
        };
        let decision = complete(&head, &room, false, &self.rules, self.now()).unwrap();
        self.commit(&id, &decision).await;
    }

    pub(crate) async fn join(&self, id: &str, who: &str) {
        let snapshot = ParticipantSnapshot {
            sid: ParticipantSid::from(format!("PA_{who}")),
            identity: Identity::parse(who).unwrap(),
            name: String::new(),
            kind: Kind::Standard,
            active: true,
            joined_at: None,
            tracks: Vec::new(),
        };
        self.apply(id, who, RoomEventKind::ParticipantJoined(snapshot)).await;
    }

    pub(crate) async fn leave(&self, id: &str, who: &str) {
        let sid = ParticipantSid::from(format!("PA_{who}"));
        self.apply(id, who, RoomEventKind::ParticipantLeft { sid, identity: Identity::parse(who).unwrap() }).await;
    }

    async fn apply(&self, id: &str, who: &str, kind: RoomEventKind) {
        let id = stream(id);
        let (sid, identity) = (ParticipantSid::from(format!("PA_{who}")), Identity::parse(who).unwrap());
        let concern = Concern { sid: Some(&sid), identity: Some(&identity), event: None };
        let loaded = self.store.inner.load(&id, concern).await.unwrap();
        let head = loaded.head.unwrap();
        let event = RoomEvent {
            id: EventId(String::new()),
            room_name: head.room.name.clone(),
            room_sid: head.room.sid.clone().unwrap(),
            room_metadata: None,
            created_at: self.now(),
            kind,
        };
        let context = EventContext {
            head: &head,
            participant: loaded.participant.as_ref(),
            identity_sids: u32::try_from(loaded.identity_sids.len()).unwrap(),
            // The same person comes and goes under one sid here.
            sid_gone: false,
            banned: false,
        };
        let Verdict::Apply(decision) = apply_event(context, &event, &self.rules, self.now()) else {
            panic!("the event changes nothing")
        };
        self.commit(&id, &decision).await;
    }

    pub(crate) async fn end(&self, id: &str) {
        let id = stream(id);
        let head = self.store.inner.load(&id, Concern::default()).await.unwrap().head.unwrap();
        let decision = end(&head, EndReason::RoomFinished, &self.rules, self.now()).unwrap();
        self.commit(&id, &decision).await;
    }

    /// The time an ended record is kept is over.
    pub(crate) async fn expire(&self, id: &str) {
        let id = stream(id);
        let head = self.store.inner.load(&id, Concern::default()).await.unwrap().head.unwrap();
        let Due::Commit(decision) = tick(&head, &self.rules, self.now() + Duration::from_secs(90_000)) else {
            panic!("{id} does not expire")
        };
        self.commit(&id, &decision).await;
    }

    pub(crate) async fn version(&self, id: &str) -> u64 {
        self.store.inner.load(&stream(id), Concern::default()).await.unwrap().head.unwrap().version
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    async fn commit(&self, id: &StreamId, decision: &Decision) {
        let committed = self.store.inner.commit(id, Commit { decision, event: None, fence: None }).await.unwrap();
        assert_eq!(committed, Committed::Done);
    }
}

pub(crate) fn stream(id: &str) -> StreamId {
    StreamId::parse(id).unwrap()
}

/// The next frame; fails when none comes.
pub(crate) async fn next(subscription: &mut Subscription) -> Option<String> {
    let frame = timeout(Duration::from_secs(5), subscription.next()).await.expect("nothing came");
    frame.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Reads until a frame is `wanted`; versions must never fall on the way.
pub(crate) async fn until(subscription: &mut Subscription, wanted: &str) {
    let mut last = 0;
    loop {
        let frame = next(subscription).await.expect("the subscription ended");
        let version: u64 = frame.split(' ').next().unwrap().parse().unwrap();
        assert!(version > last, "version fell from {last} to {version}");
        last = version;
        if frame == wanted {
            return;
        }
    }
}

/// Nothing comes for a moment.
pub(crate) async fn silence(subscription: &mut Subscription) {
    let came = timeout(Duration::from_millis(80), subscription.next()).await;
    assert!(came.is_err(), "something came: {came:?}");
}

/// Waits until `check` holds.
pub(crate) async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}
