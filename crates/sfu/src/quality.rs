//! Connection quality: loss, delay and jitter in one verdict, after the simplified E-model (ITU-T G.107) that
//! LiveKit uses as well.

use std::time::Duration;

use crate::event::{ConnectionQuality, LinkStats};

/// Points lost per percent of packets lost.
const LOSS_WEIGHT: f32 = 8.0;

/// At least this many points are excellent.
const EXCELLENT: f32 = 80.0;

/// At least this many are good.
const GOOD: f32 = 40.0;

/// What was measured over one interval. The worst of several streams counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    link: LinkStats,
}

impl Measured {
    /// Notes what a viewer lost of a stream.
    pub(crate) fn down(&mut self, loss: Option<f32>, rtt: Option<Duration>) {
        self.link.loss_down = self.link.loss_down.max(loss.unwrap_or(0.0));
        self.link.rtt = self.link.rtt.max(rtt);
    }

    /// Notes what was lost of a stream that a publisher sends.
    pub(crate) fn up(&mut self, loss: f32, jitter: Duration) {
        self.link.loss_up = self.link.loss_up.max(loss);
        self.link.jitter = self.link.jitter.max(jitter);
    }

    /// Ends the interval and gives what was measured in it.
    pub(crate) fn take(&mut self) -> LinkStats {
        std::mem::take(self).link
    }
}

/// The verdict and the score, 0 to 5, about a connection that is up.
pub(crate) fn judge(link: &LinkStats) -> (ConnectionQuality, f32) {
    let points = points(link);
    let quality = match points {
        _ if points >= EXCELLENT => ConnectionQuality::Excellent,
        _ if points >= GOOD => ConnectionQuality::Good,
        _ => ConnectionQuality::Poor,
    };
    (quality, opinion(points))
}

/// The R factor, 0 to 100.
fn points(link: &LinkStats) -> f32 {
    let one_way = link.rtt.unwrap_or_default().as_secs_f32() * 500.0;
    let delay = one_way + link.jitter.as_secs_f32() * 2000.0;
    let by_delay = if delay < 160.0 { delay / 40.0 } else { (delay - 120.0) / 10.0 };
    let by_loss = link.loss_down.max(link.loss_up) * 100.0 * LOSS_WEIGHT;
    (100.0 - by_delay - by_loss).clamp(0.0, 100.0)
}

/// The mean opinion score of an R factor.
fn opinion(points: f32) -> f32 {
    1.0 + 0.035 * points + 0.000_007 * points * (points - 60.0) * (100.0 - points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(loss: f32, rtt_ms: u64) -> LinkStats {
        LinkStats { loss_down: loss, rtt: Some(Duration::from_millis(rtt_ms)), ..LinkStats::default() }
    }

    #[test]
    fn loss_and_delay_lower_the_verdict() {
        assert_eq!(judge(&link(0.0, 20)).0, ConnectionQuality::Excellent);
        assert_eq!(judge(&link(0.05, 20)).0, ConnectionQuality::Good);
        assert_eq!(judge(&link(0.2, 20)).0, ConnectionQuality::Poor);
        assert_eq!(judge(&link(0.0, 1500)).0, ConnectionQuality::Poor);
    }

    #[test]
    fn scores_fall_with_the_points() {
        let scores: Vec<f32> = [0.0, 0.03, 0.08, 0.5].map(|loss| judge(&link(loss, 10)).1).into();
        assert!(scores.windows(2).all(|pair| pair[0] > pair[1]), "{scores:?}");
        assert!(scores.iter().all(|score| (0.0..=5.0).contains(score)));
    }

    #[test]
    fn the_worst_stream_counts_once() {
        let mut measured = Measured::default();
        measured.down(Some(0.1), None);
        measured.down(Some(0.02), Some(Duration::from_millis(30)));
        let link = measured.take();
        assert_eq!((link.loss_down, link.rtt), (0.1, Some(Duration::from_millis(30))));
        assert_eq!(measured.take(), LinkStats::default());
    }
}
