//! How many event streams are open, in all and by one address.
//!
//! A cap bounds what is open at the same time, whichever path serves it; how often
//! one may be opened is [`crate::limits`]'. How many may watch one stream is the
//! hub's, which counts them anyway.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, counter};
use parking_lot::Mutex;

use crate::limits::Who;
use crate::problem::Problem;

/// What is open, and how much may be.
#[derive(Debug)]
pub(crate) struct Caps {
    /// Event streams of this process, at most.
    most: usize,
    /// Event streams of one address, at most; `None`: no cap.
    most_per_address: Option<NonZeroU32>,
    open: AtomicUsize,
    /// Addresses that have any.
    by_address: Mutex<HashMap<Who, u32>>,
}

/// Refusals by cap.
pub(crate) struct Refusals {
    pub(crate) process: Counter,
    pub(crate) address: Counter,
    pub(crate) stream: Counter,
}

/// One open event stream, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    caps: Arc<Caps>,
    who: Option<Who>,
}

impl Caps {
    pub(crate) fn new(most: usize, most_per_address: Option<NonZeroU32>) -> Self {
        Self { most, most_per_address, open: AtomicUsize::new(0), by_address: Mutex::default() }
    }

    /// Lets one in. `who` is `None` for callers that can't be told apart by their
    /// address, or are not to be.
    pub(crate) fn admit(self: &Arc<Self>, who: Option<Who>, refusals: &Refusals) -> Result<Permit, Problem> {
        let mut permit = Permit { caps: Arc::clone(self), who: None };
        // Counted first: the permit gives back what it has counted, also when it is refused.
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            refusals.process.increment(1);
            return Err(Problem::too_many_readers(self.most));
        }
        if let (Some(who), Some(most)) = (who, self.most_per_address) {
            let mut by_address = self.by_address.lock();
            let open = by_address.entry(who).or_default();
            if *open >= most.get() {
                refusals.address.increment(1);
                return Err(Problem::too_many_of_address(most.get()));
            }
            *open += 1;
            permit.who = Some(who);
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.caps.open.fetch_sub(1, Ordering::Relaxed);
        let Some(who) = self.who else { return };
        if let Entry::Occupied(mut open) = self.caps.by_address.lock().entry(who) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

impl Refusals {
    pub(crate) fn new() -> Self {
        let of = |cap: &'static str| counter!("livestream_sse_refused_total", "cap" => cap);
        Self { process: of("process"), address: of("address"), stream: of("stream") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(last: u8) -> Option<Who> {
        Some(Who::of(std::net::Ipv4Addr::new(192, 0, 2, last).into()))
    }

    #[test]
    fn what_is_dropped_may_be_had_again() {
        let (caps, refusals) = (Arc::new(Caps::new(5, NonZeroU32::new(2))), Refusals::new());
        let admit = |who| caps.admit(who, &refusals);
        let first = [admit(who(1)).unwrap(), admit(who(1)).unwrap()];
        assert_eq!(admit(who(1)).unwrap_err().status(), 429);
        let others = [admit(who(2)).unwrap(), admit(None).unwrap(), admit(None).unwrap()];
        assert_eq!(admit(who(3)).unwrap_err().status(), 503, "five in all");
        drop(first);
        assert!(admit(who(1)).is_ok());
        drop(others);
        assert_eq!(caps.open.load(Ordering::Relaxed), 0);
        assert!(caps.by_address.lock().is_empty(), "nothing is remembered of those who went");
    }
}
