//! Join tokens: minting them for a role, and reading them back as a proof of who somebody is.
//!
//! Signed and checked with `jsonwebtoken` over claims of our own rather than with LiveKit's `AccessToken`: that one
//! takes the time from the system's clock, and its verifier can't forgive an expiry. Neither costs more than a few
//! microseconds (`examples/cost.rs` prints both); a test has LiveKit's verifier read our tokens.
//! A role is turned into grants here and nowhere else; nobody ever gets `roomAdmin`.

use std::time::Duration;

use domain::{Identity, Role, RoomName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::RoomSpec;
use crate::jwt::{self, Key, Times, Untimely};

/// The longest life of a token. What remembers an ended stream outlives it.
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);
/// The life of a token when none is configured; LiveKit refreshes the tokens of those who are connected.
pub const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(600);

/// Mints and checks join tokens with one API key.
#[derive(Debug, Clone)]
pub struct Tokens {
    key: Key,
    /// Whole seconds, 1 s to [`MAX_TOKEN_LIFE`].
    life: Duration,
}

/// What a token is to say.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// The room, and how LiveKit makes it should it not be there; its `metadata` must be the mark alone.
    pub room: &'a RoomSpec,
    /// Who joins.
    pub identity: &'a Identity,
    /// Display name.
    pub name: Option<&'a str>,
    /// The participant's metadata.
    pub metadata: Option<&'a str>,
    /// What they may do; also the participant attribute `role`.
    pub role: Role,
    /// The token counts from here.
    pub now: Timestamp,
}

/// A token made.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The JWT.
    pub token: String,
    /// Whole seconds; the token is not accepted from then on.
    pub expires_at: Timestamp,
}

/// What a join token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinProof {
    /// Who it was given to.
    pub identity: Identity,
    /// The room it opens.
    pub room: RoomName,
    /// The role in its attributes; `None` in a token that is not ours or has been changed.
    pub role: Option<Role>,
}

/// Why a token proves nothing. Trying again never helps.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is no JWT, or its claims are not LiveKit's.
    #[error("the token can't be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not signed by us, or not with HS256.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// Signed with our secret in another key's name.
    #[error("the token is of another API key")]
    WrongIssuer,
    /// Its `nbf` is in the future.
    #[error("the token is not valid yet")]
    Early,
    /// Its `exp` is past, or it has none.
    #[error("the token has expired")]
    Expired,
    /// It opens no room, or names nobody.
    #[error("the token is not a join token")]
    NotAJoinToken,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    attributes: Attributes<'a>,
    video: Grants<'a>,
    #[serde(rename = "roomConfig")]
    room_config: RoomConfig<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    role: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "LiveKit's grants are so")]
struct Grants<'a> {
    room_join: bool,
    room: &'a str,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

/// LiveKit's `RoomConfiguration` in proto3 JSON; a zero means LiveKit's own default there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomConfig<'a> {
    empty_timeout: u32,
    departure_timeout: u32,
    #[serde(skip_serializing_if = "is_zero")]
    max_participants: u32,
    metadata: &'a str,
}

#[derive(Deserialize)]
struct ReadClaims {
    iss: Option<String>,
    sub: Option<String>,
    jti: Option<String>,
    nbf: Option<f64>,
    exp: Option<f64>,
    attributes: Option<ReadAttributes>,
    video: Option<ReadGrants>,
}

#[derive(Deserialize)]
struct ReadAttributes {
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadGrants {
    #[serde(default)]
    room_join: bool,
    #[serde(default)]
    room: String,
}

impl Tokens {
    /// Tokens of `api_key` that live for `life`, rounded to whole seconds and held between 1 s and [`MAX_TOKEN_LIFE`].
    pub fn new(api_key: &str, api_secret: &str, life: Duration) -> Self {
        let life = Duration::from_secs(life.as_secs().clamp(1, MAX_TOKEN_LIFE.as_secs()));
        Self { key: Key::new(api_key, api_secret), life }
    }

    /// How long its tokens live.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// A token to join with.
    pub fn mint(&self, request: TokenRequest<'_>) -> Minted {
        let TokenRequest { room, identity, name, metadata, role, now } = request;
        let nbf = now.as_millis().div_euclid(1000);
        let expires_at = Timestamp::from_millis(nbf * 1000) + self.life;
        let claims = Claims {
            iss: self.key.name(),
            sub: identity.as_str(),
            nbf,
            exp: expires_at.as_millis() / 1000,
            name,
            metadata,
            attributes: Attributes { role: role.as_str() },
            video: Grants {
                room_join: true,
                room: room.name.as_str(),
                can_publish: role.may_publish(),
                can_subscribe: true,
                can_publish_data: true,
            },
            room_config: RoomConfig {
                empty_timeout: room.empty_timeout_seconds(),
                departure_timeout: room.departure_timeout_seconds(),
                max_participants: room.max_participants,
                metadata: &room.metadata,
            },
        };
        Minted { token: self.key.sign(&claims), expires_at }
    }

    /// Reads a join token as a proof of identity. Its end is forgiven for `expired_grace`, because clients keep
    /// the tokens that LiveKit refreshes to themselves and can show only the first.
    pub fn verify_join_token(
        &self,
        token: &str,
        now: Timestamp,
        expired_grace: Duration,
    ) -> Result<JoinProof, TokenError> {
        let claims: ReadClaims = self.key.verify(token).map_err(|error| {
            if jwt::is_bad_signature(&error) { TokenError::BadSignature } else { TokenError::Unreadable(error.into()) }
        })?;
        if claims.iss.as_deref() != Some(self.key.name()) {
            return Err(TokenError::WrongIssuer);
        }
        Times { nbf: claims.nbf, exp: claims.exp }.check(now, expired_grace).map_err(|untimely| match untimely {
            Untimely::Early => TokenError::Early,
            Untimely::Expired => TokenError::Expired,
        })?;
        claims.proof().ok_or(TokenError::NotAJoinToken)
    }
}

impl ReadClaims {
    fn proof(self) -> Option<JoinProof> {
        let grants = self.video.filter(|grants| grants.room_join && !grants.room.is_empty())?;
        // LiveKit itself falls back to `jti`, where old SDKs put the identity.
        let identity = self.sub.or(self.jti).and_then(|text| Identity::parse(&text).ok())?;
        let role = self.attributes.and_then(|attributes| attributes.role);
        let role = role
            .and_then(|text| [Role::Host, Role::Speaker, Role::Viewer].into_iter().find(|role| role.as_str() == text));
        Some(JoinProof { identity, room: RoomName::from(grants.room), role })
    }
}

/// Without the token.
impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
