//! Load, decide, commit; start over when somebody else was faster.

use std::time::Duration;

use domain::{Decision, EventId, Head, Intent, IntentKind, StreamId, Timestamp};
use rand::RngExt;
use store::{Belief, Checked, Commit, Committed, Concern, Fence, Loaded};

use crate::{Orchestrator, UseCaseError};

/// So many lost races in a row mean that something is wrong with the store, not with luck.
const MOST_TRIES: u32 = 40;

/// What a use-case wants done with what was loaded.
pub(crate) enum Step<T> {
    /// Commit this, then return that.
    Commit(Box<Decision>, T),
    /// Return this.
    Done(T),
}

/// What an update works on besides the stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) concern: Concern<'a>,
    pub(crate) event: Option<&'a EventId>,
    pub(crate) fence: Option<Fence>,
}

/// What became of an update.
pub(crate) enum Updated<T> {
    /// Committed, or nothing had to be.
    Done(T),
    /// The event was applied before.
    DuplicateEvent,
    /// The lease is somebody else's now: leave the stream to them.
    Fenced,
}

impl Orchestrator {
    /// Runs `decide` on the newest state until its step is committed.
    pub(crate) async fn update<T>(
        &self,
        id: &StreamId,
        scope: Scope<'_>,
        mut decide: impl FnMut(&Loaded, Timestamp) -> Result<Step<T>, UseCaseError> + Send,
    ) -> Result<Updated<T>, UseCaseError> {
        for attempt in 0..MOST_TRIES {
            let loaded = self.inner.store.load(id, scope.concern).await?;
            let (decision, result) = match decide(&loaded, self.now())? {
                Step::Commit(decision, result) => (decision, result),
                Step::Done(result) => return Ok(Updated::Done(result)),
            };
            let commit = Commit { decision: &decision, event: scope.event, fence: scope.fence };
            match self.inner.store.commit(id, commit).await? {
                Committed::Done => {
                    self.committed(id, loaded.head.as_ref(), &decision);
                    return Ok(Updated::Done(result));
                }
                Committed::DuplicateEvent => return Ok(Updated::DuplicateEvent),
                Committed::Fenced => return Ok(Updated::Fenced),
                Committed::Conflict => self.wait_for_luck(attempt).await,
            }
        }
        Err(UseCaseError::Busy("the stream is being changed by many at once"))
    }

    /// The same for a step that usually follows one of this instance's own: on what it believes, in one round
    /// trip, and only where that is wrong on what the store says.
    pub(crate) async fn update_on_belief<T>(
        &self,
        id: &StreamId,
        scope: Scope<'_>,
        mut decide: impl FnMut(&Loaded, Timestamp) -> Result<Step<T>, UseCaseError> + Send,
    ) -> Result<Updated<T>, UseCaseError> {
        let mut believed = self.inner.store.recall(id, scope.concern);
        let mut certain = false;
        while let Some(loaded) = believed {
            let (decision, result) = match decide(&loaded, self.now())? {
                Step::Commit(decision, result) => (decision, result),
                Step::Done(result) if certain => return Ok(Updated::Done(result)),
                // That nothing has to be done is not to be believed.
                Step::Done(_) => break,
            };
            let commit = Commit { decision: &decision, event: scope.event, fence: scope.fence };
            let belief = Belief { concern: scope.concern, loaded: &loaded };
            match self.inner.store.commit_if(id, commit, belief).await? {
                Checked::Right(Committed::Done) => {
                    self.committed(id, loaded.head.as_ref(), &decision);
                    return Ok(Updated::Done(result));
                }
                Checked::Right(Committed::DuplicateEvent) => return Ok(Updated::DuplicateEvent),
                Checked::Right(Committed::Fenced) => return Ok(Updated::Fenced),
                Checked::Right(Committed::Conflict) => break,
                // Once is luck; who is wrong again waits its turn with the others.
                Checked::Wrong(_) if certain => break,
                Checked::Wrong(fresh) => believed = Some(*fresh),
            }
            certain = true;
        }
        self.update(id, scope, decide).await
    }

    /// Commits one decision made elsewhere; `false` when the race was lost.
    pub(crate) async fn commit_once(
        &self,
        id: &StreamId,
        before: &Head,
        decision: &Decision,
        fence: Option<Fence>,
    ) -> Result<bool, UseCaseError> {
        let committed = self.inner.store.commit(id, Commit { decision, event: None, fence }).await?;
        if committed == Committed::Done {
            self.committed(id, Some(before), decision);
        }
        Ok(committed == Committed::Done)
    }

    /// Logs what happened and carries out at once what LiveKit has to be made to do.
    fn committed(&self, id: &StreamId, before: Option<&Head>, decision: &Decision) {
        let Some(after) = &decision.head else { return };
        log_change(before, after);
        let known = before.map_or(&[][..], |head| &head.intents);
        let fresh = after.intents.iter().filter(|intent| !known.iter().any(|k| k.kind == intent.kind));
        for intent in fresh.filter(|intent| intent.kind != IntentKind::CreateRoom) {
            self.spawn_intent(id, intent);
        }
    }

    fn spawn_intent(&self, id: &StreamId, intent: &Intent) {
        let (this, id, intent) = (self.clone(), id.clone(), intent.clone());
        self.inner.tasks.spawn(async move { this.carry_out(&id, &intent.kind, None).await });
    }

    async fn wait_for_luck(&self, attempt: u32) {
        let most = u64::from(attempt.min(8)) * 4 + 1;
        let wait = Duration::from_millis(rand::rng().random_range(0..=most));
        tokio::time::sleep(wait).await;
    }
}

fn log_change(before: Option<&Head>, after: &Head) {
    let was = before.map(|head| head.phase);
    if was == Some(after.phase) {
        return;
    }
    tracing::info!(
        stream = %after.id,
        generation = after.generation,
        version = after.version,
        from = was.map_or("none", domain::Phase::as_str),
        to = after.phase.as_str(),
        reason = after.end_reason.map_or("", domain::EndReason::as_str),
        "stream changed phase"
    );
}
