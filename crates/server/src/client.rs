//! Who is at the other end, and under which name we were called.
//!
//! `X-Forwarded-*` counts only when the connection comes from a trusted proxy.

use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, Request, Uri};

use crate::config::{MediaUrl, ServerConfig};
use crate::problem::Problem;

/// Address of the other end of the connection; put into each request by [`crate::serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

/// What of a request tells who sent it and whom it was meant for.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> From<&'a Parts> for Call<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self { uri: &parts.uri, headers: &parts.headers, extensions: &parts.extensions }
    }
}

impl<'a, B> From<&'a Request<B>> for Call<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self { uri: request.uri(), headers: request.headers(), extensions: request.extensions() }
    }
}

/// The media server's address for whoever sent this request.
pub(crate) fn media_url(config: &ServerConfig, call: Call<'_>) -> Result<String, Problem> {
    match &config.media_url {
        MediaUrl::Fixed(url) => Ok(url.to_string()),
        MediaUrl::SameOrigin => {
            let scheme = if is_secure(config, call) { "wss" } else { "ws" };
            Ok(format!("{scheme}://{}", own_host(config, call)?))
        }
    }
}

/// Whether the client reached us, or the proxy before us, over TLS.
fn is_secure(config: &ServerConfig, call: Call<'_>) -> bool {
    let forwarded = forwarded(config, call, "x-forwarded-proto");
    forwarded.map_or(call.uri.scheme_str() == Some("https"), |proto| {
        proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
    })
}

/// The host the client called, with its port.
fn own_host(config: &ServerConfig, call: Call<'_>) -> Result<Authority, Problem> {
    let called = forwarded(config, call, "x-forwarded-host")
        .or_else(|| call.headers.get(HOST)?.to_str().ok())
        .or_else(|| call.uri.authority().map(Authority::as_str));
    let host = called.and_then(|host| host.parse::<Authority>().ok());
    // A user part would make the address lead elsewhere than it seems to.
    host.filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| Problem::invalid("the Host header must name this server"))
}

/// A forwarding header of a trusted proxy; of several values the first, which is the client's side.
fn forwarded<'a>(config: &ServerConfig, call: Call<'a>, name: &str) -> Option<&'a str> {
    if !is_trusted(config, call.extensions) {
        return None;
    }
    let value = first_value(call.headers, name)?;
    (!value.is_empty()).then_some(value)
}

fn first_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

fn is_trusted(config: &ServerConfig, extensions: &Extensions) -> bool {
    let Some(PeerAddr(address)) = extensions.get::<PeerAddr>() else { return false };
    config.trusted_proxies.iter().any(|net| net.contains(address))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn url(peer: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().uri("/streams/x/join");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(PeerAddr(peer.parse().unwrap()));
        media_url(&ServerConfig::default(), Call::from(&parts)).ok()
    }

    #[test]
    fn forwarding_headers_are_believed_from_trusted_proxies_only() {
        let headers = [("host", "inner:3000"), ("x-forwarded-host", "live.example"), ("x-forwarded-proto", "https")];
        assert_eq!(url("127.0.0.1", &headers).as_deref(), Some("wss://live.example"));
        assert_eq!(url("::1", &headers).as_deref(), Some("wss://live.example"));
        assert_eq!(url("192.0.2.1", &headers).as_deref(), Some("ws://inner:3000"));
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        assert_eq!(url("127.0.0.1", &[("host", "good.example:3000")]).as_deref(), Some("ws://good.example:3000"));
        for bad in ["a b", "x@evil.example", ""] {
            assert_eq!(url("127.0.0.1", &[("host", bad)]), None, "{bad:?}");
        }
    }
}
