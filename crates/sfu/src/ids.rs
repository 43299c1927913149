//! The small integer keys under which the caller and the engine speak of rooms, participants and tracks.
//!
//! They are chosen by the caller, must be unique while in use, and never appear on the wire: sids do.

use std::fmt;

/// Defines one key type, so that the three can never be mixed up.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A room: participants only ever receive tracks of their own room.
    RoomId
);
id!(
    /// One session of a participant. A full reconnect is a new session and so a new id; a resume keeps it.
    ParticipantId
);
id!(
    /// A published track, unique over all rooms.
    TrackId
);
