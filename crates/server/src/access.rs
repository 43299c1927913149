//! The access check. A permission is a value that only this module can make.
//!
//! What a caller brings is read here; what it says about a stream is the
//! orchestrator's business, and who may join as what is decided in `domain`.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::{Identity, OnDuplicate, StreamId, Visibility};
use orchestrator::{Credential, UseCaseError};

use crate::config::{Auth, Scope};
use crate::problem::Problem;
use crate::state::AppState;

const BEARER_NEEDED: &str = "this needs a bearer: Authorization: Bearer <key>";
const ADMIN_NEEDED: &str = "this needs a key with the scope admin";
const LEADER_NEEDED: &str = "this needs the stream's host key, or a key with the scope admin";
const ROLE_NEEDS: &str = "joining as host or speaker needs the stream's host key, a key with the scope admin, \
                          or for a speaker an invite";

/// The caller may read what not everybody may.
#[derive(Debug)]
pub(crate) struct ReadKey(());

/// The caller may create streams.
#[derive(Debug)]
pub(crate) struct Creator(());

/// The caller may end, change and moderate the stream of the path.
#[derive(Debug)]
pub(crate) struct Leader(());

/// Nothing new is refused: shutdown has not begun.
#[derive(Debug)]
pub(crate) struct Open(());

/// Who calls. What was brought has been read, and not yet compared with a stream.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Credential);

/// Who looks. A bearer that can't be read matters only where looking needs one.
#[derive(Debug)]
pub(crate) struct Onlooker(Result<Caller, Problem>);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Self::of(state, &parts.headers)
    }
}

impl FromRequestParts<AppState> for Onlooker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self(Caller::from_request_parts(parts, state).await))
    }
}

impl FromRequestParts<AppState> for ReadKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, state).await?.check_key().map(|()| Self(()))
    }
}

impl FromRequestParts<AppState> for Creator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Caller(credential) = Caller::from_request_parts(parts, state).await?;
        match credential {
            Credential::Anybody | Credential::Admin => Ok(Self(())),
            _ if state.config.open_create => Ok(Self(())),
            Credential::Nothing => Err(Problem::unauthorized(ADMIN_NEEDED)),
            _ => Err(Problem::forbidden(ADMIN_NEEDED)),
        }
    }
}

impl FromRequestParts<AppState> for Leader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if matches!(caller.0, Credential::Anybody | Credential::Admin) {
            return Ok(Self(()));
        }
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::stream_not_found())?;
        let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, text)| StreamId::parse(text).ok());
        caller.check_lead(state, &id.ok_or_else(Problem::stream_not_found)?).await.map(|()| Self(()))
    }
}

impl FromRequestParts<AppState> for Open {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        if state.is_draining() { Err(Problem::draining()) } else { Ok(Self(())) }
    }
}

impl Caller {
    /// Reads what a request brings; a bearer that nobody knows, or that has ended, is refused.
    pub(crate) fn of(state: &AppState, headers: &HeaderMap) -> Result<Self, Problem> {
        let Auth::Keys(keys) = &state.config.auth else { return Ok(Self(Credential::Anybody)) };
        let Some(bearer) = bearer(headers)? else { return Ok(Self(Credential::Nothing)) };
        match keys.find(bearer, state.orchestrator.now()).map(|key| key.scope) {
            Some(Scope::Admin) => Ok(Self(Credential::Admin)),
            Some(Scope::Read) => Ok(Self(Credential::Reader)),
            None => Ok(Self(state.orchestrator.read_credential(bearer)?)),
        }
    }

    /// What an API key allows now: its scope may have been changed since its last request.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self.0 {
            Credential::Admin => Some(Scope::Admin),
            Credential::Reader => Some(Scope::Read),
            _ => None,
        }
    }

    /// What was brought.
    pub(crate) fn into_credential(self) -> Credential {
        self.0
    }

    /// What happens to somebody who is there under the same identity. Whoever brings nothing replaces nobody.
    pub(crate) fn on_duplicate(&self, asked: Option<OnDuplicate>) -> OnDuplicate {
        match self.0 {
            Credential::Nothing => OnDuplicate::Reject,
            _ => asked.unwrap_or(OnDuplicate::Replace),
        }
    }

    /// A refused role in words that tell what it needs.
    pub(crate) fn join_problem(&self, error: UseCaseError) -> Problem {
        match error {
            UseCaseError::RoleNotAllowed => self.refused(ROLE_NEEDS),
            error => error.into(),
        }
    }

    /// Checks that the caller may end, change and moderate a stream.
    pub(crate) async fn check_lead(&self, state: &AppState, id: &StreamId) -> Result<(), Problem> {
        self.told(state.orchestrator.check_lead(id, &self.0, LEADER_NEEDED).await, LEADER_NEEDED)
    }

    /// Checks that the caller may act for `identity`; `why` says what that needs.
    pub(crate) async fn check_own(
        &self,
        state: &AppState,
        id: &StreamId,
        identity: &Identity,
        why: &'static str,
    ) -> Result<(), Problem> {
        self.told(state.orchestrator.check_own(id, identity, &self.0, why).await, why)
    }

    /// Checks that the caller has a key of whatever scope.
    pub(crate) fn check_key(&self) -> Result<(), Problem> {
        match self.0 {
            Credential::Anybody | Credential::Admin | Credential::Reader => Ok(()),
            _ => Err(self.refused("this needs an API key: Authorization: Bearer <key>")),
        }
    }

    /// Checks that the caller has a key that may do everything.
    pub(crate) fn check_admin(&self) -> Result<(), Problem> {
        match self.0 {
            Credential::Anybody | Credential::Admin => Ok(()),
            _ => Err(self.refused(ADMIN_NEEDED)),
        }
    }

    /// Whoever brought nothing is asked to; whoever brought too little is told so.
    fn refused(&self, why: &'static str) -> Problem {
        if matches!(self.0, Credential::Nothing) { Problem::unauthorized(why) } else { Problem::forbidden(why) }
    }

    fn told(&self, result: Result<(), UseCaseError>, why: &'static str) -> Result<(), Problem> {
        result.map_err(|error| match error {
            UseCaseError::Forbidden(_) if matches!(self.0, Credential::Nothing) => Problem::unauthorized(why),
            error => error.into(),
        })
    }
}

impl Onlooker {
    /// Somebody who looks by a ticket, if there is one.
    pub(crate) fn or_ticket(self, state: &AppState, ticket: Option<&str>) -> Self {
        let told_apart = state.config.auth.is_on();
        match ticket.filter(|_| told_apart) {
            Some(ticket) => Self(state.orchestrator.read_ticket(ticket).map(Caller).map_err(Problem::from)),
            None => self,
        }
    }

    /// Checks that the caller has a key of whatever scope.
    pub(crate) fn check_key(&self) -> Result<(), Problem> {
        self.0.as_ref().map_err(Clone::clone)?.check_key()
    }

    /// There is no such stream. Whoever brings what nobody knows hears of that instead, as for a private stream.
    pub(crate) fn not_found(&self) -> Problem {
        self.0.as_ref().err().cloned().unwrap_or_else(Problem::stream_not_found)
    }

    /// A stream that was looked for.
    pub(crate) fn found<T>(&self, result: Result<T, UseCaseError>) -> Result<T, Problem> {
        result.map_err(|error| match error {
            UseCaseError::NotFound => self.not_found(),
            error => error.into(),
        })
    }

    /// Checks that the caller may look at a stream of this visibility. Refused as [`not_found`](Self::not_found).
    pub(crate) async fn check_sight(
        &self,
        state: &AppState,
        id: &StreamId,
        visibility: Visibility,
    ) -> Result<(), Problem> {
        if visibility != Visibility::Private {
            return Ok(());
        }
        let Caller(credential) = self.0.as_ref().map_err(Clone::clone)?;
        Ok(state.orchestrator.check_sight(id, visibility, credential).await?)
    }
}

/// The start of the hash of the key that a request brings, if the key is known: who calls, for limits.
pub(crate) fn known_key(state: &AppState, headers: &HeaderMap) -> Option<u64> {
    let Auth::Keys(keys) = &state.config.auth else { return None };
    keys.find(bearer(headers).ok()??, state.orchestrator.now()).map(|key| key.number)
}

/// Whether a request brings a host key, right or wrong. A wrong one is known by no other sign than that it leads nothing.
pub(crate) fn brings_host_key(headers: &HeaderMap) -> bool {
    bearer(headers).ok().flatten().is_some_and(orchestrator::HostKey::looks_like)
}

/// The bearer of a request; another scheme is refused, because it was meant to say something.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let bearer = value.to_str().ok().and_then(|text| {
        let (scheme, credentials) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
    });
    bearer.filter(|bearer| !bearer.is_empty()).map(Some).ok_or_else(|| Problem::unauthorized(BEARER_NEEDED))
}
