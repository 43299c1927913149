//! What the sockets of one topic are fed with: encoded and framed once, shared by all.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::encode::Shape;
use crate::lobby::LobbySubscription;
use crate::topic::Subscription;

use super::chunk::chunk;

/// Catch-ups of the lobby that are kept to be shared; readers that are further behind are rare.
const MAX_BATCHES: usize = 8;

/// A subscription, of either kind.
#[derive(Debug)]
pub enum Source {
    /// To a stream.
    Stream(Subscription),
    /// To the lobby.
    Lobby(LobbySubscription),
}

/// Names what is sent: sources with the same key are one feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FeedKey {
    Stream {
        /// Address of the topic, which is kept as long as its feed.
        topic: usize,
        shape: Shape,
        /// A stream that was made anew is fed anew.
        closings: u64,
    },
    Lobby {
        limit: usize,
    },
}

impl From<Subscription> for Source {
    fn from(subscription: Subscription) -> Self {
        Self::Stream(subscription)
    }
}

impl From<LobbySubscription> for Source {
    fn from(subscription: LobbySubscription) -> Self {
        Self::Lobby(subscription)
    }
}

impl Source {
    /// The next event; `None` at the end. See [`Subscription::poll_frame`].
    pub fn poll_frame(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Stream(subscription) => subscription.poll_frame(cx),
            Self::Lobby(subscription) => subscription.poll_frame(cx),
        }
    }

    /// Whether this is the lobby.
    pub fn is_lobby(&self) -> bool {
        matches!(self, Self::Lobby(_))
    }

    pub(super) fn key(&self) -> FeedKey {
        match self {
            Self::Stream(subscription) => subscription.key(),
            Self::Lobby(subscription) => subscription.key(),
        }
    }

    /// What its reader has been sent; 0 is nothing.
    pub(super) fn seen(&self) -> u64 {
        match self {
            Self::Stream(subscription) => subscription.seen(),
            Self::Lobby(subscription) => subscription.seen().map_or(0, lobby_mark),
        }
    }

    fn become_feed(&mut self) {
        match self {
            Self::Stream(subscription) => subscription.become_feed(),
            Self::Lobby(subscription) => subscription.become_feed(),
        }
    }
}

/// The lobby's numbers begin with 0, and 0 is nothing here.
fn lobby_mark(seq: u64) -> u64 {
    seq + 1
}

/// What a look at the source showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing new.
    Nothing,
    /// There is something to send.
    Changed,
    /// The stream is gone.
    Over,
}

/// What the sockets of one topic are fed with.
#[derive(Debug)]
pub(super) struct Feed {
    source: Source,
    /// Mark of the newest there is to send; 0 while there is nothing.
    newest: u64,
    /// What was framed for the newest: from which mark it leads there, and its chunk.
    framed: Vec<(Option<u64>, Bytes)>,
}

impl Feed {
    pub(super) fn new(mut source: Source) -> Self {
        source.become_feed();
        Self { source, newest: 0, framed: Vec::new() }
    }

    pub(super) fn is_lobby(&self) -> bool {
        self.source.is_lobby()
    }

    /// A socket came (`true`) or went.
    pub(super) fn count_socket(&self, came: bool) {
        match &self.source {
            Source::Stream(subscription) => subscription.count_socket(came),
            Source::Lobby(subscription) => subscription.count_socket(came),
        }
    }

    /// Looks for news, and has the context woken at the next.
    pub(super) fn look(&mut self, cx: &Context<'_>) -> News {
        let mut news = News::Nothing;
        loop {
            let polled = match &mut self.source {
                Source::Stream(subscription) => subscription.poll_numbered(cx).map(|frame| {
                    let (seq, event) = frame?;
                    Some((seq, vec![(None, chunk(&event))]))
                }),
                Source::Lobby(subscription) => {
                    subscription.poll_news(cx).map(|seq| Some((lobby_mark(seq), Vec::new())))
                }
            };
            match polled {
                Poll::Pending => return news,
                Poll::Ready(None) => return News::Over,
                Poll::Ready(Some((newest, framed))) => {
                    (self.newest, self.framed) = (newest, framed);
                    news = News::Changed;
                }
            }
        }
    }

    /// What a reader who has seen `seen` is to be sent, and what it has seen then.
    pub(super) fn after(&mut self, seen: u64) -> Option<(u64, Bytes)> {
        if seen >= self.newest {
            return None;
        }
        let known = self.framed.iter().find(|(from, _)| from.is_none_or(|from| from == seen));
        if let Some((_, chunk)) = known {
            return Some((self.newest, chunk.clone()));
        }
        let Source::Lobby(subscription) = &self.source else { return None };
        let (seq, events) = subscription.batch(seen.checked_sub(1))?;
        let (mark, chunk) = (lobby_mark(seq), chunk(&events));
        // The lobby may have moved on since the last look; that is sent too, but not kept.
        if mark == self.newest && self.framed.len() < MAX_BATCHES {
            self.framed.push((Some(seen), chunk.clone()));
        }
        Some((mark, chunk))
    }
}
