//! LiveKit stands still, or dies and comes back knowing nothing.

use std::time::Duration;

use testkit::{LiveKitServer, Livestream};
use tokio::time::sleep;

use super::scene::{Scene, quick_instance};
use crate::world::{Webhooks, api_of, join, livekit_for, people, state};

/// Seconds.
const LOST_GRACE: u64 = 15;
const OUTAGE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_livekit_callers_are_answered_and_all_is_right_afterwards() {
    // A client that lost its LiveKit needs some seconds to come back: until then its stream waits.
    let (mut first, mut second) = (quick_instance(), quick_instance().with("LOST_GRACE", LOST_GRACE));
    let Some(one) = livekit_for(&mut [&mut first], Webhooks::On).await else { return };
    let Some(two) = livekit_for(&mut [&mut second], Webhooks::On).await else { return };
    tokio::join!(paused(first, one), killed(second, two));
}

async fn paused(one: Livestream, livekit: LiveKitServer) {
    let (one, api) = (one.started().await, api_of(&livekit));
    let mut scene = Scene::open("paused", &[&one], &api).await;
    scene.begin();
    // Its webhook is lost with the pause, or comes after it.
    scene.lose_a_room().await;
    livekit.pause();
    sleep(OUTAGE).await;
    livekit.resume();
    scene.end();
    scene.settle(11, "LiveKit stands still for 4 s (`SIGSTOP`)", &[&one]).await;
}

/// Streams that nobody is in are lost with their rooms; those whose people come back go on.
async fn killed(one: Livestream, mut livekit: LiveKitServer) {
    let (one, api) = (one.started().await, api_of(&livekit));
    let mut scene = Scene::open("killed", &[&one], &api).await;
    let Some(mut ann) = join(&one, "killed-main", "ann").await else { return };
    scene.begin();
    livekit.kill();
    scene.lose_all_rooms();
    sleep(OUTAGE).await;
    livekit.restart().await;
    scene.end();
    ann.wait_for("reconnected").await;
    let fault = format!(
        "LiveKit killed with -9, back after 4 s without a room; people come back, and streams that nobody \
         comes back to end after `LOST_GRACE` ({LOST_GRACE} s here)"
    );
    scene.settle(12, &fault, &[&one]).await;
    assert!(people(&state(&one, "killed-main").await, &["ann"]));
}
