//! Who may do what: access tokens (JWT, HS256), their grants, and the proofs made from them.
//!
//! Pure: the time is an argument. Not here: where a token is found in a request (`http`).

mod grants;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use livekit_protocol as proto;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::keys::ApiKey;
pub(crate) use grants::{VideoGrant, may_publish};

/// How far clocks may differ, in seconds (LiveKit's leeway).
const LEEWAY: i64 = 60;

/// Shortest lifetime of a refreshed token, in seconds.
const REFRESH_LIFETIME: i64 = 600;

/// Lifetime of a webhook's signature, in seconds.
const WEBHOOK_LIFETIME: i64 = 300;

/// Why a token was refused. The text is shown to the client; retrying with the same token is
/// useless except for `NotYetValid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// No token came with the request.
    #[error("no permissions to access the room")]
    Missing,
    /// Not a JWT, or claims that are not LiveKit's.
    #[error("invalid authorization token: {0}")]
    Malformed(String),
    /// Signed by a key this server does not have.
    #[error("invalid API key: {0}")]
    UnknownKey(String),
    /// The signature does not fit, or the algorithm is not HS256.
    #[error("invalid token: its signature does not fit API key {0}")]
    BadSignature(String),
    /// Past its `exp`.
    #[error("invalid token: it is expired")]
    Expired,
    /// Before its `nbf`.
    #[error("invalid token: it is not valid yet")]
    NotYetValid,
}

/// What a LiveKit token says.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Claims {
    /// API key whose secret signed it.
    pub iss: String,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Identity in old tokens, used when `sub` is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// End of validity, seconds since 1970. Required.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// Begin of validity, seconds since 1970; 0 for none.
    #[serde(deserialize_with = "seconds")]
    pub nbf: i64,
    /// Display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Metadata of the participant, opaque.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Attributes of the participant.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub attributes: HashMap<String, String>,
    /// Kind of participant by its protobuf name in lower case; unknown or empty is `standard`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Details of the kind, in the same form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kind_details: Vec<String>,
    /// Base64 SHA-256 of a webhook's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Settings for the room if joining creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<proto::RoomConfiguration>,
    /// What the token allows.
    pub video: VideoGrant,
}

impl Claims {
    /// The participant's identity.
    pub(crate) fn identity(&self) -> &str {
        if self.sub.is_empty() { &self.jti } else { &self.sub }
    }

    /// The participant's kind.
    pub(crate) fn kind(&self) -> proto::participant_info::Kind {
        proto::participant_info::Kind::from_str_name(&self.kind.to_uppercase()).unwrap_or_default()
    }

    /// The details of the kind that are known.
    pub(crate) fn kind_details(&self) -> Vec<i32> {
        let known = |name: &String| proto::participant_info::KindDetail::from_str_name(&name.to_uppercase());
        self.kind_details.iter().filter_map(known).map(i32::from).collect()
    }
}

/// The keys of this server.
#[derive(Debug, Clone)]
pub(crate) struct Keyring(Arc<[ApiKey]>);

impl Keyring {
    /// The first key signs; all verify.
    pub(crate) fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys.into())
    }

    /// Checks issuer, signature and times of a token and gives back what it says.
    pub(crate) fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        let issuer = insecure_decode_claims::<Issuer>(token).map_err(|e| TokenError::Malformed(e.to_string()))?.iss;
        let key = self.find(&issuer).ok_or_else(|| TokenError::UnknownKey(issuer.clone()))?;
        let mut rules = Validation::new(Algorithm::HS256);
        // Times are compared below, against the given clock instead of the library's.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.set_required_spec_claims(&["exp", "iss"]);
        let claims = decode::<Claims>(token, &DecodingKey::from_secret(key.secret.as_bytes()), &rules)
            .map_err(|e| refusal(&e, issuer))?
            .claims;
        if claims.exp.saturating_add(LEEWAY) < now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.saturating_sub(LEEWAY) > now {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }

    /// The same claims in a token that is good for at least ten minutes more.
    pub(crate) fn refresh(&self, claims: &Claims, now: i64) -> String {
        let mut fresh = claims.clone();
        fresh.exp = claims.exp.max(now + REFRESH_LIFETIME);
        fresh.nbf = now;
        self.sign(fresh)
    }

    /// The `Authorization` of a webhook with this body.
    pub(crate) fn webhook_token(&self, body: &[u8], now: i64) -> String {
        let sha256 = STANDARD.encode(Sha256::digest(body));
        self.sign(Claims { exp: now + WEBHOOK_LIFETIME, nbf: now, sha256, ..Claims::default() })
    }

    fn sign(&self, mut claims: Claims) -> String {
        let Some(key) = self.find(&claims.iss).or_else(|| self.0.first()) else {
            return String::new();
        };
        claims.iss.clone_from(&key.key);
        let signed = encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key.secret.as_bytes()));
        signed.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot sign a token");
            String::new()
        })
    }

    fn find(&self, issuer: &str) -> Option<&ApiKey> {
        self.0.iter().find(|k| k.key == issuer)
    }
}

/// The one claim read before the signature is known to fit.
#[derive(Deserialize)]
struct Issuer {
    #[serde(default)]
    iss: String,
}

/// A JWT's date, which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    f64::deserialize(from).map(|seconds| seconds as i64)
}

fn refusal(error: &jsonwebtoken::errors::Error, issuer: String) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenError::BadSignature(issuer),
        other => TokenError::Malformed(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn ring() -> Keyring {
        Keyring::new(vec![
            ApiKey { key: "one".into(), secret: "first-secret".into() },
            ApiKey { key: "two".into(), secret: "second-secret".into() },
        ])
    }

    fn claims() -> Claims {
        Claims { iss: "two".into(), sub: "ann".into(), exp: NOW + 100, nbf: NOW, ..Claims::default() }
    }

    #[test]
    fn a_token_of_any_key_is_accepted_within_its_time() {
        let token = ring().sign(claims());
        assert_eq!(ring().verify(&token, NOW).unwrap(), claims());
        assert!(ring().verify(&token, NOW + 160).is_ok(), "a minute of leeway");
        assert_eq!(ring().verify(&token, NOW + 161), Err(TokenError::Expired));
        assert_eq!(ring().verify(&token, NOW - 61), Err(TokenError::NotYetValid));
    }

    #[test]
    fn forged_tokens_are_refused() {
        let other = Keyring::new(vec![ApiKey { key: "two".into(), secret: "guess".into() }]);
        let forged = other.sign(claims());
        assert_eq!(ring().verify(&forged, NOW), Err(TokenError::BadSignature("two".into())));
        let unknown = Keyring::new(vec![ApiKey { key: "three".into(), secret: "x".into() }]).sign(claims());
        assert_eq!(ring().verify(&unknown, NOW), Err(TokenError::UnknownKey("three".into())));
        assert!(matches!(ring().verify("nonsense", NOW), Err(TokenError::Malformed(_))));
        let key = EncodingKey::from_secret(b"second-secret");
        let wrong_alg = encode(&Header::new(Algorithm::HS512), &claims(), &key).unwrap();
        assert_eq!(ring().verify(&wrong_alg, NOW), Err(TokenError::BadSignature("two".into())));
    }

    #[test]
    fn unsigned_tokens_are_refused() {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
        let body = B64.encode(serde_json::to_vec(&claims()).unwrap());
        let token = format!("{}.{body}.", B64.encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert!(ring().verify(&token, NOW).is_err());
    }

    #[test]
    fn a_token_without_end_is_refused() {
        let key = EncodingKey::from_secret(b"first-secret");
        let body = serde_json::json!({"iss": "one", "sub": "ann"});
        let token = encode(&Header::new(Algorithm::HS256), &body, &key).unwrap();
        assert!(ring().verify(&token, NOW).is_err());
    }

    #[test]
    fn dates_may_have_a_fraction_and_any_size() {
        let key = EncodingKey::from_secret(b"first-secret");
        let verify = |exp: serde_json::Value| {
            let body = serde_json::json!({"iss": "one", "sub": "ann", "exp": exp, "nbf": NOW as f64 - 0.5});
            ring().verify(&encode(&Header::new(Algorithm::HS256), &body, &key).unwrap(), NOW)
        };
        assert_eq!(verify((NOW as f64 + 9.75).into()).unwrap().exp, NOW + 9);
        assert!(verify(i64::MAX.into()).is_ok());
        assert!(verify((-1e300).into()).is_err());
    }

    #[test]
    fn a_refreshed_token_keeps_key_and_claims_and_lives_longer() {
        let fresh = ring().verify(&ring().refresh(&claims(), NOW + 90), NOW + 500).unwrap();
        assert_eq!((fresh.iss.as_str(), fresh.sub.as_str(), fresh.exp), ("two", "ann", NOW + 690));
    }

    #[test]
    fn a_webhook_token_carries_the_standard_base64_hash() {
        let claims = ring().verify(&ring().webhook_token(b"body", NOW), NOW).unwrap();
        assert_eq!(claims.iss, "one");
        assert_eq!(claims.sha256, STANDARD.encode(Sha256::digest(b"body")));
    }

    #[test]
    fn the_identity_falls_back_to_jti() {
        assert_eq!(Claims { jti: "old".into(), ..Claims::default() }.identity(), "old");
    }
}
