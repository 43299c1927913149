//! Bans with real participants, on a real LiveKit and on the embedded media server: whoever holds a token from before
//! gets in by it, because no server takes a token back, and is taken out again.

use std::time::Duration;

use serde_json::json;
use testkit::{Livestream, Participant, free_tcp_port, free_udp_port};
use tokio::time::{Instant, sleep};

use crate::faults::report;
use crate::world::{Webhooks, create, instance, livekit_for, people, until_state};

const SWEEP: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_holds_on_livekit() {
    let mut one = instance();
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    a_ban_holds(1, "LiveKit 1.13.5, by its webhooks", 5, one.started().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_holds_on_livekit_when_every_webhook_is_lost() {
    let mut one = instance().with("SWEEP_INTERVAL", SWEEP.as_secs());
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::Off).await else { return };
    a_ban_holds(3, "LiveKit 1.13.5 when every webhook is lost, sweeps of 2 s", 4, one.started().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_holds_on_the_embedded_media_server() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    a_ban_holds(2, "the embedded media server", 5, one.started().await).await;
}

/// Banned while there, back with the old token again and again, out each time, lifted, and in as before.
async fn a_ban_holds(place: u32, by: &str, comebacks: usize, one: Livestream) {
    create(&one, "gold").await;
    let (url, token) = admitted(&one, "mallory").await;
    let Some(mut mallory) = Participant::join("mallory", &url, &token).await else { return };
    until_state(&one, "gold", "mallory is there", |state| people(state, &["mallory"])).await;

    let ban = one.post("/streams/gold/bans", json!({"identity": "mallory", "reason": "shouting"})).await;
    assert!(ban.status.is_success(), "{ban:?}");
    mallory.wait_for("disconnected").await;
    until_state(&one, "gold", "mallory is gone", |state| people(state, &[])).await;
    let refused = one.post("/streams/gold/join", json!({"userId": "mallory"})).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (403, &json!("banned")), "{refused:?}");

    let mut times = Vec::new();
    for _ in 0..comebacks {
        let Some(mut back) = Participant::join("mallory", &url, &token).await else { return };
        let begun = Instant::now();
        back.wait_for("disconnected").await;
        times.push(begun.elapsed());
        until_state(&one, "gold", "mallory is gone again", |state| people(state, &[])).await;
    }
    report::ejections(place, by, &mut times);
    // Written down a moment after LiveKit has done it.
    let counted = format!("livestream_ban_ejection_seconds_count {}", comebacks + 1);
    let begun = Instant::now();
    while !one.metrics().await.contains(&counted) {
        assert!(begun.elapsed() < Duration::from_secs(5), "not {counted}");
        sleep(Duration::from_millis(50)).await;
    }

    let lifted = one.delete("/streams/gold/bans/mallory").await;
    assert_eq!(lifted.status.as_u16(), 204, "{lifted:?}");
    let (url, token) = admitted(&one, "mallory").await;
    let Some(_mallory) = Participant::join("mallory", &url, &token).await else { return };
    until_state(&one, "gold", "mallory is welcome", |state| people(state, &["mallory"])).await;
}

/// The address and the token that a join gives.
async fn admitted(one: &Livestream, user: &str) -> (String, String) {
    let answer = one.post("/streams/gold/join", json!({"userId": user})).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (text("url"), text("token"))
}
