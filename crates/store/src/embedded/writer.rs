//! The one writer: groups what waits into one write, and makes it visible once it is durable.
//!
//! While a group is being synced the next one collects in a bounded queue;
//! when that is full a caller waits, and fails within two seconds.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::{Committed, ErrorKind, MemoSwap, MetaKey, StoreError};

use super::Shared;
use super::commit::Step;
use super::connection::Disk;
use super::memo::{MemoChange, MemoRequest};
use super::rows::Rows;
use super::state::{Fading, Overlay};

/// Steps that wait while a group is being synced.
const QUEUE: usize = 1024;
/// Most steps synced together.
const MAX_GROUP: usize = 256;
const ANSWER_WITHIN: Duration = Duration::from_millis(1900);

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Request {
    Commit(Box<Step>, Answer<Committed>),
    SwapMeta { key: MetaKey, expected: Option<String>, value: String, answer: Answer<String> },
    SwapMemo(Box<MemoRequest>, Answer<MemoSwap>),
    Close(Answer<()>),
}

/// The way to the writer.
pub(super) enum Writer {
    /// A thread with a file.
    Thread { queue: Mutex<Option<mpsc::Sender<Request>>>, thread: Mutex<Option<JoinHandle<()>>> },
    /// No file: every step is carried out by its caller, one after the other.
    Inline(Mutex<Option<Core>>),
}

impl Writer {
    /// A writer without a file.
    pub(super) fn inline(shared: Arc<Shared>) -> Self {
        Self::Inline(Mutex::new(Some(Core { shared, disk: None, unsettled: None, failing: false })))
    }

    /// A writer with a thread of its own.
    pub(super) fn spawn(shared: Arc<Shared>, disk: Disk) -> Result<Self, StoreError> {
        let (queue, mut requests) = mpsc::channel(QUEUE);
        let mut core = Core { shared, disk: Some(disk), unsettled: None, failing: false };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || core.run(&mut requests))
            .map_err(|error| StoreError::new(ErrorKind::Unavailable, "open", error))?;
        Ok(Self::Thread { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Carries out a step; answers when it is durable.
    pub(super) async fn commit(&self, step: Step) -> Result<Committed, StoreError> {
        self.ask("commit", |answer| Request::Commit(Box::new(step), answer)).await
    }

    /// Sets a deployment-wide value if it is `expected`.
    pub(super) async fn swap_meta(
        &self,
        key: MetaKey,
        expected: Option<String>,
        value: String,
    ) -> Result<String, StoreError> {
        self.ask("swap_meta", |answer| Request::SwapMeta { key, expected, value, answer }).await
    }

    /// Writes or removes a memo if what is there is what is expected.
    pub(super) async fn swap_memo(&self, request: MemoRequest) -> Result<MemoSwap, StoreError> {
        self.ask("swap_memo", |answer| Request::SwapMemo(Box::new(request), answer)).await
    }

    /// Whether [`close`](Self::close) has not been called, and the thread still takes steps.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Thread { queue, .. } => queue.lock().as_ref().is_some_and(|queue| !queue.is_closed()),
            Self::Inline(core) => core.lock().is_some(),
        }
    }

    /// Finishes what waits; later calls fail.
    pub(super) async fn close(&self) {
        // Whoever calls a second time finds it closed: that is what was asked for.
        drop(self.ask("close", Request::Close).await);
        match self {
            Self::Inline(core) => *core.lock() = None,
            Self::Thread { queue, .. } => {
                *queue.lock() = None;
                self.ended().await;
            }
        }
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let request = request(answer);
        match self {
            Self::Inline(core) => {
                core.lock().as_mut().ok_or_else(|| StoreError::closed(operation))?.carry_out(vec![request]);
                answered.await.map_err(|_| StoreError::closed(operation))?
            }
            Self::Thread { queue, .. } => {
                let queue = queue.lock().clone().ok_or_else(|| StoreError::closed(operation))?;
                let exchange = async {
                    queue.send(request).await.map_err(|_| StoreError::closed(operation))?;
                    answered.await.map_err(|_| StoreError::closed(operation))?
                };
                timeout(ANSWER_WITHIN, exchange).await.unwrap_or_else(|_| Err(StoreError::late(operation)))
            }
        }
    }

    /// Waits for the end of the thread without holding up others.
    async fn ended(&self) {
        let Self::Thread { thread, .. } = self else { return };
        let thread = thread.lock().take();
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(move || join(thread)).await);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the store's writer has panicked");
    }
}

impl Drop for Writer {
    /// Waits for the thread, so that the file is free when the store is gone.
    fn drop(&mut self) {
        let Self::Thread { queue, thread } = self else { return };
        *queue.lock() = None;
        if let Some(thread) = thread.lock().take() {
            join(thread);
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("open", &self.is_open()).finish()
    }
}

/// What writes.
pub(super) struct Core {
    shared: Arc<Shared>,
    disk: Option<Disk>,
    /// A group of which nobody knows yet whether it reached the file.
    unsettled: Option<Changes>,
    /// The last group could not be written, and the log says so.
    failing: bool,
}

/// The changes of one group, in order.
#[derive(Debug, Default)]
struct Changes {
    steps: Vec<Step>,
    meta: Vec<(MetaKey, String)>,
    memos: Vec<MemoChange>,
    faded: Vec<(Timestamp, Fading)>,
}

impl Core {
    fn run(&mut self, requests: &mut mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            self.carry_out(group);
        }
        let now = self.shared.clock.now();
        if let Some(Err(error)) = self.disk.as_mut().map(|disk| disk.finish(now)) {
            tracing::warn!(%error, "the store's log was not put into its file at the end; the next start does it");
        }
    }

    /// Decides, writes, shows, answers.
    fn carry_out(&mut self, group: Vec<Request>) {
        if let Err(error) = self.settle() {
            answer_all(group.into_iter().map(Reply::refused).collect(), Err(&error));
            return;
        }
        let (changes, replies) = self.plan(group);
        let written = self.write(changes);
        answer_all(replies, written.as_ref().copied());
    }

    /// Finds out about a group that failed, if there is one.
    fn settle(&mut self) -> Result<(), StoreError> {
        let (Some(disk), Some(_)) = (&mut self.disk, &self.unsettled) else { return Ok(()) };
        let written = disk.settle()?;
        if let Some(changes) = self.unsettled.take()
            && written
        {
            self.show(changes);
        }
        Ok(())
    }

    fn plan(&self, group: Vec<Request>) -> (Changes, Vec<Reply>) {
        let state = self.shared.state.read();
        let mut overlay = Overlay::default();
        let mut changes = Changes::default();
        let mut replies = Vec::with_capacity(group.len());
        for request in group {
            match request {
                Request::Close(answer) => replies.push(Reply::Closed(answer)),
                Request::Commit(step, answer) => {
                    let verdict = overlay.check(&state, &step);
                    if verdict == Committed::Done {
                        changes.steps.push(*step);
                    }
                    replies.push(Reply::Committed(answer, verdict));
                }
                Request::SwapMeta { key, expected, value, answer } => {
                    let (current, swapped) = overlay.swap(&state, key, expected.as_deref(), &value);
                    if swapped {
                        changes.meta.push((key, value));
                    }
                    replies.push(Reply::Swapped(answer, current));
                }
                Request::SwapMemo(request, answer) => {
                    let swap = overlay.swap_memo(&state, &request);
                    if swap == MemoSwap::Done {
                        changes.memos.push(request.change);
                    }
                    replies.push(Reply::Memo(answer, swap));
                }
            }
        }
        let now = self.shared.clock.now();
        changes.faded = state.faded(now, changes.steps.len());
        let outgoing = state.memos.outgoing(&changes.memos, now);
        changes.memos.extend(outgoing);
        (changes, replies)
    }

    fn write(&mut self, changes: Changes) -> Result<(), StoreError> {
        if changes.steps.is_empty() && changes.meta.is_empty() && changes.memos.is_empty() {
            return Ok(());
        }
        let Some(disk) = &mut self.disk else {
            self.show(changes);
            return Ok(());
        };
        let written = {
            let rows = changes.rows(&self.shared.state.read());
            rows.and_then(|rows| disk.write(&rows, self.shared.clock.now()))
        };
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the store's file can be written again");
                }
                self.show(changes);
                Ok(())
            }
            Err(error) => {
                // Said once: every write fails while the disk is full.
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, source = ?error.source, "the store's file can't be written");
                }
                self.unsettled = Some(changes);
                self.settle_after(error)
            }
        }
    }

    /// The group failed with `error`, unless the file says that it is there.
    fn settle_after(&mut self, error: StoreError) -> Result<(), StoreError> {
        let Some(disk) = &mut self.disk else { return Err(error) };
        match disk.settle() {
            Ok(true) => {
                if let Some(changes) = self.unsettled.take() {
                    self.show(changes);
                }
                Ok(())
            }
            Ok(false) => {
                self.unsettled = None;
                Err(error)
            }
            // It stays unsettled, and is looked at again before the next group.
            Err(_) => Err(error),
        }
    }

    /// Makes durable changes visible and tells whoever watches, in order.
    fn show(&self, changes: Changes) {
        let mut notices = Vec::new();
        {
            let mut state = self.shared.state.write();
            for mut step in changes.steps {
                notices.extend(step.decision.notice.take());
                state.apply(step);
            }
            state.meta.extend(changes.meta);
            for change in changes.memos {
                state.memos.apply(change);
            }
            for entry in &changes.faded {
                state.forget(entry);
            }
        }
        for notice in notices {
            self.shared.notices.publish(notice);
        }
    }
}

impl Changes {
    fn rows(&self, state: &super::state::State) -> Result<Rows, StoreError> {
        let mut rows = Rows::default();
        for step in &self.steps {
            rows.add_step(step)?;
        }
        for (key, value) in &self.meta {
            rows.add_text(key.as_str(), value)?;
        }
        for change in &self.memos {
            rows.add_memo(change)?;
        }
        let over = self.faded.iter().filter(|entry| !state.is_renewed(entry) && !self.renews(&entry.1));
        for (_, what) in over {
            rows.add_faded(what)?;
        }
        Ok(rows)
    }

    /// Whether one of the steps remembers it anew.
    fn renews(&self, what: &Fading) -> bool {
        self.steps.iter().any(|step| match what {
            Fading::Event(_, event) => step.event.as_ref().is_some_and(|own| own.0 == *event),
            Fading::Tombstone(id) => step.id == *id && step.decision.tombstone.is_some(),
            Fading::Ban(id, identity) => {
                let mut changes = step.decision.identities.iter();
                step.id == *id && changes.any(|c| matches!(c, domain::IdentityChange::Ban(own, _) if own == identity))
            }
            Fading::Gone(id, sid) => {
                let mut gone = step.decision.participants.iter().filter_map(super::state::gone_sid);
                step.id == *id && gone.any(|own| own == sid)
            }
        })
    }
}

/// An answer that waits until its group is durable.
enum Reply {
    Committed(Answer<Committed>, Committed),
    Swapped(Answer<String>, String),
    Memo(Answer<MemoSwap>, MemoSwap),
    Closed(Answer<()>),
}

impl Reply {
    /// For a request that can't be looked at.
    fn refused(request: Request) -> Self {
        match request {
            Request::Commit(_, answer) => Self::Committed(answer, Committed::Conflict),
            Request::SwapMeta { answer, .. } => Self::Swapped(answer, String::new()),
            Request::SwapMemo(_, answer) => Self::Memo(answer, MemoSwap::Done),
            Request::Close(answer) => Self::Closed(answer),
        }
    }
}

/// Answers; whoever has gone meanwhile is not waiting for it.
fn answer_all(replies: Vec<Reply>, written: Result<(), &StoreError>) {
    for reply in replies {
        match reply {
            Reply::Committed(answer, verdict) => {
                drop(answer.send(written.map(|()| verdict).map_err(StoreError::again)))
            }
            Reply::Swapped(answer, value) => drop(answer.send(written.map(|()| value).map_err(StoreError::again))),
            Reply::Memo(answer, swap) => drop(answer.send(written.map(|()| swap).map_err(StoreError::again))),
            Reply::Closed(answer) => drop(answer.send(Ok(()))),
        }
    }
}
