//! The program alone: its own media server, LiveKit's own SDK as participants.

use std::time::Duration;

use testkit::{free_tcp_port, free_udp_port};
use tokio::time::sleep;

use crate::world::{assert_versions_rise, create, instance, join, people, state, subscribe, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_looks_like_a_network_cut_to_everybody() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    let mut one = one.with("SHUTDOWN_TIMEOUT", 2).with("SWEEP_INTERVAL", 2).started().await;
    create(&one, "gold").await;
    let Some(mut ann) = join(&one, "gold", "ann").await else { return };
    let Some(mut bob) = join(&one, "gold", "bob").await else { return };
    let Some(mut eve) = join(&one, "gold", "eve").await else { return };
    ann.publish().await;
    bob.wait_for("frame").await;
    eve.wait_for("frame").await;
    let everybody = |s: &serde_json::Value| s["phase"] == "live" && people(s, &["ann", "bob", "eve"]);
    until_state(&one, "gold", "live with all three", everybody).await;
    let before = state(&one, "gold").await;

    one.terminate();
    assert_eq!(one.wait_for_exit(Duration::from_secs(6)).await.code(), Some(0), "{}", one.log_tail());
    one.start().await;
    let subscriber = subscribe(&one, "gold").await;
    for participant in [&mut ann, &mut bob, &mut eve] {
        participant.wait_for("reconnected").await;
    }
    bob.wait_for("frame").await;
    until_state(&one, "gold", "live with all three again", everybody).await;

    // Late events and the next sweeps must not change it any more.
    sleep(Duration::from_secs(7)).await;
    let after = state(&one, "gold").await;
    assert!(everybody(&after), "{after}");
    assert_eq!((&after["epoch"], &after["startedAt"]), (&before["epoch"], &before["startedAt"]), "the same stream");
    assert_eq!(after["peakParticipants"], 3, "somebody was counted twice");
    assert_versions_rise(&subscriber);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_ending_are_seen_like_those_of_a_livekit() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port()).started().await;
    create(&one, "gold").await;
    let mut subscriber = subscribe(&one, "gold").await;
    let Some(mut ann) = join(&one, "gold", "ann").await else { return };
    let Some(mut bob) = join(&one, "gold", "bob").await else { return };
    ann.publish().await;
    subscriber.wait_for("live", |state| state["phase"] == "live" && people(state, &["ann", "bob"])).await;
    ann.unpublish().await;
    subscriber.wait_for("reconnecting", |state| state["phase"] == "reconnecting").await;
    ann.leave().await;
    subscriber.wait_for("ann left", |state| people(state, &["bob"])).await;
    assert_eq!(one.delete("/streams/gold").await.status.as_u16(), 204);
    subscriber.wait_for("the end", |state| state["status"] == "finished").await;
    bob.wait_for("disconnected").await;
    until_state(&one, "gold", "the room is gone", |state| state["closing"] == false).await;
    assert_versions_rise(&subscriber);
}
