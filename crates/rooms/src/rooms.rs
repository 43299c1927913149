//! The calls we make, independent of who answers them.

use std::time::Duration;

use async_trait::async_trait;
use domain::{Identity, ParticipantSnapshot, Role, RoomName, RoomSnapshot, TrackSid};

use crate::RoomsError;

/// LiveKit's RoomService as far as streams need it.
///
/// Every call has a deadline (2 s by default) and fails with [`RoomsError`].
/// "Not found" is an answer here, not an error. A call that timed out may have taken effect.
#[async_trait]
pub trait Rooms: Send + Sync + 'static {
    /// CreateRoom. A live room of that name is returned unchanged.
    async fn create_room(&self, spec: &RoomSpec) -> Result<RoomSnapshot, RoomsError>;

    /// ListRooms of all rooms, ours or not. It may take five times the deadline of other calls.
    async fn list_rooms(&self) -> Result<Vec<RoomSnapshot>, RoomsError>;

    /// ListRooms(names): those of the named rooms that exist.
    async fn find_rooms(&self, names: &[RoomName]) -> Result<Vec<RoomSnapshot>, RoomsError>;

    /// DeleteRoom. A room that is not there counts as deleted.
    async fn delete_room(&self, room: &RoomName) -> Result<(), RoomsError>;

    /// ListParticipants; empty for a room that is not there.
    async fn list_participants(&self, room: &RoomName) -> Result<Vec<ParticipantSnapshot>, RoomsError>;

    /// GetParticipant; `None` when room or participant is not there.
    async fn get_participant(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<ParticipantSnapshot>, RoomsError>;

    /// RemoveParticipant. Somebody who is not there counts as removed.
    async fn remove_participant(&self, room: &RoomName, identity: &Identity) -> Result<(), RoomsError>;

    /// UpdateRoomMetadata. `false` when the room is not there.
    async fn update_room_metadata(&self, room: &RoomName, metadata: &str) -> Result<bool, RoomsError>;

    /// UpdateParticipant with the grants of `role`. `false` when room or participant is not there.
    async fn set_role(&self, room: &RoomName, identity: &Identity, role: Role) -> Result<bool, RoomsError>;

    /// UpdateParticipant with one attribute; an empty value removes it. `false` when room or participant is not there.
    async fn set_attribute(
        &self,
        room: &RoomName,
        identity: &Identity,
        key: &str,
        value: &str,
    ) -> Result<bool, RoomsError>;

    /// The tracks that a participant publishes, by GetParticipant; `None` when room or participant is not there.
    async fn published_tracks(
        &self,
        room: &RoomName,
        identity: &Identity,
    ) -> Result<Option<Vec<PublishedTrack>>, RoomsError>;

    /// MutePublishedTrack. `false` when there is no such track.
    async fn mute_track(&self, room: &RoomName, identity: &Identity, track: &TrackSid) -> Result<bool, RoomsError>;
}

/// A published track and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedTrack {
    /// The track.
    pub sid: TrackSid,
    /// Where it comes from.
    pub source: TrackSource,
}

/// LiveKit's `TrackSource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackSource {
    /// `CAMERA`
    Camera,
    /// `MICROPHONE`
    Microphone,
    /// `SCREEN_SHARE`
    ScreenShare,
    /// `SCREEN_SHARE_AUDIO`
    ScreenShareAudio,
    /// Anything else.
    Unknown,
}

/// A room to be made, directly or by the first token that joins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSpec {
    /// Its name.
    pub name: RoomName,
    /// Its metadata: in CreateRoom mark and user members, in a token's `roomConfig` the mark alone.
    pub metadata: String,
    /// LiveKit closes it by itself when nobody ever came for this long: our rule + 30 s.
    pub empty_timeout: Duration,
    /// LiveKit closes it by itself when the last one left this long ago: our rule + 30 s.
    pub departure_timeout: Duration,
    /// Most participants; 0 is no limit.
    pub max_participants: u32,
}

impl RoomSpec {
    /// `empty_timeout` as LiveKit takes it.
    pub(crate) fn empty_timeout_seconds(&self) -> u32 {
        whole_seconds(self.empty_timeout)
    }

    /// `departure_timeout` as LiveKit takes it.
    pub(crate) fn departure_timeout_seconds(&self) -> u32 {
        whole_seconds(self.departure_timeout)
    }
}

/// Rounded up, and at least 1: for LiveKit 0 is "the default", and a backstop must never come early.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
