//! Clients that break the rules: refused or bounded, and the server goes on for everybody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use flate2::Compression;
use flate2::write::GzEncoder;
use livekit_protocol as proto;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message;
use prost::Message as _;
use serde_json::{Value, json};
use support::client::{Client, join_request, refused};
use support::peer::Peer;
use support::server::{Server, a_moment, guest, guest_with, now, token, token_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Whether somebody else can still use the server in full.
async fn unharmed(server: &Server) {
    let (mut client, _) = Client::join(server, &guest("unharmed", "witness")).await;
    client.send(Ask::Ping(1)).await;
    client.until("pong", |m| matches!(m, Message::Pong(_)).then_some(())).await;
    server.ok("unharmed", "DeleteRoom", json!({"room": "unharmed"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_open_nothing() {
    let server = Server::embedded_with(|_| {}).await;
    let video = json!({"roomJoin": true, "room": "x"});
    for bad in [
        token_signed(json!({"sub": "a", "video": video}), "forged with some other secret"),
        token(json!({"sub": "a", "exp": now() - 3600, "video": video})),
        token(json!({"sub": "a", "video": {"roomAdmin": true, "room": "x"}})),
    ] {
        assert_eq!(refused(&Client::v1(&server, &bad, join_request()).await.err().unwrap()), 401);
        assert_eq!(refused(&Client::v0(&server, &bad).await.err().unwrap()), 401);
    }
    assert!(server.ok("x", "ListRooms", json!({})).await["rooms"].as_array().unwrap().is_empty());
    // A token is for the room it names, whatever else is asked for.
    let (_ann, join) = Client::join(&server, &guest("mine", "ann")).await;
    assert_eq!(join.room.unwrap().name, "mine");
    let elsewhere = token(json!({"video": {"roomAdmin": true, "room": "other"}}));
    let (status, _) = server.call_with(&elsewhere, "ListParticipants", json!({"room": "mine"})).await;
    assert_eq!(status, 401);
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_without_announcement_or_grant_goes_nowhere() {
    let server = Server::embedded_with(|_| {}).await;
    let (mut bob, _) = Client::join(&server, &guest("x", "bob")).await;
    let mut mute =
        Peer::intrude(&server, &guest_with("x", "mute", json!({"canPublish": false, "canPublishData": true}))).await;
    let request = proto::AddTrackRequest {
        cid: "test-microphone".into(),
        source: proto::TrackSource::Microphone.into(),
        ..Default::default()
    };
    mute.client.send(Ask::AddTrack(request)).await;
    let answer =
        mute.client.until("a refusal", |m| if let Message::RequestResponse(r) = m { Some(r.clone()) } else { None });
    assert_eq!(answer.await.reason(), proto::request_response::Reason::NotAllowed);
    a_moment().await;
    a_moment().await;
    let list = server.ok("x", "ListParticipants", json!({"room": "x"})).await;
    for participant in list["participants"].as_array().unwrap() {
        assert_eq!((&participant["tracks"], &participant["is_publisher"]), (&json!([]), &json!(false)));
    }
    bob.send(Ask::Ping(1)).await;
    bob.until("pong", |m| matches!(m, Message::Pong(_)).then_some(())).await;
    assert!(!server.hooks.names("x").contains(&"track_published".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_frame_ends_its_connection_only() {
    let server = Server::embedded_with(|_| {}).await;
    let (mut client, _) = Client::join(&server, &guest("x", "ann")).await;
    // The connection may already be closed while the rest is being written.
    let _ = client.send_frame(Frame::binary(vec![0; 10 << 20])).await;
    let mut frames = 0;
    while client.next_frame().await.is_some() {
        frames += 1;
        assert!(frames < 100, "still open");
    }
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gzip_bomb_is_refused() {
    let server = Server::embedded_with(|_| {}).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).unwrap();
    let wrapped = proto::WrappedJoinRequest { compression: 1, join_request: encoder.finish().unwrap() };
    let encoded = URL_SAFE.encode(wrapped.encode_to_vec()).replace('=', "%3D");
    let query = format!("access_token={}&join_request={encoded}", guest("x", "ann"));
    let error = Client::open(&server, &format!("/rtc/v1?{query}")).await.err().unwrap();
    assert_eq!(refused(&error), 400);
    let validate = reqwest::get(format!("http://{}/rtc/v1/validate?{query}", server.address)).await.unwrap();
    assert_eq!(validate.status(), 400);
    assert!(validate.text().await.unwrap().contains("larger than"));
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_messages_is_cut() {
    let server = Server::embedded_with(|config| {
        config.limits.signal_burst = 50;
        config.limits.signal_messages_per_second = 10;
    })
    .await;
    let (mut client, _) = Client::join(&server, &guest("x", "ann")).await;
    let ping = proto::SignalRequest { message: Some(Ask::Ping(1)) }.encode_to_vec();
    for _ in 0..200 {
        if client.send_frame(Frame::binary(ping.clone())).await.is_err() {
            break;
        }
    }
    while client.next().await.is_some() {}
    assert_eq!(client.closed.unwrap_or(1008), 1008, "against the rules");
    let answered = client.seen.iter().filter(|m| matches!(m, Message::Pong(_))).count();
    assert!(answered < 60, "{answered}");
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_cut() {
    let server = Server::embedded_with(|config| config.limits.signal_queue = 32).await;
    let (mut deaf, _) = Client::join(&server, &guest("x", "deaf")).await;
    let (mut ann, _) = Client::join(&server, &guest("x", "ann")).await;
    let rounds = 200;
    for round in 0..rounds {
        let metadata = format!("{round}:{}", "x".repeat(200 << 10));
        server.ok("x", "UpdateRoomMetadata", json!({"room": "x", "metadata": metadata})).await;
        let seen = |m: &Message| match m {
            Message::RoomUpdate(u) if u.room.as_ref().unwrap().metadata == metadata => Some(()),
            _ => None,
        };
        ann.until("who reads gets every update", seen).await;
    }
    while deaf.next().await.is_some() {}
    assert!(deaf.seen.len() < rounds, "it was cut before the end: {}", deaf.seen.len());
    let list = server.ok("x", "ListParticipants", json!({"room": "x"})).await;
    assert_eq!(list["participants"].as_array().unwrap().len(), 2, "it may still resume");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_takes_no_more_than_it_may() {
    let server = Server::embedded_with(|config| {
        config.limits.participants = 2;
        config.limits.rooms = 2;
    })
    .await;
    let _first = Client::join(&server, &guest("a", "one")).await;
    let _second = Client::join(&server, &guest("a", "two")).await;
    let url = format!("http://{}/rtc/validate?access_token={}", server.address, guest("a", "three"));
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    server.ok("b", "CreateRoom", json!({"name": "b"})).await;
    let (status, error) = server.call("c", "CreateRoom", json!({"name": "c"})).await;
    assert_eq!((status, &error["code"]), (429, &json!("resource_exhausted")));
    let long = "x".repeat(300);
    let (status, error) = server.call("c", "CreateRoom", json!({"name": long})).await;
    assert_eq!((status, &error["code"]), (400, &json!("invalid_argument")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_say_nothing_keep_nobody_out() {
    let server = Server::embedded_with(|config| {
        config.limits.half_open = 1_000;
        config.timeouts.head = Duration::from_secs(4);
    })
    .await;
    let mut silent = Vec::new();
    for n in 0..1_100 {
        let mut socket = TcpStream::connect(&server.address).await.unwrap();
        if n % 2 == 0 {
            socket.write_all(b"GET /rtc HTTP/1.1\r\nHost: ").await.unwrap();
        }
        silent.push(socket);
    }
    unharmed(&server).await;
    let ended = |socket: TcpStream| async move {
        let mut rest = Vec::new();
        // Whether in order or not.
        tokio::time::timeout(
            Duration::from_secs(20),
            async move { BufReader::new(socket).read_to_end(&mut rest).await },
        )
        .await
        .is_ok()
    };
    let begun = Instant::now();
    let youngest = silent.pop().unwrap();
    assert!(ended(silent.swap_remove(0)).await, "the oldest had to give way");
    assert!(begun.elapsed() < Duration::from_secs(2), "at once, not after the time a head may take");
    assert!(ended(youngest).await, "the others are closed when a head takes too long");
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_are_limited() {
    let server =
        Server::embedded_with(|config| (config.limits.joins_per_second, config.limits.join_burst) = (1, 3)).await;
    let mut in_room = Vec::new();
    for n in 0..3 {
        in_room.push(Client::join(&server, &guest("x", &format!("guest-{n}"))).await);
    }
    let error = Client::v1(&server, &guest("x", "late"), join_request()).await.err().unwrap();
    assert_eq!(refused(&error), 503);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(Client::v1(&server, &guest("x", "late"), join_request()).await.is_ok(), "a second later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_sdp_ends_that_session_only() {
    let server = Server::embedded_with(|_| {}).await;
    for sdp in ["", "nonsense", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", &"a=\r\n".repeat(10_000)] {
        let (mut client, _) = Client::join(&server, &guest("x", "ann")).await;
        let offer = proto::SessionDescription { r#type: "offer".into(), sdp: sdp.into(), id: 1, ..Default::default() };
        client.send(Ask::Offer(offer)).await;
        assert_eq!(client.leave().await.action(), Action::Reconnect);
    }
    let (mut client, _) = Client::join(&server, &guest("x", "ann")).await;
    let trickle = |candidate: &str| {
        let candidate_init = json!({"candidate": candidate, "sdpMid": "0"}).to_string();
        Ask::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() })
    };
    for candidate in [
        "",
        "nonsense",
        "candidate:1 1 udp 1 name.local 9 typ host",
        "candidate:1 1 tcp 1 1.2.3.4 9 typ host tcptype active",
    ] {
        client.send(trickle(candidate)).await;
    }
    client.send(Ask::Ping(1)).await;
    client.until("pong", |m| matches!(m, Message::Pong(_)).then_some(())).await;
    unharmed(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_datagrams_are_dropped() {
    let server = Server::embedded_with(|_| {}).await;
    let media = server.embedded.as_ref().unwrap().media_addresses()[0];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..2_000u32 {
        let bytes: Vec<u8> = (0..n % 1500).map(|i| (i.wrapping_mul(n).wrapping_add(n >> 3) & 0xff) as u8).collect();
        socket.send_to(&bytes, media).unwrap();
    }
    let ann = Peer::speak(&server, &guest("x", "ann")).await;
    assert!(ann.track.is_some());
    server.hooks.wait("x", "track_published").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_bodies_and_metadata_are_refused() {
    let server = Server::embedded_with(|_| {}).await;
    let metadata = "x".repeat(600 << 10);
    let (status, _) = server.call("x", "CreateRoom", json!({"name": "x", "metadata": metadata})).await;
    assert_eq!(status, 400);
    let body = "x".repeat(3 << 20);
    let (status, error) = server.call("x", "CreateRoom", json!({"name": "x", "metadata": body})).await;
    assert_eq!((status, &error["code"]), (400, &json!("malformed")));
    assert_eq!(server.ok("x", "ListRooms", json!({})).await["rooms"], Value::Array(Vec::new()));
}
