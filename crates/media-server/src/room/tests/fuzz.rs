//! Mutated signalling frames, binary and JSON. `make fuzz` runs it for longer.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use testkit::fuzz::{cases, mutated};

use super::*;

/// One of every kind of request, and some that belong together.
fn requests() -> Vec<proto::SignalRequest> {
    let tracks = proto::ParticipantTracks { participant_sid: "PA_x".into(), track_sids: vec!["TR_x".into()] };
    let all = [
        Ask::Ping(7),
        Ask::PingReq(proto::Ping { timestamp: 1, rtt: -1 }),
        Ask::AddTrack(camera("cam")),
        Ask::Mute(proto::MuteTrackRequest { sid: "TR_x".into(), muted: true }),
        Ask::Offer(proto::SessionDescription {
            r#type: "offer".into(),
            sdp: "v=0".into(),
            id: 1,
            ..Default::default()
        }),
        Ask::Answer(proto::SessionDescription { r#type: "answer".into(), sdp: "v=0".into(), ..Default::default() }),
        Ask::Trickle(proto::TrickleRequest { candidate_init: "{\"candidate\":\"\"}".into(), ..Default::default() }),
        Ask::Subscription(proto::UpdateSubscription {
            track_sids: vec!["TR_x".into()],
            subscribe: true,
            participant_tracks: vec![tracks.clone()],
        }),
        Ask::TrackSetting(proto::UpdateTrackSettings {
            track_sids: vec!["TR_x".into()],
            quality: 2,
            width: 1,
            fps: 1,
            priority: 1,
            ..Default::default()
        }),
        Ask::SubscriptionPermission(proto::SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![proto::TrackPermission {
                participant_identity: "bob".into(),
                all_tracks: true,
                ..Default::default()
            }],
        }),
        Ask::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata: "m".into(),
            name: "n".into(),
            attributes: [("k".to_owned(), "v".to_owned())].into(),
            request_id: 1,
        }),
        Ask::SyncState(proto::SyncState {
            subscription: Some(proto::UpdateSubscription { participant_tracks: vec![tracks], ..Default::default() }),
            publish_tracks: vec![proto::TrackPublishedResponse { cid: "cam".into(), track: None }],
            ..Default::default()
        }),
        Ask::Simulate(proto::SimulateScenario::default()),
        Ask::Leave(proto::LeaveRequest::default()),
    ];
    all.into_iter().map(|message| proto::SignalRequest { message: Some(message) }).collect()
}

fn kept(seeds: Vec<Vec<u8>>) -> Vec<&'static [u8]> {
    seeds.into_iter().map(|seed| &*seed.leak()).collect()
}

fn binary() -> &'static [&'static [u8]] {
    static SEEDS: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    SEEDS.get_or_init(|| kept(requests().iter().map(prost::Message::encode_to_vec).collect()))
}

fn json() -> &'static [&'static [u8]] {
    static SEEDS: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    SEEDS.get_or_init(|| kept(requests().iter().map(|request| serde_json::to_vec(request).unwrap()).collect()))
}

const WORDS: &[&[u8]] =
    &[b"TR_", b"PA_", b"bob", b"ann", b"cam", b"null", b"[]", b"{}", b"-1", b"\xff\xff\xff\xff\x0f", b"1e99"];

/// Lets `ann` say all this to `bob`'s room, and looks whether everybody else is served.
fn say(requests: impl IntoIterator<Item = proto::SignalRequest>, leaves: bool) {
    let mut w = world();
    let (ann, bob) = (w.enter("ann"), w.enter("bob"));
    w.publish(&bob, "bob-cam");
    w.publish(&ann, "ann-cam");
    for request in requests {
        w.rooms.signal(w.now(), ann.conn, request);
        w.drain();
    }
    w.pass(0.5);
    w.ask(&bob, Ask::Ping(1));
    assert!(w.messages(&bob).iter().any(|m| matches!(m, Message::Pong(_))), "another one is answered");
    if leaves {
        w.ask(&ann, Ask::Leave(proto::LeaveRequest::default()));
    }
    w.rooms.signal_closed(w.now(), ann.conn);
    w.ask(&bob, Ask::Leave(proto::LeaveRequest::default()));
    for who in [&ann, &bob] {
        w.transport(who, TransportState::Failed);
    }
    w.pass(30.0);
    assert_eq!(w.rooms.counts(), Counts { rooms: 0, participants: 0, joining: 0, tracks: 0 }, "nothing is left over");
    assert!(w.rooms.tracks.is_empty() && w.rooms.track_sids.is_empty() && w.rooms.conns.is_empty());
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn fuzz_signalling(frames in vec(mutated(binary(), WORDS), 1..6), leaves in any::<bool>()) {
        say(frames.iter().filter_map(|frame| proto::SignalRequest::decode(frame.as_slice()).ok()), leaves);
    }

    #[test]
    fn fuzz_signalling_in_json(frames in vec(mutated(json(), WORDS), 1..6), leaves in any::<bool>()) {
        say(frames.iter().filter_map(|frame| serde_json::from_slice(frame).ok()), leaves);
    }
}
