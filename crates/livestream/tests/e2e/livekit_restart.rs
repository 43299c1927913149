//! LiveKit dies under its participants and comes back knowing nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::world::{
    Webhooks, assert_versions_rise, create, instance, join, livekit_for, people, state, subscribe, until_state,
};

#[tokio::test(flavor = "multi_thread")]
async fn both_clients_are_back_in_the_same_stream_and_nobody_is_counted_twice() {
    let mut one = instance().with("SWEEP_INTERVAL", 2);
    let Some(mut livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    let one = one.started().await;
    create(&one, "gold").await;
    let mut subscriber = subscribe(&one, "gold").await;
    let Some(mut ann) = join(&one, "gold", "ann").await else { return };
    let Some(mut bob) = join(&one, "gold", "bob").await else { return };
    ann.publish().await;
    bob.wait_for("frame").await;
    let before = subscriber.wait_for("live with both", |s| s["phase"] == "live" && people(s, &["ann", "bob"])).await;

    livekit.kill();
    sleep(Duration::from_secs(1)).await;
    livekit.restart().await;
    ann.wait_for("reconnected").await;
    bob.wait_for("reconnected").await;
    bob.wait_for("frame").await;
    until_state(&one, "gold", "live with both again", |s| s["phase"] == "live" && people(s, &["ann", "bob"])).await;

    // Late events and the next sweeps must not change it any more.
    sleep(Duration::from_secs(7)).await;
    let after = state(&one, "gold").await;
    assert!(people(&after, &["ann", "bob"]) && after["phase"] == "live", "{after}");
    assert_eq!((&after["status"], &after["epoch"]), (&before["status"], &before["epoch"]));
    assert_eq!(after["peakParticipants"], 2, "somebody was counted twice");
    let connections = one.get("/streams/gold/participants").await.body;
    assert_eq!(connections.as_array().unwrap().len(), 2, "{connections}");
    assert_versions_rise(&subscriber);
}
