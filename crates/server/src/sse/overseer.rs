//! Event streams of an HTTP/2 connection whose reader takes nothing.
//!
//! Over HTTP/1.1 such a reader fills the socket, and the write that can't go on is cut. Over HTTP/2 each stream has a window
//! of its own (RFC 9113, 5.2): the socket stays writable, hyper asks the body for nothing more, and neither its age nor
//! its heartbeat would ever be looked at. But a reader who takes what there is makes hyper ask at least once in a heartbeat.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// When the body of an event stream was last asked for something.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Instant>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub(super) fn beat(&self) {
        *self.0.lock() = Instant::now();
    }
}

/// The event streams of one connection. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overseer(Arc<Ward>);

#[derive(Debug, Default)]
struct Ward {
    pulses: Mutex<Vec<Weak<Pulse>>>,
    added: Notify,
}

impl Overseer {
    /// Looks after one more, for as long as it lives.
    pub(super) fn add(&self, pulse: &Arc<Pulse>) {
        self.0.pulses.lock().push(Arc::downgrade(pulse));
        self.0.added.notify_one();
    }

    /// Ends when one of them has been asked for nothing for `limit`, which must be longer than a heartbeat.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            match self.oldest() {
                None => self.0.added.notified().await,
                Some(last) if last.elapsed() >= limit => return,
                Some(last) => sleep_until(last + limit).await,
            }
        }
    }

    fn oldest(&self) -> Option<Instant> {
        let mut pulses = self.0.pulses.lock();
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.iter().filter_map(Weak::upgrade).map(|pulse| *pulse.0.lock()).min()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(45);

    #[tokio::test(start_paused = true)]
    async fn whoever_is_asked_for_nothing_is_found_and_nobody_else() {
        let overseer = Overseer::default();
        let (begun, still) = (Instant::now(), timeout(Duration::from_secs(3600), overseer.stalled(LIMIT)).await);
        assert!(still.is_err(), "there is nobody");
        let (lively, gone) = (Arc::new(Pulse::new()), Arc::new(Pulse::new()));
        overseer.add(&lively);
        overseer.add(&gone);
        drop(gone);
        let lives = async {
            for _ in 0..100 {
                sleep(LIMIT / 2).await;
                lively.beat();
            }
            Instant::now()
        };
        let (last, ()) = tokio::join!(lives, overseer.stalled(LIMIT));
        assert_eq!(last.elapsed(), LIMIT);
        assert!(begun.elapsed() > 50 * LIMIT);
    }
}
