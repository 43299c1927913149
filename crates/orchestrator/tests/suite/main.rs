//! Use-cases and jobs over the embedded store and a simulated LiveKit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod creating;
mod jobs;
mod losing;
mod membership;
mod moderating;
