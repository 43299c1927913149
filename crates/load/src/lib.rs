//! `livestream bench`: loads a server on this machine, and says what that cost it and how late things were.
//!
//! It works from outside, over HTTP as any client, and reads `/proc` for what
//! the server's process used. Nothing here knows how the server is made.

pub mod cli;

mod client;
mod clock;
mod crowd;
mod events;
mod figures;
mod mixed;
mod paced;
mod process;
mod report;
mod requests;
mod sse;
mod stop;
mod streams;
mod subject;
mod target;
mod webhooks;
mod wire;

pub use clock::Mark;
pub use figures::Quantiles;
pub use process::{Held, Processes, kernel_time_of_threads};
pub use sse::{ServerUse, SseLoad, SseReport, watch};
pub use stop::Stop;
pub use subject::{Subject, orchestrator};
pub use target::Target;
pub use webhooks::MediaServer;
