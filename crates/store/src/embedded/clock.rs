//! The store's clock: the wall clock, never below a time given out or stored.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// Gives out times that never go back.
pub(super) struct Clock {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    floor: AtomicI64,
}

impl Clock {
    /// By `wall`.
    pub(super) fn new(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { wall: Box::new(wall), floor: AtomicI64::new(i64::MIN) }
    }

    /// By the system's clock.
    pub(super) fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        let wall = (self.wall)().as_millis();
        Timestamp::from_millis(self.floor.fetch_max(wall, Ordering::AcqRel).max(wall))
    }

    /// From now on no time below `floor` is given out.
    pub(super) fn raise(&self, floor: Timestamp) {
        self.floor.fetch_max(floor.as_millis(), Ordering::AcqRel);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("floor", &self.floor).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn time_never_goes_back() {
        let wall = Arc::new(AtomicI64::new(100));
        let clock = Clock::new({
            let wall = wall.clone();
            move || Timestamp::from_millis(wall.load(Ordering::Relaxed))
        });
        let now = || clock.now().as_millis();
        assert_eq!(now(), 100);
        wall.store(50, Ordering::Relaxed);
        assert_eq!(now(), 100);
        wall.store(101, Ordering::Relaxed);
        assert_eq!(now(), 101);
        clock.raise(Timestamp::from_millis(500));
        assert_eq!(now(), 500);
    }
}
