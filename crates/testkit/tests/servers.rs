//! The servers start, hang, die and come back as asked.

use testkit::{LiveKitOptions, LiveKitServer, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

#[tokio::test]
async fn a_redis_server_keeps_what_it_acknowledged_over_a_kill() {
    let Some(mut redis) = RedisServer::start().await else { return };
    assert_eq!(redis.command(&["SET", "a", "1"]).await, "+OK\r\n");
    redis.kill();
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).await.is_err());
    redis.restart().await;
    assert_eq!(redis.command(&["GET", "a"]).await, "$1\r\n1\r\n");
}

#[tokio::test]
async fn a_paused_redis_server_answers_when_it_is_resumed() {
    let Some(redis) = RedisServer::start_volatile().await else { return };
    let mut socket = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
    redis.pause();
    socket.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 16];
    assert!(timeout(Duration::from_millis(200), socket.read(&mut answer)).await.is_err());
    redis.resume();
    let read = timeout(Duration::from_secs(5), socket.read(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer[..read], b"+PONG\r\n");
}

#[tokio::test]
async fn a_livekit_server_comes_back_on_its_port() {
    let Some(mut livekit) = LiveKitServer::start(LiveKitOptions::default()).await else { return };
    let port = livekit.port();
    livekit.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    livekit.restart().await;
    assert_eq!(livekit.port(), port);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
}
