//! Real faults of real processes, and what callers and subscribers see of them.
//!
//! Every fault plays on a [`scene::Scene`]: callers who ask all the time, subscribers,
//! and something that changes in LiveKit meanwhile. What was seen becomes a row of the
//! table in `docs/reliability.md` (`make reliability`). Faults mostly wait, so those of a kind run together.

mod callers;
mod disk;
mod instances;
mod livekit;
mod redis;
pub(crate) mod report;
mod scene;
