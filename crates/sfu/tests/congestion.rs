//! Viewers whose connection carries less than they want, in virtual time: sound stays whole, pictures get smaller or
//! pause, and all comes back. And publishers, who are told what nobody wants.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{Network, Packet, World, judge_video};
use sfu::{Event, NewParticipant, ParticipantId, PeerMode, Quality, TrackId, TrackSettings};

/// What a router in front of a slow line holds.
const QUEUE: Duration = Duration::from_millis(300);

/// A publisher of sound and of video like a camera's, and one viewer who gets both in full.
struct Call {
    world: World,
    publisher: ParticipantId,
    viewer: ParticipantId,
    video: TrackId,
}

impl Call {
    fn new(seed: u64, mode: PeerMode) -> Call {
        Call::with(seed, mode, |_| {})
    }

    /// The same with another kind of viewer.
    fn with(seed: u64, mode: PeerMode, change: impl FnOnce(&mut NewParticipant)) -> Call {
        let mut world = World::new(seed);
        // Measuring a connection takes bursts of a few milliseconds.
        world.step = Duration::from_millis(1);
        world.network = Network { delay: Duration::from_millis(25), ..Network::default() };
        let publisher = world.join_and_connect(1, mode);
        let viewer = world.join_as(2, mode, change);
        world.run_until("connected", |world| world.connected(viewer));
        let sound = world.publish_audio(publisher);
        world.client(publisher).last_stream().layers[0].size = 80;
        let video = world.publish_video(publisher, &["q", "h", "f"]);
        world.client(publisher).last_stream().like_a_camera();
        world.subscribe(viewer, sound);
        world.subscribe(viewer, video);
        world.run_until_layer(viewer, "TR_1", 2);
        world.run_ms(3000);
        Call { world, publisher, viewer, video }
    }

    fn sound(&self) -> &[Packet] {
        self.world.clients[&self.viewer].packets("TR_0")
    }

    fn picture(&self) -> &[Packet] {
        self.world.clients[&self.viewer].packets("TR_1")
    }

    /// The sound sent in a span of time that was lost or came later than this.
    fn sound_missing(&self, from: Instant, to: Instant, latest: Duration) -> usize {
        let sent = to.duration_since(from).as_millis() as usize / 20;
        // It is sent every 20 ms, so when it was sent follows from its number.
        let first = &self.sound()[0];
        let sent_at = |packet: &Packet| first.at + Duration::from_millis(20) * (packet.seq - first.seq) as u32;
        let came = self.sound().iter().filter(|packet| {
            let at = sent_at(packet);
            (from..to).contains(&at) && packet.at < at + latest
        });
        sent.saturating_sub(came.count())
    }

    /// When the last packet came that is of a higher layer than this, after a time.
    fn last_above(&self, layer: u8, since: Instant) -> Option<Duration> {
        let last = self.picture().iter().rev().find(|packet| packet.frame.layer > layer)?;
        Some(last.at.saturating_duration_since(since))
    }

    /// When the first packet of a layer came, after a time.
    fn first_of(&self, layer: u8, since: Instant) -> Option<Duration> {
        let first = self.picture().iter().find(|packet| packet.at > since && packet.frame.layer == layer)?;
        Some(first.at.duration_since(since))
    }
}

/// What was told of pauses, in order.
fn pauses(world: &World) -> Vec<bool> {
    let paused = |event: &Event| match event {
        Event::StreamPaused { paused, .. } => Some(*paused),
        _ => None,
    };
    world.events.iter().filter_map(paused).collect()
}

#[test]
fn at_300_kbits_sound_is_whole_and_the_picture_small_until_more_gets_through() {
    for (seed, mode) in [(1, PeerMode::Single), (2, PeerMode::Dual)] {
        let mut call = Call::new(seed, mode);
        let (narrowed, viewer) = (call.world.now, call.viewer);
        call.world.narrow(viewer, 300_000, QUEUE);
        call.world.run(Duration::from_secs(12));
        let widened = call.world.now;
        let small = call.last_above(0, narrowed).unwrap();
        assert!(small < Duration::from_secs(3), "{mode:?}: still large after {small:?}");
        let settled = narrowed + Duration::from_secs(3);
        assert_eq!(call.sound_missing(settled, widened - QUEUE, Duration::from_millis(400)), 0, "{mode:?}");
        let begin = call.sound_missing(narrowed, settled, Duration::from_secs(1));
        assert!(begin < 60, "{mode:?}: {begin} of 150 pieces of sound lost until the picture was small");
        assert_eq!(call.picture().last().unwrap().frame.layer, 0);
        assert!(widened.duration_since(call.picture().last().unwrap().at) < Duration::from_millis(500));
        call.world.narrow(viewer, 0, QUEUE);
        call.world.run(Duration::from_secs(12));
        let back = call.first_of(2, widened).expect("the high layer comes back");
        assert!(back < Duration::from_secs(10), "{mode:?}: back after {back:?}");
        assert_eq!(call.picture().last().unwrap().frame.layer, 2, "and stays");
        assert_eq!(call.world.count(|event| matches!(event, Event::TrackUnpublished { .. })), 0);
    }
}

#[test]
fn at_100_kbits_the_picture_pauses_and_sound_goes_on() {
    let mut call = Call::new(3, PeerMode::Single);
    let (narrowed, viewer) = (call.world.now, call.viewer);
    call.world.narrow(viewer, 100_000, QUEUE);
    call.world.run(Duration::from_secs(15));
    assert_eq!(pauses(&call.world), [true]);
    let widened = call.world.now;
    let settled = narrowed + Duration::from_secs(5);
    assert_eq!(call.sound_missing(settled, widened - QUEUE, Duration::from_millis(400)), 0);
    let pictures = call.picture().iter().filter(|packet| packet.at > settled).count();
    assert_eq!(pictures, 0, "pictures while paused");
    call.world.narrow(viewer, 0, QUEUE);
    call.world.run(Duration::from_secs(15));
    assert_eq!(pauses(&call.world), [true, false]);
    assert_eq!(call.picture().last().unwrap().frame.layer, 2);
}

#[test]
fn who_does_not_allow_pauses_keeps_the_lowest_layer() {
    let mut call = Call::with(4, PeerMode::Single, |new| new.allow_pause = false);
    let viewer = call.viewer;
    call.world.narrow(viewer, 150_000, QUEUE);
    call.world.run(Duration::from_secs(10));
    assert_eq!(pauses(&call.world), [] as [bool; 0]);
    let last = call.picture().last().unwrap();
    assert_eq!(last.frame.layer, 0);
    assert!(call.world.now.duration_since(last.at) < Duration::from_secs(2));
}

#[test]
fn loss_and_delay_alone_do_not_lower_the_picture() {
    let mut call = Call::new(5, PeerMode::Dual);
    let delay = Duration::from_millis(60);
    let jitter = Duration::from_millis(5);
    call.world.network = Network { loss_down: 0.01, delay, jitter, ..Network::default() };
    call.world.run(Duration::from_secs(15));
    let since = call.world.now - Duration::from_secs(10);
    let high = call.picture().iter().filter(|packet| packet.at > since && packet.frame.layer == 2).count();
    let all = call.picture().iter().filter(|packet| packet.at > since).count();
    assert!(high * 10 > all * 9, "{high} of {all} packets are of the high layer");
}

#[test]
fn a_narrow_viewer_does_not_slow_down_others() {
    let mut call = Call::new(6, PeerMode::Single);
    let other = call.world.join_and_connect(3, PeerMode::Single);
    call.world.subscribe(other, call.video);
    call.world.run_until_layer(other, "TR_1", 2);
    let viewer = call.viewer;
    call.world.narrow(viewer, 300_000, QUEUE);
    call.world.run(Duration::from_secs(5));
    assert_eq!(call.world.layer(other, "TR_1"), Some(2));
    assert_eq!(call.picture().last().unwrap().frame.layer, 0);
    let packets = call.world.clients[&other].packets("TR_1");
    assert!(judge_video(packets, true).ends_with(&[2]));
}

#[test]
fn the_picture_with_priority_is_kept() {
    let mut call = Call::new(7, PeerMode::Single);
    let (publisher, viewer) = (call.publisher, call.viewer);
    let second = call.world.publish_video(publisher, &["q", "h", "f"]);
    call.world.client(publisher).last_stream().like_a_camera();
    call.world.want(viewer, second, TrackSettings { priority: 1, ..TrackSettings::default() });
    call.world.subscribe(viewer, second);
    call.world.run_until_layer(viewer, "TR_2", 2);
    call.world.narrow(viewer, 1_000_000, QUEUE);
    call.world.run(Duration::from_secs(12));
    let layers = (call.world.layer(viewer, "TR_1"), call.world.layer(viewer, "TR_2"));
    assert_eq!(layers, (Some(0), Some(1)));
}

#[test]
fn a_viewer_sees_something_before_the_layer_it_wants_begins() {
    let mut call = Call::new(8, PeerMode::Single);
    for id in 3..8 {
        let viewer = call.world.join_and_connect(id, PeerMode::Single);
        let subscribed = call.world.now;
        call.world.subscribe(viewer, call.video);
        call.world.run_until("seen", |world| !world.clients[&viewer].packets("TR_1").is_empty());
        let waited = call.world.now.duration_since(subscribed);
        assert!(waited < Duration::from_millis(700), "{waited:?}");
        call.world.run_until_layer(viewer, "TR_1", 2);
        judge_video(call.world.clients[&viewer].packets("TR_1"), true);
    }
}

/// What publishers were told of their videos, in order.
fn demands(world: &World) -> Vec<Option<Quality>> {
    let told = |event: &Event| match event {
        Event::Demand { quality, .. } => Some(*quality),
        _ => None,
    };
    world.events.iter().filter_map(told).collect()
}

#[test]
fn publishers_are_told_what_nobody_wants_and_at_once_what_somebody_wants_again() {
    let quality = |quality| TrackSettings { quality, ..TrackSettings::default() };
    let (mut world, _, viewer, track) = World::with_video(9, PeerMode::Single);
    assert_eq!(demands(&world), [Some(Quality::High)]);
    world.want(viewer, track, quality(Quality::Low));
    world.run_ms(4500);
    assert_eq!(demands(&world).len(), 1, "less is told later");
    world.run_ms(1000);
    assert_eq!(demands(&world)[1..], [Some(Quality::Low)]);
    let other = world.join_and_connect(3, PeerMode::Single);
    world.want(other, track, quality(Quality::Medium));
    world.subscribe(other, track);
    assert_eq!(demands(&world)[2..], [Some(Quality::Medium)]);
    world.clients.remove(&other);
    world.command(sfu::Command::RemoveParticipant(other));
    world.command(sfu::Command::Unsubscribe { participant: viewer, track });
    world.run_ms(5500);
    assert_eq!(demands(&world)[3..], [None]);
    world.want(viewer, track, TrackSettings { disabled: true, ..TrackSettings::default() });
    world.subscribe(viewer, track);
    world.run_ms(500);
    assert_eq!(demands(&world).len(), 4, "who hides a video does not want it");
    world.want(viewer, track, quality(Quality::High));
    assert_eq!(demands(&world)[4..], [Some(Quality::High)]);
}

#[test]
fn a_video_nobody_ever_wanted_is_stopped_and_a_layer_that_stopped_comes_back() {
    let mut world = World::new(10);
    let publisher = world.join_and_connect(1, PeerMode::Single);
    let track = world.publish_video(publisher, &["q", "h", "f"]);
    world.run_ms(9000);
    assert_eq!(demands(&world), []);
    world.run_ms(2500);
    assert_eq!(demands(&world), [None]);
    // The client obeys.
    world.client(publisher).last_stream().sending = false;
    world.run_ms(3000);
    let viewer = world.join_and_connect(2, PeerMode::Single);
    world.subscribe(viewer, track);
    assert_eq!(demands(&world)[1..], [Some(Quality::High)]);
    world.client(publisher).last_stream().sending = true;
    world.run_until_layer(viewer, "TR_0", 2);
    judge_video(world.clients[&viewer].packets("TR_0"), true);
}
