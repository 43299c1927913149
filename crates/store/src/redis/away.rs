//! Knowing that Redis is away, so that nobody waits for it in vain.
//!
//! Whoever pings all the time (the orchestrator's probe does) finds out; all other calls are then
//! refused at once, until a ping is answered or nobody has pinged for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{ErrorKind, StoreError};

/// A ping that was not answered counts for so long: longer than until the next one is answered or not.
const COUNTS_FOR: Duration = Duration::from_secs(4);

/// Until when calls are refused; shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Away(Arc<Mutex<Option<Instant>>>);

impl Away {
    /// A ping was answered, or not.
    pub(super) fn pinged(&self, answer: Result<(), &StoreError>) {
        let is_away = answer.is_err_and(|error| error.kind == ErrorKind::Unavailable);
        *self.0.lock() = is_away.then(|| Instant::now() + COUNTS_FOR);
    }

    /// Fails while Redis is known to be away.
    pub(super) fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        match *self.0.lock() {
            Some(until) if Instant::now() < until => {
                Err(StoreError::new(ErrorKind::Unavailable, operation, "Redis does not answer"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unanswered_ping_counts_and_an_answered_one_ends_it() {
        let away = Away::default();
        away.pinged(Err(&StoreError::new(ErrorKind::Misconfigured, "ping", "wrong password")));
        assert!(away.check("load").is_ok());
        away.pinged(Err(&StoreError::late("ping")));
        let error = away.clone().check("load").unwrap_err();
        assert_eq!((error.kind, error.operation), (ErrorKind::Unavailable, "load"));
        away.pinged(Ok(()));
        assert!(away.check("load").is_ok());
    }
}
