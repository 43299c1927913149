//! Who is in a room, and what they may do there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Identity, ParticipantSid, RoomSid, Timestamp, TrackSid};

/// LiveKit's participant kinds (`ParticipantInfo.Kind`), recorders told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person with a client.
    Standard,
    /// Media pushed in from outside (RTMP, WHIP).
    Ingress,
    /// LiveKit's recorder or restreamer.
    Egress,
    /// A telephone caller.
    Sip,
    /// A program that takes part.
    Agent,
    /// Somebody on another platform, through a connector.
    Connector,
    /// Another room or system bridged in.
    Bridge,
    /// A standard participant whose token says `recorder`.
    Recorder,
}

impl Kind {
    /// Counted in `participantCount` and named in `participants`.
    pub fn is_person(self) -> bool {
        matches!(self, Self::Standard | Self::Sip | Self::Connector)
    }

    /// Keeps an otherwise empty stream from being idle, and its tracks make it live.
    pub fn keeps_alive(self) -> bool {
        self.is_person() || matches!(self, Self::Ingress | Self::Bridge)
    }
}

/// What a caller may do in a stream; turned into LiveKit grants by `rooms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publishes, watches, sends data; leads the stream through our API.
    Host,
    /// Publishes, watches, sends data.
    Speaker,
    /// Watches and sends data.
    Viewer,
}

impl Role {
    /// May publish tracks.
    pub fn may_publish(self) -> bool {
        !matches!(self, Self::Viewer)
    }

    /// Whoever has this role may do whatever `other` may.
    pub fn covers(self, other: Self) -> bool {
        let rank = |role| match role {
            Self::Viewer => 0,
            Self::Speaker => 1,
            Self::Host => 2,
        };
        rank(self) >= rank(other)
    }

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Speaker => "speaker",
            Self::Viewer => "viewer",
        }
    }
}

/// One live connection to the stream's room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// LiveKit's id of the connection; the key.
    pub sid: ParticipantSid,
    /// The person or program.
    pub identity: Identity,
    /// Display name, empty when none was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who counts depends on it.
    pub kind: Kind,
    /// When we learnt of it.
    pub joined_at: Timestamp,
    /// The life of the room it was seen in; an older one than the stream's current means it has not come back yet.
    pub room_sid: RoomSid,
    /// Tracks it publishes now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tracks: BTreeSet<TrackSid>,
}

impl Participant {
    /// How many tracks of it count towards "live".
    pub fn live_tracks(&self) -> u32 {
        if self.kind.keeps_alive() { u32::try_from(self.tracks.len()).unwrap_or(u32::MAX) } else { 0 }
    }
}
