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

pub(crate) struct Served {
    pub(crate) app: TestApp,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) async fn start(config: ServerConfig) -> Served {
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

/// Everything that comes, until the connection ends.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("it does not end").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The data of a chunked body, as far as it is there.
fn dechunked(mut text: &str) -> String {
    let mut data = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk begins with {size:?}"));
        let Some((chunk, rest)) = rest.split_at_checked(length) else { break };
        data.push_str(chunk);
        text = rest.strip_prefix("\r\n").unwrap();
    }
    data
}

#[tokio::test]
async fn both_paths_send_the_same_bytes() {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let mut handed_over = connect(&served, "/sse/gold/updates").await;
    // HTTP/1.0 knows no chunks: its body is the connection, to its end.
    let mut by_task = TcpStream::connect(served.address).await.unwrap();
    by_task.write_all(b"GET /sse/gold/updates HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut texts = [String::new(), String::new()];
    for (who, state) in [("", "[]"), ("ann", "[\"ann\"]"), ("bob", "[\"ann\",\"bob\"]")] {
        if !who.is_empty() {
            served.app.enter("gold", who).await;
        }
        for (text, stream) in texts.iter_mut().zip([&mut handed_over, &mut by_task]) {
            text.push_str(&read_until(stream, &format!("\"participants\":{state}")).await);
        }
    }
    served.shutdown.cancel();
    for (text, stream) in texts.iter_mut().zip([&mut handed_over, &mut by_task]) {
        text.push_str(&read_to_end(stream).await);
    }
    let [(first_head, first), (second_head, second)] =
        texts.each_ref().map(|text| text.split_once("\r\n\r\n").unwrap());
    assert!(first.ends_with("\r\n0\r\n\r\n") && first_head.contains("transfer-encoding: chunked"), "{first_head}");
    assert!(!second_head.contains("transfer-encoding"), "{second_head}");
    // Each has its own time to come back after, and is the same otherwise.
    let without_retry = |text: &str| {
        let (before, rest) = text.split_once("retry: ").unwrap();
        format!("{before}{}", rest.split_once('\n').unwrap().1)
    };
    assert_eq!(without_retry(&dechunked(first)), without_retry(second));
    let fields = |head: &str| {
        let own = ["x-request-id", "date", "connection", "transfer-encoding"];
        let fields = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        let mut fields: Vec<_> = fields.filter(|(name, _)| !own.contains(name)).collect();
        fields.sort_unstable();
        format!("{fields:?}")
    };
    assert_eq!(fields(first_head), fields(second_head));
    timeout(Duration::from_secs(5), served.task).await.expect("it did not end").unwrap();
}

#[tokio::test]
async fn a_connection_that_was_used_before_is_handed_over_after_what_came_before() {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    for pipelined in [false, true] {
        let mut stream = connect(&served, "/healthz").await;
        let mut text = String::new();
        if !pipelined {
            text = read_until(&mut stream, "{\"status\":\"ok\"}").await;
        }
        stream.write_all(b"GET /sse/gold/updates HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        text.push_str(&read_until(&mut stream, "\"participants\":[]").await);
        let (first, second) = text.split_once("{\"status\":\"ok\"}").unwrap();
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && second.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(second.contains("\r\nconnection: close\r\n"), "it was not handed over: {second}");
    }
}

/// Hyper may still hold the end of a response when the next request is served.
#[tokio::test]
async fn an_event_stream_pipelined_behind_a_large_response_leaves_that_whole() {
    let served = start(ServerConfig::default()).await;
    for n in 0..300 {
        served.app.create(&format!("stream-{n:03}-{}", "x".repeat(100))).await;
    }
    let whole = served.app.get("/streams").await.body.len();
    for pause in [0, 1, 20, 100] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(served.address).await.unwrap();
        let lists = "GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
        let id = format!("stream-000-{}", "x".repeat(100));
        let ask = format!("{lists}GET /sse/{id}/updates HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let text = read_until(&mut stream, "\"participants\":[]").await;
        let mut rest = text.as_str();
        for _ in 0..20 {
            let (head, body) = rest.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("application/json"), "{head}");
            rest = &body[whole..];
        }
        assert!(rest.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{rest}");
        assert!(rest.contains(": connected\n\n"));
    }
}

#[tokio::test]
async fn what_is_no_plain_get_keeps_its_connection() {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"HEAD /sse/gold/updates HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/event-stream"), "{head}");
    stream.write_all(b"GET /sse/nowhere/updates HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "stream_not_found").await.starts_with("HTTP/1.1 404"));
    // A body, though nobody wants it: what follows it must not be taken for more of it.
    let with_body = "GET /sse/gold/updates HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(with_body.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "\"participants\":[]").await;
    assert!(!text.contains("connection: close"), "{text}");
    served.app.enter("gold", "ann").await;
    read_until(&mut stream, "\"participants\":[\"ann\"]").await;
    assert_eq!(served.app.hub.stats().subscribers, 1);
    drop(stream);
    for _ in 0..500 {
        if served.app.hub.stats().subscribers == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a reader that went is still counted");
}

#[tokio::test]
async fn an_event_stream_is_never_encoded() {
    let served = start(ServerConfig::default()).await;
    served.app.create("gold").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let ask = "GET /sse/gold/updates HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "\"participants\":[]").await;
    assert!(!text.contains("content-encoding"), "{text}");
}
