//! Who is told what: notices of durable steps, to the one receiver.

use std::collections::HashSet;

use domain::{Notice, StreamId};
use parking_lot::Mutex;

use crate::feed::{Feed, for_lobby};
use crate::{NoticeEvent, Watch};

/// What is watched, and the receiver.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// The receiver's queue.
    pub(super) feed: Feed,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    streams: HashSet<StreamId>,
    lobby: bool,
}

impl Notices {
    /// Starts or stops telling about `what`.
    pub(super) fn watch(&self, what: Watch<'_>, on: bool) {
        let mut watched = self.watched.lock();
        match (what, on) {
            (Watch::Lobby, _) => watched.lobby = on,
            (Watch::Stream(id), true) => drop(watched.streams.insert(id.clone())),
            (Watch::Stream(id), false) => drop(watched.streams.remove(id)),
        }
    }

    /// Tells whoever watches.
    pub(super) fn publish(&self, notice: Notice) {
        let (stream, lobby) = {
            let watched = self.watched.lock();
            (watched.streams.contains(&notice.id), watched.lobby)
        };
        if lobby {
            self.feed.send(NoticeEvent::Lobby(for_lobby(&notice)));
        }
        if stream {
            self.feed.send(NoticeEvent::Stream(notice));
        }
    }
}
