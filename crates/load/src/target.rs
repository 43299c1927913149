//! Where the load goes: a base address on this machine, and on no other.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use url::{Host, Url};

const CONNECT: Duration = Duration::from_secs(3);

/// A server on this machine that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// The value of `Host`.
    pub host: String,
}

impl Target {
    /// Understands `http://127.0.0.1:3000` and its like, and sees whether somebody listens there.
    pub fn find(base: &str) -> anyhow::Result<Self> {
        let (addresses, host) = understand(base)?;
        let reachable = addresses.iter().find(|address| TcpStream::connect_timeout(address, CONNECT).is_ok());
        let address = *reachable.with_context(|| format!("nobody listens on {base}: start livestream first"))?;
        Ok(Self { address, host })
    }
}

fn understand(base: &str) -> anyhow::Result<(Vec<SocketAddr>, String)> {
    let expected = "expected a base address of this machine, as http://127.0.0.1:3000";
    let url = Url::parse(base).with_context(|| format!("{base:?} is no address: {expected}"))?;
    ensure!(url.scheme() == "http", "{base:?} is not http: {expected}; TLS is not measured");
    ensure!(matches!(url.path(), "" | "/") && url.query().is_none(), "{base:?} has a path: {expected}");
    let port = url.port_or_known_default().unwrap_or(80);
    let (addresses, name) = match url.host() {
        Some(Host::Ipv4(ip)) => (vec![SocketAddr::new(ip.into(), port)], ip.to_string()),
        Some(Host::Ipv6(ip)) => (vec![SocketAddr::new(ip.into(), port)], format!("[{ip}]")),
        Some(Host::Domain(name)) => {
            let found = (name, port).to_socket_addrs().with_context(|| format!("{name} has no address"))?;
            (found.collect(), name.to_owned())
        }
        None => bail!("{base:?} names no host: {expected}"),
    };
    let local = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
    ensure!(local, "{base:?} is not on this machine: a load is put on loopback addresses only");
    Ok((addresses, format!("{name}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_target() {
        for (base, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://127.9.9.9", "127.9.9.9:80"),
            ("http://localhost:3000/", "localhost:3000"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            assert_eq!(understand(base).unwrap().1, host);
        }
        for (base, part) in [
            ("127.0.0.1:3000", "no address"),
            ("https://127.0.0.1", "not http"),
            ("http://192.0.2.1:3000", "not on this machine"),
            ("http://[2001:db8::1]", "not on this machine"),
            ("http://127.0.0.1/streams", "has a path"),
        ] {
            let message = understand(base).unwrap_err().to_string();
            assert!(message.contains(part), "{base}: {message}");
        }
    }
}
