//! From text to values. Every error says what was expected, without repeating the text.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use rooms::LiveKitHost;
use server::{ApiKey, Quota, Scope};
use store::RedisConfig;
use url::Url;

/// Longest duration that a setting may have: ten years, in seconds.
const LONGEST: f64 = 315_360_000.0;

/// The outcome of parsing: a value, or what was expected.
pub(crate) type Parsed<T> = Result<T, String>;

/// Any text.
pub(crate) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// A file that is there.
pub(crate) fn file(text: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_file() { Ok(path) } else { Err("must be a file that is there".to_owned()) }
}

/// An address to listen on.
pub(crate) fn host(text: &str) -> Parsed<IpAddr> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "must be an IP address or `localhost`".to_owned())
}

/// A port, 0 included.
pub(crate) fn port(text: &str) -> Parsed<u16> {
    text.parse().map_err(|_| "must be a number from 0 to 65535".to_owned())
}

/// A number of something, at least 1.
pub(crate) fn count(text: &str) -> Parsed<u32> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

/// A duration in seconds.
pub(crate) fn seconds(text: &str) -> Parsed<Duration> {
    let number = text.parse::<f64>().ok().filter(|number| *number >= 0.001 && *number <= LONGEST);
    number.map(Duration::from_secs_f64).ok_or_else(|| "must be a number of seconds above 0".to_owned())
}

/// A quota: `count/seconds`.
pub(crate) fn quota(text: &str) -> Parsed<Quota> {
    let parsed = text.split_once('/').and_then(|(number, window)| {
        let number: NonZeroU32 = number.trim().parse().ok()?;
        let window = seconds(window.trim()).ok()?;
        // The counters know nanoseconds.
        (window >= Duration::from_nanos(number.get().into())).then(|| Quota::new(number, window))
    });
    parsed.ok_or_else(|| "must be a count and seconds such as 60/60".to_owned())
}

/// A switch.
pub(crate) fn on_off(text: &str) -> Parsed<bool> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be `on` or `off`".to_owned()),
    }
}

/// One of the words given.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Parsed<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// The URL of a LiveKit server.
pub(crate) fn livekit_host(text: &str) -> Parsed<LiveKitHost> {
    LiveKitHost::parse(text).map_err(|error| error.to_string())
}

/// The URL of a Redis server, or those of several nodes of one cluster.
pub(crate) fn redis_url(text: &str) -> Parsed<String> {
    let expected = "must be redis://[user:password@]host[:port][/database] or the same with rediss://, \
                    or several of these, comma-separated, for the nodes of a Redis Cluster";
    let is_node = |text: &str| {
        let Ok(url) = Url::parse(text) else { return false };
        let database = url.path().trim_start_matches('/');
        let plain =
            matches!(url.scheme(), "redis" | "rediss") && url.host_str().is_some_and(|host| !host.contains(','));
        plain && (database.is_empty() || database.parse::<u16>().is_ok())
    };
    if RedisConfig::urls(text).into_iter().all(is_node) { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

/// Letters, digits, `.`, `_` and `-`.
pub(crate) fn prefix(text: &str) -> Parsed<String> {
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if allowed && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err("must be letters, digits, `.`, `_` or `-`, at most 64 of them".to_owned())
    }
}

/// Origins of pages; `*` is every one.
pub(crate) fn origins(text: &str) -> Parsed<Vec<String>> {
    items(text).map(origin).collect()
}

/// Sources of a Content-Security-Policy, which must not end it or begin another directive.
pub(crate) fn csp_sources(text: &str) -> Parsed<Vec<String>> {
    let plain = |item: &str| !item.contains([';', ' ']) && item.bytes().all(|byte| byte.is_ascii_graphic());
    let sources: Vec<_> = items(text).map(str::to_owned).collect();
    if sources.iter().all(|item| plain(item)) {
        Ok(sources)
    } else {
        Err("must be sources such as https://example.org, `'self'` or `*`, separated by commas".to_owned())
    }
}

/// Addresses and networks.
pub(crate) fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    let one = |item: &str| item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
    items(text)
        .map(|item| one(item).map_err(|_| "must be IP addresses or networks such as 10.0.0.0/8".to_owned()))
        .collect()
}

/// Addresses of this machine or of a router in front of it.
pub(crate) fn addresses(text: &str) -> Parsed<Vec<IpAddr>> {
    items(text).map(|item| item.parse().map_err(|_| "must be IP addresses separated by commas".to_owned())).collect()
}

/// Keys of callers.
pub(crate) fn api_keys(text: &str) -> Parsed<Vec<ApiKey>> {
    let expected = "must be name:scope:sha256hex with scope `admin` or `read`, several separated by commas";
    let keys: Vec<_> = items(text).map(api_key).collect::<Option<_>>().ok_or_else(|| expected.to_owned())?;
    let twice = keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|other| other.name == key.name));
    if twice { Err("names two keys the same".to_owned()) } else { Ok(keys) }
}

/// What is logged.
pub(crate) fn log_level(text: &str) -> Parsed<String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be error, warn, info, debug or trace, or part=level separated by commas".to_owned()),
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn origin(text: &str) -> Parsed<String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let origin = url.map(|url| url.origin().ascii_serialization());
    // A browser sends the origin alone: a path would never match.
    origin
        .filter(|origin| *origin == text.to_ascii_lowercase())
        .ok_or_else(|| "must be origins such as https://example.org (without a path), or `*`".to_owned())
}

fn api_key(text: &str) -> Option<ApiKey> {
    let mut parts = text.splitn(3, ':');
    let (name, scope, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let scope = match scope {
        "admin" => Scope::Admin,
        "read" => Scope::Read,
        _ => return None,
    };
    let named = !name.is_empty() && prefix(name).is_ok();
    named.then_some(ApiKey { name: name.to_owned(), scope, hash: sha256(hash)?, from_file: false })
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = (0..64).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok());
    bytes.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_with_a_fraction() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for text in ["0", "-1", "NaN", "inf", "1e99", "30s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotas_are_a_count_and_seconds() {
        let check = |text: &str, count: u32, millis: u64| {
            let expected = Quota::new(NonZeroU32::new(count).unwrap(), Duration::from_millis(millis));
            assert_eq!(quota(text), Ok(expected), "{text}");
        };
        check("60/60", 60, 60_000);
        check("1 / 0.5", 1, 500);
        for text in ["", "60", "0/60", "60/0", "-1/60", "60/x", "60/60/60", "4294967295/0.5", "1.5/60"] {
            assert!(quota(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_addresses() {
        assert_eq!(host("localhost").unwrap().to_string(), "127.0.0.1");
        assert_eq!(host("::").unwrap().to_string(), "::");
        assert!(host("example.org").is_err());
    }

    #[test]
    fn redis_urls_may_have_user_password_and_database() {
        for text in
            ["redis://a", "rediss://user:secret@a:6380/15", "redis://:a,b@a/", "redis://a:1,redis://b,redis://c:3"]
        {
            assert!(redis_url(text).is_ok(), "{text}");
        }
        for text in [
            "a:6379",
            "http://a",
            "redis://a/x",
            "redis://a/0/1",
            "redis://a,b",
            "redis://a:1,b:2",
            "redis://a,redis://b/x",
        ] {
            assert!(redis_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        assert_eq!(origins("https://a.org, http://b:8080"), Ok(vec!["https://a.org".into(), "http://b:8080".into()]));
        assert!(origins("*").is_ok());
        for text in ["https://a.org/", "a.org", "https://a.org/x", "https://a.org:443"] {
            assert!(origins(text).is_err(), "{text}");
        }
    }

    #[test]
    fn api_keys_are_name_scope_and_hash() {
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let keys = api_keys(&format!("a:admin:{hash}, b:read:{hash}")).unwrap();
        assert_eq!((keys[0].scope, keys[1].scope, keys[0].hash[0]), (Scope::Admin, Scope::Read, 0x9f));
        for text in
            [format!("a:root:{hash}"), format!(":admin:{hash}"), "a:admin:12".into(), format!("a:admin:{hash}0")]
        {
            assert!(api_keys(&text).is_err(), "{text}");
        }
        assert!(api_keys(&format!("a:admin:{hash},a:read:{hash}")).unwrap_err().contains("two keys"));
    }

    #[test]
    fn networks_may_be_single_addresses() {
        assert_eq!(networks("10.0.0.1,::1/128").unwrap().len(), 2);
        assert!(networks("10.0.0").is_err());
    }
}
