//! Over real sockets: connections, slow readers, and how it all ends.

use std::net::SocketAddr;
use std::time::Duration;

use server::{ServerConfig, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::{Setup, TestApp};

struct Served {
    app: TestApp,
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(config: ServerConfig) -> Served {
    let app = TestApp::with(Setup { config, ..Setup::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let orchestrator = app.orchestrator.clone();
    let close = async move { orchestrator.shutdown(Duration::from_secs(1)).await };
    let task = tokio::spawn(serve(listener, app.router.clone(), app.state.clone(), shutdown.clone(), close));
    Served { app, address, shutdown, task }
}

async fn connect(served: &Served, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads until `wanted` has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.expect("nothing came").unwrap();
        assert!(read > 0, "the connection ended after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn requests_and_events_over_tcp() {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let mut keep_alive = connect(&served, "/healthz").await;
    assert!(read_until(&mut keep_alive, "{\"status\":\"ok\"}").await.starts_with("HTTP/1.1 200 OK"));
    keep_alive.write_all(b"GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut keep_alive, "\"gold\"").await;
    let mut events = connect(&served, "/sse/gold/updates").await;
    read_until(&mut events, "\"participants\":[]").await;
    served.app.enter("gold", "ann").await;
    read_until(&mut events, "\"participants\":[\"ann\"]").await;
    served.shutdown.cancel();
}

#[tokio::test]
async fn shutdown_ends_event_streams_cleanly_and_closes_the_listener_last() {
    let config = ServerConfig { shutdown_timeout: Duration::from_secs(2), ..ServerConfig::default() };
    let served = start(config).await;
    served.app.create("gold").await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut events = connect(&served, "/sse/gold/updates").await;
        read_until(&mut events, "\"gold\"").await;
        readers.push(events);
    }
    let begun = Instant::now();
    served.shutdown.cancel();
    // Still answering while the event streams end.
    let mut refused = connect(&served, "/sse/gold/updates").await;
    let answer = read_until(&mut refused, "draining").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    let mut ready = connect(&served, "/readyz").await;
    assert!(read_until(&mut ready, "draining").await.starts_with("HTTP/1.1 503"));
    for mut events in readers {
        // The last chunk: the reader knows that nothing was cut off.
        read_until(&mut events, "0\r\n\r\n").await;
    }
    timeout(Duration::from_secs(5), served.task).await.expect("it did not end").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(TcpStream::connect(served.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut() {
    let config = ServerConfig {
        write_timeout: Duration::from_millis(200),
        sse_heartbeat: Duration::from_secs(3600),
        ..ServerConfig::default()
    };
    let served = start(config).await;
    // States of about 50 KiB, so that the kernel's buffers fill soon.
    for n in 0..400 {
        served.app.create(&format!("stream-{n:03}-{}", "x".repeat(100))).await;
    }
    let mut lobbies = Vec::new();
    for _ in 0..3 {
        lobbies.push(connect(&served, "/streams").await);
    }
    // A reader that never reads, and asks for much on one connection.
    let mut greedy = TcpStream::connect(served.address).await.unwrap();
    let ask = "GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    greedy.write_all(ask.as_bytes()).await.unwrap();
    let cut = async {
        let mut buffer = vec![0; 64 * 1024];
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What the kernel holds comes first, then the end.
        let mut total = 0;
        loop {
            match greedy.read(&mut buffer).await {
                Ok(0) | Err(_) => return total,
                Ok(read) => total += read,
            }
        }
    };
    let total = timeout(Duration::from_secs(10), cut).await.expect("it was not cut");
    assert!(total < 400 * 50_000, "{total}");
    served.shutdown.cancel();
}
