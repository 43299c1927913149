//! Joining a stream: a token.

use domain::{
    Head, Identity, JoinRequest, OnDuplicate, Phase, Place, Role, RoomName, StreamId, Timestamp, grant, join,
};
use rooms::TokenRequest;
use store::{Concern, Loaded};

use crate::update::{Scope, Step, Updated};
use crate::{Credential, Orchestrator, UseCaseError};

/// A request to join.
#[derive(Debug, Clone)]
pub struct JoinStream {
    /// Who.
    pub identity: Identity,
    /// As what; `None`: the stream's default.
    pub role: Option<Role>,
    /// Display name for the others.
    pub name: Option<String>,
    /// The participant's own metadata, as text.
    pub metadata: Option<String>,
    /// What the caller has brought.
    pub credential: Credential,
    /// When the identity is connected already.
    pub on_duplicate: OnDuplicate,
}

/// A place in a stream's room.
#[derive(Debug, Clone)]
pub struct Joined {
    /// LiveKit access token; the room and the grants are in it.
    pub token: String,
    /// The room of the current generation.
    pub room: RoomName,
    /// Who.
    pub identity: Identity,
    /// The role granted.
    pub role: Role,
    /// The token can't be used to connect after this.
    pub expires_at: Timestamp,
}

impl Orchestrator {
    /// Signs a token for an active stream. Where callers are told apart, a publishing role is written down
    /// before the token is given out.
    ///
    /// Fails with `NotFound`, `Finished`, `Full`, `DuplicateIdentity`, `Held`, `Banned`,
    /// `RoleNotAllowed`, `Forbidden`, `TooManyGrants` or `Store`.
    pub async fn join_stream(&self, id: &StreamId, request: JoinStream) -> Result<Joined, UseCaseError> {
        let (head, role) = self.admit(id, &request).await?;
        let minted = self.inner.tokens.mint(TokenRequest {
            room: &self.room_in_token(&head),
            identity: &request.identity,
            name: request.name.as_deref(),
            metadata: request.metadata.as_deref(),
            role,
            now: self.now(),
        });
        Ok(Joined {
            token: minted.token,
            room: head.room.name,
            identity: request.identity,
            role,
            expires_at: minted.expires_at,
        })
    }

    async fn admit(&self, id: &StreamId, request: &JoinStream) -> Result<(Head, Role), UseCaseError> {
        let JoinStream { identity, credential, .. } = request;
        let scope = Scope { concern: Concern { identity: Some(identity), ..Concern::default() }, ..Scope::default() };
        let updated = self
            .update(id, scope, |loaded, now| {
                let head = loaded.head.as_ref().filter(|head| head.phase != Phase::Reserved);
                let head = head.ok_or(UseCaseError::NotFound)?;
                let asked = JoinRequest {
                    identity: identity.clone(),
                    role: request.role,
                    authority: credential.authority(head, Some(identity))?,
                    on_duplicate: request.on_duplicate,
                };
                let place = place_of(loaded);
                let admitted = (head.clone(), join(Some(head), place, &asked, now)?.role);
                if matches!(credential, Credential::Anybody) {
                    return Ok(Step::Done(admitted));
                }
                let granted = grant(head, identity, admitted.1, place, &self.inner.rules, now);
                Ok(match granted.map_err(|_| UseCaseError::TooManyGrants)? {
                    Some(decision) => Step::Commit(Box::new(decision), admitted),
                    None => Step::Done(admitted),
                })
            })
            .await?;
        match updated {
            Updated::Done(admitted) => Ok(admitted),
            Updated::DuplicateEvent | Updated::Fenced => Err(UseCaseError::Busy("the stream is being changed")),
        }
    }
}

/// What the store has loaded of an identity.
pub(crate) fn place_of(loaded: &Loaded) -> Place<'_> {
    Place {
        connections: &loaded.identity_sids,
        granted: loaded.granted,
        ban: loaded.ban.as_ref(),
        grants: loaded.grants,
        bans: loaded.bans,
    }
}
