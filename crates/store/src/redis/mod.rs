//! The Redis store: shared by any number of instances, on one server or a cluster.
//!
//! Every change is one Lua script over keys of one hash tag, every read one
//! round trip. What is stored where is in [`layout`]; how Redis is reached is the
//! business of [`connection`] and, for notices, [`notices`] and [`subscription`].

mod address;
mod away;
mod clock;
mod commit;
mod connection;
mod errors;
mod history;
mod inspect;
mod layout;
mod lease;
mod list;
mod memo;
mod meta;
mod notices;
mod probe;
mod read;
mod script;
mod subscription;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Ban, Head, Identity, Participant, ParticipantSid, Session, StreamId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{
    Belief, Beliefs, Checked, Commit, Committed, Concern, Cursor, Fence, HistoryQuery, ListQuery, Loaded, Memo,
    MemoSwap, MetaKey, NoticeEvent, Page, Partition, PeoplePage, Store, StoreError, Totals, Watch,
};

pub use inspect::RedisFacts;

use clock::Clock;
use connection::Link;
use layout::Layout;
use notices::Notices;
use script::Scripts;
use subscription::{Nodes, Place};

/// Where Redis is.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://` or `rediss://` with user, password, host, port and database number as needed. A node of a
    /// cluster is enough to find the others; several, comma-separated, let it start while one is away.
    pub url: String,
    /// What all keys begin with: letters, digits, `.`, `_` and `-`.
    pub prefix: String,
}

impl RedisConfig {
    /// The URLs in a comma-separated list. Only a comma before another `redis://` or `rediss://` separates:
    /// passwords may hold commas.
    pub fn urls(list: &str) -> Vec<&str> {
        address::split(list)
    }
}

/// Whether what Redis acknowledges outlives its crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// `appendonly yes`, `appendfsync always` and `noeviction` (or no memory limit).
    Durable,
    /// It may lose something; the settings that make it so, as `name value`.
    Lossy(Vec<String>),
    /// The server does not tell its settings.
    Unknown,
}

/// A [`Store`] in Redis or Valkey.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    layout: Layout,
    scripts: Scripts,
    clock: Arc<Clock>,
    notices: Notices,
    /// Of the streams whose events come to this instance.
    beliefs: Beliefs,
    refresh: Mutex<Option<JoinHandle<()>>>,
    closed: AtomicBool,
}

impl RedisStore {
    /// Connects. Fails within about 2 s: `Misconfigured` for a wrong URL, prefix or password,
    /// `Unavailable` when nobody answers. Later losses of the connection heal by themselves.
    pub async fn connect(config: RedisConfig) -> Result<Self, StoreError> {
        // The prefix is checked before anybody is asked.
        Layout::new(&config.prefix, 0, false)?;
        let link = Arc::new(Link::connect(&config.url).await?);
        let layout = Layout::new(&config.prefix, link.database(), link.is_cluster())?;
        let scripts = Scripts::new();
        link.load_scripts(&scripts.all()).await?;
        let clock = Arc::new(Clock::start(&link, layout.meta(MetaKey::Deployment)).await?);
        let refresh = tokio::spawn(keep_time(clock.clone(), link.clone()));
        Ok(Self {
            notices: Notices::start(places(&link, &layout)?, layout.clone()),
            refresh: Mutex::new(Some(refresh)),
            scripts,
            beliefs: Beliefs::default(),
            closed: AtomicBool::new(false),
            link,
            layout,
            clock,
        })
    }

    /// Whether it is a cluster.
    pub fn is_cluster(&self) -> bool {
        self.link.is_cluster()
    }

    /// Asks whether Redis (of a cluster, one node of it) is set to keep what it acknowledges, for a line in
    /// the log at the start.
    pub async fn durability(&self) -> Durability {
        let mut lossy = Vec::new();
        for (name, safe) in [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")] {
            match self.setting(name).await {
                None => return Durability::Unknown,
                Some(value) if value == safe => {}
                // Nothing is evicted where memory has no limit.
                Some(_) if name == "maxmemory-policy" && self.setting("maxmemory").await.as_deref() == Some("0") => {}
                Some(value) => lossy.push(format!("{name} {value}")),
            }
        }
        if lossy.is_empty() { Durability::Durable } else { Durability::Lossy(lossy) }
    }

    async fn setting(&self, name: &str) -> Option<String> {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("GET").arg(name);
        let settings: Vec<(String, String)> = self.link.anywhere("settings", cmd).await.ok()?;
        settings.into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::closed(operation)) } else { Ok(()) }
    }
}

/// Where notices are heard: on the server, or at every partition of a cluster.
fn places(link: &Link, layout: &Layout) -> Result<Vec<Place>, StoreError> {
    if !link.is_cluster() {
        return Ok(vec![Place::Server(link.client()?)]);
    }
    let nodes = Nodes::new(link.nodes()).ok_or_else(|| StoreError::closed("connect"))?;
    let nodes = Arc::new(nodes);
    let place =
        |partition| Place::Partition { nodes: nodes.clone(), here: layout.silent_channel(partition), owner: None };
    Ok(Partition::all().map(place).collect())
}

/// Measures the clock's offset for as long as the store is there.
async fn keep_time(clock: Arc<Clock>, link: Arc<Link>) {
    loop {
        tokio::time::sleep(clock::REFRESH).await;
        if let Err(error) = clock.refresh(&link).await {
            tracing::debug!(%error, "the time of Redis could not be asked");
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        if let Some(task) = self.refresh.lock().take() {
            task.abort();
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check_open("ping")?;
        self.link.ping().await
    }

    async fn load(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError> {
        self.check_open("load")?;
        self.read_stream(id, concern).await
    }

    async fn load_many(&self, ids: &[StreamId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.check_open("load_many")?;
        self.read_heads("load_many", ids).await
    }

    async fn load_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError> {
        self.check_open("load_full")?;
        self.read_full(id).await
    }

    async fn load_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError> {
        self.check_open("load_state")?;
        self.read_state(id).await
    }

    async fn people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> Result<PeoplePage, StoreError> {
        self.check_open("people")?;
        self.read_people(id, limit, cursor).await
    }

    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError> {
        self.check_open("gone")?;
        self.read_gone(id, sids).await
    }

    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError> {
        self.check_open("bans")?;
        self.read_bans(id).await
    }

    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        self.check_open("commit")?;
        match self.commit_step(id, commit, None).await? {
            Checked::Right(committed) => Ok(committed),
            Checked::Wrong(_) => Ok(Committed::Conflict),
        }
    }

    fn recall(&self, id: &StreamId, concern: Concern<'_>) -> Option<Loaded> {
        self.beliefs.recall(id, concern)
    }

    async fn commit_if(&self, id: &StreamId, commit: Commit<'_>, belief: Belief<'_>) -> Result<Checked, StoreError> {
        self.check_open("commit")?;
        self.commit_step(id, commit, Some(belief)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        self.check_open("list")?;
        self.read_list(query).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Page<Session>, StoreError> {
        self.check_open("history")?;
        self.read_history(query).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.check_open("totals")?;
        self.read_totals().await
    }

    async fn due(&self, partition: Partition, until: Timestamp, limit: usize) -> Result<Vec<StreamId>, StoreError> {
        self.check_open("due")?;
        self.read_due(partition, until, limit).await
    }

    async fn forget(&self, id: &StreamId) -> Result<(), StoreError> {
        self.check_open("forget")?;
        self.forget_stream(id).await
    }

    async fn lease(&self, partition: Partition, holder: &str, ttl: Duration) -> Result<Option<Fence>, StoreError> {
        self.check_open("lease")?;
        self.take_lease(partition, holder, ttl).await
    }

    async fn release(&self, partition: Partition, holder: &str) -> Result<(), StoreError> {
        self.check_open("release")?;
        self.release_lease(partition, holder).await
    }

    async fn meta(&self, key: MetaKey) -> Result<Option<String>, StoreError> {
        self.check_open("meta")?;
        self.read_meta(key).await
    }

    async fn swap_meta(&self, key: MetaKey, expected: Option<&str>, value: &str) -> Result<String, StoreError> {
        self.check_open("swap_meta")?;
        self.write_meta(key, expected, value).await
    }

    async fn memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_open("memo")?;
        self.read_memo(key).await
    }

    async fn swap_memo(&self, key: &str, expected: Option<&[u8]>, memo: Option<&Memo>) -> Result<MemoSwap, StoreError> {
        self.check_open("swap_memo")?;
        self.write_memo(key, expected, memo).await
    }

    async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        self.notices.watch(what, on).await
    }

    fn notices(&self) -> mpsc::Receiver<NoticeEvent> {
        self.notices.feed.receiver()
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(task) = self.refresh.lock().take() {
            task.abort();
        }
        self.notices.close().await;
    }
}
