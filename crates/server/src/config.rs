//! What the server is told. Parsing of flags and environment is done elsewhere.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;

use crate::keys::KeyRing;
use crate::limits::RateLimits;
use crate::serve::Tls;

/// How the server behaves. Every field has a working default in [`ServerConfig::default`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Who may do what.
    pub auth: Auth,
    /// Nobody has decided that callers need no key: only loopback names are answered, against DNS rebinding.
    pub loopback_only: bool,
    /// How often callers may do what costs something; `None`: as often as they like.
    pub limits: Option<RateLimits>,
    /// With keys: whether callers without one may create streams, which they then lead by host key.
    pub open_create: bool,
    /// Origins whose pages may call the API. `None`: same origin only while
    /// `auth` is off, any origin with keys (there are no cookies). `*` among them: any.
    pub cors_origins: Option<Vec<String>>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What a join answer names as the media server.
    pub media_url: MediaUrl,
    /// Sites that may show `/embed/…` in a frame, as CSP sources. The other pages may be framed by their own origin only.
    pub embed_ancestors: Vec<String>,
    /// Most event streams open at a time.
    pub sse_max_connections: usize,
    /// Most of them of one address; `None`: as many as it likes. Callers with a key, and
    /// those behind a trusted proxy that does not say whom it speaks for, are not counted.
    pub sse_max_per_address: Option<NonZeroU32>,
    /// An idle SSE connection gets a comment after this long.
    pub sse_heartbeat: Duration,
    /// An SSE connection is ended after this long, give or take a tenth, so that they spread over instances again.
    pub sse_max_age: Duration,
    /// A connection whose reader takes nothing for this long is cut.
    pub write_timeout: Duration,
    /// A request's head, and its body, must have arrived within this; idle connections are kept as long.
    pub read_timeout: Duration,
    /// A request that is not answered by then, counted from the end of its body, is answered 503. Webhooks aside.
    pub answer_within: Duration,
    /// Most bytes of a request body, the webhook's aside.
    pub body_limit: usize,
    /// Most bytes of a webhook.
    pub webhook_limit: usize,
    /// From the signal to the end of [`serve`](crate::serve), in all.
    pub shutdown_timeout: Duration,
    /// Certificate and key to serve HTTPS with; `None`: HTTP.
    pub tls: Option<Tls>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            auth: Auth::Off,
            loopback_only: false,
            limits: None,
            open_create: false,
            cors_origins: None,
            trusted_proxies: loopback(),
            media_url: MediaUrl::SameOrigin,
            embed_ancestors: vec!["*".to_owned()],
            sse_max_connections: usize::MAX,
            sse_max_per_address: None,
            sse_heartbeat: Duration::from_secs(15),
            sse_max_age: Duration::from_secs(3600),
            write_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(65),
            answer_within: Duration::from_millis(1950),
            body_limit: 64 * 1024,
            webhook_limit: 1024 * 1024,
            shutdown_timeout: Duration::from_secs(10),
            tls: None,
        }
    }
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect()
}

/// Who may do what.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Everybody may do everything.
    Off,
    /// What changes something, and the roles that publish, need a key.
    Keys(KeyRing),
}

impl Auth {
    /// Whether callers are told apart.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::Keys(_))
    }
}

/// A key, known by its hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name in logs.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// It came from the file of keys, which may change while the server runs.
    pub from_file: bool,
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To read what needs a key to be read.
    Read,
    /// Everything.
    Admin,
}

/// The media server's address as clients are told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaUrl {
    /// This address, with the scheme ws or wss.
    Fixed(Arc<str>),
    /// The host that the request itself was sent to: signalling is served on the same port.
    SameOrigin,
}

impl MediaUrl {
    /// `LIVEKIT_PUBLIC_URL`, else the request's own host when the media server
    /// is embedded, else `LIVEKIT_HOST`. A missing host counts as embedded.
    pub fn choose(public_url: Option<&str>, embedded: bool, livekit_host: Option<&str>) -> Self {
        match (public_url, livekit_host) {
            (Some(url), _) => Self::Fixed(as_websocket(url).into()),
            (None, Some(host)) if !embedded => Self::Fixed(as_websocket(host).into()),
            _ => Self::SameOrigin,
        }
    }
}

/// The same address with the scheme ws or wss, and without a trailing slash.
fn as_websocket(url: &str) -> String {
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
        _ => url.to_owned(),
    }
}

impl ServerConfig {
    /// Origins that other sites' pages may call from; `None`: no other site's may.
    pub(crate) fn allowed_origins(&self) -> Option<AllowedOrigins> {
        let any = Some(AllowedOrigins::Any);
        match &self.cors_origins {
            None if self.auth.is_on() => any,
            None => None,
            Some(origins) if origins.iter().any(|origin| origin == "*") => any,
            Some(origins) => {
                Some(AllowedOrigins::List(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()).collect()))
            }
        }
    }
}

/// Which origins may call.
pub(crate) enum AllowedOrigins {
    Any,
    List(Vec<HeaderValue>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_url_is_the_public_one_else_our_own_else_the_host() {
        let fixed = |url: &str| MediaUrl::Fixed(url.into());
        let host = Some("http://127.0.0.1:7880");
        assert_eq!(MediaUrl::choose(Some("https://lk.example/"), true, host), fixed("wss://lk.example"));
        assert_eq!(MediaUrl::choose(Some("wss://lk.example"), false, None), fixed("wss://lk.example"));
        assert_eq!(MediaUrl::choose(None, true, host), MediaUrl::SameOrigin);
        assert_eq!(MediaUrl::choose(None, false, host), fixed("ws://127.0.0.1:7880"));
        assert_eq!(MediaUrl::choose(None, false, Some("wss://a/b/")), fixed("wss://a/b"));
    }
}
