//! The OpenAPI document is what the repository says it is: the pages' types are made from it.

use std::path::Path;

use crate::app::TestApp;

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
