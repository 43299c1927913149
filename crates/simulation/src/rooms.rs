//! One instance's way to LiveKit: slow, failing before or after the effect,
//! with listings that lag, and silent for ever once the instance has crashed.

use std::sync::Arc;

use ::rooms::{ErrorKind, PublishedTrack, RoomSpec, Rooms, RoomsError};
use async_trait::async_trait;
use domain::{Identity, ParticipantSnapshot, Role, RoomName, RoomSnapshot, TrackSid};

use crate::pulse::Pulse;
use crate::sim::{Service, Sim};

/// LiveKit as one instance sees it.
pub(crate) struct FaultyRooms {
    sim: Arc<Sim>,
    instance: usize,
    pulse: Pulse,
}

impl FaultyRooms {
    /// The way of `instance`.
    pub(crate) fn new(sim: &Arc<Sim>, instance: usize, pulse: Pulse) -> Arc<Self> {
        Arc::new(Self { sim: sim.clone(), instance, pulse })
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        effect: impl Future<Output = Result<T, RoomsError>>,
    ) -> Result<T, RoomsError> {
        let fate = self.sim.fate(Service::LiveKit, 3);
        self.pulse.wait(fate.before).await;
        let failed = || RoomsError::new(ErrorKind::Unavailable, operation, "simulated");
        if fate.fails_before {
            return Err(failed());
        }
        let result = effect.await;
        self.sim.send_api_events();
        self.pulse.wait(fate.after).await;
        if fate.fails_after { Err(failed()) } else { result }
    }

    fn listed_people(&self, room: &RoomName) -> Vec<ParticipantSnapshot> {
        self.sim.listed().people.remove(room).unwrap_or_default()
    }
}

#[async_trait]
impl Rooms for FaultyRooms {
    async fn create_room(&self, spec: &RoomSpec) -> Result<RoomSnapshot, RoomsError> {
        let effect = async {
            self.sim.log.write(format!("i{} creates room {}", self.instance, spec.name));
            self.sim.livekit.create_room(spec).await
        };
        self.call("CreateRoom", effect).await
    }

    async fn list_rooms(&self) -> Result<Vec<RoomSnapshot>, RoomsError> {
        self.call("ListRooms", async { Ok(self.sim.listed().rooms) }).await
    }

    async fn find_rooms(&self, names: &[RoomName]) -> Result<Vec<RoomSnapshot>, RoomsError> {
        let effect = async {
            let mut rooms = self.sim.listed().rooms;
            rooms.retain(|room| names.contains(&room.name));
            Ok(rooms)
        };
        self.call("ListRooms", effect).await
    }

    async fn delete_room(&self, room: &RoomName) -> Result<(), RoomsError> {
        let effect = async {
            self.sim.room_is_deleted(self.instance, room);
            self.sim.livekit.delete_room(room).await
        };
        self.call("DeleteRoom", effect).await
    }

    async fn list_participants(&self, room: &RoomName) -> Result<Vec<ParticipantSnapshot>, RoomsError> {
        self.call("ListParticipants", async { Ok(self.listed_people(room)) }).await
    }

    async fn get_participant(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<ParticipantSnapshot>, RoomsError> {
        let effect = async { Ok(self.listed_people(room).into_iter().find(|person| person.identity == *identity)) };
        self.call("GetParticipant", effect).await
    }

    async fn remove_participant(&self, room: &RoomName, identity: &Identity) -> Result<(), RoomsError> {
        let effect = async {
            self.sim.log.write(format!("i{} removes {identity} from {room}", self.instance));
            self.sim.livekit.remove_participant(room, identity).await
        };
        self.call("RemoveParticipant", effect).await
    }

    async fn update_room_metadata(&self, room: &RoomName, metadata: &str) -> Result<bool, RoomsError> {
        self.call("UpdateRoomMetadata", self.sim.livekit.update_room_metadata(room, metadata)).await
    }

    async fn set_role(&self, room: &RoomName, identity: &Identity, role: Role) -> Result<bool, RoomsError> {
        self.call("UpdateParticipant", self.sim.livekit.set_role(room, identity, role)).await
    }

    async fn set_attribute(
        &self,
        room: &RoomName,
        identity: &Identity,
        key: &str,
        value: &str,
    ) -> Result<bool, RoomsError> {
        self.call("UpdateParticipant", self.sim.livekit.set_attribute(room, identity, key, value)).await
    }

    async fn published_tracks(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<Vec<PublishedTrack>>, RoomsError> {
        self.call("GetParticipant", self.sim.livekit.published_tracks(room, identity)).await
    }

    async fn mute_track(&self, room: &RoomName, identity: &Identity, track: &TrackSid) -> Result<bool, RoomsError> {
        self.call("MutePublishedTrack", self.sim.livekit.mute_track(room, identity, track)).await
    }
}
