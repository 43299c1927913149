//! Joining a stream: a token, and nothing written.

use domain::{Identity, JoinRequest, OnDuplicate, Role, RoomName, StreamId, Timestamp, join};
use rooms::{JoinProof, TokenError, TokenRequest};
use std::time::Duration;
use store::Concern;

use crate::{Orchestrator, UseCaseError};

/// Clients keep refreshed tokens to themselves, so a proof may be this long past its time.
const PROOF_GRACE: Duration = Duration::from_secs(24 * 3600);

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
    /// The caller may overrule a role that was changed by hand (an `admin` key).
    pub with_authority: bool,
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
    /// Signs a token for an active stream.
    ///
    /// Fails with `NotFound`, `Finished`, `Full`, `DuplicateIdentity` or `Store`.
    pub async fn join_stream(&self, id: &StreamId, request: JoinStream) -> Result<Joined, UseCaseError> {
        let concern = Concern { identity: Some(&request.identity), ..Concern::default() };
        let loaded = self.inner.store.load(id, concern).await?;
        let asked = JoinRequest {
            identity: request.identity.clone(),
            role: request.role,
            with_authority: request.with_authority,
            on_duplicate: request.on_duplicate,
        };
        let known = u32::try_from(loaded.identity_sids.len()).unwrap_or(u32::MAX);
        let admission = join(loaded.head.as_ref(), known, &asked)?;
        let head = loaded.head.ok_or(UseCaseError::NotFound)?;
        let minted = self.inner.tokens.mint(TokenRequest {
            room: &self.room_in_token(&head),
            identity: &request.identity,
            name: request.name.as_deref(),
            metadata: request.metadata.as_deref(),
            role: admission.role,
            now: self.now(),
        });
        Ok(Joined {
            token: minted.token,
            room: head.room.name,
            identity: request.identity,
            role: admission.role,
            expires_at: minted.expires_at,
        })
    }

    /// Reads one of our join tokens as a proof of identity; its expiry is forgiven for 24 h.
    /// Whether its room is the stream's current one is for the caller to compare.
    pub fn check_join_token(&self, token: &str) -> Result<JoinProof, TokenError> {
        self.inner.tokens.verify_join_token(token, self.now(), PROOF_GRACE)
    }
}
