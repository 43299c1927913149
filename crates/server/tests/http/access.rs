//! Keys, scopes and join tokens as proofs.

use serde_json::json;

use crate::app::{ADMIN, READER, TestApp, claims};

#[tokio::test]
async fn keys_are_needed_where_something_changes() {
    let app = TestApp::with_keys().await;
    let body = || Some(json!({"name": "gold"}));
    let none = app.post("/streams", json!({"name": "gold"})).await;
    none.assert_code(401, "unauthorized");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    app.call("POST", "/streams", "wrong", body()).await.assert_code(401, "unauthorized");
    app.call("POST", "/streams", READER, body()).await.assert_code(403, "forbidden");
    assert_eq!(app.call("POST", "/streams", ADMIN, body()).await.status, 201);
    app.call("DELETE", "/streams/gold", READER, None).await.assert_code(403, "forbidden");
    assert_eq!(app.call("DELETE", "/streams/gold", ADMIN, None).await.status, 204);
}

#[tokio::test]
async fn looking_is_public_and_metrics_need_a_reading_key() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    for path in
        ["/streams", "/streams/gold", "/streams/gold/state", "/streams/gold/participants", "/healthz", "/readyz"]
    {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    assert!(app.watch("/sse/gold/updates").await.event().await.is_some());
    app.get("/metrics").await.assert_code(401, "unauthorized");
    for key in [READER, ADMIN] {
        assert_eq!(app.call("GET", "/metrics", key, None).await.status, 200);
    }
}

#[tokio::test]
async fn with_keys_who_brings_none_joins_as_viewer_only() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    let join = "/streams/gold/join";
    let joined = app.post(join, json!({"userId": "u"})).await.json();
    assert_eq!(joined["role"], "viewer");
    assert_eq!(claims(joined["token"].as_str().unwrap())["video"]["canPublish"], false);
    for role in ["host", "speaker"] {
        let body = || json!({"userId": "u", "role": role});
        app.post(join, body()).await.assert_code(401, "unauthorized");
        app.call("POST", join, READER, Some(body())).await.assert_code(403, "forbidden");
        assert_eq!(app.call("POST", join, ADMIN, Some(body())).await.json()["role"], role);
    }
    app.call("POST", join, "wrong", Some(json!({"userId": "u"}))).await.assert_code(401, "unauthorized");
}

#[tokio::test]
async fn with_keys_a_duplicate_is_replaced_only_by_its_own_token_or_a_key() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    let join = "/streams/gold/join";
    let ann = app.post(join, json!({"userId": "ann"})).await.json();
    let ann = ann["token"].as_str().unwrap();
    app.enter("gold", "ann").await;
    let again = || json!({"userId": "ann"});
    app.post(join, again()).await.assert_code(409, "duplicate_identity");
    app.post(join, json!({"userId": "ann", "onDuplicate": "replace"})).await.assert_code(409, "duplicate_identity");
    assert_eq!(app.call("POST", join, ann, Some(again())).await.status, 200);
    assert_eq!(app.call("POST", join, READER, Some(again())).await.status, 200);
    let reject = json!({"userId": "ann", "onDuplicate": "reject"});
    app.call("POST", join, ann, Some(reject)).await.assert_code(409, "duplicate_identity");
    let bob = app.post(join, json!({"userId": "bob"})).await.json();
    app.call("POST", join, bob["token"].as_str().unwrap(), Some(again())).await.assert_code(403, "forbidden");
}

#[tokio::test]
async fn a_join_token_of_a_former_generation_proves_nothing() {
    let app = TestApp::with_keys().await;
    let create = || app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"})));
    create().await;
    let token =
        app.post("/streams/gold/join", json!({"userId": "ann"})).await.json()["token"].as_str().unwrap().to_owned();
    app.call("DELETE", "/streams/gold", ADMIN, None).await;
    assert_eq!(create().await.status, 201);
    for path in ["/streams/gold/leave", "/streams/gold/join"] {
        app.call("POST", path, &token, Some(json!({"userId": "ann"}))).await.assert_code(403, "forbidden");
    }
}

#[tokio::test]
async fn with_keys_leaving_needs_the_own_token_or_an_admin_key() {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    let token =
        app.post("/streams/gold/join", json!({"userId": "ann"})).await.json()["token"].as_str().unwrap().to_owned();
    app.enter("gold", "ann").await;
    let leave = "/streams/gold/leave";
    let ann = || json!({"userId": "ann"});
    app.post(leave, ann()).await.assert_code(401, "unauthorized");
    app.call("POST", leave, READER, Some(ann())).await.assert_code(403, "forbidden");
    app.call("POST", leave, "not-a-token", Some(ann())).await.assert_code(401, "unauthorized");
    app.call("POST", leave, &token, Some(json!({"userId": "bob"}))).await.assert_code(403, "forbidden");
    assert_eq!(app.call("POST", leave, &token, Some(ann())).await.status, 204);
    assert_eq!(app.call("POST", leave, ADMIN, Some(ann())).await.status, 204);
}

#[tokio::test]
async fn with_auth_off_nothing_is_asked() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.enter("gold", "ann").await;
    let joined = app.post("/streams/gold/join", json!({"userId": "ann", "role": "host"})).await;
    assert_eq!(joined.json()["role"], "host");
    assert_eq!(app.post("/streams/gold/leave", json!({"userId": "ann"})).await.status, 204);
    assert_eq!(app.call("GET", "/metrics", "whatever", None).await.status, 200);
}
