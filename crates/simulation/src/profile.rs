//! What goes wrong in one play, and how often: drawn from the seed.
//!
//! Every play has some kinds of fault and not others, so that rare ones are not
//! drowned by frequent ones.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Probabilities, 0 to 1, per opportunity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profile {
    /// A store call fails without effect.
    pub(crate) store_before: f64,
    /// A store call takes effect and fails.
    pub(crate) store_after: f64,
    /// A store call takes up to two seconds.
    pub(crate) store_slow: f64,
    /// A call to LiveKit fails without effect.
    pub(crate) rooms_before: f64,
    /// A call to LiveKit takes effect and fails.
    pub(crate) rooms_after: f64,
    /// A call to LiveKit takes up to two seconds.
    pub(crate) rooms_slow: f64,
    /// A listing shows what was up to five seconds ago.
    pub(crate) lag: f64,
    /// A webhook is lost.
    pub(crate) lost: f64,
    /// A webhook comes twice or three times.
    pub(crate) doubled: f64,
    /// A webhook comes some seconds later, and so in another order.
    pub(crate) delayed: f64,
    /// A webhook comes minutes later.
    pub(crate) late: f64,
    /// A notice takes up to a second.
    pub(crate) notice_slow: f64,
    /// Per step: an instance crashes.
    pub(crate) crash: f64,
    /// Per step: an instance is shut down in good order.
    pub(crate) stop: f64,
    /// Per step: LiveKit is restarted and knows nothing.
    pub(crate) livekit_restart: f64,
    /// Per step: LiveKit is not reachable for a while.
    pub(crate) livekit_away: f64,
    /// Per step: the store is not reachable for a while.
    pub(crate) store_away: f64,
    /// Per step: the clock jumps.
    pub(crate) clock_step: f64,
    /// Per step: an instance misses notices for a while.
    pub(crate) deaf: f64,
    /// Per step: an instance stands still for a while, and goes on as if nothing had been.
    pub(crate) still: f64,
    /// Per step: many want something of the same stream at the same moment.
    pub(crate) crowd: f64,
}

impl Profile {
    /// What goes wrong in this play.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let lost = if rng.random_bool(0.1) { 1.0 } else { some(rng, 0.4) };
        Self {
            store_before: some(rng, 0.05),
            store_after: some(rng, 0.05),
            store_slow: some(rng, 0.05),
            rooms_before: some(rng, 0.3),
            rooms_after: some(rng, 0.3),
            rooms_slow: some(rng, 0.2),
            lag: some(rng, 0.6),
            lost,
            doubled: some(rng, 0.3),
            delayed: some(rng, 0.5),
            late: some(rng, 0.1),
            notice_slow: some(rng, 0.3),
            crash: some(rng, 0.06),
            stop: some(rng, 0.03),
            livekit_restart: some(rng, 0.03),
            livekit_away: some(rng, 0.03),
            store_away: some(rng, 0.03),
            clock_step: some(rng, 0.04),
            deaf: some(rng, 0.04),
            still: 0.0,
            crowd: 0.0,
        }
    }

    /// The same, with what lets instances get into each other's way.
    pub(crate) fn crowded(mut self, rng: &mut StdRng) -> Self {
        self.still = rng.random_range(0.01..0.1);
        self.crowd = rng.random_range(0.05..0.3);
        self.store_slow = rng.random_range(0.05..0.3);
        self.clock_step = self.clock_step.max(some(rng, 0.1));
        self
    }
}

/// Nothing at all in half of the plays, else up to `most`.
fn some(rng: &mut impl Rng, most: f64) -> f64 {
    if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..most) }
}
