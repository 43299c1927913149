//! Redis dies, stands still, is slow, loses connections in the middle of a command, has no memory left.

use std::time::Duration;

use testkit::{FaultyProxy, LiveKitOptions, LiveKitServer, Livestream, RedisServer, Wire};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::scene::{Scene, quick_instance};
use crate::world::{api_of, point_at};

const OUTAGE: Duration = Duration::from_secs(4);

/// An instance of its own on a Redis of its own, behind a wire of its own.
struct Bed {
    one: Livestream,
    redis: RedisServer,
    wire: FaultyProxy,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_redis_callers_are_answered_and_all_is_right_afterwards() {
    let mut beds = Vec::new();
    for _ in 0..6 {
        let Some(redis) = RedisServer::start().await else { return };
        let wire = FaultyProxy::start(redis.port()).await;
        let one = quick_instance().with("REDIS_URL", format!("redis://127.0.0.1:{}/", wire.port()));
        beds.push(Bed { one, redis, wire });
    }
    // One LiveKit for all: it is not what fails here, and every bed has names of its own.
    let webhook_urls = beds.iter().map(|bed| bed.one.url("/webhook")).collect();
    let options = LiveKitOptions { webhook_urls, ..Default::default() };
    let Some(livekit) = LiveKitServer::start(options).await else { return };
    let mut faults = JoinSet::new();
    for (number, mut bed) in beds.into_iter().enumerate() {
        point_at(&mut bed.one, &livekit);
        let api = api_of(&livekit);
        faults.spawn(async move {
            bed.one.start().await;
            match number {
                0 => killed(bed, api).await,
                1 => paused(bed, api).await,
                2 => slow(bed, api).await,
                3 => too_slow(bed, api).await,
                4 => cut(bed, api).await,
                _ => full(bed, api).await,
            }
        });
    }
    faults.join_all().await;
}

async fn killed(mut bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("killed", &[&bed.one], &api).await;
    scene.begin();
    bed.redis.kill();
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    bed.redis.restart().await;
    scene.end();
    scene.settle(1, "Redis killed with -9, started again after 4 s", &[&bed.one]).await;
}

async fn paused(bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("paused", &[&bed.one], &api).await;
    scene.begin();
    bed.redis.pause();
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    bed.redis.resume();
    scene.end();
    scene.settle(2, "Redis stands still for 4 s (`SIGSTOP`)", &[&bed.one]).await;
}

async fn slow(bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("slow", &[&bed.one], &api).await;
    scene.begin();
    bed.wire.set(Wire::Slow(Duration::from_millis(100)));
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    bed.wire.set(Wire::Good);
    scene.end();
    scene.settle(3, "Redis answers 0.2 s late for 4 s", &[&bed.one]).await;
}

async fn too_slow(bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("tooslow", &[&bed.one], &api).await;
    scene.begin();
    bed.wire.set(Wire::Slow(Duration::from_millis(600)));
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    bed.wire.set(Wire::Good);
    scene.end();
    scene.settle(4, "Redis answers 1.2 s late for 4 s", &[&bed.one]).await;
}

async fn cut(bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("cut", &[&bed.one], &api).await;
    scene.begin();
    bed.wire.set(Wire::Cutting(20));
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    bed.wire.set(Wire::Good);
    scene.end();
    let cuts = bed.wire.cuts();
    assert!(cuts > 3, "only {cuts} connections were cut");
    let fault = "connections to Redis cut in the middle of a command or an answer, again and again for 4 s";
    scene.settle(5, fault, &[&bed.one]).await;
}

async fn full(bed: Bed, api: rooms::LiveKit) {
    let mut scene = Scene::open("full", &[&bed.one], &api).await;
    scene.begin();
    assert!(bed.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]).await.starts_with("+OK"));
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    assert!(bed.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await.starts_with("+OK"));
    scene.end();
    scene.settle(6, "Redis has no memory left for 4 s (`maxmemory`, `noeviction`)", &[&bed.one]).await;
}
