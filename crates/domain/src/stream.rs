//! The head record of a stream: everything about it except the list of people.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Epoch, Identity, ParticipantSid, Role, RoomName, RoomSid, StreamId, Timestamp, Visibility};

/// Most intents one record holds; what would add another is refused as busy.
pub const MAX_INTENTS: usize = 256;
/// Most people of one stream whose role was changed by hand.
pub const MAX_ROLES: usize = 500;
/// Most former lives of a room that are remembered as stale.
const MAX_STALE_SIDS: usize = 4;

/// The classic two-valued state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Can be joined.
    Active,
    /// Over; final within its generation.
    Finished,
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Asked for, its room not yet confirmed: in no list, unknown to everybody.
    Reserved,
    /// Open, nobody publishes.
    Waiting,
    /// Somebody publishes.
    Live,
    /// The last published track went a moment ago.
    Reconnecting,
    /// Over.
    Ended,
}

impl Phase {
    /// The phases that appear in lists, in the lobby's order.
    pub const LISTED: [Self; 4] = [Self::Live, Self::Reconnecting, Self::Waiting, Self::Ended];
    /// The listed phases in which a stream is active.
    pub const ACTIVE: [Self; 3] = [Self::Live, Self::Reconnecting, Self::Waiting];

    /// Can be joined.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Waiting | Self::Live | Self::Reconnecting)
    }

    /// As it stands in the API and in keys of stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::Ended => "ended",
        }
    }

    /// The classic state.
    pub fn status(self) -> Status {
        if self == Self::Ended { Status::Finished } else { Status::Active }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Nobody came, or everybody left.
    Idle,
    /// `DELETE` by a caller.
    Stopped,
    /// Nobody published for `endWithoutPublisher` seconds.
    PublisherLeft,
    /// `maxDuration` was reached.
    MaxDuration,
    /// LiveKit finished the room by itself.
    RoomFinished,
    /// The room vanished without a word.
    Lost,
}

impl EndReason {
    /// As it stands in the API and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Stopped => "stopped",
            Self::PublisherLeft => "publisher_left",
            Self::MaxDuration => "max_duration",
            Self::RoomFinished => "room_finished",
            Self::Lost => "lost",
        }
    }
}

/// The time rules of a deployment; a stream's own settings go before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Nobody ever came: ended after this long.
    pub empty_timeout: Duration,
    /// The last participant left: ended after this long.
    pub departure_timeout: Duration,
    /// No publisher: `reconnecting` for this long, then `waiting`.
    pub reconnect_window: Duration,
    /// A finished stream's record is kept this long.
    pub retention: Duration,
    /// A finished stream whose room can't be removed is kept this long at most.
    pub max_retention: Duration,
    /// A room is `lost` when missing in two sweeps and for this long.
    pub lost_grace: Duration,
    /// A reservation that old is looked into.
    pub reservation: Duration,
    /// Epoch, version and generation outlive the record by this long.
    pub tombstone: Duration,
    /// The history row of an ended stream is kept this long.
    pub session: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(60),
            reconnect_window: Duration::from_secs(60),
            retention: Duration::from_secs(300),
            max_retention: Duration::from_secs(24 * 3600),
            lost_grace: Duration::from_secs(60),
            reservation: Duration::from_secs(15),
            tombstone: Duration::from_secs(24 * 3600),
            session: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// What the creator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Shown in the lobby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The creator's own data; put into the room's metadata beside our mark.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Most people at once; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_participants: Option<u32>,
    /// Role of a join that names none.
    pub default_role: Role,
    /// Who finds the stream, and who may look at it.
    #[serde(default, skip_serializing_if = "Visibility::is_public")]
    pub visibility: Visibility,
    /// Seconds after which a stream that nobody ever joined ends; `None`: the deployment's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_timeout: Option<u32>,
    /// Seconds after which the stream ends whatever happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<u32>,
    /// Seconds without a publisher after which the stream ends; `None`: it goes back to `waiting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_without_publisher: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: None,
            metadata: Map::new(),
            max_participants: None,
            default_role: Role::Speaker,
            visibility: Visibility::Public,
            empty_timeout: None,
            max_duration: None,
            end_without_publisher: None,
        }
    }
}

/// The LiveKit room of the current generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its name; the first fence.
    pub name: RoomName,
    /// Its current life; `None` until LiveKit has confirmed it.
    pub sid: Option<RoomSid>,
    /// Up to four former lives; their events change nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_sids: Vec<RoomSid>,
    /// Taken over without our mark because a caller asked for it: its metadata is left alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmarked: bool,
}

impl Room {
    /// Takes `sid` as the current life and remembers the former as stale.
    pub fn take_life(&mut self, sid: RoomSid) {
        let former = self.sid.replace(sid);
        self.stale_sids.extend(former);
        let surplus = self.stale_sids.len().saturating_sub(MAX_STALE_SIDS);
        self.stale_sids.drain(..surplus);
    }
}

/// Something that must happen in LiveKit and is tried until seen to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// What.
    pub kind: IntentKind,
    /// When it was decided.
    pub since: Timestamp,
    /// Not tried before this.
    pub next_try: Timestamp,
    /// Failed tries so far; the back-off grows with it.
    #[serde(default)]
    pub tries: u32,
}

/// The things that are made to happen in LiveKit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
pub enum IntentKind {
    /// Confirm or undo a reservation.
    CreateRoom,
    /// Remove a room; it may be that of a former generation.
    #[serde(rename_all = "camelCase")]
    DeleteRoom {
        /// Which room.
        room: RoomName,
    },
    /// Take these connections of a person out of the current room.
    #[serde(rename_all = "camelCase")]
    RemoveParticipant {
        /// Whom LiveKit is asked to remove.
        identity: Identity,
        /// Only while it is one of these: whoever came back since is left alone.
        sids: Vec<ParticipantSid>,
    },
    /// Write mark and user metadata into the room.
    #[serde(rename_all = "camelCase")]
    WriteMetadata {
        /// The settings to be written; newer ones have an intent of their own.
        settings_version: u64,
    },
}

/// Everything about a stream but its list of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The stream.
    pub id: StreamId,
    /// Made with the record; versions compare within it.
    pub epoch: Epoch,
    /// Rises by one with every change that anybody outside can see.
    pub version: u64,
    /// Rises by one with every commit; what compare-and-set compares.
    pub revision: u64,
    /// 1 and up: how often a stream was started under this id.
    pub generation: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub phase_since: Timestamp,
    /// When the phase ends by itself: of `reconnecting`, the time that a publisher may be away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_until: Option<Timestamp>,
    /// What the creator asked for.
    pub settings: Settings,
    /// Rises by one whenever title, default role or metadata are changed.
    #[serde(default)]
    pub settings_version: u64,
    /// Roles that were changed by hand, for tokens issued later in this generation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Identity, Role>,
    /// SHA-256 of this generation's host key, in hexadecimal; `None` where callers are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// When the last ban of this id ends; `None`, or a time that is past: nobody is banned, and nobody
    /// needs to look. A ban that was lifted may leave it later than it need be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
    /// The LiveKit room of this generation.
    pub room: Room,
    /// When this generation was opened.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// When the room of an ended stream was seen to be gone; retention runs from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// Distinct identities of people with a live connection.
    pub people: u32,
    /// Live connections that keep the stream from being idle.
    pub keepers: u32,
    /// Live tracks of those connections.
    pub tracks: u32,
    /// Most people at once in this generation.
    pub peak: u32,
    /// Connections of people in this generation, all told.
    pub joins: u64,
    /// Connections that published at least one track, all told.
    pub publishers: u64,
    /// Since when nobody is there who was there before; `None` while somebody is, or if nobody ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_since: Option<Timestamp>,
    /// Somebody who counts has been there in this generation.
    #[serde(default)]
    pub ever_joined: bool,
    /// What LiveKit still has to be made to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
    /// While reserved: the ended record that this generation would replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Box<Head>>,
}

impl Head {
    /// The room of an ended stream has not been seen to be gone yet.
    pub fn closing(&self) -> bool {
        self.phase == Phase::Ended && self.closed_at.is_none()
    }

    /// Somebody may be banned from this id now.
    pub fn may_have_bans(&self, now: Timestamp) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }

    /// `"<epoch>-<version>"`, the ETag and SSE id (without the quotes).
    pub fn tag(&self) -> String {
        format!("{}-{}", self.epoch, self.version)
    }

    /// `"<epoch>-s<n>"` (without the quotes): the tag of what `PATCH` changes.
    pub fn settings_tag(&self) -> String {
        format!("{}-s{}", self.epoch, self.settings_version)
    }

    /// When the record must be looked at next, whatever else happens.
    pub fn due_at(&self, rules: &Rules) -> Option<Timestamp> {
        let intents = self.intents.iter().map(|intent| intent.next_try);
        self.timers(rules).into_iter().flatten().chain(intents).min()
    }

    /// The moments at which time alone changes something.
    fn timers(&self, rules: &Rules) -> [Option<Timestamp>; 4] {
        match self.phase {
            Phase::Reserved => [Some(self.phase_since + rules.reservation), None, None, None],
            Phase::Ended => [Some(self.retained_until(rules)), None, None, None],
            Phase::Waiting | Phase::Live | Phase::Reconnecting => [
                self.never_joined_until(rules),
                self.empty_until(rules),
                self.reconnecting_until(rules),
                self.max_duration_until(),
            ],
        }
    }

    /// An ended record vanishes then.
    pub fn retained_until(&self, rules: &Rules) -> Timestamp {
        let latest = self.ended_at.unwrap_or(self.phase_since) + rules.max_retention;
        self.closed_at.map_or(latest, |closed| latest.min(closed + rules.retention))
    }

    /// `idle` then, if nobody ever comes.
    pub fn never_joined_until(&self, rules: &Rules) -> Option<Timestamp> {
        let own = self.settings.empty_timeout.map(|s| Duration::from_secs(s.into()));
        (!self.ever_joined).then(|| self.started_at + own.unwrap_or(rules.empty_timeout))
    }

    /// `idle` then, if nobody comes back.
    pub fn empty_until(&self, rules: &Rules) -> Option<Timestamp> {
        self.empty_since.map(|since| since + rules.departure_timeout)
    }

    /// End of the time without a publisher that is allowed.
    pub fn reconnecting_until(&self, rules: &Rules) -> Option<Timestamp> {
        let own = self.settings.end_without_publisher.map(|s| Duration::from_secs(s.into()));
        (self.phase == Phase::Reconnecting).then(|| self.phase_since + own.unwrap_or(rules.reconnect_window))
    }

    /// End of the longest life.
    pub fn max_duration_until(&self) -> Option<Timestamp> {
        self.settings.max_duration.map(|s| self.started_at + Duration::from_secs(s.into()))
    }
}

/// What outlives a record, so that an id created again continues its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Epoch to continue.
    pub epoch: Epoch,
    /// Last version given out.
    pub version: u64,
    /// Last generation used.
    pub generation: u32,
    /// Its room.
    pub room: RoomName,
    /// When the last ban of the id ends: bans outlive records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
}

/// The history row of one ended generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The stream.
    pub stream_id: StreamId,
    /// Its title at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who finds it. Rows of before this was kept are shown to nobody who may not see everything.
    #[serde(default = "hidden")]
    pub visibility: Visibility,
    /// Versions compare within it; empty in rows of before it was kept.
    #[serde(default = "unknown_epoch")]
    pub epoch: Epoch,
    /// Of the state in which it was over.
    #[serde(default)]
    pub version: u64,
    /// Which generation.
    pub generation: u32,
    /// Opened.
    pub started_at: Timestamp,
    /// Over.
    pub ended_at: Timestamp,
    /// Why.
    pub end_reason: EndReason,
    /// Most people at once.
    pub peak: u32,
    /// Connections of people.
    pub joins: u64,
    /// Connections that published.
    pub publishers: u64,
}

fn hidden() -> Visibility {
    Visibility::Private
}

fn unknown_epoch() -> Epoch {
    Epoch::from("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_row_of_before_visibility_was_kept_is_hidden() {
        let row = r#"{"streamId":"gold","generation":1,"startedAt":1,"endedAt":2,"endReason":"idle","peak":3,"joins":4,"publishers":1}"#;
        let session: Session = serde_json::from_str(row).unwrap();
        assert_eq!((session.visibility, session.epoch.as_str(), session.version), (Visibility::Private, "", 0));
    }
}
