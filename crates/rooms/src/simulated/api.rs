//! RoomService of the simulated server.

use std::collections::HashSet;

use async_trait::async_trait;
use domain::{Identity, ParticipantSnapshot, Role, RoomName, RoomSnapshot, TrackSid};

use super::{Call, SimulatedLiveKit};
use crate::{PublishedTrack, RoomSpec, Rooms, RoomsError};

#[async_trait]
impl Rooms for SimulatedLiveKit {
    async fn create_room(&self, spec: &RoomSpec) -> Result<RoomSnapshot, RoomsError> {
        self.pass_gate().await;
        self.call(Call::CreateRoom, |inner| {
            let (room, events) = inner.world.create(spec);
            inner.outbox.extend(events);
            room
        })
    }

    async fn list_rooms(&self) -> Result<Vec<RoomSnapshot>, RoomsError> {
        self.call(Call::ListRooms, |inner| inner.listed_rooms(|_| true))
    }

    async fn find_rooms(&self, names: &[RoomName]) -> Result<Vec<RoomSnapshot>, RoomsError> {
        let names: HashSet<_> = names.iter().collect();
        self.call(Call::FindRooms, |inner| inner.listed_rooms(|name| names.contains(name)))
    }

    async fn delete_room(&self, room: &RoomName) -> Result<(), RoomsError> {
        self.call(Call::DeleteRoom, |inner| {
            let events = inner.world.delete(room);
            inner.outbox.extend(events.into_iter().flatten());
        })
    }

    async fn list_participants(&self, room: &RoomName) -> Result<Vec<ParticipantSnapshot>, RoomsError> {
        self.call(Call::ListParticipants, |inner| {
            inner.check_listing_of(room)?;
            Ok(inner.listed_participants(room))
        })?
    }

    async fn get_participant(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<ParticipantSnapshot>, RoomsError> {
        self.call(Call::GetParticipant, |inner| {
            inner.listed_participants(room).into_iter().find(|person| person.identity == *identity)
        })
    }

    async fn remove_participant(&self, room: &RoomName, identity: &Identity) -> Result<(), RoomsError> {
        self.call(Call::RemoveParticipant, |inner| {
            let events = inner.world.disconnect(room, identity);
            inner.outbox.extend(events);
        })
    }

    async fn update_room_metadata(&self, room: &RoomName, metadata: &str) -> Result<bool, RoomsError> {
        self.call(Call::UpdateRoomMetadata, |inner| inner.world.set_metadata(room, metadata))
    }

    async fn set_role(&self, room: &RoomName, identity: &Identity, role: Role) -> Result<bool, RoomsError> {
        self.call(Call::SetRole, |inner| {
            let events = inner.world.set_role(room, identity, role);
            let found = events.is_some();
            inner.outbox.extend(events.into_iter().flatten());
            found
        })
    }

    async fn set_attribute(
        &self,
        room: &RoomName,
        identity: &Identity,
        key: &str,
        value: &str,
    ) -> Result<bool, RoomsError> {
        self.call(Call::SetAttribute, |inner| inner.world.set_attribute(room, identity, key, value))
    }

    async fn published_tracks(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<Vec<PublishedTrack>>, RoomsError> {
        self.call(Call::GetParticipant, |inner| inner.world.published(room, identity))
    }

    async fn mute_track(&self, room: &RoomName, identity: &Identity, track: &TrackSid) -> Result<bool, RoomsError> {
        self.call(Call::MuteTrack, |inner| inner.world.mute(room, identity, track))
    }
}
