//! The body of an event stream: first words, events, heartbeats, an end.
//!
//! It holds no queue: hyper asks when the connection can take more, and then
//! the newest state is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hub::Source;
use hyper::body::{Body, Frame};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use tokio::time::{Instant, Sleep};

use crate::meters::SseMeters;

use super::caps::Permit;

/// A comment: keeps proxies from thinking that the connection is dead.
const HEARTBEAT: &[u8] = b":\n\n";
/// Milliseconds after which a browser connects again, spread so that they don't come all at once.
const RETRY: std::ops::Range<u32> = 1_000..3_000;

pin_project! {
    /// The body of an event stream.
    pub(super) struct EventBody {
        source: Source,
        // Fires for the next heartbeat or the end of the connection's time.
        #[pin]
        alarm: Sleep,
        heartbeat: Duration,
        last_write: Instant,
        expires: Instant,
        begun: bool,
        ended: bool,
        guard: Guard,
        _permit: Permit,
    }
}

/// Counts the connection for as long as it is open.
struct Guard {
    meters: SseMeters,
    ended_by_us: bool,
}

impl Guard {
    fn new(meters: SseMeters) -> Self {
        meters.connections.increment(1.0);
        Self { meters, ended_by_us: false }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.meters.connections.decrement(1.0);
        if !self.ended_by_us {
            self.meters.closed_by_reader.increment(1);
        }
    }
}

impl EventBody {
    /// A body that starts with the newest event of `source` and lives for about `max_age`.
    pub(super) fn new(
        source: Source,
        permit: Permit,
        heartbeat: Duration,
        max_age: Duration,
        meters: SseMeters,
    ) -> Self {
        let now = Instant::now();
        let expires = now + max_age.mul_f64(rand::random_range(0.9..1.1));
        let alarm = tokio::time::sleep_until(expires.min(now + heartbeat));
        let guard = Guard::new(meters);
        Self { source, alarm, heartbeat, last_write: now, expires, begun: false, ended: false, guard, _permit: permit }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let event = this.source.poll_frame(cx);
        if let Poll::Ready(Some(_)) = &event {
            this.guard.meters.events.increment(1);
            *this.last_write = Instant::now();
        }
        if !std::mem::replace(this.begun, true) {
            // In one write with the first event: most readers get all they want at once.
            let mut words = first_words();
            if let Poll::Ready(Some(event)) = &event {
                words.extend_from_slice(event);
            }
            return send(words.into());
        }
        match event {
            Poll::Ready(Some(event)) => return send(event),
            Poll::Ready(None) => {
                (*this.ended, this.guard.ended_by_us) = (true, true);
                this.guard.meters.closed_by_us.increment(1);
                return Poll::Ready(None);
            }
            Poll::Pending => {}
        }
        while this.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= *this.expires {
                (*this.ended, this.guard.ended_by_us) = (true, true);
                this.guard.meters.aged.increment(1);
                return Poll::Ready(None);
            }
            let idle = now - *this.last_write >= *this.heartbeat;
            if idle {
                *this.last_write = now;
            }
            // One alarm for both, set anew only when it fires and not with every event.
            this.alarm.as_mut().reset((*this.last_write + *this.heartbeat).min(*this.expires));
            if idle {
                return send(Bytes::from_static(HEARTBEAT));
            }
        }
        Poll::Pending
    }
}

fn send(bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

/// `: connected` as in classic, and the reader's own `retry:`.
pub(crate) fn first_words() -> Vec<u8> {
    format!(": connected\n\nretry: {}\n\n", rand::random_range(RETRY)).into_bytes()
}
