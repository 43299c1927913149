//! Below the level of requests: bytes on a socket.

use std::time::Duration;

use server::ServerConfig;
use testkit::attacks::Attack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::serving::{Served, start};

const CLIENTS: usize = 50;
/// Longest wait for an end that the server owes.
const PATIENCE: Duration = Duration::from_secs(10);

fn impatient() -> ServerConfig {
    ServerConfig { read_timeout: Duration::from_millis(500), ..ServerConfig::default() }
}

/// Sends bytes and reads until the connection is closed or silent for a moment.
async fn exchange(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    // The server may have closed already: what it said is still to be read.
    drop(stream.write_all(bytes).await);
    read_rest(&mut stream, Duration::from_millis(150)).await
}

async fn read_rest(stream: &mut TcpStream, silence: Duration) -> String {
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(Ok(read)) = timeout(silence, stream.read(&mut buffer)).await {
        if read == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Drips `drop` until the server ends the connection; gives what it said.
async fn drip(served: &Served, head: &str, drop: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut text = Vec::new();
    let dripping = async {
        while writer.write_all(drop).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let reading = async { while let Ok(1..) = reader.read_buf(&mut text).await {} };
    let ended = async {
        tokio::select! { () = dripping => {}, () = reading => {} }
    };
    timeout(PATIENCE, ended).await.expect("a slow connection is kept for ever");
    String::from_utf8_lossy(&text).into_owned()
}

async fn assert_well(served: &Served) {
    let answer = exchange(served, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

pub(super) async fn slow_heads() -> Attack {
    let served = start(impatient()).await;
    let clients = (0..CLIENTS).map(|_| drip(&served, "GET /streams HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"));
    let (_, answers) = tokio::join!(assert_well(&served), futures_util::future::join_all(clients));
    assert!(answers.iter().all(|answer| !answer.contains("200 OK")));
    served.shutdown.cancel();
    Attack {
        what: "Slow requests: heads that arrive line by line and never end",
        tried: CLIENTS,
        outcome: "cut after the time a head may take; others are served meanwhile",
    }
}

pub(super) async fn slow_bodies() -> Attack {
    let served = start(impatient()).await;
    let heads = [
        "POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n",
        "POST /streams HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Length: 60000\r\n\r\n",
    ];
    let clients = (0..CLIENTS).map(|n| drip(&served, heads[n % heads.len()], b" "));
    let (_, answers) = tokio::join!(assert_well(&served), futures_util::future::join_all(clients));
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 408")), "{answers:?}");
    served.shutdown.cancel();
    Attack {
        what: "Slow requests: bodies that arrive byte by byte",
        tried: CLIENTS,
        outcome: "408 after the time a body may take, and the connection ends",
    }
}

pub(super) async fn huge_heads() -> Attack {
    let served = start(ServerConfig::default()).await;
    let line = |name: String, value: String| format!("{name}: {value}\r\n");
    let many = |count: usize| (0..count).map(|n| line(format!("x-{n}"), "v".into())).collect::<String>();
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let requests = [
        get("/streams", &line("x".into(), "v".repeat(200_000))),
        get("/streams", &line("v".repeat(200_000), "x".into())),
        get("/streams", &many(101)),
        get("/streams", &many(20_000)),
        get(&format!("/{}", "a".repeat(200_000)), ""),
        get(&format!("/streams?{}", "a=b&".repeat(50_000)), ""),
        format!("{} /streams HTTP/1.1\r\n\r\n", "G".repeat(200_000)),
    ];
    for request in &requests {
        let answer = exchange(&served, request.as_bytes()).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{} … {answer}", &request[..40]);
    }
    assert_well(&served).await;
    served.shutdown.cancel();
    Attack {
        what: "Huge heads: long lines, names, targets and methods, many headers",
        tried: requests.len(),
        outcome: "4xx or an ended connection; at most 128 KiB and 100 headers are read",
    }
}

/// Hides a request behind another, in the ways in which two servers may disagree about where the first one ends.
pub(super) async fn smuggling() -> Attack {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let hidden = "DELETE /streams/gold HTTP/1.1\r\nHost: localhost\r\nX: x\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!("POST /streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
    };
    let chunked = |headers: &str, body: &str| post(&format!("{headers}Transfer-Encoding: chunked\r\n"), body);
    let length = hidden.len();
    let requests = [
        // Two lengths that differ: a proxy may believe the other one.
        post(
            &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", length + 5),
            &format!("0\r\n\r\n{hidden}"),
        ),
        post(
            &format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", length + 5),
            &format!("0\r\n\r\n{hidden}"),
        ),
        post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), hidden),
        post(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), hidden),
        post(&format!("Content-Length: 0, {length}\r\n"), hidden),
        // Lengths that are none.
        post("Content-Length: +0\r\n", hidden),
        post("Content-Length: -1\r\n", hidden),
        post("Content-Length: 0x0\r\n", hidden),
        post("Content-Length: 0 0\r\n", hidden),
        post("Content-Length: \r\n", hidden),
        post("Content-Length: 18446744073709551616\r\n", hidden),
        post("Content-Length: 99999999999999999999999999\r\n", hidden),
        // Encodings that a server may not know, or may think it does not.
        post("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: chunked, identity\r\n", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: identity, chunked\r\nContent-Length: 0\r\n", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding : chunked\r\nContent-Length: 0\r\n", hidden),
        post("Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n", hidden),
        post("Transfer-Encoding: \"chunked\"\r\n", &format!("0\r\n\r\n{hidden}")),
        post("X: x\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", hidden),
        post("X: x\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n", hidden),
        post("X: x\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n", hidden),
        post("Content-Length: 0\r\nX: x\0\r\n", hidden),
        post("\r\nContent-Length: 0\r\n", ""),
        post(" Content-Length: 0\r\n", hidden),
        post("Content\tLength: 0\r\nContent-Length: 3\r\n", hidden),
        // Chunks that overflow, or do not end where they say.
        chunked("", &format!("FFFFFFFFFFFFFFFFF\r\n{hidden}")),
        chunked("", &format!("FFFFFFFFFFFFFFFF\r\n{hidden}")),
        chunked("", &format!("-1\r\n{hidden}")),
        chunked("", &format!("0x0\r\n\r\n{hidden}")),
        chunked("", &format!("1\r\nab\r\n0\r\n\r\n{hidden}")),
        chunked("", &format!("1\r\na0\r\n\r\n{hidden}")),
        chunked("", &format!("0\n\n{hidden}")),
        chunked("", &format!("0;{}\r\n\r\n{hidden}", "x=y;".repeat(100_000))),
        chunked("", &format!("0\r\nContent-Length: 9\r\nbroken trailer\r\n\r\n{hidden}")),
        // Versions and targets.
        format!("POST /streams HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("POST /streams HTTP/9.9\r\nHost: localhost\r\n\r\n{hidden}"),
        format!("GET /streams\r\n{hidden}"),
        format!("POST /streams HTTP/1.1 \r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        // A body where none is expected is a body, not the next request.
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("OPTIONS /streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"),
    ];
    for (n, request) in requests.iter().enumerate() {
        let answer = exchange(&served, request.as_bytes()).await;
        assert_eq!(served.app.state_of("gold").await["status"], "active", "{n}: {request:?}\n{answer}");
    }
    assert_well(&served).await;
    served.shutdown.cancel();
    Attack {
        what: "Request smuggling: `Content-Length` against `Transfer-Encoding`, doubled and broken lengths, folded and bare line ends, chunks that overflow",
        tried: requests.len(),
        outcome: "refused, or the hidden request is body; it is never carried out",
    }
}

pub(super) async fn doubled_headers() -> Attack {
    let served = start(crate::app::keys()).await;
    let admin = crate::app::ADMIN;
    let requests = [
        "Host: a\r\nHost: b\r\n".to_owned(),
        format!("Host: localhost\r\nAuthorization: Bearer {admin}\r\nAuthorization: Bearer x\r\n"),
        format!("Host: localhost\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {admin}\r\n"),
        format!(
            "Host: localhost\r\nAuthorization: Bearer {admin}\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\n"
        ),
        format!("Host: localhost\r\nAuthorization: Bearer {admin}\r\nOrigin: null\r\nOrigin: https://a.example\r\n"),
    ];
    for headers in &requests {
        let request = format!("POST /streams HTTP/1.1\r\n{headers}Content-Length: 15\r\n\r\n{{\"name\":\"gold\"}}");
        let answer = exchange(&served, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?} {answer}");
    }
    served.shutdown.cancel();
    Attack {
        what: "Headers sent twice that must be there once: `Host`, `Authorization`, `Content-Type`, `Origin`",
        tried: requests.len(),
        outcome: "400: two servers could each believe another one",
    }
}

pub(super) async fn odd_methods() -> Attack {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let requests = [
        "POST /streams/gold HTTP/1.1\r\nX-HTTP-Method-Override: DELETE",
        "POST /streams/gold HTTP/1.1\r\nX-HTTP-Method: DELETE",
        "POST /streams/gold HTTP/1.1\r\nX-Method-Override: DELETE",
        "POST /streams/gold?_method=DELETE HTTP/1.1",
        "GET /streams/gold?_method=DELETE HTTP/1.1\r\nX-HTTP-Method-Override: DELETE",
        "delete /streams/gold HTTP/1.1",
        "DELETE\t/streams/gold HTTP/1.1",
        "TRACE /streams/gold HTTP/1.1",
        "TRACK /streams/gold HTTP/1.1",
        "CONNECT localhost:1 HTTP/1.1",
        "PROPFIND /streams HTTP/1.1",
        "PRI * HTTP/2.0",
        "OPTIONS * HTTP/1.1",
        "BREW /streams HTTP/1.1",
    ];
    for request in &requests {
        let answer =
            exchange(&served, format!("{request}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
        assert!(!answer.contains(" 500 ") && !answer.contains("Bearer"), "{request} {answer}");
        assert_eq!(served.app.state_of("gold").await["status"], "active", "{request}");
    }
    assert_well(&served).await;
    served.shutdown.cancel();
    Attack {
        what: "Methods that override, echo, tunnel or are none",
        tried: requests.len(),
        outcome: "the method of the request line counts; 400, 404 or 405",
    }
}
