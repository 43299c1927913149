//! Handed-over sockets: one thread that sends the same bytes to all of a topic.
//!
//! A server hands over a connection's socket together with the subscription
//! that its reader asked for; from then on no task, no buffer and no future is
//! behind it, only a cursor. The thread owns the socket until its end, and with
//! it whatever counts it (the permit). HTTP is known here as far as an event
//! stream's chunks go; heads are made by the server.

mod chunk;
mod conn;
mod engine;
mod feed;
mod mailbox;
mod meters;
mod roster;

use std::any::Any;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mio::{Poll, Waker};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::engine::{Engine, MAILBOX};
use self::mailbox::Mailbox;
use self::meters::Meters;

pub(crate) use self::feed::FeedKey;
pub use self::feed::Source;

/// The scan over all connections begins again this often, at most and at least.
const SCANS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Scans in the shortest time that they look for.
const SCANS_IN_TIME: u32 = 8;

/// How handed-over sockets are looked after.
#[derive(Debug, Clone)]
pub struct SocketSettings {
    /// An idle connection gets a comment after this long, or up to a second later.
    pub heartbeat: Duration,
    /// A connection whose reader takes nothing for this long is cut.
    pub write_timeout: Duration,
    /// A connection is ended after this long, give or take a tenth.
    pub max_age: Duration,
}

impl SocketSettings {
    fn scan_interval(&self) -> Duration {
        let shortest = self.heartbeat.min(self.write_timeout).min(self.max_age);
        (shortest / SCANS_IN_TIME).clamp(SCANS.0, SCANS.1)
    }
}

/// A connection that is handed over.
pub struct HandOver {
    /// Its socket, non-blocking, with everything before the response written.
    pub socket: TcpStream,
    /// The head of the response, to its empty line; it must announce chunks.
    pub head: Bytes,
    /// What comes before the first event, without a chunk's frame.
    pub first_words: Bytes,
    /// Held as long as the connection is open.
    pub permit: Box<dyn Any + Send>,
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The thread of handed-over sockets, from outside.
pub(crate) struct Sockets {
    mailbox: Arc<Mailbox>,
    /// Resolves when the thread has ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("open", &self.mailbox.is_open()).finish()
    }
}

impl Sockets {
    /// Starts the thread.
    pub(crate) fn start(settings: SocketSettings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(Waker::new(poll.registry(), MAILBOX)?));
        let (end, ended) = oneshot::channel();
        let thread_mailbox = Arc::clone(&mailbox);
        thread::Builder::new().name("event-streams".to_owned()).spawn(move || {
            supervise(poll, &thread_mailbox, &settings);
            thread_mailbox.close();
            drop(end);
        })?;
        Ok(Self { mailbox, ended: Mutex::new(Some(ended)) })
    }

    /// Whether a socket would be taken in now.
    pub(crate) fn are_open(&self) -> bool {
        self.mailbox.is_open()
    }

    /// Hands a socket over; it is ended when nobody can take it any more.
    pub(crate) fn hand_over(&self, hand_over: HandOver, source: Source) {
        self.mailbox.hand_over((hand_over, source));
    }

    /// Ends the sockets of groups below this.
    pub(crate) fn leave(&self, below: u16) {
        self.mailbox.leave(below);
    }

    /// Ends all sockets and the thread, and waits for it.
    pub(crate) async fn close(&self) {
        self.mailbox.stop();
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            // Nothing is ever sent: the sender goes with the thread.
            let _ = ended.await;
        }
    }
}

impl Drop for Sockets {
    /// The last who could hand something over has gone. The thread may be the one that drops it: no waiting.
    fn drop(&mut self) {
        self.mailbox.stop();
    }
}

/// Serves until told to stop. A panic ends all connections, whose readers come
/// back by themselves; none is left open and silent. Then it goes on with new ones.
fn supervise(mut poll: Poll, mailbox: &Arc<Mailbox>, settings: &SocketSettings) {
    let meters = Meters::new();
    loop {
        let serve = AssertUnwindSafe(|| Engine::new(&mut poll, mailbox, settings, &meters).run());
        match catch_unwind(serve) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                return tracing::error!(%error, "handed-over event streams have ended; new ones are served by tasks");
            }
            Err(_) => {
                meters.panics.increment(1);
                tracing::error!("the thread of event streams panicked; all its connections have ended, it goes on");
            }
        }
    }
}
