//! Viewers whose connection carries less than they want, in virtual time: sound stays whole, pictures get smaller or
//! pause, and all comes back. And publishers, who are told what nobody wants.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{Network, Packet, World, judge_video, longest_stop, missing, shown};
use sfu::{Event, NewParticipant, ParticipantId, PeerMode, Quality, TrackId, TrackSettings};

/// What a router in front of a slow line holds.
const QUEUE: Duration = Duration::from_millis(300);

const SECOND: Duration = Duration::from_secs(1);

/// The worlds in which each of these tests is played. Keys and numbers are made by chance in any case, so no two runs
/// are quite the same; `SFU_SEEDS` asks for more of them.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("SFU_SEEDS").ok().map_or(3, |count| count.parse().expect("a number of worlds"));
    0..count
}

/// Both kinds of clients in turn.
fn mode(seed: u64) -> PeerMode {
    if seed.is_multiple_of(2) { PeerMode::Single } else { PeerMode::Dual }
}

/// A publisher of sound and of video like a camera's, and one viewer who gets both in full.
struct Call {
    world: World,
    publisher: ParticipantId,
    viewer: ParticipantId,
    video: TrackId,
    seed: u64,
}

impl Call {
    fn new(seed: u64) -> Call {
        Call::with(seed, |_| {})
    }

    /// The same with another kind of viewer.
    fn with(seed: u64, change: impl FnOnce(&mut NewParticipant)) -> Call {
        let (mut world, mode) = (World::new(seed), mode(seed));
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
        Call { world, publisher, viewer, video, seed }
    }

    /// The viewer gets only so much from now on. Returns since when.
    fn narrow(&mut self, rate: u64) -> Instant {
        self.world.narrow(self.viewer, rate, QUEUE);
        self.world.now
    }

    /// Lets seconds pass, in which the viewer asks for a key frame where it cannot show what comes, as decoders do.
    /// Returns the time then.
    fn run(&mut self, seconds: u32) -> Instant {
        for _ in 0..seconds * 4 {
            self.world.run_ms(250);
            let (now, picture) = (self.world.now, self.picture());
            let fresh = |at: &Instant| *at + SECOND / 2 > now;
            if picture.last().is_some_and(|last| fresh(&last.at)) && !shown(picture).last().is_some_and(fresh) {
                let client = self.world.client(self.viewer);
                let mid = client.tracks.iter().find(|(_, sid)| sid == "TR_1").unwrap().0.clone();
                client.request_key(&mid);
            }
        }
        self.world.now
    }

    fn sound(&self) -> &[Packet] {
        self.world.clients[&self.viewer].packets("TR_0")
    }

    fn picture(&self) -> &[Packet] {
        self.world.clients[&self.viewer].packets("TR_1")
    }

    /// The packets of the picture as they came, without those that came after a later one: measuring sends old ones
    /// again.
    fn new_picture(&self) -> impl Iterator<Item = &Packet> {
        let mut newest = 0;
        self.picture().iter().filter(move |packet| {
            let before = newest;
            newest = packet.seq.max(newest);
            packet.seq > before
        })
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
    fn last_above(&self, layer: u8, since: Instant) -> Duration {
        let last = self.new_picture().filter(|packet| packet.frame.layer > layer).last();
        last.map_or(Duration::ZERO, |last| last.at.saturating_duration_since(since))
    }

    /// When the first packet of a layer came, after a time.
    fn first_of(&self, layer: u8, since: Instant) -> Option<Duration> {
        let first = self.new_picture().find(|packet| packet.at > since && packet.frame.layer == layer)?;
        Some(first.at.duration_since(since))
    }

    /// The layer it gets.
    fn layer(&self) -> u8 {
        self.new_picture().last().unwrap().frame.layer
    }

    /// The longest time in a span for which the picture stood still.
    fn stop(&self, from: Instant, to: Instant) -> Duration {
        longest_stop(self.picture(), from, to)
    }

    /// What was told of pauses, in order.
    fn pauses(&self) -> Vec<bool> {
        let paused = |event: &Event| match event {
            Event::StreamPaused { paused, .. } => Some(*paused),
            _ => None,
        };
        self.world.events.iter().filter_map(paused).collect()
    }
}

#[test]
fn at_300_kbits_sound_is_whole_and_the_picture_small_until_more_gets_through() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        let narrowed = call.narrow(300_000);
        let widened = call.run(15);
        let small = call.last_above(0, narrowed);
        assert!(small < SECOND * 3, "{seed}: still large after {small:?}");
        let settled = narrowed + SECOND * 3;
        // What comes late does so by the queue alone, which measuring may fill for a moment.
        let late = call.sound_missing(settled, widened - QUEUE, Duration::from_millis(400));
        assert_eq!(late, 0, "{seed}: sound is late or lost");
        let begin = call.sound_missing(narrowed, settled, SECOND);
        assert!(begin < 75, "{seed}: {begin} of 150 pieces of sound lost until the picture was small");
        let stop = call.stop(settled, widened);
        assert!(stop < SECOND * 3 / 2, "{seed}: the small picture stood still for {stop:?}");
        assert_eq!(call.pauses(), [] as [bool; 0], "{seed}");
        call.narrow(0);
        call.run(12);
        let back = call.first_of(2, widened).expect("the high layer comes back");
        assert!(back < SECOND * 10, "{seed}: back after {back:?}");
        assert_eq!(call.layer(), 2, "{seed}: and stays");
    }
}

#[test]
fn at_100_kbits_the_picture_pauses_and_sound_goes_on() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        let narrowed = call.narrow(100_000);
        let widened = call.run(20);
        assert_eq!(call.pauses(), [true], "{seed}");
        let settled = narrowed + SECOND * 5;
        let late = call.sound_missing(settled, widened - QUEUE, Duration::from_millis(400));
        assert!(late * 100 <= 5 * 15 * 50, "{seed}: {late} pieces of sound are late or lost in 15 s");
        let pictures = call.new_picture().filter(|packet| packet.at > settled).count();
        assert_eq!(pictures, 0, "{seed}: pictures while paused");
        call.narrow(0);
        call.run(20);
        assert_eq!(call.pauses(), [true, false], "{seed}");
        assert_eq!(call.layer(), 2, "{seed}");
    }
}

#[test]
fn who_does_not_allow_pauses_keeps_the_lowest_layer() {
    for seed in seeds() {
        let mut call = Call::with(seed, |new| new.allow_pause = false);
        call.narrow(150_000);
        let end = call.run(10);
        assert_eq!(call.pauses(), [] as [bool; 0], "{seed}");
        assert_eq!(call.layer(), 0, "{seed}");
        let last = call.new_picture().last().unwrap().at;
        assert!(end.duration_since(last) < SECOND * 2, "{seed}: the picture ended");
    }
}

#[test]
fn loss_is_repaired_whole_and_does_not_lower_the_picture() {
    for (percent, seed) in [1, 5].into_iter().flat_map(|percent| seeds().map(move |seed| (percent, seed))) {
        let mut call = Call::new(seed);
        let (delay, jitter) = (Duration::from_millis(60), Duration::from_millis(5));
        let loss_down = percent as f64 / 100.0;
        let from = call.world.now;
        call.world.network = Network { loss_down, delay, jitter, ..Network::default() };
        let to = call.run(20);
        // What was lost last is repaired without further loss.
        call.world.network = Network { delay, ..Network::default() };
        call.run(1);
        call.world.client(call.publisher).last_stream().sending = false;
        call.run(1);
        let what = format!("{percent} % in {seed}");
        // A client that asks for a packet but a few times gives it up now and then, if it is lost each time.
        let given_up = missing(call.picture()) as usize;
        assert!(given_up * 1000 <= (percent - 1) * call.picture().len(), "{what}: {given_up} packets missing");
        assert_eq!(call.last_above(1, from), call.last_above(0, from), "{what}: lowered");
        let high = call.new_picture().filter(|packet| packet.at > from && packet.frame.layer == 2).count();
        let all = call.new_picture().filter(|packet| packet.at > from).count();
        assert_eq!(high, all, "{what}: packets of the high layer");
        let stop = call.stop(from + SECOND, to);
        let longest = if given_up == 0 { SECOND } else { SECOND * 2 };
        assert!(stop < longest, "{what}: the picture stood still for {stop:?}");
        let lost = call.sound_missing(from + SECOND, to, SECOND);
        assert!(lost * 100 < 3 * percent * 19 * 50, "{what}: {lost} of 950 pieces of sound lost");
    }
}

#[test]
fn nothing_lags_behind_on_a_connection_that_carries_all() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        let from = call.world.now;
        let to = call.run(60);
        assert_eq!(call.sound_missing(from, to - SECOND, Duration::from_millis(60)), 0, "{seed}: late sound");
        let packets: Vec<&Packet> = call.new_picture().filter(|packet| packet.at > from).collect();
        let frames = packets.chunk_by(|a, b| a.frame == b.frame);
        let longest = frames.map(|parts| parts[parts.len() - 1].at - parts[0].at).max().unwrap();
        assert!(longest < Duration::from_millis(60), "{seed}: the end of a frame came {longest:?} after its begin");
        assert!(call.stop(from, to) < Duration::from_millis(150), "{seed}");
    }
}

#[test]
fn a_longer_way_is_not_taken_for_a_narrow_one() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        call.world.network.delay = Duration::from_millis(150);
        let changed = call.world.now;
        call.run(15);
        assert_eq!(call.pauses(), [] as [bool; 0], "{seed}");
        assert_eq!(call.layer(), 2, "{seed}");
        assert!(call.stop(changed, call.world.now) < SECOND * 2, "{seed}");
    }
}

#[test]
fn a_narrow_viewer_does_not_slow_down_others() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        let other = call.world.join_and_connect(3, PeerMode::Single);
        call.world.subscribe(other, call.video);
        call.world.run_until_layer(other, "TR_1", 2);
        let from = call.narrow(300_000);
        let to = call.run(5);
        assert_eq!(call.layer(), 0, "{seed}");
        let packets = call.world.clients[&other].packets("TR_1");
        assert!(judge_video(packets, true).ends_with(&[2]), "{seed}");
        assert!(longest_stop(packets, from, to) < SECOND / 5, "{seed}");
    }
}

#[test]
fn the_picture_with_priority_is_kept() {
    for mut call in seeds().map(Call::new) {
        let seed = call.seed;
        let (publisher, viewer) = (call.publisher, call.viewer);
        let second = call.world.publish_video(publisher, &["q", "h", "f"]);
        call.world.client(publisher).last_stream().like_a_camera();
        call.world.want(viewer, second, TrackSettings { priority: 1, ..TrackSettings::default() });
        call.world.subscribe(viewer, second);
        call.world.run_until_layer(viewer, "TR_2", 2);
        call.narrow(1_000_000);
        call.run(20);
        let layers = (call.world.layer(viewer, "TR_1"), call.world.layer(viewer, "TR_2"));
        assert_eq!(layers, (Some(0), Some(1)), "{seed}");
    }
}

#[test]
fn a_viewer_sees_something_before_the_layer_it_wants_begins() {
    let mut call = Call::new(8);
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
