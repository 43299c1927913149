//! What lets people into single streams, turned against it: host keys, invites, tickets, join tokens, bans, identities,
//! idempotency keys. In each test what is tried wrongly is first done rightly: only then do the refusals mean anything.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use server::{ApiKey, Auth, KeyRing, PeerAddr, Quota, RateLimits, Scope, ServerConfig};
use sha2::{Digest, Sha256};
use testkit::attacks::Attack;

use super::proofs::forged;
use crate::app::{ADMIN, Answer, READER, Setup, TestApp, keys, request};

/// A stream made with the admin key; its host key.
pub(super) async fn create(app: &TestApp, body: Value) -> String {
    let created = app.call("POST", "/streams", ADMIN, Some(body)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    created.json()["hostKey"].as_str().unwrap().to_owned()
}

/// The secret in `member` of what a `POST` answers.
pub(super) async fn issued(app: &TestApp, path: &str, bearer: &str, body: Option<Value>, member: &str) -> String {
    let made = app.call("POST", path, bearer, body).await;
    assert!(made.status.is_success(), "{path}: {}", made.text());
    made.json()[member].as_str().unwrap().to_owned()
}

/// Everything that lets somebody into one private stream.
pub(super) struct Passes {
    pub(super) host: String,
    pub(super) invite: String,
    pub(super) ticket: String,
    pub(super) token: String,
}

impl Passes {
    pub(super) async fn of(app: &TestApp, name: &str) -> Self {
        let host = create(app, json!({"name": name, "visibility": "private", "title": "secret"})).await;
        let path = |what: &str| format!("/streams/{name}/{what}");
        let invite = issued(app, &path("invites"), &host, Some(json!({})), "token").await;
        let ticket = issued(app, &path("tickets"), &host, None, "ticket").await;
        let token = issued(app, &path("join"), &invite, Some(json!({"userId": "ann"})), "token").await;
        Self { host, invite, ticket, token }
    }

    pub(super) fn all(&self) -> [&str; 4] {
        [&self.host, &self.invite, &self.ticket, &self.token]
    }
}

/// Requests that show or change the stream `name`, with a body where one belongs to it.
pub(super) fn requests_about(name: &str) -> Vec<(&'static str, String, Option<Value>)> {
    let stream = format!("/streams/{name}");
    let of = |rest: &str| format!("{stream}{rest}");
    vec![
        ("GET", stream.clone(), None),
        ("GET", of("/state"), None),
        ("GET", of("/participants"), None),
        ("GET", format!("/sse/{name}/updates"), None),
        ("GET", format!("/sse/{name}/updates?view=summary"), None),
        ("POST", of("/tickets"), None),
        ("POST", of("/join"), Some(json!({"userId": "eve"}))),
        ("POST", of("/join"), Some(json!({"userId": "eve", "role": "speaker"}))),
        ("POST", of("/join"), Some(json!({"userId": "eve", "role": "host"}))),
        ("POST", of("/leave"), Some(json!({"userId": "ann"}))),
        ("PUT", of("/participants/ann/hand"), None),
        ("DELETE", of("/participants/ann/hand"), None),
        ("PATCH", stream.clone(), Some(json!({"title": "mine"}))),
        ("PATCH", of("/participants/ann"), Some(json!({"role": "speaker"}))),
        ("POST", of("/participants/ann/mute"), Some(json!({"source": "microphone"}))),
        ("DELETE", of("/participants/ann"), None),
        ("POST", of("/invites"), Some(json!({}))),
        ("GET", of("/bans"), None),
        ("POST", of("/bans"), Some(json!({"identity": "ann"}))),
        ("DELETE", of("/bans/ann"), None),
        ("DELETE", stream, None),
    ]
}

/// Refused as one who may not, and told nothing of the stream but that.
#[track_caller]
pub(super) fn assert_refused(answer: &Answer, what: &str) {
    let refused = match answer.status.as_u16() {
        401 | 403 => true,
        // As if there were no such stream.
        404 => answer.json()["code"] == "stream_not_found",
        _ => false,
    };
    assert!(refused, "{what}: {} {}", answer.status, answer.text());
    assert!(!answer.text().contains("secret"), "{what}: {}", answer.text());
}

pub(super) async fn misplaced_passes() -> Attack {
    let app = TestApp::with_keys().await;
    let passes = Passes::of(&app, "gold").await;
    app.enter("gold", "ann").await;
    let leads = |method: &str, path: &str| {
        let own = ["/leave", "/hand", "/tickets"].iter().any(|end| path.ends_with(end));
        !(method == "GET" && !path.ends_with("/bans") || own || path.ends_with("/join"))
    };
    let mut tried = 0;
    for (method, path, body) in requests_about("gold") {
        let wishes = body.as_ref().and_then(|body| body["role"].as_str()).unwrap_or_default().to_owned();
        let joins_above = path.ends_with("/join") && !wishes.is_empty();
        // Who looks, who was invited to watch and who is a viewer leads nothing and speaks nowhere.
        for (kind, bearer) in [("reader", READER), ("invite", &passes.invite), ("token", &passes.token)] {
            if leads(method, &path) || joins_above {
                let what = format!("{kind} {method} {path} {wishes}");
                assert_refused(&app.call(method, &path, bearer, body.clone()).await, &what);
                tried += 1;
            }
        }
        // A ticket is no bearer, and no other pass is a ticket.
        assert_refused(
            &app.call(method, &path, &passes.ticket, body.clone()).await,
            &format!("ticket {method} {path}"),
        );
        tried += 1;
    }
    for pass in [&passes.host, &passes.invite, &passes.token, ADMIN, READER, ""] {
        for path in ["/sse/gold/updates", "/streams/gold", "/streams/gold/state"] {
            for name in ["ticket", "token", "access_token", "authorization", "hostKey", "invite", "key"] {
                let answer = app.get(&format!("{path}?{name}={pass}")).await;
                assert!([400, 401, 404].contains(&answer.status.as_u16()), "{path}?{name}: {}", answer.status);
                tried += 1;
            }
        }
    }
    // Somebody else's place, and what is for the server's keys alone.
    for pass in [&passes.host, &passes.invite, &passes.token, &passes.ticket] {
        for (method, path) in [("GET", "/keys"), ("GET", "/metrics"), ("GET", "/streams?visibility=all")] {
            assert_refused(&app.call(method, path, pass, None).await, &format!("{method} {path}"));
            tried += 1;
        }
        assert_refused(&app.call("POST", "/streams", pass, Some(json!({"name": "eve"}))).await, "POST /streams");
        tried += 1;
    }
    let other = Some(json!({"userId": "bob"}));
    assert_refused(&app.call("POST", "/streams/gold/leave", &passes.token, other.clone()).await, "another's leave");
    assert_refused(&app.call("POST", "/streams/gold/join", &passes.token, other).await, "another's join");
    assert_eq!(app.call("GET", "/streams/gold", &passes.token, None).await.status, 200);
    Attack {
        what: "Passes in the wrong place: a ticket as bearer, a key in the query, an invite that would lead, somebody else's token",
        tried: tried + 2,
        outcome: "400, 401, 403, or 404 as if there were no such stream: each is good for what it was given for",
    }
}

pub(super) async fn former_passes() -> Attack {
    let app = TestApp::with_keys().await;
    let old = Passes::of(&app, "gold").await;
    assert_eq!(app.call("DELETE", "/streams/gold", &old.host, None).await.status, 204);
    let new = Passes::of(&app, "gold").await;
    let mut tried = 0;
    for (method, path, body) in requests_about("gold") {
        for bearer in old.all() {
            let what = format!("{method} {path} with {}", &bearer[..4]);
            assert_refused(&app.call(method, &path, bearer, body.clone()).await, &what);
            tried += 1;
        }
    }
    assert_refused(&app.get(&format!("/sse/gold/updates?ticket={}", old.ticket)).await, "the old ticket");
    assert_eq!(app.call("GET", "/streams/gold", &new.host, None).await.json()["title"], "secret");
    Attack {
        what: "Host keys, invites, tickets and join tokens of a former stream of the same name, on every route",
        tried: tried + 1,
        outcome: "401, 403, or 404 as if there were no such stream: they ended with theirs",
    }
}

pub(super) async fn forged_passes() -> Attack {
    let app = TestApp::with_keys().await;
    let passes = Passes::of(&app, "gold").await;
    let epoch = app.call("GET", "/streams/gold/state", ADMIN, None).await.json()["epoch"].clone();
    let exp = app.store.now().as_millis() / 1000 + 600;
    let mut tried = 0;
    for (purpose, prefix, genuine) in [("invite", "lsi_", &passes.invite), ("ticket", "lst_", &passes.ticket)] {
        let claims = json!({"aud": purpose, "sub": "gold", "epoch": epoch, "gen": 1, "role": "speaker", "exp": exp});
        let jwt = genuine.strip_prefix(prefix).unwrap();
        // Among them some that are signed with the secret that LiveKit's tokens are signed with: it is another.
        for text in forged(&claims, jwt) {
            let text = format!("{prefix}{text}");
            let answer = match purpose {
                "invite" => app.call("POST", "/streams/gold/join", &text, Some(json!({"userId": "eve"}))).await,
                _ => app.get(&format!("/sse/gold/updates?ticket={text}")).await,
            };
            assert_refused(&answer, &text);
            tried += 1;
        }
        // One for the other.
        let other = if purpose == "invite" { "lst_" } else { "lsi_" };
        assert_refused(&app.call("GET", "/streams/gold", &format!("{other}{jwt}"), None).await, "under another name");
        assert_refused(&app.get(&format!("/sse/gold/updates?ticket={other}{jwt}")).await, "under another name");
        tried += 2;
    }
    let key = &passes.host;
    let wrong = [
        key[..key.len() - 1].to_owned(),
        format!("{key}0"),
        key.to_uppercase(),
        format!("lsh_{}", "0".repeat(key.len() - 4)),
        format!("{key}\u{e9}"),
        format!("lsh_{key}"),
        format!("{key} {key}"),
        format!("{key},{key}"),
        format!("lsh_{}", "x".repeat(8_000)),
    ];
    for key in &wrong {
        for (method, path, body) in
            [("DELETE", "/streams/gold", None), ("PATCH", "/streams/gold", Some(json!({"title": "x"})))]
        {
            let mut asked = request(method, path, None, body);
            let value = axum::http::HeaderValue::from_bytes(format!("Bearer {key}").as_bytes()).unwrap();
            asked.headers_mut().insert("authorization", value);
            assert_refused(&app.send(asked).await, key);
            tried += 1;
        }
    }
    assert_eq!(app.call("DELETE", "/streams/gold", key, None).await.status, 204);
    Attack {
        what: "Invites, tickets and host keys that nobody gave out: other algorithms, secrets, claims and prefixes, cut, doubled, in capitals",
        tried,
        outcome: "401, 403, or 404 as if there were no such stream",
    }
}

pub(super) async fn guessed_keys() -> Attack {
    const GUESSES: usize = 40;
    let quota = |count| Quota::new(NonZeroU32::new(count).unwrap(), Duration::from_secs(3600));
    let many = quota(1_000);
    let limits = RateLimits {
        create: many,
        join: many,
        sse: many,
        failures: quota(10),
        key_factor: NonZeroU32::new(3).unwrap(),
    };
    let config = ServerConfig { limits: Some(limits), ..keys() };
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    let host = create(&app, json!({"name": "gold", "visibility": "private"})).await;
    let from = |address: &str, method: &str, path: &str, bearer: &str| {
        let mut asked: Request<Body> = request(method, path, Some(bearer), None);
        asked.extensions_mut().insert(PeerAddr(address.parse().unwrap()));
        asked
    };
    let mut tried = 0;
    // Of each kind of key, from an address of its own; the last is an IPv6 network whose guesser changes addresses.
    for (kind, prefix) in ["", "lsh_", "lsi_", "eyJhbGciOiJIUzI1NiJ9.", "lsh_"].into_iter().enumerate() {
        let mut refused = 0;
        for guess in 0..GUESSES {
            let address = if kind == 4 { format!("2001:db8::{guess:x}") } else { format!("192.0.2.{kind}") };
            let answer = app.send(from(&address, "GET", "/streams/gold/bans", &format!("{prefix}{guess:032x}"))).await;
            match answer.status.as_u16() {
                401 | 403 | 404 => assert!(guess < 10, "{prefix}: guess {guess} was answered as the first"),
                _ => {
                    answer.assert_code(429, "rate_limited");
                    refused += 1;
                }
            }
            tried += 1;
        }
        assert_eq!(refused, GUESSES - 10, "{prefix}");
    }
    // Nor does it tell anything to guess at a stream that is not there.
    for guess in 0..GUESSES {
        let key = format!("lsh_{guess:032x}");
        let answer = app.send(from("192.0.2.50", "GET", "/streams/none/state", &key)).await;
        assert_eq!(answer.status, if guess < 10 { 404 } else { 429 }, "guess {guess}");
        tried += 1;
    }
    // Whoever knows the key is not kept out by others' guesses, not even from their address.
    for address in ["192.0.2.99", "192.0.2.1"] {
        assert_eq!(app.send(from(address, "GET", "/streams/gold/bans", &host)).await.status, 200);
    }
    Attack {
        what: "API keys, host keys, invites and tokens guessed from one address or one IPv6 network",
        tried,
        outcome: "401, 403 or 404, then 429 with `Retry-After`; others go on",
    }
}

pub(super) async fn banned_people() -> Attack {
    let app = TestApp::with_keys().await;
    let passes = Passes::of(&app, "gold").await;
    let speak = issued(&app, "/streams/gold/invites", &passes.host, Some(json!({"role": "speaker"})), "token").await;
    let own = issued(&app, "/streams/gold/join", &speak, Some(json!({"userId": "mallory"})), "token").await;
    app.enter("gold", "mallory").await;
    let banned = app.call("POST", "/streams/gold/bans", &passes.host, Some(json!({"identity": "mallory"}))).await;
    assert_eq!(banned.status, 201);
    app.until_outside("gold", "mallory").await;
    let mut tried = 0;
    let join = async |bearer: &str, body: Value| app.call("POST", "/streams/gold/join", bearer, Some(body)).await;
    for bearer in [ADMIN, READER, &passes.host, &passes.invite, &speak, &own] {
        for wish in [json!({}), json!({"role": "viewer"}), json!({"onDuplicate": "replace"}), json!({"name": "Bob"})] {
            let mut body = wish;
            body["userId"] = json!("mallory");
            join(bearer, body).await.assert_code(403, "banned");
            tried += 1;
        }
    }
    // With the token of before nothing can be seen or asked for either.
    for (method, path, body) in requests_about("gold") {
        assert_refused(&app.call(method, &path, &own, body).await, &format!("{method} {path}"));
        tried += 1;
    }
    // Nor does it help to make the stream anew, to change it, or to ban others instead.
    let change = Some(json!({"title": "x"}));
    assert_eq!(app.call("PATCH", "/streams/gold", &passes.host, change).await.status, 200);
    assert_eq!(app.call("DELETE", "/streams/gold", &passes.host, None).await.status, 204);
    let again = create(&app, json!({"name": "gold"})).await;
    for bearer in [None, Some(own.as_str()), Some(again.as_str())] {
        let answer = app.send(request("POST", "/streams/gold/join", bearer, Some(json!({"userId": "mallory"})))).await;
        assert_refused(&answer, "in the next stream of the name");
        tried += 1;
    }
    // A token of before, straight to LiveKit: in, reported, out.
    for _ in 0..3 {
        app.enter("gold~2", "mallory").await;
        app.until_outside("gold~2", "mallory").await;
        tried += 1;
    }
    assert_eq!(app.call("DELETE", "/streams/gold/bans/mallory", &again, None).await.status, 204);
    assert_eq!(app.post("/streams/gold/join", json!({"userId": "mallory"})).await.status, 200);
    Attack {
        what: "Banned people who come back: every bearer and wish, their old token, the next stream of the name, straight to LiveKit",
        tried,
        outcome: "403 `banned`; out of the room again when LiveKit lets them in",
    }
}

pub(super) async fn held_identities() -> Attack {
    let app = TestApp::with_keys().await;
    let host = create(&app, json!({"name": "gold"})).await;
    let invite = issued(&app, "/streams/gold/invites", &host, Some(json!({"role": "speaker"})), "token").await;
    let boss =
        issued(&app, "/streams/gold/join", &host, Some(json!({"userId": "boss", "role": "host"})), "token").await;
    let bob = issued(&app, "/streams/gold/join", &invite, Some(json!({"userId": "bob"})), "token").await;
    let mut tried = 0;
    for connected in [false, true] {
        if connected {
            app.enter("gold", "boss").await;
            app.enter("gold", "bob").await;
        }
        for (who, theirs) in [("boss", &boss), ("bob", &bob)] {
            let stranger = if who == "boss" { &bob } else { &boss };
            for bearer in [None, Some(READER), Some(invite.as_str()), Some(stranger.as_str())] {
                for wish in [
                    json!({}),
                    json!({"role": "viewer"}),
                    json!({"role": "speaker"}),
                    json!({"onDuplicate": "replace"}),
                ] {
                    let mut body = wish;
                    body["userId"] = json!(who);
                    let answer = app.send(request("POST", "/streams/gold/join", bearer, Some(body))).await;
                    assert!(
                        [401, 403, 409].contains(&answer.status.as_u16()),
                        "{who} by {bearer:?}: {}",
                        answer.text()
                    );
                    assert!(!answer.text().contains("\"token\""));
                    if bearer.is_none() && answer.status != 401 {
                        answer.assert_code(409, "identity_held");
                    }
                    tried += 1;
                }
                if bearer.is_some_and(|bearer| bearer != invite && bearer != READER) || bearer.is_none() {
                    let leave = request("POST", "/streams/gold/leave", bearer, Some(json!({"userId": who})));
                    assert_refused(&app.send(leave).await, &format!("{who}'s leave by {bearer:?}"));
                    tried += 1;
                }
            }
            assert_eq!(app.call("POST", "/streams/gold/join", theirs, Some(json!({"userId": who}))).await.status, 200);
        }
    }
    Attack {
        what: "The names of hosts and speakers, connected or not, taken by strangers, readers, invited people and each other",
        tried,
        outcome: "401, 403 or 409: their own token, the host key and an admin key alone",
    }
}

pub(super) async fn idempotency_keys() -> Attack {
    let ring = KeyRing::new(vec![api_key(ADMIN, Scope::Admin), api_key(READER, Scope::Read)]);
    let config = ServerConfig { auth: Auth::Keys(ring.clone()), ..ServerConfig::default() };
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    let keyed = |path: &str, key: &[u8], bearer: Option<&str>, body: Value| {
        let mut asked = request("POST", path, bearer, Some(body));
        asked.headers_mut().insert("idempotency-key", axum::http::HeaderValue::from_bytes(key).unwrap());
        asked
    };
    let create = || keyed("/streams", b"one", Some(ADMIN), json!({"name": "gold", "visibility": "private"}));
    let first = app.send(create()).await;
    let secret = first.json()["hostKey"].as_str().unwrap().to_owned();
    let replayed = |answer: &Answer| answer.header("idempotency-replayed") == "true";
    assert!(replayed(&app.send(create()).await), "who asked is told again");
    let mut tried = 0;
    // What was told to somebody is told to nobody else, and no other request is answered with it.
    for bearer in [None, Some(READER), Some(secret.as_str()), Some("the-admin-key2"), Some("")] {
        let answer =
            app.send(keyed("/streams", b"one", bearer, json!({"name": "gold", "visibility": "private"}))).await;
        assert!(!replayed(&answer) && !answer.text().contains(&secret), "{bearer:?}: {}", answer.text());
        tried += 1;
    }
    for body in [json!({"name": "gold"}), json!({"name": "gold", "visibility": "private", "title": "x"}), json!({})] {
        let answer = app.send(keyed("/streams", b"one", Some(ADMIN), body)).await;
        assert!(answer.status == 422 && !answer.text().contains(&secret), "{}", answer.text());
        tried += 1;
    }
    for path in ["/streams/gold/tickets", "/streams/gold/join", "/streams/gold/invites"] {
        let answer = app.send(keyed(path, b"one", Some(ADMIN), json!({"name": "gold", "visibility": "private"}))).await;
        assert!(!answer.text().contains(&secret), "{path}");
        tried += 1;
    }
    let odd: [&[u8]; 12] =
        [b"", b" ", b"a b", b"a,b", b"\"", b"\"\"", b"\"a", b"\xff\xfe", b"a\tb", b"{}", &[b'x'; 256], &[b'x'; 60_000]];
    for key in odd {
        let answer = app.send(keyed("/streams", key, Some(ADMIN), json!({"name": "odd"}))).await;
        let known = answer.status == 201 || answer.status == 200;
        assert!(known || answer.status == 400, "{:?}: {}", String::from_utf8_lossy(key), answer.status);
        tried += 1;
    }
    // Nor is it told again to a key that may less than it did, or nothing any more.
    for (keys, status) in [(vec![api_key(ADMIN, Scope::Read)], 403), (vec![api_key(READER, Scope::Read)], 401)] {
        ring.replace(keys);
        let answer = app.send(create()).await;
        assert!(answer.status == status && !answer.text().contains(&secret), "{}", answer.text());
        tried += 1;
    }
    ring.replace(vec![api_key(ADMIN, Scope::Admin)]);
    assert!(replayed(&app.send(create()).await), "and to the same key again when it is back");
    Attack {
        what: "`Idempotency-Key` of somebody else, for another body or route, empty, huge and of odd bytes, or of an API key \
               that was taken back since",
        tried,
        outcome: "400, 401, 403, 422 or done by itself: an answer is given again to whoever got it first alone, and still may ask",
    }
}

fn api_key(text: &str, scope: Scope) -> ApiKey {
    ApiKey { name: "boss".to_owned(), scope, hash: Sha256::digest(text.as_bytes()).into(), from_file: false }
}
