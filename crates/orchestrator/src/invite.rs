//! Invites and tickets: what lets somebody in who has no key.

use std::time::Duration;

use domain::{Role, StreamId, Timestamp};

use crate::seal::Purpose;
use crate::{Credential, Orchestrator, UseCaseError};

/// An invite ends with its stream, and after this long at the latest.
pub const LONGEST_INVITE: Duration = Duration::from_secs(30 * 24 * 3600);
/// An event stream must be opened this soon after its ticket was made.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// What an invite begins with.
pub(crate) const INVITE: &str = "lsi_";
/// What a ticket begins with.
pub(crate) const TICKET: &str = "lst_";

/// An invite or a ticket, just made.
#[derive(Clone)]
pub struct Issued {
    /// The text to be brought; it is stored nowhere.
    pub secret: String,
    /// It is good for nothing from then on.
    pub expires_at: Timestamp,
}

/// Without the secret.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Signs an invite to take part in `role` at most, for `life` (held below [`LONGEST_INVITE`]) or until
    /// the stream ends. Whoever has it may use it, any number of times. The caller has been checked to lead
    /// the stream.
    ///
    /// Fails with `NotFound`, `Finished` or `Store`.
    pub async fn invite(&self, id: &StreamId, role: Role, life: Duration) -> Result<Issued, UseCaseError> {
        let head = self.active(id).await?;
        let life = life.min(LONGEST_INVITE);
        let (text, expires_at) = self.inner.seal.sign(Purpose::Invite, &head, role, life, self.now());
        Ok(Issued { secret: format!("{INVITE}{text}"), expires_at })
    }

    /// Signs a ticket with which the caller can open an event stream of this stream within a minute,
    /// without sending a header.
    ///
    /// Fails with `NotFound`, `Banned` or `Store`.
    pub async fn issue_ticket(&self, id: &StreamId, credential: &Credential) -> Result<Issued, UseCaseError> {
        let head = self.get_stream(id).await?;
        self.check_sight(id, head.settings.visibility, credential).await?;
        let (text, expires_at) = self.inner.seal.sign(Purpose::Ticket, &head, Role::Viewer, TICKET_LIFE, self.now());
        Ok(Issued { secret: format!("{TICKET}{text}"), expires_at })
    }
}
