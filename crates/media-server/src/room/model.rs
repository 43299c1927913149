//! The state of a room, a participant and a track, and their public forms.
//!
//! Only data and what can be said of one of them alone; what changes them is in the sibling
//! modules.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use livekit_protocol as proto;
use livekit_protocol::participant_info::{Kind, State};
use sfu::{ParticipantId, RoomId, TrackId};

use super::ConnId;
use crate::access::Claims;
use crate::signal::Dialect;

/// A room that exists.
#[derive(Debug)]
pub(super) struct Room {
    /// Its public form; the counts in it are kept true.
    pub info: proto::Room,
    /// When it was made: `empty_timeout` counts from here.
    pub created: Instant,
    /// Since when nobody who counts is in it, once somebody was: `departure_timeout` counts from
    /// here.
    pub deserted: Option<Instant>,
    /// Whether somebody who counts ever joined.
    pub visited: bool,
    /// Who is in it, in the order of joining.
    pub members: BTreeSet<ParticipantId>,
    /// The same by identity.
    pub identities: HashMap<String, ParticipantId>,
    /// Participants whose change was not told to the room yet, oldest first, one entry per sid.
    pub pending: Vec<proto::ParticipantInfo>,
    /// When `pending` was last sent.
    pub flushed: Instant,
    /// The room itself changed since this time and was not told yet.
    pub info_dirty: Option<Instant>,
}

/// One session of one identity in one room.
#[derive(Debug)]
pub(super) struct Participant {
    /// Key towards the engine.
    pub id: ParticipantId,
    /// Where it is.
    pub room: RoomId,
    /// `PA_...`, new with each session.
    pub sid: String,
    /// Unique within the room.
    pub identity: String,
    /// Claims of its token, kept equal to the state below for refreshed tokens.
    pub claims: Claims,
    /// What it may do now.
    pub permission: proto::ParticipantPermission,
    /// What the client said of itself.
    pub client: proto::ClientInfo,
    /// Its signalling path.
    pub dialect: Dialect,
    /// Receives every track it did not decline.
    pub auto_subscribe: bool,
    /// Its videos may be paused when its connection cannot carry them.
    pub allow_pause: bool,
    /// How far it got; only moves forward.
    pub state: State,
    /// When the session began, ms since 1970.
    pub joined_ms: i64,
    /// When the session began.
    pub joined: Instant,
    /// Grows with every change; receivers drop older ones.
    pub version: u32,
    /// Its signalling connection, unless it is away.
    pub conn: Option<ConnId>,
    /// It is removed at this time unless its media connection comes up or its signalling returns.
    pub deadline: Option<(Instant, proto::DisconnectReason)>,
    /// When its token is next refreshed.
    pub refresh_at: Instant,
    /// Its first offer, kept back until this time.
    pub held_offer: Option<(Instant, proto::SessionDescription)>,
    /// Tracks it announced, in order.
    pub tracks: Vec<TrackId>,
    /// Media of a track of it arrived at some time of the session.
    pub has_published: bool,
    /// Announcements waiting until the track with the same client id is gone.
    pub queued_tracks: VecDeque<proto::AddTrackRequest>,
    /// What it wants or has of others' tracks, by track sid.
    pub subscriptions: HashMap<String, Subscription>,
    /// Some subscription may have a `give_up` time.
    pub waits_for_tracks: bool,
    /// Who may receive its tracks (`SubscriptionPermission`).
    pub audience: proto::SubscriptionPermission,
    /// Highest sequence number of a reliable packet it sent.
    pub reliable_seq: u32,
    /// Last known quality of its connection.
    pub quality: Option<proto::ConnectionQualityInfo>,
}

/// What one participant wants or has of one track.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// What the participant (or an administrator) asked for; `None`: by its `auto_subscribe`.
    pub wanted: Option<bool>,
    /// The engine was told to deliver it.
    pub active: bool,
    /// The participant was told that the publisher does not allow it.
    pub refused: bool,
    /// It was asked for, the track is unknown, and the participant is told so at this time.
    pub give_up: Option<Instant>,
    /// How it is shown.
    pub settings: Option<sfu::TrackSettings>,
}

/// An announced track.
#[derive(Debug)]
pub(super) struct Track {
    /// Who publishes it.
    pub owner: ParticipantId,
    /// Its public form.
    pub info: proto::TrackInfo,
    /// The client's own id of it, as in the announcement.
    pub cid: String,
    /// Media arrived: it is told to others and can be subscribed to.
    pub published: bool,
    /// The publisher was told that somebody receives it.
    pub told_subscribed: bool,
    /// Who receives it.
    pub viewers: HashSet<ParticipantId>,
}

impl Participant {
    /// Whether it neither counts nor keeps a room alive.
    pub(super) fn is_dependent(&self) -> bool {
        let video = &self.claims.video;
        matches!(self.claims.kind(), Kind::Agent | Kind::Egress) || video.recorder || video.agent
    }

    /// Whether its media connection works or worked.
    pub(super) fn was_active(&self) -> bool {
        self.state == State::Active
    }

    /// The connection its state is judged by.
    pub(super) fn primary(&self) -> sfu::Target {
        if self.subscriber_primary() { sfu::Target::Subscriber } else { sfu::Target::Publisher }
    }

    /// Whether the server-offered connection is the first one.
    pub(super) fn subscriber_primary(&self) -> bool {
        self.dialect == Dialect::Dual && self.client.protocol > 2 && self.claims.video.can_subscribe.unwrap_or(true)
    }

    /// Whether this participant lets `viewer` receive its track.
    pub(super) fn admits(&self, viewer: &Participant, track_sid: &str) -> bool {
        self.audience.all_participants
            || self.audience.track_permissions.iter().any(|p| {
                let meant = if p.participant_identity.is_empty() {
                    p.participant_sid == viewer.sid
                } else {
                    p.participant_identity == viewer.identity
                };
                meant && (p.all_tracks || p.track_sids.iter().any(|sid| sid == track_sid))
            })
    }

    /// Its public form with these tracks.
    pub(super) fn info(&self, tracks: Vec<proto::TrackInfo>) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            sid: self.sid.clone(),
            identity: self.identity.clone(),
            state: self.state.into(),
            is_publisher: self.has_published,
            tracks,
            metadata: self.claims.metadata.clone(),
            joined_at: self.joined_ms / 1000,
            joined_at_ms: self.joined_ms,
            name: self.claims.name.clone(),
            version: self.version,
            permission: Some(self.permission.clone()),
            kind: self.claims.kind().into(),
            kind_details: self.claims.kind_details(),
            attributes: self.claims.attributes.clone(),
            client_protocol: self.client.client_protocol,
            capabilities: self.client.capabilities.clone(),
            ..proto::ParticipantInfo::default()
        }
    }
}
