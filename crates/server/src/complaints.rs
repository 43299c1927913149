//! What the log says of refused requests during an outage: that it goes on, not each of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The same is said again after this long.
const AGAIN: Duration = Duration::from_secs(10);

/// What has been said of each kind of problem; kinds are few.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashMap<&'static str, Said>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl Complaints {
    /// Whether to say it now: how many of its kind were passed over since the last one. `None`: pass over this one, too.
    pub(crate) fn say(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock();
        match said.get_mut(kind) {
            Some(last) if now.duration_since(last.at) < AGAIN => {
                last.unsaid += 1;
                None
            }
            last => {
                let unsaid = last.map_or(0, |last| last.unsaid);
                said.insert(kind, Said { at: now, unsaid: 0 });
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_with_how_often_it_was_passed_over() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.say("store_unavailable", now), Some(0));
        assert_eq!(complaints.say("store_unavailable", now), None);
        assert_eq!(complaints.say("livekit_unavailable", now), Some(0), "another kind is news");
        assert_eq!(complaints.say("store_unavailable", now + AGAIN), Some(1));
        assert_eq!(complaints.say("store_unavailable", now + AGAIN), None);
    }
}
