//! What RoomService can do, after its caller was found to be allowed to.

use livekit_protocol as proto;
use livekit_protocol::data_packet::Value;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message;
use livekit_protocol::{DisconnectReason, RoomEndReason};
use sfu::{ParticipantId, RoomId};

use super::{Now, Rooms};
use crate::access::may_publish;

/// Why an administrator's wish was not carried out. None is worth repeating as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdminError {
    /// No such room.
    #[error("requested room does not exist")]
    RoomNotFound,
    /// No such participant in the room.
    #[error("participant does not exist")]
    ParticipantNotFound,
    /// A value is missing or too large.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else's microphone cannot be turned on from afar.
    #[error("remote unmute not enabled")]
    RemoteUnmute,
    /// The server holds as many rooms as it may.
    #[error("this server holds as many rooms as it may")]
    TooManyRooms,
}

type Answer<T> = Result<T, AdminError>;

impl Rooms {
    /// `CreateRoom`: a room that is there is given back unchanged.
    pub(crate) fn create_room(&mut self, now: Now, request: proto::CreateRoomRequest) -> Answer<proto::Room> {
        let limits = &self.settings.limits;
        if request.name.is_empty() {
            return Err(AdminError::Invalid("name: expected the name of the room".to_owned()));
        }
        within("name", request.name.len(), limits.name_bytes)?;
        within("metadata", request.metadata.len(), limits.metadata_bytes)?;
        if let Some(id) = self.names.get(&request.name) {
            return Ok(self.rooms[id].info.clone());
        }
        if self.rooms.len() >= limits.rooms {
            return Err(AdminError::TooManyRooms);
        }
        let id = self.make_room(now, request);
        Ok(self.rooms[&id].info.clone())
    }

    /// `ListRooms`: all, or those named.
    pub(crate) fn list_rooms(&self, request: &proto::ListRoomsRequest) -> proto::ListRoomsResponse {
        let mut rooms: Vec<proto::Room> = if request.names.is_empty() {
            self.rooms.values().map(|r| r.info.clone()).collect()
        } else {
            request.names.iter().filter_map(|n| self.names.get(n)).map(|id| self.rooms[id].info.clone()).collect()
        };
        rooms.sort_by(|a, b| (a.creation_time_ms, &a.sid).cmp(&(b.creation_time_ms, &b.sid)));
        rooms.dedup_by(|a, b| a.sid == b.sid);
        proto::ListRoomsResponse { rooms }
    }

    /// `DeleteRoom`: everybody is disconnected for good.
    pub(crate) fn delete_room(&mut self, now: Now, name: &str) -> Answer<proto::DeleteRoomResponse> {
        let room = self.room(name)?;
        self.close_room(now, room, DisconnectReason::RoomDeleted, RoomEndReason::RoomEndApiDelete);
        Ok(proto::DeleteRoomResponse {})
    }

    /// `ListParticipants`. A room that does not exist has none.
    pub(crate) fn list_participants(&self, room: &str) -> proto::ListParticipantsResponse {
        let members = self.names.get(room).into_iter().flat_map(|id| &self.rooms[id].members);
        proto::ListParticipantsResponse { participants: members.map(|m| self.info(*m)).collect() }
    }

    /// `GetParticipant`.
    pub(crate) fn get_participant(&self, room: &str, identity: &str) -> Answer<proto::ParticipantInfo> {
        self.member(room, identity).map(|id| self.info(id))
    }

    /// `RemoveParticipant`.
    pub(crate) fn remove_participant(
        &mut self,
        now: Now,
        room: &str,
        identity: &str,
    ) -> Answer<proto::RemoveParticipantResponse> {
        let id = self.member(room, identity)?;
        self.remove(now, id, DisconnectReason::ParticipantRemoved, Some(Action::Disconnect));
        Ok(proto::RemoveParticipantResponse {})
    }

    /// `MutePublishedTrack`: the client is told and mutes itself. An unknown track is no error.
    pub(crate) fn mute_published_track(
        &mut self,
        now: Now,
        request: &proto::MuteRoomTrackRequest,
    ) -> Answer<proto::MuteRoomTrackResponse> {
        let id = self.member(&request.room, &request.identity)?;
        if !request.muted {
            return Err(AdminError::RemoteUnmute);
        }
        let Some(track) = self.own_track(id, &request.track_sid) else {
            return Ok(proto::MuteRoomTrackResponse { track: None });
        };
        self.send(id, Message::Mute(proto::MuteTrackRequest { sid: request.track_sid.clone(), muted: true }));
        self.set_muted(now, track, true);
        Ok(proto::MuteRoomTrackResponse { track: self.tracks.get(&track).map(|t| t.info.clone()) })
    }

    /// `UpdateParticipant`: what is empty stays as it is.
    pub(crate) fn update_participant(
        &mut self,
        now: Now,
        request: proto::UpdateParticipantRequest,
    ) -> Answer<proto::ParticipantInfo> {
        let id = self.member(&request.room, &request.identity)?;
        self.check_metadata(id, &request.name, &request.metadata, &request.attributes).map_err(AdminError::Invalid)?;
        if let Some(permission) = request.permission {
            self.set_permission(now, id, permission);
        }
        self.set_metadata(now, id, request.name, request.metadata, request.attributes);
        Ok(self.info(id))
    }

    /// Applies a permission: tracks that are no longer allowed end, subscriptions follow.
    fn set_permission(&mut self, now: Now, id: ParticipantId, permission: proto::ParticipantPermission) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        p.permission = permission;
        p.version += 1;
        let permission = p.permission.clone();
        for track in p.tracks.clone() {
            let allowed = self.tracks.get(&track).is_some_and(|t| may_publish(&permission, t.info.source()));
            if !allowed {
                self.unpublish(now, track, true);
            }
        }
        self.subscribe_to_all(id);
        self.announce_now(now, id);
    }

    /// `UpdateSubscriptions`.
    pub(crate) fn update_subscriptions(
        &mut self,
        now: Now,
        request: proto::UpdateSubscriptionsRequest,
    ) -> Answer<proto::UpdateSubscriptionsResponse> {
        let id = self.member(&request.room, &request.identity)?;
        let wish = proto::UpdateSubscription {
            track_sids: request.track_sids,
            subscribe: request.subscribe,
            participant_tracks: request.participant_tracks,
        };
        self.update_subscription(now, id, &wish);
        Ok(proto::UpdateSubscriptionsResponse {})
    }

    /// `SendData`: a packet from nobody.
    #[expect(deprecated, reason = "older clients read these fields of a packet")]
    pub(crate) fn send_data(&mut self, request: proto::SendDataRequest) -> Answer<proto::SendDataResponse> {
        let room = self.room(&request.room)?;
        within("data", request.data.len(), self.settings.limits.data_packet_bytes)?;
        let packet = proto::DataPacket {
            kind: request.kind,
            destination_identities: request.destination_identities.clone(),
            value: Some(Value::User(proto::UserPacket {
                payload: request.data,
                destination_identities: request.destination_identities,
                topic: request.topic,
                nonce: request.nonce,
                ..proto::UserPacket::default()
            })),
            ..proto::DataPacket::default()
        };
        self.send_packet(room, None, &request.destination_sids, packet);
        Ok(proto::SendDataResponse {})
    }

    /// `UpdateRoomMetadata`: the room is told at once.
    pub(crate) fn update_room_metadata(&mut self, request: proto::UpdateRoomMetadataRequest) -> Answer<proto::Room> {
        let room = self.room(&request.room)?;
        within("metadata", request.metadata.len(), self.settings.limits.metadata_bytes)?;
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.info.metadata = request.metadata;
        }
        self.flush_room(room);
        Ok(self.rooms[&room].info.clone())
    }

    fn room(&self, name: &str) -> Answer<RoomId> {
        self.names.get(name).copied().ok_or(AdminError::RoomNotFound)
    }

    fn member(&self, room: &str, identity: &str) -> Answer<ParticipantId> {
        let room = self.names.get(room).ok_or(AdminError::ParticipantNotFound)?;
        self.rooms[room].identities.get(identity).copied().ok_or(AdminError::ParticipantNotFound)
    }
}

fn within(what: &str, size: usize, limit: usize) -> Answer<()> {
    if size > limit { Err(AdminError::Invalid(format!("{what} exceeds the limit of {limit} bytes"))) } else { Ok(()) }
}
