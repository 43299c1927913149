//! JSON web tokens as LiveKit uses them: HS256, the API key as issuer.
//!
//! Signing and checking of signatures is `jsonwebtoken`'s. Times are checked
//! here, because that crate reads the system clock and we are told what time it is.

use std::fmt;
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How far clocks may differ; LiveKit allows the same.
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);

/// An API key and its secret, ready to sign and to check.
#[derive(Clone)]
pub(crate) struct Key {
    name: String,
    signing: EncodingKey,
    checking: DecodingKey,
    header: Header,
    validation: Validation,
}

/// The claims about time; absent ones are `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Not before, in seconds since 1970.
    pub(crate) nbf: Option<f64>,
    /// Not from then on.
    pub(crate) exp: Option<f64>,
}

/// Why a token is not valid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// Not yet.
    Early,
    /// No longer, or it never said until when.
    Expired,
}

impl Key {
    /// The API key `name` with its `secret`.
    pub(crate) fn new(name: &str, secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self {
            name: name.to_owned(),
            signing: EncodingKey::from_secret(secret.as_bytes()),
            checking: DecodingKey::from_secret(secret.as_bytes()),
            header: Header::new(Algorithm::HS256),
            validation,
        }
    }

    /// The API key, not the secret.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A token with these claims.
    pub(crate) fn sign<T: Serialize>(&self, claims: &T) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.signing)
            .expect("claims of strings and numbers serialise, and HMAC takes any key and any message")
    }

    /// The claims of a token that this key has signed, whatever the time.
    pub(crate) fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<T, Error> {
        jsonwebtoken::decode(token, &self.checking, &self.validation).map(|data| data.claims)
    }
}

/// Without the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which key a token says it is signed with. Nothing is checked.
pub(crate) fn claimed_issuer(token: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    dangerous::insecure_decode_claims::<Issuer>(token).map(|claims| claims.iss)
}

/// Whether the error says that the signature is wrong, not that the token can't be read.
pub(crate) fn is_bad_signature(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm)
}

impl Times {
    /// Whether a token is valid `now`, if its end is forgiven for `grace`.
    pub(crate) fn check(self, now: Timestamp, grace: Duration) -> Result<(), Untimely> {
        let now = seconds(now);
        if self.nbf.is_some_and(|nbf| nbf > now + LEEWAY.as_secs_f64()) {
            return Err(Untimely::Early);
        }
        match self.exp {
            Some(exp) if exp + grace.as_secs_f64() > now => Ok(()),
            _ => Err(Untimely::Expired),
        }
    }
}

/// JWT counts in seconds, fractions allowed (RFC 7519, NumericDate).
#[expect(clippy::cast_precision_loss, reason = "a date in milliseconds is far below 2^52")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1000.0
}
