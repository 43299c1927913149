//! Behind Debian's nginx, with the configuration that is shipped: only names and ports are other ones.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Livestream, Nginx, SseClient, free_tcp_port, free_udp_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{assert_versions_rise, instance};

const SHIPPED: &str = include_str!("../../../../deploy/nginx/livestream.conf");
/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shipped configuration for other ports: both instances of `upstream livestream` are at `instance`.
fn shipped(port: u16, instance: u16, signalling: u16) -> String {
    let mut text = SHIPPED.to_owned();
    let mut put = |from: &str, to: String| {
        assert!(text.contains(from), "the shipped configuration has no {from:?} any more");
        text = text.replacen(from, &to, 1);
    };
    put("listen 80;", format!("listen 127.0.0.1:{port};"));
    put("server 127.0.0.1:3000;", format!("server 127.0.0.1:{instance};"));
    put("server 127.0.0.1:3001;", format!("server 127.0.0.1:{instance};"));
    put("server 127.0.0.1:3000;", format!("server 127.0.0.1:{signalling};"));
    text
}

async fn instance_with_media() -> Livestream {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    one.with("SSE_HEARTBEAT", 1).started().await
}

async fn in_front_of(one: &Livestream) -> Option<Nginx> {
    Nginx::start(|port| shipped(port, one.port(), one.port())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one_and_heartbeats_between_them() {
    let one = instance_with_media().await;
    let Some(nginx) = in_front_of(&one).await else { return };
    let client = reqwest::Client::new();
    let created = client.post(nginx.url("/streams")).json(&json!({"name": "gold"})).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let mut subscriber = SseClient::open(&nginx.url("/sse/gold/updates")).await;
    // Each is waited for before the next is made: what is held back anywhere would never come.
    for number in 0..30 {
        let title = format!("title {number}");
        let change = client.patch(nginx.url("/streams/gold")).json(&json!({"title": title}));
        assert_eq!(change.send().await.unwrap().status(), 200);
        subscriber.wait_for(&title, |state| state["title"] == title.as_str()).await;
    }
    assert_versions_rise(&subscriber);

    let heartbeats = |subscriber: &SseClient| subscriber.events().iter().filter(|event| event.comments == [""]).count();
    let (before, begun) = (heartbeats(&subscriber), Instant::now());
    while heartbeats(&subscriber) == before {
        assert!(begun.elapsed() < PATIENCE, "no heartbeat passes: {}", nginx.log_tail());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!subscriber.has_ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_signalling_are_on_the_same_name() {
    let one = instance_with_media().await;
    let Some(nginx) = in_front_of(&one).await else { return };
    let client = reqwest::Client::new();
    for page in ["/", "/room.html?streamId=gold", "/embed/gold"] {
        let (through, direct) = (client.get(nginx.url(page)).send(), client.get(one.url(page)).send());
        let (through, direct) = (through.await.unwrap(), direct.await.unwrap());
        assert_eq!(
            (through.status(), through.headers().get("content-type")),
            (direct.status(), direct.headers().get("content-type"))
        );
        assert_eq!(through.text().await.unwrap(), direct.text().await.unwrap(), "{page}");
    }

    client.post(nginx.url("/streams")).json(&json!({"name": "gold"})).send().await.unwrap();
    // Metadata travels in the token, and the token in the URL.
    let join = json!({"userId": "ann", "metadata": "m".repeat(4096)});
    let joined = client.post(nginx.url("/streams/gold/join")).json(&join).send().await.unwrap();
    let joined: serde_json::Value = joined.json().await.unwrap();
    assert_eq!(joined["url"], format!("ws://127.0.0.1:{}", nginx.port()), "the name that the client called");
    let url = |bytes: usize| {
        let url = format!(
            "{}/rtc?access_token={}&padding=",
            joined["url"].as_str().unwrap(),
            joined["token"].as_str().unwrap()
        );
        format!("{url}{}", "x".repeat(bytes - url.len()))
    };
    let (mut socket, _) = connect_async(url(30 * 1024)).await.expect("a join URL of 30 KiB passes");
    let first = timeout(PATIENCE, futures_util::StreamExt::next(&mut socket)).await.expect("an answer in time");
    assert!(matches!(first, Some(Ok(Message::Binary(join))) if join.len() > 100), "LiveKit's JoinResponse comes first");
    assert!(connect_async(url(40 * 1024)).await.is_err(), "40 KiB are more than the recipe allows");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_told_who_called_and_not_what_the_caller_claims() {
    let instance = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = instance.local_addr().unwrap().port();
    let Some(nginx) = Nginx::start(|listen| shipped(listen, port, port)).await else { return };
    for path in ["/streams", "/sse/gold/updates", "/rtc?access_token=x"] {
        // Somebody who claims to be somebody else, behind another name.
        let claims = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example";
        let request = format!("GET {path} HTTP/1.1\r\nHost: live.example.org\r\n{claims}\r\n\r\n");
        let mut client = connect_from(7, nginx.port()).await;
        client.write_all(request.as_bytes()).await.unwrap();

        let (mut connection, _) = timeout(PATIENCE, instance.accept()).await.unwrap().unwrap();
        let mut head = vec![0; 8192];
        let length = timeout(PATIENCE, connection.read(&mut head)).await.unwrap().unwrap();
        let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
        assert!(head.starts_with(&format!("get {path} http/1.1\r\n")), "{head}");
        for line in [
            "host: live.example.org",
            "x-forwarded-for: 127.0.0.7",
            "x-forwarded-proto: http",
            "x-forwarded-host: live.example.org",
        ] {
            assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line}: {head}");
        }
        assert!(!head.contains("connection: close"), "connections to instances are kept: {head}");
        // Without an answer nginx would ask the other instance.
        connection.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_per_client_and_not_for_nginx_as_a_whole() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    let one = one.with("RATE_LIMIT", "on").with("LIMIT_CREATE", "2/600").started().await;
    let Some(nginx) = in_front_of(&one).await else { return };
    let mut statuses = Vec::new();
    for (number, client) in [7, 7, 7, 8].into_iter().enumerate() {
        let body = json!({"name": format!("stream-{number}")}).to_string();
        let head = format!(
            "POST /streams HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.{number}\r\nConnection: close\r\n"
        );
        let request = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut connection = connect_from(client, nginx.port()).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, connection.read_to_string(&mut answer)).await.unwrap().unwrap();
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(statuses, ["201", "201", "429", "201"], "{}", one.log_tail());
}

/// A connection of a client that is at 127.0.0.`client`.
async fn connect_from(client: u8, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, client], 0).into()).unwrap();
    timeout(PATIENCE, socket.connect(([127, 0, 0, 1], port).into())).await.unwrap().unwrap()
}
