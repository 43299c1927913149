//! An event stream that has not begun: whoever takes it serves it.
//!
//! The response of a route is complete, with a body that works on every kind of
//! connection. Beside it lies the [`Ticket`]; where the connection allows it,
//! [`crate::serve`] takes the stream out of it and hands it over together with
//! the socket. Either takes it once, so there is one subscription and one path.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hub::Source;
use hyper::body::{Body as HttpBody, Frame};
use parking_lot::Mutex;

use crate::state::AppState;

use super::body::EventBody;
use super::caps::Permit;
use super::overseer::{Overseer, Pulse};

/// What it takes to serve an event stream.
pub(crate) struct Opening {
    /// Where its events come from.
    pub(crate) source: Source,
    /// Counts it for as long as it is open.
    pub(crate) permit: Permit,
}

/// An event stream that nobody serves yet. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Ticket {
    opening: Arc<Mutex<Option<Opening>>>,
    pulse: Arc<Pulse>,
}

impl Ticket {
    pub(crate) fn new(opening: Opening) -> Self {
        Self { opening: Arc::new(Mutex::new(Some(opening))), pulse: Arc::new(Pulse::new()) }
    }

    /// Takes the stream; `None` when somebody did.
    pub(crate) fn take(&self) -> Option<Opening> {
        self.opening.lock().take()
    }

    /// Has it looked after while its body serves it.
    pub(crate) fn oversee(self, overseer: &Overseer) {
        overseer.add(&self.pulse);
    }

    /// The body that serves it, unless it is taken before the body is first polled.
    pub(crate) fn body(&self, state: AppState) -> Body {
        Body::new(LazyBody { ticket: self.clone(), state, begun: None })
    }
}

/// Begins when it is polled. Dropped before that it has cost nothing.
struct LazyBody {
    ticket: Ticket,
    state: AppState,
    begun: Option<Pin<Box<EventBody>>>,
}

impl LazyBody {
    fn begin(&mut self) -> Option<&mut Pin<Box<EventBody>>> {
        if self.begun.is_none() {
            let Opening { source, permit } = self.ticket.take()?;
            let config = &self.state.config;
            let meters = if source.is_lobby() { &self.state.meters.lobby } else { &self.state.meters.streams };
            let body = EventBody::new(source, permit, config.sse_heartbeat, config.sse_max_age, meters.clone());
            self.begun = Some(Box::pin(body));
        }
        self.begun.as_mut()
    }
}

impl HttpBody for LazyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ticket.pulse.beat();
        match self.begin() {
            Some(body) => body.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}
