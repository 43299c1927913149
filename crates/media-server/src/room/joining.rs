//! Joining a room, continuing a session, and the rooms that joining makes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use livekit_protocol as proto;
use livekit_protocol::DisconnectReason;
use livekit_protocol::client_info::Sdk;
use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use sfu::{ParticipantId, PeerMode, RoomId};

use super::model::{Participant, Room};
use super::{ConnId, Now, Output, Rooms};
use crate::access::Claims;
use crate::allowance::Allowance;
use crate::config::{LIVEKIT_VERSION, PROTOCOL};
use crate::signal::{Dialect, Frame, JoinParams};

/// How often a connected participant gets a fresh token.
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(300);

/// Time a resumed session has to get its media connection back.
const RESUME_MEDIA: Duration = Duration::from_secs(15);

/// How long the first offer of a Go client is kept back at least.
const HOLD_FOR_GO: Duration = Duration::from_millis(50);

/// Why nobody joined. Only what is 503 is worth retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinError {
    /// The token allows no joining. 401.
    #[error("permissions denied")]
    Denied,
    /// The token names nobody. 400.
    #[error("identity cannot be empty")]
    NoIdentity,
    /// The token names no room. 400.
    #[error("no room name")]
    NoRoom,
    /// A name is longer than allowed. 400.
    #[error("{0} exceeds the limit of {1} bytes")]
    TooLong(&'static str, usize),
    /// Rooms are not made by joining, and this one does not exist. 404.
    #[error("requested room does not exist")]
    RoomNotFound,
    /// `max_participants` are in the room. 403.
    #[error("room is full")]
    RoomFull,
    /// The server holds as many participants or rooms as it may. 503.
    #[error("this server is full, try again later")]
    ServerFull,
    /// As many are joining as may, and have no media connection yet. 503.
    #[error("too many are joining at once, try again in a moment")]
    TooManyJoining,
    /// More joined within a second than may. 503.
    #[error("too many joins per second, try again in a moment")]
    TooFast,
}

impl Rooms {
    /// Whether a join with this token would be let in. Changes nothing.
    pub(crate) fn check_join(&self, claims: &Claims, params: &JoinParams) -> Result<(), JoinError> {
        let limit = self.settings.limits.name_bytes;
        let grant = &claims.video;
        if !grant.room_join {
            return Err(JoinError::Denied);
        }
        if claims.identity().is_empty() {
            return Err(JoinError::NoIdentity);
        }
        if grant.room.is_empty() {
            return Err(JoinError::NoRoom);
        }
        if claims.identity().len() > limit {
            return Err(JoinError::TooLong("identity", limit));
        }
        if grant.room.len() > limit {
            return Err(JoinError::TooLong("room name", limit));
        }
        self.check_place(claims, params)
    }

    fn check_place(&self, claims: &Claims, params: &JoinParams) -> Result<(), JoinError> {
        if params.reconnect {
            return Ok(());
        }
        let limits = &self.settings.limits;
        let Some(room) = self.names.get(&claims.video.room).map(|id| &self.rooms[id]) else {
            let full = self.rooms.len() >= limits.rooms || self.participants.len() >= limits.participants;
            return match (self.settings.auto_create, full) {
                (false, _) => Err(JoinError::RoomNotFound),
                (true, true) => Err(JoinError::ServerFull),
                (true, false) => self.check_joining(),
            };
        };
        let again = room.identities.contains_key(&identity(claims, params));
        if again {
            return Ok(());
        }
        if self.participants.len() >= limits.participants {
            return Err(JoinError::ServerFull);
        }
        self.check_joining()?;
        let max = room.info.max_participants;
        if max > 0 && room.info.num_participants >= max && counts(claims) {
            return Err(JoinError::RoomFull);
        }
        Ok(())
    }

    /// Whether one more may begin to connect.
    fn check_joining(&self) -> Result<(), JoinError> {
        if self.joining() >= self.settings.limits.joining { Err(JoinError::TooManyJoining) } else { Ok(()) }
    }

    /// A client opened `conn`: it joins, or continues its session.
    pub(crate) fn join(&mut self, now: Now, conn: ConnId, claims: Claims, params: JoinParams) -> Result<(), JoinError> {
        self.check_join(&claims, &params)?;
        if params.reconnect {
            self.resume(now, conn, &claims, params);
            return Ok(());
        }
        let limits = &self.settings.limits;
        let full = || Allowance::new(limits.joins_per_second, limits.join_burst, now.at);
        if !self.joins.get_or_insert_with(full).take(now.at) {
            return Err(JoinError::TooFast);
        }
        let identity = identity(&claims, &params);
        let room = self.room_for(now, &claims);
        if let Some(&old) = self.rooms.get(&room).and_then(|r| r.identities.get(&identity)) {
            self.remove(now, old, DisconnectReason::DuplicateIdentity, Some(Action::Disconnect));
        }
        self.admit(now, conn, room, identity, claims, params);
        Ok(())
    }

    /// The room a token names, made if need be with the token's settings.
    fn room_for(&mut self, now: Now, claims: &Claims) -> RoomId {
        if let Some(&room) = self.names.get(&claims.video.room) {
            return room;
        }
        let config = claims.room_config.clone().unwrap_or_default();
        let request = proto::CreateRoomRequest {
            name: claims.video.room.clone(),
            empty_timeout: config.empty_timeout,
            departure_timeout: config.departure_timeout,
            max_participants: config.max_participants,
            metadata: config.metadata,
            ..proto::CreateRoomRequest::default()
        };
        self.make_room(now, request)
    }

    /// Makes a room that is known not to exist. Zero timeouts mean the defaults.
    pub(super) fn make_room(&mut self, now: Now, request: proto::CreateRoomRequest) -> RoomId {
        let id = RoomId(self.next_id());
        let or_default = |asked: u32, default: Duration| {
            if asked > 0 { asked } else { u32::try_from(default.as_secs()).unwrap_or(u32::MAX) }
        };
        let timeouts = &self.settings.timeouts;
        let info = proto::Room {
            name: request.name.clone(),
            empty_timeout: or_default(request.empty_timeout, timeouts.empty_room),
            departure_timeout: or_default(request.departure_timeout, timeouts.departure),
            max_participants: request.max_participants,
            creation_time: now.seconds(),
            creation_time_ms: now.ms,
            sid: self.ids.random("RM_"),
            enabled_codecs: codecs(),
            metadata: request.metadata,
            ..proto::Room::default()
        };
        let room = Room {
            info,
            created: now.at,
            deserted: None,
            visited: false,
            members: BTreeSet::new(),
            identities: HashMap::new(),
            pending: Vec::new(),
            flushed: now.at,
            info_dirty: None,
        };
        self.rooms.insert(id, room);
        self.names.insert(request.name, id);
        self.webhook(now, id, "room_started", |_| {});
        id
    }

    fn admit(&mut self, now: Now, conn: ConnId, room: RoomId, identity: String, claims: Claims, params: JoinParams) {
        let id = ParticipantId(self.next_id());
        let JoinParams { add_tracks, offer, .. } = params.clone();
        let participant = self.participant(now, id, room, identity.clone(), claims, params, conn);
        let (sid, counted) = (participant.sid.clone(), !participant.is_dependent());
        let join = self.new_participant(&participant);
        self.sids.insert(sid, id);
        self.conns.insert(conn, id);
        self.participants.insert(id, participant);
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.members.insert(id);
            entry.identities.insert(identity, id);
            entry.visited |= counted;
            if counted {
                entry.deserted = None;
            }
        }
        self.recount(now, room);
        let message = self.join_response(id);
        self.send(id, Message::Join(message));
        self.set_state(id, State::Joined);
        self.media(sfu::Command::AddParticipant(join));
        // More than a participant may have are not worth an answer each.
        for request in add_tracks.into_iter().take(self.settings.limits.tracks_per_participant) {
            self.add_track(now, id, request);
        }
        if let Some(offer) = offer {
            self.first_offer(now, id, offer);
        }
        self.refresh_token(now, id);
        self.subscribe_to_all(id);
        self.announce(now, id);
    }

    /// Answers the offer that came with a join, for some clients a little later.
    fn first_offer(&mut self, now: Now, id: ParticipantId, offer: proto::SessionDescription) {
        // The Go SDK applies its own offer after it began to read, and loses an answer that is there already.
        if self.participants[&id].client.sdk() == Sdk::Go
            && let Some(p) = self.participants.get_mut(&id)
        {
            p.held_offer = Some((now.at + HOLD_FOR_GO, offer));
        } else {
            self.media(sfu::Command::Offer { participant: id, id: offer.id, sdp: offer.sdp });
        }
    }

    /// Passes on an offer that was kept back.
    pub(super) fn release_offer(&mut self, id: ParticipantId) {
        if let Some((_, offer)) = self.participants.get_mut(&id).and_then(|p| p.held_offer.take()) {
            self.media(sfu::Command::Offer { participant: id, id: offer.id, sdp: offer.sdp });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a constructor of a plain record")]
    fn participant(
        &mut self,
        now: Now,
        id: ParticipantId,
        room: RoomId,
        identity: String,
        mut claims: Claims,
        params: JoinParams,
        conn: ConnId,
    ) -> Participant {
        let permission = claims.video.permission();
        // What a client says of itself counts only with the grant; the token counts always.
        if permission.can_update_metadata {
            if !params.metadata.is_empty() && params.metadata.len() <= self.settings.limits.metadata_bytes {
                claims.metadata = params.metadata;
            }
            let size: usize = params.attributes.iter().map(|(k, v)| k.len() + v.len()).sum();
            if size <= self.settings.limits.attributes_bytes {
                claims.attributes.extend(params.attributes);
            }
        }
        Participant {
            id,
            room,
            sid: self.ids.random("PA_"),
            identity,
            claims,
            permission,
            client: params.client,
            dialect: params.dialect,
            auto_subscribe: params.auto_subscribe,
            allow_pause: params.allow_pause,
            state: State::Joining,
            joined_ms: now.ms,
            joined: now.at,
            version: 1,
            conn: Some(conn),
            deadline: Some((now.at + self.settings.timeouts.join, DisconnectReason::JoinFailure)),
            refresh_at: now.at + REFRESH_EVERY,
            held_offer: None,
            tracks: Vec::new(),
            has_published: false,
            queued_tracks: VecDeque::new(),
            subscriptions: HashMap::new(),
            waits_for_tracks: false,
            audience: proto::SubscriptionPermission { all_participants: true, ..Default::default() },
            reliable_seq: 0,
            quality: None,
        }
    }

    fn new_participant(&self, p: &Participant) -> sfu::NewParticipant {
        sfu::NewParticipant {
            id: p.id,
            room: p.room,
            sid: p.sid.clone(),
            mode: match p.dialect {
                Dialect::Single => PeerMode::Single,
                Dialect::Dual => PeerMode::Dual,
            },
            can_subscribe: p.claims.video.can_subscribe.unwrap_or(true),
            // Safari shows nothing when a section carries another track than at first.
            reuse_sections: !p.client.browser.to_lowercase().contains("safari"),
            allow_pause: p.allow_pause,
        }
    }

    fn join_response(&mut self, id: ParticipantId) -> proto::JoinResponse {
        let p = &self.participants[&id];
        let room = &self.rooms[&p.room];
        let others = room.members.iter().filter(|&&m| m != id && !self.participants[&m].permission.hidden);
        let timeouts = &self.settings.timeouts;
        let seconds = |d: Duration| i32::try_from(d.as_secs()).unwrap_or(i32::MAX);
        proto::JoinResponse {
            room: Some(room.info.clone()),
            participant: Some(self.info(id)),
            other_participants: others.map(|&m| self.info(m)).collect(),
            server_version: LIVEKIT_VERSION.to_owned(),
            server_info: Some(self.server_info()),
            subscriber_primary: p.subscriber_primary(),
            fast_publish: p.permission.can_publish,
            ping_timeout: seconds(timeouts.ping),
            ping_interval: seconds(timeouts.ping_interval),
            enabled_publish_codecs: codecs(),
            sif_trailer: self.ids.bytes(16),
            ..proto::JoinResponse::default()
        }
    }

    fn server_info(&self) -> proto::ServerInfo {
        proto::ServerInfo {
            version: LIVEKIT_VERSION.to_owned(),
            protocol: PROTOCOL,
            node_id: self.settings.node_id.clone(),
            agent_protocol: 1,
            ..proto::ServerInfo::default()
        }
    }

    /// Gives a known session its new connection, or tells the client to join anew.
    fn resume(&mut self, now: Now, conn: ConnId, claims: &Claims, params: JoinParams) {
        let Some(id) = self.session(claims, &params) else {
            let leave = leave(DisconnectReason::StateMismatch, Action::Reconnect);
            self.out.push_back(Output::Signal(conn, Frame::new(Message::Leave(leave))));
            self.out.push_back(Output::Close(conn));
            return;
        };
        self.swap_connection(now, id, conn);
        let last_message_seq = self.participants[&id].reliable_seq;
        let server_info = Some(self.server_info());
        self.send(
            id,
            Message::Reconnect(proto::ReconnectResponse { server_info, last_message_seq, ..Default::default() }),
        );
        self.send_everyone(id);
        self.refresh_token(now, id);
        self.media(sfu::Command::Renegotiate(id));
        if let Some(state) = params.sync_state {
            self.sync_state(now, id, state);
        }
        if let Some(offer) = params.offer {
            self.media(sfu::Command::Offer { participant: id, id: offer.id, sdp: offer.sdp });
        }
    }

    /// The session a resuming client means, if it is its own and still there.
    fn session(&self, claims: &Claims, params: &JoinParams) -> Option<ParticipantId> {
        let room = self.names.get(&claims.video.room)?;
        let id = *self.rooms.get(room)?.identities.get(&identity(claims, params))?;
        let p = self.participants.get(&id)?;
        let same = params.participant_sid.is_empty() || params.participant_sid == p.sid;
        (same && p.dialect == params.dialect).then_some(id)
    }

    fn swap_connection(&mut self, now: Now, id: ParticipantId, conn: ConnId) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        let old = p.conn.replace(conn);
        let grace = now.at + RESUME_MEDIA;
        p.deadline = match p.deadline {
            Some(_) if p.was_active() => Some((grace, DisconnectReason::ConnectionTimeout)),
            Some(_) => Some((grace.max(p.joined + self.settings.timeouts.join), DisconnectReason::JoinFailure)),
            None => None,
        };
        self.conns.insert(conn, id);
        if let Some(old) = old {
            self.conns.remove(&old);
            self.out.push_back(Output::Close(old));
        }
    }

    /// Everything a resumed client may have missed.
    fn send_everyone(&mut self, id: ParticipantId) {
        let room = &self.rooms[&self.participants[&id].room];
        let seen = room.members.iter().filter(|&&m| m == id || !self.participants[&m].permission.hidden);
        let participants = seen.map(|&m| self.info(m)).collect();
        let room = room.info.clone();
        self.send(id, Message::Update(proto::ParticipantUpdate { participants }));
        self.send(id, Message::RoomUpdate(proto::RoomUpdate { room: Some(room) }));
    }

    /// Sends a token with the current claims.
    pub(super) fn refresh_token(&mut self, now: Now, id: ParticipantId) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        p.refresh_at = now.at + REFRESH_EVERY;
        p.claims.video.set_permission(&p.permission);
        let token = self.settings.keys.refresh(&p.claims, now.seconds());
        self.send(id, Message::RefreshToken(token));
    }
}

/// The codecs that are forwarded, by MIME type.
fn codecs() -> Vec<proto::Codec> {
    [sfu::Codec::Vp8, sfu::Codec::H264, sfu::Codec::Opus]
        .map(|c| proto::Codec { mime: c.mime().to_owned(), ..proto::Codec::default() })
        .to_vec()
}

/// The identity a client joins under.
fn identity(claims: &Claims, params: &JoinParams) -> String {
    if params.publish_only.is_empty() {
        claims.identity().to_owned()
    } else {
        format!("{}#{}", claims.identity(), params.publish_only)
    }
}

/// Whether a participant with these claims takes a place.
fn counts(claims: &Claims) -> bool {
    use livekit_protocol::participant_info::Kind;
    let dependent = matches!(claims.kind(), Kind::Agent | Kind::Egress) || claims.video.recorder || claims.video.agent;
    !dependent
}

/// A Leave message. `can_reconnect` repeats the action for clients that know only it.
pub(super) fn leave(reason: DisconnectReason, action: Action) -> proto::LeaveRequest {
    proto::LeaveRequest {
        can_reconnect: action != Action::Disconnect,
        reason: reason.into(),
        action: action.into(),
        ..proto::LeaveRequest::default()
    }
}
