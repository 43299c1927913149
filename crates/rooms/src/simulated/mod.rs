//! A LiveKit server in memory, for tests: [`Rooms`] with rooms, people and
//! tracks, the webhooks a real server would send, and the failures a real one
//! has. Same seed and same calls give the same ids and events; there is no
//! clock and no socket.
//!
//! It moves no media and signs nobody in; nothing in the shipped program uses it.

mod api;
mod controls;
mod events;
mod ids;
mod world;

use domain::{Identity, Kind, ParticipantSid, Role, RoomEvent, RoomName, Timestamp, TrackSid};
use parking_lot::Mutex;

pub use controls::{Call, Calls};
pub use events::{sign_webhook, signed_webhook, webhook_body};

use controls::Controls;
use world::World;

use crate::{RoomSpec, TrackSource};

/// LiveKit in memory.
///
/// What people do is done with the methods here; each returns the events LiveKit would send for it.
/// Events that API calls cause (`room_started` of CreateRoom and so on) wait in [`take_events`](Self::take_events).
#[derive(Debug)]
pub struct SimulatedLiveKit {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The rooms as they are.
    world: World,
    /// What goes wrong, and what was called.
    controls: Controls,
    /// Events caused by API calls and not yet taken.
    outbox: Vec<RoomEvent>,
}

/// Somebody who comes into a room.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The person or program.
    pub identity: Identity,
    /// Display name.
    pub name: String,
    /// People unless told otherwise.
    pub kind: Kind,
}

impl Guest {
    /// A person without a display name.
    pub fn person(identity: &Identity) -> Self {
        Self { identity: identity.clone(), name: String::new(), kind: Kind::Standard }
    }
}

/// A connection that was made.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The new connection.
    pub sid: ParticipantSid,
    /// In LiveKit's order: `room_started` of a room made by this join, `left` of the identity's former connection,
    /// `joined`.
    pub events: Vec<RoomEvent>,
}

/// The room's `max_participants` are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room is full")]
pub struct RoomFull;

impl SimulatedLiveKit {
    /// An empty server. Ids follow from `seed`; its clock stands at `now` until a later one is given.
    pub fn new(seed: u64, now: Timestamp) -> Self {
        let inner = Inner { world: World::new(seed, now), controls: Controls::default(), outbox: Vec::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// A person joins and becomes active. A room that is not there is made, without metadata.
    pub fn join(&self, room: &RoomName, identity: &Identity, now: Timestamp) -> Result<Joined, RoomFull> {
        self.join_as(room, &Guest::person(identity), None, now)
    }

    /// `guest` joins and becomes active; a room that is not there is made as `config` says, as with a token's `roomConfig`.
    pub fn join_as(
        &self,
        room: &RoomName,
        guest: &Guest,
        config: Option<&RoomSpec>,
        now: Timestamp,
    ) -> Result<Joined, RoomFull> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        let (sid, mut events) = world.connect(room, guest, config)?;
        events.extend(world.activate(room, &guest.identity));
        Ok(Joined { sid, events })
    }

    /// `guest` begins to join: listed, not yet active, no `joined` yet. See [`finish_joining`](Self::finish_joining).
    pub fn begin_joining(
        &self,
        room: &RoomName,
        guest: &Guest,
        config: Option<&RoomSpec>,
        now: Timestamp,
    ) -> Result<Joined, RoomFull> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        let (sid, events) = world.connect(room, guest, config)?;
        Ok(Joined { sid, events })
    }

    /// The one who began to join becomes active.
    pub fn finish_joining(&self, room: &RoomName, identity: &Identity, now: Timestamp) -> Vec<RoomEvent> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        world.activate(room, identity)
    }

    /// `identity` leaves: `track_unpublished` of its tracks, then `left` (or `connection_aborted`, which reads the same).
    pub fn leave(&self, room: &RoomName, identity: &Identity, now: Timestamp) -> Vec<RoomEvent> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        world.disconnect(room, identity)
    }

    /// `identity` publishes a track; `None` when it is not there.
    pub fn publish(&self, room: &RoomName, identity: &Identity, now: Timestamp) -> Option<(TrackSid, Vec<RoomEvent>)> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        world.publish(room, identity)
    }

    /// Says where a published track comes from; a camera where it is not said.
    pub fn set_source(&self, track: &TrackSid, source: TrackSource) {
        self.inner.lock().world.set_source(track, source);
    }

    /// An attribute that `set_attribute` gave to `identity`.
    pub fn attribute_of(&self, room: &RoomName, identity: &Identity, key: &str) -> Option<String> {
        self.inner.lock().world.attribute(room, identity, key)
    }

    /// `identity` takes a track back; no events when there is no such track.
    pub fn unpublish(&self, room: &RoomName, identity: &Identity, track: &TrackSid, now: Timestamp) -> Vec<RoomEvent> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        world.unpublish(room, identity, track)
    }

    /// The role that `set_role` gave to this connection of `identity`, if any.
    pub fn role_of(&self, room: &RoomName, identity: &Identity) -> Option<Role> {
        self.inner.lock().world.role(room, identity)
    }

    /// Whether `mute_track` muted it.
    pub fn is_muted(&self, track: &TrackSid) -> bool {
        self.inner.lock().world.is_muted(track)
    }

    /// Time passes: rooms whose own timeouts are over are finished.
    pub fn pass_time(&self, now: Timestamp) -> Vec<RoomEvent> {
        let world = &mut self.inner.lock().world;
        world.advance(now);
        world.finish_overdue()
    }

    /// Killed and started again: knows no room, sends nothing.
    pub fn restart_empty(&self) {
        let inner = &mut *self.inner.lock();
        inner.world.clear();
        inner.outbox.clear();
    }

    /// The events that API calls have caused since this was last asked, oldest first.
    pub fn take_events(&self) -> Vec<RoomEvent> {
        std::mem::take(&mut self.inner.lock().outbox)
    }
}

#[cfg(test)]
mod tests;
