//! The vocabulary of signalling: what a joining client says, and frames ready for its socket.
//!
//! Not here: sockets (`http`), what the messages do (`room`).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use livekit_protocol as proto;
use livekit_protocol::signal_response::Message;
use prost::Message as _;

/// Which of the two signalling paths a client took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/rtc/v1`: one peer connection, the client offers.
    Single,
    /// `/rtc`: a publisher and a subscriber connection.
    Dual,
}

/// What a client says when it opens a signalling connection, beside its token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JoinParams {
    /// The path it took.
    pub dialect: Dialect,
    /// Receive every track without asking.
    pub auto_subscribe: bool,
    /// The client turns off what it does not show.
    pub adaptive_stream: bool,
    /// Its videos may be paused when its connection cannot carry them (`subscriber_allow_pause`).
    pub allow_pause: bool,
    /// Continue the session `participant_sid` instead of a new one.
    pub reconnect: bool,
    /// The session to continue.
    pub participant_sid: String,
    /// Legacy second connection that only publishes; its identity gets `#` and this appended.
    pub publish_only: String,
    /// What kind of client it is.
    pub client: proto::ClientInfo,
    /// Metadata it wants to have; needs the grant.
    pub metadata: String,
    /// Attributes it wants to have; needs the grant.
    pub attributes: HashMap<String, String>,
    /// Tracks announced with the join.
    pub add_tracks: Vec<proto::AddTrackRequest>,
    /// First offer of its connection.
    pub offer: Option<proto::SessionDescription>,
    /// What it knows, on a resume.
    pub sync_state: Option<proto::SyncState>,
}

/// One message to clients. It is encoded at most once however many receive it.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The message.
    pub message: proto::SignalResponse,
    binary: OnceLock<Bytes>,
    text: OnceLock<Utf8Bytes>,
}

impl Frame {
    /// A frame with this message.
    pub(crate) fn new(message: Message) -> Arc<Self> {
        let message = proto::SignalResponse { message: Some(message) };
        Arc::new(Self { message, binary: OnceLock::new(), text: OnceLock::new() })
    }

    /// As protobuf, for binary frames.
    pub(crate) fn binary(&self) -> Bytes {
        self.binary.get_or_init(|| self.message.encode_to_vec().into()).clone()
    }

    /// As protobuf JSON, for text frames.
    pub(crate) fn text(&self) -> Utf8Bytes {
        self.text.get_or_init(|| serde_json::to_string(&self.message).unwrap_or_default().into()).clone()
    }
}

/// What the room tells a socket.
#[derive(Debug, Clone)]
pub(crate) enum ToSocket {
    /// Send this.
    Frame(Arc<Frame>),
    /// Send a close frame and end.
    Close,
}
