//! Bodies of answers. They borrow: nothing is copied to be written.

use std::collections::BTreeSet;

use domain::{
    Ban, Epoch, Head, Identity, Participant, Role, RoomName, Session, StreamId, StreamView, Timestamp, Visibility,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::requests::{RoleName, VisibilityName};

/// Writes a time as ISO 8601 UTC with milliseconds.
fn iso<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn iso_if_any<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// The classic state.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Status)]
pub(crate) enum StatusName {
    /// Can be joined.
    Active,
    /// Over.
    Finished,
}

impl From<domain::Status> for StatusName {
    fn from(status: domain::Status) -> Self {
        match status {
            domain::Status::Active => Self::Active,
            domain::Status::Finished => Self::Finished,
        }
    }
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Phase)]
pub(crate) enum PhaseName {
    /// Open, nobody publishes.
    Waiting,
    /// Somebody publishes.
    Live,
    /// The last published track went a moment ago.
    Reconnecting,
    /// Over.
    Ended,
}

impl From<domain::Phase> for PhaseName {
    fn from(phase: domain::Phase) -> Self {
        match phase {
            // A reservation is shown to nobody; were it, it would be waiting.
            domain::Phase::Reserved | domain::Phase::Waiting => Self::Waiting,
            domain::Phase::Live => Self::Live,
            domain::Phase::Reconnecting => Self::Reconnecting,
            domain::Phase::Ended => Self::Ended,
        }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EndReason)]
pub(crate) enum EndReasonName {
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

impl From<domain::EndReason> for EndReasonName {
    fn from(reason: domain::EndReason) -> Self {
        match reason {
            domain::EndReason::Idle => Self::Idle,
            domain::EndReason::Stopped => Self::Stopped,
            domain::EndReason::PublisherLeft => Self::PublisherLeft,
            domain::EndReason::MaxDuration => Self::MaxDuration,
            domain::EndReason::RoomFinished => Self::RoomFinished,
            domain::EndReason::Lost => Self::Lost,
        }
    }
}

/// The people of a stream, sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum People<'a> {
    Set(&'a BTreeSet<Identity>),
    List(&'a [Identity]),
}

impl Serialize for People<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(set) => serializer.collect_seq(*set),
            Self::List(list) => serializer.collect_seq(*list),
        }
    }
}

/// The state of a stream; also the data of its events. With `view=summary`
/// events come without `participants`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamState<'a> {
    #[schema(value_type = String)]
    stream_id: &'a StreamId,
    status: StatusName,
    /// Identities of the people who are there, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = true)]
    participants: Option<People<'a>>,
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Once finished.
    #[serde(serialize_with = "iso_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    ended_at: Option<Timestamp>,
    /// Once finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end_reason: Option<EndReasonName>,
    /// Finished, but its LiveKit room has not been seen to be gone yet.
    closing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    title: Option<&'a str>,
    /// Absent: `public`.
    #[serde(skip_serializing_if = "Visibility::is_public")]
    #[schema(value_type = VisibilityName, required = false)]
    visibility: Visibility,
    phase: PhaseName,
    /// Since when it is in this phase.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    phase_since: Timestamp,
    /// When the phase ends by itself: of `reconnecting`, the time that a publisher may be away.
    #[serde(serialize_with = "iso_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    phase_until: Option<Timestamp>,
    participant_count: u32,
    /// Most people at once.
    peak_participants: u32,
    /// Connections of people, all told.
    total_joins: u64,
    /// Versions compare within one epoch; another epoch replaces what one has.
    #[schema(value_type = String)]
    epoch: &'a Epoch,
    /// Rises by one with every change.
    version: u64,
}

impl<'a> StreamState<'a> {
    pub(crate) fn new(view: &'a StreamView, participants: Option<People<'a>>) -> Self {
        Self {
            stream_id: &view.id,
            status: view.phase.status().into(),
            participants,
            started_at: view.started_at,
            ended_at: view.ended_at,
            end_reason: view.end_reason.map(Into::into),
            closing: view.closing,
            title: view.title.as_deref(),
            visibility: view.visibility,
            phase: view.phase.into(),
            phase_since: view.phase_since,
            phase_until: view.phase_until,
            participant_count: view.people,
            peak_participants: view.peak,
            total_joins: view.joins,
            epoch: &view.epoch,
            version: view.version,
        }
    }
}

/// A stream in a list or in the lobby. In a list of finished ones each generation stands for itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamSummary<'a> {
    #[schema(value_type = String)]
    stream_id: &'a StreamId,
    participant_count: u32,
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    title: Option<&'a str>,
    /// Absent: `public`.
    #[serde(skip_serializing_if = "Visibility::is_public")]
    #[schema(value_type = VisibilityName, required = false)]
    visibility: Visibility,
    status: StatusName,
    phase: PhaseName,
    /// Once finished.
    #[serde(serialize_with = "iso_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    ended_at: Option<Timestamp>,
    /// Once finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end_reason: Option<EndReasonName>,
    #[schema(value_type = String)]
    epoch: &'a Epoch,
    version: u64,
    /// How often a stream had been started under this id; in lists with `status=finished`, as are those that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    generation: Option<u32>,
    /// Most people at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    peak_participants: Option<u32>,
    /// Connections of people, all told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total_joins: Option<u64>,
    /// Connections that published something, all told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total_publishers: Option<u64>,
}

impl<'a> From<&'a Session> for StreamSummary<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            stream_id: &session.stream_id,
            participant_count: 0,
            started_at: session.started_at,
            title: session.title.as_deref(),
            visibility: session.visibility,
            status: StatusName::Finished,
            phase: PhaseName::Ended,
            ended_at: Some(session.ended_at),
            end_reason: Some(session.end_reason.into()),
            epoch: &session.epoch,
            version: session.version,
            generation: Some(session.generation),
            peak_participants: Some(session.peak),
            total_joins: Some(session.joins),
            total_publishers: Some(session.publishers),
        }
    }
}

impl<'a> From<&'a StreamView> for StreamSummary<'a> {
    fn from(view: &'a StreamView) -> Self {
        Self {
            stream_id: &view.id,
            participant_count: view.people,
            started_at: view.started_at,
            title: view.title.as_deref(),
            visibility: view.visibility,
            status: view.phase.status().into(),
            phase: view.phase.into(),
            ended_at: view.ended_at,
            end_reason: view.end_reason.map(Into::into),
            epoch: &view.epoch,
            version: view.version,
            generation: None,
            peak_participants: None,
            total_joins: None,
            total_publishers: None,
        }
    }
}

impl<'a> From<&'a Head> for StreamSummary<'a> {
    fn from(head: &'a Head) -> Self {
        Self {
            stream_id: &head.id,
            participant_count: head.people,
            started_at: head.started_at,
            title: head.settings.title.as_deref(),
            visibility: head.settings.visibility,
            status: head.phase.status().into(),
            phase: head.phase.into(),
            ended_at: head.ended_at,
            end_reason: head.end_reason.map(Into::into),
            epoch: &head.epoch,
            version: head.version,
            generation: None,
            peak_participants: None,
            total_joins: None,
            total_publishers: None,
        }
    }
}

/// Everything about a stream but its list of people.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamDetails<'a> {
    #[schema(value_type = String)]
    stream_id: &'a StreamId,
    status: StatusName,
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Once finished.
    #[serde(serialize_with = "iso_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    ended_at: Option<Timestamp>,
    /// Once finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end_reason: Option<EndReasonName>,
    closing: bool,
    phase: PhaseName,
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    phase_since: Timestamp,
    participant_count: u32,
    peak_participants: u32,
    total_joins: u64,
    /// How often a stream was started under this id.
    generation: u32,
    /// Name of the LiveKit room of this generation.
    #[schema(value_type = String)]
    room: &'a RoomName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    title: Option<&'a str>,
    #[schema(value_type = VisibilityName)]
    visibility: Visibility,
    #[schema(value_type = Object)]
    metadata: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_participants: Option<u32>,
    #[schema(value_type = RoleName)]
    default_role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    empty_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_duration: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end_without_publisher: Option<u32>,
    /// Of the members that can be changed: `<epoch>-s<n>`.
    settings_tag: String,
    #[schema(value_type = String)]
    epoch: &'a Epoch,
    version: u64,
}

impl<'a> From<&'a Head> for StreamDetails<'a> {
    fn from(head: &'a Head) -> Self {
        Self {
            stream_id: &head.id,
            status: head.phase.status().into(),
            started_at: head.started_at,
            ended_at: head.ended_at,
            end_reason: head.end_reason.map(Into::into),
            closing: head.closing(),
            phase: head.phase.into(),
            phase_since: head.phase_since,
            participant_count: head.people,
            peak_participants: head.peak,
            total_joins: head.joins,
            generation: head.generation,
            room: &head.room.name,
            title: head.settings.title.as_deref(),
            visibility: head.settings.visibility,
            metadata: &head.settings.metadata,
            max_participants: head.settings.max_participants,
            default_role: head.settings.default_role,
            empty_timeout: head.settings.empty_timeout,
            max_duration: head.settings.max_duration,
            end_without_publisher: head.settings.end_without_publisher,
            settings_tag: head.settings_tag(),
            epoch: &head.epoch,
            version: head.version,
        }
    }
}

/// The id of a stream that exists now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedStream<'a> {
    #[schema(value_type = String)]
    pub(crate) stream_id: &'a StreamId,
    /// Leads this stream until it ends; shown this once, to whoever created it, where callers are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) host_key: Option<&'a str>,
}

/// A place in a stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinedStream<'a> {
    /// LiveKit access token.
    pub(crate) token: &'a str,
    /// LiveKit's address for clients: `ws://` or `wss://`.
    pub(crate) url: &'a str,
    /// Name of the LiveKit room.
    #[schema(value_type = String)]
    pub(crate) room: &'a RoomName,
    #[schema(value_type = String)]
    pub(crate) identity: &'a Identity,
    #[schema(value_type = RoleName)]
    pub(crate) role: Role,
    /// The token can't be used to connect after this.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}

/// An invite, shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuedInvite<'a> {
    /// The bearer of whoever was invited.
    pub(crate) token: &'a str,
    #[schema(value_type = RoleName)]
    pub(crate) role: Role,
    /// It ends then, or with the stream.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
    /// The room's page, relative to this server, with the invite in its fragment.
    pub(crate) link: &'a str,
}

/// A ticket for one stream's events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuedTicket<'a> {
    /// The query parameter `ticket` of `/sse/{id}/updates`.
    pub(crate) ticket: &'a str,
    /// The event stream must be opened before; it stays open.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Timestamp,
}

/// Somebody who is kept out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BannedPerson<'a> {
    #[schema(value_type = String)]
    identity: &'a Identity,
    /// It ends by itself then.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// When it was decided.
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<&'a str>,
}

impl<'a> From<(&'a Identity, &'a Ban)> for BannedPerson<'a> {
    fn from((identity, ban): (&'a Identity, &'a Ban)) -> Self {
        Self { identity, until: ban.until, since: ban.since, reason: ban.reason.as_deref() }
    }
}

/// An API key, by its name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyEntry {
    pub(crate) name: String,
    /// `admin` or `read`.
    pub(crate) scope: &'static str,
    /// It stands in the file of `API_KEYS_FILE`, not in `API_KEYS`.
    pub(crate) from_file: bool,
    /// When this instance has last seen it, since its start.
    #[serde(serialize_with = "iso_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    pub(crate) last_used_at: Option<Timestamp>,
}

/// What takes part: LiveKit's participant kinds, recorders told apart.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase", as = ParticipantKind)]
#[expect(dead_code, reason = "the schema of domain::Kind, which knows no HTTP")]
pub(crate) enum KindName {
    Standard,
    Ingress,
    Egress,
    Sip,
    Agent,
    Connector,
    Bridge,
    Recorder,
}

/// One connection to a stream's room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParticipantEntry<'a> {
    /// Who.
    #[schema(value_type = String)]
    identity: &'a Identity,
    /// LiveKit's id of the connection.
    #[schema(value_type = String)]
    sid: &'a str,
    /// Display name, empty when none was given.
    name: &'a str,
    /// People are `standard`, `sip` and `connector`.
    #[schema(value_type = KindName)]
    kind: domain::Kind,
    #[serde(serialize_with = "iso")]
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
    /// Tracks it publishes now.
    tracks: usize,
}

impl<'a> From<&'a Participant> for ParticipantEntry<'a> {
    fn from(participant: &'a Participant) -> Self {
        Self {
            identity: &participant.identity,
            sid: participant.sid.as_str(),
            name: &participant.name,
            kind: participant.kind,
            joined_at: participant.joined_at,
            tracks: participant.tracks.len(),
        }
    }
}

/// The lobby's first event, `snapshot`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LobbySnapshot<'a> {
    /// Live ones first, then waiting, then ended ones; each newest first.
    pub(crate) streams: Vec<StreamSummary<'a>>,
    /// How many there are in all.
    pub(crate) total: usize,
}

/// The lobby's event `remove`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemovedStream<'a> {
    #[schema(value_type = String)]
    pub(crate) stream_id: &'a StreamId,
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthReport {
    /// Always `ok`.
    pub(crate) status: &'static str,
}

/// Whether requests should be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Readiness {
    /// Everything answers.
    Ready,
    /// LiveKit does not answer: what needs it is 503, the rest is served.
    Degraded,
    /// The store does not answer.
    Unavailable,
    /// Shutdown has begun.
    Draining,
}

/// How a part is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartReport {
    /// It answered when last asked.
    pub(crate) ok: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) trouble: Option<String>,
}

/// Whether requests should be sent here, and why not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadinessReport {
    pub(crate) status: Readiness,
    /// LiveKit does not answer.
    pub(crate) degraded: bool,
    pub(crate) store: PartReport,
    pub(crate) livekit: PartReport,
}
