//! What is stored for a key, and how an answer is sealed.
//!
//! Name and seal are both made of caller, route and key, by one hash each; the store
//! has the name alone. An answer can hold a join token or a host key: whoever reads
//! the store can't open it, and whoever sends the request again can.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request;
use axum::http::response;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const RUNNING: u8 = b'R';
const ANSWERED: u8 = b'A';
const HASH: usize = 32;

/// What only caller and server know of a request.
pub(super) struct Secrets {
    name: String,
    seal: [u8; HASH],
}

/// One request on its way: what it asks for, and which try it is.
pub(super) struct Claim {
    fingerprint: [u8; HASH],
    run: [u8; 16],
}

/// What was found under a name.
pub(super) enum Found {
    /// The same request is being carried out.
    Running,
    /// The key was used for another request.
    Other,
    /// The same request has been answered.
    Answer(Box<Response>),
}

#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Secrets {
    pub(super) fn new(caller: &[u8], route: &str, key: &str) -> Self {
        let hash = |purpose: &[u8]| digest([purpose, caller, route.as_bytes(), key.as_bytes()]);
        let name = hash(b"name").iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, seal: hash(b"seal") }
    }

    /// What the store finds it by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.seal).ok().map(LessSafeKey::new)
    }
}

impl Claim {
    pub(super) fn new(parts: &request::Parts, body: &[u8]) -> Self {
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let kind = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        Self { fingerprint: digest([target.as_bytes(), kind, body]), run: rand::random() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&[RUNNING][..], &self.fingerprint, &self.run].concat()
    }
}

impl Found {
    /// Understands what is stored; `None`: it is nothing of ours.
    pub(super) fn decode(secrets: &Secrets, claim: &Claim, stored: &[u8]) -> Option<Self> {
        let (kind, rest) = stored.split_first()?;
        let (fingerprint, rest) = rest.split_at_checked(HASH)?;
        if fingerprint != claim.fingerprint {
            return Some(Self::Other);
        }
        match *kind {
            RUNNING => Some(Self::Running),
            ANSWERED => open(secrets, claim, rest).map(|response| Self::Answer(Box::new(response))),
            _ => None,
        }
    }
}

/// An answer, to be stored; `None`: it is no text.
pub(super) fn seal(secrets: &Secrets, claim: &Claim, parts: &response::Parts, body: &[u8]) -> Option<Vec<u8>> {
    let headers = parts.headers.iter().map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let kept = Kept {
        status: parts.status.as_u16(),
        headers: headers.collect::<Option<_>>()?,
        body: String::from_utf8(body.to_vec()).ok()?,
    };
    let mut text = serde_json::to_vec(&kept).ok()?;
    let nonce: [u8; NONCE_LEN] = rand::random();
    let aad = Aad::from(claim.fingerprint);
    secrets.key()?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).ok()?;
    Some([&[ANSWERED][..], &claim.fingerprint, &nonce, &text].concat())
}

fn open(secrets: &Secrets, claim: &Claim, sealed: &[u8]) -> Option<Response> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let text = secrets.key()?.open_in_place(nonce, Aad::from(claim.fingerprint), &mut text).ok()?;
    let kept: Kept = serde_json::from_slice(text).ok()?;
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).ok()?;
    for (name, value) in kept.headers {
        response.headers_mut().append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    Some(response)
}

/// Each part with its length before it, so that no two lists of parts are one text.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use http_body_util::BodyExt;

    use super::*;

    fn claim(path: &str, body: &str) -> Claim {
        Claim::new(&Request::post(path).body(()).unwrap().into_parts().0, body.as_bytes())
    }

    fn sealed(secrets: &Secrets, claim: &Claim) -> Vec<u8> {
        let response = Response::builder().status(201).header("location", "/streams/gold").body(()).unwrap();
        seal(secrets, claim, &response.into_parts().0, b"{\"hostKey\":\"hush\"}").unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_opened_by_the_same_request_alone() {
        let (secrets, first) = (Secrets::new(b"ann", "/streams", "k"), claim("/streams", "{}"));
        let stored = sealed(&secrets, &first);
        let again = claim("/streams", "{}");
        let Some(Found::Answer(response)) = Found::decode(&secrets, &again, &stored) else { panic!() };
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["location"], "/streams/gold");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"hostKey\":\"hush\"}");
        for other in [claim("/streams", "{ }"), claim("/streams?x", "{}")] {
            assert!(matches!(Found::decode(&secrets, &other, &stored), Some(Found::Other)));
        }
        for (caller, route, key) in [("bob", "/streams", "k"), ("ann", "/streams/", "k"), ("ann", "/streams", "l")] {
            let other = Secrets::new(caller.as_bytes(), route, key);
            assert_ne!(other.name(), secrets.name());
            assert!(Found::decode(&other, &again, &stored).is_none());
        }
    }

    #[test]
    fn the_store_holds_neither_key_nor_answer() {
        let (secrets, claim) =
            (Secrets::new(b"Bearer hush", "/streams", "hush"), claim("/streams", "{\"x\":\"hush\"}"));
        let stored = [secrets.name().as_bytes(), &claim.encode(), &sealed(&secrets, &claim)].concat();
        assert!(!stored.windows(4).any(|window| window == b"hush"));
        assert!(matches!(Found::decode(&secrets, &claim, &claim.encode()), Some(Found::Running)));
        for broken in [&b""[..], b"A", b"X", &[ANSWERED; 40], &[0; 100]] {
            assert!(!matches!(Found::decode(&secrets, &claim, broken), Some(Found::Answer(_))));
        }
    }
}
