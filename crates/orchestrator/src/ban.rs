//! Keeping somebody out: banned people are refused at the door and taken out of the room.

use std::time::Duration;

use domain::{Ban, Identity, Phase, StreamId, Timestamp, ban, lift_ban};
use store::Concern;

use crate::join::place_of;
use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

/// A ban ends after this long at the latest: its id may be somebody else's by then.
pub const LONGEST_BAN: Duration = Duration::from_secs(365 * 24 * 3600);

/// Whom to keep out, and for how long.
#[derive(Debug, Clone)]
pub struct BanRequest {
    /// Whom.
    pub identity: Identity,
    /// Until when; a time that is past ends the ban at once.
    pub until: Timestamp,
    /// The host's words, for whoever lists bans.
    pub reason: Option<String>,
}

impl Orchestrator {
    /// Bans somebody from a stream id, in this generation and later ones, and takes out the connections
    /// that are there now. A second ban replaces the first. LiveKit is made to do it, later if it is away.
    ///
    /// Fails with `NotFound`, `Finished`, `TooManyBans` or `Store`.
    pub async fn ban(&self, id: &StreamId, request: &BanRequest) -> Result<Ban, UseCaseError> {
        match self.try_ban(id, request, &[]).await {
            Err(UseCaseError::TooManyBans) => {
                let now = self.now();
                let bans = self.inner.store.bans(id).await?.into_iter();
                let lapsed: Vec<_> = bans.filter(|(_, ban)| !ban.holds(now)).map(|(who, _)| who).collect();
                self.try_ban(id, request, &lapsed).await
            }
            result => result,
        }
    }

    async fn try_ban(&self, id: &StreamId, request: &BanRequest, lapsed: &[Identity]) -> Result<Ban, UseCaseError> {
        let identity = &request.identity;
        let now = self.now();
        let until = request.until.min(now + LONGEST_BAN);
        let new = Ban { until, since: now, reason: request.reason.clone() };
        let scope = Scope { concern: Concern { identity: Some(identity), ..Concern::default() }, ..Scope::default() };
        self.update(id, scope, |loaded, now| {
            let head = loaded.head.as_ref().filter(|head| head.phase != Phase::Reserved);
            let head = head.ok_or(UseCaseError::NotFound)?;
            let decision = ban(head, identity, new.clone(), place_of(loaded), lapsed, &self.inner.rules, now)?;
            Ok(decision.map_or(Step::Done(()), |decision| Step::Commit(Box::new(decision), ())))
        })
        .await?;
        tracing::info!(stream = %id, %until, "somebody was banned");
        Ok(new)
    }

    /// Who is banned from a stream now, by identity. Fails with `NotFound` or `Store`.
    pub async fn list_bans(&self, id: &StreamId) -> Result<Vec<(Identity, Ban)>, UseCaseError> {
        self.get_stream(id).await?;
        let now = self.now();
        let mut bans = self.inner.store.bans(id).await?;
        bans.retain(|(_, ban)| ban.holds(now));
        Ok(bans)
    }

    /// Lifts a ban. Idempotent: whoever is not banned is not. Fails with `NotFound` or `Store`.
    pub async fn lift_ban(&self, id: &StreamId, identity: &Identity) -> Result<(), UseCaseError> {
        let scope = Scope { concern: Concern { identity: Some(identity), ..Concern::default() }, ..Scope::default() };
        self.update(id, scope, |loaded, now| {
            let head = loaded.head.as_ref().filter(|head| head.phase != Phase::Reserved);
            let head = head.ok_or(UseCaseError::NotFound)?;
            let decision = lift_ban(head, identity, place_of(loaded), &self.inner.rules, now);
            Ok(decision.map_or(Step::Done(()), |decision| Step::Commit(Box::new(decision), ())))
        })
        .await
        .map(drop)
    }
}
