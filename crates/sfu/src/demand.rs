//! Which layers of a video anybody wants (dynacast): more is told at once, less only after a while, since viewers
//! come back soon and a layer that was stopped needs a key frame to start again.

use std::time::{Duration, Instant};

/// What the publisher of one video was told, and what it should be told.
#[derive(Debug)]
pub(crate) struct Demand {
    /// The highest rank the publisher was told to send; `None` inside: nothing. `None` outside: it was told nothing
    /// and sends everything.
    told: Option<Option<usize>>,
    /// Since when less than that is wanted.
    less_since: Option<Instant>,
    /// How long less must be wanted.
    patience: Duration,
    /// How long nothing must be wanted of a new track.
    first_patience: Duration,
}

impl Demand {
    /// Nothing is known yet.
    pub(crate) fn new(patience: Duration, first_patience: Duration) -> Demand {
        Demand { told: None, less_since: None, patience, first_patience }
    }

    /// Takes what is wanted now, the highest rank or nothing. Returns it if the publisher must be told.
    pub(crate) fn update(&mut self, wanted: Option<usize>, now: Instant) -> Option<Option<usize>> {
        let less = match self.told {
            Some(told) if wanted == told => {
                self.less_since = None;
                return None;
            }
            Some(told) => wanted < told,
            None => wanted.is_none(),
        };
        let patience = if self.told.is_some() { self.patience } else { self.first_patience };
        let since = *self.less_since.get_or_insert(now);
        if less && now.saturating_duration_since(since) < patience {
            return None;
        }
        self.told = Some(wanted);
        self.less_since = None;
        Some(wanted)
    }

    /// When to look again, if nothing changes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let patience = if self.told.is_some() { self.patience } else { self.first_patience };
        self.less_since.map(|since| since + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn more_is_told_at_once_and_less_after_a_while() {
        let (mut demand, start) = (Demand::new(SECOND * 5, SECOND * 10), Instant::now());
        assert_eq!(demand.update(Some(0), start), Some(Some(0)));
        assert_eq!(demand.update(Some(2), start), Some(Some(2)));
        assert_eq!(demand.update(Some(1), start + SECOND), None);
        assert_eq!(demand.due(), Some(start + SECOND * 6));
        assert_eq!(demand.update(Some(1), start + SECOND * 6), Some(Some(1)));
        assert_eq!(demand.update(None, start + SECOND * 7), None);
        assert_eq!(demand.update(None, start + SECOND * 12), Some(None));
        assert_eq!(demand.update(Some(1), start + SECOND * 12), Some(Some(1)));
    }

    #[test]
    fn who_comes_back_in_time_changes_nothing() {
        let (mut demand, start) = (Demand::new(SECOND * 5, SECOND * 10), Instant::now());
        demand.update(Some(2), start);
        assert_eq!(demand.update(None, start + SECOND), None);
        assert_eq!(demand.update(Some(2), start + SECOND * 4), None);
        assert_eq!(demand.update(None, start + SECOND * 7), None, "the wait begins anew");
    }

    #[test]
    fn a_track_nobody_ever_wanted_is_stopped_later() {
        let (mut demand, start) = (Demand::new(SECOND * 5, SECOND * 10), Instant::now());
        assert_eq!(demand.update(None, start), None);
        assert_eq!(demand.update(None, start + SECOND * 9), None);
        assert_eq!(demand.update(None, start + SECOND * 10), Some(None));
    }
}
