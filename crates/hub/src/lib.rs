//! Live fan-out: who watches what, the latest state of it, and how it reaches them.
//!
//! One registry of topics (the streams that are watched, and the lobby). A
//! topic holds the newest state and nothing older; a subscriber holds the
//! number of the state it was sent last and nothing else, so there is no queue
//! to overflow: whoever is slow skips to the newest. A state is encoded once
//! per version and view, and the bytes are shared.
//!
//! A reader is either polled by whoever serves its connection ([`Subscription`]),
//! or its socket is handed over to a thread that serves all of them
//! ([`Hub::hand_over`]). Both read the same registry.
//!
//! The hub knows no routes, no HTTP but the chunks of an event stream, and no
//! LiveKit, and it decides nothing about streams: it repeats what the store publishes.

mod coalesce;
mod dispatch;
mod encode;
mod error;
mod held;
mod hub;
mod lobby;
mod registry;
mod slots;
mod sockets;
mod topic;

pub use encode::{Encoder, Shape};
pub use error::HubError;
pub use hub::{Hub, HubStats};
pub use lobby::LobbySubscription;
pub use registry::HubSettings;
pub use sockets::{HandOver, SocketSettings, Source};
pub use topic::{Position, Subscription};
