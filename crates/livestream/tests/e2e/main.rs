//! The shipped program as a process, with a real Redis, a real LiveKit 1.13.5 (or its own media server), a real nginx and LiveKit's own SDK as participants.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod bans;
mod burst;
mod client;
mod configuration;
mod doctor;
mod durability;
mod embedded_media;
mod faults;
mod fleet;
mod livekit_outage;
mod livekit_restart;
mod nginx;
mod redis_outage;
mod resume;
mod shutdown;
mod tls;
mod two_instances;
mod versions;
mod webhooks_off;
mod world;
