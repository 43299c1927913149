//! Event streams: how states become events, and how events become a response.

mod body;
mod caps;
mod encoder;
mod overseer;
mod ticket;

pub(crate) use body::first_words;
pub(crate) use caps::{Caps, Permit, Refusals};
pub use encoder::SseEncoder;
pub(crate) use overseer::Overseer;
pub(crate) use ticket::{Opening, Ticket};
