//! What the suites share: the two servers, a raw signalling client, a small WebRTC peer, a
//! webhook receiver.

// Each test binary uses its own part of this.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part")]

pub(crate) mod client;
pub(crate) mod hooks;
pub(crate) mod peer;
pub(crate) mod server;

use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Repeats a check until it gives something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < end, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
