//! An instance is killed; two instances do not agree on what time it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{LiveKitOptions, LiveKitServer, Livestream, RedisServer, skip};
use tokio::time::sleep;

use super::scene::{Scene, quick_instance};
use crate::world::{api_of, on_redis, point_at};

const DOWN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_an_instance_all_is_right_afterwards() {
    tokio::join!(killed_alone(), killed_beside_another(), clocks_apart());
}

async fn killed_alone() {
    let mut one = quick_instance();
    let Some(livekit) = livekit_at(&[one.url("/webhook")]).await else { return };
    point_at(&mut one, &livekit);
    let (mut one, api) = (one.started().await, api_of(&livekit));
    let mut scene = Scene::open_with("alone", &[&one], &api, true).await;
    scene.begin();
    one.kill();
    scene.lose_a_room().await;
    sleep(DOWN).await;
    one.start().await;
    scene.end();
    scene.subscribe(&[&one]).await;
    scene.settle(21, "the only instance killed with -9 (embedded store), started again after 2 s", &[&one]).await;
}

async fn killed_beside_another() {
    let (mut first, mut second) = (quick_instance(), quick_instance());
    let Some(redis) = RedisServer::start().await else { return };
    let Some(livekit) = livekit_at(&[first.url("/webhook"), second.url("/webhook")]).await else { return };
    for one in [&mut first, &mut second] {
        point_at(one, &livekit);
        on_redis(one, &redis);
    }
    // The first was there alone, so that the leases are its.
    let (mut first, api) = (first.started().await, api_of(&livekit));
    sleep(Duration::from_millis(500)).await;
    let second = second.started().await;
    let mut scene = Scene::open("beside", &[&second], &api).await;
    scene.begin();
    first.kill();
    scene.lose_a_room().await;
    sleep(DOWN).await;
    scene.end();
    scene.settle(22, "one of two instances killed with -9 (Redis), as seen on the other", &[&second]).await;
}

/// Time rules and tokens go by the store's clock: an instance's own does not matter.
async fn clocks_apart() {
    let Some(library) = libfaketime() else { return };
    let (mut first, mut second) = (quick_instance(), quick_instance());
    let Some(redis) = RedisServer::start().await else { return };
    let Some(livekit) = livekit_at(&[first.url("/webhook"), second.url("/webhook")]).await else { return };
    for one in [&mut first, &mut second] {
        point_at(one, &livekit);
        on_redis(one, &redis);
    }
    second.set("LD_PRELOAD", library.display());
    second.set("FAKETIME", "+30s");
    // The monotonic clock is not the wall's: no step of the latter shows in it.
    second.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let (first, second, api) = (first.started().await, second.started().await, api_of(&livekit));
    let apart = apart(&first, &second).await;
    assert!((25..=35).contains(&apart), "the clocks are {apart} s apart");
    let mut scene = Scene::open("apart", &[&first, &second], &api).await;
    scene.begin();
    scene.lose_a_room().await;
    sleep(DOWN).await;
    scene.end();
    scene.settle(23, "the clocks of two instances are 30 s apart (Redis), all the time", &[&first, &second]).await;
}

/// How many seconds the second instance's `Date` is ahead of the first's.
async fn apart(first: &Livestream, second: &Livestream) -> i64 {
    const DAY: i64 = 24 * 3600;
    (seconds_of_day(second).await - seconds_of_day(first).await).rem_euclid(DAY)
}

/// `Mon, 23 Nov 2026 17:29:22 GMT`
async fn seconds_of_day(one: &Livestream) -> i64 {
    let answer = reqwest::get(one.url("/healthz")).await.unwrap();
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    let time = date.split(' ').nth(4).unwrap();
    time.split(':').map(|part| part.parse::<i64>().unwrap()).fold(0, |sum, part| sum * 60 + part)
}

async fn livekit_at(webhooks: &[String]) -> Option<LiveKitServer> {
    LiveKitServer::start(LiveKitOptions { webhook_urls: webhooks.to_vec(), ..Default::default() }).await
}

/// Debian's `libfaketime`, where the system keeps libraries.
fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = folders
        .chain([PathBuf::from("/usr/local/lib")])
        .map(|folder| folder.join(Path::new("faketime/libfaketime.so.1")))
        .find(|path| path.is_file());
    if found.is_none() {
        skip("no libfaketime (Debian: apt-get install libfaketime)");
    }
    found
}
