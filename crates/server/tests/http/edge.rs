//! Request ids, methods, addresses that are none, health, metrics, draining.

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use serde_json::json;

use crate::app::{Setup, TestApp, request};

#[tokio::test]
async fn a_sane_request_id_is_kept_another_is_made() {
    let app = TestApp::new().await;
    for (given, kept) in [("abc-123_x.y", true), ("a b", false), (&"x".repeat(129), false), ("<script>", false)] {
        let mut request = request("GET", "/healthz", None, None);
        request.headers_mut().insert("x-request-id", given.parse().unwrap());
        let answer = app.send(request).await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
        assert!(!answer.header("x-request-id").is_empty());
    }
    let ids = [app.get("/healthz").await, app.get("/healthz").await].map(|a| a.header("x-request-id").to_owned());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn addresses_and_methods_that_are_none() {
    let app = TestApp::new().await;
    app.get("/nowhere").await.assert_code(404, "not_found");
    app.get("/assets/../Cargo.toml").await.assert_code(404, "not_found");
    app.get("/..%2f..%2fetc%2fpasswd").await.assert_code(404, "not_found");
    let answer = app.send(request("PUT", "/streams", None, None)).await;
    answer.assert_code(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let options = app.send(request("OPTIONS", "/streams/x", None, None)).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, "GET,HEAD,PATCH,DELETE"));
    app.send(request("OPTIONS", "/nowhere", None, None)).await;
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let app = TestApp::new().await;
    app.create("gold").await;
    for path in ["/streams", "/streams/gold/state", "/sse/gold/updates", "/", "/metrics"] {
        let answer = app.send(request("HEAD", path, None, None)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{path}");
    }
    let answer = app.send(request("HEAD", "/streams/nowhere", None, None)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, ""));
}

#[tokio::test]
async fn health_and_readiness() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/healthz").await.text(), r#"{"status":"ok"}"#);
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (200, &json!("ready")));
    app.livekit.go_away(true);
    app.post("/streams", json!({"name": "x"})).await;
    let degraded = app.get("/readyz").await;
    let report = degraded.json();
    assert_eq!((degraded.status.as_u16(), &report["degraded"]), (200, &json!(true)));
    assert_eq!((&report["store"]["ok"], &report["livekit"]["ok"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn while_draining_nothing_new_is_taken_on() {
    let extra = Router::new().route("/rtc/validate", get(|| async { "ok" })).route("/twirp/x", get(|| async { "ok" }));
    let app = TestApp::with(Setup { extra: Some(extra), ..Setup::default() }).await;
    app.create("gold").await;
    assert_eq!(app.get("/rtc/validate").await.status, 200);
    app.state.start_draining();
    for (method, path, body) in [
        ("POST", "/streams", Some(json!({"name": "silver"}))),
        ("POST", "/streams/gold/join", Some(json!({"userId": "u"}))),
        ("GET", "/sse/gold/updates", None),
        ("GET", "/sse/streams", None),
    ] {
        let answer = app.send(request(method, path, None, body)).await;
        answer.assert_code(503, "draining");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
    }
    let signalling = app.get("/rtc/validate").await;
    assert_eq!((signalling.status.as_u16(), signalling.header("retry-after")), (503, "1"));
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &json!("draining")));
    for path in ["/streams", "/streams/gold/state", "/healthz", "/twirp/x"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_by_route_and_never_by_stream() {
    let app = TestApp::new().await;
    app.create("a-name-that-must-not-show").await;
    app.enter("a-name-that-must-not-show", "ann").await;
    app.get("/streams/a-name-that-must-not-show/state").await;
    let _events = app.watch("/sse/a-name-that-must-not-show/updates").await.event().await;
    app.get("/a-name-that-must-not-show").await;
    let metrics = app.get("/metrics").await;
    let text = metrics.text();
    assert!(!text.contains("a-name-that-must-not-show"));
    for part in [
        r#"livestream_http_requests_total{route="/streams/{id}/state",method="GET",status="200"}"#,
        r#"livestream_http_request_duration_seconds_bucket{route="/streams",method="POST",le="0.001"}"#,
        r#"livestream_http_requests_total{route="unmatched",method="GET",status="404"}"#,
        r#"livestream_webhooks_total{event="participant_joined",verdict="applied"}"#,
        r#"livestream_part_up{part="store"}"#,
        r#"livestream_part_up{part="livekit"}"#,
        "process_resident_memory_bytes ",
        "process_open_fds ",
        r#"livestream_sse_events_total{topic="stream",path="body"}"#,
        r#"livestream_sse_connections{topic="stream",path="body"}"#,
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[tokio::test]
async fn preflights_are_answered_where_other_origins_may_call() {
    let app = TestApp::with_keys().await;
    let preflight = Request::builder()
        .method("OPTIONS")
        .uri("/streams/gold/join")
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = app.send(preflight).await;
    assert!(answer.status.is_success());
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
}

#[tokio::test]
async fn the_media_servers_routes_keep_their_own_headers() {
    let own = || async { ([("access-control-allow-origin", "https://own.example")], "ok") };
    let extra = Router::new().route("/rtc/validate", get(own));
    let config = server::ServerConfig { cors_origins: Some(vec!["*".into()]), ..server::ServerConfig::default() };
    let app = TestApp::with(Setup { config, extra: Some(extra), ..Setup::default() }).await;
    let answer = app.get("/rtc/validate").await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://own.example");
    assert_eq!(answer.header("x-request-id"), "");
    app.get("/nowhere").await.assert_code(404, "not_found");
}
