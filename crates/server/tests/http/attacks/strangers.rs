//! Who may not see a private stream can't tell it from one that is not there; and what was shown once is never shown again.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use testkit::attacks::Attack;

use super::passes::{Passes, create, issued, requests_about};
use crate::app::{ADMIN, Answer, READER, TestApp, request};

/// A stream that never was, whose name is as long as those of the streams that are.
const NEVER: &str = "none";

/// What a caller sees of an answer, with what differs from request to request taken out.
fn seen(answer: &Answer, name: &str) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    let id = headers.remove("x-request-id").map_or(String::new(), |id| id.to_str().unwrap().to_owned());
    (answer.status.as_u16(), headers, answer.text().replace(&id, "ID").replace(name, "NAME"))
}

/// Asks the same of `name` and of a stream that never was; fails if the answers are not the same.
async fn assert_same(app: &TestApp, name: &str, what: &str, ask: impl Fn(&str) -> Request<Body>) {
    let (there, not_there) = (app.send(ask(name)).await, app.send(ask(NEVER)).await);
    assert!(there.status.is_client_error(), "{what}: {} {}", there.status, there.text());
    assert_eq!(seen(&there, name), seen(&not_there, NEVER), "{what}");
}

pub(super) async fn private_streams() -> Attack {
    let app = TestApp::with_keys().await;
    // One that was public once, where somebody was banned; one that is private for the first time; one that has ended.
    let before = create(&app, json!({"name": "gold"})).await;
    let stale = issued(&app, "/streams/gold/join", &before, Some(json!({"userId": "mallory"})), "token").await;
    let ban = Some(json!({"identity": "mallory"}));
    assert_eq!(app.call("POST", "/streams/gold/bans", &before, ban).await.status, 201);
    assert_eq!(app.call("DELETE", "/streams/gold", &before, None).await.status, 204);
    let former = Passes::of(&app, "gold").await;
    assert_eq!(app.call("DELETE", "/streams/gold", &former.host, None).await.status, 204);
    let passes = Passes::of(&app, "gold").await;
    app.enter("gold~3", "ann").await;
    let other = Passes::of(&app, "opal").await;
    let over = Passes::of(&app, "ruby").await;
    assert_eq!(app.call("DELETE", "/streams/ruby", &over.host, None).await.status, 204);
    let mut tried = 0;
    let mut bearers =
        vec![None, Some("gold"), Some("lsh_"), Some("lsh_x"), Some("lsi_"), Some("lsi_x.y.z"), Some("lst_")];
    bearers.extend(former.all().into_iter().chain([&*before, &*stale]).map(Some));
    for name in ["gold", "opal", "ruby"] {
        let foreign = if name == "opal" { &passes } else { &other };
        for bearer in bearers.iter().copied().chain(foreign.all().map(Some)) {
            for (at, (method, ..)) in requests_about(NEVER).into_iter().enumerate() {
                for key in [None, Some("k")].into_iter().filter(|key| key.is_none() || method == "POST") {
                    let ask = |name: &str| {
                        let (method, path, body) = requests_about(name).swap_remove(at);
                        let mut asked = request(method, &path, bearer, body);
                        if let Some(key) = key {
                            asked.headers_mut().insert("idempotency-key", format!("{key}{at}").parse().unwrap());
                        }
                        asked
                    };
                    let what = format!("{bearer:?} {method} {}", ask(name).uri());
                    assert_same(&app, name, &what, ask).await;
                    tried += 1;
                }
            }
        }
        let tickets = ["", "x", "lst_x.y.z", &former.ticket, &foreign.ticket, &foreign.invite, &foreign.host];
        for ticket in tickets {
            let ask = |name: &str| request("GET", &format!("/sse/{name}/updates?ticket={ticket}"), None, None);
            assert_same(&app, name, &format!("{name} with the ticket {ticket:?}"), ask).await;
            tried += 1;
        }
        for (header, value) in [("if-none-match", "*"), ("if-match", "*"), ("last-event-id", "x-1")] {
            for path in ["/streams/NAME", "/streams/NAME/state", "/sse/NAME/updates"] {
                let ask = |name: &str| {
                    let mut asked = request("GET", &path.replace("NAME", name), None, None);
                    asked.headers_mut().insert(header, value.parse().unwrap());
                    asked
                };
                assert_same(&app, name, &format!("{path} with {header}"), ask).await;
                tried += 1;
            }
        }
    }
    tried += lists(&app).await;
    // All the same they are there, unchanged, for whoever may see them.
    assert_eq!(app.call("GET", "/streams/gold", &passes.invite, None).await.json()["title"], "secret");
    assert_eq!(app.call("GET", "/streams/gold/participants", &passes.host, None).await.status, 200);
    assert_eq!(app.call("GET", "/streams/opal/state", &other.token, None).await.status, 200);
    Attack {
        what: "Private streams, active and ended: every request about one, with nothing and with all that opens others or former ones; \
               lists, lobby, metrics",
        tried,
        outcome: "status, headers and body as of a stream that never was; in no list, no event and no metric",
    }
}

/// Nothing private is in a list, an event or a metric.
async fn lists(app: &TestApp) -> usize {
    let mut tried = 0;
    let mut lobby = app.watch("/sse/streams").await;
    assert_eq!(lobby.data().await["total"], 0);
    let hush = Passes::of(app, "onyx").await;
    app.enter("onyx", "ann").await;
    app.publish("onyx", "ann").await;
    assert_eq!(app.call("DELETE", "/streams/onyx", &hush.host, None).await.status, 204);
    create(app, json!({"name": "open"})).await;
    assert!(lobby.event().await.unwrap().contains("\"open\""), "the first thing that the lobby hears of");
    for path in [
        "/streams",
        "/streams?status=active",
        "/streams?status=finished",
        "/streams?limit=100",
        "/streams?visibility=public",
        "/metrics",
    ] {
        let bearer = (path == "/metrics").then_some(READER);
        let answer = app.send(request("GET", path, bearer, None)).await;
        assert_eq!(answer.status, 200, "{path}");
        // What was public once was on, and stays in the history.
        let was_public = path.contains("finished").then_some("gold");
        for hidden in ["gold", "opal", "ruby", "onyx", "secret"] {
            assert!(was_public == Some(hidden) || !answer.text().contains(hidden), "{path}: {hidden}");
        }
        tried += 1;
    }
    for visibility in ["all", "private", "unlisted"] {
        let answer = app.get(&format!("/streams?visibility={visibility}")).await;
        assert!([400, 401].contains(&answer.status.as_u16()) && !answer.text().contains("gold"), "{visibility}");
        tried += 1;
    }
    tried + 1
}

pub(super) async fn shown_secrets() -> Attack {
    let app = TestApp::with_keys().await;
    let passes = Passes::of(&app, "gold").await;
    create(&app, json!({"name": "open"})).await;
    app.enter("gold", "ann").await;
    let mut secrets: Vec<String> = passes.all().map(str::to_owned).to_vec();
    secrets.extend([ADMIN, READER].map(str::to_owned));
    // What the store has of them is told to nobody either.
    let hash = app.orchestrator.get_stream(&crate::app::stream("gold")).await.unwrap().host_key.unwrap();
    secrets.push(hash);
    let mut tried = 0;
    let mut look = |what: &str, text: &str| {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{what} tells {}…", &secret[..8]);
        }
        tried += 1;
    };
    let mut events = app.watch(&format!("/sse/gold/updates?ticket={}", passes.ticket)).await;
    look("an event", &events.event().await.unwrap());
    for bearer in [ADMIN, READER, &passes.host, &passes.invite, &passes.token] {
        for path in [
            "/streams/gold",
            "/streams/gold/state",
            "/streams/gold/participants",
            "/streams/gold/bans",
            "/streams?visibility=all",
            "/streams?status=finished&visibility=all",
            "/keys",
            "/metrics",
            "/openapi.json",
            "/healthz",
            "/readyz",
        ] {
            look(path, app.call("GET", path, bearer, None).await.text());
        }
        for (method, path, body) in [
            ("POST", "/streams", json!({"name": "gold"})),
            ("POST", "/streams", json!({"name": "gold", "visibility": "private", "title": "secret"})),
            ("PATCH", "/streams/gold", json!({"title": "other"})),
            ("POST", "/streams/gold/bans", json!({"identity": "mallory"})),
            ("POST", "/streams/gold/join", json!({"userId": "mallory"})),
            ("POST", "/streams/gold/invites", json!({"role": "speaker"})),
            ("GET", "/nowhere", Value::Null),
        ] {
            let body = Some(body).filter(|body| !body.is_null());
            look(path, app.call(method, path, bearer, body).await.text());
        }
    }
    look("a change", &events.event().await.unwrap());
    // Wrong ones come back in no complaint.
    for bearer in ["lsh_wrong-key-of-mine", "lsi_wrong-key-of-mine", "wrong-key-of-mine"] {
        for path in ["/streams/gold", "/streams/gold/bans", "/keys", "/metrics"] {
            let answer = app.call("GET", path, bearer, None).await;
            assert!(answer.status.is_client_error() && !answer.text().contains("wrong-key-of-mine"), "{path}");
            look(path, answer.text());
        }
    }
    assert_eq!(app.call("DELETE", "/streams/gold", &passes.host, None).await.status, 204);
    look("the end", &events.event().await.unwrap());
    look("what is left", app.call("GET", "/streams/gold", ADMIN, None).await.text());
    Attack {
        what: "Answers, lists, event streams, metrics and complaints, searched for host keys, their hashes, invites, tickets, tokens \
               and API keys",
        tried,
        outcome: "none is there: each is in the one answer that gave it out",
    }
}
