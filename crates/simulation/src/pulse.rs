//! Whether an instance lives, stands still, or is gone: what all its ways to the outside share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// One instance's pulse. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    /// It has crashed: no call returns any more, none takes effect.
    dead: CancellationToken,
    /// It stands still until then, as a machine that is out of memory or being moved: calls that were about to
    /// be made are made afterwards, with whatever was decided before.
    still_until: Arc<Mutex<Option<Instant>>>,
}

impl Pulse {
    /// Ends it.
    pub(crate) fn stop(&self) {
        self.dead.cancel();
    }

    /// Whether it has ended.
    pub(crate) fn has_stopped(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Waits until it has ended.
    pub(crate) async fn stopped(&self) {
        self.dead.cancelled().await;
    }

    /// From now on it stands still for `time`.
    pub(crate) fn stand_still(&self, time: Duration) {
        *self.still_until.lock() = Some(Instant::now() + time);
    }

    /// Time passes on the wire. Whoever stands still gets to the other end later, whoever has crashed never.
    pub(crate) async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            sleep(time).await;
        }
        loop {
            let until = *self.still_until.lock();
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => break,
            }
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}
