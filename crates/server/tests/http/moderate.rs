//! What hosts do: settings, roles, muting, removing, hands.

use axum::body::Body;
use axum::http::Request;
use domain::{Role, RoomName};
use rooms::TrackSource;
use serde_json::{Value, json};

use crate::app::{ADMIN, READER, TestApp, person, request};

const ANN: &str = "/streams/gold/participants/ann";

async fn with_ann() -> TestApp {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.enter("gold", "ann").await;
    app
}

async fn call(app: &TestApp, method: &str, path: &str, body: Option<Value>) -> crate::app::Answer {
    app.send(request(method, path, None, body)).await
}

fn patch_if_match(tag: &str, body: &Value) -> Request<Body> {
    let mut request = request("PATCH", "/streams/gold", None, Some(body.clone()));
    request.headers_mut().insert("if-match", tag.parse().unwrap());
    request
}

#[tokio::test]
async fn patch_stream_changes_title_default_role_and_metadata() {
    let app = with_ann().await;
    let body = json!({"title": "New", "defaultRole": "viewer", "metadata": {"colour": "red"}});
    let changed = call(&app, "PATCH", "/streams/gold", Some(body)).await;
    assert_eq!(changed.status, 200);
    let stream = changed.json();
    assert_eq!((&stream["title"], &stream["defaultRole"]), (&json!("New"), &json!("viewer")));
    assert_eq!(stream["metadata"], json!({"colour": "red"}));
    assert_eq!(app.post("/streams/gold/join", json!({"userId": "bob"})).await.json()["role"], "viewer");
    let untitled = call(&app, "PATCH", "/streams/gold", Some(json!({"title": null}))).await.json();
    assert_eq!((untitled.get("title"), &untitled["defaultRole"]), (None, &json!("viewer")));
}

#[tokio::test]
async fn patch_stream_with_an_old_settings_tag_412() {
    let app = with_ann().await;
    let tag = format!("\"{}\"", app.get("/streams/gold").await.json()["settingsTag"].as_str().unwrap());
    let first = app.send(patch_if_match(&tag, &json!({"title": "A"}))).await;
    assert_eq!(first.status, 200);
    app.send(patch_if_match(&tag, &json!({"title": "B"}))).await.assert_code(412, "changed_meanwhile");
    assert_eq!(app.send(patch_if_match("*", &json!({"title": "C"}))).await.json()["title"], "C");
    app.send(patch_if_match("bare", &json!({"title": "D"}))).await.assert_code(400, "invalid_request");
}

#[tokio::test]
async fn patch_stream_takes_the_etag_too_and_people_do_not_matter() {
    let app = with_ann().await;
    let tag = app.get("/streams/gold").await.header("etag").to_owned();
    app.enter("gold", "bob").await;
    assert_eq!(app.send(patch_if_match(&tag, &json!({"title": "A"}))).await.status, 200);
    app.send(patch_if_match(&tag, &json!({"title": "B"}))).await.assert_code(412, "changed_meanwhile");
}

#[tokio::test]
async fn patch_stream_says_what_was_expected() {
    let app = with_ann().await;
    let cases = [
        (json!({"title": 1}), "\"title\" must be a string"),
        (json!({"defaultRole": "boss"}), "\"defaultRole\" must be one of [host, speaker, viewer]"),
        (json!({"metadata": []}), "\"metadata\" must be of type object"),
        (json!({"metadata": {"livestream": 1}}), "\"metadata.livestream\" is not allowed"),
        (json!({"name": "x"}), "\"name\" is not allowed"),
    ];
    for (body, error) in cases {
        call(&app, "PATCH", "/streams/gold", Some(body)).await.assert_problem(400, "invalid_request", error);
    }
    call(&app, "PATCH", "/streams/none", Some(json!({"title": "x"}))).await.assert_code(404, "stream_not_found");
    app.delete("/streams/gold").await;
    call(&app, "PATCH", "/streams/gold", Some(json!({"title": "x"}))).await.assert_code(409, "stream_finished");
}

#[tokio::test]
async fn patch_participant_changes_grants_now_and_later() {
    let app = with_ann().await;
    assert_eq!(call(&app, "PATCH", ANN, Some(json!({"role": "viewer"}))).await.status, 204);
    assert_eq!(app.livekit.role_of(&RoomName::from("gold"), &person("ann")), Some(Role::Viewer));
    let again = app.post("/streams/gold/join", json!({"userId": "ann", "role": "host"})).await.json();
    assert_eq!(again["role"], "viewer");
    call(&app, "PATCH", ANN, Some(json!({}))).await.assert_problem(400, "invalid_request", "\"role\" is required");
    let bob = call(&app, "PATCH", "/streams/gold/participants/bob", Some(json!({"role": "host"}))).await;
    bob.assert_code(404, "not_in_stream");
}

#[tokio::test]
async fn mute_takes_one_source() {
    let app = with_ann().await;
    let room = RoomName::from("gold");
    app.publish("gold", "ann").await;
    let (microphone, events) = app.livekit.publish(&room, &person("ann"), app.store.now()).unwrap();
    app.livekit.set_source(&microphone, TrackSource::Microphone);
    app.tell(&events).await;
    let mute = format!("{ANN}/mute");
    assert_eq!(call(&app, "POST", &mute, Some(json!({"source": "microphone"}))).await.status, 204);
    assert!(app.livekit.is_muted(&microphone));
    assert_eq!(call(&app, "POST", &mute, Some(json!({"source": "screen_share"}))).await.status, 204);
    call(&app, "POST", &mute, Some(json!({"source": "all"}))).await.assert_code(400, "invalid_request");
}

#[tokio::test]
async fn remove_takes_somebody_out() {
    let app = with_ann().await;
    assert_eq!(call(&app, "DELETE", ANN, None).await.status, 204);
    let events = app.livekit.take_events();
    app.tell(&events).await;
    assert_eq!(app.state_of("gold").await["participants"], json!([]));
    call(&app, "DELETE", ANN, None).await.assert_code(404, "not_in_stream");
}

#[tokio::test]
async fn hands_are_raised_and_lowered_by_their_owner() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    app.enter("gold", "ann").await;
    let hand = format!("{ANN}/hand");
    let token = app.post("/streams/gold/join", json!({"userId": "bob"})).await.json();
    let bob = token["token"].as_str().unwrap();
    call(&app, "PUT", &hand, None).await.assert_code(401, "unauthorized");
    app.call("PUT", &hand, bob, None).await.assert_code(403, "forbidden");
    let room = RoomName::from("gold");
    assert_eq!(app.call("PUT", &hand, ADMIN, None).await.status, 204);
    assert!(app.livekit.attribute_of(&room, &person("ann"), "hand").is_some());
    let own = app.call("POST", "/streams/gold/join", ADMIN, Some(json!({"userId": "ann"}))).await.json();
    assert_eq!(app.call("DELETE", &hand, own["token"].as_str().unwrap(), None).await.status, 204);
    assert_eq!(app.livekit.attribute_of(&room, &person("ann"), "hand"), None);
}

#[tokio::test]
async fn with_keys_moderating_needs_an_admin() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    app.enter("gold", "ann").await;
    let mute = format!("{ANN}/mute");
    let calls = [
        ("PATCH", "/streams/gold", Some(json!({"title": "x"}))),
        ("PATCH", ANN, Some(json!({"role": "viewer"}))),
        ("POST", mute.as_str(), Some(json!({"source": "camera"}))),
        ("DELETE", ANN, None),
    ];
    for (method, path, body) in calls {
        call(&app, method, path, body.clone()).await.assert_code(401, "unauthorized");
        app.call(method, path, READER, body.clone()).await.assert_code(403, "forbidden");
        assert!(app.call(method, path, ADMIN, body).await.status.is_success(), "{method} {path}");
    }
}

#[tokio::test]
async fn moderating_while_livekit_is_away_503() {
    let app = with_ann().await;
    app.livekit.go_away(true);
    for (method, body) in [("PATCH", Some(json!({"role": "viewer"}))), ("DELETE", None)] {
        let away = call(&app, method, ANN, body).await;
        away.assert_code(503, "livekit_unavailable");
        assert!(!away.header("retry-after").is_empty());
    }
}
