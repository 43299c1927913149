//! Two instances, one Redis, one LiveKit: whoever is asked, the answer is the same.

use rooms::Rooms;
use testkit::RedisServer;

use crate::world::{
    Webhooks, api_of, assert_versions_rise, create, instance, join, livekit_for, on_redis, people, subscribe,
    until_state,
};

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_on_both_hear_joined_live_left_and_the_end() {
    let (mut first, mut second) = (instance(), instance());
    let Some(redis) = RedisServer::start().await else { return };
    let Some(livekit) = livekit_for(&mut [&mut first, &mut second], Webhooks::On).await else { return };
    on_redis(&mut first, &redis);
    on_redis(&mut second, &redis);
    let (first, second) = (first.started().await, second.started().await);

    create(&first, "gold").await;
    let (mut on_first, mut on_second) = (subscribe(&first, "gold").await, subscribe(&second, "gold").await);
    let Some(mut ann) = join(&second, "gold", "ann").await else { return };
    for subscriber in [&mut on_first, &mut on_second] {
        subscriber.wait_for("ann joined", |state| people(state, &["ann"])).await;
    }
    ann.publish().await;
    for subscriber in [&mut on_first, &mut on_second] {
        subscriber.wait_for("live", |state| state["phase"] == "live" && people(state, &["ann"])).await;
    }
    ann.leave().await;
    for subscriber in [&mut on_first, &mut on_second] {
        subscriber.wait_for("ann left", |state| state["status"] == "active" && people(state, &[])).await;
    }

    let api = api_of(&livekit);
    let room = |rooms: Vec<domain::RoomSnapshot>| rooms.iter().any(|room| room.name.as_str() == "gold");
    assert!(room(api.list_rooms().await.unwrap()), "the room is there until the stream is ended");
    assert_eq!(second.delete("/streams/gold").await.status.as_u16(), 204);
    for subscriber in [&mut on_first, &mut on_second] {
        let ended = subscriber.wait_for("the end", |state| state["status"] == "finished").await;
        assert_eq!((ended["endReason"].as_str(), ended["peakParticipants"].as_u64()), (Some("stopped"), Some(1)));
    }
    until_state(&first, "gold", "the room is gone", |state| state["closing"] == false).await;
    assert!(!room(api.list_rooms().await.unwrap()), "LiveKit still has the room");
    assert_versions_rise(&on_first);
    assert_versions_rise(&on_second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_instance_carries_on_when_one_is_killed() {
    let (mut first, mut second) = (instance().with("LEASE", 2), instance().with("LEASE", 2));
    let Some(redis) = RedisServer::start().await else { return };
    let Some(_livekit) = livekit_for(&mut [&mut first, &mut second], Webhooks::On).await else { return };
    on_redis(&mut first, &redis);
    on_redis(&mut second, &redis);
    let (mut first, second) =
        (first.with("EMPTY_TIMEOUT", 4).started().await, second.with("EMPTY_TIMEOUT", 4).started().await);

    // The first was there alone, so that it holds the leases; the timer below is the second's to notice.
    create(&first, "orphaned").await;
    let mut subscriber = subscribe(&second, "orphaned").await;
    first.kill();
    let ended = subscriber.wait_for("the idle end", |state| state["status"] == "finished").await;
    assert_eq!(ended["endReason"], "idle");
}
