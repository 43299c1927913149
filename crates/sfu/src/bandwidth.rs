//! What one connection can carry to its client, as far as it is known.

use std::time::{Duration, Instant};

use crate::timers::Timer;

/// How long an estimate is not believed after the queue in front of the connection said otherwise: it is an average
/// over three seconds, and late when things get worse.
const DISTRUST: Duration = Duration::from_secs(3);

/// How often a retreat may go further: it takes a while to show.
const RETREAT_INTERVAL: Duration = Duration::from_millis(400);

/// What of the rate that got through may be sent after a retreat, in percent.
const RETREAT: u64 = 90;

/// How long what gets through is counted for one figure.
const WINDOW: Duration = Duration::from_millis(150);

/// How often measuring begins anew while a video is paused: on a connection that carries little more than sound, what
/// that takes is heard.
const RESTART_INTERVAL: Duration = Duration::from_secs(15);

/// How long one measurement takes at most.
const PROBE_LENGTH: Duration = Duration::from_millis(100);

/// How often more is tried while a viewer gets less than it wants.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// State of one connection.
#[derive(Debug, Default)]
pub(crate) struct Bandwidth {
    /// The latest estimate in bits per second; `None`: the client does not measure, so everything is sent.
    estimate: Option<u64>,
    /// Whether the estimate is more than the first guess.
    measured: bool,
    /// What got through when more was sent than the connection carries, and when that was.
    ceiling: Option<(u64, Instant)>,
    /// Bytes given out since a time.
    sent: Option<(u64, Instant)>,
    /// What was given out in the last whole window, in bits per second.
    rate: u64,
    /// What `str0m` was last told to measure for, in bits per second.
    pub(crate) desired: u64,
    /// What the layers and the sound that may be sent take, in bits per second.
    pub(crate) given: u64,
    /// Whether some video was paused when it was last shared.
    paused: bool,
    /// When more may be tried next.
    probe_at: Option<Instant>,
    /// Until when it may be sending bursts of its own, to measure.
    probing: Option<Instant>,
    /// When to share it anew.
    pub(crate) timer: Timer,
}

impl Bandwidth {
    /// Notes an estimate. Returns whether it is worth sharing anew.
    pub(crate) fn set_estimate(&mut self, estimate: Option<u64>) -> bool {
        let before = std::mem::replace(&mut self.estimate, estimate);
        self.measured = estimate.is_some() && (self.measured || before.is_some_and(|before| Some(before) != estimate));
        before != estimate
    }

    /// What decides whether nothing but sound is sent: only what was measured. The first guess does not, nor does a
    /// retreat, after which the pacer stands still for a while.
    pub(crate) fn known(&self) -> Option<u64> {
        self.estimate.filter(|_| self.measured)
    }

    /// Whether the client tells what arrives.
    pub(crate) fn is_measured(&self) -> bool {
        self.estimate.is_some()
    }

    /// What may be sent, in bits per second; `None`: as much as there is.
    pub(crate) fn budget(&self, now: Instant) -> Option<u64> {
        let estimate = self.estimate?;
        let ceiling = self.ceiling.filter(|(_, since)| now < *since + DISTRUST).map_or(u64::MAX, |(rate, _)| rate);
        Some(estimate.min(ceiling))
    }

    /// Counts a datagram that was given out.
    pub(crate) fn count(&mut self, bytes: usize, now: Instant) {
        let (sent, since) = self.sent.get_or_insert((0, now));
        let elapsed = now.saturating_duration_since(*since);
        if elapsed >= WINDOW {
            self.rate = *sent * 8_000 / (elapsed.as_millis() as u64).max(1);
            (*sent, *since) = (0, now);
        }
        *sent += bytes as u64;
    }

    /// Packets wait although the pacer gives out all it may: only what it gives out gets through. Returns whether that
    /// is news.
    pub(crate) fn is_too_much(&mut self, now: Instant) -> bool {
        let retreating = self.ceiling.is_some_and(|(_, since)| now < since + RETREAT_INTERVAL);
        if self.estimate.is_none() || retreating {
            return false;
        }
        // After bursts the pacer stands still for a while, so what it gives out may say too little.
        self.ceiling = Some(((self.rate * RETREAT / 100).max(self.given / 2), now));
        true
    }

    /// Notes that `str0m` is measuring, which takes many short steps.
    pub(crate) fn is_probing(&mut self, now: Instant) {
        self.probing = Some(now + PROBE_LENGTH);
    }

    /// Whether nothing is being measured, since the client gets all it wants.
    pub(crate) fn is_calm(&self, now: Instant) -> bool {
        self.probe_at.is_none() && self.probing.is_none_or(|until| now > until)
    }

    /// Whether to try for more now. `lacking`: the viewer gets less than it wants; `paused`: of some
    /// video nothing.
    pub(crate) fn should_probe(&mut self, lacking: bool, paused: bool, now: Instant) -> bool {
        if !lacking {
            self.probe_at = None;
            return false;
        }
        if std::mem::replace(&mut self.paused, paused) != paused {
            self.probe_at = None;
        }
        let interval = if paused { RESTART_INTERVAL } else { PROBE_INTERVAL };
        let at = *self.probe_at.get_or_insert(now + interval);
        if now < at {
            return false;
        }
        self.probe_at = Some(now + interval);
        true
    }

    /// When to share it anew although nothing was reported.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let trusted = self.ceiling.map(|(_, since)| since + DISTRUST).filter(|until| *until > now);
        self.probe_at.into_iter().chain(trusted).min()
    }
}
