//! Stopping and restarting: to clients and webhook receivers it looks like a network cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use livekit_protocol::DisconnectReason;
use livekit_protocol::leave_request::Action;
use media_server::{ApiKey, Config, MediaServer, StartError};
use serde_json::json;
use support::client::{Client, join_request, refused};
use support::peer::Peer;
use support::server::{KEY, SECRET, Server, guest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_refuses_new_signalling_only() {
    let server = Server::embedded_with(|_| {}).await;
    let (mut ann, _) = Client::join(&server, &guest("x", "ann")).await;
    server.embedded.as_ref().unwrap().begin_drain();
    let error = Client::v1(&server, &guest("x", "bob"), join_request()).await.err().unwrap();
    assert_eq!(refused(&error), 503);
    let url = format!("http://{}/rtc/validate?access_token={}", server.address, guest("x", "bob"));
    let response = reqwest::get(url).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    use livekit_protocol::signal_request::Message as Ask;
    use livekit_protocol::signal_response::Message;
    ann.send(Ask::Ping(1)).await;
    ann.until("pong", |m| matches!(m, Message::Pong(_)).then_some(())).await;
    assert!(server.ok("x", "ListRooms", json!({})).await["rooms"].as_array().unwrap().len() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_tells_clients_to_reconnect_and_reports_nothing() {
    let mut server = Server::embedded_with(|_| {}).await;
    let mut ann = Peer::speak(&server, &guest("x", "ann")).await;
    server.hooks.wait("x", "track_published").await;
    let before = server.hooks.names("x");
    let started = Instant::now();
    let stopping = tokio::spawn(server.embedded.take().unwrap().shutdown(Duration::from_secs(5)));
    let leave = ann.client.leave().await;
    assert_eq!((leave.action(), leave.reason()), (Action::Reconnect, DisconnectReason::ServerShutdown));
    assert!(ann.client.next().await.is_none());
    assert_eq!(ann.client.closed, Some(1000));
    stopping.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.hooks.names("x"), before, "nobody left, nothing finished");
    let url = format!("http://{}/rtc/validate?access_token={}", server.address, guest("x", "ann"));
    assert_eq!(reqwest::get(url).await.unwrap().status(), 503, "what is left of it says so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_media_port_is_free_after_a_shutdown_and_named_when_taken() {
    let config = || Config::new(ApiKey { key: KEY.into(), secret: SECRET.into() });
    let first = MediaServer::start(config()).unwrap();
    let address = first.media_addresses()[0];
    let mut same = config();
    same.udp_bind = address;
    let error = MediaServer::start(same.clone()).err().unwrap();
    assert!(matches!(error, StartError::Bind(_)) && error.to_string().contains(&address.to_string()), "{error}");
    first.shutdown(Duration::from_secs(2)).await;
    let second = MediaServer::start(same).unwrap();
    assert_eq!(second.media_addresses(), [address]);
    assert!(!second.is_stopped());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_an_earlier_server_rejoins() {
    let mut server = Server::embedded_with(|_| {}).await;
    let (ann, join) = Client::join(&server, &guest("x", "ann")).await;
    ann.cut();
    server.embedded.take().unwrap().shutdown(Duration::from_secs(2)).await;
    let again = Server::embedded_with(|_| {}).await;
    let mut request = join_request();
    request.reconnect = true;
    request.participant_sid = join.participant.unwrap().sid;
    let mut client = Client::v1(&again, &guest("x", "ann"), request).await.unwrap();
    let leave = client.leave().await;
    assert_eq!((leave.action(), leave.reason()), (Action::Reconnect, DisconnectReason::StateMismatch));
    let (_ann, _) = Client::join(&again, &guest("x", "ann")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_server_ends() {
    let mut server = Server::embedded_with(|_| {}).await;
    let (mut ann, _) = Client::join(&server, &guest("x", "ann")).await;
    drop(server.embedded.take());
    while ann.next().await.is_some() {}
    assert_ne!(ann.closed, Some(1000), "no goodbye: the client resumes");
}
