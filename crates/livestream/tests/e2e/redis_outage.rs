//! Redis dies and comes back with what it had acknowledged.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::RedisServer;
use tokio::time::sleep;

use crate::world::{Webhooks, assert_versions_rise, create, instance, join, livekit_for, on_redis, people, subscribe};

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_within_2_s_and_subscribers_stay_and_get_the_newest_state() {
    let mut one = instance().with("SWEEP_INTERVAL", 2);
    let Some(mut redis) = RedisServer::start().await else { return };
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    on_redis(&mut one, &redis);
    let one = one.started().await;
    create(&one, "gold").await;
    let mut subscriber = subscribe(&one, "gold").await;
    let Some(ann) = join(&one, "gold", "ann").await else { return };
    let Some(bob) = join(&one, "gold", "bob").await else { return };
    subscriber.wait_for("both are there", |state| people(state, &["ann", "bob"])).await;

    redis.kill();
    for (what, answer) in [("state", one.get("/streams/gold/state")), ("list", one.get("/streams"))] {
        let begun = Instant::now();
        let answer = answer.await;
        assert_eq!(answer.status.as_u16(), 503, "{what}: {answer:?}");
        assert!(answer.retry_after.is_some(), "{what} says when to try again");
        assert!(begun.elapsed() < Duration::from_millis(2500), "{what} took {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    assert_eq!(one.post("/streams", json!({"name": "other"})).await.status.as_u16(), 503);
    assert!(begun.elapsed() < Duration::from_millis(2500), "create took {:?}", begun.elapsed());
    assert_eq!(one.get("/readyz").await.status.as_u16(), 503);
    assert_eq!(one.get("/healthz").await.status.as_u16(), 200);
    // Nobody can write this down now; LiveKit's webhook is refused and a sweep finds it later.
    bob.leave().await;
    sleep(Duration::from_secs(2)).await;

    redis.restart().await;
    subscriber.wait_for("bob left", |state| people(state, &["ann"])).await;
    assert!(!subscriber.has_ended());
    assert_versions_rise(&subscriber);
    assert_eq!(one.get("/streams/other/state").await.status.as_u16(), 404, "a refused create left something behind");
    ann.leave().await;
}
