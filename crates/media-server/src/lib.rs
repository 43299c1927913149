//! An embedded media server that speaks LiveKit's public protocol on one machine: signalling,
//! RoomService, webhooks, sockets.
//!
//! Clients of LiveKit connect to it unmodified. It knows nothing of streams or of the program it
//! runs in and is reached through LiveKit's protocol only. Packets are forwarded by the `sfu`
//! crate; the decisions about rooms are pure and in `room`; sockets and clocks are in `http` and
//! `engine`.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use media_server::{Config, MediaServer, load_or_create_keys};
//!
//! let key = load_or_create_keys("data".as_ref())?;
//! let server = MediaServer::start(Config::new(key))?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7880").await?;
//! match server.serve(listener).await? {}
//! # }
//! ```

mod access;
mod allowance;
mod batch;
mod config;
mod engine;
mod http;
mod ids;
mod keys;
mod listen;
mod meters;
mod room;
mod server;
mod signal;
mod udp;
mod webhook;

pub use config::{Config, Limits, Timeouts};
pub use keys::{ApiKey, KeyError, load_keys, load_or_create_keys};
pub use server::{MediaServer, StartError};
pub use udp::BindError;
