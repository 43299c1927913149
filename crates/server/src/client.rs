//! Who is at the other end, and under which name we were called.
//!
//! `X-Forwarded-*` counts only when the connection comes from a trusted proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, Request, Uri};

use crate::config::{MediaUrl, ServerConfig};
use crate::problem::Problem;

/// Address of the other end of the connection; put into each request by [`crate::serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

/// The connection is encrypted; put into each request of such a one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secure;

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

/// The caller's address: the other end of the connection, or, behind trusted
/// proxies, the last address in `X-Forwarded-For` that is not one of them.
pub(crate) fn address(config: &ServerConfig, call: Call<'_>) -> IpAddr {
    // Without sockets, as in tests, all callers are one.
    let Some(PeerAddr(peer)) = call.extensions.get::<PeerAddr>() else { return Ipv4Addr::UNSPECIFIED.into() };
    let trusted = |address: &IpAddr| config.trusted_proxies.iter().any(|net| net.contains(address));
    let mut nearest = *peer;
    let lines = call.headers.get_all("x-forwarded-for").iter().rev();
    for hop in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        if !trusted(&nearest) {
            break;
        }
        // What is no address was not written by a proxy that can be trusted further.
        let Some(address) = hop_address(hop.trim()) else { break };
        nearest = address;
    }
    nearest
}

/// Whom the caller's address tells apart from others; `None`: it is that of a trusted
/// proxy, which has not said whom it speaks for.
pub(crate) fn distinct_address(config: &ServerConfig, call: Call<'_>) -> Option<IpAddr> {
    let address = address(config, call);
    let trusted = config.trusted_proxies.iter().any(|net| net.contains(&address));
    (!trusted).then_some(address)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
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
    forwarded.map_or(call.extensions.get::<Secure>().is_some(), |proto| {
        proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
    })
}

/// The host the client called, with its port.
pub(crate) fn own_host(config: &ServerConfig, call: Call<'_>) -> Result<Authority, Problem> {
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
    fn the_caller_is_whom_trusted_proxies_name() {
        let check = |peer: &str, forwarded: &[&str], expected: &str| {
            let mut request = Request::builder();
            for line in forwarded {
                request = request.header("x-forwarded-for", *line);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(PeerAddr(peer.parse().unwrap()));
            let found = address(&ServerConfig::default(), Call::from(&parts));
            assert_eq!(found.to_string(), expected, "{peer} {forwarded:?}");
        };
        check("192.0.2.1", &[], "192.0.2.1");
        check("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("::1", &["203.0.113.9:4711"], "203.0.113.9");
        check("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("127.0.0.1", &["2001:db8::1"], "2001:db8::1");
        // What the caller has written itself stands further left.
        check("127.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9");
        check("127.0.0.1", &["198.51.100.1", "203.0.113.9, 127.0.0.2"], "203.0.113.9");
        check("127.0.0.1", &["198.51.100.1, unknown"], "127.0.0.1");
        check("127.0.0.1", &["", "::ffff:203.0.113.9"], "203.0.113.9");
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        assert_eq!(url("127.0.0.1", &[("host", "good.example:3000")]).as_deref(), Some("ws://good.example:3000"));
        for bad in ["a b", "x@evil.example", ""] {
            assert_eq!(url("127.0.0.1", &[("host", bad)]), None, "{bad:?}");
        }
    }
}
