//! How much a layer takes, in bits per second.

use std::time::{Duration, Instant};

/// How long bytes are gathered for one figure.
const WINDOW: Duration = Duration::from_millis(500);

/// A window this late is not one: the layer had stopped in between.
const PAUSE: Duration = Duration::from_millis(1500);

/// What a layer takes, smoothed over a few windows.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    bytes: u64,
    since: Option<Instant>,
    bits: Option<u64>,
}

impl Rate {
    /// Counts the payload of a packet.
    pub(crate) fn count(&mut self, bytes: usize, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            if elapsed < PAUSE {
                let seen = self.bytes * 8_000 / (elapsed.as_millis() as u64).max(1);
                // A key frame in one window does not make a layer dear.
                self.bits = Some(self.bits.map_or(seen, |before| (before * 3 + seen) / 4));
            }
            self.bytes = 0;
            self.since = Some(now);
        }
        self.bytes += bytes as u64;
    }

    /// Bits per second, once measured; also of a layer that has stopped.
    pub(crate) fn bits(&self) -> Option<u64> {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_layer_is_measured_and_a_pause_is_not_part_of_it() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let send = |rate: &mut Rate, from_ms: u64, to_ms: u64| {
            for ms in (from_ms..to_ms).step_by(10) {
                rate.count(125, start + Duration::from_millis(ms));
            }
        };
        send(&mut rate, 0, 400);
        assert_eq!(rate.bits(), None);
        send(&mut rate, 400, 3000);
        assert_eq!(rate.bits(), Some(100_000));
        send(&mut rate, 60_000, 62_000);
        assert_eq!(rate.bits(), Some(100_000));
    }
}
