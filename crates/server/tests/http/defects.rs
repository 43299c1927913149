//! The known defects of classic: each must not be here. (5 and 10 are also
//! the business of `domain` and `store`; 7 is shown by benchmarks; 9 by the pages.)

use std::time::Duration;

use domain::Rules;
use orchestrator::JobSettings;
use serde_json::json;

use crate::app::{Path, Setup, TestApp, on_both_paths, person};

on_both_paths! {
    classic_defect_03_an_idle_stream_ends_with_a_reason_and_subscribers_hear
    classic_defect_06_ids_with_a_colon_get_updates
    classic_defect_08_snapshot_event_ids_and_heartbeat
    classic_defect_11_a_stream_whose_room_vanished_ends_and_subscribers_hear
}

#[tokio::test]
async fn classic_defect_01_delete_of_an_unknown_stream_writes_nothing() {
    let app = TestApp::new().await;
    assert_eq!(app.delete("/streams/ghost").await.status, 204);
    app.get("/streams/ghost/state").await.assert_code(404, "stream_not_found");
    assert_eq!(app.get("/streams?status=finished").await.text(), "[]");
}

#[tokio::test]
async fn classic_defect_02_join_of_an_unknown_stream_404_of_a_finished_one_409() {
    let app = TestApp::new().await;
    app.post("/streams/ghost/join", json!({"userId": "u"})).await.assert_code(404, "stream_not_found");
    app.create("gold").await;
    app.delete("/streams/gold").await;
    app.post("/streams/gold/join", json!({"userId": "u"})).await.assert_code(409, "stream_finished");
}

async fn classic_defect_03_an_idle_stream_ends_with_a_reason_and_subscribers_hear(path: Path) {
    let rules = Rules { empty_timeout: Duration::from_millis(200), ..Rules::default() };
    let app = TestApp::with(Setup { rules, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    let state = events.until(|state| state["status"] == "finished").await;
    assert_eq!(state["endReason"], "idle");
    assert!(state["endedAt"].is_string());
}

#[tokio::test]
async fn classic_defect_04_room_finished_sets_ended_at() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let room = app.livekit.join(&"gold".into(), &person("ann"), app.store.now()).unwrap().events[0].clone();
    let finished = domain::RoomEvent {
        id: domain::EventId("EV_finished".into()),
        kind: domain::RoomEventKind::RoomFinished,
        ..room
    };
    app.tell(&[finished]).await;
    let state = app.state_of("gold").await;
    assert_eq!((&state["status"], &state["endReason"]), (&json!("finished"), &json!("room_finished")));
    assert!(state["endedAt"].is_string());
}

#[tokio::test]
async fn classic_defect_05_a_late_left_does_not_remove_who_has_rejoined() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.enter("gold", "ann").await;
    // The second connection takes the first one's place; LiveKit tells `left` and `joined`.
    let mut events = app.livekit.join(&"gold".into(), &person("ann"), app.store.now()).unwrap().events;
    events.reverse();
    app.tell(&events).await;
    assert_eq!(app.state_of("gold").await["participants"], json!(["ann"]));
}

async fn classic_defect_06_ids_with_a_colon_get_updates(path: Path) {
    let app = TestApp::on(path).await;
    for (id, path) in
        [("a:b:c", "a:b:c"), ("a/b", "a%2Fb"), ("mit Leerzeichen", "mit%20Leerzeichen"), ("日本", "%E6%97%A5%E6%9C%AC")]
    {
        app.create(id).await;
        let mut events = app.watch(&format!("/sse/{path}/updates")).await;
        assert_eq!(events.data().await["streamId"], id);
        app.enter(id, "ann").await;
        assert_eq!(events.data().await["participants"], json!(["ann"]));
    }
}

async fn classic_defect_08_snapshot_event_ids_and_heartbeat(path: Path) {
    let config = server::ServerConfig { sse_heartbeat: Duration::from_millis(50), ..server::ServerConfig::default() };
    let app = TestApp::with(Setup { config, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    let first = events.event().await.unwrap();
    let state = app.state_of("gold").await;
    let id = format!("id: {}-{}\n", state["epoch"].as_str().unwrap(), state["version"]);
    assert!(first.starts_with(&id), "{first}");
    assert_eq!(events.block().await.as_deref(), Some(":"));
    assert_eq!(events.block().await.as_deref(), Some(":"));
}

#[tokio::test]
async fn classic_defect_08_a_slow_reader_skips_to_the_newest_state() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    events.data().await;
    for n in 0..30 {
        app.enter("gold", &format!("p{n}")).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(events.data().await["participantCount"], 30);
    events.silence().await;
}

async fn classic_defect_11_a_stream_whose_room_vanished_ends_and_subscribers_hear(path: Path) {
    let rules = Rules { lost_grace: Duration::from_millis(100), ..Rules::default() };
    let jobs = JobSettings { sweep_interval: Duration::from_millis(60), ..Setup::default().jobs };
    let app = TestApp::with(Setup { rules, jobs, path, ..Setup::default() }).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    app.livekit.restart_empty();
    let state = events.until(|state| state["status"] == "finished").await;
    assert_eq!(state["endReason"], "lost");
}

#[tokio::test]
async fn classic_defect_12_with_keys_changes_need_one() {
    let app = TestApp::with_keys().await;
    app.post("/streams", json!({"name": "gold"})).await.assert_code(401, "unauthorized");
    app.delete("/streams/gold").await.assert_code(401, "unauthorized");
}
