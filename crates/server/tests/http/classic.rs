//! The classic API, line by line.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::app::{Path, TestApp, claims, on_both_paths, person, request, webhook_request};

on_both_paths! { classic_sse_first_bytes_headers_and_events }

#[tokio::test]
async fn classic_post_streams_first_time_201() {
    let app = TestApp::new().await;
    let answer = app.post("/streams", json!({"name": "gold"})).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::CREATED, r#"{"streamId":"gold"}"#));
    assert!(app.room_exists("gold").await);
}

#[tokio::test]
async fn classic_post_streams_while_active_200() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let answer = app.post("/streams", json!({"name": "gold"})).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, r#"{"streamId":"gold"}"#));
}

#[tokio::test]
async fn classic_post_streams_without_name_400() {
    let app = TestApp::new().await;
    let problem = |error| ("invalid_request", error);
    let cases = [
        (json!({}), problem("\"name\" is required")),
        (json!({"name": ""}), problem("\"name\" is not allowed to be empty")),
        (json!({"name": 1}), problem("\"name\" must be a string")),
        (json!({"name": null}), problem("\"name\" must be a string")),
    ];
    for (body, (code, error)) in cases {
        app.post("/streams", body).await.assert_problem(400, code, error);
    }
}

#[tokio::test]
async fn classic_post_streams_unknown_member_400() {
    let app = TestApp::new().await;
    let answer = app.post("/streams", json!({"name": "gold", "x": 1})).await;
    answer.assert_problem(400, "invalid_request", "\"x\" is not allowed");
    app.get("/streams/gold/state").await.assert_code(404, "stream_not_found");
}

#[tokio::test]
async fn classic_post_streams_no_json_400_without_a_stack_trace() {
    let app = TestApp::new().await;
    for body in ["{", "nonsense", "\"text\"", "[1]", "null"] {
        let request = Request::post("/streams").header("content-type", "application/json");
        let answer = app.send(request.body(Body::from(body)).unwrap()).await;
        answer.assert_code(400, "invalid_request");
        assert!(!answer.text().contains(".rs"), "{}", answer.text());
    }
}

#[tokio::test]
async fn classic_get_streams_lists_all_active_ones() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/streams").await.text(), "[]");
    app.create("gold").await;
    app.create("over").await;
    app.enter("gold", "ann").await;
    assert_eq!(app.delete("/streams/over").await.status, StatusCode::NO_CONTENT);
    let answer = app.get("/streams").await;
    let list = answer.json();
    assert_eq!((answer.status, list.as_array().unwrap().len()), (StatusCode::OK, 1));
    let started_at = app.state_of("gold").await["startedAt"].as_str().unwrap().to_owned();
    let classic = format!(r#"[{{"streamId":"gold","participantCount":1,"startedAt":"{started_at}""#);
    assert!(answer.text().starts_with(&classic), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
}

#[tokio::test]
async fn classic_get_streams_is_whole_beyond_one_page() {
    let app = TestApp::new().await;
    for n in 0..1_003 {
        let id = crate::app::stream(&format!("s{n}"));
        app.orchestrator.create_stream(id, domain::Settings::default(), false).await.unwrap();
    }
    let list = app.get("/streams").await.json();
    let mut ids: Vec<_> = list.as_array().unwrap().iter().map(|s| s["streamId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_003);
}

#[tokio::test]
async fn classic_get_state_active_and_finished() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.enter("gold", "bob").await;
    app.enter("gold", "ann").await;
    let answer = app.get("/streams/gold/state").await;
    let state = answer.json();
    let started_at = state["startedAt"].as_str().unwrap();
    assert_iso(started_at);
    let classic =
        format!(r#"{{"streamId":"gold","status":"active","participants":["ann","bob"],"startedAt":"{started_at}""#);
    assert!(answer.text().starts_with(&classic), "{}", answer.text());
    assert!(state.get("endedAt").is_none());

    app.delete("/streams/gold").await;
    let answer = app.get("/streams/gold/state").await;
    let state = answer.json();
    let ended_at = state["endedAt"].as_str().unwrap();
    assert_iso(ended_at);
    let classic = format!(
        r#"{{"streamId":"gold","status":"finished","participants":[],"startedAt":"{started_at}","endedAt":"{ended_at}""#
    );
    assert!(answer.text().starts_with(&classic), "{}", answer.text());
}

/// `2026-11-23T10:18:21.951Z`
#[track_caller]
fn assert_iso(text: &str) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
}

#[tokio::test]
async fn classic_get_state_unknown_404() {
    let app = TestApp::new().await;
    app.get("/streams/nowhere/state").await.assert_code(404, "stream_not_found");
}

#[tokio::test]
async fn classic_post_join_gives_a_livekit_token() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let answer = app.post("/streams/gold/join", json!({"userId": "u"})).await;
    assert_eq!(answer.status, StatusCode::OK);
    let claims = claims(answer.json()["token"].as_str().unwrap());
    assert_eq!(claims["sub"], "u");
    assert_eq!(claims["iss"], crate::app::KEY);
    assert_eq!(claims["video"]["roomJoin"], true);
    assert_eq!(claims["video"]["room"], "gold");
    assert!(answer.text().starts_with("{\"token\":\""), "{}", answer.text());
}

#[tokio::test]
async fn classic_post_join_without_user_id_400() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let answer = app.post("/streams/gold/join", json!({})).await;
    answer.assert_problem(400, "invalid_request", "\"userId\" is required");
}

async fn classic_sse_first_bytes_headers_and_events(path: Path) {
    let app = TestApp::on(path).await;
    app.create("gold").await;
    let mut events = app.watch("/sse/gold/updates").await;
    let header = |name: &str| events.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(events.block().await.as_deref(), Some(": connected"));
    assert!(events.block().await.unwrap().starts_with("retry: "));
    for who in ["", "ann"] {
        if !who.is_empty() {
            app.enter("gold", who).await;
        }
        let event = events.event().await.unwrap();
        let state = app.get("/streams/gold/state").await;
        assert!(event.ends_with(&format!("\ndata: {}", state.text())), "{event}");
        assert!(!event.contains("event:"), "{event}");
    }
}

#[tokio::test]
async fn classic_sse_unknown_404() {
    let app = TestApp::new().await;
    app.get("/sse/nowhere/updates").await.assert_code(404, "stream_not_found");
}

#[tokio::test]
async fn classic_delete_stream_204_twice() {
    let app = TestApp::new().await;
    app.create("gold").await;
    for _ in 0..2 {
        let answer = app.delete("/streams/gold").await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
    }
    let state = app.state_of("gold").await;
    assert_eq!(state["status"], "finished");
    assert!(state["endedAt"].is_string());
    for _ in 0..200 {
        if !app.room_exists("gold").await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the room is still there");
}

#[tokio::test]
async fn classic_webhook_signed_200_unsigned_401() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let joined = app.livekit.join(&"gold".into(), &person("ann"), app.store.now()).unwrap();
    let event = joined.events.last().unwrap();

    let unsigned = Request::post("/webhook").body(Body::from("{}")).unwrap();
    app.send(unsigned).await.assert_code(401, "bad_signature");
    let (_, body) = rooms::simulated::signed_webhook(event, crate::app::KEY, crate::app::SECRET, app.store.now());
    let (forged, _) =
        rooms::simulated::signed_webhook(event, crate::app::KEY, "another-secret-of-32-characters!", app.store.now());
    app.send(webhook_request(&forged, body.clone())).await.assert_code(401, "bad_signature");
    let signed = rooms::simulated::sign_webhook(&body, crate::app::KEY, crate::app::SECRET, app.store.now());
    let mut changed = body;
    changed.push(b' ');
    app.send(webhook_request(&signed, changed)).await.assert_code(401, "bad_signature");
    assert_eq!(app.state_of("gold").await["participants"], json!([]));

    app.tell(&joined.events).await;
    assert_eq!(app.state_of("gold").await["participants"], json!(["ann"]));
}

#[tokio::test]
async fn classic_webhook_unknown_events_and_rooms_200() {
    let app = TestApp::new().await;
    app.enter("nobody-knows-this-room", "ann").await;
    for body in [r#"{"event":"a_newer_event","id":"EV_1"}"#, r#"{"event":"egress_started","egressInfo":{}}"#, "{}"] {
        let authorization =
            rooms::simulated::sign_webhook(body.as_bytes(), crate::app::KEY, crate::app::SECRET, app.store.now());
        let answer = app.send(webhook_request(&authorization, body.into())).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}");
    }
}

#[tokio::test]
async fn classic_metrics_has_the_two_gauges() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.create("silver").await;
    app.enter("gold", "ann").await;
    let answer = app.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    for line in
        ["# TYPE active_streams gauge", "active_streams 2", "# TYPE total_participants gauge", "total_participants 1"]
    {
        assert!(answer.text().lines().any(|one| one == line), "{line} is missing");
    }
}

#[tokio::test]
async fn classic_pages_are_served() {
    let app = TestApp::new().await;
    for path in ["/", "/index.html", "/room.html?streamId=gold"] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::OK, "text/html; charset=utf-8"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn classic_cors_unset_is_same_origin_while_auth_is_off_and_any_with_keys() {
    let with_origin = || {
        let mut request = request("GET", "/streams", None, None);
        request.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
        request
    };
    let open = TestApp::new().await.send(with_origin()).await;
    assert_eq!(open.header("access-control-allow-origin"), "");
    let keys = TestApp::with_keys().await.send(with_origin()).await;
    assert_eq!(keys.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn classic_cors_origins_are_a_list() {
    let config = server::ServerConfig {
        cors_origins: Some(vec!["https://a.example".into(), "https://b.example".into()]),
        ..server::ServerConfig::default()
    };
    let app = TestApp::with(crate::app::Setup { config, ..Default::default() }).await;
    for (origin, expected) in [("https://b.example", "https://b.example"), ("https://c.example", "")] {
        let mut request = request("GET", "/streams", None, None);
        request.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(app.send(request).await.header("access-control-allow-origin"), expected);
    }
}

#[tokio::test]
async fn classic_body_that_is_not_application_json_counts_as_empty() {
    let app = TestApp::new().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let request = Request::post("/streams").header("content-type", content_type);
        let answer = app.send(request.body(Body::from(r#"{"name":"gold"}"#)).unwrap()).await;
        answer.assert_problem(400, "invalid_request", "\"name\" is required");
    }
    let request = Request::post("/streams").header("content-type", "Application/JSON; charset=utf-8");
    let answer = app.send(request.body(Body::from(r#"{"name":"gold"}"#)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}
