//! RoomService of a LiveKit server, over HTTP.
//!
//! Every call is one request with a deadline and is never repeated here: what
//! must happen is repeated by whoever decided it. What the answers mean for a stream is not known here.

mod decode;
mod host;
mod twirp;

use std::time::Duration;

use async_trait::async_trait;
use domain::{Identity, ParticipantSnapshot, Role, RoomName, RoomSnapshot, TrackSid};
use livekit_protocol as proto;

pub use host::{InvalidHost, LiveKitHost};

use crate::{PublishedTrack, RoomSpec, Rooms, RoomsError};
use twirp::{Failure, Grant, Twirp};

/// The deadline of a call when none is configured.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// Listing all rooms may take so many deadlines: with 20,000 rooms LiveKit needs seconds, and only the sweep asks.
const LISTING_DEADLINES: u32 = 5;

/// A LiveKit server, or LiveKit Cloud. Cheap calls over kept connections; share one by `Arc`.
#[derive(Debug)]
pub struct LiveKit {
    twirp: Twirp,
}

impl LiveKit {
    /// A client of the server at `host`. Nothing is sent yet. `deadline` covers the whole of each call, from the
    /// look-up of the name to the last byte. Fails only when the system's certificates or its TLS can't be used.
    pub fn new(host: &LiveKitHost, api_key: &str, api_secret: &str, deadline: Duration) -> Result<Self, RoomsError> {
        Twirp::new(host, api_key, api_secret, deadline).map(|twirp| Self { twirp })
    }
}

#[async_trait]
impl Rooms for LiveKit {
    async fn create_room(&self, spec: &RoomSpec) -> Result<RoomSnapshot, RoomsError> {
        let request = proto::CreateRoomRequest {
            name: spec.name.to_string(),
            empty_timeout: spec.empty_timeout_seconds(),
            departure_timeout: spec.departure_timeout_seconds(),
            max_participants: spec.max_participants,
            metadata: spec.metadata.clone(),
            ..Default::default()
        };
        let room: proto::Room = self.twirp.call("CreateRoom", Grant::Create, &request).await?;
        Ok(decode::room(room))
    }

    async fn list_rooms(&self) -> Result<Vec<RoomSnapshot>, RoomsError> {
        self.list(Vec::new(), self.twirp.deadline * LISTING_DEADLINES).await
    }

    async fn find_rooms(&self, names: &[RoomName]) -> Result<Vec<RoomSnapshot>, RoomsError> {
        // LiveKit takes no names to mean all rooms.
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.list(names.iter().map(ToString::to_string).collect(), self.twirp.deadline).await
    }

    async fn delete_room(&self, room: &RoomName) -> Result<(), RoomsError> {
        let request = proto::DeleteRoomRequest { room: room.to_string() };
        let answer = self.twirp.call("DeleteRoom", Grant::Create, &request).await;
        found(answer).map(|_: Option<proto::DeleteRoomResponse>| ())
    }

    async fn list_participants(&self, room: &RoomName) -> Result<Vec<ParticipantSnapshot>, RoomsError> {
        let request = proto::ListParticipantsRequest { room: room.to_string() };
        let answer = self.twirp.call("ListParticipants", Grant::Admin(room), &request).await;
        let list: Option<proto::ListParticipantsResponse> = found(answer)?;
        Ok(list.unwrap_or_default().participants.into_iter().map(decode::participant).collect())
    }

    async fn get_participant(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<ParticipantSnapshot>, RoomsError> {
        let request = participant_of(room, identity);
        let answer = self.twirp.call("GetParticipant", Grant::Admin(room), &request).await;
        Ok(found(answer)?.map(decode::participant))
    }

    async fn remove_participant(&self, room: &RoomName, identity: &Identity) -> Result<(), RoomsError> {
        let request = participant_of(room, identity);
        let answer = self.twirp.call("RemoveParticipant", Grant::Admin(room), &request).await;
        found(answer).map(|_: Option<proto::RemoveParticipantResponse>| ())
    }

    async fn update_room_metadata(&self, room: &RoomName, metadata: &str) -> Result<bool, RoomsError> {
        let request = proto::UpdateRoomMetadataRequest { room: room.to_string(), metadata: metadata.to_owned() };
        let answer = self.twirp.call("UpdateRoomMetadata", Grant::Admin(room), &request).await;
        found(answer).map(|room: Option<proto::Room>| room.is_some())
    }

    async fn set_role(&self, room: &RoomName, identity: &Identity, role: Role) -> Result<bool, RoomsError> {
        let request = proto::UpdateParticipantRequest {
            room: room.to_string(),
            identity: identity.to_string(),
            permission: Some(permission_of(role)),
            attributes: [("role".to_owned(), role.as_str().to_owned())].into(),
            ..Default::default()
        };
        let answer = self.twirp.call("UpdateParticipant", Grant::Admin(room), &request).await;
        found(answer).map(|person: Option<proto::ParticipantInfo>| person.is_some())
    }

    async fn set_attribute(
        &self,
        room: &RoomName,
        identity: &Identity,
        key: &str,
        value: &str,
    ) -> Result<bool, RoomsError> {
        let request = proto::UpdateParticipantRequest {
            room: room.to_string(),
            identity: identity.to_string(),
            attributes: [(key.to_owned(), value.to_owned())].into(),
            ..Default::default()
        };
        let answer = self.twirp.call("UpdateParticipant", Grant::Admin(room), &request).await;
        found(answer).map(|person: Option<proto::ParticipantInfo>| person.is_some())
    }

    async fn published_tracks(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<Vec<PublishedTrack>>, RoomsError> {
        let request = participant_of(room, identity);
        let answer = self.twirp.call("GetParticipant", Grant::Admin(room), &request).await;
        let person: Option<proto::ParticipantInfo> = found(answer)?;
        Ok(person.map(|person| person.tracks.into_iter().map(decode::track).collect()))
    }

    async fn mute_track(&self, room: &RoomName, identity: &Identity, track: &TrackSid) -> Result<bool, RoomsError> {
        // Asked first: for somebody who is not there LiveKit answers "unavailable", as it does when it is.
        let person = self.get_participant(room, identity).await?;
        if !person.is_some_and(|person| person.tracks.contains(track)) {
            return Ok(false);
        }
        let request = proto::MuteRoomTrackRequest {
            room: room.to_string(),
            identity: identity.to_string(),
            track_sid: track.to_string(),
            muted: true,
        };
        let answer = self.twirp.call("MutePublishedTrack", Grant::Admin(room), &request).await;
        let answer: Option<proto::MuteRoomTrackResponse> = found(answer)?;
        Ok(answer.is_some_and(|answer| answer.track.is_some()))
    }
}

impl LiveKit {
    async fn list(&self, names: Vec<String>, deadline: Duration) -> Result<Vec<RoomSnapshot>, RoomsError> {
        let request = proto::ListRoomsRequest { names };
        let list: proto::ListRoomsResponse =
            self.twirp.call_within(deadline, "ListRooms", Grant::List, &request).await?;
        Ok(list.rooms.into_iter().map(decode::room).collect())
    }
}

fn participant_of(room: &RoomName, identity: &Identity) -> proto::RoomParticipantIdentity {
    proto::RoomParticipantIdentity { room: room.to_string(), identity: identity.to_string(), ..Default::default() }
}

/// The same as a token of that role grants.
fn permission_of(role: Role) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: true,
        can_publish: role.may_publish(),
        can_publish_data: true,
        ..Default::default()
    }
}

/// "Not found" is an answer.
fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, RoomsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(Failure::Failed(error)) => Err(error),
    }
}
