//! Real servers for tests: each test starts its own Redis or LiveKit on free
//! ports of 127.0.0.1 and it is gone when the test is.
//!
//! For tests only: whatever goes wrong here panics. Where a server's binary is
//! missing, starting it says so loudly and gives `None`, so that the test can
//! skip; with `CI` set it panics, because there a skipped suite is a failure.

pub mod attacks;
pub mod fuzz;

mod livekit;
mod livestream;
mod nginx;
mod participant;
mod ports;
mod process;
mod proxy;
mod redis;
mod redis_cluster;
mod sse;

pub use livekit::{LiveKitOptions, LiveKitServer};
pub use livestream::{Answer, Livestream};
pub use nginx::Nginx;
pub use participant::Participant;
pub use ports::{free_tcp_port, free_udp_port};
pub use proxy::{FaultyProxy, Wire};
pub use redis::RedisServer;
pub use redis_cluster::RedisCluster;
pub use sse::{SseClient, SseEvent};

/// Says that a suite can't run; panics where it must (`CI` is set and not empty).
#[track_caller]
pub fn skip(reason: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!in_ci, "{reason}: a missing service is a failure in CI");
    eprintln!("\n*** SKIPPED: {reason} ***\n");
}
