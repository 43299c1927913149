//! What an outsider may try on the program as a process: each is a row of `docs/security.md`.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::attacks::{Attack, check_names};
use testkit::{Livestream, free_tcp_port, free_udp_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{BINARY, instance};

const IDLE: usize = 10_000;
const API_KEY: &str = "an-api-key-nobody-may-read";
/// Its SHA-256.
const API_KEY_HASH: &str = "aff78903dd4ca479abbdd6dff2cbb172632a9be0e648f9eb54efa5febd6f24f3";

async fn started(one: Livestream) -> Livestream {
    one.with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port()).started().await
}

async fn raw(one: &Livestream, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", one.port())).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    drop(timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await);
    answer
}

/// Connections that say nothing: held as long as a head may take, beside others.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections() {
    // Each costs a socket here and one there.
    let Ok(limit) = rlimit::increase_nofile_limit(u64::MAX) else { return testkit::skip("the limit of open files") };
    if limit < IDLE as u64 + 500 {
        return testkit::skip("a limit of open files above 10,500");
    }
    let one = started(instance()).await;
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(("127.0.0.1", one.port())).await.unwrap());
    }
    assert_eq!(one.post("/streams", json!({"name": "gold"})).await.status, 201);
    assert_eq!(one.get("/streams/gold/state").await.status, 200);
    drop(idle);
    assert_eq!(one.get("/healthz").await.status, 200);
    let attack = Attack {
        what: "Connections that are opened and say nothing",
        tried: IDLE,
        outcome: "kept as long as a head may take; others are served",
    };
    attack.check("livestream: attacks::idle_connections");
}

/// What is logged at its most talkative, in both forms, after names and headers made to forge it.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_logs() {
    let mut tried = 0;
    for format in ["text", "json"] {
        let one = started(Livestream::new(BINARY).with("LOG_LEVEL", "debug").with("LOG_FORMAT", format)).await;
        let marks = [
            "\u{1b}[31mFORGED",
            "a\nFORGED line",
            "a\r\nFORGED",
            "\"},\"FORGED\":{\"",
            "\u{202e}FORGED",
            "\u{9b}31mFORGED",
        ];
        for mark in marks {
            for body in [json!({"name": mark}), json!({"name": "gold", "title": mark}), json!({(mark): 1})] {
                one.post("/streams", body).await;
                tried += 1;
            }
            one.post("/streams/gold/join", json!({"userId": mark, "name": mark})).await;
            tried += 1;
        }
        for bytes in [
            &b"GET /\x1b[31mFORGED HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
            b"GET /streams HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: \x1b[31mFORGED\r\n\r\n",
            b"GET /streams/%1b%5b31mFORGED%0aFORGED HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /streams HTTP/1.1\r\nHost: \x1b[31mFORGED\r\nX-Forwarded-For: \x1b[31mFORGED\r\nUser-Agent: \x1b[31mFORGED\r\n\r\n",
            b"FORGED\x1b[31m / HTTP/1.1\r\n\r\n",
            b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nAuthorization: eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJGT1JHRURcdTAwMWJbMzFtXG4ifQ.x\r\nContent-Length: 2\r\n\r\n{}",
        ] {
            raw(&one, bytes).await;
            tried += 1;
        }
        let log = one.log();
        assert!(log.contains("answered"), "nothing was logged at all");
        assert!(!log.contains(['\u{1b}', '\u{9b}']), "a terminal would obey the log");
        for line in log.lines() {
            assert!(!line.trim_start().starts_with("FORGED"), "a line was forged");
            let json = serde_json::from_str::<serde_json::Value>(line);
            assert!(format == "text" || json.is_ok_and(|line| line.get("FORGED").is_none()), "{line}");
        }
        let metrics = one.metrics().await;
        assert!(metrics.contains("active_streams") && !metrics.contains("FORGED"), "{metrics}");
    }
    let attack = Attack {
        what: "Names, headers, targets and tokens that would forge log lines or command a terminal, in both forms of the log",
        tried,
        outcome: "no control character, no forged line or member, nothing in metrics",
    };
    attack.check("livestream: attacks::hostile_logs");
}

/// One request, whose body is `body`; its answer's.
async fn ask(one: &Livestream, line: &str, bearer: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: a-key-nobody-may-read-{}\r\nContent-Length: {}\r\n\r\n{body}",
        line.len(),
        body.len()
    );
    let answer = String::from_utf8(raw(one, head.as_bytes()).await).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// What is logged at its most talkative, in both forms, of everything that lets somebody in.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_logs() {
    let mut tried = 0;
    for format in ["text", "json"] {
        let one = Livestream::new(BINARY)
            .with("LOG_LEVEL", "debug,server=trace,orchestrator=trace,rooms=trace,store=trace,hub=trace")
            .with("LOG_FORMAT", format)
            .with("API_KEYS", format!("boss:admin:{API_KEY_HASH}"));
        let one = started(one).await;
        let text = |answer: &Value, name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let made = ask(&one, "POST /streams", API_KEY, &json!({"name": "gold", "visibility": "private"})).await;
        let host = text(&made, "hostKey");
        let invite = text(&ask(&one, "POST /streams/gold/invites", &host, &json!({})).await, "token");
        let ticket = text(&ask(&one, "POST /streams/gold/tickets", &host, &Value::Null).await, "ticket");
        let token = text(&ask(&one, "POST /streams/gold/join", &invite, &json!({"userId": "ann"})).await, "token");
        let passes = [API_KEY.to_owned(), API_KEY_HASH.to_owned(), host, invite, ticket, token];
        for pass in &passes {
            // Rightly and wrongly, as bearer and where it does not belong.
            for line in
                ["GET /streams/gold", "GET /keys", "POST /streams/gold/join", "PATCH /streams/gold", "POST /webhook"]
            {
                ask(&one, line, pass, &json!({"userId": "ann"})).await;
                ask(&one, line, &format!("{pass}x"), &json!({"userId": "ann"})).await;
                tried += 2;
            }
            for path in ["/sse/gold/updates?ticket=", "/streams/gold?key=", "/streams/", "/rtc/validate?access_token="]
            {
                ask(&one, &format!("GET {path}{pass}"), "x", &Value::Null).await;
                tried += 1;
            }
        }
        let log = one.log();
        assert!(log.lines().count() > tried / 2, "hardly anything was logged");
        let metrics = ask_text(&one, "/metrics").await;
        assert!(metrics.contains("livestream_http_requests_total"), "{metrics}");
        for pass in passes.iter().map(String::as_str).chain(["a-key-nobody-may-read"]) {
            assert!(!log.contains(pass), "the log has {}…", &pass[..8]);
            assert!(!metrics.contains(pass), "the metrics have {}…", &pass[..8]);
        }
    }
    let attack = Attack {
        what: "API keys, host keys, invites, tickets, tokens and idempotency keys, used rightly, wrongly and in paths and queries, then \
               looked for in the log at its most talkative, in both forms",
        tried,
        outcome: "none is in the log or in the metrics",
    };
    attack.check("livestream: attacks::secrets_in_logs");
}

/// The text at `path`, for the API key.
async fn ask_text(one: &Livestream, path: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
    );
    String::from_utf8(raw(one, head.as_bytes()).await).unwrap()
}

#[test]
fn the_document_tells_of_these_attacks_alone() {
    check_names("livestream: attacks::", &["idle_connections", "hostile_logs", "secrets_in_logs"]);
}
