//! How other threads reach the sockets' thread.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use mio::Waker;
use parking_lot::Mutex;

use super::HandOver;
use super::feed::Source;

/// Sockets that wait to be taken in, at most; whoever comes then is served by its own task.
const MAX_ARRIVALS: usize = 4_096;

/// Sockets that are taken in before others are served again.
const ARRIVALS_IN_TURN: usize = 256;

/// A socket on its way in.
pub(super) type Arrival = (HandOver, Source);

/// What is there for the thread to do.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) arrivals: VecDeque<Arrival>,
    /// There are more of them, for the next turn.
    pub(super) more: bool,
    /// Topics with news. No more than there are topics, because each rings once until it is heard.
    pub(super) bells: Vec<usize>,
    /// Sockets of groups below this have to leave.
    pub(super) leave_below: u16,
    /// Everything has to end.
    pub(super) stop: bool,
}

/// How other threads reach the sockets' thread.
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    waker: Waker,
    /// The thread was woken and has not looked yet: one system call per burst.
    woken: AtomicBool,
    /// Nobody empties it any more.
    closed: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self { mail: Mutex::default(), waker, woken: AtomicBool::new(false), closed: AtomicBool::new(false) }
    }

    /// Whether a socket would be taken in.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.mail.lock().arrivals.len() < MAX_ARRIVALS
    }

    /// Brings a socket. It is dropped, which ends it, when nobody is there to take it.
    pub(super) fn hand_over(&self, arrival: Arrival) {
        let mut mail = self.mail.lock();
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        mail.arrivals.push_back(arrival);
        drop(mail);
        self.wake();
    }

    pub(super) fn leave(&self, below: u16) {
        self.mail.lock().leave_below = below;
        self.wake();
    }

    pub(super) fn stop(&self) {
        self.mail.lock().stop = true;
        self.wake();
    }

    /// Takes out what is there, of arrivals as many as fit in a turn.
    pub(super) fn empty(&self) -> Mail {
        // Before looking: whoever comes after wakes the thread again.
        self.woken.store(false, Ordering::SeqCst);
        let mut mail = self.mail.lock();
        let count = mail.arrivals.len().min(ARRIVALS_IN_TURN);
        let arrivals = mail.arrivals.drain(..count).collect();
        let more = !mail.arrivals.is_empty();
        let bells = mem::take(&mut mail.bells);
        Mail { arrivals, more, bells, leave_below: mail.leave_below, stop: mail.stop }
    }

    /// Nobody empties it from now on.
    pub(super) fn close(&self) {
        let mut mail = self.mail.lock();
        self.closed.store(true, Ordering::Relaxed);
        let arrivals = mem::take(&mut mail.arrivals);
        drop(mail);
        // Outside of the lock: what goes with them may ring a bell.
        drop(arrivals);
    }

    fn ring(&self, topic: usize) {
        self.mail.lock().bells.push(topic);
        self.wake();
    }

    fn wake(&self) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.waker.wake() {
            self.woken.store(false, Ordering::SeqCst);
            tracing::error!(%error, "the thread of event streams can't be woken");
        }
    }
}

/// Tells the thread that a topic has news.
pub(super) struct Bell {
    mailbox: Arc<Mailbox>,
    topic: usize,
    /// It has rung and was not heard yet.
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(mailbox: Arc<Mailbox>, topic: usize) -> Self {
        Self { mailbox, topic, rung: AtomicBool::new(false) }
    }

    /// Before looking for news: what comes after rings again.
    pub(super) fn hear(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.mailbox.ring(self.topic);
        }
    }
}
