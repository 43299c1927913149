//! Bodies that are too much, or not what they seem.

use axum::body::Body;
use axum::http::Request;
use rooms::simulated::sign_webhook;
use serde_json::json;
use testkit::attacks::Attack;

use crate::app::{Answer, KEY, SECRET, TestApp, webhook_request};

async fn post(app: &TestApp, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = Request::post(path).header("host", "localhost").header("content-type", kind);
    app.send(request.body(Body::from(body.into())).unwrap()).await
}

pub(super) async fn huge_json() -> Attack {
    let app = TestApp::new().await;
    let nested = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let bodies = [
        format!("[{}1]", "1,".repeat(1_000_000)),
        format!("{{\"name\":[{}1]}}", "1,".repeat(1_000_000)),
        format!("{{\"name\":\"gold\",\"metadata\":{{\"a\":[{}1]}}}}", "1,".repeat(30_000)),
        nested("[", "]", 30_000),
        nested("{\"a\":", "}", 10_000).replace(":}", ":1}"),
        format!("{{\"name\":\"gold\",\"metadata\":{}}}", nested("{\"a\":", "}", 5_000).replace(":}", ":1}")),
        format!("{{{}}}", (0..6_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",")),
        format!("{{\"name\":\"{}\"}}", "a".repeat(60_000)),
        format!("{{\"name\":{}}}", "9".repeat(60_000)),
        format!("{{\"name\":\"gold\",\"maxParticipants\":1e{}}}", "9".repeat(1_000)),
    ];
    for body in &bodies {
        let status = post(&app, "/streams", "application/json", body.as_str()).await.status;
        assert!(status == 400 || status == 413, "{status} {}", &body[..40]);
        // The same, signed by LiveKit: a broken LiveKit is no better than a stranger.
        let bytes = body.clone().into_bytes();
        let authorization = sign_webhook(&bytes, KEY, SECRET, app.store.now());
        let status = app.send(webhook_request(&authorization, bytes)).await.status;
        assert!([200, 400, 413].contains(&status.as_u16()), "{status} {}", &body[..40]);
    }
    assert_eq!(app.get("/streams").await.text(), "[]");
    Attack {
        what: "JSON of a million elements, 30,000 levels, 6,000 members or numbers of 60,000 digits, as a caller and as LiveKit",
        tried: bodies.len() * 2,
        outcome: "400 or 413; at most 64 KiB (1 MiB from LiveKit) and 128 levels are read",
    }
}

pub(super) async fn odd_json() -> Attack {
    let app = TestApp::new().await;
    let bodies: &[&[u8]] = &[
        b"{\"name\":\"a\xff\"}",
        b"\xef\xbb\xbf{\"name\":\"a\"}",
        b"\xff\xfe{\0\"\0",
        b"{\"name\":\"\\ud800\"}",
        b"{\"name\":\"\\u0000\"}",
        b"{\"name\":\"a\\nb\"}",
        b"{\"name\":NaN}",
        b"{\"name\":Infinity}",
        b"{'name':'a'}",
        b"{\"name\":\"a\"}{\"name\":\"b\"}",
        b"{\"name\":\"a\"} x",
        b"{\"name\":\"a\",}",
        b"null",
        b"true",
        b"1",
        b"\"a\"",
        b"[]",
        b"{\"__proto__\":{\"name\":\"a\"}}",
        b"{\"name\":\"a\",\"constructor\":1}",
        b"{\"name\":{\"$gt\":\"\"}}",
        b"{\"name\":[\"a\"]}",
        b"{\"name\":null}",
        b"{\"name\":\".\"}",
        b"{\"name\":\"..\"}",
        b"{\"name\":\"a~2\"}",
        b"{\"name\":\"a\",\"maxParticipants\":-1}",
        b"{\"name\":\"a\",\"maxParticipants\":1.5}",
        b"{\"name\":\"a\",\"maxParticipants\":\"1\"}",
        b"{\"name\":\"a\",\"metadata\":\"{}\"}",
        b"{\"name\":\"a\",\"defaultRole\":\"admin\"}",
        b"{\"NAME\":\"a\"}",
        b"{\"name \":\"a\"}",
        b"/*c*/{\"name\":\"a\"}",
        b"{\"name\":\"a\" \"x\":1}",
        b"{",
        b"\0",
    ];
    for body in bodies {
        let answer = post(&app, "/streams", "application/json", *body).await;
        assert_eq!(answer.status, 400, "{:?}", String::from_utf8_lossy(body));
        answer.assert_code(400, "invalid_request");
    }
    assert_eq!(app.get("/streams").await.text(), "[]");
    Attack {
        what: "JSON that is none, of another encoding, with other types, operators or prototypes in it",
        tried: bodies.len(),
        outcome: "400 that says what was expected; nothing is created",
    }
}

pub(super) async fn compressed() -> Attack {
    let app = TestApp::new().await;
    // A small one will do: the question is whether it is opened.
    let codings = ["gzip", "deflate", "br", "zstd", "identity, gzip"];
    for coding in codings {
        let request = Request::post("/streams").header("host", "localhost").header("content-type", "application/json");
        let bytes =
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\xca\x4b\xcc\x4d\x55\xb2\x52\x4a\xcf\xcf\x49\x51\xaa\x05\0".to_vec();
        let answer = app.send(request.header("content-encoding", coding).body(Body::from(bytes)).unwrap()).await;
        assert_eq!(answer.status, 400, "{coding}");
    }
    Attack {
        what: "Compressed bodies, which could be bombs",
        tried: codings.len(),
        outcome: "400: bodies are never decompressed",
    }
}

pub(super) async fn hostile_names() -> Attack {
    let app = TestApp::new().await;
    let names = [
        "<script>alert(1)</script>",
        "\"}],\"x\":[{\"",
        "';DROP TABLE streams;--",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%0d%0aSet-Cookie:a",
        "\u{202e}evil",
        "\u{2028}line",
        "a:b{c}*?[d]",
        "../../etc/passwd",
        "a/b",
        "a?b#c",
        "=cmd()",
        "\u{feff}",
        "e\u{301}",
        "😀",
        "event: x",
        "data: y",
        "__proto__",
        "constructor",
        "head",
        "nul",
    ];
    for name in names {
        let created = app.post("/streams", json!({"name": name})).await;
        assert_eq!((created.status.as_u16(), &created.json()["streamId"]), (201, &json!(name)), "{name}");
        let location = created.header("location").to_owned();
        assert!(location.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte)), "{location}");
        let got = app.get(&location).await;
        assert_eq!((got.status.as_u16(), &got.json()["streamId"]), (200, &json!(name)), "{location}");
        let joined = app.post(&format!("{location}/join"), json!({"userId": name, "name": name})).await;
        assert_eq!((joined.status.as_u16(), &joined.json()["identity"]), (200, &json!(name)));
        let mut events = app.watch(&format!("{}/updates", location.replace("/streams/", "/sse/"))).await;
        assert_eq!(events.data().await["streamId"], name, "one event, of one line");
    }
    let refused = ["a\nb", "a\r\nSet-Cookie: x", "\u{1b}[2J", "a\0b", "\u{7f}", "\u{85}", "\u{9b}31m", "a\tb"];
    for name in refused {
        app.post("/streams", json!({"name": name})).await.assert_code(400, "invalid_request");
        app.post("/streams/e%CC%81/join", json!({"userId": name})).await.assert_code(400, "invalid_request");
    }
    let metrics = app.get("/metrics").await;
    for name in names.iter().chain(&refused) {
        assert!(name.len() < 5 || !metrics.text().contains(name), "{name} is in the metrics");
    }
    Attack {
        what: "Names made to break HTML, JSON, SQL, paths, headers, event streams, logs or metrics",
        tried: names.len() + refused.len(),
        outcome: "data everywhere and in no metric; control characters are refused with 400",
    }
}
