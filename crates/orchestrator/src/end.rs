//! Ending a stream on request.

use std::time::Duration;

use domain::{EndReason, IntentKind, StreamId, end};

use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

/// A caller usually finds the room gone when the answer comes; it never waits longer for it.
const COURTESY: Duration = Duration::from_secs(1);

impl Orchestrator {
    /// Ends a stream; its room is removed from LiveKit, later if LiveKit is away.
    ///
    /// Idempotent: an unknown or ended stream is left as it is, nothing is written.
    pub async fn end_stream(&self, id: &StreamId) -> Result<(), UseCaseError> {
        let (this, id) = (self.clone(), id.clone());
        self.detached(async move { this.end_to_the_end(&id).await }).await?
    }

    async fn end_to_the_end(&self, id: &StreamId) -> Result<(), UseCaseError> {
        let Some(head) = self.wait_for_creation(id).await? else { return Ok(()) };
        if !head.phase.is_active() {
            return Ok(());
        }
        self.update(id, Scope::default(), |loaded, now| {
            let ended = loaded.head.as_ref().and_then(|head| end(head, EndReason::Stopped, &self.inner.rules, now));
            Ok(match ended {
                Some(decision) => Step::Commit(Box::new(decision), ()),
                None => Step::Done(()),
            })
        })
        .await?;
        let room = IntentKind::DeleteRoom { room: head.room.name };
        // The commit has started the removal; this only watches whether it is quick.
        let _ = tokio::time::timeout(COURTESY, self.intent_is_gone(id, &room)).await;
        Ok(())
    }

    async fn intent_is_gone(&self, id: &StreamId, kind: &IntentKind) {
        let mut pause = Duration::from_millis(2);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
            match self.inner.store.load(id, store::Concern::default()).await {
                Ok(loaded) if loaded.head.as_ref().is_some_and(|h| h.intents.iter().any(|i| i.kind == *kind)) => {}
                _ => return,
            }
        }
    }
}
