//! The client against servers that are not LiveKit, or not well: what it makes of their answers, and how long it waits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use domain::{Identity, RoomName};
use livekit_protocol as proto;
use prost::Message;
use rooms::{ErrorKind, LiveKit, LiveKitHost, Rooms, RoomsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_millis(300);

fn client(address: &str) -> LiveKit {
    LiveKit::new(&LiveKitHost::parse(address).unwrap(), "key", "secret", DEADLINE).unwrap()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// A server that answers everything so.
async fn answering(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> String {
    let (listener, address) = listen().await;
    let router = Router::new().fallback(async move || answer.clone().into_response());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn failure(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> RoomsError {
    client(&answering(answer).await).list_rooms().await.unwrap_err()
}

/// The error and all its sources.
fn said(error: &RoomsError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let (listener, address) = listen().await;
    drop(listener);
    assert_eq!(client(&address).list_rooms().await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_name_that_is_unknown_is_unavailable() {
    let error = client("http://no-such-host.invalid:7880").list_rooms().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn silence_is_unavailable_after_the_deadline() {
    let (listener, address) = listen().await;
    let accepting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(connection) = listener.accept().await {
            kept.push(connection);
        }
    });
    // Without a deadline this would wait for ever.
    let asked = tokio::time::timeout(Duration::from_secs(10), client(&address).list_rooms()).await;
    assert_eq!(asked.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
    accepting.abort();
}

#[tokio::test]
async fn an_answer_that_never_ends_is_unavailable_after_the_deadline() {
    let (listener, address) = listen().await;
    let trickling = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        while socket.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let asked = tokio::time::timeout(Duration::from_secs(10), client(&address).list_rooms()).await;
    assert_eq!(asked.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
    trickling.abort();
}

#[tokio::test]
async fn each_kind_of_answer_is_told_apart() {
    let twirp = |status: StatusCode, body: &'static str| (status, [(header::CONTENT_TYPE, "application/json")], body);
    let kinds = [
        (failure((StatusCode::UNAUTHORIZED, "invalid API key: key")).await, ErrorKind::Unauthorized),
        (
            failure(twirp(StatusCode::UNAUTHORIZED, r#"{"code":"unauthenticated","msg":"no"}"#)).await,
            ErrorKind::Unauthorized,
        ),
        (
            failure(twirp(StatusCode::SERVICE_UNAVAILABLE, r#"{"code":"unavailable","msg":"no"}"#)).await,
            ErrorKind::Unavailable,
        ),
        (failure((StatusCode::BAD_GATEWAY, "<html>bad gateway</html>")).await, ErrorKind::Unavailable),
        (failure((StatusCode::TOO_MANY_REQUESTS, "slow down")).await, ErrorKind::Unavailable),
        (failure(twirp(StatusCode::BAD_REQUEST, r#"{"code":"invalid_argument","msg":"x"}"#)).await, ErrorKind::Refused),
        (failure((StatusCode::NOT_FOUND, "no such page")).await, ErrorKind::Refused),
        (failure(StatusCode::NO_CONTENT).await, ErrorKind::Refused),
        (failure((StatusCode::OK, "this is not protobuf")).await, ErrorKind::Refused),
    ];
    for (error, expected) in &kinds {
        assert_eq!(error.kind, *expected, "{}", said(error));
        assert_eq!(error.is_retryable(), *expected == ErrorKind::Unavailable);
    }
    assert!(said(&kinds[0].0).contains("invalid API key"), "{}", said(&kinds[0].0));
    assert!(said(&kinds[3].0).contains("502"), "{}", said(&kinds[3].0));
}

/// A wrong address must never look like "your room is gone".
#[tokio::test]
async fn only_livekits_own_not_found_is_an_answer() {
    let (room, ada) = (RoomName::from("gold"), Identity::parse("ada").unwrap());
    let other = client(&answering((StatusCode::NOT_FOUND, "no such page")).await);
    assert_eq!(other.list_participants(&room).await.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(other.delete_room(&room).await.unwrap_err().kind, ErrorKind::Refused);
    let livekit = client(&answering((StatusCode::NOT_FOUND, r#"{"code":"not_found","msg":"no room"}"#)).await);
    assert_eq!(livekit.list_participants(&room).await.unwrap(), []);
    assert_eq!(livekit.get_participant(&room, &ada).await.unwrap(), None);
    assert!(!livekit.update_room_metadata(&room, "x").await.unwrap());
    livekit.delete_room(&room).await.unwrap();
    livekit.remove_participant(&room, &ada).await.unwrap();
    assert_eq!(livekit.list_rooms().await.unwrap_err().kind, ErrorKind::Refused, "a list is never not found");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = answering(proto::ListRoomsResponse::default().encode_to_vec()).await;
    let location = target.replace("ws://", "http://");
    let error = failure((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)])).await;
    assert_eq!(error.kind, ErrorKind::Refused);
}

/// Calls go one after the other over one connection, to the configured path, and carry a token.
#[tokio::test]
async fn a_connection_is_kept_and_a_path_too() {
    let (listener, address) = listen().await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = axum::serve::ListenerExt::tap_io(listener, {
        let accepted = accepted.clone();
        move |_| {
            accepted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let answer = async |uri: Uri, headers: HeaderMap, body: Bytes| -> Response {
        let token = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let claims = livekit_token::TokenVerifier::with_api_key("key", "secret").verify(token).unwrap();
        assert!(claims.video.room_list && !claims.video.room_admin && !claims.video.room_create);
        assert_eq!(uri.path(), "/media/twirp/livekit.RoomService/ListRooms");
        let asked = proto::ListRoomsRequest::decode(body).unwrap();
        let rooms = asked.names.into_iter().map(|name| proto::Room { name, ..Default::default() }).collect();
        proto::ListRoomsResponse { rooms }.encode_to_vec().into_response()
    };
    let serving = tokio::spawn(async move { axum::serve(counted, Router::new().fallback(answer)).await });
    let client = client(&format!("{address}/media"));
    for _ in 0..20 {
        let found = client.find_rooms(&[RoomName::from("gold")]).await.unwrap();
        assert_eq!(found[0].name, RoomName::from("gold"));
    }
    assert!(client.find_rooms(&[]).await.unwrap().is_empty());
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
    serving.abort();
}
