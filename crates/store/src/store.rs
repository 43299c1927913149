//! The trait that both backends implement, and the words it uses.

use async_trait::async_trait;
use domain::{
    Ban, Decision, EventId, Head, Identity, Notice, Participant, ParticipantSid, Role, Session, StreamId, Timestamp,
    Tombstone,
};
use tokio::sync::mpsc;

use crate::{HistoryQuery, ListQuery, Memo, MemoSwap, Page, Partition, PeoplePage, StoreError};

/// Keeps streams and tells every instance when one changes.
///
/// All methods fail with [`StoreError`] within 2 s when the backend does not answer.
/// A commit is atomic: head, people, what is known of identities, indexes, totals,
/// due time, event memory and the published notice, or nothing.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The store's clock, the same for all instances: Redis TIME by a refreshed
    /// offset, or the wall clock, never below a time given out or stored before.
    fn now(&self) -> Timestamp;

    /// Fails when the store can't be reached.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The head of a stream and what concerns one participant of it. One round trip.
    async fn load(&self, id: &StreamId, concern: Concern<'_>) -> Result<Loaded, StoreError>;

    /// Heads of several streams, in the order asked; absent ones are `None`.
    async fn load_many(&self, ids: &[StreamId]) -> Result<Vec<Option<Head>>, StoreError>;

    /// The head and the whole list of people, of one moment; by identity and connection.
    async fn load_full(&self, id: &StreamId) -> Result<Option<(Head, Vec<Participant>)>, StoreError>;

    /// The head and the distinct identities of people, sorted, of one moment.
    async fn load_state(&self, id: &StreamId) -> Result<Option<(Head, Vec<Identity>)>, StoreError>;

    /// A page of the connections in a stream (all kinds), by identity and connection; empty for an unknown stream.
    async fn people(
        &self,
        id: &StreamId,
        limit: usize,
        cursor: Option<&crate::Cursor>,
    ) -> Result<PeoplePage, StoreError>;

    /// Which of these connections are remembered to have gone.
    async fn gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Result<Vec<ParticipantSid>, StoreError>;

    /// The bans of a stream id, by identity; also those that have ended and are not forgotten yet.
    /// They are kept without a record too.
    async fn bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, StoreError>;

    /// One atomic step. One round trip.
    async fn commit(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError>;

    /// What this instance believes that [`load`](Self::load) would give, without asking anybody: right unless
    /// somebody else has changed the stream. `None`: there is nothing to go by, or asking is as cheap.
    /// What is decided on a belief is committed with [`commit_if`](Self::commit_if), and with nothing else;
    /// that nothing has to be done can't be concluded from one.
    fn recall(&self, _id: &StreamId, _concern: Concern<'_>) -> Option<Loaded> {
        None
    }

    /// One atomic step that was decided on a belief, if that is right; else what is. One round trip.
    async fn commit_if(&self, id: &StreamId, commit: Commit<'_>, belief: Belief<'_>) -> Result<Checked, StoreError> {
        // Whoever changes anything of it in between makes the commit lose its race.
        let fresh = self.load(id, belief.concern).await?;
        if fresh == *belief.loaded {
            self.commit(id, commit).await.map(Checked::Right)
        } else {
            Ok(Checked::Wrong(Box::new(fresh)))
        }
    }

    /// A page of heads, newest first. Costs the page, not the number of streams.
    async fn list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError>;

    /// A page of history: one row for each generation that is over, latest end first. Rows go by themselves when
    /// the time given with their decision is over. Costs the page, not the number of rows.
    async fn history(&self, query: &HistoryQuery) -> Result<Page<Session>, StoreError>;

    /// Sums over all active streams. Costs the same whatever their number.
    async fn totals(&self) -> Result<Totals, StoreError>;

    /// Streams of a partition whose due time is at or before `until`, soonest first.
    async fn due(&self, partition: Partition, until: Timestamp, limit: usize) -> Result<Vec<StreamId>, StoreError>;

    /// Removes index and due entries of a stream whose record is gone (it expired by itself).
    async fn forget(&self, id: &StreamId) -> Result<(), StoreError>;

    /// Takes or renews the lease of a partition for `holder` until `ttl` from now;
    /// `None` while somebody else holds it. The fencing number rises whenever the holder changes.
    async fn lease(
        &self,
        partition: Partition,
        holder: &str,
        ttl: std::time::Duration,
    ) -> Result<Option<Fence>, StoreError>;

    /// Gives a lease back if `holder` has it.
    async fn release(&self, partition: Partition, holder: &str) -> Result<(), StoreError>;

    /// A deployment-wide value.
    async fn meta(&self, key: MetaKey) -> Result<Option<String>, StoreError>;

    /// Sets a deployment-wide value if it is still `expected`; returns what is stored afterwards.
    async fn swap_meta(&self, key: MetaKey, expected: Option<&str>, value: &str) -> Result<String, StoreError>;

    /// The memo under `key`, unless it has ended. Keys are short, and their owner's own.
    async fn memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes (`Some`) or removes (`None`) the memo under `key` if what is there is `expected`. One round trip.
    async fn swap_memo(&self, key: &str, expected: Option<&[u8]>, memo: Option<&Memo>) -> Result<MemoSwap, StoreError>;

    /// Starts (`true`) or stops telling this instance about a stream or the lobby.
    /// Returns once every commit made from now on will be told.
    async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError>;

    /// The notices of what is watched, in the order of commits per stream.
    /// There is one receiver per store; a second call takes it away from the first.
    /// When the receiver falls behind, notices are dropped and [`NoticeEvent::Gap`] is sent.
    fn notices(&self) -> mpsc::Receiver<NoticeEvent>;

    /// Flushes and stops background work; later calls fail.
    async fn close(&self);
}

/// Whom a load is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Concern<'a> {
    /// This connection.
    pub sid: Option<&'a ParticipantSid>,
    /// This person.
    pub identity: Option<&'a Identity>,
    /// The event about to be applied; see [`Loaded::event_known`].
    pub event: Option<&'a EventId>,
}

/// What the store has of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The head, if there is a record.
    pub head: Option<Head>,
    /// What outlived an earlier record; looked up only when there is no head.
    pub tombstone: Option<Tombstone>,
    /// The connection asked for, if it is in the list.
    pub participant: Option<Participant>,
    /// Live connections of people with the identity asked for.
    pub identity_sids: Vec<ParticipantSid>,
    /// The publishing role that the identity asked for holds in this generation.
    pub granted: Option<Role>,
    /// The ban of the identity asked for; it may have ended. Looked up without a head too.
    pub ban: Option<Ban>,
    /// How many identities hold a role. Counted only when an identity is asked for.
    pub grants: u32,
    /// How many bans are stored, ended ones included. Counted only when an identity is asked for.
    pub bans: u32,
    /// The connection asked for is remembered to have gone.
    pub sid_gone: bool,
    /// The event asked for has been applied before.
    pub event_known: bool,
}

/// One step to commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The step.
    pub decision: &'a Decision,
    /// Remembered with it for [`domain::Retention::EVENT`]; one that is remembered already refuses the step.
    pub event: Option<&'a EventId>,
    /// For steps made under a lease.
    pub fence: Option<Fence>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is stored (durably, in the embedded store) and published.
    Done,
    /// The record has changed since: load and decide again.
    Conflict,
    /// The event was applied before.
    DuplicateEvent,
    /// The lease has passed to somebody else.
    Fenced,
}

/// What a step was decided on, without having asked the store.
#[derive(Debug, Clone, Copy)]
pub struct Belief<'a> {
    /// Whom it is about.
    pub concern: Concern<'a>,
    /// What was believed; there is a head.
    pub loaded: &'a Loaded,
}

/// What became of a step decided on a belief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The belief was right, and this became of the step.
    Right(Committed),
    /// It was wrong, nothing was done, and this is what `load` gives now.
    Wrong(Box<Loaded>),
}

/// Proof of holding a partition's lease; a commit with an older number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Whose lease.
    pub partition: Partition,
    /// Rises with every change of holder.
    pub number: u64,
}

/// Deployment-wide values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaKey {
    /// The random id that marks our rooms.
    Deployment,
    /// Which media side the record belongs to: `external` or `embedded:<id>`.
    MediaSide,
    /// Signs invites and tickets; random, made once.
    AccessKey,
}

/// Sums over active streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Active streams.
    pub streams: u64,
    /// Of these, live ones.
    pub live: u64,
    /// People in them.
    pub people: u64,
}

/// Something to be told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch<'a> {
    /// One stream's notices.
    Stream(&'a StreamId),
    /// The notices of all streams, without lists of people.
    Lobby,
}

/// What the receiver of notices gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeEvent {
    /// A watched stream changed.
    Stream(Notice),
    /// Some stream changed, and the lobby is watched; `joined` and `left` are empty.
    Lobby(Notice),
    /// Something may have been missed: read again whatever is watched.
    Gap,
}
