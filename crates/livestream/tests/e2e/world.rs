//! What the tests stand on: instances of the program wired to servers of their own.

use std::time::Duration;

use rooms::{LiveKit, LiveKitHost};
use serde_json::{Value, json};
use testkit::{LiveKitOptions, LiveKitServer, Livestream, Participant, RedisServer, SseClient};
use tokio::time::{Instant, sleep};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_livestream");

/// Longest wait for something to become true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether LiveKit tells the instances what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Webhooks {
    On,
    Off,
}

/// An instance that is not started yet.
pub(crate) fn instance() -> Livestream {
    Livestream::new(BINARY).with("RATE_LIMIT", "off").with("LOG_LEVEL", "info,orchestrator=debug")
}

/// A LiveKit server that knows `instances`, which are told where it is; `None` where there is none.
pub(crate) async fn livekit_for(instances: &mut [&mut Livestream], webhooks: Webhooks) -> Option<LiveKitServer> {
    let urls = match webhooks {
        Webhooks::On => instances.iter().map(|instance| instance.url("/webhook")).collect(),
        Webhooks::Off => Vec::new(),
    };
    let livekit = LiveKitServer::start(LiveKitOptions { webhook_urls: urls, ..Default::default() }).await?;
    for instance in instances {
        point_at(instance, &livekit);
    }
    Some(livekit)
}

/// Points an instance at a Redis.
pub(crate) fn on_redis(instance: &mut Livestream, redis: &RedisServer) {
    instance.set("REDIS_URL", redis.url());
}

/// Points an instance at a LiveKit.
pub(crate) fn point_at(instance: &mut Livestream, livekit: &LiveKitServer) {
    instance.set("LIVEKIT_HOST", livekit.http_url());
    instance.set("LIVEKIT_API_KEY", &livekit.options().api_key);
    instance.set("LIVEKIT_API_SECRET", &livekit.options().api_secret);
}

/// LiveKit's own API, to look at what is really there.
pub(crate) fn api_of(livekit: &LiveKitServer) -> LiveKit {
    let host = LiveKitHost::parse(&livekit.http_url()).unwrap();
    let options = livekit.options();
    LiveKit::new(&host, &options.api_key, &options.api_secret, Duration::from_secs(5)).unwrap()
}

/// Creates a stream that is not there yet.
pub(crate) async fn create(instance: &Livestream, name: &str) {
    let answer = instance.post("/streams", json!({"name": name})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["streamId"]), (201, &json!(name)), "{answer:?}");
}

/// Joins as a real client; `None` where LiveKit's SDK is not installed.
pub(crate) async fn join(instance: &Livestream, stream: &str, user: &str) -> Option<Participant> {
    let answer = instance.post(&format!("/streams/{stream}/join"), json!({"userId": user})).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    Participant::join(user, &text("url"), &text("token")).await
}

/// Subscribes to a stream's updates.
pub(crate) async fn subscribe(instance: &Livestream, stream: &str) -> SseClient {
    SseClient::open(&instance.url(&format!("/sse/{stream}/updates"))).await
}

/// A stream's state.
pub(crate) async fn state(instance: &Livestream, stream: &str) -> Value {
    instance.get(&format!("/streams/{stream}/state")).await.body
}

/// Asks until the answer satisfies `wanted`; gives the time that took.
pub(crate) async fn until_state(
    instance: &Livestream,
    stream: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Duration {
    let begun = Instant::now();
    loop {
        let state = state(instance, stream).await;
        if wanted(&state) {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what} did not come true in {PATIENCE:?}: {state}\n{}",
            instance.log_tail()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether exactly these people are in the state, and counted.
pub(crate) fn people(state: &Value, wanted: &[&str]) -> bool {
    state["participants"] == json!(wanted) && state["participantCount"] == json!(wanted.len())
}

/// Versions of one epoch, each higher than the one before: no subscriber ever went back.
pub(crate) fn assert_versions_rise(subscriber: &SseClient) {
    let states = subscriber.states();
    assert!(!states.is_empty());
    for pair in states.windows(2) {
        assert_eq!(pair[0]["epoch"], pair[1]["epoch"]);
        assert!(pair[0]["version"].as_u64() < pair[1]["version"].as_u64(), "{pair:#?}");
    }
}
