//! The access check. A permission is a value that only this module can make.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::{Identity, OnDuplicate, Role, StreamId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{ApiKey, Auth, Scope};
use crate::problem::Problem;
use crate::state::AppState;

const KEY_NEEDED: &str = "this needs an API key: Authorization: Bearer <key>";
const UNKNOWN_KEY: &str = "the bearer is not a known API key";

/// The caller may change things.
#[derive(Debug)]
pub(crate) struct AdminKey(());

/// The caller may read what not everybody may.
#[derive(Debug)]
pub(crate) struct ReadKey(());

/// Nothing new is refused: shutdown has not begun.
#[derive(Debug)]
pub(crate) struct Open(());

/// Who calls, as far as it matters to somebody's own place in a stream.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Callers are not told apart.
    Anybody,
    /// Brought a key.
    Key(Scope),
    /// Brought something else as bearer: a join token, perhaps.
    Token(String),
    /// Brought nothing.
    Nobody,
}

impl FromRequestParts<AppState> for AdminKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        require(&state.config.auth, &parts.headers, Scope::Admin).map(|()| Self(()))
    }
}

impl FromRequestParts<AppState> for ReadKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        require(&state.config.auth, &parts.headers, Scope::Read).map(|()| Self(()))
    }
}

impl FromRequestParts<AppState> for Open {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        if state.is_draining() { Err(Problem::draining()) } else { Ok(Self(())) }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Auth::Keys(keys) = &state.config.auth else { return Ok(Self::Anybody) };
        let Some(bearer) = bearer(&parts.headers)? else { return Ok(Self::Nobody) };
        Ok(find(keys, bearer).map_or_else(|| Self::Token(bearer.to_owned()), |key| Self::Key(key.scope)))
    }
}

/// What a caller may do when joining.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JoinRights {
    /// The role to ask for; `None`: the stream's default.
    pub(crate) role: Option<Role>,
    /// What happens when the identity is there already.
    pub(crate) on_duplicate: OnDuplicate,
    /// Goes before a role that was changed by hand.
    pub(crate) with_authority: bool,
}

impl Caller {
    /// Checks a join: publishing roles need an `admin` key; taking somebody's
    /// place needs a key or that identity's own join token.
    pub(crate) async fn check_join(
        &self,
        state: &AppState,
        id: &StreamId,
        identity: &Identity,
        role: Option<Role>,
        on_duplicate: Option<OnDuplicate>,
    ) -> Result<JoinRights, Problem> {
        let asked = on_duplicate.unwrap_or(OnDuplicate::Replace);
        if matches!(self, Self::Anybody) {
            return Ok(JoinRights { role, on_duplicate: asked, with_authority: false });
        }
        let on_duplicate = match self {
            Self::Nobody => OnDuplicate::Reject,
            Self::Token(token) => {
                prove(state, token, id, identity).await?;
                asked
            }
            Self::Key(_) | Self::Anybody => asked,
        };
        let role = role.unwrap_or(Role::Viewer);
        if role != Role::Viewer {
            self.need_admin("joining as host or speaker needs a key with the scope admin")?;
        }
        Ok(JoinRights { role: Some(role), on_duplicate, with_authority: matches!(self, Self::Key(Scope::Admin)) })
    }

    /// Checks that the caller may take `identity` out: with its own join token, or an `admin` key.
    pub(crate) async fn check_leave(
        &self,
        state: &AppState,
        id: &StreamId,
        identity: &Identity,
    ) -> Result<(), Problem> {
        let why = "leaving needs the join token of this userId, or a key with the scope admin";
        self.own_or_admin(state, id, identity, why).await
    }

    /// Checks that the caller may raise or lower the hand of `identity`: with its own join token, or an `admin` key.
    pub(crate) async fn check_hand(&self, state: &AppState, id: &StreamId, identity: &Identity) -> Result<(), Problem> {
        let why = "a hand needs the join token of its userId, or a key with the scope admin";
        self.own_or_admin(state, id, identity, why).await
    }

    async fn own_or_admin(
        &self,
        state: &AppState,
        id: &StreamId,
        identity: &Identity,
        why: &'static str,
    ) -> Result<(), Problem> {
        match self {
            Self::Token(token) => prove(state, token, id, identity).await,
            Self::Anybody | Self::Key(_) | Self::Nobody => self.need_admin(why),
        }
    }

    fn need_admin(&self, why: &'static str) -> Result<(), Problem> {
        match self {
            Self::Anybody | Self::Key(Scope::Admin) => Ok(()),
            Self::Key(Scope::Read) | Self::Token(_) => Err(Problem::forbidden(why)),
            Self::Nobody => Err(Problem::unauthorized(why)),
        }
    }
}

/// A join token counts by signature, identity and room; the room must be the stream's current one.
async fn prove(state: &AppState, token: &str, id: &StreamId, identity: &Identity) -> Result<(), Problem> {
    let proof = state.orchestrator.check_join_token(token)?;
    if proof.identity != *identity {
        return Err(Problem::forbidden("the join token belongs to another userId"));
    }
    let current = state.orchestrator.get_stream(id).await?.room.name;
    if proof.room != current {
        return Err(Problem::forbidden("the join token is for another room than the stream's current one"));
    }
    Ok(())
}

/// The start of the hash of the key that a request brings, if the key is known: who calls, for limits.
pub(crate) fn known_key(state: &AppState, headers: &HeaderMap) -> Option<u64> {
    let Auth::Keys(keys) = &state.config.auth else { return None };
    let key = find(keys, bearer(headers).ok()??)?;
    key.hash.first_chunk().map(|start| u64::from_be_bytes(*start))
}

fn require(auth: &Auth, headers: &HeaderMap, scope: Scope) -> Result<(), Problem> {
    let Auth::Keys(keys) = auth else { return Ok(()) };
    let bearer = bearer(headers)?.ok_or_else(|| Problem::unauthorized(KEY_NEEDED))?;
    let key = find(keys, bearer).ok_or_else(|| Problem::unauthorized(UNKNOWN_KEY))?;
    if key.scope < scope {
        return Err(Problem::forbidden("this needs a key with the scope admin"));
    }
    Ok(())
}

/// The bearer of a request; another scheme is refused, because it was meant to say something.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let bearer = value.to_str().ok().and_then(|text| {
        let (scheme, credentials) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
    });
    bearer.filter(|bearer| !bearer.is_empty()).map(Some).ok_or_else(|| Problem::unauthorized(KEY_NEEDED))
}

/// Compares with all keys in constant time, whichever it is.
fn find<'a>(keys: &'a [ApiKey], bearer: &str) -> Option<&'a ApiKey> {
    let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
    keys.iter().fold(None, |found, key| if bool::from(key.hash.ct_eq(&hash)) { Some(key) } else { found })
}
