//! What the API offers beyond the classic lines.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use domain::Rules;

use crate::app::{ADMIN, READER, Setup, TestApp, request};

#[tokio::test]
async fn create_takes_settings_and_shows_them() {
    let app = TestApp::new().await;
    let settings = json!({
        "name": "a/b", "title": "Friday demo", "metadata": {"colour": "red"}, "maxParticipants": 5,
        "defaultRole": "viewer", "emptyTimeout": 120, "maxDuration": 3600, "endWithoutPublisher": 0,
    });
    let answer = app.post("/streams", settings.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, "/streams/a%2Fb"));
    let shown = app.get(answer.header("location")).await;
    let details = shown.json();
    for (name, value) in settings.as_object().unwrap().iter().filter(|(name, _)| *name != "name") {
        assert_eq!(&details[name], value, "{name}");
    }
    assert_eq!(
        (&details["streamId"], &details["room"], &details["generation"]),
        (&json!("a/b"), &json!("a/b"), &json!(1))
    );
    let again = app.post("/streams", json!({"name": "a/b", "title": "Another"})).await;
    assert_eq!(again.status, 200);
    assert_eq!(app.get("/streams/a%2Fb").await.json()["title"], "Friday demo");
}

#[tokio::test]
async fn create_refuses_in_the_classic_words() {
    let app = TestApp::new().await;
    let cases = [
        (json!({"title": 1}), "\"title\" must be a string"),
        (json!({"title": ""}), "\"title\" is not allowed to be empty"),
        (json!({"title": "a\nb"}), "\"title\" must not contain control characters"),
        (json!({"metadata": []}), "\"metadata\" must be of type object"),
        (json!({"metadata": {"livestream": 1}}), "\"metadata.livestream\" is not allowed"),
        (json!({"metadata": {"x": "y".repeat(16 * 1024)}}), "\"metadata\" must be at most 16384 bytes of JSON"),
        (json!({"maxParticipants": "5"}), "\"maxParticipants\" must be a number"),
        (json!({"maxParticipants": 0}), "\"maxParticipants\" must be greater than or equal to 1"),
        (json!({"maxParticipants": 1.5}), "\"maxParticipants\" must be an integer"),
        (json!({"defaultRole": "admin"}), "\"defaultRole\" must be one of [host, speaker, viewer]"),
        (json!({"emptyTimeout": 604_801}), "\"emptyTimeout\" must be less than or equal to 604800"),
        (json!({"maxDuration": null}), "\"maxDuration\" must be a number"),
        (json!({"endWithoutPublisher": -1}), "\"endWithoutPublisher\" must be greater than or equal to 0"),
    ];
    for (mut body, error) in cases {
        body["name"] = json!("gold");
        app.post("/streams", body).await.assert_problem(400, "invalid_request", error);
    }
    let names = [
        (".", "\"name\" must not be \".\" or \"..\""),
        ("x~2", "\"name\" must not end in \"~\" and digits"),
        ("a\u{7}", "\"name\" must not contain control characters"),
    ];
    for (name, error) in names {
        app.post("/streams", json!({"name": name})).await.assert_problem(400, "invalid_request", error);
    }
    app.post("/streams", json!({"name": "x".repeat(129)})).await.assert_code(400, "invalid_request");
    assert_eq!(app.get("/streams").await.text(), "[]");
}

#[tokio::test]
async fn join_answers_with_everything_a_client_needs() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let body =
        json!({"userId": "ann", "role": "viewer", "name": "Ann", "metadata": "{\"a\":1}", "onDuplicate": "reject"});
    let answer = app.post("/streams/gold/join", body).await;
    let joined = answer.json();
    assert_eq!(joined["url"], "ws://stream.example:3000");
    assert_eq!(
        (&joined["room"], &joined["identity"], &joined["role"]),
        (&json!("gold"), &json!("ann"), &json!("viewer"))
    );
    assert!(joined["expiresAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(answer.header("cache-control"), "no-store");
    let claims = crate::app::claims(joined["token"].as_str().unwrap());
    assert_eq!((&claims["name"], &claims["metadata"]), (&json!("Ann"), &json!("{\"a\":1}")));
    assert!(claims["roomConfig"].is_object());
    assert_ne!(claims["video"]["roomAdmin"], true);
}

#[tokio::test]
async fn join_refuses_in_the_classic_words() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let cases = [
        (json!({"userId": ""}), "\"userId\" is not allowed to be empty"),
        (json!({"userId": 7}), "\"userId\" must be a string"),
        (json!({"userId": "u", "role": "king"}), "\"role\" must be one of [host, speaker, viewer]"),
        (json!({"userId": "u", "onDuplicate": 1}), "\"onDuplicate\" must be one of [replace, reject]"),
        (json!({"userId": "u", "name": 1}), "\"name\" must be a string"),
        (json!({"userId": "u", "metadata": {}}), "\"metadata\" must be a string"),
        (json!({"userId": "u", "extra": 1}), "\"extra\" is not allowed"),
    ];
    for (body, error) in cases {
        app.post("/streams/gold/join", body).await.assert_problem(400, "invalid_request", error);
    }
}

#[tokio::test]
async fn a_full_stream_and_a_rejected_duplicate_are_told_apart() {
    let app = TestApp::new().await;
    app.post("/streams", json!({"name": "gold", "maxParticipants": 1})).await;
    app.enter("gold", "ann").await;
    app.post("/streams/gold/join", json!({"userId": "bob"})).await.assert_code(403, "stream_full");
    let reject = json!({"userId": "ann", "onDuplicate": "reject"});
    app.post("/streams/gold/join", reject).await.assert_code(409, "duplicate_identity");
    assert_eq!(app.post("/streams/gold/join", json!({"userId": "ann"})).await.status, 200);
}

#[tokio::test]
async fn leave_takes_out_all_connections_and_is_idempotent() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.enter("gold", "ann").await;
    for _ in 0..2 {
        let answer = app.post("/streams/gold/leave", json!({"userId": "ann"})).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    }
    for _ in 0..200 {
        let events = app.livekit.take_events();
        app.tell(&events).await;
        if app.state_of("gold").await["participants"] == json!([]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("ann is still there");
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let app = TestApp::new().await;
    for n in 0..7 {
        app.create(&format!("s{n}")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app.enter("s1", "ann").await;
    app.publish("s1", "ann").await;
    app.delete("/streams/s2").await;
    let ids = |list: &Value| {
        list.as_array().unwrap().iter().map(|s| s["streamId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut path = "/streams?limit=2".to_owned();
    let mut all = Vec::new();
    loop {
        let page = app.get(&path).await;
        all.extend(ids(&page.json()));
        let link = page.header("link");
        if link.is_empty() {
            break;
        }
        assert!(link.starts_with("</streams?limit=2&cursor=") && link.ends_with(">; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(all, ["s6", "s5", "s4", "s3", "s1", "s0"]);
    for (query, expected) in [
        ("phase=live", vec!["s1"]),
        ("status=finished", vec!["s2"]),
        ("phase=ended", vec!["s2"]),
        ("status=finished&phase=live", vec![]),
        ("status=active&limit=1", vec!["s6"]),
    ] {
        assert_eq!(ids(&app.get(&format!("/streams?{query}")).await.json()), expected, "{query}");
    }
}

#[tokio::test]
async fn finished_streams_are_history_and_outlive_their_records() {
    let rules = Rules { retention: Duration::from_millis(50), ..Rules::default() };
    let app = TestApp::with(Setup { rules, ..Setup::default() }).await;
    app.post("/streams", json!({"name": "gold", "title": "First"})).await;
    app.enter("gold", "ann").await;
    app.enter("gold", "bob").await;
    app.publish("gold", "ann").await;
    let version = app.state_of("gold").await["version"].as_u64().unwrap();
    app.delete("/streams/gold").await;
    assert_eq!(app.get("/streams?status=finished&limit=1").await.json()[0]["version"], version + 1);
    let gone = async {
        while app.get("/streams/gold").await.status != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the record stays");
    assert_eq!(app.get("/streams?phase=ended").await.text(), "[]");
    let history = app.get("/streams?status=finished").await.json();
    let session = history[0].as_object().unwrap();
    let names: Vec<&str> = session.keys().map(String::as_str).collect();
    assert_eq!(history.as_array().unwrap().len(), 1, "{history}");
    for name in ["streamId", "participantCount", "startedAt", "status", "phase", "epoch", "version"] {
        assert!(names.contains(&name), "what every item of a list has: {name} in {names:?}");
    }
    let told = ["streamId", "title", "status", "phase", "endReason"].map(|name| session[name].as_str().unwrap());
    assert_eq!(told, ["gold", "First", "finished", "ended", "stopped"]);
    let counts = ["generation", "peakParticipants", "totalJoins", "totalPublishers", "participantCount"];
    assert_eq!(counts.map(|name| session[name].as_u64().unwrap()), [1, 2, 2, 1, 0]);
    assert!(session["startedAt"].as_str().unwrap() < session["endedAt"].as_str().unwrap());
    assert_eq!(app.get("/streams?status=finished&phase=ended").await.json(), history);
}

#[tokio::test]
async fn history_is_paged_by_end() {
    let app = TestApp::new().await;
    for n in 0..5 {
        app.create(&format!("s{n}")).await;
    }
    for n in [3, 0, 4, 1, 2] {
        app.delete(&format!("/streams/s{n}")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut path = "/streams?limit=2&status=finished".to_owned();
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let page = app.get(&path).await;
        pages += 1;
        ids.extend(page.json().as_array().unwrap().iter().map(|s| s["streamId"].as_str().unwrap().to_owned()));
        let link = page.header("link");
        if link.is_empty() {
            break;
        }
        assert!(link.starts_with("</streams?limit=2&cursor=") && link.contains("&status=finished>"), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((ids, pages), (["s2", "s1", "s4", "s0", "s3"].map(str::to_owned).to_vec(), 3));
    // A place in a list of streams is none in history.
    let other = app.get("/streams?status=finished&cursor=0000019a0000000f.gold").await;
    other.assert_problem(400, "invalid_request", "\"cursor\" must be one that a previous page returned");
}

#[tokio::test]
async fn history_ends_where_the_setting_says() {
    let rules = Rules { session: Duration::from_secs(2), ..Rules::default() };
    let app = TestApp::with(Setup { rules, ..Setup::default() }).await;
    app.create("gold").await;
    app.delete("/streams/gold").await;
    assert_eq!(app.get("/streams?status=finished").await.json().as_array().unwrap().len(), 1);
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    assert_eq!(app.get("/streams?status=finished").await.text(), "[]");
    assert_eq!(app.get("/streams?phase=ended").await.json()[0]["streamId"], "gold", "the record is another matter");
}

#[tokio::test]
async fn what_was_not_public_is_in_nobodys_history_but_a_keys() {
    let app = TestApp::with_keys().await;
    for visibility in ["public", "unlisted", "private"] {
        let body = json!({"name": visibility, "title": "T", "visibility": visibility});
        assert_eq!(app.call("POST", "/streams", ADMIN, Some(body)).await.status, 201);
        assert_eq!(app.call("DELETE", &format!("/streams/{visibility}"), ADMIN, None).await.status, 204);
    }
    let ids = |answer: crate::app::Answer| {
        answer.json().as_array().unwrap().iter().map(|s| s["streamId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(app.get("/streams?status=finished").await), ["public"]);
    // Whoever may see more has to ask for it, as in every list.
    assert_eq!(ids(app.call("GET", "/streams?status=finished", ADMIN, None).await), ["public"]);
    let all = "/streams?status=finished&visibility=all";
    for key in [ADMIN, READER] {
        assert_eq!(ids(app.call("GET", all, key, None).await), ["private", "unlisted", "public"]);
    }
    app.get(all).await.assert_code(401, "unauthorized");
}

#[tokio::test]
async fn a_query_that_makes_no_sense_says_what_was_expected() {
    let app = TestApp::new().await;
    app.create("gold").await;
    for (path, error) in [
        ("/streams?limit=x", "\"limit\" must be a number"),
        ("/streams?limit=0", "\"limit\" must be greater than or equal to 1"),
        ("/streams?limit=1001", "\"limit\" must be less than or equal to 1000"),
        ("/streams?status=on", "\"status\" must be one of [active, finished]"),
        ("/streams?phase=reserved", "\"phase\" must be one of [waiting, live, reconnecting, ended]"),
        ("/streams?cursor=nonsense", "\"cursor\" must be one that a previous page returned"),
        ("/streams/gold/participants?cursor=nonsense", "\"cursor\" must be one that a previous page returned"),
        ("/sse/gold/updates?view=half", "\"view\" must be one of [full, summary]"),
        ("/sse/streams?limit=5001", "\"limit\" must be less than or equal to 5000"),
    ] {
        app.get(path).await.assert_problem(400, "invalid_request", error);
    }
}

#[tokio::test]
async fn participants_are_paged_by_connection() {
    let app = TestApp::new().await;
    app.create("a/b").await;
    for who in ["ann", "bob", "cat"] {
        app.enter("a/b", who).await;
    }
    app.publish("a/b", "bob").await;
    let first = app.get("/streams/a%2Fb/participants?limit=2").await;
    let link = first.header("link").to_owned();
    let second = app.get(&link[1..link.find('>').unwrap()]).await;
    assert_eq!(second.header("link"), "");
    let people: Vec<_> = [first.json(), second.json()].iter().flat_map(|p| p.as_array().unwrap().clone()).collect();
    let told: Vec<_> =
        people.iter().map(|p| (p["identity"].as_str().unwrap(), p["tracks"].as_u64().unwrap())).collect();
    assert_eq!(told, [("ann", 0), ("bob", 1), ("cat", 0)]);
    assert_eq!(people[0]["kind"], "standard");
    assert!(people[0]["sid"].as_str().unwrap().starts_with("PA_"));
    app.get("/streams/nowhere/participants").await.assert_code(404, "stream_not_found");
}

#[tokio::test]
async fn etags_spare_what_the_caller_has() {
    let app = TestApp::new().await;
    app.create("gold").await;
    for path in ["/streams/gold", "/streams/gold/state"] {
        let answer = app.get(path).await;
        let state = answer.json();
        let tag = answer.header("etag").to_owned();
        let version = format!("{}-{}", state["epoch"].as_str().unwrap(), state["version"]);
        let settings = if path.ends_with("/state") { "" } else { "-s1" };
        assert_eq!(tag, format!("\"{version}{settings}\""));
        for named in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let mut request = request("GET", path, None, None);
            request.headers_mut().insert("if-none-match", named.parse().unwrap());
            let answer = app.send(request).await;
            assert_eq!((answer.status.as_u16(), answer.text(), answer.header("etag")), (304, "", tag.as_str()));
        }
        let mut request = request("GET", path, None, None);
        request.headers_mut().insert("if-none-match", "\"other-1\"".parse().unwrap());
        assert_eq!(app.send(request).await.status, 200);
    }
}

#[tokio::test]
async fn livekit_away_is_503_for_create_and_leaves_nothing() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.livekit.go_away(true);
    let answer = app.post("/streams", json!({"name": "silver"})).await;
    answer.assert_code(503, "livekit_unavailable");
    assert_eq!(answer.header("retry-after"), "2");
    app.get("/streams/silver/state").await.assert_code(404, "stream_not_found");
    // What does not need LiveKit is served.
    assert_eq!(app.post("/streams/gold/join", json!({"userId": "u"})).await.status, 200);
    assert_eq!(app.delete("/streams/gold").await.status, 204);
    let state = app.state_of("gold").await;
    assert_eq!((&state["status"], &state["closing"]), (&json!("finished"), &json!(true)));
    app.livekit.go_away(false);
    assert_eq!(app.post("/streams", json!({"name": "silver"})).await.status, 201);
}

#[tokio::test]
async fn the_store_away_is_503_with_retry_after() {
    let app = TestApp::new().await;
    app.create("gold").await;
    app.store.close().await;
    for (method, path, body) in
        [("POST", "/streams", Some(json!({"name": "silver"}))), ("DELETE", "/streams/gold", None)]
    {
        let answer = app.send(request(method, path, None, body)).await;
        answer.assert_code(503, "store_unavailable");
        assert_eq!(answer.header("retry-after"), "2");
    }
}

#[tokio::test]
async fn ids_in_paths_are_percent_decoded_and_bad_ones_are_no_stream() {
    let app = TestApp::new().await;
    let hostile = "\"><img src=x onerror=alert(1)>";
    app.create(hostile).await;
    let path = "/streams/%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E/state";
    assert_eq!(app.get(path).await.json()["streamId"], hostile);
    for path in ["/streams/%2E%2E/state", "/streams/x~2", "/streams/a%0Ab/state"] {
        app.get(path).await.assert_code(404, "stream_not_found");
    }
    app.get("/streams/%FF/state").await.assert_code(400, "invalid_request");
    assert_eq!(app.delete("/streams/x~2").await.status, 204);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let app = TestApp::new().await;
    let post = |path: &str, kind: &str, size: usize| {
        Request::post(path).header("content-type", kind).body(Body::from(vec![b' '; size])).unwrap()
    };
    app.send(post("/streams", "application/json", 64 * 1024 + 1)).await.assert_code(413, "body_too_large");
    app.send(post("/streams", "application/json", 64 * 1024)).await.assert_code(400, "invalid_request");
    app.send(post("/webhook", "application/webhook+json", 1024 * 1024 + 1)).await.assert_code(413, "body_too_large");
    app.send(post("/webhook", "application/webhook+json", 1024 * 1024)).await.assert_code(401, "bad_signature");
    // Without a length that could be trusted, too.
    let chunks = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    let request = Request::post("/streams").header("content-type", "application/json");
    app.send(request.body(Body::from_stream(chunks)).unwrap()).await.assert_code(413, "body_too_large");
}

#[tokio::test]
async fn the_media_url_is_the_configured_one() {
    let media_url = server::MediaUrl::choose(Some("https://lk.example"), true, None);
    let config = server::ServerConfig { media_url, ..server::ServerConfig::default() };
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    app.create("gold").await;
    let joined = app.post("/streams/gold/join", json!({"userId": "u"})).await.json();
    assert_eq!(joined["url"], "wss://lk.example");
}
