//! Mutated requests and texts. A target is a test named `fuzz_…`; `make fuzz` runs all of them for longer.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use domain::{Identity, StreamId};
use hub::Position;
use proptest::prelude::{ProptestConfig, proptest};
use rooms::WebhookVerifier;
use rooms::simulated::sign_webhook;
use store::Cursor;
use testkit::fuzz::{cases, mutated};
use tokio::runtime::Runtime;

use crate::app::{KEY, SECRET, TestApp, webhook_request};

/// Requests as text: a line, headers, an empty line, the body.
const REQUESTS: &[&[u8]] = &[
    b"POST /streams\ncontent-type: application/json\nhost: a:1\n\n{\"name\":\"gold\",\"title\":\"t\",\"metadata\":{\"a\":[1]},\"maxParticipants\":2}",
    b"POST /streams\ncontent-type: application/json; charset=utf-8\nidempotency-key: \"k\"\n\n{\"name\":\"g\xc3\xb6ld\",\"defaultRole\":\"viewer\",\"emptyTimeout\":1.0}",
    b"POST /streams/gold/join\ncontent-type: application/json\nx-forwarded-for: 1.2.3.4, [::1]:2\nx-forwarded-proto: https\n\n{\"userId\":\"ann\",\"role\":\"host\",\"onDuplicate\":\"reject\"}",
    b"POST /streams/gold/leave\ncontent-type: application/json\nauthorization: Bearer a.b.c\n\n{\"userId\":\"ann\"}",
    b"PATCH /streams/gold\ncontent-type: application/json\nif-match: \"e-1-s1\"\n\n{\"title\":null,\"metadata\":{\"a\":null}}",
    b"PATCH /streams/gold/participants/ann\ncontent-type: application/json\n\n{\"role\":\"speaker\"}",
    b"POST /streams/gold/participants/ann/mute\ncontent-type: application/json\n\n{\"source\":\"camera\",\"muted\":true}",
    b"GET /streams?limit=10&status=active&phase=live&cursor=0000019a0000000f.gold\nif-none-match: W/\"e-1\", *\n\n",
    b"GET /streams/gold/participants?limit=1&cursor=616e6e.5041\naccept: */*\n\n",
    b"GET /streams/%67old/state\nhost: [::1]:3000\norigin: http://a\n\n",
    b"GET /room.html?streamId=gold\naccept-encoding: br;q=0.5, gzip\nhost: a\n\n",
    b"GET /embed/gold\nx-forwarded-host: b:2\n\n",
    b"DELETE /streams/gold\norigin: null\n\n",
    b"OPTIONS /streams\norigin: https://a\naccess-control-request-method: POST\n\n",
    b"POST /webhook\nauthorization: e30.e30.e30\n\n{\"event\":\"room_started\"}",
];
const REQUEST_WORDS: &[&[u8]] = &[
    b"%00",
    b"%2e%2e",
    b"%2f",
    b"/",
    b"//",
    b"?",
    b"&",
    b"\n",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"null",
    b"[",
    b"{\"a\":",
    b"~2",
    b"..",
    b"gold",
    b"ann",
    b"18446744073709551616",
    b"content-length: 9\n",
    b"host: a\n",
    b"Bearer ",
    b"\"",
];
const WEBHOOKS: &[&[u8]] = &[
    b"{\"event\":\"room_started\",\"room\":{\"sid\":\"RM_1\",\"name\":\"gold\",\"creationTime\":\"1\",\"metadata\":\"{}\"},\"id\":\"EV_1\",\"createdAt\":\"1795429101\"}",
    b"{\"event\":\"participant_joined\",\"room\":{\"sid\":\"RM_1\",\"name\":\"gold\"},\"participant\":{\"sid\":\"PA_1\",\"identity\":\"ann\",\"name\":\"A\",\"state\":\"ACTIVE\",\"joinedAt\":\"1795429101\",\"kind\":\"STANDARD\",\"permission\":{\"hidden\":false}},\"id\":\"EV_2\",\"createdAt\":1795429101}",
    b"{\"event\":\"track_published\",\"room\":{\"sid\":\"RM_1\",\"name\":\"gold\"},\"participant\":{\"sid\":\"PA_1\",\"identity\":\"ann\"},\"track\":{\"sid\":\"TR_1\",\"type\":\"VIDEO\",\"source\":\"CAMERA\",\"muted\":true},\"id\":\"EV_3\"}",
    b"{\"event\":\"participant_left\",\"room\":{\"name\":\"gold~2\"},\"participant\":{\"sid\":\"PA_1\",\"disconnectReason\":\"CLIENT_INITIATED\"}}",
    b"{\"event\":\"egress_ended\",\"egressInfo\":{}}",
];
const WEBHOOK_WORDS: &[&[u8]] = &[
    b"null",
    b"\"\"",
    b"-1",
    b"1e400",
    b"\"9223372036854775808\"",
    b"[]",
    b"{}",
    b"\"gold\"",
    b"room_finished",
    b",\"a\":",
];
const TEXTS: &[&[u8]] = &[
    b"gold",
    b"g\xc3\xb6ld:a/b~2",
    b"..",
    b"0000019a0000000f.gold",
    b"616e6e.50415f31",
    b"k3v9x2q7-12",
    b"e-18446744073709551615",
    b"\xf0\x9f\x98\x80",
];

struct Bench {
    runtime: Runtime,
    app: TestApp,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let app = runtime.block_on(async {
            let app = TestApp::new().await;
            app.create("gold").await;
            app.enter("gold", "ann").await;
            app
        });
        Bench { runtime, app }
    })
}

/// The request that a text stands for, if it is one that a socket could bring.
fn parse(bytes: &[u8]) -> Option<Request<Body>> {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (&bytes[..split], &bytes[split + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&line[..blank]).uri(&line[blank + 1..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    request.body(Body::from(body.to_vec())).ok()
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever is asked, nothing panics, and it is the caller's mistake.
    #[test]
    fn fuzz_requests(bytes in mutated(REQUESTS, REQUEST_WORDS)) {
        let Some(request) = parse(&bytes) else { return Ok(()) };
        let bench = bench();
        let response = bench.runtime.block_on(bench.app.open(request));
        let status = response.status().as_u16();
        assert!(status < 500 || status == 503, "{status}");
    }

    /// LiveKit's signature makes nothing safe of a body.
    #[test]
    fn fuzz_webhook_bodies(bytes in mutated(WEBHOOKS, WEBHOOK_WORDS)) {
        let bench = bench();
        let authorization = sign_webhook(&bytes, KEY, SECRET, bench.app.store.now());
        let status = bench.runtime.block_on(bench.app.open(webhook_request(&authorization, bytes))).status().as_u16();
        assert!([200, 400].contains(&status), "{status}");
    }

    /// No header but LiveKit's own passes.
    #[test]
    fn fuzz_webhook_headers(bytes in mutated(&[VALID], &[b"Bearer ", b".", b"=", b"eyJhbGciOiJub25lIn0"])) {
        let now = domain::Timestamp::from_millis(1_000_000_000_000);
        let verifier = WebhookVerifier::new(vec![(KEY.to_owned(), SECRET.to_owned())]);
        let valid = sign_webhook(b"{}", KEY, SECRET, now);
        let header = String::from_utf8_lossy(&bytes).replace('*', &valid);
        let same = [valid.clone(), format!("Bearer {valid}")].iter().any(|known| known.eq_ignore_ascii_case(header.trim()) && header.contains(&valid));
        let received = verifier.receive(Some(&header), b"{}", now);
        assert!(received.is_err() || same || header.trim().strip_prefix("Bearer ").map(str::trim) == Some(&valid), "{header}");
    }

    /// What is taken as an id, a cursor or an event id is read back as it was, and can stand in a log.
    #[test]
    fn fuzz_ids_and_cursors(bytes in mutated(TEXTS, &[b".", b"-", b"~1", b"\xc2\x85", b"\xe2\x80\xa8"])) {
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(id) = StreamId::parse(&text) {
            assert_eq!(id.as_str(), text);
            assert!(!text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control));
        }
        if let Ok(identity) = Identity::parse(&text) {
            assert!(identity.as_str() == text && !text.chars().any(char::is_control));
        }
        assert!(text.parse::<Position>().is_err() || text.contains('-'));
        for cursor in [Cursor::of_streams(&text), Cursor::of_people(&text)].into_iter().flatten() {
            assert_eq!(cursor.0, text);
            let bench = bench();
            let page = bench.runtime.block_on(bench.app.store.people(&StreamId::parse("gold").unwrap(), 10, Some(&cursor)));
            assert!(page.is_ok());
        }
    }
}

/// Stands for a header that is signed anew each time.
const VALID: &[u8] = b"*";

#[test]
fn seeds_are_requests() {
    for seed in REQUESTS {
        assert!(parse(seed).is_some(), "{}", String::from_utf8_lossy(seed));
    }
    assert_eq!(ProptestConfig::default().max_local_rejects, cases().max_local_rejects);
}
