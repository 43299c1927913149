//! What we need from LiveKit: a trait over its RoomService, join tokens, and
//! the verification and decoding of its webhooks into [`domain::RoomEvent`].
//!
//! Nothing here decides anything about streams or stores anything.

mod error;
mod jwt;
mod rooms;
pub mod simulated;

pub use error::{ErrorKind, RoomsError};
pub use rooms::{RoomSpec, Rooms};
