//! Rooms in virtual time: what clients are sent, what the engine is told, which webhooks go out.

mod fuzz;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use livekit_protocol::DisconnectReason;
use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message;
use prost::Message as _;
use sfu::{Event, ParticipantId, Target, TrackId, TransportState};

use super::*;
use crate::access::{Claims, VideoGrant};
use crate::keys::ApiKey;
use crate::signal::{Dialect, JoinParams};

/// Rooms with everything that came out of them.
struct World {
    rooms: Rooms,
    start: Instant,
    at: Duration,
    next_conn: u64,
    sent: HashMap<ConnId, Vec<Message>>,
    closed: Vec<ConnId>,
    media: Vec<sfu::Command>,
    hooks: Vec<proto::WebhookEvent>,
}

const UNIX_MS: i64 = 1_800_000_000_000;

fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let keys = Keyring::new(vec![ApiKey { key: "k".into(), secret: "s".into() }]);
    let mut settings = Settings {
        keys,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        auto_create: true,
        node_id: "ND_test".into(),
    };
    change(&mut settings);
    World {
        rooms: Rooms::new(settings, Ids::seeded(7)),
        start: Instant::now(),
        at: Duration::ZERO,
        next_conn: 0,
        sent: HashMap::new(),
        closed: Vec::new(),
        media: Vec::new(),
        hooks: Vec::new(),
    }
}

fn grant(identity: &str) -> Claims {
    let video = VideoGrant { room_join: true, room: "x".into(), ..VideoGrant::default() };
    Claims { iss: "k".into(), sub: identity.into(), exp: UNIX_MS / 1000 + 3600, video, ..Claims::default() }
}

fn params(dialect: Dialect) -> JoinParams {
    JoinParams {
        dialect,
        auto_subscribe: true,
        adaptive_stream: false,
        allow_pause: true,
        reconnect: false,
        participant_sid: String::new(),
        publish_only: String::new(),
        client: proto::ClientInfo { protocol: 17, ..Default::default() },
        metadata: String::new(),
        attributes: HashMap::new(),
        add_tracks: Vec::new(),
        offer: None,
        sync_state: None,
    }
}

/// One who joined.
#[derive(Clone)]
struct Who {
    conn: ConnId,
    id: ParticipantId,
    sid: String,
}

impl World {
    fn now(&self) -> Now {
        Now { at: self.start + self.at, ms: UNIX_MS + self.at.as_millis() as i64 }
    }

    fn drain(&mut self) {
        while let Some(output) = self.rooms.poll() {
            match output {
                Output::Signal(conn, frame) => {
                    self.sent.entry(conn).or_default().push(frame.message.message.clone().unwrap());
                }
                Output::Close(conn) => self.closed.push(conn),
                Output::Media(command) => self.media.push(command),
                Output::Webhook(event) => self.hooks.push(event.event),
            }
        }
    }

    /// Lets time pass in steps of the loop's tick.
    fn pass(&mut self, seconds: f64) {
        let end = self.at + Duration::from_secs_f64(seconds);
        while self.at < end {
            self.at += Duration::from_millis(100);
            self.rooms.tick(self.now());
            self.drain();
        }
    }

    fn try_join(&mut self, claims: Claims, params: JoinParams) -> Result<ConnId, JoinError> {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let result = self.rooms.join(self.now(), conn, claims, params);
        self.drain();
        result.map(|()| conn)
    }

    fn join(&mut self, claims: Claims) -> Who {
        let conn = self.try_join(claims, params(Dialect::Single)).unwrap();
        let Some(Message::Join(join)) = self.sent[&conn].first().cloned() else {
            panic!("no join: {:?}", self.sent[&conn]);
        };
        let sid = join.participant.unwrap().sid;
        Who { conn, id: self.rooms.sids[&sid], sid }
    }

    /// Joins and gets its media connection.
    fn enter(&mut self, identity: &str) -> Who {
        let who = self.join(grant(identity));
        self.connected(&who);
        who
    }

    fn connected(&mut self, who: &Who) {
        self.transport(who, TransportState::Connected);
    }

    fn transport(&mut self, who: &Who, state: TransportState) {
        self.event(Event::Transport { participant: who.id, target: Target::Publisher, state });
    }

    fn event(&mut self, event: Event) {
        self.rooms.media_event(self.now(), event);
        self.drain();
    }

    fn ask(&mut self, who: &Who, message: Ask) {
        self.rooms.signal(self.now(), who.conn, proto::SignalRequest { message: Some(message) });
        self.drain();
    }

    /// Announces a track and lets its media flow.
    fn publish(&mut self, who: &Who, cid: &str) -> (TrackId, String) {
        self.ask(who, Ask::AddTrack(camera(cid)));
        let sid = self
            .messages(who)
            .iter()
            .rev()
            .find_map(|m| match m {
                Message::TrackPublished(p) if p.cid == cid => Some(p.track.clone().unwrap().sid),
                _ => None,
            })
            .unwrap();
        let track = self.rooms.track_sids[&sid];
        let layers = vec![sfu::LayerInfo { rid: Some("q".into()), quality: sfu::Quality::Low, spatial: 0, ssrc: 9 }];
        self.event(Event::TrackStarted { track, mid: "1".into(), codec: sfu::Codec::Vp8, layers });
        (track, sid)
    }

    fn messages(&self, who: &Who) -> &[Message] {
        self.sent.get(&who.conn).map(Vec::as_slice).unwrap_or_default()
    }

    /// What was sent since the last call, which empties it.
    fn take(&mut self, who: &Who) -> Vec<Message> {
        self.sent.remove(&who.conn).unwrap_or_default()
    }

    fn hook_names(&self) -> Vec<&str> {
        self.hooks.iter().map(|h| h.event.as_str()).collect()
    }
}

fn camera(cid: &str) -> proto::AddTrackRequest {
    let layer = |quality: proto::VideoQuality, width| proto::VideoLayer {
        quality: quality.into(),
        width,
        height: width / 2,
        ..Default::default()
    };
    proto::AddTrackRequest {
        cid: cid.into(),
        r#type: proto::TrackType::Video.into(),
        source: proto::TrackSource::Camera.into(),
        simulcast_codecs: vec![proto::SimulcastCodec {
            codec: "vp8".into(),
            cid: cid.into(),
            layers: vec![layer(proto::VideoQuality::Low, 320), layer(proto::VideoQuality::High, 1280)],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn updates(messages: &[Message]) -> Vec<proto::ParticipantInfo> {
    messages
        .iter()
        .flat_map(|m| match m {
            Message::Update(u) => u.participants.clone(),
            _ => Vec::new(),
        })
        .collect()
}

/// The newest public form of somebody.
fn last_of(messages: &[Message], who: &Who) -> proto::ParticipantInfo {
    updates(messages).into_iter().rfind(|p| p.sid == who.sid).unwrap()
}

fn leaves(messages: &[Message]) -> Vec<(DisconnectReason, Action)> {
    messages
        .iter()
        .filter_map(|m| match m {
            Message::Leave(l) => Some((l.reason(), l.action())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_join_tells_what_clients_need() {
    let mut w = world();
    let ann = w.enter("ann");
    w.publish(&ann, "cam");
    let bob = w.join(grant("bob"));
    let messages = w.messages(&bob);
    let Message::Join(join) = &messages[0] else { panic!("{messages:?}") };
    assert!(join.room.as_ref().unwrap().sid.starts_with("RM_"));
    let me = join.participant.as_ref().unwrap();
    assert!(me.sid.starts_with("PA_") && me.state() == State::Joining);
    assert_eq!(join.other_participants[0].tracks[0].mime_type, "video/VP8");
    assert!(!join.server_info.as_ref().unwrap().version.is_empty());
    assert_eq!((join.ping_interval, join.ping_timeout, join.fast_publish), (5, 15, true));
    assert!(messages.iter().any(|m| matches!(m, Message::RefreshToken(t) if !t.is_empty())));
    assert!(w.media.iter().any(|c| matches!(c, sfu::Command::Subscribe { participant, .. } if *participant == bob.id)));
}

#[test]
fn a_pause_is_told_to_the_viewer_and_a_demand_to_the_publisher() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    let (track, sid) = w.publish(&ann, "cam");
    w.take(&ann);
    w.take(&bob);
    for paused in [true, false] {
        w.event(Event::StreamPaused { participant: bob.id, track, paused });
    }
    let told = |m: &Message| match m {
        Message::StreamStateUpdate(u) => Some(u.stream_states[0].clone()),
        _ => None,
    };
    let states: Vec<_> = w.take(&bob).iter().filter_map(told).collect();
    assert_eq!(
        states.iter().map(|s| s.state()).collect::<Vec<_>>(),
        [proto::StreamState::Paused, proto::StreamState::Active]
    );
    assert!(states.iter().all(|s| s.track_sid == sid && s.participant_sid == ann.sid));
    for quality in [Some(sfu::Quality::Medium), None] {
        w.event(Event::Demand { track, quality });
    }
    let told = |m: &Message| match m {
        Message::SubscribedQualityUpdate(u) => Some(u.subscribed_codecs[0].clone()),
        _ => None,
    };
    let demands: Vec<_> = w.take(&ann).iter().filter_map(told).collect();
    assert!(demands.iter().all(|d| d.codec == "vp8" && d.qualities.len() == 3));
    let enabled = |d: &proto::SubscribedCodec| d.qualities.iter().map(|q| q.enabled).collect::<Vec<_>>();
    assert_eq!(demands.iter().map(enabled).collect::<Vec<_>>(), [[true, true, false], [false; 3]]);
    assert!(w.take(&bob).is_empty());
}

#[test]
fn a_join_needs_grant_identity_room_and_place() {
    let mut w = world_with(|s| s.limits.participants = 2);
    let mut no_join = grant("a");
    no_join.video.room_join = false;
    let mut no_room = grant("a");
    no_room.video.room = String::new();
    let cases = [
        (no_join, JoinError::Denied),
        (grant(""), JoinError::NoIdentity),
        (no_room, JoinError::NoRoom),
        (grant(&"x".repeat(300)), JoinError::TooLong("identity", 256)),
    ];
    for (claims, error) in cases {
        assert_eq!(w.try_join(claims, params(Dialect::Single)).unwrap_err(), error);
    }
    w.enter("a");
    w.enter("b");
    assert_eq!(w.try_join(grant("c"), params(Dialect::Single)).unwrap_err(), JoinError::ServerFull);
    assert!(w.try_join(grant("a"), params(Dialect::Single)).is_ok(), "who is in may come again");
}

#[test]
fn joins_are_limited_per_second() {
    let mut w = world_with(|s| (s.limits.joins_per_second, s.limits.join_burst) = (2, 3));
    for name in ["a", "b", "c"] {
        assert!(w.try_join(grant(name), params(Dialect::Single)).is_ok());
    }
    assert_eq!(w.try_join(grant("d"), params(Dialect::Single)).unwrap_err(), JoinError::TooFast);
    assert_eq!(w.rooms.counts().participants, 3, "nothing was begun");
    let resuming = JoinParams { reconnect: true, ..params(Dialect::Single) };
    assert!(w.try_join(grant("a"), resuming).is_ok(), "who resumes costs no handshake");
    w.at += Duration::from_millis(500);
    assert!(w.try_join(grant("d"), params(Dialect::Single)).is_ok());
}

#[test]
fn those_without_media_are_limited() {
    let mut w = world_with(|s| s.limits.joining = 2);
    let first = w.join(grant("a"));
    w.join(grant("b"));
    let mut elsewhere = grant("c");
    elsewhere.video.room = "other".into();
    for claims in [grant("c"), elsewhere] {
        assert_eq!(w.try_join(claims, params(Dialect::Single)).unwrap_err(), JoinError::TooManyJoining);
    }
    assert!(w.try_join(grant("b"), params(Dialect::Single)).is_ok(), "it replaces itself");
    w.connected(&first);
    assert_eq!(w.rooms.counts().joining, 1);
    assert!(w.try_join(grant("c"), params(Dialect::Single)).is_ok(), "one has connected");
    w.at += Timeouts::default().join;
    w.rooms.tick(w.now());
    w.drain();
    assert_eq!(w.rooms.counts().joining, 0, "who does not connect in time is removed");
}

#[test]
fn a_full_room_lets_nobody_in_but_a_duplicate() {
    let mut w = world();
    let request = proto::CreateRoomRequest { name: "x".into(), max_participants: 1, ..Default::default() };
    w.rooms.create_room(w.now(), request).unwrap();
    w.enter("ann");
    assert_eq!(w.try_join(grant("bob"), params(Dialect::Single)).unwrap_err(), JoinError::RoomFull);
    let mut recorder = grant("rec");
    recorder.video.recorder = true;
    assert!(w.try_join(recorder, params(Dialect::Single)).is_ok(), "a recorder takes no place");
    assert!(w.try_join(grant("ann"), params(Dialect::Single)).is_ok());
}

#[test]
fn rooms_are_not_made_by_joining_when_that_is_off() {
    let mut w = world_with(|s| s.auto_create = false);
    assert_eq!(w.try_join(grant("a"), params(Dialect::Single)).unwrap_err(), JoinError::RoomNotFound);
    w.rooms.create_room(w.now(), proto::CreateRoomRequest { name: "x".into(), ..Default::default() }).unwrap();
    assert!(w.try_join(grant("a"), params(Dialect::Single)).is_ok());
}

#[test]
fn the_webhooks_of_a_session_come_in_livekits_order() {
    let mut w = world();
    let ann = w.enter("ann");
    w.publish(&ann, "cam");
    w.ask(&ann, Ask::Leave(proto::LeaveRequest::default()));
    w.pass(21.0);
    let expected = [
        "room_started",
        "participant_joined",
        "track_published",
        "track_unpublished",
        "participant_left",
        "room_finished",
    ];
    assert_eq!(w.hook_names(), expected);
    let left = w.hooks[4].participant.as_ref().unwrap();
    assert_eq!((left.state(), left.disconnect_reason()), (State::Disconnected, DisconnectReason::ClientInitiated));
    let track = &w.hooks[2];
    assert_eq!(track.participant.as_ref().unwrap().joined_at, 0, "only sid and identity");
    assert!(track.track.as_ref().unwrap().sid.starts_with("TR_VC"));
    assert_eq!(leaves(w.messages(&ann)), [(DisconnectReason::ClientInitiated, Action::Disconnect)]);
    assert!(w.closed.contains(&ann.conn));
}

#[test]
fn who_never_got_media_is_an_aborted_connection() {
    let mut w = world();
    w.join(grant("ann"));
    w.pass(61.0);
    assert_eq!(w.hook_names()[..2], ["room_started", "participant_connection_aborted"]);
    let info = w.hooks[1].participant.as_ref().unwrap();
    assert_eq!(info.disconnect_reason(), DisconnectReason::JoinFailure);
}

#[test]
fn an_empty_room_is_closed_by_the_right_timeout() {
    let mut w = world();
    let request = |name: &str| proto::CreateRoomRequest {
        name: name.into(),
        empty_timeout: 30,
        departure_timeout: 5,
        ..Default::default()
    };
    w.rooms.create_room(w.now(), request("x")).unwrap();
    w.rooms.create_room(w.now(), request("never")).unwrap();
    let ann = w.enter("ann");
    w.pass(28.0);
    assert_eq!(w.rooms.counts().rooms, 2, "somebody is in the first, the second is young");
    w.ask(&ann, Ask::Leave(proto::LeaveRequest::default()));
    w.pass(4.5);
    assert_eq!(w.rooms.counts().rooms, 1, "the never visited one is gone");
    w.pass(1.0);
    assert_eq!(w.rooms.counts(), Counts { rooms: 0, participants: 0, joining: 0, tracks: 0 });
}

#[test]
fn an_agent_alone_does_not_keep_a_room() {
    let mut w = world();
    let ann = w.enter("ann");
    let mut agent = grant("bot");
    agent.kind = "agent".into();
    let agent = w.join(agent);
    w.connected(&agent);
    w.ask(&ann, Ask::Leave(proto::LeaveRequest::default()));
    w.pass(21.0);
    assert_eq!(leaves(w.messages(&agent)), [(DisconnectReason::RoomClosed, Action::Disconnect)]);
    assert_eq!(w.hook_names().last(), Some(&"room_finished"));
}

#[test]
fn a_duplicate_identity_replaces_the_old_session() {
    let mut w = world();
    let bob = w.enter("bob");
    let old = w.enter("ann");
    w.take(&bob);
    let new = w.enter("ann");
    assert_eq!(leaves(w.messages(&old)), [(DisconnectReason::DuplicateIdentity, Action::Disconnect)]);
    w.pass(1.5);
    let seen: Vec<_> = updates(&w.take(&bob)).into_iter().map(|p| (p.sid.clone(), p.state())).collect();
    let gone = seen.iter().position(|s| *s == (old.sid.clone(), State::Disconnected)).unwrap();
    let here = seen.iter().position(|s| s.0 == new.sid).unwrap();
    assert!(gone < here, "the old one goes before the new one comes: {seen:?}");
}

#[test]
fn a_cut_signal_connection_resumes() {
    let mut w = world();
    let bob = w.enter("bob");
    let ann = w.enter("ann");
    w.pass(2.0);
    w.take(&bob);
    w.rooms.signal_closed(w.now(), ann.conn);
    w.pass(30.0);
    let again = JoinParams { reconnect: true, participant_sid: ann.sid.clone(), ..params(Dialect::Single) };
    let conn = w.try_join(grant("ann"), again).unwrap();
    assert!(matches!(w.sent[&conn][0], Message::Reconnect(_)), "first of all messages");
    let seen = updates(&w.sent[&conn]);
    assert!(seen.iter().any(|p| p.sid == ann.sid) && seen.iter().any(|p| p.sid == bob.sid));
    assert!(w.sent[&conn].iter().any(|m| matches!(m, Message::RoomUpdate(_))));
    assert!(updates(&w.take(&bob)).is_empty(), "nobody else noticed");
    assert!(!w.hook_names().contains(&"participant_left"));
}

#[test]
fn a_resume_of_an_unknown_session_is_told_to_rejoin() {
    let mut w = world();
    let ann = w.enter("ann");
    for (identity, sid) in [("ann", "PA_unknown"), ("bob", ann.sid.as_str()), ("carl", "PA_unknown")] {
        let again = JoinParams { reconnect: true, participant_sid: sid.into(), ..params(Dialect::Single) };
        let conn = w.try_join(grant(identity), again).unwrap();
        assert_eq!(leaves(&w.sent[&conn]), [(DisconnectReason::StateMismatch, Action::Reconnect)], "{identity}");
        assert!(w.closed.contains(&conn));
    }
    assert_eq!(w.rooms.counts().participants, 1);
}

#[test]
fn failed_media_asks_for_a_resume_and_then_gives_up() {
    let mut w = world();
    let ann = w.enter("ann");
    w.transport(&ann, TransportState::Failed);
    assert_eq!(leaves(w.messages(&ann)), [(DisconnectReason::ConnectionTimeout, Action::Resume)]);
    let again = JoinParams { reconnect: true, participant_sid: ann.sid.clone(), ..params(Dialect::Single) };
    let conn = w.try_join(grant("ann"), again).unwrap();
    w.pass(6.0);
    w.connected(&ann);
    w.pass(60.0);
    assert_eq!(w.rooms.counts().participants, 1, "it came back");
    w.transport(&ann, TransportState::Failed);
    w.pass(5.5);
    assert_eq!(w.rooms.counts().participants, 0);
    let left = w.hooks.iter().find(|h| h.event == "participant_left").unwrap();
    assert_eq!(left.participant.as_ref().unwrap().disconnect_reason(), DisconnectReason::ConnectionTimeout);
    assert!(w.closed.contains(&conn));
}

#[test]
fn a_track_is_announced_published_and_subscribed() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    w.take(&bob);
    let (track, sid) = w.publish(&ann, "cam");
    let info = last_of(&w.take(&bob), &ann);
    assert!(info.is_publisher && info.tracks[0].sid == sid);
    assert_eq!(info.tracks[0].codecs[0].layers[0].ssrc, 9);
    let wanted = |c: &sfu::Command| matches!(c, sfu::Command::Subscribe { participant, track: t } if *participant == bob.id && *t == track);
    assert_eq!(w.media.iter().filter(|c| wanted(c)).count(), 1);
    w.event(Event::Subscribed { participant: bob.id, track });
    w.event(Event::Subscribed { participant: bob.id, track });
    let told = w.messages(&ann).iter().filter(|m| matches!(m, Message::TrackSubscribed(_))).count();
    assert_eq!(told, 1, "once per track");
    w.event(Event::TrackUnpublished { track });
    assert!(last_of(&w.take(&bob), &ann).tracks.is_empty());
    assert_eq!(w.hook_names().last(), Some(&"track_unpublished"));
}

#[test]
fn the_same_client_id_waits_until_it_is_free() {
    let mut w = world();
    let ann = w.enter("ann");
    let (track, first) = w.publish(&ann, "cam");
    w.take(&ann);
    w.ask(&ann, Ask::AddTrack(camera("cam")));
    let answer = w.take(&ann);
    assert!(matches!(&answer[0], Message::RequestResponse(r) if r.reason() == proto::request_response::Reason::Queued));
    w.event(Event::TrackUnpublished { track });
    let second = w.messages(&ann).iter().find_map(|m| match m {
        Message::TrackPublished(p) => p.track.clone().map(|t| t.sid),
        _ => None,
    });
    assert_ne!(second.unwrap(), first);
}

#[test]
fn publishing_needs_the_grant_and_a_place() {
    let mut w = world_with(|s| s.limits.tracks_per_participant = 1);
    let mut viewer = grant("viewer");
    viewer.video.can_publish = Some(false);
    let viewer = w.join(viewer);
    w.ask(&viewer, Ask::AddTrack(camera("cam")));
    let mut mic_only = grant("mic");
    mic_only.video.can_publish_sources = vec!["microphone".into()];
    let mic_only = w.join(mic_only);
    w.ask(&mic_only, Ask::AddTrack(camera("cam")));
    let ann = w.enter("ann");
    w.publish(&ann, "one");
    w.ask(&ann, Ask::AddTrack(camera("two")));
    use proto::request_response::Reason;
    for (who, reason) in [(viewer, Reason::NotAllowed), (mic_only, Reason::NotAllowed), (ann, Reason::LimitExceeded)] {
        let refused = |m: &Message| matches!(m, Message::RequestResponse(r) if r.reason() == reason);
        assert!(w.messages(&who).iter().any(refused), "{:?}", w.messages(&who));
    }
    let added = w.media.iter().filter(|c| matches!(c, sfu::Command::AddTrack(_))).count();
    assert_eq!(added, 1);
}

#[test]
fn a_revoked_permission_ends_tracks_and_subscriptions() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    let (track, sid) = w.publish(&ann, "cam");
    w.take(&ann);
    let update = |identity: &str, permission: proto::ParticipantPermission| proto::UpdateParticipantRequest {
        room: "x".into(),
        identity: identity.into(),
        permission: Some(permission),
        ..Default::default()
    };
    let watch_only = proto::ParticipantPermission { can_subscribe: true, ..Default::default() };
    let publish_only = proto::ParticipantPermission { can_publish: true, ..Default::default() };
    w.rooms.update_participant(w.now(), update("bob", publish_only)).unwrap();
    w.drain();
    let stop = |c: &sfu::Command| matches!(c, sfu::Command::Unsubscribe { participant, .. } if *participant == bob.id);
    assert!(w.media.iter().any(stop));
    let info = w.rooms.update_participant(w.now(), update("ann", watch_only)).unwrap();
    w.drain();
    assert!(!info.permission.unwrap().can_publish && info.tracks.is_empty());
    let told = w.take(&ann);
    assert!(told.iter().any(|m| matches!(m, Message::TrackUnpublished(t) if t.track_sid == sid)));
    assert!(told.iter().any(|m| matches!(m, Message::RefreshToken(_))));
    assert!(w.media.iter().any(|c| matches!(c, sfu::Command::RemoveTrack(t) if *t == track)));
    w.ask(&ann, Ask::AddTrack(camera("again")));
    assert!(matches!(w.messages(&ann).last(), Some(Message::RequestResponse(_))));
}

#[test]
fn a_join_with_tracks_announces_them_within_the_limit() {
    let mut w = world_with(|s| s.limits.tracks_per_participant = 2);
    let add_tracks = (0..50).map(|n| camera(&format!("cam{n}"))).collect();
    let conn = w.try_join(grant("ann"), JoinParams { add_tracks, ..params(Dialect::Single) }).unwrap();
    let published = w.sent[&conn].iter().filter(|m| matches!(m, Message::TrackPublished(_))).count();
    assert_eq!(published, 2);
    assert!(w.sent[&conn].len() < 10, "not an answer to each");
}

#[test]
fn attributes_of_a_client_need_the_grant_and_fit_the_limit() {
    let mut w = world();
    let attributes = |size: usize| [("k".to_owned(), "v".repeat(size))].into();
    let mut free = grant("free");
    free.video.can_update_own_metadata = Some(true);
    for (claims, size, expected) in [(grant("ann"), 1, 0), (free.clone(), 1, 1), (free, 70 << 10, 0)] {
        let identity = claims.sub.clone();
        w.try_join(claims, JoinParams { attributes: attributes(size), ..params(Dialect::Single) }).unwrap();
        assert_eq!(w.rooms.get_participant("x", &identity).unwrap().attributes.len(), expected, "{identity} {size}");
    }
}

#[test]
fn subscriptions_follow_wishes() {
    let mut w = world();
    let ann = w.enter("ann");
    let conn = w.try_join(grant("bob"), JoinParams { auto_subscribe: false, ..params(Dialect::Single) }).unwrap();
    let bob = w.rooms.conns[&conn];
    let (_, sid) = w.publish(&ann, "cam");
    let subscribed = |w: &World| {
        w.media
            .iter()
            .filter(|c| matches!(c, sfu::Command::Subscribe { participant, .. } if *participant == bob))
            .count()
    };
    assert_eq!(subscribed(&w), 0);
    let who = Who { conn, id: bob, sid: String::new() };
    let wish = |subscribe| {
        Ask::Subscription(proto::UpdateSubscription { track_sids: vec![sid.clone()], subscribe, ..Default::default() })
    };
    w.ask(&who, wish(true));
    w.ask(&who, wish(true));
    assert_eq!(subscribed(&w), 1, "idempotent");
    w.ask(&who, wish(false));
    assert!(w.media.iter().any(|c| matches!(c, sfu::Command::Unsubscribe { .. })));
    let unknown = proto::UpdateSubscription { track_sids: vec!["TR_no".into()], subscribe: true, ..Default::default() };
    w.connected(&who);
    w.take(&who);
    w.ask(&who, Ask::Subscription(unknown));
    w.pass(61.0);
    assert!(w.take(&who).iter().any(|m| matches!(m, Message::SubscriptionResponse(r) if r.err == 2)));
}

#[test]
fn settings_before_the_subscription_are_kept() {
    let mut w = world();
    let ann = w.enter("ann");
    let conn = w.try_join(grant("bob"), JoinParams { auto_subscribe: false, ..params(Dialect::Single) }).unwrap();
    let who = Who { conn, id: w.rooms.conns[&conn], sid: String::new() };
    let (_, sid) = w.publish(&ann, "cam");
    w.media.clear();
    let settings = proto::UpdateTrackSettings { track_sids: vec![sid.clone()], width: 320, ..Default::default() };
    w.ask(&who, Ask::TrackSetting(settings));
    w.media.clear();
    let wish = proto::UpdateSubscription { track_sids: vec![sid], subscribe: true, ..Default::default() };
    w.ask(&who, Ask::Subscription(wish));
    let set = |c: &sfu::Command| matches!(c, sfu::Command::SetTrackSettings { settings, .. } if settings.width == 320);
    assert!(w.media.iter().any(set));
}

#[test]
fn a_publisher_chooses_its_audience() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    w.ask(&ann, Ask::SubscriptionPermission(proto::SubscriptionPermission::default()));
    let (_, sid) = w.publish(&ann, "cam");
    assert!(!w.media.iter().any(|c| matches!(c, sfu::Command::Subscribe { .. })));
    let refused =
        |m: &Message| matches!(m, Message::SubscriptionPermissionUpdate(u) if !u.allowed && u.track_sid == sid);
    assert!(w.take(&bob).iter().any(refused));
    let permission =
        proto::TrackPermission { participant_sid: bob.sid.clone(), all_tracks: true, ..Default::default() };
    let audience = proto::SubscriptionPermission { track_permissions: vec![permission], ..Default::default() };
    w.ask(&ann, Ask::SubscriptionPermission(audience));
    assert!(w.media.iter().any(|c| matches!(c, sfu::Command::Subscribe { .. })));
    assert!(w.take(&bob).iter().any(|m| matches!(m, Message::SubscriptionPermissionUpdate(u) if u.allowed)));
}

#[test]
fn mutes_are_told_to_everybody_and_admins_can_only_mute() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    let (_, sid) = w.publish(&ann, "cam");
    w.ask(&ann, Ask::Mute(proto::MuteTrackRequest { sid: sid.clone(), muted: true }));
    for who in [&ann, &bob] {
        assert!(updates(w.messages(who)).last().unwrap().tracks[0].muted);
    }
    w.ask(&ann, Ask::Mute(proto::MuteTrackRequest { sid: sid.clone(), muted: false }));
    let mut request =
        proto::MuteRoomTrackRequest { room: "x".into(), identity: "ann".into(), track_sid: sid, muted: true };
    assert!(w.rooms.mute_published_track(w.now(), &request).unwrap().track.unwrap().muted);
    w.drain();
    assert!(w.messages(&ann).iter().any(|m| matches!(m, Message::Mute(m) if m.muted)));
    request.muted = false;
    assert_eq!(w.rooms.mute_published_track(w.now(), &request).unwrap_err(), AdminError::RemoteUnmute);
    request.muted = true;
    request.track_sid = "TR_no".into();
    assert_eq!(w.rooms.mute_published_track(w.now(), &request).unwrap().track, None);
}

#[test]
fn metadata_needs_the_grant_and_is_answered() {
    let mut w = world();
    let ann = w.enter("ann");
    let mut free = grant("free");
    free.video.can_update_own_metadata = Some(true);
    let free = w.join(free);
    let change = |id| {
        Ask::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata: "new".into(),
            attributes: [("k".to_string(), "v".to_string())].into(),
            request_id: id,
            ..Default::default()
        })
    };
    use proto::request_response::Reason;
    w.ask(&ann, change(4));
    assert!(
        w.messages(&ann)
            .iter()
            .any(|m| matches!(m, Message::RequestResponse(r) if r.reason() == Reason::NotAllowed && r.request_id == 4))
    );
    w.take(&ann);
    w.ask(&free, change(5));
    let info = updates(&w.take(&ann)).into_iter().find(|p| p.sid == free.sid).unwrap();
    assert_eq!((info.metadata.as_str(), info.attributes["k"].as_str()), ("new", "v"));
    assert!(
        w.messages(&free)
            .iter()
            .any(|m| matches!(m, Message::RequestResponse(r) if r.reason() == Reason::Ok && r.request_id == 5))
    );
    let unset = proto::UpdateParticipantMetadata {
        attributes: [("k".to_string(), String::new())].into(),
        ..Default::default()
    };
    w.ask(&free, Ask::UpdateMetadata(unset));
    assert!(updates(w.messages(&ann)).last().unwrap().attributes.is_empty());
}

#[test]
fn hidden_participants_are_not_shown() {
    let mut w = world();
    let ann = w.enter("ann");
    let mut spy = grant("spy");
    spy.video.hidden = true;
    let spy = w.join(spy);
    w.connected(&spy);
    w.pass(4.0);
    assert!(!updates(w.messages(&ann)).iter().any(|p| p.identity == "spy"));
    let bob = w.join(grant("bob"));
    let Message::Join(join) = &w.messages(&bob)[0] else { panic!() };
    assert!(!join.other_participants.iter().any(|p| p.identity == "spy"));
    assert!(w.messages(&spy).iter().any(|m| matches!(m, Message::Update(_))), "it sees itself become active");
}

fn packet(sequence: u32, to: &[&str]) -> Vec<u8> {
    let user = proto::UserPacket { payload: b"hi".to_vec(), ..Default::default() };
    proto::DataPacket {
        sequence,
        participant_sid: "PA_forged".into(),
        destination_identities: to.iter().map(|s| s.to_string()).collect(),
        value: Some(proto::data_packet::Value::User(user)),
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn data_is_marked_with_its_sender_and_goes_where_it_should() {
    let mut w = world();
    let (ann, bob, carl) = (w.enter("ann"), w.enter("bob"), w.enter("carl"));
    let send = |w: &mut World, from: &Who, payload: Vec<u8>| {
        w.media.clear();
        w.event(Event::Data { participant: from.id, channel: sfu::DataChannel::Reliable, payload: payload.into() });
        w.media.iter().find_map(|c| match c {
            sfu::Command::SendData { to, payload, .. } => {
                Some((to.clone(), proto::DataPacket::decode(payload.as_ref()).unwrap()))
            }
            _ => None,
        })
    };
    let (to, sent) = send(&mut w, &ann, packet(1, &[])).unwrap();
    assert_eq!(to, [bob.id, carl.id]);
    assert_eq!((sent.participant_sid, sent.participant_identity.as_str()), (ann.sid.clone(), "ann"));
    let (to, _) = send(&mut w, &ann, packet(2, &["carl"])).unwrap();
    assert_eq!(to, [carl.id]);
    assert!(send(&mut w, &ann, packet(2, &[])).is_none(), "repeated");
    assert!(send(&mut w, &ann, vec![0xff]).is_none(), "malformed");
    let mut mute = grant("mute");
    mute.video.can_publish_data = Some(false);
    let mute = w.join(mute);
    assert!(send(&mut w, &mute, packet(1, &[])).is_none(), "not allowed");
}

#[test]
fn speakers_are_told_to_themselves_and_their_viewers() {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    let conn = w.try_join(grant("deaf"), JoinParams { auto_subscribe: false, ..params(Dialect::Single) }).unwrap();
    w.publish(&ann, "mic");
    let room = w.rooms.participants[&ann.id].room;
    let speakers = vec![sfu::Speaker { participant: ann.id, level: 0.5, active: true }];
    w.event(Event::Speakers { room, speakers });
    let heard = |m: &Message| matches!(m, Message::SpeakersChanged(s) if s.speakers[0].sid == ann.sid);
    assert!(w.messages(&ann).iter().any(heard) && w.messages(&bob).iter().any(heard));
    assert!(!w.sent[&conn].iter().any(heard));
}

#[test]
fn the_first_offer_of_a_go_client_is_answered_a_moment_later() {
    let offer = |id| proto::SessionDescription { id, sdp: "v=0".into(), ..Default::default() };
    let offers = |w: &World| -> Vec<u32> {
        let id = |c: &sfu::Command| if let sfu::Command::Offer { id, .. } = c { Some(*id) } else { None };
        w.media.iter().filter_map(id).collect()
    };
    let mut w = world();
    let mut go = JoinParams { offer: Some(offer(1)), ..params(Dialect::Single) };
    w.try_join(grant("js"), go.clone()).unwrap();
    assert_eq!(offers(&w), [1]);
    w.media.clear();
    go.client.sdk = proto::client_info::Sdk::Go.into();
    let conn = w.try_join(grant("go"), go.clone()).unwrap();
    assert!(offers(&w).is_empty());
    w.pass(0.2);
    assert_eq!(offers(&w), [1]);
    w.media.clear();
    let conn2 = w.try_join(grant("go2"), go).unwrap();
    let who = Who { conn: conn2, id: w.rooms.conns[&conn2], sid: String::new() };
    w.ask(&who, Ask::Offer(offer(2)));
    w.pass(0.2);
    assert_eq!(offers(&w), [1, 2], "in order, once");
    assert_ne!(conn, conn2);
}

#[test]
fn pings_are_answered_in_milliseconds() {
    let mut w = world();
    let ann = w.enter("ann");
    w.take(&ann);
    w.ask(&ann, Ask::Ping(1));
    w.ask(&ann, Ask::PingReq(proto::Ping { timestamp: 42, rtt: 0 }));
    let answers = w.take(&ann);
    assert_eq!(answers[0], Message::Pong(UNIX_MS));
    assert_eq!(answers[1], Message::PongResp(proto::Pong { last_ping_timestamp: 42, timestamp: UNIX_MS }));
}

#[test]
fn tokens_are_refreshed_while_connected() {
    let mut w = world();
    let ann = w.enter("ann");
    w.take(&ann);
    w.pass(301.0);
    assert!(w.take(&ann).iter().any(|m| matches!(m, Message::RefreshToken(_))));
}

#[test]
fn a_shutdown_is_a_network_cut() {
    let mut w = world();
    let ann = w.enter("ann");
    w.publish(&ann, "cam");
    let before = w.hooks.len();
    w.rooms.shutdown();
    w.drain();
    assert_eq!(leaves(w.messages(&ann)), [(DisconnectReason::ServerShutdown, Action::Reconnect)]);
    assert!(w.closed.contains(&ann.conn));
    assert_eq!(w.hooks.len(), before);
}

#[test]
fn deleting_a_room_disconnects_everybody() {
    let mut w = world();
    let ann = w.enter("ann");
    assert_eq!(w.rooms.delete_room(w.now(), "other").unwrap_err(), AdminError::RoomNotFound);
    w.rooms.delete_room(w.now(), "x").unwrap();
    w.drain();
    assert_eq!(leaves(w.messages(&ann)), [(DisconnectReason::RoomDeleted, Action::Disconnect)]);
    assert_eq!(w.hook_names()[2..], ["participant_left", "room_finished"]);
    assert!(w.rooms.list_rooms(&proto::ListRoomsRequest::default()).rooms.is_empty());
}

#[test]
fn room_settings_of_a_token_apply_to_the_room_it_makes() {
    let mut w = world();
    let mut claims = grant("ann");
    claims.room_config = Some(proto::RoomConfiguration {
        empty_timeout: 11,
        departure_timeout: 12,
        max_participants: 13,
        metadata: "mark".into(),
        ..Default::default()
    });
    w.join(claims);
    let room = &w.rooms.list_rooms(&proto::ListRoomsRequest::default()).rooms[0];
    assert_eq!((room.empty_timeout, room.departure_timeout, room.max_participants), (11, 12, 13));
    assert_eq!(room.metadata, "mark");
}

#[test]
fn a_stale_sync_state_means_a_new_session() {
    let mut w = world();
    let ann = w.enter("ann");
    let unknown = proto::TrackInfo { sid: "TR_lost".into(), ..Default::default() };
    let published = proto::TrackPublishedResponse { cid: "c".into(), track: Some(unknown) };
    w.ask(&ann, Ask::SyncState(proto::SyncState { publish_tracks: vec![published], ..Default::default() }));
    assert_eq!(leaves(w.messages(&ann)), [(DisconnectReason::StateMismatch, Action::Reconnect)]);
}

#[test]
fn nothing_is_left_when_everybody_is_gone() {
    let mut w = world();
    for round in 0..5 {
        let (ann, bob) = (w.enter("ann"), w.enter("bob"));
        w.publish(&ann, &format!("cam{round}"));
        w.ask(&bob, Ask::Leave(proto::LeaveRequest::default()));
        w.ask(&ann, Ask::Leave(proto::LeaveRequest::default()));
    }
    w.pass(21.0);
    let r = &w.rooms;
    let left = [
        r.rooms.len(),
        r.names.len(),
        r.participants.len(),
        r.sids.len(),
        r.tracks.len(),
        r.track_sids.len(),
        r.conns.len(),
    ];
    assert_eq!(left, [0; 7]);
}
