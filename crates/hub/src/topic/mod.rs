//! One watched stream: its newest state and who is told of it.
//!
//! Nothing here waits or does I/O. [`crate::registry`] reads the store for a
//! topic, [`crate::dispatch`] brings it the notices.

mod audience;
mod state;
mod subscription;

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use domain::{Head, Identity, Notice, StreamId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::encode::{Encoder, Shape};

use self::audience::{Audience, Told};
use self::state::{Applied, StreamState};
pub use self::subscription::{Position, Subscription};
pub(crate) use self::subscription::{is_behind, open};

/// Notices that arrive while the stream is being read; more of them cause another reading.
const MAX_BUFFERED: usize = 64;

/// One watched stream.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The stream.
    pub(crate) id: StreamId,
    /// Held by whoever reads the store for this topic: one at a time.
    pub(crate) gate: tokio::sync::Mutex<()>,
    /// Everything else.
    pub(crate) inner: Mutex<Inner>,
}

/// How far the state can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The store does not tell us of the stream.
    Unwatched,
    /// The store tells us, but we have no reading, or missed something since.
    Stale,
    /// Current, and kept so by notices.
    Current,
}

/// The changing part of a topic.
#[derive(Debug)]
pub(crate) struct Inner {
    /// How far `state` can be trusted.
    pub(crate) trust: Trust,
    /// The newest known state; `None` when there is no such stream or it was never read.
    state: Option<StreamState>,
    /// Rises with every new state, in this process only; what subscribers remember.
    seq: u64,
    /// How often the stream has vanished, or begun anew as a private one; ends the subscriptions of before.
    closings: u64,
    /// Notices since the reading under way began; `None` when none is.
    buffer: Option<Buffer>,
    /// The newest encoding of each shape and the `seq` it shows.
    frames: [Option<(u64, Bytes)>; Shape::COUNT],
    /// Who watches, by shape.
    audiences: [Audience; Shape::COUNT],
    /// Subscribers, and those about to be: the topic is kept while there are any.
    pub(crate) leases: usize,
    /// Since when `leases` is zero.
    pub(crate) idle_since: Instant,
    /// It waits in the registry's queue of idle topics.
    pub(crate) queued: bool,
    /// A task is reading it again.
    pub(crate) refreshing: bool,
}

#[derive(Debug, Default)]
struct Buffer {
    notices: VecDeque<Notice>,
    /// Some were dropped.
    overflowed: bool,
}

/// What is to be done after a topic was changed, once its lock is free.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Then {
    /// To be woken.
    pub(crate) wake: Vec<Waker>,
    /// Others are to be woken then, by [`Inner::release`].
    pub(crate) hold: Option<Instant>,
    /// To be read again.
    pub(crate) refresh: bool,
}

impl Then {
    /// What is to be done about several audiences: wake some now, and look after the first of the others.
    fn from_outcomes(outcomes: impl Iterator<Item = Told>) -> Self {
        let mut then = Self::default();
        for outcome in outcomes {
            match outcome {
                Told::Now(wakers) => then.wake.extend(wakers),
                Told::Later(due) => then.hold = Some(then.hold.map_or(due, |hold| hold.min(due))),
                Told::Already => {}
            }
        }
        then
    }
}

impl Topic {
    pub(crate) fn new(id: StreamId) -> Self {
        let inner = Inner {
            trust: Trust::Unwatched,
            state: None,
            seq: 0,
            closings: 0,
            buffer: None,
            frames: [None, None],
            audiences: [Audience::new(Shape::Full), Audience::new(Shape::Summary)],
            leases: 0,
            idle_since: Instant::now(),
            queued: false,
            refreshing: false,
        };
        Self { id, gate: tokio::sync::Mutex::new(()), inner: Mutex::new(inner) }
    }
}

impl Inner {
    /// A reading begins: notices from now on are kept for it.
    pub(crate) fn begin_reading(&mut self) {
        self.buffer = Some(Buffer::default());
    }

    /// The reading failed; the next one sees whatever arrives until then.
    pub(crate) fn abort_reading(&mut self) {
        self.buffer = None;
    }

    /// The reading succeeded. `refresh` in the answer: something was missed meanwhile, read once more.
    pub(crate) fn install(&mut self, reading: Option<(Head, Vec<Identity>)>) -> Then {
        let buffer = self.buffer.take().unwrap_or_default();
        let before = (self.seq, self.closings);
        match (StreamState::from_reading(reading), &self.state) {
            (None, _) => self.vanish(),
            (Some(read), Some(known)) if !known.is_older_than(&read) => {}
            (Some(read), _) => self.replace(read),
        }
        self.trust = if self.state.is_some() { Trust::Current } else { Trust::Stale };
        let mut again = buffer.overflowed;
        for notice in buffer.notices {
            again |= self.apply(notice) == Applied::Hole;
        }
        if again {
            self.trust = Trust::Stale;
        }
        let then = match before {
            (_, closings) if closings != self.closings => self.wake_all(),
            (seq, _) if seq != self.seq => self.tell(),
            _ => Then::default(),
        };
        Then { refresh: again, ..then }
    }

    /// The store published something about this stream.
    pub(crate) fn receive(&mut self, notice: Notice) -> Then {
        if let Some(buffer) = &mut self.buffer {
            if buffer.notices.len() < MAX_BUFFERED {
                buffer.notices.push_back(notice);
            } else {
                buffer.overflowed = true;
            }
            return Then::default();
        }
        if self.trust != Trust::Current {
            // A reading that starts later will show what this says.
            return Then::default();
        }
        match self.apply(notice) {
            Applied::Known => Then::default(),
            Applied::Hole => self.distrust(),
            Applied::Changed => self.tell(),
            Applied::Removed => self.wake_all(),
        }
    }

    /// The time has come for those who were held back.
    pub(crate) fn release(&mut self) -> Then {
        let now = Instant::now();
        Then::from_outcomes(self.audiences.iter_mut().map(|audience| audience.release(now)))
    }

    /// There is a new state.
    fn tell(&mut self) -> Then {
        let now = Instant::now();
        Then::from_outcomes(self.audiences.iter_mut().map(|audience| audience.tell(now)))
    }

    /// There is none any more: nothing is to be gained by waiting.
    fn wake_all(&mut self) -> Then {
        let wake = self.audiences.iter_mut().flat_map(|audience| audience.slots.take_waiting()).collect();
        Then { wake, ..Then::default() }
    }

    /// Something may have been missed: what is known is shown until it has been read again.
    pub(crate) fn distrust(&mut self) -> Then {
        if let Some(buffer) = &mut self.buffer {
            buffer.overflowed = true;
        }
        if self.trust == Trust::Current {
            self.trust = Trust::Stale;
        }
        Then { refresh: self.needs_refresh(), ..Then::default() }
    }

    /// Subscribers are shown something that must be read again.
    pub(crate) fn needs_refresh(&self) -> bool {
        self.trust == Trust::Stale && self.state.is_some() && self.leases > 0
    }

    /// How many watch, on either path.
    pub(crate) fn subscribers(&self) -> usize {
        self.audiences.iter().map(Audience::len).sum()
    }

    /// Who watches in `shape`.
    pub(crate) fn audience(&mut self, shape: Shape) -> &mut Audience {
        &mut self.audiences[shape.index()]
    }

    /// Those who wait and leave with a group below `group`.
    pub(crate) fn take_leaving(&mut self, group: u16) -> Vec<Waker> {
        self.audiences.iter_mut().flat_map(|audience| audience.slots.take_leaving(group)).collect()
    }

    /// Nobody watches any more: forget it.
    pub(crate) fn retire(&mut self) {
        self.trust = Trust::Unwatched;
        self.state = None;
        self.buffer = None;
        self.frames = [None, None];
    }

    /// The newest state in `shape`, if it is newer than `seen`, and its number.
    pub(crate) fn frame_after(&mut self, seen: u64, shape: Shape, encoder: &dyn Encoder) -> Option<(u64, Bytes)> {
        let state = self.state.as_ref().filter(|_| self.seq > seen)?;
        let cached = &mut self.frames[shape.index()];
        match cached {
            Some((seq, bytes)) if *seq == self.seq => Some((self.seq, bytes.clone())),
            _ => {
                let bytes = encoder.state(shape, &state.view, &state.people);
                self.audiences[shape.index()].note_size(bytes.len());
                *cached = Some((self.seq, bytes.clone()));
                Some((self.seq, bytes))
            }
        }
    }

    fn apply(&mut self, notice: Notice) -> Applied {
        let Some(state) = &mut self.state else { return Applied::Hole };
        let before = state.view.started_at;
        let applied = state.apply(notice);
        match applied {
            Applied::Changed => {
                self.closings += u64::from(state.is_closed_to_watchers_of(before));
                self.seq += 1;
            }
            Applied::Removed => self.vanish(),
            Applied::Known | Applied::Hole => {}
        }
        applied
    }

    fn replace(&mut self, state: StreamState) {
        let before = self.state.as_ref().map(|state| state.view.started_at);
        self.closings += u64::from(before.is_some_and(|before| state.is_closed_to_watchers_of(before)));
        self.state = Some(state);
        self.seq += 1;
    }

    fn vanish(&mut self) {
        self.trust = Trust::Stale;
        if self.state.take().is_some() {
            self.closings += 1;
        }
    }
}
