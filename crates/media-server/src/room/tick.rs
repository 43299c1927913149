//! What happens because time passes.

use livekit_protocol::leave_request::Action;
use livekit_protocol::{DisconnectReason, RoomEndReason};
use std::time::Duration;

use super::{Now, Rooms};

impl Rooms {
    /// Does everything that is due. Called a few times per second.
    pub(crate) fn tick(&mut self, now: Now) {
        let participants: Vec<_> = self.participants.keys().copied().collect();
        for id in participants {
            let p = &self.participants[&id];
            if let Some((_, reason)) = p.deadline.filter(|(at, _)| now.at >= *at) {
                self.remove(now, id, reason, Some(action_after(reason)));
                continue;
            }
            let held = p.held_offer.as_ref().is_some_and(|(until, _)| now.at >= *until);
            if now.at >= p.refresh_at {
                self.refresh_token(now, id);
            }
            if held {
                self.release_offer(id);
            }
            self.give_up_waiting(now, id);
        }
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.flush_if_due(now, room);
            self.flush_room_if_due(now, room);
            if self.is_over(now, room) {
                self.close_room(now, room, DisconnectReason::RoomClosed, RoomEndReason::RoomEndIdleTimeout);
            }
        }
    }

    /// Whether nobody who counts was in a room for long enough.
    fn is_over(&self, now: Now, room: sfu::RoomId) -> bool {
        let room = &self.rooms[&room];
        let seconds = |s: u32| Duration::from_secs(s.into());
        match room.deserted {
            Some(since) => now.at >= since + seconds(room.info.departure_timeout),
            None => !room.visited && now.at >= room.created + seconds(room.info.empty_timeout),
        }
    }
}

/// What a client whose time is over should do if it still listens.
fn action_after(reason: DisconnectReason) -> Action {
    match reason {
        DisconnectReason::ConnectionTimeout | DisconnectReason::JoinFailure => Action::Reconnect,
        _ => Action::Disconnect,
    }
}
