//! What LiveKit tells us: webhook events and the rows of its listings.

use crate::{Identity, Kind, ParticipantSid, RoomName, RoomSid, Timestamp, TrackSid};

/// LiveKit's `EV_…`: the same on every retry of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventId(pub String);

/// A webhook after verification and decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEvent {
    /// Empty when LiveKit sent none; such an event is not deduplicated.
    pub id: EventId,
    /// Room it speaks of.
    pub room_name: RoomName,
    /// Life of that room.
    pub room_sid: RoomSid,
    /// The room's metadata, where the event carries it (track events do not).
    pub room_metadata: Option<String>,
    /// LiveKit's `createdAt`, whole seconds: not to be ordered by.
    pub created_at: Timestamp,
    /// What happened.
    pub kind: RoomEventKind,
}

/// The events that change a stream; all others are counted and answered with 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEventKind {
    /// `room_started`
    RoomStarted,
    /// `room_finished`
    RoomFinished,
    /// `participant_joined`: the participant became active.
    ParticipantJoined(ParticipantSnapshot),
    /// `participant_left` and `participant_connection_aborted`.
    ParticipantLeft {
        /// The connection that ended.
        sid: ParticipantSid,
        /// Whose it was.
        identity: Identity,
    },
    /// `track_published`
    TrackPublished {
        /// Whose track.
        sid: ParticipantSid,
        /// The person or program.
        identity: Identity,
        /// The track.
        track: TrackSid,
    },
    /// `track_unpublished`
    TrackUnpublished {
        /// Whose track.
        sid: ParticipantSid,
        /// The person or program.
        identity: Identity,
        /// The track.
        track: TrackSid,
    },
}

impl RoomEventKind {
    /// LiveKit's name of the event; a participant that went has two, of which this is the usual one.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoomStarted => "room_started",
            Self::RoomFinished => "room_finished",
            Self::ParticipantJoined(_) => "participant_joined",
            Self::ParticipantLeft { .. } => "participant_left",
            Self::TrackPublished { .. } => "track_published",
            Self::TrackUnpublished { .. } => "track_unpublished",
        }
    }

    /// The participant the event is about, if any.
    pub fn participant(&self) -> Option<(&ParticipantSid, &Identity)> {
        match self {
            Self::RoomStarted | Self::RoomFinished => None,
            Self::ParticipantJoined(p) => Some((&p.sid, &p.identity)),
            Self::ParticipantLeft { sid, identity }
            | Self::TrackPublished { sid, identity, .. }
            | Self::TrackUnpublished { sid, identity, .. } => Some((sid, identity)),
        }
    }
}

/// One row of ListRooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSnapshot {
    /// Its name.
    pub name: RoomName,
    /// Which life of that name.
    pub sid: RoomSid,
    /// The room's metadata, in which our mark is looked for.
    pub metadata: String,
    /// LiveKit's own count; lags up to 5 s, a hint where to look and never a count.
    pub num_participants: u32,
    /// LiveKit's own count of publishers, as late as the other.
    pub num_publishers: u32,
}

/// One row of ListParticipants, or the participant of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantSnapshot {
    /// The connection.
    pub sid: ParticipantSid,
    /// The person or program.
    pub identity: Identity,
    /// Display name.
    pub name: String,
    /// Kind, recorders told apart.
    pub kind: Kind,
    /// State ACTIVE: only these are in the room.
    pub active: bool,
    /// When LiveKit saw it join, if it says so.
    pub joined_at: Option<Timestamp>,
    /// Its published tracks.
    pub tracks: Vec<TrackSid>,
}
