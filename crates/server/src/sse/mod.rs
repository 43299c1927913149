//! Event streams: how states become events, and how events become a response.

mod body;
mod encoder;

pub(crate) use body::{EventBody, EventSource};
pub use encoder::SseEncoder;
