//! Leaving: by the client's wish, by force, by silence; closing rooms; the server's own end.

use std::time::Duration;

use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use livekit_protocol::{DisconnectReason, RoomEndReason};
use sfu::{ParticipantId, RoomId};

use super::joining::leave;
use super::{ConnId, Now, Output, Rooms};

/// Time a session without signalling has to return before its media ever worked.
const SIGNAL_GRACE: Duration = Duration::from_secs(15);

impl Rooms {
    /// A connection ended without goodbye. The session stays: clients resume.
    pub(crate) fn signal_closed(&mut self, now: Now, conn: ConnId) {
        let Some(id) = self.conns.remove(&conn) else {
            return;
        };
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        p.conn = None;
        if !p.was_active() {
            p.deadline = Some((now.at + SIGNAL_GRACE, DisconnectReason::SignalClose));
        }
    }

    /// Ends a session. `tell` is the Leave it gets; without one its connection just closes.
    pub(super) fn remove(&mut self, now: Now, id: ParticipantId, reason: DisconnectReason, tell: Option<Action>) {
        if !self.participants.contains_key(&id) {
            return;
        }
        if let Some(action) = tell {
            self.send(id, Message::Leave(leave(reason, action)));
        }
        self.drop_connection(id);
        for track in self.participants[&id].tracks.clone() {
            self.remove_track(now, track);
        }
        self.drop_subscriptions(id);
        self.media(sfu::Command::RemoveParticipant(id));
        self.forget(now, id, reason);
    }

    fn drop_connection(&mut self, id: ParticipantId) {
        if let Some(conn) = self.participants.get_mut(&id).and_then(|p| p.conn.take()) {
            self.conns.remove(&conn);
            self.out.push_back(Output::Close(conn));
        }
    }

    /// Takes a session that holds nothing any more out of its room and tells the others.
    fn forget(&mut self, now: Now, id: ParticipantId, reason: DisconnectReason) {
        let Some(mut p) = self.participants.remove(&id) else {
            return;
        };
        let was_active = p.was_active();
        p.state = State::Disconnected;
        p.version += 1;
        let mut info = p.info(Vec::new());
        info.disconnect_reason = reason.into();
        self.sids.remove(&p.sid);
        if let Some(room) = self.rooms.get_mut(&p.room) {
            room.members.remove(&id);
            room.identities.remove(&p.identity);
        }
        self.recount(now, p.room);
        self.desert(now, p.room);
        let event = if was_active { "participant_left" } else { "participant_connection_aborted" };
        self.webhook(now, p.room, event, |e| e.participant = Some(info.clone()));
        if !p.permission.hidden {
            self.announce_gone(now, p.room, info);
        }
    }

    /// Starts the departure timeout when the last one who counts is gone.
    fn desert(&mut self, now: Now, room: RoomId) {
        let Some(entry) = self.rooms.get_mut(&room) else {
            return;
        };
        let alive = entry.members.iter().any(|m| self.participants.get(m).is_some_and(|p| !p.is_dependent()));
        if !alive && entry.visited && entry.deserted.is_none() {
            entry.deserted = Some(now.at);
        }
    }

    /// Closes a room: everybody is told why, `room_finished` is the last event.
    pub(super) fn close_room(&mut self, now: Now, room: RoomId, reason: DisconnectReason, end: RoomEndReason) {
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        let name = entry.info.name.clone();
        for member in entry.members.clone() {
            self.remove(now, member, reason, Some(Action::Disconnect));
        }
        self.webhook(now, room, "room_finished", |e| e.room_end_reason = end.into());
        self.names.remove(&name);
        self.rooms.remove(&room);
    }

    /// Says goodbye to everybody so that they come back: to clients and webhook receivers a stop
    /// of this server looks like a network cut.
    pub(crate) fn shutdown(&mut self) {
        let everybody: Vec<_> = self.participants.keys().copied().collect();
        for id in everybody {
            self.send(id, Message::Leave(leave(DisconnectReason::ServerShutdown, Action::Reconnect)));
            self.drop_connection(id);
        }
    }
}
