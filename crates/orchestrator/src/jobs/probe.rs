//! Asking store and LiveKit from time to time whether they are there.

use std::time::Duration;

use domain::RoomName;
use tokio::time::Instant;

use crate::Orchestrator;

const STORE_INTERVAL: Duration = Duration::from_secs(1);
const LIVEKIT_INTERVAL: Duration = Duration::from_secs(5);
/// No stream can have a room of this name: it ends in `~` and digits and starts so, too.
const NO_ROOM: &str = "~0";

pub(super) async fn run(orchestrator: Orchestrator) {
    let mut livekit_asked: Option<Instant> = None;
    loop {
        let store = orchestrator.inner.store.ping().await;
        orchestrator.inner.health.store_seen(store.as_ref().map(drop).map_err(|error| error as _));
        if livekit_asked.is_none_or(|asked| asked.elapsed() >= LIVEKIT_INTERVAL) {
            livekit_asked = Some(Instant::now());
            ask_livekit(&orchestrator).await;
        }
        if !orchestrator.pause(STORE_INTERVAL).await {
            return;
        }
    }
}

async fn ask_livekit(orchestrator: &Orchestrator) {
    match orchestrator.inner.rooms.find_rooms(&[RoomName::from(NO_ROOM)]).await {
        Ok(_) => orchestrator.inner.health.livekit_answered(),
        Err(error) => orchestrator.inner.health.livekit_failed(&error),
    }
}
