//! Telling a room what changed: participants, the room itself, quality.
//!
//! Changes of publishers and changes people wait for go out at once. Comings and goings of
//! viewers are gathered, so that a crowd does not cost the square of its size.

use std::time::Duration;

use livekit_protocol as proto;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use sfu::{ParticipantId, RoomId};

use super::{Now, Output, Rooms};
use crate::signal::Frame;

/// Longest time a change of a viewer waits for others to be sent with it.
const GATHER: Duration = Duration::from_secs(1);

/// Longest time a changed participant count waits.
const GATHER_ROOM: Duration = Duration::from_secs(3);

impl Rooms {
    /// The public form of a participant with all its published tracks.
    pub(super) fn info(&self, id: ParticipantId) -> proto::ParticipantInfo {
        let p = &self.participants[&id];
        let published = p.tracks.iter().filter_map(|t| self.tracks.get(t)).filter(|t| t.published);
        p.info(published.map(|t| t.info.clone()).collect())
    }

    /// Moves a participant's state forward.
    pub(super) fn set_state(&mut self, id: ParticipantId, state: State) {
        if let Some(p) = self.participants.get_mut(&id)
            && (p.state as i32) < (state as i32)
        {
            p.state = state;
            p.version += 1;
        }
    }

    /// Tells the room that a participant changed: at once if it publishes, else gathered.
    pub(super) fn announce(&mut self, now: Now, id: ParticipantId) {
        if self.info(id).is_publisher {
            self.announce_now(now, id);
        } else if let Some(room) = self.queue_update(id) {
            self.flush_if_due(now, room);
        }
    }

    /// Tells the room that a participant changed, at once.
    pub(super) fn announce_now(&mut self, now: Now, id: ParticipantId) {
        if let Some(room) = self.queue_update(id) {
            self.flush(now, room);
        }
    }

    /// Tells the room that somebody left.
    pub(super) fn announce_gone(&mut self, now: Now, room: RoomId, info: proto::ParticipantInfo) {
        let published = info.is_publisher;
        self.queue_info(room, info);
        if published {
            self.flush(now, room);
        } else {
            self.flush_if_due(now, room);
        }
    }

    /// A change was made: the next public form is a new version of it.
    pub(super) fn touch(&mut self, id: ParticipantId) {
        if let Some(p) = self.participants.get_mut(&id) {
            p.version += 1;
        }
    }

    fn queue_update(&mut self, id: ParticipantId) -> Option<RoomId> {
        let p = self.participants.get(&id)?;
        let (room, hidden) = (p.room, p.permission.hidden);
        let info = self.info(id);
        if hidden {
            self.send(id, Message::Update(proto::ParticipantUpdate { participants: vec![info] }));
            return None;
        }
        self.queue_info(room, info);
        Some(room)
    }

    fn queue_info(&mut self, room: RoomId, info: proto::ParticipantInfo) {
        let Some(room) = self.rooms.get_mut(&room) else {
            return;
        };
        match room.pending.iter_mut().find(|p| p.sid == info.sid) {
            Some(waiting) => *waiting = info,
            None => room.pending.push(info),
        }
    }

    /// Sends gathered changes unless some were sent a moment ago.
    pub(super) fn flush_if_due(&mut self, now: Now, room: RoomId) {
        if self.rooms.get(&room).is_some_and(|r| !r.pending.is_empty() && now.at >= r.flushed + GATHER) {
            self.flush(now, room);
        }
    }

    fn flush(&mut self, now: Now, room: RoomId) {
        let Some(entry) = self.rooms.get_mut(&room) else {
            return;
        };
        entry.flushed = now.at;
        let participants = std::mem::take(&mut entry.pending);
        self.broadcast(room, Message::Update(proto::ParticipantUpdate { participants }));
    }

    /// Sends one message to everybody in a room.
    pub(super) fn broadcast(&mut self, room: RoomId, message: Message) {
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        let frame = Frame::new(message);
        let conns = entry.members.iter().filter_map(|m| self.participants.get(m)?.conn);
        self.out.extend(conns.map(|conn| Output::Signal(conn, frame.clone())));
    }

    /// Brings the counts of a room up to date; the room is told soon.
    pub(super) fn recount(&mut self, now: Now, room: RoomId) {
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        let people = entry.members.iter().filter_map(|m| self.participants.get(m)).filter(|p| !p.is_dependent());
        let (mut count, mut publishers) = (0, 0);
        for p in people {
            count += 1;
            publishers += u32::from(p.tracks.iter().any(|t| self.tracks.get(t).is_some_and(|t| t.published)));
        }
        if let Some(entry) = self.rooms.get_mut(&room)
            && (entry.info.num_participants, entry.info.num_publishers) != (count, publishers)
        {
            entry.info.num_participants = count;
            entry.info.num_publishers = publishers;
            entry.info_dirty.get_or_insert(now.at);
        }
    }

    /// Tells a room its new counts when they are old enough.
    pub(super) fn flush_room_if_due(&mut self, now: Now, room: RoomId) {
        if self.rooms.get(&room).is_some_and(|r| r.info_dirty.is_some_and(|since| now.at >= since + GATHER_ROOM)) {
            self.flush_room(room);
        }
    }

    /// Tells a room about itself.
    pub(super) fn flush_room(&mut self, room: RoomId) {
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.info_dirty = None;
            let room_info = Some(entry.info.clone());
            self.broadcast(room, Message::RoomUpdate(proto::RoomUpdate { room: room_info }));
        }
    }
}
