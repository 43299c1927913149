//! What time alone changes: idle streams, longest lives, missing publishers,
//! retention, overdue reservations, and intents whose next try has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Due, EndReason, Head, StreamId, SweepMemory, end, tick};
use futures_util::StreamExt;
use store::{Concern, Fence};
use tokio::time::Instant;

use super::leases::Leases;
use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

/// Most streams of one partition taken up in one look.
const BATCH: usize = 100;
const AT_ONCE: usize = 16;
/// A stream whose timer had to wait for LiveKit is looked at again after this long.
const WAIT_FOR_LIVEKIT: Duration = Duration::from_secs(3);

pub(super) async fn run(orchestrator: Orchestrator, leases: Arc<Leases>) {
    let mut waiting: HashMap<StreamId, Instant> = HashMap::new();
    while orchestrator.pause(orchestrator.inner.jobs.timer_interval).await {
        waiting.retain(|_, until| *until > Instant::now());
        for fence in leases.fences() {
            if let Err(error) = run_partition(&orchestrator, fence, &mut waiting).await {
                tracing::debug!(%error, "timers wait for the store");
                break;
            }
        }
    }
}

async fn run_partition(
    orchestrator: &Orchestrator,
    fence: Fence,
    waiting: &mut HashMap<StreamId, Instant>,
) -> Result<(), UseCaseError> {
    let due = orchestrator.inner.store.due(fence.partition, orchestrator.now(), BATCH).await?;
    let ready: Vec<StreamId> = due.into_iter().filter(|id| !waiting.contains_key(id)).collect();
    let results: Vec<_> = futures_util::stream::iter(ready)
        .map(|id| async move {
            let result = orchestrator.run_timers(&id, fence).await;
            (id, result)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (id, result) in results {
        if let Err(error) = result {
            tracing::debug!(stream = %id, %error, "a timer waits");
            waiting.insert(id, Instant::now() + WAIT_FOR_LIVEKIT);
        }
    }
    Ok(())
}

impl Orchestrator {
    async fn run_timers(&self, id: &StreamId, fence: Fence) -> Result<(), UseCaseError> {
        let Some(head) = self.inner.store.load(id, Concern::default()).await?.head else {
            return Ok(self.inner.store.forget(id).await?);
        };
        for intent in head.due_intents(self.now()).filter(|i| i.kind != domain::IntentKind::CreateRoom) {
            self.carry_out(id, &intent.kind, Some(fence)).await;
        }
        match tick(&head, &self.inner.rules, self.now()) {
            Due::Nothing => Ok(()),
            Due::Reservation => self.settle_reservation(&head).await,
            Due::AskWhoIsThere => self.end_if_idle(&head, fence).await,
            Due::Commit(_) => self.commit_tick(id, fence).await,
        }
    }

    /// Decides again on the newest state: intents may have changed it a moment ago.
    async fn commit_tick(&self, id: &StreamId, fence: Fence) -> Result<(), UseCaseError> {
        let scope = Scope { fence: Some(fence), ..Scope::default() };
        self.update(id, scope, |loaded, now| {
            let due = loaded.head.as_ref().map(|head| tick(head, &self.inner.rules, now));
            Ok(match due {
                Some(Due::Commit(decision)) => Step::Commit(decision, ()),
                _ => Step::Done(()),
            })
        })
        .await
        .map(drop)
    }

    /// Nobody seems to be there: LiveKit is asked once before the stream ends.
    async fn end_if_idle(&self, head: &Head, fence: Fence) -> Result<(), UseCaseError> {
        let people = self.inner.rooms.list_participants(&head.room.name).await?;
        if people.iter().any(|row| row.active && row.kind.keeps_alive()) {
            return self.welcome_unreported(head, fence).await;
        }
        let scope = Scope { fence: Some(fence), ..Scope::default() };
        self.update(&head.id, scope, |loaded, now| {
            let rules = &self.inner.rules;
            let idle = loaded.head.as_ref().filter(|head| matches!(tick(head, rules, now), Due::AskWhoIsThere));
            Ok(match idle.and_then(|head| end(head, EndReason::Idle, rules, now)) {
                Some(decision) => Step::Commit(Box::new(decision), ()),
                None => Step::Done(()),
            })
        })
        .await
        .map(drop)
    }

    /// People are there of whom no webhook told: the same as what a sweep would find.
    async fn welcome_unreported(&self, head: &Head, fence: Fence) -> Result<(), UseCaseError> {
        let Some(room) = self.inner.lookup.find(&head.room.name).await? else {
            return Err(UseCaseError::Busy("LiveKit lists people of a room that it does not list"));
        };
        if head.room.sid.as_ref() != Some(&room.sid) && !self.adopt_room(&head.id, &room, Some(fence)).await? {
            return Err(UseCaseError::Busy("the room is not the stream's"));
        }
        self.reconcile(&head.id, Some(&room), true, &mut SweepMemory::default(), Some(fence)).await?;
        Ok(())
    }
}
