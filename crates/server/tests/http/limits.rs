//! Rate limits, foreign names and foreign pages, as callers meet them.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use rooms::simulated::signed_webhook;
use serde_json::json;
use server::{PeerAddr, Quota, RateLimits, ServerConfig};

use crate::app::{ADMIN, Answer, KEY, SECRET, Setup, TestApp, keys, request, stream, webhook_request};

const HOUR: Duration = Duration::from_secs(3600);

/// Two of each an hour, and three times as many with a key.
fn limits() -> RateLimits {
    let quota = |count| Quota::new(NonZeroU32::new(count).unwrap(), HOUR);
    RateLimits {
        create: quota(2),
        join: quota(2),
        sse: quota(2),
        failures: quota(2),
        key_factor: NonZeroU32::new(3).unwrap(),
    }
}

async fn limited(config: ServerConfig) -> TestApp {
    TestApp::with(Setup { config: ServerConfig { limits: Some(limits()), ..config }, ..Setup::default() }).await
}

fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(PeerAddr(address.parse().unwrap()));
    request
}

#[track_caller]
fn assert_limited(answer: &Answer, limit: &str) {
    answer.assert_code(429, "rate_limited");
    assert_eq!(answer.header("ratelimit-policy"), limit);
    let (name, left) = answer.header("ratelimit").split_once(';').unwrap();
    assert!(limit.starts_with(name) && left.starts_with("r=0;t="), "{left}");
    let wait: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
}

#[tokio::test]
async fn creating_joining_and_watching_are_limited_per_address() {
    let app = limited(ServerConfig::default()).await;
    let ask = |address: &'static str, method: &'static str, path: &'static str| {
        let body = match path {
            "/streams" => Some(json!({"name": "gold"})),
            "/streams/gold/join" => Some(json!({"userId": "ann"})),
            _ => None,
        };
        app.send(from(address, request(method, path, None, body)))
    };
    for (method, path, policy) in [
        ("POST", "/streams", "\"create\";q=2;w=3600"),
        ("POST", "/streams/gold/join", "\"join\";q=2;w=3600"),
        ("GET", "/sse/nowhere/updates", "\"sse\";q=2;w=3600"),
    ] {
        for left in ["r=1;t=1800", "r=0;t="] {
            let answer = ask("192.0.2.1", method, path).await;
            assert_ne!(answer.status, 429, "{path}");
            assert_eq!(answer.header("ratelimit-policy"), policy);
            assert!(answer.header("ratelimit").contains(left), "{}", answer.header("ratelimit"));
        }
        assert_limited(&ask("192.0.2.1", method, path).await, policy);
        assert_ne!(ask("192.0.2.2", method, path).await.status, 429, "{path} from elsewhere");
    }
    let text = ask("192.0.2.1", "POST", "/streams").await.json()["detail"].as_str().unwrap().to_owned();
    assert!(text.starts_with("too many streams created from this address: 2 in 3600 s are allowed"), "{text}");
    // What costs little is not limited.
    for _ in 0..10 {
        assert_eq!(ask("192.0.2.1", "GET", "/streams").await.status, 200);
    }
    let metrics = app.get("/metrics").await;
    assert!(metrics.text().contains("livestream_rate_limited_total{limit=\"join\"}"));
    assert!(!metrics.text().contains("192.0.2"));
}

#[tokio::test]
async fn an_ipv6_network_is_one_caller_and_a_proxy_is_none() {
    let app = limited(ServerConfig::default()).await;
    let join = || request("POST", "/streams/gold/join", None, Some(json!({"userId": "ann"})));
    app.send(from("2001:db8::1", join())).await;
    app.send(from("2001:db8::2", join())).await;
    assert_limited(&app.send(from("2001:db8::3", join())).await, "\"join\";q=2;w=3600");
    for n in 0..5 {
        let mut forwarded = join();
        let hops = format!("198.51.100.7, 203.0.113.{n}");
        forwarded.headers_mut().insert("x-forwarded-for", hops.parse().unwrap());
        assert_ne!(app.send(from("127.0.0.1", forwarded)).await.status, 429);
    }
    for n in 0..5 {
        let mut forged = join();
        forged.headers_mut().insert("x-forwarded-for", format!("203.0.113.{n}").parse().unwrap());
        assert_eq!(app.send(from("192.0.2.9", forged)).await.status == 429, n > 1, "{n}");
    }
}

#[tokio::test]
async fn a_key_has_a_quota_of_its_own() {
    let app = limited(keys()).await;
    let create = |address: &'static str, key: &'static str| {
        app.send(from(address, request("POST", "/streams", Some(key), Some(json!({"name": "gold"})))))
    };
    for n in 0..6 {
        let answer = create(["192.0.2.1", "192.0.2.2"][n % 2], ADMIN).await;
        assert!(answer.status.is_success());
        assert_eq!(answer.header("ratelimit-policy"), "\"create-key\";q=6;w=3600");
    }
    assert_limited(&create("192.0.2.3", ADMIN).await, "\"create-key\";q=6;w=3600");
}

#[tokio::test]
async fn failures_are_limited_and_valid_callers_of_the_same_address_are_not() {
    let app = limited(keys()).await;
    let ask = |key: &'static str| app.send(from("192.0.2.1", request("GET", "/metrics", Some(key), None)));
    for _ in 0..2 {
        let refused = ask("guess").await;
        refused.assert_code(401, "unauthorized");
        assert_eq!(refused.header("ratelimit"), "");
    }
    assert_limited(&ask("guess").await, "\"failures\";q=2;w=3600");
    assert_eq!(ask(ADMIN).await.status, 200);
    app.send(from("192.0.2.2", request("GET", "/metrics", None, None))).await.assert_code(401, "unauthorized");
}

#[tokio::test]
async fn forged_webhooks_are_limited_and_livekits_never() {
    let app = limited(ServerConfig::default()).await;
    app.create("gold").await;
    let events = app.livekit.join(&"gold".into(), &crate::app::person("ann"), app.store.now()).unwrap().events;
    let send = |secret: &str| {
        let (authorization, body) = signed_webhook(&events[0], KEY, secret, app.store.now());
        app.send(from("192.0.2.1", webhook_request(&authorization, body)))
    };
    for n in 0..5 {
        let answer = send("another-secret-that-is-long-enough").await;
        answer.assert_code(if n < 2 { 401 } else { 429 }, if n < 2 { "bad_signature" } else { "rate_limited" });
    }
    for _ in 0..20 {
        assert_eq!(send(SECRET).await.status, 200);
    }
    assert!(app.orchestrator.get_stream(&stream("gold")).await.is_ok());
}

#[tokio::test]
async fn without_a_decision_about_keys_only_loopback_names_are_answered() {
    let config = ServerConfig { loopback_only: true, ..ServerConfig::default() };
    let extra = axum::Router::new().route("/rtc/validate", axum::routing::get(|| async { "ok" }));
    let app = TestApp::with(Setup { config, extra: Some(extra), ..Setup::default() }).await;
    let ask = |host: &'static str, method: &'static str, path: &'static str| {
        let request = Request::builder().method(method).uri(path).header("host", host).body(Body::empty()).unwrap();
        app.send(request)
    };
    for path in ["/streams", "/", "/metrics", "/sse/streams", "/healthz", "/openapi.json", "/nowhere", "/rtc/validate"]
    {
        let refused = ask("evil.example:3000", "GET", path).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("foreign_host")), "{path}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("set API_KEYS"));
        if path != "/sse/streams" {
            for host in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "live.localhost"] {
                assert_ne!(ask(host, "GET", path).await.status, 403, "{host} {path}");
            }
        }
    }
    // LiveKit's own calls prove themselves by their signature.
    ask("host.docker.internal:3000", "POST", "/webhook").await.assert_code(401, "bad_signature");
}

#[tokio::test]
async fn foreign_pages_change_nothing() {
    let app = TestApp::new().await;
    app.create("gold").await;
    let ask = |method: &'static str, path: &'static str, origin: &'static str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).header("host", "stream.example:3000");
        let request = request.header("origin", origin).header("content-type", "application/json");
        app.send(request.body(Body::from(body)).unwrap())
    };
    let evil = "https://evil.example";
    for (method, path, body) in [
        ("POST", "/streams", r#"{"name":"silver"}"#),
        ("DELETE", "/streams/gold", ""),
        ("PATCH", "/streams/gold", r#"{"title":"evil"}"#),
        ("POST", "/streams/gold/join", r#"{"userId":"u"}"#),
        ("POST", "/streams/gold/leave", r#"{"userId":"u"}"#),
        ("PUT", "/nowhere", ""),
    ] {
        ask(method, path, evil, body).await.assert_code(403, "foreign_origin");
        ask(method, path, "null", body).await.assert_code(403, "foreign_origin");
    }
    assert_eq!(app.get("/streams/silver").await.status, 404);
    assert_eq!(app.state_of("gold").await["status"], "active");
    assert_eq!(ask("GET", "/streams", evil, "").await.status, 200);
    assert_eq!(ask("GET", "/streams", evil, "").await.header("access-control-allow-origin"), "");
    let own = "http://stream.example:3000";
    assert_eq!(ask("POST", "/streams", own, r#"{"name":"silver"}"#).await.status, 201);
    let preflight = ask("OPTIONS", "/streams", evil, "").await;
    assert_eq!(preflight.header("access-control-allow-methods"), "");
}
