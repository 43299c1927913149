//! The way to the pages' files, and pages of others.

use axum::body::Body;
use axum::http::Request;
use server::ServerConfig;
use testkit::attacks::Attack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{Setup, TestApp, keys};
use crate::serving::start;

pub(super) async fn paths() -> Attack {
    let served = start(ServerConfig::default()).await;
    let targets = [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
        "/%2e%2e%2fCargo.toml",
        "/..%5cCargo.toml",
        "/..\\Cargo.toml",
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/index.html",
        "/./index.html",
        "//index.html",
        "//etc/passwd",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
        "/index.html%00",
        "/index.html%00.js",
        "/index.html/",
        "/index.html/..",
        "/%c0%ae%c0%ae/Cargo.toml",
        "/%252e%252e/Cargo.toml",
        "/%uff0e%uff0e/Cargo.toml",
        "/INDEX.HTML",
        "/index.html.br",
        "/index.html.gz",
        "/index.html::$DATA",
        "/.env",
        "/data/streams.redb",
        "/.git/config",
        "/assets/",
        "/assets",
        "/~",
        "/%",
        "/%zz",
        "/%00",
        "/*",
        "file:///etc/passwd",
        "/;/index.html",
        "/index.html;x",
        "/streams/..;/metrics",
        "/embed/../../Cargo.toml",
        "/proc/self/environ",
    ];
    for target in targets {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "404"].contains(&status), "{target}: {answer}");
        for secret in ["[package]", "root:", "Bearer "] {
            assert!(!answer.contains(secret), "{target}: {answer}");
        }
    }
    served.shutdown.cancel();
    Attack {
        what: "Path tricks on static files: `..`, encoded once and twice, backslashes, NUL, other forms of a name, files beside",
        tried: targets.len(),
        outcome: "404 or 400: files are looked up in memory by their whole name",
    }
}

pub(super) async fn foreign_pages() -> Attack {
    let mut tried = 0;
    let routes = [
        ("POST", "/streams", r#"{"name":"silver"}"#),
        ("DELETE", "/streams/gold", ""),
        ("PATCH", "/streams/gold", r#"{"title":"evil"}"#),
        ("POST", "/streams/gold/join", r#"{"userId":"u"}"#),
        ("POST", "/streams/gold/leave", r#"{"userId":"u"}"#),
        ("PATCH", "/streams/gold/participants/u", r#"{"role":"host"}"#),
        ("DELETE", "/streams/gold/participants/u", ""),
        ("POST", "/streams/gold/participants/u/mute", r#"{"source":"camera"}"#),
        ("PUT", "/streams/gold/participants/u/hand", ""),
    ];
    let named = ServerConfig { cors_origins: Some(vec!["https://friend.example".into()]), ..ServerConfig::default() };
    for config in [ServerConfig::default(), named] {
        let app = TestApp::with(Setup { config, ..Setup::default() }).await;
        app.create("gold").await;
        for (method, path, body) in routes {
            // What a form or a script without a preflight can send, and what it can't.
            for kind in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/json",
            ] {
                for origin in
                    ["https://evil.example", "null", "http://stream.example.evil", "https://friend.example.evil"]
                {
                    let request = Request::builder().method(method).uri(path).header("host", "stream.example");
                    let request = request.header("origin", origin).header("content-type", kind);
                    let answer = app.send(request.body(Body::from(body)).unwrap()).await;
                    answer.assert_code(403, "foreign_origin");
                    assert_eq!(answer.header("access-control-allow-credentials"), "");
                    assert_ne!(answer.header("access-control-allow-origin"), origin);
                    tried += 1;
                }
            }
            let preflight =
                Request::options(path).header("host", "stream.example").header("origin", "https://evil.example");
            let preflight = preflight.header("access-control-request-method", method).body(Body::empty()).unwrap();
            assert_eq!(app.send(preflight).await.header("access-control-allow-origin"), "", "{path}");
            tried += 1;
        }
        assert_eq!(app.get("/streams/silver").await.status, 404);
        assert_eq!(app.state_of("gold").await["status"], "active");
    }
    // With keys any page may ask, and none gets anywhere without the key: there are no cookies.
    let app = TestApp::with(Setup { config: keys(), ..Setup::default() }).await;
    for (method, path, body) in routes {
        let request = Request::builder().method(method).uri(path).header("host", "stream.example");
        let request = request.header("origin", "https://evil.example");
        let request = request.header("cookie", "key=the-admin-key").header("content-type", "application/json");
        let status = app.send(request.body(Body::from(body)).unwrap()).await.status;
        assert!([401, 404].contains(&status.as_u16()), "{method} {path} {status}");
        tried += 1;
    }
    Attack {
        what: "Pages of other sites that ask for changes (CSRF): forms, scripts, sandboxes, lookalike origins, preflights",
        tried,
        outcome: "403; with keys 401, because no cookie and nothing a browser sends by itself counts as one",
    }
}
