//! Those who watch a stream in one shape, on either path, and when they are told of a new state.

use std::task::Waker;

use tokio::time::Instant;

use crate::coalesce::window;
use crate::encode::Shape;
use crate::slots::Slots;

/// Those who watch a stream in one shape.
#[derive(Debug)]
pub(crate) struct Audience {
    shape: Shape,
    /// The subscribers that wait by themselves, and the feeds.
    pub(crate) slots: Slots,
    /// Subscriptions among them that each serve all handed-over sockets.
    pub(crate) feeds: usize,
    /// Subscribers whose sockets were handed over.
    pub(crate) sockets: usize,
    /// Length of the newest encoded state.
    size: usize,
    /// When they were told last.
    told: Option<Instant>,
    /// They have not been told of the newest state and will be.
    held: bool,
}

/// Whether an audience is told of a new state.
#[derive(Debug)]
pub(super) enum Told {
    /// These are to be woken.
    Now(Vec<Waker>),
    /// Not before then.
    Later(Instant),
    /// That was said before.
    Already,
}

impl Audience {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, slots: Slots::default(), feeds: 0, sockets: 0, size: 0, told: None, held: false }
    }

    /// How many watch.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.feeds + self.sockets
    }

    pub(super) fn note_size(&mut self, size: usize) {
        self.size = size;
    }

    /// The time for which they were held back is over, or so the timer thinks.
    pub(super) fn release(&mut self, now: Instant) -> Told {
        if std::mem::take(&mut self.held) { self.tell(now) } else { Told::Already }
    }

    /// There is a new state: now, or when the window since the last one is over.
    pub(super) fn tell(&mut self, now: Instant) -> Told {
        let window = window(self.shape, self.size, self.len());
        match self.told.map(|told| told + window).filter(|due| *due > now) {
            Some(due) if !std::mem::replace(&mut self.held, true) => Told::Later(due),
            Some(_) => Told::Already,
            None => {
                self.held = false;
                let waiting = self.slots.take_waiting();
                // Nothing begins when nobody waits: whoever is busy looks by themselves.
                if !waiting.is_empty() {
                    self.told = Some(now);
                }
                Told::Now(waiting)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_large_audience_is_told_at_once_and_then_once_per_window() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut audience = Audience::new(Shape::Full);
        assert!(matches!(audience.tell(now), Told::Now(_)), "nobody is there yet");
        let slot = audience.slots.insert(0);
        audience.feeds = 1;
        let wait = |audience: &mut Audience| audience.slots.register(slot, &Context::from_waker(Waker::noop()));
        wait(&mut audience);
        // Together 20 MiB, which is 100 ms of the rate.
        (audience.sockets, audience.size) = (1_024, 20 * 1024);
        assert!(matches!(audience.tell(at(0)), Told::Now(wakers) if wakers.len() == 1));
        wait(&mut audience);
        assert!(matches!(audience.tell(at(10)), Told::Later(due) if due == at(100)));
        assert!(matches!(audience.tell(at(50)), Told::Already));
        // More readers came, and the window is longer than was thought.
        audience.sockets = 2_048;
        assert!(matches!(audience.release(at(100)), Told::Later(due) if due == at(200)));
        assert!(matches!(audience.release(at(200)), Told::Now(_)), "the last state goes out");
        assert!(matches!(audience.release(at(500)), Told::Already), "there is nothing more to tell");
        assert!(matches!(audience.tell(at(700)), Told::Now(_)), "after a pause nobody waits");
    }

    #[test]
    fn a_small_audience_is_always_told_at_once() {
        let mut audience = Audience::new(Shape::Full);
        (audience.sockets, audience.size) = (5_000, 500);
        let now = Instant::now();
        assert!((0..10).all(|_| matches!(audience.tell(now), Told::Now(_))));
    }
}
