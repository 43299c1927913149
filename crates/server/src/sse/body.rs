//! The body of an event stream: first words, events, heartbeats, an end.
//!
//! It holds no queue: hyper asks when the connection can take more, and then
//! the newest state is sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hub::{LobbySubscription, Subscription};
use hyper::body::{Body, Frame};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use tokio::time::{Instant, Sleep};

use crate::meters::SseMeters;

/// A comment: keeps proxies from thinking that the connection is dead.
const HEARTBEAT: &[u8] = b":\n\n";
/// Milliseconds after which a browser connects again, spread so that they don't come all at once.
const RETRY: std::ops::Range<u32> = 1_000..3_000;

/// Where events come from.
pub(crate) trait EventSource {
    /// The next event; `None` at the end.
    fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>>;
}

impl EventSource for Subscription {
    fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_frame(cx)
    }
}

impl EventSource for LobbySubscription {
    fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_frame(cx)
    }
}

pin_project! {
    /// The body of an event stream.
    pub(crate) struct EventBody<S> {
        source: S,
        // Fires for the next heartbeat or the end of the connection's time.
        #[pin]
        alarm: Sleep,
        heartbeat: Duration,
        last_write: Instant,
        expires: Instant,
        begun: bool,
        ended: bool,
        guard: Guard,
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

impl<S: EventSource> EventBody<S> {
    /// A body that starts with the newest event of `source` and lives for about `max_age`.
    pub(crate) fn new(source: S, heartbeat: Duration, max_age: Duration, meters: SseMeters) -> Self {
        let now = Instant::now();
        let expires = now + max_age.mul_f64(rand::random_range(0.9..1.1));
        let alarm = tokio::time::sleep_until(expires.min(now + heartbeat));
        let guard = Guard::new(meters);
        Self { source, alarm, heartbeat, last_write: now, expires, begun: false, ended: false, guard }
    }
}

impl<S: EventSource> Body for EventBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let event = this.source.poll_event(cx);
        if let Poll::Ready(Some(_)) = &event {
            this.guard.meters.events.increment(1);
            *this.last_write = Instant::now();
        }
        if !std::mem::replace(this.begun, true) {
            // In one write with the first event: most readers get all they want at once.
            let event = if let Poll::Ready(Some(event)) = event { event } else { Bytes::new() };
            return send(first_words(&event));
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

/// `: connected` as in classic, the reader's own `retry:`, and the first event if there is one.
fn first_words(event: &[u8]) -> Bytes {
    let mut words = format!(": connected\n\nretry: {}\n\n", rand::random_range(RETRY)).into_bytes();
    words.extend_from_slice(event);
    words.into()
}
