//! Taking a person out of a stream.

use domain::{Identity, StreamId, request_removal};
use store::Concern;

use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// Takes out all connections that `identity` has at this moment; done later
    /// when LiveKit is away. The list changes when LiveKit says so.
    ///
    /// Idempotent: somebody who is not there has left. Fails with `NotFound` for
    /// an unknown stream, with `Busy` when too much waits for LiveKit already.
    pub async fn leave_stream(&self, id: &StreamId, identity: &Identity) -> Result<(), UseCaseError> {
        let scope = Scope { concern: Concern { identity: Some(identity), ..Concern::default() }, ..Scope::default() };
        self.update(id, scope, |loaded, now| {
            let head = loaded.head.as_ref().filter(|head| head.phase != domain::Phase::Reserved);
            let head = head.ok_or(UseCaseError::NotFound)?;
            let removal = request_removal(head, identity, &loaded.identity_sids, &self.inner.rules, now);
            match removal {
                Ok(Some(decision)) => Ok(Step::Commit(Box::new(decision), ())),
                Ok(None) => Ok(Step::Done(())),
                Err(_) => Err(UseCaseError::Busy("too many removals are waiting for LiveKit")),
            }
        })
        .await
        .map(drop)
    }
}
