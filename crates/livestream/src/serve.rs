//! Serving: the parts are put together, run until a signal, and are taken apart in order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use hub::{Hub, HubSettings};
use orchestrator::{JobSettings, MediaSide, Orchestrator, Parts};
use rooms::{Tokens, WebhookVerifier};
use server::{AppState, Auth, MediaUrl, ServerConfig, SseEncoder};
use store::{Durability, EmbeddedStore, RedisConfig, RedisStore, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, LiveKit, StoreChoice};
use crate::pages;
use crate::signals::Signals;

/// Runs until a signal.
pub(crate) fn run(config: &Config, livekit: &LiveKit) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start threads")?;
    runtime.block_on(serve(config, livekit))
}

/// Every subscriber is a socket: the soft limit of most systems is too low, and the hard one is there to be used.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

async fn serve(config: &Config, livekit: &LiveKit) -> anyhow::Result<()> {
    let signals = Signals::listen().context("can't listen to signals")?;
    let recorder = server::install_metrics();
    // The port comes first: a second instance started by mistake must not touch the store.
    let listener = bind(config.api.listen).await?;
    let address = listener.local_addr()?;
    let store = open(&config.store).await?;
    let orchestrator = Orchestrator::start(parts(config, livekit, store.clone())?).await?;
    let hub = Hub::new(store.clone(), Arc::new(SseEncoder), HubSettings::default());
    let config = server_config(config, livekit);
    let limit = config.shutdown_timeout;
    let pages = pages::embedded();
    let state = AppState::new(orchestrator.clone(), hub.clone(), config, pages, recorder);
    tracing::info!(url = format!("http://{address}"), "listening");

    let stop = CancellationToken::new();
    let on_signal = tokio::spawn(stop_on(signals, stop.clone()));
    // Leases are given back while the listener still says 503 to whatever is new.
    let before_close = orchestrator.shutdown(limit);
    server::serve(listener, server::app(state.clone(), None), state, stop, before_close).await;
    on_signal.abort();
    hub.close().await;
    store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// The first signal asks for an orderly end. Whoever asks twice does not want to wait.
async fn stop_on(mut signals: Signals, stop: CancellationToken) {
    let signal = signals.next().await;
    tracing::info!(signal, "asked to end");
    stop.cancel();
    let signal = signals.next().await;
    tracing::warn!(signal, "asked again: ending at once");
    std::process::exit(1);
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        let (host, port) = (address.ip(), address.port());
        format!("can't listen on HOST={host} PORT={port}")
    })
}

async fn open(choice: &StoreChoice) -> anyhow::Result<Arc<dyn Store>> {
    match choice {
        StoreChoice::Embedded(folder) => {
            let path = folder.clone();
            let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path)).await?;
            Ok(Arc::new(store.with_context(|| format!("can't use DATA_DIR={}", folder.display()))?))
        }
        StoreChoice::Redis { url, prefix } => {
            let config = RedisConfig { url: url.clone(), prefix: prefix.clone() };
            let store = RedisStore::connect(config).await.context("can't use the Redis of REDIS_URL")?;
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

fn parts(config: &Config, livekit: &LiveKit, store: Arc<dyn Store>) -> anyhow::Result<Parts> {
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
        media_side: MediaSide::External,
        deployment: config.deployment.clone(),
    })
}

fn server_config(config: &Config, livekit: &LiveKit) -> ServerConfig {
    let api = &config.api;
    let public = livekit.public_url.as_ref().map(rooms::LiveKitHost::ws_url);
    ServerConfig {
        auth: api.keys.clone().map_or(Auth::Off, Auth::Keys),
        cors_origins: api.cors_origins.clone(),
        trusted_proxies: api.trusted_proxies.clone(),
        media_url: MediaUrl::choose(public.as_deref(), false, Some(&livekit.host.ws_url())),
        embed_ancestors: api.embed_ancestors.clone(),
        sse_heartbeat: api.sse_heartbeat,
        sse_max_age: api.sse_max_age,
        write_timeout: api.sse_write_timeout,
        shutdown_timeout: api.shutdown_timeout,
        ..ServerConfig::default()
    }
}
