//! Event streams beyond the classic lines.

use std::time::Duration;

use serde_json::json;

use crate::app::{Path, Setup, TestApp, on_both_paths, request};

on_both_paths! {
    the_summary_view_has_counts_without_the_list
    nothing_is_sent_again_to_who_has_it
    a_stream_that_is_over_stays_until_its_record_goes_and_then_is_404
    versions_only_rise_over_generations_too
    a_connection_that_is_old_enough_ends
    the_lobby_shows_all_streams_and_then_what_changes
    the_lobby_says_when_a_stream_is_gone
}

async fn the_summary_view_has_counts_without_the_list(path: Path) {
    let app = TestApp::on(path).await;
    app.create("gold").await;
    app.enter("gold", "ann").await;
    let state = app.watch("/sse/gold/updates?view=summary").await.data().await;
    assert_eq!(state["participantCount"], 1);
    assert!(state.get("participants").is_none());
}

async fn nothing_is_sent_again_to_who_has_it(path: Path) {
    let app = TestApp::on(path).await;
    app.create("gold").await;
    let state = app.state_of("gold").await;
    let id = format!("{}-{}", state["epoch"].as_str().unwrap(), state["version"]);
    let mut by_query = app.watch(&format!("/sse/gold/updates?lastEventId={id}")).await;
    let mut with_header = request("GET", "/sse/gold/updates", None, None);
    with_header.headers_mut().insert("last-event-id", id.parse().unwrap());
    let mut by_header = app.watch_with(with_header).await;
    for events in [&mut by_query, &mut by_header] {
        events.silence().await;
    }
    app.enter("gold", "ann").await;
    for events in [&mut by_query, &mut by_header] {
        assert_eq!(events.data().await["participantCount"], 1);
    }
    let mut nonsense = app.watch("/sse/gold/updates?lastEventId=nonsense").await;
    assert_eq!(nonsense.data().await["participantCount"], 1);
}

async fn a_stream_that_is_over_stays_until_its_record_goes_and_then_is_404(path: Path) {
    let rules = domain::Rules { retention: Duration::from_millis(300), ..domain::Rules::default() };
    let app = TestApp::with(Setup { rules, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    app.delete("/streams/gold").await;
    let state = events.until(|state| state["closing"] == false && state["status"] == "finished").await;
    assert_eq!(state["endReason"], "stopped");
    assert_eq!(events.event().await, None, "it closes");
    app.get("/sse/gold/updates").await.assert_code(404, "stream_not_found");
}

async fn versions_only_rise_over_generations_too(path: Path) {
    let app = TestApp::on(path).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    let mut last = 0;
    let mut check = |state: &serde_json::Value| {
        let version = state["version"].as_u64().unwrap();
        assert!(version > last, "version fell from {last} to {version}");
        last = version;
    };
    check(&events.data().await);
    app.enter("gold", "ann").await;
    app.delete("/streams/gold").await;
    app.create("gold").await;
    app.enter("gold~2", "bob").await;
    loop {
        let state = events.data().await;
        check(&state);
        if state["participants"] == json!(["bob"]) {
            return;
        }
    }
}

async fn a_connection_that_is_old_enough_ends(path: Path) {
    let config = server::ServerConfig { sse_max_age: Duration::from_millis(100), ..server::ServerConfig::default() };
    let app = TestApp::with(Setup { config, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    assert!(events.event().await.is_some());
    assert_eq!(events.event().await, None);
}

async fn the_lobby_shows_all_streams_and_then_what_changes(path: Path) {
    let app = TestApp::on(path).await;
    app.create("old").await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    app.create("new").await;
    app.enter("old", "ann").await;
    app.publish("old", "ann").await;
    let mut lobby = app.watch("/sse/streams").await;
    assert_eq!(lobby.block().await.as_deref(), Some(": connected"));
    let snapshot = lobby.event().await.unwrap();
    assert!(snapshot.starts_with("event: snapshot\ndata: {\"streams\":[{\"streamId\":\"old\","), "{snapshot}");
    assert!(snapshot.ends_with("],\"total\":2}"), "{snapshot}");
    assert!(!snapshot.contains("id: "));
    app.create("third").await;
    let upsert = lobby.event().await.unwrap();
    assert!(upsert.starts_with("event: upsert\ndata: {\"streamId\":\"third\","), "{upsert}");
    let summary: serde_json::Value = serde_json::from_str(upsert.split("data: ").nth(1).unwrap()).unwrap();
    for member in ["streamId", "status", "phase", "participantCount", "startedAt", "epoch", "version"] {
        assert!(summary.get(member).is_some(), "{member}");
    }
}

async fn the_lobby_says_when_a_stream_is_gone(path: Path) {
    let rules = domain::Rules { retention: Duration::from_millis(100), ..domain::Rules::default() };
    let app = TestApp::with(Setup { rules, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut lobby = app.watch("/sse/streams?limit=1").await;
    lobby.event().await;
    app.delete("/streams/gold").await;
    loop {
        let event = lobby.event().await.unwrap();
        if event == "event: remove\ndata: {\"streamId\":\"gold\"}" {
            return;
        }
        assert!(event.starts_with("event: upsert\n"), "{event}");
    }
}
