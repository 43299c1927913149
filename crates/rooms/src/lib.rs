//! What we need from LiveKit: a trait over its RoomService, join tokens, and
//! the verification and decoding of its webhooks into [`domain::RoomEvent`].
//!
//! Nothing here decides anything about streams or stores anything.

mod error;
mod jwt;
mod kind;
mod livekit;
mod rooms;
pub mod simulated;
mod tokens;
mod webhook;

pub use error::{ErrorKind, RoomsError};
pub use livekit::{DEFAULT_DEADLINE, InvalidHost, LiveKit, LiveKitHost};
pub use rooms::{PublishedTrack, RoomSpec, Rooms, TrackSource};
pub use tokens::{DEFAULT_TOKEN_LIFE, JoinProof, MAX_TOKEN_LIFE, Minted, TokenError, TokenRequest, Tokens};
pub use webhook::{Webhook, WebhookError, WebhookVerifier};
