//! LiveKit's webhooks: is this really from LiveKit, and what does it say?
//!
//! The signature and the digest of the exact bytes are checked before a byte of the body is read.
//! What an event means for a stream is decided elsewhere.

mod decode;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domain::{RoomEvent, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::jwt::{self, Key, LEEWAY, Times, Untimely};

/// LiveKit pads; a relay that re-signs may not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Receives webhooks signed with any of several keys, so that keys can be changed without a gap.
#[derive(Debug, Clone)]
pub struct WebhookVerifier {
    keys: Vec<Key>,
}

/// A webhook that is really LiveKit's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Webhook {
    /// It speaks of a room in a way that may change a stream.
    Event(RoomEvent),
    /// Anything else: egress, ingress, events of newer servers, events that lack what they should name. To be counted and answered with 200.
    Other {
        /// LiveKit's name of the event, as sent; empty when it has none. Any text: not for a metric's label.
        event: String,
    },
}

/// Why a webhook is refused. LiveKit sends it again after a 5xx only.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No `Authorization` header.
    #[error("the webhook has no Authorization header: it is not from LiveKit, or a proxy has removed it")]
    Unsigned,
    /// The header is no JWT with LiveKit's claims.
    #[error("the webhook's Authorization header is not a LiveKit token")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The token names a key that is not configured here.
    #[error("the webhook is signed with API key {0:?}, which is not configured here")]
    UnknownKey(String),
    /// The key is known, the secret is another.
    #[error("the webhook's signature is not valid: is the API secret the same here as in LiveKit?")]
    BadSignature,
    /// The token's `nbf` is in the future.
    #[error("the webhook's token is not valid yet: do the clocks differ by more than a minute?")]
    Early,
    /// The token's `exp` is past, or it has none.
    #[error("the webhook's token has expired: is it a replay, or do the clocks differ by more than a minute?")]
    Expired,
    /// The body is not the one that was signed.
    #[error("the webhook's body is not the one that was signed")]
    WrongBody,
    /// Signed, but not JSON.
    #[error("the webhook's body can't be read")]
    Body(#[source] serde_json::Error),
}

impl WebhookError {
    /// Whether the sender failed to prove that it is LiveKit (401), unlike one who is LiveKit and can't be understood.
    pub fn is_unauthorized(&self) -> bool {
        !matches!(self, Self::Body(_))
    }

    /// A short constant text for metrics and logs.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unreadable(_) => "unreadable_token",
            Self::UnknownKey(_) => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::WrongBody => "wrong_body",
            Self::Body(_) => "unreadable_body",
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    nbf: Option<f64>,
    exp: Option<f64>,
    sha256: Option<String>,
}

impl WebhookVerifier {
    /// Accepts what is signed with any of these API keys and their secrets.
    pub fn new(keys: Vec<(String, String)>) -> Self {
        Self { keys: keys.iter().map(|(name, secret)| Key::new(name, secret)).collect() }
    }

    /// Checks and decodes one webhook. `body` are the bytes as they came.
    pub fn receive(&self, authorization: Option<&str>, body: &[u8], now: Timestamp) -> Result<Webhook, WebhookError> {
        let claims = self.claims(authorization.ok_or(WebhookError::Unsigned)?)?;
        Times { nbf: claims.nbf, exp: claims.exp }.check(now, LEEWAY).map_err(|untimely| match untimely {
            Untimely::Early => WebhookError::Early,
            Untimely::Expired => WebhookError::Expired,
        })?;
        check_digest(claims.sha256.as_deref(), body)?;
        decode::decode(body, now).map_err(WebhookError::Body)
    }

    fn claims(&self, authorization: &str) -> Result<Claims, WebhookError> {
        let token = bare(authorization);
        let issuer = jwt::claimed_issuer(token).map_err(|error| WebhookError::Unreadable(error.into()))?;
        let Some(key) = self.keys.iter().find(|key| key.name() == issuer) else {
            return Err(WebhookError::UnknownKey(issuer.chars().take(64).collect()));
        };
        key.verify(token).map_err(|error| {
            if jwt::is_bad_signature(&error) {
                WebhookError::BadSignature
            } else {
                WebhookError::Unreadable(error.into())
            }
        })
    }
}

/// LiveKit sends the bare token; what stands between us may have made it a Bearer one.
fn bare(authorization: &str) -> &str {
    let text = authorization.trim();
    match text.split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer ") => token.trim_start(),
        _ => text,
    }
}

fn check_digest(claimed: Option<&str>, body: &[u8]) -> Result<(), WebhookError> {
    let claimed = claimed.and_then(|text| BASE64.decode(text).ok()).ok_or(WebhookError::WrongBody)?;
    let same: bool = claimed.as_slice().ct_eq(Sha256::digest(body).as_slice()).into();
    if same { Ok(()) } else { Err(WebhookError::WrongBody) }
}

#[cfg(test)]
mod tests;
