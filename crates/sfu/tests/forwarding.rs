//! Forwarding between clients of both kinds, in virtual time: what is asked for arrives, whole and decodable.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Network, World, judge_video, missing};
use sfu::{Command, Event, MediaKind, PeerMode, Quality, TrackId, TrackSettings};
use str0m::format::Codec;
use str0m::rtp::VideoOrientation;

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
    simulcast_begins_with_a_key_frame_and_reaches_the_best_layer,
    layers_are_switched_by_quality_and_by_dimensions,
    a_starved_layer_is_replaced_and_comes_back,
    a_muted_track_is_silent_and_starts_again_with_a_key_frame,
    a_disabled_track_stops_and_comes_back,
    loss_and_reordering_are_repaired,
    h264_is_forwarded,
    audio_and_orientation_pass,
    key_frame_requests_are_relayed_and_throttled,
    a_viewer_that_connects_late_gets_a_key_frame,
    one_viewer_sees_many,
    many_viewers_see_one,
);

fn settings(quality: Quality) -> TrackSettings {
    TrackSettings { quality, ..TrackSettings::default() }
}

fn simulcast_begins_with_a_key_frame_and_reaches_the_best_layer(mode: PeerMode) {
    let (mut world, _, viewer, _) = World::with_video(1, mode);
    world.run_ms(2000);
    let packets = world.clients[&viewer].packets("TR_0");
    let layers = judge_video(packets, true);
    assert_eq!(layers.last(), Some(&2));
    assert!(packets[0].seq < 65_536);
    let started = world.events.iter().rev().find_map(|event| match event {
        Event::TrackStarted { layers, .. } => Some(layers.clone()),
        _ => None,
    });
    let rids: Vec<String> = started.unwrap().into_iter().filter_map(|layer| layer.rid).collect();
    assert_eq!(rids, ["q", "h", "f"]);
}

fn layers_are_switched_by_quality_and_by_dimensions(mode: PeerMode) {
    let (mut world, _, viewer, track) = World::with_video(2, mode);
    world.want(viewer, track, settings(Quality::Low));
    world.run_until_layer(viewer, "TR_0", 0);
    world.want(viewer, track, settings(Quality::Medium));
    world.run_until_layer(viewer, "TR_0", 1);
    world.want(viewer, track, TrackSettings { width: 320, height: 180, ..settings(Quality::High) });
    world.run_until_layer(viewer, "TR_0", 0);
    world.want(viewer, track, TrackSettings { width: 1280, height: 720, ..settings(Quality::Low) });
    world.run_until_layer(viewer, "TR_0", 2);
    world.run_ms(500);
    let layers = judge_video(world.clients[&viewer].packets("TR_0"), true);
    assert!(layers.ends_with(&[2, 0, 1, 0, 2]), "{layers:?}");
}

fn a_starved_layer_is_replaced_and_comes_back(mode: PeerMode) {
    let (mut world, publisher, viewer, _) = World::with_video(3, mode);
    world.client(publisher).last_stream().layer("f").sending = false;
    world.run_until_layer(viewer, "TR_0", 1);
    world.client(publisher).last_stream().layer("h").sending = false;
    world.run_until_layer(viewer, "TR_0", 0);
    world.client(publisher).last_stream().layer("f").sending = true;
    world.run_until_layer(viewer, "TR_0", 2);
    world.run_ms(500);
    judge_video(world.clients[&viewer].packets("TR_0"), true);
}

fn a_muted_track_is_silent_and_starts_again_with_a_key_frame(mode: PeerMode) {
    let (mut world, _, viewer, track) = World::with_video(4, mode);
    world.command(Command::SetTrackMuted { track, muted: true });
    world.run_ms(100);
    let before = world.clients[&viewer].packets("TR_0").len();
    // The client goes on sending: muting is enforced here.
    world.run_ms(1000);
    assert_eq!(world.clients[&viewer].packets("TR_0").len(), before);
    world.command(Command::SetTrackMuted { track, muted: false });
    world.run_ms(3000);
    let packets = world.clients[&viewer].packets("TR_0");
    judge_video(packets, true);
    assert!(packets[before].frame.key);
    assert_eq!(packets.last().unwrap().frame.layer, 2);
    assert_eq!(world.count(|event| matches!(event, Event::TrackUnpublished { .. })), 0);
}

fn a_disabled_track_stops_and_comes_back(mode: PeerMode) {
    let (mut world, _, viewer, track) = World::with_video(5, mode);
    world.want(viewer, track, TrackSettings { disabled: true, ..settings(Quality::High) });
    world.run_ms(100);
    let before = world.clients[&viewer].packets("TR_0").len();
    world.run_ms(1000);
    assert_eq!(world.clients[&viewer].packets("TR_0").len(), before);
    world.want(viewer, track, settings(Quality::High));
    world.run_ms(3000);
    let packets = world.clients[&viewer].packets("TR_0");
    judge_video(packets, true);
    assert!(packets.len() > before + 50);
}

fn loss_and_reordering_are_repaired(mode: PeerMode) {
    for seed in 10..13 {
        // So much loss lowers layers, and what is lost of a layer that was left need not be repaired.
        let world = World::with_config(seed, |config| config.congestion_control = false);
        let (mut world, publisher, viewer, _) = world.and_video(mode);
        let delay = Duration::from_millis(20);
        world.network = Network { loss_up: 0.05, loss_down: 0.05, delay, jitter: Duration::from_millis(15) };
        world.run(Duration::from_secs(20));
        world.network = Network { delay, ..Network::default() };
        world.run_ms(500);
        world.client(publisher).last_stream().sending = false;
        world.run_ms(1000);
        let packets = world.clients[&viewer].packets("TR_0");
        let counters = world.engine.counters();
        assert!(packets.len() > 1000);
        assert!(counters.nacks_in > 10 && counters.nacks_out > 10, "{counters:?}");
        // A packet that is lost again and again on its way may be given up; nearly all arrive.
        let missing = missing(packets);
        assert!(missing * 500 < packets.len() as u64, "{missing} of {} missing; {counters:?}", packets.len());
    }
}

fn h264_is_forwarded(mode: PeerMode) {
    let mut world = World::new(6);
    let publisher = world.join_and_connect(1, mode);
    let viewer = world.join_and_connect(2, mode);
    let now = world.now;
    let cid = world.client(publisher).add_video(&[], now);
    world.client(publisher).stream(&cid).codec = Codec::H264;
    let codec = Some(sfu::Codec::H264);
    let track = sfu::NewTrack { codec, ..common::new_track(TrackId(9), publisher, &cid, MediaKind::Video) };
    world.command(Command::AddTrack(track));
    world.offer(publisher);
    world.subscribe(viewer, TrackId(9));
    world.run_until("received", |world| world.clients[&viewer].packets("TR_9").len() > 50);
    judge_video(world.clients[&viewer].packets("TR_9"), false);
    let codecs = world.count(|event| matches!(event, Event::TrackStarted { codec: sfu::Codec::H264, .. }));
    assert_eq!(codecs, 1);
}

fn audio_and_orientation_pass(mode: PeerMode) {
    let mut world = World::new(7);
    let publisher = world.join_and_connect(1, mode);
    let viewer = world.join_and_connect(2, mode);
    let audio = world.publish_audio(publisher);
    let video = world.publish_video(publisher, &[]);
    world.client(publisher).last_stream().orientation = Some(VideoOrientation::Deg90);
    world.subscribe(viewer, audio);
    world.subscribe(viewer, video);
    world.run_until("heard", |world| world.clients[&viewer].packets("TR_0").len() > 100);
    assert_eq!(missing(world.clients[&viewer].packets("TR_0")), 0);
    let turned = world.clients[&viewer].packets("TR_1").last().unwrap().orientation;
    assert_eq!(turned, Some(VideoOrientation::Deg90));
}

fn key_frame_requests_are_relayed_and_throttled(mode: PeerMode) {
    let (mut world, publisher, viewer, _) = World::with_video(8, mode);
    world.run_ms(2000);
    let keys = |world: &mut World| world.client(publisher).last_stream().layer("f").keys;
    let before = keys(&mut world);
    for _ in 0..20 {
        let mid = world.clients[&viewer].tracks[0].0.clone();
        world.client(viewer).request_key(&mid);
        world.run_ms(100);
    }
    let sent = keys(&mut world) - before;
    assert!((2..=3).contains(&sent), "{sent} key frames in two seconds");
}

fn a_viewer_that_connects_late_gets_a_key_frame(mode: PeerMode) {
    let mut world = World::new(9);
    let publisher = world.join_and_connect(1, mode);
    let track = world.publish_video(publisher, &["q", "h", "f"]);
    world.run_ms(3000);
    let viewer = world.join(2, mode);
    world.cut.push(viewer);
    world.subscribe(viewer, track);
    world.run_ms(3000);
    world.cut.clear();
    world.run_until_layer(viewer, "TR_0", 2);
    judge_video(world.clients[&viewer].packets("TR_0"), true);
}

fn one_viewer_sees_many(mode: PeerMode) {
    let mut world = World::new(10);
    let viewer = world.join_and_connect(100, mode);
    let mut tracks = Vec::new();
    for id in 1..=6 {
        let publisher = world.join_and_connect(id, mode);
        tracks.push(world.publish_video(publisher, &[]));
        tracks.push(world.publish_audio(publisher));
    }
    for track in &tracks {
        world.subscribe(viewer, *track);
    }
    world.run_until("all arrive", |world| {
        (0..12).all(|track| world.clients[&viewer].packets(&format!("TR_{track}")).len() > 20)
    });
    let asked = world.count(|event| matches!(event, Event::MediaSectionsRequirement { audios: 3, videos: 3, .. }));
    assert_eq!(asked, usize::from(mode == PeerMode::Single), "six of each, three of each offered by itself");
    let sections = world.clients[&viewer].descriptions.last().unwrap().matches("\nm=").count();
    assert_eq!(sections, 13, "twelve tracks and the data");
}

fn many_viewers_see_one(mode: PeerMode) {
    let mut world = World::new(11);
    let publisher = world.join_and_connect(1, mode);
    let track = world.publish_video(publisher, &["q", "h", "f"]);
    let viewers: Vec<_> = (2..12).map(|id| world.join_and_connect(id, mode)).collect();
    for (n, viewer) in viewers.iter().enumerate() {
        let quality = [Quality::Low, Quality::Medium, Quality::High][n % 3];
        world.want(*viewer, track, settings(quality));
        world.subscribe(*viewer, track);
    }
    world.run_ms(5000);
    for (n, viewer) in viewers.iter().enumerate() {
        let layers = judge_video(world.clients[viewer].packets("TR_0"), true);
        assert_eq!(layers.last(), Some(&((n % 3) as u8)));
    }
    assert_eq!(world.engine.counters().subscriptions, 10);
}
