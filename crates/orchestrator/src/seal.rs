//! What this deployment signs for itself: invites and tickets, as JSON web tokens (RFC 7519, HS256).
//! Nothing of them is stored; the secret is one value of the store, shared by all instances.

use std::fmt;
use std::time::Duration;

use domain::{Epoch, Head, Role, StreamId, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Signs and checks.
#[derive(Clone)]
pub(crate) struct Seal {
    signing: EncodingKey,
    checking: DecodingKey,
}

/// What a sealed text is good for; one is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// To look and to join.
    Invite,
    /// To open an event stream within a minute.
    Ticket,
}

/// One generation of a stream, and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    #[serde(rename = "aud")]
    purpose: Purpose,
    #[serde(rename = "sub")]
    stream: StreamId,
    epoch: Epoch,
    #[serde(rename = "gen")]
    generation: u32,
    /// The most an invited person may be.
    pub(crate) role: Role,
    /// Seconds since 1970; not accepted from then on.
    exp: i64,
}

impl Seal {
    pub(crate) fn new(secret: &str) -> Self {
        let secret = secret.as_bytes();
        Self { signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret) }
    }

    /// Signs for the current generation of a stream; the text, and when it ends.
    pub(crate) fn sign(
        &self,
        purpose: Purpose,
        head: &Head,
        role: Role,
        life: Duration,
        now: Timestamp,
    ) -> (String, Timestamp) {
        let exp = (now + life).as_millis().div_euclid(1000);
        let (stream, epoch) = (head.id.clone(), head.epoch.clone());
        let claims = Sealed { purpose, stream, epoch, generation: head.generation, role, exp };
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("claims of strings and numbers serialise, and HMAC takes any key and any message");
        (text, Timestamp::from_millis(exp * 1000))
    }

    /// What a text that was signed here says; `None` for any other, and for one whose time is over.
    pub(crate) fn read(&self, purpose: Purpose, text: &str, now: Timestamp) -> Option<Sealed> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are compared here: that crate would read the system's clock, and ours is the store's.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let sealed = jsonwebtoken::decode::<Sealed>(text, &self.checking, &validation).ok()?.claims;
        let in_time = now < Timestamp::from_millis(sealed.exp.saturating_mul(1000));
        (sealed.purpose == purpose && in_time).then_some(sealed)
    }
}

impl Sealed {
    /// It was signed for this generation of this stream.
    pub(crate) fn is_for(&self, head: &Head) -> bool {
        self.stream == head.id && self.epoch == head.epoch && self.generation == head.generation
    }
}

/// Without the secret.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}
