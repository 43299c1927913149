//! The atomic step, as it waits for its turn.

use domain::{Decision, EventId, StreamId, Timestamp};

use crate::{Commit, Committed, Fence, StoreError};

use super::EmbeddedStore;

/// A commit that owns what it needs.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Whose step.
    pub(super) id: StreamId,
    /// What to do.
    pub(super) decision: Decision,
    /// The event it applies.
    pub(super) event: Option<EventId>,
    /// The lease it is made under.
    pub(super) fence: Option<Fence>,
    /// When it was asked for: memories run from here.
    pub(super) now: Timestamp,
}

impl EmbeddedStore {
    pub(super) async fn commit_step(&self, id: &StreamId, commit: Commit<'_>) -> Result<Committed, StoreError> {
        let step = Step {
            id: id.clone(),
            decision: commit.decision.clone(),
            event: commit.event.cloned(),
            fence: commit.fence,
            now: self.shared.clock.now(),
        };
        self.writer.commit(step).await
    }
}
