//! `Idempotency-Key`: sent twice, done once.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::app::{ADMIN, Answer, Setup, TestApp, claims, keys, request};

fn keyed(path: &str, key: &str, bearer: Option<&str>, body: Value) -> Request<Body> {
    let mut request = request("POST", path, bearer, Some(body));
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_as_before() {
    let app = TestApp::new().await;
    let create = || app.send(keyed("/streams", "\"k1\"", None, json!({"name": "gold", "title": "a"})));
    let first = create().await;
    assert_eq!((first.status.as_u16(), replayed(&first)), (201, false));
    app.delete("/streams/gold").await;
    // The bare form is the same key. Done again, it would be a new generation.
    let again = app.send(keyed("/streams", "k1", None, json!({"name": "gold", "title": "a"}))).await;
    assert_eq!((again.status.as_u16(), replayed(&again)), (201, true));
    assert_eq!((&again.body, again.header("location")), (&first.body, first.header("location")));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(app.state_of("gold").await["status"], "finished");
    let other = app.send(keyed("/streams", "k2", None, json!({"name": "gold", "title": "a"}))).await;
    assert_eq!((other.status.as_u16(), replayed(&other)), (201, false));
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let app = TestApp::new().await;
    app.create("gold").await;
    assert_eq!(app_join(&app, "gold", "ann").await.status, 200);
    for (id, who) in [("gold", "bob"), ("silver", "ann")] {
        app_join(&app, id, who).await.assert_code(422, "idempotency_key_reused");
    }
    // Another route is another scope.
    let leave = app.send(keyed("/streams/gold/leave", "k", None, json!({"userId": "ann"}))).await;
    assert_eq!(leave.status, 204);
    let again = app.send(keyed("/streams/gold/leave", "k", None, json!({"userId": "ann"}))).await;
    assert_eq!((again.status.as_u16(), replayed(&again)), (204, true));
}

async fn app_join(app: &TestApp, id: &str, who: &str) -> Answer {
    app.send(keyed(&format!("/streams/{id}/join"), "k", None, json!({"userId": who}))).await
}

#[tokio::test]
async fn a_join_token_is_given_again_to_its_caller_alone() {
    let app = TestApp::with(Setup { config: keys(), ..Setup::default() }).await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    let join = |bearer| app.send(keyed("/streams/gold/join", "k", bearer, json!({"userId": "ann"})));
    let token = |answer: &Answer| answer.json()["token"].as_str().unwrap().to_owned();
    let admin = join(Some(ADMIN)).await;
    assert_eq!(token(&join(Some(ADMIN)).await), token(&admin));
    assert_eq!(join(Some(ADMIN)).await.header("cache-control"), "no-store");
    // Bob brings nothing; the address is what tells him from others.
    let bob = || keyed("/streams/gold/join", "k", None, json!({"userId": "bob"}));
    let first = app.send(bob()).await;
    assert!(!replayed(&first), "another caller");
    let again = app.send(bob()).await;
    assert_eq!((replayed(&again), claims(&token(&again))["sub"].as_str()), (true, Some("bob")));
    let mut elsewhere = bob();
    elsewhere.extensions_mut().insert(server::PeerAddr("192.0.2.77".parse().unwrap()));
    assert!(!replayed(&app.send(elsewhere).await), "nobody from another address");
}

#[tokio::test]
async fn what_is_refused_or_fails_is_tried_again() {
    let app = TestApp::new().await;
    let create = || app.send(keyed("/streams", "k", None, json!({"name": "gold"})));
    app.livekit.go_away(true);
    create().await.assert_code(503, "livekit_unavailable");
    app.livekit.go_away(false);
    assert_eq!(create().await.status, 201);
    assert!(replayed(&create().await));
    let join = || app.send(keyed("/streams/silver/join", "k", None, json!({"userId": "u"})));
    join().await.assert_code(404, "stream_not_found");
    app.create("silver").await;
    assert_eq!(join().await.status, 200);
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = app.send(keyed("/streams", key, None, json!({"name": "x"}))).await;
        answer.assert_code(400, "invalid_request");
    }
    let mut twice = keyed("/streams", "a", None, json!({"name": "x"}));
    twice.headers_mut().append("idempotency-key", "b".parse().unwrap());
    app.send(twice).await.assert_code(400, "invalid_request");
}

#[tokio::test]
async fn of_racing_requests_one_is_done_and_the_others_wait_or_hear_of_it() {
    let app = std::sync::Arc::new(TestApp::new().await);
    let tasks = (0..20).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { app.send(keyed("/streams", "k", None, json!({"name": "gold"}))).await })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        let answer = task.await.unwrap();
        match answer.status.as_u16() {
            201 => done += usize::from(!replayed(&answer)),
            _ => answer.assert_code(409, "idempotency_key_in_use"),
        }
    }
    assert_eq!(done, 1);
}

#[tokio::test]
async fn a_caller_that_goes_does_not_cut_the_work_short() {
    let app = TestApp::new().await;
    let request = || keyed("/streams", "k", None, json!({"name": "gold"}));
    // Looked at once, which is enough to begin it, and dropped.
    tokio::select! {
        biased;
        answer = app.send(request()) => panic!("it was answered at once: {answer:?}"),
        () = std::future::ready(()) => {}
    }
    let answer = loop {
        let answer = app.send(request()).await;
        if answer.status != 409 {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((answer.status.as_u16(), replayed(&answer)), (201, true));
}
