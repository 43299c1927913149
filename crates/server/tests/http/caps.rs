//! How many event streams may be open: in all, of one address, of one stream.

use std::num::NonZeroU32;
use std::time::Duration;

use hub::HubSettings;
use server::{PeerAddr, ServerConfig};

use crate::app::{ADMIN, Events, Path, Setup, TestApp, keys, on_both_paths, request};

on_both_paths! {
    what_is_open_in_all_is_capped
    what_watches_one_stream_is_capped
}

async fn what_is_open_in_all_is_capped(path: Path) {
    let config = ServerConfig { sse_max_connections: 3, ..ServerConfig::default() };
    let app = TestApp::with(Setup { config, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut open = Vec::new();
    for path in ["/sse/gold/updates", "/sse/streams", "/sse/gold/updates?view=summary"] {
        open.push(app.watch(path).await);
        assert!(open.last_mut().unwrap().event().await.is_some());
    }
    for path in ["/sse/gold/updates", "/sse/streams"] {
        let refused = app.get(path).await;
        refused.assert_code(503, "too_many_readers");
        assert_eq!(refused.header("retry-after"), "10");
    }
    // What is refused, looked at or unknown takes no place, and what ends gives its own back.
    assert_eq!(app.send(request("HEAD", "/sse/gold/updates", None, None)).await.status, 503);
    open.pop();
    let mut next = admitted(&app, "/sse/gold/updates").await;
    assert!(next.event().await.is_some());
    app.get("/sse/gold/updates").await.assert_code(503, "too_many_readers");
    drop(next);
    app.get("/sse/nowhere/updates").await;
    admitted(&app, "/sse/gold/updates").await.event().await.unwrap();
    let metrics = app.get("/metrics").await;
    assert!(metrics.text().contains(r#"livestream_sse_refused_total{cap="process"}"#));
}

async fn what_watches_one_stream_is_capped(path: Path) {
    let hub = HubSettings { max_subscribers: 2, ..HubSettings::default() };
    let app = TestApp::with(Setup { hub, path, ..Setup::default() }).await;
    app.create("gold").await;
    app.create("silver").await;
    let mut open = vec![app.watch("/sse/gold/updates").await, app.watch("/sse/gold/updates?view=summary").await];
    for events in &mut open {
        assert!(events.event().await.is_some());
    }
    let refused = app.get("/sse/gold/updates").await;
    refused.assert_code(503, "too_many_readers_of_stream");
    assert_eq!(refused.header("retry-after"), "10");
    assert!(app.watch("/sse/silver/updates").await.event().await.is_some(), "others are not concerned");
    app.enter("gold", "ann").await;
    for events in &mut open {
        assert_eq!(events.data().await["participantCount"], 1);
    }
    open.pop();
    admitted(&app, "/sse/gold/updates").await.event().await.unwrap();
}

#[tokio::test]
async fn what_one_address_has_open_is_capped() {
    let config = ServerConfig { sse_max_per_address: NonZeroU32::new(2), ..keys() };
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    app.call("POST", "/streams", ADMIN, Some(serde_json::json!({"name": "gold"}))).await;
    let from = |peer: &str, forwarded: &str, bearer| {
        let mut asked = request("GET", "/sse/gold/updates", bearer, None);
        asked.extensions_mut().insert(PeerAddr(peer.parse().unwrap()));
        if !forwarded.is_empty() {
            asked.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        asked
    };
    let mut open = Vec::new();
    for (peer, forwarded) in [("192.0.2.1", ""), ("127.0.0.1", "192.0.2.1"), ("2001:db8::1", ""), ("2001:db8::2", "")] {
        open.push(app.watch_with(from(peer, forwarded, None)).await);
    }
    for (peer, forwarded) in [("192.0.2.1", ""), ("192.0.2.1", "192.0.2.9"), ("2001:db8::3", "")] {
        let refused = app.send(from(peer, forwarded, None)).await;
        refused.assert_code(429, "too_many_readers_of_address");
        assert_eq!(refused.header("retry-after"), "10");
    }
    // Another address, a key, and a proxy that does not say for whom it asks.
    open.push(app.watch_with(from("192.0.2.2", "", None)).await);
    for _ in 0..4 {
        open.push(app.watch_with(from("192.0.2.1", "", Some(ADMIN))).await);
        open.push(app.watch_with(from("127.0.0.1", "", None)).await);
    }
    open.remove(0);
    open.push(app.watch_with(from("192.0.2.1", "", None)).await);
    assert_eq!(app.send(from("192.0.2.1", "", None)).await.status, 429);
}

/// Watches as soon as there is room: a handed-over connection's end is heard of a moment later.
async fn admitted(app: &TestApp, path: &str) -> Events {
    for _ in 0..500 {
        if app.send(request("HEAD", path, None, None)).await.status == 200 {
            return app.watch(path).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is never room again");
}
