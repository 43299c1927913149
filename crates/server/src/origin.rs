//! Whom a request was meant for, and which page asked for it.
//!
//! Browsers keep pages of one site from reading another's answers, not from asking.
//! Two ways around that are closed here: DNS rebinding, where a foreign name leads to
//! a loopback address (the Host gives it away), and changes that a foreign page asks
//! for (its Origin gives it away).

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, Uri};

use crate::client::{self, Call};
use crate::config::{AllowedOrigins, ServerConfig};
use crate::problem::Problem;

/// LiveKit's own calls: signed, so neither name nor origin matters.
const WEBHOOK: &str = "/webhook";

/// Sent twice, two servers could each believe another one.
const SINGLE: [HeaderName; 4] = [HOST, AUTHORIZATION, CONTENT_TYPE, ORIGIN];
pub(crate) const FOREIGN_NAME: &str = "this server was started without keys for this machine alone, and answers under \
    localhost, *.localhost, 127.0.0.0/8 and [::1] only: set API_KEYS to ask callers for a key, or AUTH=off to let \
    every caller do everything under any name";
pub(crate) const FOREIGN_PAGE: &str =
    "a page of another origin may not change anything here: name its origin in CORS_ORIGINS";

/// Refuses what came under a foreign name or from a foreign page.
pub(crate) fn check<B>(config: &ServerConfig, request: &axum::http::Request<B>) -> Result<(), Problem> {
    let doubled = SINGLE.iter().find(|name| request.headers().get_all(*name).iter().nth(1).is_some());
    if let Some(name) = doubled {
        return Err(Problem::invalid(format!("the header {name} must be there once")));
    }
    if request.uri().path() == WEBHOOK {
        return Ok(());
    }
    check_name(config, request)?;
    check_page(config, request)
}

/// DNS rebinding: while only loopback is asked to be trusted, only its names are answered.
pub(crate) fn check_name<B>(config: &ServerConfig, request: &axum::http::Request<B>) -> Result<(), Problem> {
    if !config.loopback_only {
        return Ok(());
    }
    let header = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    // A browser always names a host; whoever names none is no page.
    if header.into_iter().chain(target).all(is_loopback_name) {
        Ok(())
    } else {
        Err(Problem::foreign_name(FOREIGN_NAME))
    }
}

fn is_loopback_name(host: &[u8]) -> bool {
    let authority = std::str::from_utf8(host).ok().and_then(|host| host.parse::<Authority>().ok());
    let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Changes are asked for by our own pages, by those of the origins named, or by no page.
fn check_page<B>(config: &ServerConfig, request: &axum::http::Request<B>) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let allowed = match config.allowed_origins() {
        Some(AllowedOrigins::Any) => true,
        Some(AllowedOrigins::List(origins)) => origins.contains(origin),
        None => false,
    };
    if allowed || is_own(config, request.into(), origin) { Ok(()) } else { Err(Problem::foreign_page(FOREIGN_PAGE)) }
}

/// The origin's host is the one that was called. (Its scheme is left to a proxy that may end TLS.)
fn is_own(config: &ServerConfig, call: Call<'_>, origin: &HeaderValue) -> bool {
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let (Some(origin), Ok(own)) = (origin, client::own_host(config, call)) else { return false };
    let default = match origin.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    origin
        .authority()
        .is_some_and(|authority| authority.host().eq_ignore_ascii_case(own.host()) && port(authority) == port(&own))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;

    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).uri("/streams");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn names_of_loopback_are_told_from_others() {
        for host in [
            "localhost",
            "LocalHost:3000",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1",
            "127.1.2.3:3000",
            "[::1]",
            "[::1]:3000",
            "[::ffff:127.0.0.1]:3000",
        ] {
            assert!(is_loopback_name(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "192.168.0.1",
            "[::]",
            "[fe80::1]",
            "localhost@evil.example",
            "evil.example@localhost",
            "xlocalhost",
            "127.0.0.1 ",
            "2130706433",
            "0x7f.1",
            "\u{1}",
        ] {
            assert!(!is_loopback_name(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn every_name_of_a_request_must_be_loopback() {
        let config = ServerConfig { loopback_only: true, ..ServerConfig::default() };
        assert!(check_name(&config, &request("GET", &[])).is_ok());
        assert!(check_name(&config, &request("GET", &[("host", "localhost")])).is_ok());
        assert!(check_name(&config, &request("GET", &[("host", "evil.example")])).is_err());
        let absolute = Request::builder().uri("http://evil.example/streams").header("host", "localhost");
        assert!(check_name(&config, &absolute.body(Body::empty()).unwrap()).is_err());
        let forwarded = request("GET", &[("host", "evil.example"), ("x-forwarded-host", "localhost")]);
        assert!(check_name(&config, &forwarded).is_err());
        assert!(check_name(&ServerConfig::default(), &request("GET", &[("host", "evil.example")])).is_ok());
    }

    #[test]
    fn changes_are_asked_for_by_own_and_named_pages_only() {
        let own = ServerConfig::default();
        let named = ServerConfig { cors_origins: Some(vec!["https://a.example".into()]), ..ServerConfig::default() };
        let check = |config: &ServerConfig, method: &str, origin: &str| {
            check(config, &request(method, &[("host", "live.example:3000"), ("origin", origin)])).is_ok()
        };
        assert!(check(&own, "POST", "http://live.example:3000") && check(&own, "POST", "https://LIVE.example:3000"));
        for origin in [
            "http://live.example",
            "http://evil.example",
            "null",
            "",
            "http://live.example.evil:3000",
            "https://a.example",
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                assert!(!check(&own, method, origin), "{method} {origin}");
            }
            assert!(check(&own, "GET", origin));
        }
        assert!(check(&named, "DELETE", "https://a.example") && !check(&named, "DELETE", "https://b.example"));
        assert!(super::check(&own, &request("POST", &[("host", "a"), ("host", "b")])).is_err());
    }
}
