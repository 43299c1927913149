//! SIGTERM: what is under way finishes, what is new is told to come again, and the end comes in time.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Livestream, RedisServer};
use tokio::time::sleep;

use crate::world::{Webhooks, create, instance, livekit_for, on_redis, subscribe};

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_let_go_over_half_the_time_and_the_exit_is_clean() {
    let mut one = instance().with("SHUTDOWN_TIMEOUT", 4);
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    let mut one = one.started().await;
    create(&one, "gold").await;
    let mut subscribers = Vec::new();
    for _ in 0..20 {
        subscribers.push(subscribe(&one, "gold").await);
    }

    let begun = Instant::now();
    one.terminate();
    wait_until_draining(&one).await;
    let refused = one.post("/streams", json!({"name": "late"})).await;
    assert_eq!((refused.status.as_u16(), refused.retry_after.as_deref()), (503, Some("1")), "{refused:?}");
    let refused = one.post("/streams/gold/join", json!({"userId": "late"})).await;
    assert_eq!((refused.status.as_u16(), refused.retry_after.as_deref()), (503, Some("1")), "{refused:?}");
    assert_eq!(one.get("/sse/gold/updates").await.status.as_u16(), 503);
    assert_eq!(one.get("/streams/gold/state").await.status.as_u16(), 200, "what needs nothing new is served");
    assert!(subscribers.iter().any(|subscriber| !subscriber.has_ended()), "they do not all go at once");

    for subscriber in &mut subscribers {
        subscriber.wait_for_end().await;
    }
    let status = one.wait_for_exit(Duration::from_secs(6)).await;
    assert_eq!(status.code(), Some(0), "{}", one.log_tail());
    eprintln!("ended after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_given_back_so_that_another_instance_takes_over_at_once() {
    let mut first = instance().with("LEASE", 60).with("EMPTY_TIMEOUT", 6);
    let mut second = instance().with("LEASE", 60).with("EMPTY_TIMEOUT", 6);
    let Some(redis) = RedisServer::start().await else { return };
    let Some(_livekit) = livekit_for(&mut [&mut first, &mut second], Webhooks::On).await else { return };
    on_redis(&mut first, &redis);
    on_redis(&mut second, &redis);
    let mut first = first.started().await;
    create(&first, "gold").await;
    // The first has all leases by now; kept for 60 s they would hold up the end below.
    sleep(Duration::from_secs(1)).await;
    let second = second.started().await;
    first.terminate();
    first.wait_for_exit(Duration::from_secs(12)).await;
    let mut subscriber = subscribe(&second, "gold").await;
    let begun = Instant::now();
    subscriber.wait_for("the idle end", |state| state["endReason"] == "idle").await;
    assert!(begun.elapsed() < Duration::from_secs(40), "the leases were not given back");
}

async fn wait_until_draining(one: &Livestream) {
    for _ in 0..200 {
        if one.get("/readyz").await.status.as_u16() == 503 {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not drain:\n{}", one.log_tail());
}
