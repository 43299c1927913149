//! The OpenAPI document is what the repository says it is: the pages' types are made from it.

use std::path::Path;

use rooms::simulated::sign_webhook;
use serde_json::Value;

use crate::app::{KEY, SECRET, TestApp, request, webhook_request};

/// Run with `UPDATE_SNAPSHOTS=1` to accept a change.
#[test]
fn openapi_document_is_the_one_in_the_repository() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = server::openapi_document() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, &document).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(document == expected, "the API changed: run this test with UPDATE_SNAPSHOTS=1 and look at the difference");
}

#[tokio::test]
async fn openapi_document_is_served_and_names_every_route() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/streams", vec!["get", "post"]),
        ("/streams/{id}", vec!["delete", "get", "patch"]),
        ("/streams/{id}/state", vec!["get"]),
        ("/streams/{id}/participants", vec!["get"]),
        ("/streams/{id}/join", vec!["post"]),
        ("/streams/{id}/leave", vec!["post"]),
        ("/sse/{id}/updates", vec!["get"]),
        ("/sse/streams", vec!["get"]),
        ("/webhook", vec!["post"]),
        ("/healthz", vec!["get"]),
        ("/readyz", vec!["get"]),
        ("/metrics", vec!["get"]),
    ] {
        let mut known: Vec<_> = paths[path].as_object().unwrap().keys().map(String::as_str).collect();
        known.sort_unstable();
        assert_eq!(known, methods, "{path}");
    }
    let schemas = &document["components"]["schemas"];
    let state = &schemas["StreamState"];
    let required: Vec<_> = state["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in ["streamId", "status", "participants", "startedAt", "phase", "epoch", "version", "closing"] {
        assert!(required.contains(&name), "{name}: {state:#}");
    }
    assert!(!required.contains(&"endedAt"));
    for name in ["LobbySnapshot", "RemovedStream", "StreamSummary", "Problem", "JoinedStream", "Role"] {
        assert!(schemas.get(name).is_some(), "{name}: {schemas:#}");
    }
}

/// Where two JSON values differ in members or kinds; of arrays the first items count.
fn differences(at: &str, shown: &Value, real: &Value) -> Vec<String> {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            let names = shown.keys().chain(real.keys().filter(|name| !shown.contains_key(*name)));
            let inner = names.flat_map(|name| match (shown.get(name), real.get(name)) {
                (Some(shown), Some(real)) => differences(&format!("{at}.{name}"), shown, real),
                _ => vec![format!("{at}.{name} is on one side only")],
            });
            inner.collect()
        }
        (Value::Array(shown), Value::Array(real)) => match (shown.first(), real.first()) {
            (Some(shown), Some(real)) => differences(&format!("{at}[]"), shown, real),
            _ => Vec::new(),
        },
        (shown, real) if std::mem::discriminant(shown) == std::mem::discriminant(real) => Vec::new(),
        (shown, real) => vec![format!("{at}: {shown} is shown, {real} is real")],
    }
}

#[tokio::test]
async fn examples_are_what_the_server_takes_and_says() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.json();
    let path = |path: &str, method: &str| &document["paths"][path][method];
    let body = |operation: &Value| operation["requestBody"]["content"]["application/json"]["example"].clone();
    let check = |operation: &Value, status: u16, real: &crate::app::Answer| {
        assert_eq!(real.status, status, "{real:?}");
        let shown = &operation["responses"][status.to_string()]["content"]["application/json"]["example"];
        let found = differences("", shown, &real.json());
        assert!(found.is_empty(), "{}: {found:#?}", operation["operationId"]);
    };
    let create = path("/streams", "post");
    check(create, 201, &app.post("/streams", body(create)).await);
    check(create, 200, &app.post("/streams", body(create)).await);
    check(path("/streams/{id}", "get"), 200, &app.get("/streams/gold").await);
    let patch = path("/streams/{id}", "patch");
    check(patch, 200, &app.send(request("PATCH", "/streams/gold", None, Some(body(patch)))).await);
    let join = path("/streams/{id}/join", "post");
    check(join, 200, &app.post("/streams/gold/join", body(join)).await);
    app.enter("gold", "ann").await;
    app.publish("gold", "ann").await;
    check(path("/streams/{id}/state", "get"), 200, &app.get("/streams/gold/state").await);
    check(path("/streams", "get"), 200, &app.get("/streams").await);
    check(path("/streams/{id}/participants", "get"), 200, &app.get("/streams/gold/participants").await);
    for (at, method) in [("/streams/{id}/participants/{identity}", "patch"), ("/streams/{id}/leave", "post")] {
        let address = at.replace("{id}", "gold").replace("{identity}", "ann");
        let answer = app.send(request(&method.to_uppercase(), &address, None, Some(body(path(at, method))))).await;
        assert_eq!(answer.status, 204, "{address}: {answer:?}");
    }
    check(path("/healthz", "get"), 200, &app.get("/healthz").await);
}

#[tokio::test]
async fn webhooks_are_shown_as_livekit_sends_them() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.json();
    let webhooks = document["webhooks"].as_object().unwrap();
    for (event, item) in webhooks {
        let shown = &item["post"]["requestBody"]["content"]["application/webhook+json"]["example"];
        assert_eq!(shown["event"], event.as_str());
        let bytes = serde_json::to_vec(shown).unwrap();
        let authorization = sign_webhook(&bytes, KEY, SECRET, app.store.now());
        assert_eq!(app.send(webhook_request(&authorization, bytes)).await.status, 200, "{event}");
    }
    // Each was understood as what it is, not passed over as something unknown.
    let metrics = app.get("/metrics").await.text().to_owned();
    for event in webhooks.keys().filter(|event| *event != "participant_connection_aborted") {
        assert!(metrics.contains(&format!("livestream_webhooks_total{{event=\"{event}\"")), "{event}: {metrics}");
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(&server::openapi_document()).unwrap();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}
