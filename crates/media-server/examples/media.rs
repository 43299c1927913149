//! The media server alone, for trying clients and for the tests under `tests/clients`.
//!
//! Settings come from the environment: `MEDIA_LISTEN` (127.0.0.1:7880), `MEDIA_UDP`
//! (127.0.0.1:7882), `MEDIA_ADVERTISED` (addresses, comma separated), `MEDIA_WEBHOOKS` (URLs, comma
//! separated), `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` (devkey, secret). It prints its address
//! and ends on SIGINT or SIGTERM, telling clients to reconnect.

use std::env;
use std::error::Error;
use std::time::Duration;

use media_server::{ApiKey, Config, MediaServer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter(setting("RUST_LOG", "info")).with_writer(std::io::stderr).init();
    let key = ApiKey {
        key: setting("LIVEKIT_API_KEY", "devkey"),
        secret: setting("LIVEKIT_API_SECRET", "secretsecretsecretsecretsecretsecret"),
    };
    let mut config = Config::new(key);
    config.udp_bind = setting("MEDIA_UDP", "127.0.0.1:7882").parse()?;
    config.advertised = list("MEDIA_ADVERTISED").iter().map(|ip| ip.parse()).collect::<Result<_, _>>()?;
    config.webhook_urls = list("MEDIA_WEBHOOKS");
    let server = MediaServer::start(config)?;
    let listener = TcpListener::bind(setting("MEDIA_LISTEN", "127.0.0.1:7880")).await?;
    tracing::info!(http = %listener.local_addr()?, media = ?server.media_addresses(), "media server is up");
    let mut term = signal(SignalKind::terminate())?;
    let serve = server.serve(listener);
    tokio::select! {
        Err(error) = serve => return Err(error.into()),
        _ = term.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown(Duration::from_secs(3)).await;
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn list(name: &str) -> Vec<String> {
    env::var(name).unwrap_or_default().split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect()
}
