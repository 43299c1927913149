//! Deadlines of many things in one heap, so that finding the next one does not mean asking them all.
//!
//! Each thing keeps its own [`Timer`]; the heap holds at most a few entries per thing. Moving a deadline later costs
//! nothing: the entry that comes up early is put back at the right place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The heap. `K` names the thing whose deadline it is.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

/// The deadline of one thing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timer {
    /// When it wants to be woken; `None`: not at all.
    at: Option<Instant>,
    /// The earliest entry of it in the heap.
    queued: Option<Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    /// No deadlines.
    pub(crate) fn new() -> Timers<K> {
        Timers { heap: BinaryHeap::new() }
    }

    /// Sets or clears the deadline of `key`, whose timer this is.
    pub(crate) fn arm(&mut self, timer: &mut Timer, key: K, at: Option<Instant>) {
        timer.at = at;
        let Some(at) = at else { return };
        if timer.queued.is_none_or(|queued| at < queued) {
            timer.queued = Some(at);
            self.heap.push(Reverse((at, key)));
        }
    }

    /// Sets the deadline unless an earlier one is set.
    pub(crate) fn arm_by(&mut self, timer: &mut Timer, key: K, at: Instant) {
        if timer.at.is_none_or(|earlier| at < earlier) {
            self.arm(timer, key, Some(at));
        }
    }

    /// Takes the next heap entry that is due at `now`. The caller finds the timer of the key and asks it with
    /// [`Timers::fire`].
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether the timer is really due, given its heap entry. If not, it is put back where it belongs.
    pub(crate) fn fire(&mut self, timer: &mut Timer, entry: (Instant, K), now: Instant) -> bool {
        let (queued, key) = entry;
        if timer.queued != Some(queued) {
            return false;
        }
        timer.queued = None;
        match timer.at {
            Some(at) if at <= now => {
                timer.at = None;
                true
            }
            later => {
                self.arm(timer, key, later);
                false
            }
        }
    }

    /// When to look again: the earliest entry, which may turn out to be early.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// Fires everything due and returns the keys that were really due.
    fn due(timers: &mut Timers<usize>, own: &mut [Timer], now: Instant) -> Vec<usize> {
        let mut fired = Vec::new();
        while let Some(entry) = timers.pop_due(now) {
            if timers.fire(&mut own[entry.1], entry, now) {
                fired.push(entry.1);
            }
        }
        fired
    }

    #[test]
    fn fires_in_order_and_once() {
        let start = Instant::now();
        let (mut timers, mut own) = (Timers::new(), [Timer::default(); 2]);
        timers.arm(&mut own[0], 0, Some(start + STEP * 2));
        timers.arm(&mut own[1], 1, Some(start + STEP));
        assert_eq!(timers.next(), Some(start + STEP));
        assert_eq!(due(&mut timers, &mut own, start + STEP * 3), [1, 0]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_later_deadline_needs_no_new_entry() {
        let start = Instant::now();
        let (mut timers, mut own) = (Timers::new(), [Timer::default()]);
        for n in 1..100 {
            timers.arm(&mut own[0], 0, Some(start + STEP * n));
        }
        assert_eq!(timers.heap.len(), 1);
        assert!(due(&mut timers, &mut own, start + STEP * 50).is_empty());
        assert_eq!(due(&mut timers, &mut own, start + STEP * 99), [0]);
    }

    #[test]
    fn an_earlier_deadline_wins_and_the_old_entry_is_ignored() {
        let start = Instant::now();
        let (mut timers, mut own) = (Timers::new(), [Timer::default()]);
        timers.arm(&mut own[0], 0, Some(start + STEP * 5));
        timers.arm_by(&mut own[0], 0, start + STEP);
        timers.arm_by(&mut own[0], 0, start + STEP * 3);
        assert_eq!(due(&mut timers, &mut own, start + STEP), [0]);
        assert!(due(&mut timers, &mut own, start + STEP * 6).is_empty());
    }

    #[test]
    fn a_cleared_deadline_does_not_fire() {
        let start = Instant::now();
        let (mut timers, mut own) = (Timers::new(), [Timer::default()]);
        timers.arm(&mut own[0], 0, Some(start + STEP));
        timers.arm(&mut own[0], 0, None);
        assert!(due(&mut timers, &mut own, start + STEP).is_empty());
    }
}
