//! The embedded store: everything in memory, a log and redb underneath.
//!
//! One process alone. A commit is answered, shown and told about once it is
//! durable; reads never wait for the disk. What is stored where is in
//! [`layout`] and [`log`]; the files themselves are the business of [`connection`].

mod clock;
mod commit;
mod connection;
mod errors;
mod history;
mod layout;
mod lease;
mod list;
mod log;
mod memo;
mod meta;
mod notices;
mod read;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Ban, Head, Identity, Participant, ParticipantSid, Session, StreamId, Timestamp};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::{
    Commit, Committed, Concern, Cursor, Fence, HistoryQuery, ListQuery, Loaded, Memo, MemoSwap, MetaKey, NoticeEvent,
    Page, Partition, PeoplePage, Store, StoreError, Totals, Watch,
};

use clock::Clock;
use connection::Disk;
use layout::Stored;
pub(crate) use memo::check_size;
use notices::Notices;
use state::State;
use writer::Writer;

/// A [`Store`] in this process.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    writer: Writer,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    notices: Notices,
    clock: Clock,
}

impl EmbeddedStore {
    /// Opens the store in folder `dir`, which is made if it is not there. Blocks while it reads.
    ///
    /// Fails with `Misconfigured` when another process has it open or the folder can't be used,
    /// `Corrupt` when the file is damaged, `Full` when it can't be written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::start(Disk::open(dir)?, Clock::system())
    }

    /// A store that forgets everything with the process: for tests and trials.
    pub fn in_memory() -> Self {
        Self::in_memory_by(Clock::system())
    }

    /// The same by a clock of the caller's, for tests in which time is simulated.
    pub fn in_memory_with_clock(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::in_memory_by(Clock::new(wall))
    }

    fn in_memory_by(clock: Clock) -> Self {
        let shared = Arc::new(Shared { state: RwLock::default(), notices: Notices::default(), clock });
        Self { writer: Writer::inline(shared.clone()), shared }
    }

    fn start((disk, stored): (Disk, Stored), clock: Clock) -> Result<Self, StoreError> {
        let Stored { mut state, clock: floor, runs, .. } = stored;
        clock.raise(floor);
        for lease in &mut state.leases {
            lease.begin_run(runs.unsigned_abs());
        }
        let shared = Arc::new(Shared { state: RwLock::new(state), notices: Notices::default(), clock });
        Ok(Self { writer: Writer::spawn(shared.clone(), disk)?, shared })
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.writer.is_open() { Ok(()) } else { Err(StoreError::closed(operation)) }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check_open("ping")
    }

    async fn load(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError> {
        self.check_open("load")?;
        Ok(self.read_stream(id, concern))
    }

    async fn load_many(&self, ids: &[StreamId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.check_open("load_many")?;
        Ok(self.read_heads(ids))
    }

    async fn load_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError> {
        self.check_open("load_full")?;
        Ok(self.read_full(id))
    }

    async fn load_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError> {
        self.check_open("load_state")?;
        Ok(self.read_state(id))
    }

    async fn people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> Result<PeoplePage, StoreError> {
        self.check_open("people")?;
        Ok(self.read_people(id, limit, cursor))
    }

    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError> {
        self.check_open("gone")?;
        Ok(self.read_gone(id, sids))
    }

    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError> {
        self.check_open("bans")?;
        Ok(self.read_bans(id))
    }

    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        self.commit_step(id, commit).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        self.check_open("list")?;
        Ok(self.read_list(query))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Page<Session>, StoreError> {
        self.check_open("history")?;
        Ok(self.read_history(query))
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.check_open("totals")?;
        Ok(self.shared.state.read().totals())
    }

    async fn due(&self, partition: Partition, until: Timestamp, limit: usize) -> Result<Vec<StreamId>, StoreError> {
        self.check_open("due")?;
        Ok(self.read_due(partition, until, limit))
    }

    async fn forget(&self, _id: &StreamId) -> Result<(), StoreError> {
        // Nothing here expires by itself: indexes never outlive their record.
        self.check_open("forget")
    }

    async fn lease(&self, partition: Partition, holder: &str, ttl: Duration) -> Result<Option<Fence>, StoreError> {
        self.check_open("lease")?;
        Ok(self.take_lease(partition, holder, ttl))
    }

    async fn release(&self, partition: Partition, holder: &str) -> Result<(), StoreError> {
        self.check_open("release")?;
        self.release_lease(partition, holder);
        Ok(())
    }

    async fn meta(&self, key: MetaKey) -> Result<Option<String>, StoreError> {
        self.check_open("meta")?;
        Ok(self.read_meta(key))
    }

    async fn swap_meta(&self, key: MetaKey, expected: Option<&str>, value: &str) -> Result<String, StoreError> {
        self.write_meta(key, expected, value).await
    }

    async fn memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_open("memo")?;
        Ok(self.read_memo(key))
    }

    async fn swap_memo(&self, key: &str, expected: Option<&[u8]>, memo: Option<&Memo>) -> Result<MemoSwap, StoreError> {
        self.write_memo(key, expected, memo).await
    }

    async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        self.check_open("watch")?;
        self.shared.notices.watch(what, on);
        Ok(())
    }

    fn notices(&self) -> mpsc::Receiver<NoticeEvent> {
        self.shared.notices.feed.receiver()
    }

    async fn close(&self) {
        self.writer.close().await;
        self.shared.notices.feed.close();
    }
}
