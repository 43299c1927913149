//! LiveKit's rooms and participants as ours.

use domain::{Identity, ParticipantSid, ParticipantSnapshot, RoomName, RoomSid, RoomSnapshot, Timestamp, TrackSid};
use livekit_protocol as proto;
use livekit_protocol::participant_info::State;

use crate::kind::kind_of;
use crate::{PublishedTrack, TrackSource};

/// A row of ListRooms.
pub(super) fn room(room: proto::Room) -> RoomSnapshot {
    RoomSnapshot {
        name: RoomName::from(room.name),
        sid: RoomSid::from(room.sid),
        metadata: room.metadata,
        num_participants: room.num_participants,
        num_publishers: room.num_publishers,
    }
}

/// A row of ListParticipants.
pub(super) fn participant(person: proto::ParticipantInfo) -> ParticipantSnapshot {
    ParticipantSnapshot {
        joined_at: joined_at(&person),
        kind: kind_of(person.kind, is_recorder(&person)),
        active: person.state == State::Active as i32,
        sid: ParticipantSid::from(person.sid),
        identity: Identity::reported(&person.identity),
        name: person.name,
        tracks: person.tracks.into_iter().map(|track| TrackSid::from(track.sid)).collect(),
    }
}

/// A published track.
pub(super) fn track(track: proto::TrackInfo) -> PublishedTrack {
    let source = match proto::TrackSource::try_from(track.source) {
        Ok(proto::TrackSource::Camera) => TrackSource::Camera,
        Ok(proto::TrackSource::Microphone) => TrackSource::Microphone,
        Ok(proto::TrackSource::ScreenShare) => TrackSource::ScreenShare,
        Ok(proto::TrackSource::ScreenShareAudio) => TrackSource::ScreenShareAudio,
        Ok(proto::TrackSource::Unknown) | Err(_) => TrackSource::Unknown,
    };
    PublishedTrack { sid: TrackSid::from(track.sid), source }
}

/// Older servers know whole seconds only.
fn joined_at(person: &proto::ParticipantInfo) -> Option<Timestamp> {
    let millis = if person.joined_at_ms > 0 { person.joined_at_ms } else { person.joined_at.saturating_mul(1000) };
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

#[expect(deprecated, reason = "servers still report it, and who records is not a person")]
fn is_recorder(person: &proto::ParticipantInfo) -> bool {
    person.permission.as_ref().is_some_and(|permission| permission.recorder)
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;

    #[test]
    fn a_participant_is_read() {
        let track = proto::TrackInfo { sid: "TR_1".into(), ..Default::default() };
        let person = participant(proto::ParticipantInfo {
            sid: "PA_1".into(),
            identity: "ada".into(),
            name: "Ada".into(),
            state: State::Active as i32,
            joined_at: 1_700_000_000,
            joined_at_ms: 1_700_000_000_123,
            tracks: vec![track],
            kind: proto::participant_info::Kind::Connector as i32,
            ..Default::default()
        });
        let expected = ParticipantSnapshot {
            sid: ParticipantSid::from("PA_1"),
            identity: Identity::reported("ada"),
            name: "Ada".into(),
            kind: Kind::Connector,
            active: true,
            joined_at: Some(Timestamp::from_millis(1_700_000_000_123)),
            tracks: vec![TrackSid::from("TR_1")],
        };
        assert_eq!(person, expected);
    }

    #[test]
    fn only_the_state_active_is_active() {
        for state in [State::Joining, State::Joined, State::Disconnected] {
            assert!(!participant(proto::ParticipantInfo { state: state as i32, ..Default::default() }).active);
        }
    }

    #[test]
    fn whole_seconds_do_where_there_is_nothing_finer() {
        let joined = |joined_at, joined_at_ms| {
            let person = proto::ParticipantInfo { joined_at, joined_at_ms, ..Default::default() };
            participant(person).joined_at.map(Timestamp::as_millis)
        };
        assert_eq!([joined(5, 0), joined(5, 5_600), joined(0, 0)], [Some(5_000), Some(5_600), None]);
    }

    #[test]
    #[expect(deprecated, reason = "servers still report it")]
    fn who_records_is_a_recorder() {
        let permission = proto::ParticipantPermission { recorder: true, hidden: true, ..Default::default() };
        let person = proto::ParticipantInfo { permission: Some(permission), ..Default::default() };
        assert_eq!(participant(person).kind, Kind::Recorder);
    }
}
