//! One Twirp call: protobuf in, protobuf or a typed failure out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::RoomName;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};

use super::LiveKitHost;
use crate::jwt::Key;
use crate::{ErrorKind, RoomsError};

/// Life of the token of one call; long enough for clocks that differ.
const CALL_TOKEN_SECONDS: u64 = 300;
/// An answer beyond this is given up: 20,000 rooms with metadata of 5 kB each stay below.
const MAX_ANSWER: usize = 128 << 20;
const MAX_ERROR: usize = 64 << 10;
/// Of what a server says about a failure, so much is kept.
const MAX_MESSAGE: usize = 300;
/// Connections kept open to the server while nothing is asked.
const IDLE_CONNECTIONS: usize = 16;
/// Below the idle timeouts that proxies commonly have, so that a kept connection is rarely one they have closed.
const IDLE_FOR: Duration = Duration::from_secs(50);
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/protobuf");

#[derive(Debug)]
pub(super) struct Twirp {
    http: Client,
    host: LiveKitHost,
    key: Key,
    /// Of a call for which nothing else is said.
    pub(super) deadline: Duration,
}

/// What a call may do; LiveKit checks it against the method.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grant<'a> {
    /// `roomCreate`, also for deleting.
    Create,
    /// `roomList`
    List,
    /// `roomAdmin` of one room.
    Admin(&'a RoomName),
}

/// A call that did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// LiveKit's `not_found`, for those to whom it is an answer.
    NotFound(RoomsError),
    Failed(RoomsError),
}

impl From<Failure> for RoomsError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(error) | Failure::Failed(error) => error,
        }
    }
}

/// What a server answered instead of 200.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {status}: {code}: {message}")]
struct Refusal {
    status: StatusCode,
    /// Twirp's code; `none` when it was not LiveKit's API that answered.
    code: String,
    message: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {0} bytes")]
struct TooLong(usize);

/// Twirp's error body.
#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    msg: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    nbf: u64,
    exp: u64,
    video: VideoGrant<'a>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct VideoGrant<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    room_create: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    room_list: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    room_admin: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
}

impl Twirp {
    pub(super) fn new(
        host: &LiveKitHost,
        api_key: &str,
        api_secret: &str,
        deadline: Duration,
    ) -> Result<Self, RoomsError> {
        let mut builder = Client::builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_FOR)
            .tcp_nodelay(true)
            // A call goes where it was configured to go, or nowhere: it carries an admin's token.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("livestream/", env!("CARGO_PKG_VERSION")));
        if host.is_loopback() {
            // A proxy of the environment can't reach this machine's own LiveKit.
            builder = builder.no_proxy();
        }
        if !host.is_secure() {
            // Reading the system's certificates takes tens of milliseconds, for nothing.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| RoomsError::new(ErrorKind::Refused, "connect", error))?;
        Ok(Self { http, host: host.clone(), key: Key::new(api_key, api_secret), deadline })
    }

    /// Calls `method` of RoomService once.
    pub(super) async fn call<A: Message, B: Message + Default>(
        &self,
        method: &'static str,
        grant: Grant<'_>,
        request: &A,
    ) -> Result<B, Failure> {
        self.call_within(self.deadline, method, grant, request).await
    }

    /// The same with a deadline of its own.
    pub(super) async fn call_within<A: Message, B: Message + Default>(
        &self,
        deadline: Duration,
        method: &'static str,
        grant: Grant<'_>,
        request: &A,
    ) -> Result<B, Failure> {
        let sent = self
            .http
            .post(self.host.method(method))
            .timeout(deadline)
            .bearer_auth(self.token(grant))
            .header(CONTENT_TYPE, PROTOBUF)
            .body(request.encode_to_vec())
            .send()
            .await;
        let answer = sent.map_err(|error| unavailable(method, error))?;
        if answer.status() != StatusCode::OK {
            return Err(refused(method, answer).await);
        }
        let bytes = read(answer, MAX_ANSWER).await.map_err(|error| unavailable(method, error))?;
        B::decode(bytes.as_slice()).map_err(|error| Failure::Failed(RoomsError::new(ErrorKind::Refused, method, error)))
    }

    fn token(&self, grant: Grant<'_>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let video = match grant {
            Grant::Create => VideoGrant { room_create: true, ..VideoGrant::default() },
            Grant::List => VideoGrant { room_list: true, ..VideoGrant::default() },
            Grant::Admin(room) => VideoGrant { room_admin: true, room: Some(room.as_str()), ..VideoGrant::default() },
        };
        self.key.sign(&Claims { iss: self.key.name(), nbf: now, exp: now + CALL_TOKEN_SECONDS, video })
    }
}

fn unavailable(method: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Failed(RoomsError::new(ErrorKind::Unavailable, method, error))
}

/// What the answer, which is not 200, means.
async fn refused(method: &'static str, answer: Response) -> Failure {
    let status = answer.status();
    let body = read(answer, MAX_ERROR).await.unwrap_or_default();
    let refusal = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) => Refusal { status, code: error.code, message: shortened(&error.msg) },
        // Not every refusal is Twirp's: an unknown key is refused in plain text, and a proxy answers as it likes.
        Err(_) => Refusal { status, code: "none".to_owned(), message: shortened(&String::from_utf8_lossy(&body)) },
    };
    if refusal.code == "not_found" {
        return Failure::NotFound(RoomsError::new(ErrorKind::Refused, method, refusal));
    }
    Failure::Failed(RoomsError::new(kind_of(status, &refusal.code), method, refusal))
}

fn kind_of(status: StatusCode, code: &str) -> ErrorKind {
    match code {
        "unauthenticated" | "permission_denied" => ErrorKind::Unauthorized,
        "deadline_exceeded" | "unavailable" | "resource_exhausted" | "canceled" | "aborted" => ErrorKind::Unavailable,
        _ => match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
            // Nothing in our request makes it "not implemented" today and possible tomorrow.
            StatusCode::NOT_IMPLEMENTED => ErrorKind::Refused,
            status if status.is_server_error() => ErrorKind::Unavailable,
            _ => ErrorKind::Refused,
        },
    }
}

async fn read(mut answer: Response, limit: usize) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Err(TooLong(limit).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart() {
        let kind = |status: u16, code| kind_of(StatusCode::from_u16(status).unwrap(), code);
        for (status, code) in [(401, "unauthenticated"), (401, "none"), (403, "permission_denied"), (403, "none")] {
            assert_eq!(kind(status, code), ErrorKind::Unauthorized, "{status} {code}");
        }
        for (status, code) in [(503, "unavailable"), (408, "deadline_exceeded"), (500, "internal"), (502, "none")] {
            assert_eq!(kind(status, code), ErrorKind::Unavailable, "{status} {code}");
        }
        for (status, code) in
            [(400, "invalid_argument"), (404, "bad_route"), (404, "none"), (301, "none"), (501, "unimplemented")]
        {
            assert_eq!(kind(status, code), ErrorKind::Refused, "{status} {code}");
        }
    }

    #[test]
    fn nothing_prints_the_secret() {
        let host = LiveKitHost::parse("ws://127.0.0.1:1").unwrap();
        let twirp = Twirp::new(&host, "key", "the-secret", Duration::from_secs(1)).unwrap();
        assert!(!format!("{twirp:?}").contains("the-secret"));
    }
}
