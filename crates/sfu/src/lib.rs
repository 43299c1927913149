//! The forwarding engine of the embedded media server: WebRTC transports, SDP, and the forwarding of RTP and data
//! messages between the participants of many rooms.
//!
//! The engine has no sockets, no clock and no tasks. Like `str0m`, on which it is built, it is a state machine: the
//! caller feeds it commands, datagrams and the time, and polls it for datagrams to send, events and the next deadline.
//!
//! ```no_run
//! use std::time::Instant;
//! use sfu::{Config, Engine, Output};
//!
//! let address = "192.0.2.1:7882".parse().expect("a literal address");
//! let mut engine = Engine::new(Config::new(vec![address]), Instant::now());
//! loop {
//!     // 1. Feed exactly what happened: `handle`, `receive` or `handle_timeout`, each with the time.
//!     // 2. Then drain:
//!     let deadline = loop {
//!         match engine.poll() {
//!             Output::Transmit(datagram) => drop(datagram), // Send it from `source` to `destination`.
//!             Output::Event(event) => drop(event),          // Tell the signalling side.
//!             Output::Timeout(deadline) => break deadline,  // Sleep until then, or until something arrives.
//!         }
//!     };
//!     # let _ = deadline;
//!     # break;
//! }
//! ```
//!
//! It knows rooms, participants and tracks only as small integers that the caller chooses, plus the sids that appear
//! in SDP. It knows nothing of tokens, identities, signalling messages, permissions or webhooks: who may publish or
//! subscribe is decided before a command reaches it.

mod allocate;
mod bandwidth;
mod command;
mod config;
mod data;
mod demand;
mod demux;
mod engine;
mod error;
mod event;
mod forward;
mod ids;
mod quality;
mod sdp;
mod slots;
mod speech;
mod timers;
mod track;
mod transport;

pub use command::{
    Codec, Command, DataChannel, Layer, MediaKind, NewParticipant, NewTrack, PeerMode, Quality, TrackSettings,
};
pub use config::Config;
pub use engine::Engine;
pub use error::Error;
pub use event::{
    ConnectionQuality, Counters, Event, LayerInfo, LinkStats, MidMap, Output, Speaker, Target, Transmit, TransportState,
};
pub use ids::{ParticipantId, RoomId, TrackId};
