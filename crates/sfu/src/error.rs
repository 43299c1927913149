//! Why the engine refused a command. None of these is worth retrying as it is.

use crate::ids::{ParticipantId, TrackId};

/// A refused command; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The participant does not exist (any more).
    #[error("participant {0} does not exist")]
    UnknownParticipant(ParticipantId),

    /// The track does not exist (any more).
    #[error("track {0} does not exist")]
    UnknownTrack(TrackId),

    /// The key is in use.
    #[error("participant {0} exists already")]
    ParticipantExists(ParticipantId),

    /// The key is in use.
    #[error("track {0} exists already")]
    TrackExists(TrackId),

    /// The track is published in another room.
    #[error("track {0} is in another room")]
    OtherRoom(TrackId),

    /// The SDP could not be used. Saying so and ending the session is all that helps.
    #[error("session description refused: {0}")]
    Sdp(String),

    /// The transport refused the description.
    #[error("session description refused")]
    Transport(#[from] str0m::RtcError),
}
