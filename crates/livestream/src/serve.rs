//! Serving: the parts are put together, run until a signal, and are taken apart in order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hub::{Hub, HubSettings};
use orchestrator::{JobSettings, MediaSide, Orchestrator, Parts};
use rooms::{Tokens, WebhookVerifier};
use sd_notify::NotifyState;
use server::{AppState, Auth, KeyRing, MediaUrl, ServerConfig, SseEncoder, Tls};
use store::{Durability, EmbeddedStore, ErrorKind, RedisConfig, RedisStore, Store};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, LiveKit, StoreChoice, TlsFiles};
use crate::keys::KeysFile;
use crate::media::EmbeddedMedia;
use crate::pages;
use crate::signals::Signals;

/// Connections that wait to be accepted: watchers who come back all at once must not have to ask twice, which takes
/// them a second. The kernel's own limit (`net.core.somaxconn`) is 4,096.
const BACKLOG: u32 = 4096;

/// What a request may take in the store, besides one call to LiveKit.
const FOR_THE_STORE: Duration = Duration::from_millis(450);

/// Runs until a signal. `greet` is told the port once it is open.
pub(crate) fn run(config: &Config, greet: impl FnOnce(u16) -> anyhow::Result<()>) -> anyhow::Result<()> {
    runtime()?.block_on(serve(config, greet))
}

/// Runs the media server alone, until a signal.
pub(crate) fn run_media(config: &Config) -> anyhow::Result<()> {
    runtime()?.block_on(serve_media(config))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    raise_file_limit();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start threads")
}

/// Every subscriber is a socket: the soft limit of most systems is too low, and the hard one is there to be used.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

async fn serve(config: &Config, greet: impl FnOnce(u16) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let signals = Signals::listen().context("can't listen to signals")?;
    let recorder = server::install_metrics();
    let tls = config.api.tls.as_ref().map(load_tls).transpose()?;
    // The port comes first: a second instance started by mistake must not touch the store.
    let listener = bind(config.api.listen)?;
    let address = listener.local_addr()?;
    let webhooks = Webhooks::bind(address, config).await?;
    let media = media(config, address.ip(), webhooks.address).await?;
    let (livekit, side) = match (&media, &config.livekit) {
        (Some(media), _) => (media.livekit().clone(), media.side()),
        (None, Some(livekit)) => (livekit.clone(), MediaSide::External),
        (None, None) => anyhow::bail!("there is no media server"),
    };
    let keys_file = keys_file(config)?;
    let store = open(&config.store).await?;
    let orchestrator = Orchestrator::start(parts(config, &livekit, side, store.clone())?).await?;
    let max_subscribers = config.api.sse_max_per_stream.map_or(usize::MAX, |most| most as usize);
    let hub_settings = HubSettings { max_subscribers, ..HubSettings::default() };
    let hub = Hub::new(store.clone(), Arc::new(SseEncoder), hub_settings);
    let stop = CancellationToken::new();
    let scheme = config.api.scheme();
    let auth = auth(config, keys_file, &stop);
    let config = server_config(config, &livekit, media.is_some(), auth, tls);
    let limit = config.shutdown_timeout;
    let state = AppState::new(orchestrator.clone(), hub.clone(), config, pages::embedded(), recorder);
    let app = server::app(state.clone(), media.as_ref().map(EmbeddedMedia::router));
    let _webhooks = webhooks.serve(server::webhook_app(state.clone()));
    tracing::info!(url = format!("{scheme}://{address}"), "listening");
    greet(address.port())?;
    tell_systemd(NotifyState::Ready);

    let on_signal = tokio::spawn(stop_on(signals, stop.clone()));
    let before_close = wind_down(orchestrator, media, limit);
    server::serve(listener, app, state, stop, before_close).await;
    on_signal.abort();
    hub.close().await;
    store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// Leases are given back and clients told to come back while the listener still says 503 to whatever is new.
async fn wind_down(orchestrator: Orchestrator, media: Option<EmbeddedMedia>, limit: Duration) {
    if let Some(media) = &media {
        media.begin_drain();
    }
    orchestrator.shutdown(limit / 4).await;
    if let Some(media) = media {
        media.shutdown(limit / 4).await;
    }
}

/// The embedded media server, unless there is a LiveKit.
async fn media(config: &Config, host: IpAddr, webhooks: SocketAddr) -> anyhow::Result<Option<EmbeddedMedia>> {
    match config.livekit {
        Some(_) => Ok(None),
        None => EmbeddedMedia::start(&config.embedded, host, Some(webhooks)).await.map(Some),
    }
}

fn load_tls(files: &TlsFiles) -> anyhow::Result<Tls> {
    Tls::load(&files.certificate, &files.key).context("TLS_CERT and TLS_KEY can't be used")
}

/// Where the embedded media server's webhooks come in.
struct Webhooks {
    address: SocketAddr,
    /// Besides `PORT`.
    listener: Option<TcpListener>,
}

impl Webhooks {
    /// `PORT` itself, unless that speaks HTTPS: the media server is a client that does not know our certificate.
    async fn bind(api: SocketAddr, config: &Config) -> anyhow::Result<Self> {
        if config.api.tls.is_none() || config.livekit.is_some() {
            return Ok(Self { address: api, listener: None });
        }
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free on the loopback address")?;
        Ok(Self { address: listener.local_addr()?, listener: Some(listener) })
    }

    /// Until the answer is dropped.
    fn serve(self, router: Router) -> Option<AbortOnDropHandle<()>> {
        let listener = self.listener?;
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the listener for the embedded media server's webhooks has ended");
            }
        })))
    }
}

async fn serve_media(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("can't listen to signals")?;
    let media = EmbeddedMedia::start(&config.embedded, config.api.listen.ip(), None).await?;
    // Awaited outside of the log line, whose fields are not evaluated when it is filtered out.
    let signal = signals.next().await;
    tracing::info!(signal, "asked to end");
    media.shutdown(config.api.shutdown_timeout).await;
    Ok(())
}

/// The first signal asks for an orderly end. Whoever asks twice does not want to wait.
async fn stop_on(mut signals: Signals, stop: CancellationToken) {
    let signal = signals.next().await;
    tracing::info!(signal, "asked to end");
    tell_systemd(NotifyState::Stopping);
    stop.cancel();
    let signal = signals.next().await;
    tracing::warn!(signal, "asked again: ending at once");
    std::process::exit(1);
}

/// A unit of `Type=notify` counts as started once the port is open. Without systemd this does nothing.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| {
        let (host, port) = (address.ip(), address.port());
        format!("can't listen on HOST={host} PORT={port}")
    })
}

async fn open(choice: &StoreChoice) -> anyhow::Result<Arc<dyn Store>> {
    match choice {
        StoreChoice::Embedded(folder) => {
            let path = folder.clone();
            let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path)).await?;
            Ok(Arc::new(store.map_err(|error| {
                let advice = advice(error.kind);
                anyhow::Error::new(error)
                    .context(format!("can't use DATA_DIR={}: {advice}", absolute(folder).display()))
            })?))
        }
        StoreChoice::Redis { url, prefix } => {
            let config = RedisConfig { url: url.clone(), prefix: prefix.clone() };
            let store = RedisStore::connect(config).await.context("can't use the Redis of REDIS_URL")?;
            if store.is_cluster() {
                tracing::info!("Redis is a cluster");
            }
            match store.durability().await {
                Durability::Durable => {}
                Durability::Lossy(settings) => tracing::warn!(
                    settings = settings.join(", "),
                    "after a crash Redis may have lost the last second of what it acknowledged"
                ),
                Durability::Unknown => tracing::info!("Redis does not tell how durable it is"),
            }
            Ok(Arc::new(store))
        }
    }
}

/// What the operator can do about a data folder that can't be used.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Corrupt => {
            "streams.redb or streams.log in it is damaged; put a backup of both in their place, or move both away to \
             begin without streams"
        }
        ErrorKind::Full => "nothing can be written there; make room, or make it writable",
        ErrorKind::Misconfigured => "it must be a folder that this user may write to, and this process's own",
        ErrorKind::Unavailable => "reading or writing there fails",
    }
}

/// A relative path helps nobody who does not know where the program was started.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

fn parts(config: &Config, livekit: &LiveKit, side: MediaSide, store: Arc<dyn Store>) -> anyhow::Result<Parts> {
    let LiveKit { host, api_key, api_secret, .. } = livekit;
    let rooms =
        rooms::LiveKit::new(host, api_key, api_secret, config.media.timeout).context("can't talk to LiveKit")?;
    Ok(Parts {
        store,
        rooms: Arc::new(rooms),
        tokens: Tokens::new(api_key, api_secret, config.media.token_life),
        webhooks: WebhookVerifier::new(vec![(api_key.clone(), api_secret.clone())]),
        rules: config.rules.clone(),
        jobs: JobSettings {
            sweep_interval: config.sweep_interval,
            lease_ttl: config.lease,
            sweep_calls_per_second: config.sweep_calls,
            ..JobSettings::default()
        },
        media_side: side,
        deployment: config.deployment.clone(),
    })
}

/// Below 2 s as long as nobody asks for more patience with LiveKit.
fn answer_within(livekit_timeout: Duration) -> Duration {
    (livekit_timeout + FOR_THE_STORE).max(ServerConfig::default().answer_within)
}

/// The file of API keys, read for the first time: a broken one must not be found out when a caller is refused.
fn keys_file(config: &Config) -> anyhow::Result<Option<KeysFile>> {
    let api = &config.api;
    let (Some(fixed), Some(path)) = (&api.keys, &api.keys_file) else { return Ok(None) };
    KeysFile::open(path, fixed.clone()).map(Some)
}

/// The keys that hold, followed by a task of their own where they stand in a file.
fn auth(config: &Config, file: Option<KeysFile>, stop: &CancellationToken) -> Auth {
    match (file, &config.api.keys) {
        (Some(file), _) => {
            let ring = file.ring();
            tokio::spawn(file.follow(stop.clone()));
            Auth::Keys(ring)
        }
        (None, Some(keys)) => Auth::Keys(KeyRing::new(keys.clone())),
        (None, None) => Auth::Off,
    }
}

/// Each event stream is an open file. What is asked for goes before what there is, but not in silence.
fn max_connections(asked: Option<u32>) -> usize {
    let (files, _) = rlimit::Resource::NOFILE.get().unwrap_or((u64::MAX, u64::MAX));
    let possible = connections_for(files);
    let Some(asked) = asked else { return possible };
    let asked = asked as usize;
    if asked > possible {
        tracing::warn!(asked, files, possible, "SSE_MAX_CONNECTIONS is more than the limit of open files allows");
    }
    asked
}

/// An eighth of the files, or a few thousand of very many, are for everything else: requests, store, media, logs.
fn connections_for(files: u64) -> usize {
    const MOST_RESERVED: u64 = 4_096;
    usize::try_from(files - (files / 8).min(MOST_RESERVED)).unwrap_or(usize::MAX)
}

fn server_config(config: &Config, livekit: &LiveKit, embedded: bool, auth: Auth, tls: Option<Tls>) -> ServerConfig {
    let api = &config.api;
    let public = livekit.public_url.as_ref().map(rooms::LiveKitHost::ws_url);
    ServerConfig {
        auth,
        open_create: api.open_create,
        loopback_only: api.loopback_only,
        limits: api.rate_limit.then_some(api.limits),
        cors_origins: api.cors_origins.clone(),
        trusted_proxies: api.trusted_proxies.clone(),
        media_url: MediaUrl::choose(public.as_deref(), embedded, Some(&livekit.host.ws_url())),
        embed_ancestors: api.embed_ancestors.clone(),
        sse_max_connections: max_connections(api.sse_max_connections),
        sse_max_per_address: api.rate_limit.then_some(api.sse_max_per_address),
        sse_heartbeat: api.sse_heartbeat,
        sse_max_age: api.sse_max_age,
        write_timeout: api.sse_write_timeout,
        answer_within: answer_within(config.media.timeout),
        shutdown_timeout: api.shutdown_timeout,
        tls,
        ..ServerConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_streams_leave_files_for_everything_else() {
        for (files, connections) in [(1_024, 896), (20_000, 17_500), (1_048_576, 1_044_480)] {
            assert_eq!(connections_for(files), connections);
        }
        assert_eq!(max_connections(Some(7)), 7);
    }
}
