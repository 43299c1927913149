//! Who calls: what a caller has brought, and what that says about one stream.
//!
//! A [`Credential`] is read without looking anything up; compared with a stream's
//! head it gives an [`Authority`], on which `domain` decides.

use std::fmt;
use std::time::Duration;

use domain::{Authority, Head, Identity, Phase, StreamId, Visibility};
use rooms::JoinProof;
use sha2::{Digest, Sha256};
use store::Concern;
use subtle::ConstantTimeEq;

use crate::invite::{INVITE, TICKET};
use crate::orchestrator::{SECRET_LENGTH, random_id};
use crate::seal::{Purpose, Sealed};
use crate::{Orchestrator, UseCaseError};

/// Clients keep refreshed tokens to themselves, so a proof may be this long past its time.
const PROOF_GRACE: Duration = Duration::from_secs(24 * 3600);
/// What a host key begins with: it can be told from other bearers, and found by scanners for secrets.
const HOST_KEY: &str = "lsh_";

const OTHER_USER: &str = "the join token belongs to another userId";
const OTHER_ROOM: &str = "the join token is for another room than the stream's current one";
const OTHER_HOST: &str = "this host key leads another stream, or a former one of this name";
const OTHER_INVITE: &str = "this invite is to another stream, or to a former one of this name";
const OTHER_TICKET: &str = "this ticket is for another stream, or for a former one of this name";

/// The key that leads one generation of a stream. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(String);

impl HostKey {
    pub(crate) fn random() -> Self {
        Self(format!("{HOST_KEY}{}", random_id(SECRET_LENGTH)))
    }

    /// Whether a bearer has the form of a host key, of whatever stream.
    pub fn looks_like(bearer: &str) -> bool {
        bearer.starts_with(HOST_KEY)
    }

    /// The key itself, for whoever created the stream.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// SHA-256 in hexadecimal: the key is long and random, so a quick hash tells nobody anything.
    pub(crate) fn hash(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Without the key.
impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(..)")
    }
}

/// What a caller has brought.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Callers are not told apart.
    Anybody,
    /// Nothing.
    Nothing,
    /// An API key that may read.
    Reader,
    /// An API key that may do everything.
    Admin,
    /// Something like a host key; whose is not known yet.
    HostKey(HostKey),
    /// An invite that was signed here and has not ended.
    Invite(Sealed),
    /// A join token that was signed here.
    JoinToken(JoinProof),
    /// A ticket that was signed here and has not ended: it opens event streams, nothing else.
    Ticket(Sealed),
}

/// A bearer that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Nothing that this deployment gives out.
    #[error("the bearer is neither a known API key, host key or invite, nor a join token of this server")]
    Unknown,
    /// An invite that has ended, or that was signed elsewhere.
    #[error("the invite is not valid, or not any more")]
    Invite,
    /// A ticket that has ended, or that was signed elsewhere.
    #[error("the ticket is not valid, or not any more: ask for a new one")]
    Ticket,
}

impl Credential {
    /// What it says about a stream, for `identity` if it is about somebody.
    ///
    /// Fails with `Forbidden` when it belongs to another stream, generation or identity. Of a private stream that it
    /// does not open it is not even told that it is there: `NotFound`.
    pub(crate) fn authority(&self, head: &Head, identity: Option<&Identity>) -> Result<Authority, UseCaseError> {
        match self.compare(head, identity) {
            Err(_) if !self.opens(head) => Err(UseCaseError::NotFound),
            result => result,
        }
    }

    /// Whether whoever brings it may look at the stream.
    fn opens(&self, head: &Head) -> bool {
        let visibility = head.settings.visibility;
        visibility != Visibility::Private || self.compare(head, None).is_ok_and(|it| it.may_see(visibility))
    }

    fn compare(&self, head: &Head, identity: Option<&Identity>) -> Result<Authority, UseCaseError> {
        let check = |fits: bool, authority, otherwise| fits.then_some(authority).ok_or(otherwise);
        let found = match self {
            Self::Anybody => Ok(Authority::Anybody),
            Self::Nothing => Ok(Authority::Stranger),
            Self::Reader => Ok(Authority::Reader),
            Self::Admin => Ok(Authority::Leader),
            Self::HostKey(key) => check(leads(key, head), Authority::Leader, OTHER_HOST),
            Self::Invite(invite) => check(invite.is_for(head), Authority::Invited(invite.role), OTHER_INVITE),
            Self::Ticket(ticket) => check(ticket.is_for(head), Authority::Invited(ticket.role), OTHER_TICKET),
            Self::JoinToken(proof) if identity.is_some_and(|identity| *identity != proof.identity) => Err(OTHER_USER),
            Self::JoinToken(proof) => check(proof.room == head.room.name, Authority::Owner, OTHER_ROOM),
        };
        found.map_err(UseCaseError::Forbidden)
    }
}

fn leads(key: &HostKey, head: &Head) -> bool {
    head.host_key.as_ref().is_some_and(|hash| bool::from(key.hash().as_bytes().ct_eq(hash.as_bytes())))
}

impl Orchestrator {
    /// Reads a bearer that is no API key. A join token's end is forgiven for 24 h.
    pub fn read_credential(&self, bearer: &str) -> Result<Credential, CredentialError> {
        let now = self.now();
        if HostKey::looks_like(bearer) {
            return Ok(Credential::HostKey(HostKey(bearer.to_owned())));
        }
        if let Some(invite) = bearer.strip_prefix(INVITE) {
            let invite = self.inner.seal.read(Purpose::Invite, invite, now);
            return invite.map(Credential::Invite).ok_or(CredentialError::Invite);
        }
        let proof = self.inner.tokens.verify_join_token(bearer, now, PROOF_GRACE);
        proof.map(Credential::JoinToken).map_err(|_| CredentialError::Unknown)
    }

    /// Reads a ticket.
    pub fn read_ticket(&self, ticket: &str) -> Result<Credential, CredentialError> {
        let ticket = ticket.strip_prefix(TICKET);
        let ticket = ticket.and_then(|ticket| self.inner.seal.read(Purpose::Ticket, ticket, self.now()));
        ticket.map(Credential::Ticket).ok_or(CredentialError::Ticket)
    }

    /// Checks that a caller may look at a stream of this visibility. The store is asked only where it matters.
    ///
    /// Fails with `NotFound` where the stream is not to be told from one that is not there, with `Banned` or `Store`.
    pub async fn check_sight(
        &self,
        id: &StreamId,
        visibility: Visibility,
        credential: &Credential,
    ) -> Result<(), UseCaseError> {
        match credential {
            _ if visibility != Visibility::Private => Ok(()),
            Credential::Anybody | Credential::Admin | Credential::Reader => Ok(()),
            Credential::Nothing => Err(UseCaseError::NotFound),
            Credential::JoinToken(proof) => self.check_guest(id, proof, credential).await,
            _ => self.check_head(&self.get_stream(id).await?, credential),
        }
    }

    /// The same for a stream that is loaded already.
    pub(crate) fn check_head(&self, head: &Head, credential: &Credential) -> Result<(), UseCaseError> {
        credential.opens(head).then_some(()).ok_or(UseCaseError::NotFound)
    }

    /// Whoever was let in may look, unless banned since.
    async fn check_guest(&self, id: &StreamId, proof: &JoinProof, credential: &Credential) -> Result<(), UseCaseError> {
        let concern = Concern { identity: Some(&proof.identity), ..Concern::default() };
        let loaded = self.inner.store.load(id, concern).await?;
        let head = loaded.head.filter(|head| head.phase != Phase::Reserved).ok_or(UseCaseError::NotFound)?;
        self.check_head(&head, credential)?;
        if loaded.ban.is_some_and(|ban| ban.holds(self.now())) { Err(UseCaseError::Banned) } else { Ok(()) }
    }

    /// Checks that a caller may end, change and moderate a stream; `otherwise` says what that needs.
    ///
    /// Fails with `Forbidden`, and for a host key with `NotFound` or `Store` too.
    pub async fn check_lead(
        &self,
        id: &StreamId,
        credential: &Credential,
        otherwise: &'static str,
    ) -> Result<(), UseCaseError> {
        match credential {
            Credential::Anybody | Credential::Admin => Ok(()),
            Credential::HostKey(_) => credential.authority(&self.get_stream(id).await?, None).map(drop),
            _ => Err(UseCaseError::Forbidden(otherwise)),
        }
    }

    /// Checks that a caller may act for `identity`: with its own join token, or as who leads the stream.
    ///
    /// Fails as [`check_lead`](Self::check_lead) does.
    pub async fn check_own(
        &self,
        id: &StreamId,
        identity: &Identity,
        credential: &Credential,
        otherwise: &'static str,
    ) -> Result<(), UseCaseError> {
        match credential {
            Credential::JoinToken(_) => credential.authority(&self.get_stream(id).await?, Some(identity)).map(drop),
            _ => self.check_lead(id, credential, otherwise).await,
        }
    }
}
