//! Forged and replayed proofs: tokens, signatures, event ids.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rooms::simulated::{sign_webhook, webhook_body};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::attacks::Attack;

use crate::app::{ADMIN, KEY, READER, SECRET, TestApp, person, request, webhook_request};

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

/// HMAC-SHA-256, written out (RFC 2104), so that what is tested does not sign for its attacker.
pub(super) fn hs256(secret: &str, text: &str) -> String {
    let mut block = [0u8; 64];
    block[..secret.len()].copy_from_slice(secret.as_bytes());
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
}

pub(super) fn token(header: Value, claims: &Value, sign: impl Fn(&str) -> String) -> String {
    let text = format!("{}.{}", part(&header), part(claims));
    format!("{text}.{}", sign(&text))
}

/// Tokens that claim what `claims` does, and that nobody has signed.
pub(super) fn forged(claims: &Value, valid: &str) -> Vec<String> {
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    let pieces: Vec<_> = valid.split('.').collect();
    let mut tokens: Vec<String> =
        ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"]
            .iter()
            .map(|alg| token(header(alg), claims, |text| hs256(SECRET, text)))
            .collect();
    tokens.extend(["none", "HS256"].map(|alg| token(header(alg), claims, |_| String::new())));
    tokens.push(token(header("HS256"), claims, |text| hs256("", text)));
    tokens.push(token(header("HS256"), claims, |text| hs256(KEY, text)));
    tokens.push(token(json!({"alg": "HS256", "kid": "../../dev/null"}), claims, |text| hs256("", text)));
    tokens.push(token(json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "eA"}}), claims, |text| hs256("x", text)));
    tokens.push(token(json!({"typ": "JWT"}), claims, |text| hs256(SECRET, text)));
    tokens.push(format!("{}.{}.{}", pieces[0], part(&json!({"sub": "eve"})), pieces[2]));
    tokens.push(format!("{}.{}", pieces[0], pieces[1]));
    tokens.push(format!("{valid}.{}", pieces[2]));
    tokens.push(format!("{}.{}.{}A", pieces[0], pieces[1], pieces[2]));
    tokens.push(format!("{}.{}.", pieces[0], pieces[1]));
    tokens.extend(
        ["", ".", "..", "...", "a.b.c", "null", "{}", "e30.e30.", "Bearer", &"a.".repeat(5_000)].map(str::to_owned),
    );
    tokens
}

pub(super) async fn forged_tokens() -> Attack {
    let app = TestApp::with_keys().await;
    app.call("POST", "/streams", ADMIN, Some(json!({"name": "gold"}))).await;
    let joined = app.post("/streams/gold/join", json!({"userId": "ann"})).await.json();
    app.enter("gold", "ann").await;
    let valid = joined["token"].as_str().unwrap();
    let now = app.store.now().as_millis() / 1000;
    let video = json!({"roomJoin": true, "room": "gold", "roomAdmin": true});
    let claims = json!({"iss": KEY, "sub": "ann", "nbf": now - 5, "exp": now + 600, "video": video, "name": ADMIN, "scope": "admin"});
    // The hand that forges can sign: only then do the refusals mean anything.
    let genuine = token(json!({"alg": "HS256", "typ": "JWT"}), &claims, |text| hs256(SECRET, text));
    assert_eq!(app.call("POST", "/streams/gold/leave", &genuine, Some(json!({"userId": "ann"}))).await.status, 204);
    let mut tokens = forged(&claims, valid);
    for (name, value) in [
        ("exp", json!(now - 25 * 3_600)),
        ("nbf", json!(now + 600)),
        ("iss", json!("other")),
        ("exp", json!("soon")),
        ("sub", json!(["ann"])),
    ] {
        let mut other = claims.clone();
        other[name] = value;
        tokens.push(token(json!({"alg": "HS256"}), &other, |text| hs256(SECRET, text)));
    }
    for token in &tokens {
        for (method, path, body) in [
            ("POST", "/streams/gold/leave", json!({"userId": "ann"})),
            ("POST", "/streams/gold/join", json!({"userId": "ann", "role": "host"})),
            ("DELETE", "/streams/gold", Value::Null),
        ] {
            let status = app.call(method, path, token, Some(body)).await.status;
            assert!([401, 403].contains(&status.as_u16()), "{method} {path} {token}: {status}");
        }
    }
    // And genuine ones are no more than they are.
    for key in [valid, &genuine, READER] {
        assert!([401, 403].contains(&app.call("DELETE", "/streams/gold", key, None).await.status.as_u16()));
    }
    Attack {
        what: "Join tokens with `alg: none`, other algorithms, keys in the header, no signature, other claims, out of time",
        tried: tokens.len() * 3,
        outcome: "401 or 403: HS256 with the configured secret alone counts",
    }
}

pub(super) async fn forged_webhooks() -> Attack {
    let app = TestApp::new().await;
    app.create("gold").await;
    let events = app.livekit.join(&"gold".into(), &person("ann"), app.store.now()).unwrap().events;
    let body = webhook_body(events.last().unwrap());
    let now = app.store.now().as_millis() / 1000;
    let digest = Sha256::digest(&body);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let claims = |sha256: Value| json!({"iss": KEY, "nbf": now, "exp": now + 300, "sha256": sha256});
    let right = BASE64_STANDARD.encode(digest);
    let valid = sign_webhook(&body, KEY, SECRET, app.store.now());
    let mut headers = forged(&claims(json!(right)), &valid);
    let other = BASE64_STANDARD.encode(Sha256::digest(b"{}"));
    let empty = BASE64_STANDARD.encode([]);
    for sha256 in [
        json!(other),
        json!(hex),
        json!(empty),
        json!(null),
        json!([right]),
        json!(right[..20]),
        json!(""),
        json!(1),
        json!("="),
    ] {
        headers.push(token(json!({"alg": "HS256"}), &claims(sha256), |text| hs256(SECRET, text)));
    }
    // Signed for another body, and a join token in place of a signature.
    headers.push(sign_webhook(b"{}", KEY, SECRET, app.store.now()));
    headers.push(
        app.post("/streams/gold/join", json!({"userId": "u"})).await.json()["token"].as_str().unwrap().to_owned(),
    );
    for header in &headers {
        let answer = app.send(webhook_request(header, body.clone())).await;
        answer.assert_code(401, "bad_signature");
    }
    assert_eq!(app.state_of("gold").await["participants"], json!([]));
    assert_eq!(app.send(webhook_request(&valid, body)).await.status, 200);
    assert_eq!(app.state_of("gold").await["participants"], json!(["ann"]));
    Attack {
        what: "Webhooks with forged signatures or `sha256`, or signed for another body",
        tried: headers.len(),
        outcome: "401, and nothing changes",
    }
}

pub(super) async fn replayed_webhooks() -> Attack {
    let app = TestApp::new().await;
    app.create("gold").await;
    let joined = app.livekit.join(&"gold".into(), &person("ann"), app.store.now()).unwrap().events;
    app.tell(&joined).await;
    let left = app.livekit.leave(&"gold".into(), &person("ann"), app.store.now());
    app.tell(&left).await;
    let after = app.state_of("gold").await;
    assert_eq!(after["participants"], json!([]));
    let mut tried = 0;
    for _ in 0..20 {
        for event in joined.iter().chain(&left) {
            assert_eq!(app.send(app.webhook(event)).await.status, 200, "a duplicate is fine");
            tried += 1;
        }
    }
    assert_eq!(app.state_of("gold").await, after, "and changes nothing");
    // Kept for later: the signature runs out.
    let body = webhook_body(joined.last().unwrap());
    for age in [7 * 60, 3_600, 86_400] {
        let then = domain::Timestamp::from_millis(app.store.now().as_millis() - age * 1000);
        let answer = app.send(webhook_request(&sign_webhook(&body, KEY, SECRET, then), body.clone())).await;
        answer.assert_code(401, "bad_signature");
        tried += 1;
    }
    Attack {
        what: "Webhooks replayed: at once, in another order, and after their time",
        tried,
        outcome: "200 without effect while known, 401 once the signature has run out",
    }
}

pub(super) async fn odd_event_ids() -> Attack {
    let app = TestApp::new().await;
    app.create("gold").await;
    let state = app.state_of("gold").await;
    let epoch = state["epoch"].as_str().unwrap();
    let ids = [
        "",
        "-",
        "x",
        "-1",
        "0",
        "18446744073709551616",
        "9".repeat(5_000).as_str(),
        "x-1",
        &format!("{epoch}-"),
        &format!("{epoch}-x"),
        &format!("{epoch}--1"),
        &format!("{epoch}-18446744073709551615"),
        &format!("{epoch}-18446744073709551616"),
        &format!("{epoch}-0"),
        "\u{1}",
        "a\tb",
        "../..",
        "%00",
        "<script>",
    ]
    .map(str::to_owned);
    let mut tried = 0;
    for id in &ids {
        let mut by_header = request("GET", "/sse/gold/updates", None, None);
        let Ok(value) = id.parse() else { continue };
        by_header.headers_mut().insert("last-event-id", value);
        let ahead = id.ends_with("18446744073709551615");
        for mut events in [app.watch_with(by_header).await, app.watch(&by_query(id)).await] {
            tried += 1;
            if !ahead {
                assert_eq!(events.data().await["streamId"], "gold", "{id}");
            }
        }
    }
    let raw = Request::get("/sse/gold/updates").header("last-event-id", &b"\xff\xfe"[..]).body(Body::empty()).unwrap();
    assert_eq!(app.watch_with(raw).await.data().await["streamId"], "gold");
    Attack {
        what: "`Last-Event-ID` that is none: empty, huge, negative, of another epoch, not text",
        tried: tried + 1,
        outcome: "the newest state, as for a new reader",
    }
}

fn by_query(id: &str) -> String {
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("/sse/gold/updates?lastEventId={encoded}")
}
