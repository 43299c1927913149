//! Host keys, invites, tickets, visibility and bans.

use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};

use crate::app::{ADMIN, READER, Setup, TestApp, claims, keys, request};

/// A stream made with the admin key; its host key.
async fn create(app: &TestApp, body: Value) -> String {
    let created = app.call("POST", "/streams", ADMIN, Some(body)).await;
    assert_eq!((created.status.as_u16(), created.header("cache-control")), (201, "no-store"));
    created.json()["hostKey"].as_str().unwrap().to_owned()
}

async fn invite(app: &TestApp, key: &str, body: Value) -> String {
    let made = app.call("POST", "/streams/gold/invites", key, Some(body)).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(made["link"], format!("/room.html?streamId=gold#invite={token}"));
    token.to_owned()
}

fn role_in(joined: &Value) -> (&str, bool) {
    let publishes = claims(joined["token"].as_str().unwrap())["video"]["canPublish"].as_bool().unwrap();
    (joined["role"].as_str().unwrap(), publishes)
}

#[tokio::test]
async fn a_host_key_leads_its_stream_and_no_other() {
    let app = TestApp::with_keys().await;
    let key = create(&app, json!({"name": "gold"})).await;
    let other = create(&app, json!({"name": "silver"})).await;
    let again = app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    assert_eq!((again.status.as_u16(), again.text()), (200, r#"{"streamId":"gold"}"#), "it is given once");
    let patch = || Some(json!({"title": "Mine"}));
    app.call("PATCH", "/streams/gold", &other, patch()).await.assert_code(403, "forbidden");
    app.call("PATCH", "/streams/gold", READER, patch()).await.assert_code(403, "forbidden");
    app.send(request("PATCH", "/streams/gold", None, patch())).await.assert_code(401, "unauthorized");
    let changed = app.call("PATCH", "/streams/gold", &key, patch()).await;
    assert_eq!(changed.json()["title"], "Mine");
    assert!(!changed.text().contains("hostKey") && !changed.text().contains("host_key"));
    let joined = app.call("POST", "/streams/gold/join", &key, Some(json!({"userId": "ann"}))).await.json();
    assert_eq!(role_in(&joined), ("speaker", true), "the stream's default role");
    let host = json!({"userId": "ann", "role": "host"});
    let joined = app.call("POST", "/streams/gold/join", &key, Some(host.clone())).await.json();
    assert_eq!(role_in(&joined), ("host", true));
    app.call("POST", "/streams/gold/join", &other, Some(host)).await.assert_code(403, "forbidden");
    app.enter("gold", "bob").await;
    assert_eq!(app.call("DELETE", "/streams/gold/participants/bob", &key, None).await.status, 204);
    app.call("POST", "/streams", &key, Some(json!({"name": "bronze"}))).await.assert_code(403, "forbidden");
    app.call("GET", "/metrics", &key, None).await.assert_code(403, "forbidden");
    app.call("DELETE", "/streams/silver", &key, None).await.assert_code(403, "forbidden");
    assert_eq!(app.call("DELETE", "/streams/gold", &key, None).await.status, 204);
    assert_eq!(app.call("DELETE", "/streams/gold", &key, None).await.status, 204, "the second time too");
    create(&app, json!({"name": "gold"})).await;
    app.call("DELETE", "/streams/gold", &key, None).await.assert_code(403, "forbidden");
}

#[tokio::test]
async fn with_auth_off_there_is_no_host_key_and_nothing_private() {
    let app = TestApp::new().await;
    let created = app.post("/streams", json!({"name": "gold"})).await;
    assert_eq!((created.status.as_u16(), created.text()), (201, r#"{"streamId":"gold"}"#));
    let private = app.post("/streams", json!({"name": "x", "visibility": "private"})).await;
    private.assert_problem(
        400,
        "invalid_request",
        "\"visibility\" can be private with AUTH=keys only: here every caller may do everything",
    );
    assert_eq!(app.post("/streams", json!({"name": "x", "visibility": "unlisted"})).await.status, 201);
    assert_eq!(app.post("/streams/gold/invites", json!({})).await.status, 201);
    assert_eq!(app.post("/streams/gold/bans", json!({"identity": "mallory"})).await.status, 201);
    app.post("/streams/gold/join", json!({"userId": "mallory"})).await.assert_code(403, "banned");
    assert_eq!(app.get("/keys").await.text(), "[]");
}

#[tokio::test]
async fn strangers_create_where_that_is_open() {
    let config = server::ServerConfig { open_create: true, ..keys() };
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    let created = app.post("/streams", json!({"name": "gold"})).await.json();
    let key = created["hostKey"].as_str().unwrap();
    assert_eq!(app.post("/streams", json!({"name": "gold"})).await.text(), r#"{"streamId":"gold"}"#);
    app.delete("/streams/gold").await.assert_code(401, "unauthorized");
    assert_eq!(app.call("DELETE", "/streams/gold", key, None).await.status, 204);
}

#[tokio::test]
async fn unlisted_streams_are_in_no_list_but_for_keys() {
    let app = TestApp::with_keys().await;
    create(&app, json!({"name": "gold", "visibility": "unlisted"})).await;
    create(&app, json!({"name": "open"})).await;
    let names = |answer: &crate::app::Answer| -> Vec<String> {
        answer.json().as_array().unwrap().iter().map(|s| s["streamId"].as_str().unwrap().to_owned()).collect()
    };
    for path in ["/streams", "/streams?limit=10", "/streams?visibility=public"] {
        assert_eq!(names(&app.get(path).await), ["open"], "{path}");
    }
    app.get("/streams?visibility=all").await.assert_code(401, "unauthorized");
    for key in [READER, ADMIN] {
        assert_eq!(names(&app.call("GET", "/streams?visibility=all", key, None).await).len(), 2);
    }
    assert_eq!(app.state_of("gold").await["visibility"], "unlisted");
    assert!(app.state_of("open").await.get("visibility").is_none(), "classic bytes stay");
    let mut lobby = app.watch("/sse/streams").await;
    assert_eq!(lobby.data().await["total"], 1);
    app.call("PATCH", "/streams/open", ADMIN, Some(json!({"visibility": "unlisted"}))).await;
    assert_eq!(lobby.event().await.unwrap(), "event: remove\ndata: {\"streamId\":\"open\"}");
    app.call("PATCH", "/streams/gold", ADMIN, Some(json!({"visibility": "public"}))).await;
    assert!(lobby.event().await.unwrap().contains("\"gold\""));
    let change = Some(json!({"visibility": "private"}));
    app.call("PATCH", "/streams/gold", ADMIN, change).await.assert_code(409, "privacy_is_fixed");
    assert!(!app.call("GET", "/metrics", READER, None).await.text().contains("gold"));
}

#[tokio::test]
async fn a_private_stream_is_seen_with_a_key_an_invite_or_from_within() {
    let app = TestApp::with_keys().await;
    let key = create(&app, json!({"name": "gold", "visibility": "private"})).await;
    let other = create(&app, json!({"name": "silver", "visibility": "private"})).await;
    let guest = invite(&app, &key, json!({})).await;
    let body = || Some(json!({"userId": "ann"}));
    let joined = app.call("POST", "/streams/gold/join", &guest, body()).await.json();
    let within = joined["token"].as_str().unwrap().to_owned();
    assert_eq!(role_in(&joined), ("viewer", false));
    app.post("/streams/gold/join", json!({"userId": "bob"})).await.assert_code(404, "stream_not_found");
    let paths = ["/streams/gold", "/streams/gold/state", "/streams/gold/participants", "/sse/gold/updates"];
    for path in paths {
        app.get(path).await.assert_code(404, "stream_not_found");
        app.call("GET", path, &other, None).await.assert_code(404, "stream_not_found");
        app.call("GET", path, "lsi_forged.to.ken", None).await.assert_code(401, "unauthorized");
        for bearer in [ADMIN, READER, &key, &guest, &within] {
            let answer = app.open(request("GET", path, Some(bearer), None)).await;
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    assert_eq!(app.get("/streams").await.text(), "[]");
    // A public stream asks nobody, whatever is brought.
    create(&app, json!({"name": "open"})).await;
    assert_eq!(app.call("GET", "/streams/open/state", "lsi_old", None).await.status, 200);
    // Who is banned does not look on with the token of before.
    app.call("POST", "/streams/gold/bans", &key, Some(json!({"identity": "ann"}))).await;
    app.call("GET", "/streams/gold/state", &within, None).await.assert_code(403, "banned");
    // Invites end with the stream.
    app.call("DELETE", "/streams/gold", &key, None).await;
    create(&app, json!({"name": "gold", "visibility": "private"})).await;
    app.call("GET", "/streams/gold/state", &guest, None).await.assert_code(404, "stream_not_found");
    app.call("POST", "/streams/gold/join", &guest, body()).await.assert_code(404, "stream_not_found");
}

#[tokio::test]
async fn watchers_of_before_do_not_see_a_private_stream_of_the_same_name() {
    let app = TestApp::with_keys().await;
    create(&app, json!({"name": "gold"})).await;
    let mut events = app.watch("/sse/gold/updates").await;
    events.data().await;
    app.call("DELETE", "/streams/gold", ADMIN, None).await;
    events.until(|state| state["phase"] == "ended").await;
    create(&app, json!({"name": "gold", "visibility": "private", "title": "secret"})).await;
    while let Some(event) = events.event().await {
        assert!(!event.contains("secret"), "{event}");
    }
}

#[tokio::test]
async fn invites_are_bound_to_a_role() {
    let app = TestApp::with_keys().await;
    let key = create(&app, json!({"name": "gold"})).await;
    app.post("/streams/gold/invites", json!({})).await.assert_code(401, "unauthorized");
    app.call("POST", "/streams/gold/invites", READER, Some(json!({}))).await.assert_code(403, "forbidden");
    for (body, error) in [
        (json!({"role": "host"}), "\"role\" must be one of [speaker, viewer]"),
        (json!({"expiresIn": 5}), "\"expiresIn\" must be greater than or equal to 60"),
        (json!({"x": 1}), "\"x\" is not allowed"),
    ] {
        let refused = app.call("POST", "/streams/gold/invites", &key, Some(body)).await;
        refused.assert_problem(400, "invalid_request", error);
    }
    let speaker = invite(&app, &key, json!({"role": "speaker"})).await;
    let join = async |bearer: &str, body: Value| app.call("POST", "/streams/gold/join", bearer, Some(body)).await;
    let bob = join(&speaker, json!({"userId": "bob"})).await.json();
    assert_eq!(role_in(&bob), ("speaker", true));
    join(&speaker, json!({"userId": "cleo", "role": "host"})).await.assert_code(403, "forbidden");
    app.call("DELETE", "/streams/gold", &speaker, None).await.assert_code(403, "forbidden");
    // Bob is not connected, and yet nobody else is Bob; his own token brings him back as he was.
    join(&speaker, json!({"userId": "bob"})).await.assert_code(409, "identity_held");
    app.post("/streams/gold/join", json!({"userId": "bob"})).await.assert_code(409, "identity_held");
    let own = bob["token"].as_str().unwrap();
    assert_eq!(role_in(&join(own, json!({"userId": "bob"})).await.json()), ("speaker", true));
    join(own, json!({"userId": "bob", "role": "host"})).await.assert_code(403, "forbidden");
}

#[tokio::test]
async fn a_ticket_opens_the_events_of_its_stream() {
    let app = TestApp::with_keys().await;
    let key = create(&app, json!({"name": "gold", "visibility": "private"})).await;
    create(&app, json!({"name": "silver", "visibility": "private"})).await;
    app.post("/streams/gold/tickets", json!({})).await.assert_code(404, "stream_not_found");
    let made = app.call("POST", "/streams/gold/tickets", &key, None).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"));
    let made = made.json();
    let ticket = made["ticket"].as_str().unwrap();
    let ends = domain::Timestamp::parse(made["expiresAt"].as_str().unwrap()).unwrap();
    assert!(ends <= app.store.now() + Duration::from_secs(60));
    let mut events = app.watch(&format!("/sse/gold/updates?ticket={ticket}")).await;
    assert_eq!(events.data().await["visibility"], "private");
    app.get(&format!("/sse/silver/updates?ticket={ticket}")).await.assert_code(404, "stream_not_found");
    app.get("/sse/gold/updates?ticket=lst_x").await.assert_code(401, "unauthorized");
    app.call("GET", "/streams/gold/state", ticket, None).await.assert_code(401, "unauthorized");
}

#[tokio::test]
async fn bans_hold_are_listed_and_lifted() {
    let app = TestApp::with_keys().await;
    let key = create(&app, json!({"name": "gold"})).await;
    let bans = "/streams/gold/bans";
    app.post(bans, json!({"identity": "mallory"})).await.assert_code(401, "unauthorized");
    for (body, error) in [
        (json!({}), "\"identity\" is required"),
        (json!({"identity": "m", "until": "tomorrow"}), UNTIL),
        (json!({"identity": "m", "until": "2001-01-01T00:00:00Z"}), UNTIL),
        (json!({"identity": "m", "until": "2101-01-01T00:00:00Z"}), UNTIL),
    ] {
        app.call("POST", bans, &key, Some(body)).await.assert_problem(400, "invalid_request", error);
    }
    app.enter("gold", "mallory").await;
    let until = (app.store.now() + Duration::from_secs(3600)).to_string();
    let body = json!({"identity": "mallory", "until": until, "reason": "shouted"});
    let banned = app.call("POST", bans, &key, Some(body)).await;
    assert_eq!(banned.status, 201);
    assert_eq!((&banned.json()["until"], &banned.json()["reason"]), (&json!(until), &json!("shouted")));
    app.until_outside("gold", "mallory").await;
    for bearer in [Some(ADMIN), Some(key.as_str()), None] {
        let join = request("POST", "/streams/gold/join", bearer, Some(json!({"userId": "mallory"})));
        app.send(join).await.assert_code(403, "banned");
    }
    // A token of before still opens the room: out again, each time.
    for _ in 0..2 {
        app.enter("gold", "mallory").await;
        app.until_outside("gold", "mallory").await;
    }
    app.send(Request::get(bans).body(axum::body::Body::empty()).unwrap()).await.assert_code(401, "unauthorized");
    let list = app.call("GET", bans, &key, None).await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["identity"]), (1, &json!("mallory")));
    for _ in 0..2 {
        assert_eq!(app.call("DELETE", &format!("{bans}/mallory"), &key, None).await.status, 204);
    }
    assert_eq!(app.call("GET", bans, &key, None).await.text(), "[]");
    assert_eq!(app.post("/streams/gold/join", json!({"userId": "mallory"})).await.status, 200);
    app.call("POST", "/streams/nobody/bans", ADMIN, Some(json!({"identity": "m"})))
        .await
        .assert_code(404, "stream_not_found");
}

const UNTIL: &str = "\"until\" must be a time such as 2026-11-23T10:18:21Z, in the future and at most a year from now";

#[tokio::test]
async fn keys_are_listed_with_their_last_use_and_never_shown() {
    let app = TestApp::with_keys().await;
    app.get("/keys").await.assert_code(401, "unauthorized");
    app.call("GET", "/keys", READER, None).await.assert_code(403, "forbidden");
    let listed = app.call("GET", "/keys", ADMIN, None).await;
    let list = listed.json();
    assert_eq!((&list[0]["name"], &list[0]["scope"]), (&json!("boss"), &json!("admin")));
    let used = domain::Timestamp::parse(list[1]["lastUsedAt"].as_str().unwrap()).unwrap();
    assert!(used <= app.store.now());
    assert!(!listed.text().contains(ADMIN) && !listed.text().contains("hash"));
}
