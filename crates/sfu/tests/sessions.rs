//! Sessions of clients of both kinds, in virtual time: negotiation, reconnection, data, speakers and departures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Network, World, judge_video};
use sfu::{
    Command, ConnectionQuality, DataChannel, Error, Event, MediaKind, NewParticipant, ParticipantId, PeerMode, RoomId,
    Target, TrackId, TransportState,
};

/// Runs one test with clients of each kind.
macro_rules! both_modes {
    ($($test:ident),* $(,)?) => {
        mod single {
            $(#[test] fn $test() { super::$test(super::PeerMode::Single); })*
        }
        mod dual {
            $(#[test] fn $test() { super::$test(super::PeerMode::Dual); })*
        }
    };
}

both_modes!(
    twenty_publications_do_not_make_the_description_grow,
    twenty_subscriptions_do_not_make_the_description_grow,
    a_track_announced_after_its_offer_is_bound,
    a_track_ended_by_the_server_stays_ended,
    ice_restarts_and_media_goes_on,
    silence_is_noticed_and_heals,
    data_goes_both_ways_in_order,
    data_sent_before_the_channel_opens_arrives,
    a_slow_reader_is_reported_once,
    speakers_are_found,
    nothing_is_left_of_those_who_go,
    a_client_that_closes_is_noticed,
    connection_quality_follows_the_network,
);

/// The SSRCs in the latest description of a viewer, and its sections.
fn description(world: &World, viewer: ParticipantId) -> (usize, usize) {
    let text = world.clients[&viewer].descriptions.last().unwrap();
    (text.matches("\nm=").count(), text.len())
}

fn twenty_publications_do_not_make_the_description_grow(mode: PeerMode) {
    let mut world = World::new(1);
    let publisher = world.join_and_connect(1, mode);
    let viewer = world.join_and_connect(2, mode);
    let mut sizes = Vec::new();
    let mut ssrcs = std::collections::HashSet::new();
    for round in 0..20 {
        let track = world.publish_video(publisher, &["q", "h", "f"]);
        let cid = world.client(publisher).last_stream().cid.clone();
        world.subscribe(viewer, track);
        let sid = format!("TR_{}", track.0);
        world.run_until_layer(viewer, &sid, 2);
        let packets = world.clients[&viewer].packets(&sid).to_vec();
        judge_video(&packets, true);
        assert!(ssrcs.insert(packets[0].ssrc), "round {round} uses an old SSRC");
        sizes.push(description(&world, viewer));
        world.unpublish(publisher, &cid);
        world.run_ms(1000);
        world.client(viewer).forget_packets();
    }
    assert_eq!(world.count(|event| matches!(event, Event::TrackUnpublished { .. })), 20);
    assert!(sizes.iter().all(|size| size.0 == sizes[0].0), "{sizes:?}");
    let (least, most) = (sizes.iter().map(|size| size.1).min(), sizes.iter().map(|size| size.1).max());
    assert!(most.unwrap() - least.unwrap() < 100, "{sizes:?}");
}

fn twenty_subscriptions_do_not_make_the_description_grow(mode: PeerMode) {
    let (mut world, _, viewer, track) = World::with_video(2, mode);
    let first = description(&world, viewer).0;
    for _ in 0..20 {
        world.command(Command::Unsubscribe { participant: viewer, track });
        world.run_ms(300);
        world.client(viewer).forget_packets();
        world.subscribe(viewer, track);
        world.run_until_layer(viewer, "TR_0", 2);
    }
    assert_eq!(description(&world, viewer).0, first);
}

fn a_track_announced_after_its_offer_is_bound(mode: PeerMode) {
    let mut world = World::new(3);
    let publisher = world.join_and_connect(1, mode);
    let now = world.now;
    let cid = world.client(publisher).add_video(&["q", "h"], now);
    world.offer(publisher);
    world.run_ms(300);
    assert_eq!(world.count(|event| matches!(event, Event::TrackBound { .. })), 0);
    world.command(Command::AddTrack(common::new_track(TrackId(5), publisher, &cid, MediaKind::Video)));
    world.run_until("started", |world| {
        world.count(|event| matches!(event, Event::TrackStarted { layers, .. } if layers.len() == 2)) == 1
    });
}

fn a_track_ended_by_the_server_stays_ended(mode: PeerMode) {
    let (mut world, publisher, viewer, track) = World::with_video(4, mode);
    world.command(Command::RemoveTrack(track));
    world.run_ms(300);
    world.client(viewer).forget_packets();
    // Another announced video must not be taken for the section that still sends.
    world.command(Command::AddTrack(common::new_track(TrackId(7), publisher, "other", MediaKind::Video)));
    world.client(publisher).add_slots(0, 0);
    world.run_ms(1000);
    assert_eq!(world.count(|event| matches!(event, Event::TrackBound { track: TrackId(7), .. })), 0);
    assert!(world.client(viewer).receiving().received.is_empty());
    assert_eq!(world.count(|event| matches!(event, Event::TrackUnpublished { .. })), 0);
}

fn ice_restarts_and_media_goes_on(mode: PeerMode) {
    let (mut world, publisher, viewer, _) = World::with_video(5, mode);
    for _ in 0..3 {
        for id in [publisher, viewer] {
            world.client(id).restart_ice();
            world.command(Command::RestartIce(id));
        }
        world.run_ms(3000);
        world.client(viewer).forget_packets();
        world.run_ms(1000);
        assert!(world.clients[&viewer].packets("TR_0").len() > 50);
    }
    assert!(world.connected(viewer) && world.connected(publisher));
}

fn silence_is_noticed_and_heals(mode: PeerMode) {
    let (mut world, _, viewer, _) = World::with_video(6, mode);
    let target = if mode == PeerMode::Dual { Target::Subscriber } else { Target::Publisher };
    world.cut.push(viewer);
    world.run(Duration::from_millis(10_500));
    assert_eq!(world.state(viewer, target), Some(TransportState::Disconnected));
    world.cut.clear();
    world.run_until("healed", |world| world.state(viewer, target) == Some(TransportState::Connected));
    world.client(viewer).forget_packets();
    world.run_ms(2000);
    assert!(world.clients[&viewer].packets("TR_0").len() > 50);
    world.cut.push(viewer);
    world.run(Duration::from_secs(16));
    assert_eq!(world.state(viewer, target), Some(TransportState::Failed));
}

fn data_goes_both_ways_in_order(mode: PeerMode) {
    let mut world = World::new(7);
    let (one, two) = (world.join_and_connect(1, mode), world.join_and_connect(2, mode));
    let ready = |world: &World| world.count(|event| matches!(event, Event::DataReady { .. })) == 2;
    world.run_until("open", ready);
    world.run_until("open at the client", |world| {
        world.clients.values().all(|client| client.publisher.channels.len() == 3)
    });
    world.network = Network { loss_up: 0.05, loss_down: 0.05, jitter: Duration::from_millis(10), ..Network::default() };
    for n in 0..100u32 {
        let payload = [&n.to_be_bytes()[..], &vec![7; 400]].concat();
        while !world.client(one).send(DataChannel::Reliable, &payload) {
            world.run_ms(20);
        }
    }
    let reliable = |event: &Event| match event {
        Event::Data { participant, channel: DataChannel::Reliable, payload } if *participant == one => {
            Some(payload.clone())
        }
        _ => None,
    };
    world.run_until("received", |world| world.events.iter().filter_map(reliable).count() == 100);
    let sent: Vec<Bytes> = world.events.iter().filter_map(reliable).collect();
    for payload in &sent {
        world.command(Command::SendData {
            to: vec![one, two],
            channel: DataChannel::Reliable,
            payload: payload.clone(),
        });
    }
    world.run_until("relayed", |world| {
        let messages = |client: &common::Client| client.publisher.messages.len() + client.subscriber.messages.len();
        world.clients.values().all(|client| messages(client) == 100)
    });
    for id in [one, two] {
        let messages = &world.client(id).receiving().messages;
        let got: Vec<u32> =
            messages.iter().map(|(_, data)| u32::from_be_bytes(data[..4].try_into().unwrap())).collect();
        assert_eq!(got, (0..100).collect::<Vec<_>>());
        assert!(messages.iter().all(|(channel, _)| *channel == DataChannel::Reliable));
    }
}

fn data_sent_before_the_channel_opens_arrives(mode: PeerMode) {
    let mut world = World::new(8);
    let id = world.join(1, mode);
    let payload = Bytes::from_static(b"early");
    world.command(Command::SendData { to: vec![id], channel: DataChannel::Reliable, payload });
    world.run_until("arrived", |world| {
        let client = &world.clients[&id];
        client.publisher.messages.len() + client.subscriber.messages.len() == 1
    });
}

fn a_slow_reader_is_reported_once(mode: PeerMode) {
    let mut world = World::with_config(9, |config| config.data_queue_bytes = 100_000);
    let id = world.join_and_connect(1, mode);
    world.run_ms(1000);
    world.cut.push(id);
    let payload = Bytes::from(vec![0; 10_000]);
    for _ in 0..100 {
        world.command(Command::SendData { to: vec![id], channel: DataChannel::Reliable, payload: payload.clone() });
        world.command(Command::SendData { to: vec![id], channel: DataChannel::Lossy, payload: payload.clone() });
    }
    assert_eq!(world.count(|event| matches!(event, Event::DataOverflow { .. })), 1);
    assert!(world.engine.counters().data_dropped > 100);
}

fn speakers_are_found(mode: PeerMode) {
    let mut world = World::new(10);
    let speaker = world.join_and_connect(1, mode);
    let track = world.publish_audio(speaker);
    world.run_ms(2000);
    let speakers = |world: &World| world.count(|event| matches!(event, Event::Speakers { .. }));
    assert_eq!(speakers(&world), 0, "silence");
    world.client(speaker).last_stream().level = 10;
    world.run_ms(2000);
    let last = |world: &World| {
        world.events.iter().rev().find_map(|event| match event {
            Event::Speakers { speakers, .. } => Some(speakers[0]),
            _ => None,
        })
    };
    assert!(last(&world).is_some_and(|speaker| speaker.active && speaker.level > 0.2));
    world.command(Command::SetTrackMuted { track, muted: true });
    world.run_ms(2000);
    assert!(last(&world).is_some_and(|speaker| !speaker.active && speaker.level == 0.0));
    let told = speakers(&world);
    world.run_ms(5000);
    assert_eq!(speakers(&world), told, "nothing changes any more");
}

fn nothing_is_left_of_those_who_go(mode: PeerMode) {
    let (mut world, publisher, viewer, _) = World::with_video(11, mode);
    world.command(Command::RemoveParticipant(publisher));
    world.run_ms(1000);
    let counters = world.engine.counters();
    assert_eq!((counters.participants, counters.tracks, counters.subscriptions), (1, 0, 0));
    world.command(Command::RemoveParticipant(viewer));
    world.run_ms(1000);
    assert_eq!(world.engine.counters().participants, 0);
    let unknown = world.engine.counters().datagrams_unknown;
    let address = world.clients[&viewer].publisher.address;
    world.engine.receive(address, common::SERVER.parse().unwrap(), &[128; 50], world.now);
    assert_eq!(world.engine.counters().datagrams_unknown, unknown + 1, "its address belongs to nobody");
    // The key may be used again.
    world.clients.clear();
    world.join_and_connect(1, mode);
}

fn a_client_that_closes_is_noticed(mode: PeerMode) {
    let mut world = World::new(12);
    let id = world.join_and_connect(1, mode);
    world.run_ms(500);
    world.client(id).publisher.rtc.close().unwrap();
    world.run_ms(200);
    assert_eq!(world.state(id, Target::Publisher), Some(TransportState::Closed));
}

fn connection_quality_follows_the_network(mode: PeerMode) {
    let (mut world, publisher, _, _) = World::with_video(13, mode);
    let quality = |world: &World| {
        world.events.iter().rev().find_map(|event| match event {
            Event::Quality { participant, quality, .. } if *participant == publisher => Some(*quality),
            _ => None,
        })
    };
    world.run_until("excellent", |world| quality(world) == Some(ConnectionQuality::Excellent));
    world.network.loss_up = 0.15;
    world.run_until("not excellent", |world| {
        matches!(quality(world), Some(ConnectionQuality::Good | ConnectionQuality::Poor))
    });
    world.network.loss_up = 0.0;
    world.run_until("excellent again", |world| quality(world) == Some(ConnectionQuality::Excellent));
    world.cut.push(publisher);
    world.run_until("lost", |world| quality(world) == Some(ConnectionQuality::Lost));
}

#[test]
fn our_offers_name_every_track_and_prefer_its_codec() {
    let mut world = World::new(27);
    let publisher = world.join_and_connect(1, PeerMode::Dual);
    let viewer = world.join_and_connect(2, PeerMode::Dual);
    for (id, codec) in [(50, sfu::Codec::H264), (51, sfu::Codec::Vp8)] {
        let track = common::new_track(TrackId(id), publisher, &format!("cid-{id}"), MediaKind::Video);
        world.command(Command::AddTrack(sfu::NewTrack { codec: Some(codec), ..track }));
        world.subscribe(viewer, TrackId(id));
    }
    world.run_ms(500);
    let offer = |world: &World| {
        let offers = world.events.iter().rev().filter_map(|event| match event {
            Event::Offer { participant, sdp, tracks, .. } if *participant == viewer => {
                Some((sdp.clone(), tracks.clone()))
            }
            _ => None,
        });
        offers.into_iter().next().unwrap()
    };
    let section = |sdp: &str, mid: &str| {
        sdp.split("\nm=").find(|section| section.contains(&format!("a=mid:{mid}\r"))).unwrap().to_owned()
    };
    let (sdp, tracks) = offer(&world);
    let sids: Vec<&str> = tracks.iter().map(|(_, sid)| sid.as_str()).collect();
    assert_eq!(sids, ["TR_50", "TR_51"]);
    for ((mid, sid), codec) in tracks.iter().zip(["H264", "VP8"]) {
        let section = section(&sdp, mid);
        assert!(section.contains(&format!("a=msid:PA_1|{sid} {sid}\r")), "{section}");
        assert!(section.contains("a=sendonly\r") && section.contains("a=ssrc-group:FID"));
        let first = section.split(' ').nth(3).unwrap();
        assert!(section.contains(&format!("a=rtpmap:{first} {codec}/90000")), "{section}");
    }
    world.command(Command::Unsubscribe { participant: viewer, track: TrackId(50) });
    world.run_ms(500);
    let (sdp, left) = offer(&world);
    assert_eq!(left, tracks[1..]);
    let freed = section(&sdp, &tracks[0].0);
    assert!(freed.contains("a=inactive\r") && !freed.contains("a=msid") && !freed.contains("a=ssrc"), "{freed}");
}

#[test]
fn an_offer_that_is_not_answered_is_reported_and_can_be_made_again() {
    let mut world = World::new(20);
    let publisher = world.join_and_connect(1, PeerMode::Dual);
    let track = world.publish_video(publisher, &[]);
    let viewer = world.join_and_connect(2, PeerMode::Dual);
    world.client(viewer).answers = false;
    world.subscribe(viewer, track);
    world.run(Duration::from_secs(17));
    let failed =
        world.count(|event| matches!(event, Event::NegotiationFailed { participant } if *participant == viewer));
    assert_eq!(failed, 1);
    world.client(viewer).answers = true;
    world.command(Command::Renegotiate(viewer));
    world.run_until("received", |world| world.clients[&viewer].packets("TR_0").len() > 20);
    assert_eq!(description(&world, viewer).0, 2, "the lost section is not there twice");
}

#[test]
fn the_first_offer_can_be_made_again() {
    let mut world = World::new(21);
    let id = ParticipantId(1);
    let client = common::Client::new(1, PeerMode::Dual, world.now);
    world.clients.insert(id, client);
    world.client(id).answers = false;
    let new = NewParticipant {
        id,
        room: RoomId(1),
        sid: "PA_1".to_owned(),
        mode: PeerMode::Dual,
        can_subscribe: true,
        reuse_sections: true,
        allow_pause: true,
    };
    world.command(Command::AddParticipant(new));
    world.run_ms(1000);
    world.client(id).answers = true;
    world.command(Command::Renegotiate(id));
    world.run_until("data is ready", |world| world.count(|event| matches!(event, Event::DataReady { .. })) == 1);
}

#[test]
fn changes_while_an_offer_is_under_way_come_with_the_next() {
    let mut world = World::new(22);
    let publisher = world.join_and_connect(1, PeerMode::Dual);
    let viewer = world.join_and_connect(2, PeerMode::Dual);
    let first = world.publish_video(publisher, &[]);
    let second = world.publish_video(publisher, &[]);
    world.client(viewer).answers = false;
    world.subscribe(viewer, first);
    world.run_ms(300);
    world.subscribe(viewer, second);
    world.run_ms(300);
    let offers = |world: &World| {
        world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Offer { participant, id, .. } if *participant == viewer => Some(*id),
                _ => None,
            })
            .collect::<Vec<u32>>()
    };
    assert_eq!(offers(&world), [1, 2], "one at a time");
}

#[test]
fn commands_about_the_unknown_are_refused() {
    let mut world = World::new(23);
    let id = world.join_and_connect(1, PeerMode::Single);
    let now = world.now;
    let mut refused = |command| world.engine.handle(command, now).unwrap_err();
    let subscribe = Command::Subscribe { participant: id, track: TrackId(99) };
    assert!(matches!(refused(subscribe), Error::UnknownTrack(TrackId(99))));
    let offer = Command::Offer { participant: ParticipantId(9), id: 1, sdp: String::new() };
    assert!(matches!(refused(offer), Error::UnknownParticipant(_)));
    let nonsense = Command::Offer { participant: id, id: 9, sdp: "v=0\r\nnonsense".to_owned() };
    assert!(matches!(refused(nonsense), Error::Sdp(_)));
    let huge = Command::Offer { participant: id, id: 9, sdp: "a".repeat(2 << 20) };
    assert!(matches!(refused(huge), Error::Sdp(_)));
}

#[test]
fn tracks_of_other_rooms_cannot_be_had() {
    let mut world = World::new(24);
    let publisher = world.join_and_connect(1, PeerMode::Single);
    let track = world.publish_audio(publisher);
    let other = NewParticipant {
        id: ParticipantId(2),
        room: RoomId(2),
        sid: "PA_2".to_owned(),
        mode: PeerMode::Single,
        can_subscribe: true,
        reuse_sections: true,
        allow_pause: true,
    };
    world.command(Command::AddParticipant(other));
    let refused = world.engine.handle(Command::Subscribe { participant: ParticipantId(2), track }, world.now);
    assert!(matches!(refused, Err(Error::OtherRoom(_))));
}

#[test]
fn strange_datagrams_are_counted_and_harm_nobody() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    let (mut world, _, viewer, _) = World::with_video(25, PeerMode::Single);
    let mut rng = StdRng::seed_from_u64(1);
    let server = common::SERVER.parse().unwrap();
    let known = world.clients[&viewer].publisher.address;
    for _ in 0..5000 {
        let length = rng.random_range(0..200);
        let datagram: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        let source = if rng.random_bool(0.5) { known } else { "203.0.113.9:9".parse().unwrap() };
        world.engine.receive(source, server, &datagram, world.now);
    }
    world.client(viewer).forget_packets();
    world.run_ms(2000);
    assert!(world.clients[&viewer].packets("TR_0").len() > 50);
    assert!(world.engine.counters().datagrams_unknown > 1000);
}

#[test]
fn a_resume_makes_one_offer_however_it_is_asked_for() {
    let mut world = World::new(26);
    let id = world.join_and_connect(1, PeerMode::Dual);
    world.client(id).answers = false;
    world.command(Command::RestartIce(id));
    world.command(Command::Renegotiate(id));
    assert_eq!(world.count(|event| matches!(event, Event::Offer { .. })), 2, "the first one and the restart");
    world.run_ms(1000);
    world.client(id).answers = true;
    world.command(Command::Renegotiate(id));
    world.run_ms(1000);
    assert_eq!(world.count(|event| matches!(event, Event::Offer { .. })), 3);
    assert!(world.connected(id));
}
