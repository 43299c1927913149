//! What `REDIS_URL` names: one server, or several nodes of one cluster.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult};

/// What begins a URL, after the comma that ends the one before it. A comma elsewhere is part of its URL.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];
/// A peer that acknowledges nothing for so long is gone.
const DEAD_PEER: Duration = Duration::from_secs(5);

/// Every node that `urls` (comma-separated) names, at least one. User, password and database are the
/// first one's; the others need not repeat them.
pub(super) fn parse(urls: &str) -> RedisResult<Vec<ConnectionInfo>> {
    let mut nodes: Vec<ConnectionInfo> = Vec::new();
    for url in split(urls) {
        let info = url.into_connection_info()?;
        // The third protocol tells at once when the connection is lost, so that it is back before the next call.
        let settings = match nodes.first() {
            Some(first) => first.redis_settings().clone(),
            None => info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3),
        };
        nodes.push(info.set_tcp_settings(tcp_settings()).set_redis_settings(settings));
    }
    Ok(nodes)
}

/// How sockets to Redis are set.
pub(super) fn tcp_settings() -> TcpSettings {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(DEAD_PEER);
    tcp
}

/// The address of `host:port` as a node of the cluster says it, reached as `like` is. An empty host
/// means that of the node that says it.
pub(super) fn elsewhere(like: &ConnectionAddr, place: &str) -> Option<ConnectionAddr> {
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host_or = |own: &str| if host.is_empty() { own.to_owned() } else { host.to_owned() };
    match like {
        ConnectionAddr::Tcp(own, _) => Some(ConnectionAddr::Tcp(host_or(own), port)),
        ConnectionAddr::TcpTls { host: own, insecure, tls_params, .. } => Some(ConnectionAddr::TcpTls {
            host: host_or(own),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        }),
        _ => None,
    }
}

/// Cuts where a comma is followed by the scheme of another URL: passwords may hold commas.
pub(super) fn split(urls: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut begin, mut from) = (0, 0);
    while let Some(comma) = urls[from..].find(',').map(|at| from + at) {
        from = comma + 1;
        if SCHEMES.iter().any(|scheme| urls[from..].trim_start().starts_with(scheme)) {
            pieces.push(urls[begin..comma].trim());
            begin = from;
        }
    }
    pieces.push(urls[begin..].trim());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_may_hold_commas() {
        assert_eq!(split("redis://:a,b@h:1/2"), ["redis://:a,b@h:1/2"]);
        assert_eq!(split("redis://a:1, rediss://b:2,redis://c"), ["redis://a:1", "rediss://b:2", "redis://c"]);
    }

    #[test]
    fn credentials_are_those_of_the_first() {
        let nodes = parse("redis://app:secret@a:7000,redis://b:7001").unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1].redis_settings().username(), Some("app"));
        assert_eq!(nodes[1].redis_settings().password(), Some("secret"));
        assert_eq!(nodes[1].addr(), &ConnectionAddr::Tcp("b".to_owned(), 7001));
        assert!(parse("redis://a,http://b").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_redirection_names_a_host_or_means_its_own() {
        let own = ConnectionAddr::Tcp("a".to_owned(), 1);
        assert_eq!(elsewhere(&own, "b:2"), Some(ConnectionAddr::Tcp("b".to_owned(), 2)));
        assert_eq!(elsewhere(&own, ":2"), Some(ConnectionAddr::Tcp("a".to_owned(), 2)));
        assert_eq!(elsewhere(&own, "::1:2"), Some(ConnectionAddr::Tcp("::1".to_owned(), 2)));
        assert_eq!(elsewhere(&own, "b"), None);
    }
}
