//! The hub over the embedded store: what subscribers see, whatever is lost on the way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod lobby;
mod sockets;
mod streams;
