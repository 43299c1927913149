//! A burst of updates over many streams, on two instances over one Redis: how many are taken a second, what each
//! costs, and when everybody who watches has been told the last.

use std::collections::HashMap;
use std::time::Duration;

use domain::Rules;
use serde_json::Value;
use store::{RedisConfig, RedisStore, Store};
use testkit::{Livestream, RedisServer, SseClient};
use tokio::time::{Instant, sleep};

use crate::{load, scene, seed, usage, webhook};

const STREAMS: usize = 1_000;
const UPDATES: usize = 25_000;
const CONNECTIONS: usize = 64;
/// Every so many streams is watched, on each instance.
const WATCHED: usize = 20;
/// Longest wait for the last state.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of the table; none where there is no Redis.
pub(crate) async fn measure(binary: &str) -> anyhow::Result<Vec<String>> {
    let Some(redis) = RedisServer::start_volatile().await else { return Ok(Vec::new()) };
    let instances = start(binary, &redis).await?;
    let (mut lobbies, mut watchers) = (Vec::new(), Vec::new());
    for instance in &instances {
        lobbies.push(SseClient::open(&instance.url("/sse/streams?limit=5000")).await);
        for stream in (0..STREAMS).step_by(WATCHED) {
            let url = instance.url(&format!("/sse/{}/updates", seed::name(stream)));
            watchers.push((stream, SseClient::open(&url).await));
        }
    }
    let before = used(&instances, &redis)?;
    let begun = Instant::now();
    let urls: Vec<String> = instances.iter().map(|instance| instance.url("/webhook")).collect();
    let request = move |client: &reqwest::Client, number: usize| {
        webhook::joined(client, &urls[number % urls.len()], number, number % STREAMS)
    };
    load::run(UPDATES, CONNECTIONS, request).await?;
    let took = begun.elapsed();
    for (stream, watcher) in &mut watchers {
        let wanted = (*stream..UPDATES).step_by(STREAMS).count();
        watcher.wait_for("the last state", |state| state["participantCount"] == wanted).await;
    }
    let heard = lobby_settles(&lobbies, begun + took).await?;
    let after = used(&instances, &redis)?;
    let each = |all: Duration| all.as_secs_f64() * 1e6 / UPDATES as f64;
    let (own, redis_cpu) = (after.0 - before.0, after.1 - before.1);
    let told: usize = lobbies.iter().map(|lobby| lobby.states().len()).sum();
    let row = |what: &str, figure: String| format!("| burst on 2 instances: {what} | Redis | {STREAMS} | {figure} |");
    Ok(vec![
        row("updates taken a second", format!("{:.0}", UPDATES as f64 / took.as_secs_f64())),
        row("CPU of the instances for each, those who watch included", format!("{:.0} µs", each(own))),
        row("CPU of Redis for each", format!("{:.0} µs", each(redis_cpu))),
        row("from the last answer until lobbies and watchers have the last state", format!("{:.0} ms", heard * 1e3)),
        row("lobby events for each update, of 2 lobbies", format!("{:.2}", told as f64 / UPDATES as f64)),
    ])
}

async fn start(binary: &str, redis: &RedisServer) -> anyhow::Result<Vec<Livestream>> {
    let store = RedisStore::connect(RedisConfig { url: redis.url(), prefix: "livestream".into() }).await?;
    let rules = Rules { empty_timeout: Duration::from_secs(86_400), ..Rules::default() };
    seed::fill(&store, &rules, STREAMS).await?;
    store.close().await;
    let mut instances = Vec::new();
    for _ in 0..2 {
        let program = scene::program(binary).with("SWEEP_INTERVAL", 86_400).with("REDIS_URL", redis.url());
        instances.push(program.started().await);
    }
    sleep(Duration::from_secs(2)).await;
    Ok(instances)
}

/// CPU of the instances together, and of Redis.
fn used(instances: &[Livestream], redis: &RedisServer) -> anyhow::Result<(Duration, Duration)> {
    let own: Vec<Duration> = instances.iter().map(|instance| usage::cpu(instance.id())).collect::<Result<_, _>>()?;
    Ok((own.iter().sum(), usage::cpu(redis.id().unwrap_or_default())?))
}

/// Waits until every stream has all its people in every lobby; seconds since `since`.
async fn lobby_settles(lobbies: &[SseClient], since: Instant) -> anyhow::Result<f64> {
    loop {
        if lobbies.iter().all(|lobby| people(lobby) == UPDATES as u64) {
            return Ok(since.elapsed().as_secs_f64());
        }
        anyhow::ensure!(since.elapsed() < PATIENCE, "a lobby does not come to the last state");
        sleep(Duration::from_millis(20)).await;
    }
}

/// People in all streams, as the lobby was told.
fn people(lobby: &SseClient) -> u64 {
    let mut streams: HashMap<String, u64> = HashMap::new();
    for event in lobby.states() {
        let all = event["streams"].as_array().cloned().unwrap_or_else(|| vec![event]);
        let count =
            |stream: &Value| Some((stream["streamId"].as_str()?.to_owned(), stream["participantCount"].as_u64()?));
        streams.extend(all.iter().filter_map(count));
    }
    streams.values().sum()
}
