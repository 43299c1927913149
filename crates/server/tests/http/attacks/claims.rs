//! Invites and tickets that are signed with the deployment's own secret and say something else than was ever given out, and
//! every kind of pass in place of every other. Identities that look like a banned one.

use serde_json::{Value, json};
use store::MetaKey;
use testkit::attacks::Attack;

use super::passes::{Passes, assert_refused, create, issued};
use super::proofs::{hs256, token};
use crate::app::{ADMIN, Answer, READER, TestApp, claims, request, webhook_request};

/// Uses an invite or a ticket for what it is for.
async fn used(app: &TestApp, purpose: &str, stream: &str, text: &str) -> u16 {
    match purpose {
        "invite" => {
            let body = Some(json!({"userId": "eve", "role": "speaker"}));
            app.call("POST", &format!("/streams/{stream}/join"), &format!("lsi_{text}"), body).await.status.as_u16()
        }
        _ => {
            let watched = request("GET", &format!("/sse/{stream}/updates?ticket=lst_{text}"), None, None);
            app.open(watched).await.status().as_u16()
        }
    }
}

pub(super) async fn sealed_claims() -> Attack {
    let app = TestApp::with_keys().await;
    let secret = app.store.meta(MetaKey::AccessKey).await.unwrap().unwrap();
    let host = create(&app, json!({"name": "gold", "visibility": "private"})).await;
    create(&app, json!({"name": "opal", "visibility": "private"})).await;
    assert_eq!(app.call("DELETE", "/streams/gold", &host, None).await.status, 204);
    create(&app, json!({"name": "gold", "visibility": "private"})).await;
    let epoch = |id: &'static str| {
        let app = &app;
        async move { app.call("GET", &format!("/streams/{id}/state"), ADMIN, None).await.json()["epoch"].clone() }
    };
    let (gold, opal) = (epoch("gold").await, epoch("opal").await);
    let now = app.store.now().as_millis() / 1000;
    let signed = |claims: &Value| token(json!({"alg": "HS256", "typ": "JWT"}), claims, |text| hs256(&secret, text));
    let mut tried = 0;
    for purpose in ["invite", "ticket"] {
        let right =
            json!({"aud": purpose, "sub": "gold", "epoch": gold, "gen": 2, "role": "speaker", "exp": now + 600});
        // The hand that forges signs as the program does: only then do the refusals mean anything.
        assert_eq!(used(&app, purpose, "gold", &signed(&right)).await, 200, "{purpose}");
        let other = if purpose == "invite" { "ticket" } else { "invite" };
        let wrong = [
            ("exp", json!(now - 1)),
            ("exp", json!(now)),
            ("exp", json!(0)),
            ("exp", json!(-1)),
            ("exp", json!(i64::MIN)),
            ("exp", json!("soon")),
            ("exp", json!(1.0e300)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(null)),
            ("aud", json!(other)),
            ("aud", json!([purpose])),
            ("aud", json!("")),
            ("sub", json!("opal")),
            ("sub", json!("GOLD")),
            ("sub", json!("gold~2")),
            ("sub", json!(["gold"])),
            ("epoch", opal.clone()),
            ("epoch", json!("")),
            ("gen", json!(1)),
            ("gen", json!(3)),
            ("gen", json!(-2)),
            ("gen", json!("2")),
            ("role", json!("admin")),
            ("role", json!(1)),
        ];
        for (name, value) in wrong {
            let mut claims = right.clone();
            claims[name] = value;
            let status = used(&app, purpose, "gold", &signed(&claims)).await;
            assert!([401, 404].contains(&status), "{purpose} {claims}: {status}");
            tried += 1;
        }
        for name in ["aud", "sub", "epoch", "gen", "role", "exp"] {
            let mut claims = right.clone();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(used(&app, purpose, "gold", &signed(&claims)).await, 401, "{purpose} without {name}");
            tried += 1;
        }
        assert_eq!(used(&app, purpose, "opal", &signed(&right)).await, 404, "{purpose} of another stream");
        for alg in ["HS384", "HS512", "none", "RS256"] {
            let text = token(json!({"alg": alg}), &right, |text| hs256(&secret, text));
            assert_eq!(used(&app, purpose, "gold", &text).await, 401, "{purpose} by {alg}");
            tried += 1;
        }
        tried += 1;
    }
    Attack {
        what: "Invites and tickets signed with the right secret: ended, of another purpose, stream, epoch or generation, with odd \
               claims or without one",
        tried,
        outcome: "401, or 404 as if there were no such stream",
    }
}

pub(super) async fn confused_kinds() -> Attack {
    let app = TestApp::with_keys().await;
    let passes = Passes::of(&app, "gold").await;
    app.enter("gold", "ann").await;
    let mut tried = 0;
    for pass in [ADMIN, READER, &passes.host, &passes.invite, &passes.ticket, &passes.token] {
        let own = ["lsh_", "lsi_", "lst_"].into_iter().find(|prefix| pass.starts_with(prefix)).unwrap_or_default();
        let bare = &pass[own.len()..];
        // As every other kind, by the name of that kind, and by none.
        for prefix in ["", "lsh_", "lsi_", "lst_", "Bearer ", "lsh_lsi_"] {
            let disguised = format!("{prefix}{bare}");
            if disguised == *pass {
                continue;
            }
            for path in ["/streams/gold", "/streams/gold/bans", "/keys"] {
                assert_refused(&app.call("GET", path, &disguised, None).await, &format!("{disguised} for {path}"));
                tried += 1;
            }
            let body = || Some(json!({"userId": "ann"}));
            for path in ["/streams/gold/join", "/streams/gold/leave"] {
                assert_refused(&app.call("POST", path, &disguised, body()).await, &format!("{disguised} for {path}"));
                tried += 1;
            }
            let encoded = disguised.replace(' ', "%20");
            let by_ticket = app.open(request("GET", &format!("/sse/gold/updates?ticket={encoded}"), None, None)).await;
            assert_eq!(by_ticket.status(), 401, "{disguised} as a ticket");
            tried += 1;
        }
        // As LiveKit's signature.
        for authorization in [pass.to_owned(), format!("Bearer {pass}"), bare.to_owned()] {
            let answer = app.send(webhook_request(&authorization, b"{}".to_vec())).await;
            answer.assert_code(401, "bad_signature");
            tried += 1;
        }
        // By another scheme, or by a header that is none of ours.
        for (name, value) in [
            ("authorization", format!("Basic {pass}")),
            ("authorization", pass.to_owned()),
            ("x-api-key", pass.to_owned()),
            ("cookie", format!("authorization=Bearer {pass}; token={pass}")),
            ("proxy-authorization", format!("Bearer {pass}")),
        ] {
            let mut asked = request("GET", "/streams/gold/bans", None, None);
            asked.headers_mut().insert(name, value.parse().unwrap());
            assert_refused(&app.send(asked).await, &format!("{name} with {pass}"));
            tried += 1;
        }
    }
    Attack {
        what: "Every kind of pass in place of every other: by another prefix, as ticket, as LiveKit's signature, by another scheme, \
               header or cookie",
        tried,
        outcome: "401, or 404 as if there were no such stream",
    }
}

pub(super) async fn banned_lookalikes() -> Attack {
    let app = TestApp::with_keys().await;
    let host = create(&app, json!({"name": "gold"})).await;
    let elsewhere = create(&app, json!({"name": "opal"})).await;
    let bans = "/streams/gold/bans";
    let join = async |bearer: Option<&str>, path: &str, who: &str| -> Answer {
        // Escaped, as a client that would get past a comparison of bytes writes it.
        let escaped: String = who.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let body = format!("{{\"userId\":\"{escaped}\"}}");
        let mut asked = request("POST", path, bearer, Some(json!(null)));
        *asked.body_mut() = axum::body::Body::from(body);
        app.send(asked).await
    };
    let speaker = issued(&app, "/streams/gold/invites", &host, Some(json!({"role": "speaker"})), "token").await;
    let own = issued(&app, "/streams/gold/join", &speaker, Some(json!({"userId": "José"})), "token").await;
    assert_eq!(app.call("POST", bans, &host, Some(json!({"identity": "José"}))).await.status, 201);
    let mut tried = 0;
    // The same identity however it is written.
    for bearer in [None, Some(ADMIN), Some(READER), Some(host.as_str()), Some(speaker.as_str()), Some(own.as_str())] {
        join(bearer, "/streams/gold/join", "José").await.assert_code(403, "banned");
        tried += 1;
    }
    // Others, as they are for LiveKit: whoever takes one of them is a viewer without a history, and never José.
    let alike =
        ["josé", "JOSÉ", "Jose\u{301}", "José ", " José", "Jos\u{e9}\u{200b}", "\u{ff2a}osé", "Jοsé", "José\u{feff}"];
    for who in alike {
        let joined = join(None, "/streams/gold/join", who).await;
        assert_eq!(joined.status, 200, "{who:?}");
        let token = joined.json()["token"].as_str().unwrap().to_owned();
        let claims = claims(&token);
        assert_eq!((&claims["sub"], &claims["video"]["canPublish"]), (&json!(who), &json!(false)));
        assert_refused(&join(Some(own.as_str()), "/streams/gold/join", who).await, who);
        // Lifted under one of them the ban stays.
        let encoded: String = who.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(app.call("DELETE", &format!("{bans}/{encoded}"), &host, None).await.status, 204);
        join(None, "/streams/gold/join", "José").await.assert_code(403, "banned");
        tried += 3;
    }
    // What can't be an identity is banned by no detour.
    for who in ["", "a\nb", "a\0b", &"x".repeat(257)] {
        assert_eq!(join(None, "/streams/gold/join", who).await.status, 400, "{who:?}");
        assert_eq!(app.call("POST", bans, &host, Some(json!({"identity": who}))).await.status, 400, "{who:?}");
        tried += 2;
    }
    // Nobody bans or lifts without the right to, and none beyond the own stream.
    for bearer in
        [None, Some(READER), Some(speaker.as_str()), Some(own.as_str()), Some(elsewhere.as_str()), Some("lsh_x")]
    {
        for (method, path, body) in [
            ("POST", bans.to_owned(), Some(json!({"identity": "ann"}))),
            ("GET", bans.to_owned(), None),
            ("DELETE", format!("{bans}/Jos%C3%A9"), None),
        ] {
            assert_refused(&app.send(request(method, &path, bearer, body)).await, &format!("{bearer:?} {method}"));
            tried += 1;
        }
    }
    assert_eq!(join(None, "/streams/opal/join", "José").await.status, 200, "a ban is of one stream");
    let list = app.call("GET", bans, &host, None).await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["identity"]), (1, &json!("José")));
    Attack {
        what: "Bans got round by escapes, capitals, Unicode forms and invisible characters; bans made and lifted by whoever may not",
        tried,
        outcome: "the same identity is refused however it is written; another is another, as for LiveKit, and gets nothing of the banned one's",
    }
}
