//! The embedded media server beside the API: the same to everybody as a LiveKit elsewhere.
//!
//! It is started on addresses next to the API's, and reached through LiveKit's
//! public protocol only; what is made of it stands in other crates.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use media_server::{ApiKey, MediaServer, load_keys, load_or_create_keys};
use orchestrator::MediaSide;
use rand::RngExt;
use rooms::LiveKitHost;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Embedded, LiveKit};

/// In `DATA_DIR`: tells one embedded media server from another on a shared store.
const ID_FILE: &str = "media-id";
const ID_LENGTH: usize = 16;

/// A media server that runs in this process.
pub(crate) struct EmbeddedMedia {
    server: MediaServer,
    livekit: LiveKit,
    side: MediaSide,
    /// The listener on `MEDIA_PORT`.
    listening: TaskTracker,
    stop: CancellationToken,
}

impl EmbeddedMedia {
    /// Starts it on `host`. Its events go to the API's webhook at `api`; `None`: nowhere.
    pub(crate) async fn start(config: &Embedded, host: IpAddr, api: Option<SocketAddr>) -> anyhow::Result<Self> {
        let key = key(config)?;
        let side = MediaSide::Embedded(media_id(&config.data_dir)?);
        let listener = TcpListener::bind((host, config.port))
            .await
            .with_context(|| format!("can't listen on HOST={host} MEDIA_PORT={}", config.port))?;
        let address = listener.local_addr()?;
        let media = media_server::Config {
            udp_bind: SocketAddr::new(host, config.udp_port),
            advertised: config.addresses.clone(),
            webhook_urls: api.map(|api| format!("http://{}/webhook", reachable(api))).into_iter().collect(),
            ..media_server::Config::new(key.clone())
        };
        let server = MediaServer::start(media).with_context(|| {
            format!("can't start the embedded media server on HOST={host} MEDIA_UDP_PORT={}", config.udp_port)
        })?;
        let (listening, stop) = (TaskTracker::new(), CancellationToken::new());
        listening.spawn(listen(server.serve(listener), stop.clone()));
        let url = format!("http://{}", reachable(address));
        tracing::info!(url, udp = ?server.media_addresses(), "the embedded media server is up");
        let livekit = LiveKit {
            host: LiveKitHost::parse(&url).context("the embedded media server has no address")?,
            public_url: config.public_url.clone(),
            api_key: key.key,
            api_secret: key.secret,
        };
        Ok(Self { server, livekit, side, listening, stop })
    }

    /// How it is reached, as if it were elsewhere.
    pub(crate) fn livekit(&self) -> &LiveKit {
        &self.livekit
    }

    /// Which media server the records are about.
    pub(crate) fn side(&self) -> MediaSide {
        self.side.clone()
    }

    /// Signalling and RoomService, for the API's own port.
    pub(crate) fn router(&self) -> Router {
        self.server.router()
    }

    /// Refuses new signalling from now on.
    pub(crate) fn begin_drain(&self) {
        self.server.begin_drain();
    }

    /// Tells the clients to come back, and ends.
    pub(crate) async fn shutdown(self, limit: Duration) {
        self.server.shutdown(limit).await;
        self.stop.cancel();
        self.listening.close();
        self.listening.wait().await;
    }
}

async fn listen(served: impl Future<Output = io::Result<Infallible>>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        Err(error) = served => tracing::error!(%error, "the listener on MEDIA_PORT has ended"),
    }
}

fn key(config: &Embedded) -> anyhow::Result<ApiKey> {
    match &config.key {
        Some((key, secret)) => Ok(ApiKey { key: key.clone(), secret: secret.clone() }),
        None => load_or_create_keys(&config.data_dir).context("the embedded media server needs a key in DATA_DIR"),
    }
}

/// The media server that a program with this configuration would be running: where, and its key; or why that is not known.
pub(crate) fn known(config: &Embedded, host: IpAddr) -> Result<load::MediaServer, String> {
    let kept = || load_keys(&config.data_dir).map_err(|error| error.to_string());
    let given = config.key.clone().map(|(key, secret)| ApiKey { key, secret });
    let key = given.map_or_else(kept, |key| Ok(Some(key)))?;
    let folder = config.data_dir.display();
    let unknown = || {
        format!(
            "the media server's key is not known: give LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or the server's DATA_DIR (there is no key in {folder})"
        )
    };
    let ApiKey { key, secret } = key.ok_or_else(unknown)?;
    Ok(load::MediaServer { url: format!("http://{}", reachable(SocketAddr::new(host, config.port))), key, secret })
}

/// The id in `data_dir`, made at the first start.
fn media_id(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join(ID_FILE);
    let context = || format!("can't use {}", path.display());
    fs::create_dir_all(data_dir).with_context(context)?;
    match fs::File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(random_id().as_bytes()).and_then(|()| file.sync_all()).with_context(context)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(context),
    }
    let id = fs::read_to_string(&path).with_context(context)?;
    anyhow::ensure!(!id.trim().is_empty(), "{} is empty; delete it to have a new id made", path.display());
    Ok(id.trim().to_owned())
}

fn random_id() -> String {
    let mut random = rand::rng();
    (0..ID_LENGTH).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

/// A server that listens on every address is reached on the loopback one.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = media_id(&folder.path().join("data")).unwrap();
        assert_eq!(first.len(), ID_LENGTH);
        assert_eq!(media_id(&folder.path().join("data")).unwrap(), first);
    }

    #[test]
    fn every_address_is_reached_on_loopback() {
        let check = |text: &str, expected: &str| {
            assert_eq!(reachable(text.parse().unwrap()).to_string(), expected);
        };
        check("0.0.0.0:7880", "127.0.0.1:7880");
        check("[::]:7880", "[::1]:7880");
        check("10.1.2.3:7880", "10.1.2.3:7880");
    }
}
