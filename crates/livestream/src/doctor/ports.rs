//! The ports: free, or taken by the server that is meant to have them.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::config::Config;
use crate::media::reachable;

use super::PATIENCE;
use super::report::{Finding, Report};

/// A port can't be had.
const TAKEN: &str = "end the other program, or set";

/// Looks at all ports; gives the address of a server of ours that runs on `PORT`.
pub(super) async fn examine(config: &Config, report: &mut Report) -> anyhow::Result<Option<String>> {
    let listen = config.api.listen;
    let running = running_at(listen, config.api.scheme()).await;
    report.add("port", api_port(listen, running.as_deref()))?;
    if config.livekit.is_none() {
        let tcp = SocketAddr::new(listen.ip(), config.embedded.port);
        let udp = SocketAddr::new(listen.ip(), config.embedded.udp_port);
        let ours = running.is_some();
        report.add("media port", media_port(TcpListener::bind(tcp).map(drop), tcp, "MEDIA_PORT", ours))?;
        report.add("media UDP port", media_port(UdpSocket::bind(udp).map(drop), udp, "MEDIA_UDP_PORT", ours))?;
    }
    Ok(running)
}

/// The base address of a server of ours at `address`, if one answers.
async fn running_at(address: SocketAddr, scheme: &str) -> Option<String> {
    if address.port() == 0 {
        return None;
    }
    let base = format!("{scheme}://{}", reachable(address));
    // Whether its certificate is trusted does not matter to the question whether it is one of ours.
    let http =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_danger_accept_invalid_certs(true).build().ok()?;
    let answer = http.get(format!("{base}/healthz")).send().await.ok()?;
    let health: serde_json::Value = answer.json().await.ok()?;
    (health["status"] == "ok").then_some(base)
}

fn api_port(address: SocketAddr, running: Option<&str>) -> Finding {
    match (running, TcpListener::bind(address)) {
        (Some(base), _) => Finding::well(format!("a livestream serves at {base}")),
        (None, Ok(_)) => Finding::well(format!("{address} is free; no livestream runs there")),
        (None, Err(error)) => refused(&error, address, "PORT"),
    }
}

fn media_port(bound: std::io::Result<()>, address: SocketAddr, setting: &str, is_running: bool) -> Finding {
    match bound {
        Ok(()) => Finding::well(format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running => {
            Finding::well(format!("{address} is in use, as it should be while livestream runs"))
        }
        Err(error) => refused(&error, address, setting),
    }
}

fn refused(error: &std::io::Error, address: SocketAddr, setting: &str) -> Finding {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => format!("{TAKEN} {setting}"),
        ErrorKind::PermissionDenied => format!("ports below 1024 need CAP_NET_BIND_SERVICE; or set {setting}"),
        ErrorKind::AddrNotAvailable => "HOST must be an address of this machine, or 0.0.0.0 or :: for all".to_owned(),
        _ => format!("set HOST and {setting}"),
    };
    Finding::broken(format!("{address} can't be listened on: {error}"), advice)
}
