//! Rooms, their participants and tracks: everything that decides, without sockets or clocks.
//!
//! [`Rooms`] takes what happened (a join, a signal message, a media event, an API call, the time)
//! and queues what follows as [`Output`]s: signal messages, commands for the forwarding engine,
//! webhooks. Not here: SDP and packets (`sfu`), HTTP (`http`), delivery (`webhook`).

mod admin;
mod data;
mod joining;
mod leaving;
mod media;
mod model;
mod publish;
mod requests;
mod subscribe;
mod tick;
mod updates;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use livekit_protocol as proto;
use livekit_protocol::signal_response::Message;
use sfu::{ParticipantId, RoomId, TrackId};

use crate::access::Keyring;
use crate::allowance::Allowance;
use crate::config::{Limits, Timeouts};
use crate::ids::Ids;
use crate::signal::Frame;
use crate::webhook::RoomEvent;
pub(crate) use admin::AdminError;
pub(crate) use joining::JoinError;
use model::{Participant, Room, Track};

/// The time, as both kinds of clock show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For durations.
    pub at: Instant,
    /// For people: milliseconds since 1970.
    pub ms: i64,
}

impl Now {
    /// Seconds since 1970.
    pub(crate) fn seconds(self) -> i64 {
        self.ms / 1000
    }
}

/// One signalling connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId(pub u64);

/// What has to be done because of what happened, in this order.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// Send a message on a connection.
    Signal(ConnId, Arc<Frame>),
    /// Close a connection after what was sent on it.
    Close(ConnId),
    /// Tell the forwarding engine.
    Media(sfu::Command),
    /// Tell the webhook receivers.
    Webhook(Box<RoomEvent>),
}

/// What the rooms are told at the start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Verifies nothing here; signs refreshed tokens.
    pub keys: Keyring,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// Whether a join creates its room.
    pub auto_create: bool,
    /// Id of this server in answers (`ND_...`).
    pub node_id: String,
}

/// How much there is on this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rooms.
    pub rooms: usize,
    /// Participants in them.
    pub participants: usize,
    /// Those of them whose media connection is not up yet.
    pub joining: usize,
    /// Published tracks.
    pub tracks: usize,
}

/// All rooms of this server.
pub(crate) struct Rooms {
    settings: Settings,
    ids: Ids,
    next_id: u64,
    rooms: HashMap<RoomId, Room>,
    names: HashMap<String, RoomId>,
    participants: HashMap<ParticipantId, Participant>,
    sids: HashMap<String, ParticipantId>,
    tracks: HashMap<TrackId, Track>,
    track_sids: HashMap<String, TrackId>,
    conns: HashMap<ConnId, ParticipantId>,
    /// Joins that may still come; made with the first one, since time comes from outside.
    joins: Option<Allowance>,
    out: VecDeque<Output>,
}

impl Rooms {
    /// No rooms yet.
    pub(crate) fn new(settings: Settings, ids: Ids) -> Self {
        Self {
            settings,
            ids,
            next_id: 1,
            rooms: HashMap::new(),
            names: HashMap::new(),
            participants: HashMap::new(),
            sids: HashMap::new(),
            tracks: HashMap::new(),
            track_sids: HashMap::new(),
            conns: HashMap::new(),
            joins: None,
            out: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// How much there is of everything, for metrics.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            rooms: self.rooms.len(),
            participants: self.participants.len(),
            joining: self.joining(),
            tracks: self.tracks.values().filter(|t| t.published).count(),
        }
    }

    /// Participants whose media connection is not up yet.
    fn joining(&self) -> usize {
        self.participants.values().filter(|p| !p.was_active()).count()
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn media(&mut self, command: sfu::Command) {
        self.out.push_back(Output::Media(command));
    }

    /// Sends one message to one participant, if its signalling is up.
    fn send(&mut self, to: ParticipantId, message: Message) {
        if let Some(conn) = self.participants.get(&to).and_then(|p| p.conn) {
            self.out.push_back(Output::Signal(conn, Frame::new(message)));
        }
    }

    /// Queues a room event with everything webhooks always carry.
    fn webhook(&mut self, now: Now, room: RoomId, event: &str, fill: impl FnOnce(&mut proto::WebhookEvent)) {
        let Some(info) = self.rooms.get(&room).map(|r| r.info.clone()) else {
            return;
        };
        let name = info.name.clone();
        let mut event = proto::WebhookEvent {
            event: event.to_owned(),
            room: Some(info),
            id: self.ids.random("EV_"),
            created_at: now.seconds(),
            ..proto::WebhookEvent::default()
        };
        fill(&mut event);
        self.out.push_back(Output::Webhook(Box::new(RoomEvent { room: name, event })));
    }
}
