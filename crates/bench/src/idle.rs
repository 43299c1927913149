//! The program with nothing to do: memory, and the time until it is ready.

use std::time::Duration;

use testkit::{LiveKitOptions, LiveKitServer, RedisServer};

use crate::scene::{Backend, KEY, program};
use crate::usage;

const STARTS: usize = 5;

/// Rows of the table; none when there is no Redis here.
pub(crate) async fn measure(binary: &str, backend: Backend) -> anyhow::Result<Vec<String>> {
    let (key, secret) = (KEY.0.to_owned(), KEY.1.to_owned());
    let options = LiveKitOptions { api_key: key, api_secret: secret, ..LiveKitOptions::default() };
    let livekit = LiveKitServer::start(options).await;
    let mut program = program(binary);
    if let Some(livekit) = &livekit {
        program.set("LIVEKIT_HOST", livekit.http_url());
    }
    let mut _redis = None;
    if backend == Backend::Redis {
        let Some(server) = RedisServer::start_volatile().await else { return Ok(Vec::new()) };
        program.set("REDIS_URL", server.url());
        _redis = Some(server);
    }
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        program.kill();
        ready.push(program.start().await);
    }
    ready.sort();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (resident, most) = usage::memory(program.id())?;
    let row = |what: &str, figure: String| format!("| {what} | {} | 0 | {figure} |", backend.name());
    Ok(vec![
        row("idle, resident memory (classic: 79 MiB)", format!("{resident:.1} MiB (most so far {most:.1})")),
        row("ready after the start, median of 5", format!("{:.0} ms", ready[STARTS / 2].as_secs_f64() * 1e3)),
    ])
}
