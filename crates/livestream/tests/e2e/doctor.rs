//! `livestream doctor`: with everything in place, and with one thing after another missing.

use testkit::{LiveKitOptions, LiveKitServer, Livestream, RedisServer, free_tcp_port, free_udp_port};

use crate::world::{Webhooks, instance, livekit_for, on_redis};

/// Runs the doctor; its exit code and output.
async fn examined(one: Livestream) -> (Livestream, Option<i32>, String) {
    let run = tokio::task::spawn_blocking(move || {
        let (code, text) = one.run(&["doctor"]);
        (one, code, text)
    });
    run.await.unwrap()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in expected {
        assert!(squeezed.contains(line), "{line:?} is missing in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everything_in_place_all_is_well_before_and_while_the_server_runs() {
    let Some(redis) = RedisServer::start().await else { return };
    let mut one = instance();
    let Some(livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    on_redis(&mut one, &redis);
    let (mut one, code, text) = examined(one).await;
    check(&text, &["ok Redis redis", "ok Redis clock", "ok Redis safety", "ok LiveKit http", "LiveKit 1.13"]);
    check(&text, &["no livestream runs there", "ok signalling", "ok webhooks arrive here, rightly signed"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(&livekit.options().api_secret), "{text}");

    one.start().await;
    let (_one, code, text) = examined(one).await;
    check(&text, &["ok port a livestream serves at", "ok webhooks arrive at"]);
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_what_to_do() {
    let Some(redis) = RedisServer::start_volatile().await else { return };
    let mut one = instance();
    let Some(livekit) = livekit_for(&mut [&mut one], Webhooks::Off).await else { return };
    on_redis(&mut one, &redis);
    let (mut one, code, text) = examined(one).await;
    check(&text, &["warn Redis safety appendonly no", "FAIL webhooks none came", "to do: in livekit.yaml", "1 of"]);
    assert_eq!(code, Some(1), "{text}");

    one.set("LIVEKIT_API_SECRET", "another-secret-that-is-long-enough");
    one.set("REDIS_URL", format!("redis://127.0.0.1:{}", free_tcp_port()));
    let (_one, code, text) = examined(one).await;
    check(&text, &["FAIL Redis", "FAIL LiveKit", "LIVEKIT_API_KEY and LIVEKIT_API_SECRET", "skip webhooks"]);
    assert_eq!(code, Some(1), "{text}");
    drop(livekit);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_signed_with_another_key_are_told_apart() {
    let mut one = instance();
    let url = one.url("/webhook");
    // LiveKit signs with another of its keys than the one that is configured here.
    let extra = "webhook:\n  api_key: other\n  urls: [\"".to_owned() + &url + "\"]\n";
    let options = LiveKitOptions { extra, other_keys: vec![("other".into(), "x".repeat(40))], ..Default::default() };
    let Some(livekit) = LiveKitServer::start(options).await else { return };
    one.set("LIVEKIT_HOST", livekit.http_url());
    one.set("LIVEKIT_API_KEY", &livekit.options().api_key);
    one.set("LIVEKIT_API_SECRET", &livekit.options().api_secret);
    let (_one, code, text) = examined(one).await;
    check(&text, &["FAIL webhooks the webhook is signed with API key \"other\""]);
    assert_eq!(code, Some(1), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_it_needs_ports_and_a_folder() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    let (mut one, code, text) = examined(one).await;
    check(&text, &["ok embedded store", "ok media port", "ok media UDP port", "embedded media server brings its own"]);
    assert_eq!(code, Some(0), "{text}");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    one.set("MEDIA_UDP_PORT", taken.local_addr().unwrap().port());
    let (_one, code, text) = examined(one).await;
    check(&text, &["FAIL media UDP port", "set MEDIA_UDP_PORT"]);
    assert_eq!(code, Some(1), "{text}");
}
